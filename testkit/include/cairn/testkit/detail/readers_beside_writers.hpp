// Several threads append in turns while others read, some of them slower than they append. What was wrong is gathered in words.
//
// A record's payload is "n/of": the n-th of the records that became durable with it, so that whoever sees the n-th as the last
// one, and n is not `of`, has seen part of an append.
#pragma once

#include <cairn/testkit/drafts.hpp>
#include <cairn/testkit/store_under_test.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cairn::inline v1::testkit::detail {

class readers_beside_writers {
public:
  explicit readers_beside_writers(const store_under_test& store) : store_(store), journal_(store.open()) {}

  /// Everything that was wrong, one thing a line; empty where all was right.
  std::string run() {
    std::vector<std::thread> readers;
    readers.push_back(thread([this] { read_everything(); }));
    readers.push_back(thread([this] { read_one_aggregate(); }));
    readers.push_back(thread([this] { read_everything_slowly(); }));
    readers.push_back(thread([this] { read_one_aggregate_slowly(); }));
    if (store_.appends_over_aggregates) readers.push_back(thread([this] { read_two_of_one_append(); }));
    std::vector<std::thread> writers;
    for (std::uint64_t number = 0; number < writers_; ++number) {
      writers.push_back(thread([this] {
        for (std::uint64_t turn = 0; turn < turns_; ++turn) take_turn();
      }));
    }
    for (auto& writer : writers) writer.join();
    finish();
    for (auto& reader : readers) reader.join();
    expect(testkit::read_all(*journal_) == written_, "what was appended is not what is read in the end");
    std::string all;
    for (const auto& what : wrong_) all += what + "\n";
    return all;
  }

private:
  static constexpr std::uint64_t writers_ = 3;
  static constexpr std::uint64_t turns_ = 80;
  /// A slow reader looks so long at every 50th record that so many more are appended meanwhile.
  static constexpr std::uint64_t lead_ = 40;
  /// An append that has not come so far by then waits for the reader, which it must not.
  static constexpr std::chrono::seconds patience_{10};

  const stream_id left_{"product", "left"};
  const stream_id right_{"product", "right"};
  const stream_id watched_{"product", "1"};

  template <class Work>
  std::thread thread(Work work) {
    return std::thread([this, work] {
      try {
        work();
      } catch (const std::exception& failure) { expect(false, std::string("something was thrown: ") + failure.what()); }
    });
  }

  void expect(bool holds, const std::string& what) {
    if (holds) return;
    const std::lock_guard lock(mutex_);
    wrong_.insert(what);
  }

  // --- writing ---

  std::vector<draft> part(const stream_id& stream, std::uint64_t events) {
    std::vector<std::string> payloads;
    for (std::uint64_t n = 1; n <= events; ++n) payloads.push_back(std::to_string(n) + "/" + std::to_string(events));
    return {draft(stream, versions_[stream.id], payloads)};
  }

  /// One call of several appends: some of one aggregate each, and one of two aggregates that always have the same version.
  void take_turn() {
    const std::lock_guard turn(turn_);
    const auto number = turn_number_++;
    std::vector<std::vector<draft>> appends;
    for (std::uint64_t i = 0; i < 3; ++i) {
      appends.push_back(part({"product", std::to_string((number + i) % 5)}, (number + i) % 3 + 1));
    }
    if (store_.appends_over_aggregates) {
      appends.push_back({draft(left_, versions_[left_.id], {"1/2"}), draft(right_, versions_[right_.id], {"2/2"})});
    }
    const auto outcomes = append(*journal_, appends);
    for (std::size_t i = 0; i < appends.size(); ++i) {
      expect(outcomes[i].stored, "an append at the version that stands is not stored");
      expect(outcomes[i].first.value == written_.size() + 1, "an append does not get the position after the one before it");
      for (const auto& draft : appends[i]) note(draft);
    }
    expect(journal_->last().value == written_.size(), "the last position does not follow an append at once");
    for (const auto& draft : appends.back()) {
      expect(journal_->highest(draft.stream).value == versions_[draft.stream.id], "an append cannot be seen when it returns");
    }
    advance();
    if (number == 0) wait_for_slow_readers();
  }

  void note(const draft& draft) {
    for (const auto& payload : draft.payloads) {
      written_.push_back({written_.size() + 1, draft.stream, ++versions_[draft.stream.id], payload});
    }
  }

  // --- how far the writers are ---

  void advance() {
    const std::lock_guard lock(mutex_);
    appended_ = written_.size();
    moved_.notify_all();
  }

  void finish() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    moved_.notify_all();
  }

  bool finished() {
    const std::lock_guard lock(mutex_);
    return finished_;
  }

  template <class Condition>
  void wait(Condition condition, const std::string& otherwise) {
    std::unique_lock lock(mutex_);
    const bool waited = moved_.wait_for(lock, patience_, [&] { return finished_ || gave_up_ || condition(); });
    if (waited) return;
    wrong_.insert(otherwise);
    gave_up_ = true;  // once is enough, and the test shall end
    moved_.notify_all();
  }

  /// Otherwise the writers could be done before anybody reads.
  void wait_for_slow_readers() {
    wait([&] { return slow_readers_.size() == 2; }, "a reader does not come to see the first records");
  }

  /// Until the writers are further ahead than `appended`.
  void look_long(const std::string& reader, std::uint64_t appended) {
    {
      const std::lock_guard lock(mutex_);
      slow_readers_.insert(reader);
      moved_.notify_all();
    }
    wait([&] { return appended_ >= appended + lead_; }, "an append waits for a slow reader");
  }

  // --- reading ---

  static bool ends_its_append(const record_view& record) {
    const auto middle = record.payload.find('/');
    return record.payload.substr(0, middle) == record.payload.substr(middle + 1);
  }

  void read_everything() {
    position next{1};
    for (bool last_time = false; !last_time;) {
      last_time = finished();
      auto expected = next;
      bool whole = true;
      next = journal_->read_all(next, [&](const record_view& record) {
        expect(record.position == expected, "reading everything leaves out a position, or takes one out of its turn");
        expected = expected + 1;
        whole = ends_its_append(record);
        return true;
      });
      expect(next == expected, "reading everything does not say where to go on");
      expect(whole, "reading everything ends within an append");
    }
  }

  void read_one_aggregate() {
    for (bool last_time = false; !last_time;) {
      last_time = finished();
      const auto highest = journal_->highest(watched_);
      version expected;
      bool whole = true;
      journal_->read(watched_, {}, [&](const record_view& record) {
        expected = expected + 1;
        expect(record.version == expected, "reading an aggregate leaves out a version, or takes one out of its turn");
        whole = ends_its_append(record);
        return true;
      });
      expect(expected >= highest, "reading an aggregate ends before the version that was its highest");
      expect(whole, "reading an aggregate ends within an append");
    }
  }

  void read_two_of_one_append() {
    for (bool last_time = false; !last_time;) {
      last_time = finished();
      for (const auto& [first, second] : {std::pair(left_, right_), std::pair(right_, left_)}) {
        const auto seen = journal_->highest(first);
        expect(journal_->highest(second) >= seen, "one aggregate of an append can be seen before the other");
      }
    }
  }

  void read_everything_slowly() {
    while (!finished()) {
      position end;
      position expected{1};
      journal_->read_all(position{1}, [&](const record_view& record) {
        const auto last = journal_->last();
        if (end == position{}) end = last;
        expect(record.position <= end, "reading everything goes beyond the end as it was at the call");
        expect(record.position == expected, "a slow reader of everything misses a record");
        if (expected.value % 50 == 1) look_long("of everything", last.value);
        expected = expected + 1;
        return true;
      });
    }
  }

  void read_one_aggregate_slowly() {
    while (!finished()) {
      version expected{1};
      journal_->read(watched_, {}, [&](const record_view& record) {
        expect(record.version == expected, "a slow reader of an aggregate misses a record");
        if (expected.value % 50 == 1) look_long("of an aggregate", journal_->last().value);
        expected = expected + 1;
        return true;
      });
    }
  }

  const store_under_test& store_;
  const std::unique_ptr<journal> journal_;

  std::mutex turn_;  // guards what the writers know
  std::uint64_t turn_number_ = 0;
  std::map<std::string, std::uint64_t> versions_;
  std::vector<seen> written_;

  std::mutex mutex_;  // guards what everybody knows
  std::condition_variable moved_;
  std::uint64_t appended_ = 0;
  bool finished_ = false;
  bool gave_up_ = false;
  std::set<std::string> slow_readers_;  // that have begun
  std::set<std::string> wrong_;
};

}  // namespace cairn::testkit::detail
