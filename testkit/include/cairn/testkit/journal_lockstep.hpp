// A store and the plain reference do the same random work, and must give the same answers, one after the other.
//
// What journal_conformance.hpp asks for one by one comes here in every mixture and order. A run is its seed: the same seed does
// the same work on every machine and every store.
#pragma once

#include <cairn/memory_journal.hpp>
#include <cairn/testkit/detail/printing.hpp>
#include <cairn/testkit/drafts.hpp>
#include <cairn/testkit/store_under_test.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <doctest/doctest.h>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace cairn::inline v1::testkit {

struct lockstep_options {
  std::uint64_t seed = 1;
  std::uint64_t operations = 10'000;
};

/// What a run consisted of. An operation is one call, or one for each of the two where it compares.
struct lockstep_report {
  std::uint64_t calls_of_append = 0;
  std::uint64_t appends = 0;  ///< in these calls
  std::uint64_t conflicts = 0;
  std::uint64_t repeats = 0;  ///< that were recognised
  std::uint64_t refusals = 0;
  std::uint64_t events = 0;
  std::uint64_t reads = 0;
  std::uint64_t records_read = 0;
  std::uint64_t snapshot_calls = 0;
  std::uint64_t reopenings = 0;
};

inline std::string to_string(const lockstep_report& report) {
  const auto number = [](std::uint64_t count) { return std::to_string(count) + " "; };
  return number(report.calls_of_append) + "calls with " + number(report.appends) + "appends (" + number(report.events) +
         "events stored, " + number(report.conflicts) + "conflicts, " + number(report.repeats) + "repeats recognised), " +
         number(report.refusals) + "calls refused, " + number(report.reads) + "reads of " + number(report.records_read) +
         "records, " + number(report.snapshot_calls) + "calls for snapshots, " + number(report.reopenings) + "reopenings";
}

namespace detail {

class lockstep {
public:
  lockstep(const store_under_test& store, lockstep_options options)
      : store_(store), options_(options), journal_(store.open()), random_(options.seed) {}

  lockstep_report run() {
    for (; operation_ < options_.operations; ++operation_) {
      INFO("operation ", operation_, " (from 0) of seed ", options_.seed);
      one_operation();
    }
    INFO("after all ", options_.operations, " operations of seed ", options_.seed);
    compare_everything(1, version_range{}.limit);
    for (std::uint64_t which = 0; which < streams_; ++which) compare_one(stream(which), {});
    return report_;
  }

private:
  void one_operation() {
    const auto kind = below(1000);
    if (kind < 380) return append_something();
    if (kind < 480) return repeat_something();
    if (kind < 500) return append_what_must_be_refused();
    if (kind < 720) return compare_one(any_stream(), any_range());
    if (kind < 820) return compare_highest(any_stream());
    if (kind < 880) return compare_everything(below(reference_->last().value + 3), below(60));
    if (kind < 999 || !store_.keeps_what_was_closed) return use_snapshots();
    reopen();
  }

  // The same on every machine, which the standard's own distributions are not. The bias is no matter here.
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool one_in(std::uint64_t times) { return below(times) == 0; }

  // --- what to work on ---

  static constexpr std::uint64_t streams_ = 200;

  static stream_id stream(std::uint64_t which) {
    return {which % 4 ? "product" : "order", which % 50 == 49 ? std::string(which, '\0') : std::to_string(which)};
  }
  /// Few have long histories, and many have short ones.
  stream_id any_stream() { return stream(one_in(3) ? below(streams_) : below(5)); }

  std::vector<std::string> any_payloads() {
    if (one_in(500)) return numbers_as_text(0, 200 + below(2000));
    std::vector<std::string> payloads(1 + below(3), std::string(one_in(10) ? below(9000) : below(60), 'p'));
    if (one_in(2000)) payloads.back().assign(std::size_t{1} << 20, 'p');
    payloads.back() += std::to_string(operation_);
    return payloads;
  }

  /// Mostly the version that the aggregate will have by then, with what the call has for it already.
  std::uint64_t any_expected(const stream_id& stream) {
    const auto known = planned_.find(stream);
    const auto stands = known != planned_.end() ? known->second : reference_->highest(stream).value;
    if (!one_in(10)) return stands;
    return stands > 0 && one_in(2) ? stands - 1 : stands + 1 + below(2);
  }

  std::vector<draft> any_append() {
    std::vector<draft> drafts;
    const auto command_id = store_.recognises_repeats && !one_in(4) ? "command " + std::to_string(operation_) : std::string();
    for (auto left = store_.appends_over_aggregates && one_in(4) ? 2 + below(3) : 1; left > 0; --left) {
      const auto chosen = any_stream();
      const auto is_chosen = [&](const draft& draft) { return draft.stream == chosen; };
      if (std::any_of(drafts.begin(), drafts.end(), is_chosen)) continue;
      drafts.emplace_back(chosen, any_expected(chosen), any_payloads(), command_id);
      planned_[chosen] = drafts.back().expected.value + drafts.back().payloads.size();
    }
    return drafts;
  }

  /// An earlier append, as it was or with something changed so that it is no repeat any more.
  std::vector<draft> one_like_an_earlier() {
    auto drafts = earlier_[below(earlier_.size())];
    auto& one = drafts[below(drafts.size())];
    auto payloads = one.payloads;
    switch (below(10)) {
    case 0: payloads.back() += "!"; break;
    case 1: payloads.pop_back(); break;
    case 2: payloads.push_back("more"); break;
    case 3: one = draft(one.stream, one.expected.value, payloads); return drafts;
    case 4:
      if (drafts.size() > 1) drafts.pop_back();
      return drafts;
    case 5: std::reverse(drafts.begin(), drafts.end()); return drafts;
    default: return drafts;
    }
    if (!payloads.empty()) one = draft(one.stream, one.expected.value, payloads, one.command_id);
    return drafts;
  }

  // --- operations ---

  void append_something() {
    planned_.clear();
    std::vector<std::vector<draft>> appends(1 + below(4));
    for (auto& drafts : appends) drafts = any_append();
    compare_append(appends);
    for (auto& drafts : appends) {
      earlier_.push_back(std::move(drafts));
      if (earlier_.size() > earlier_max_) earlier_.pop_front();
    }
  }

  void repeat_something() {
    if (earlier_.empty()) return append_something();
    planned_.clear();
    std::vector<std::vector<draft>> appends;
    for (auto left = 1 + below(3); left > 0; --left) {
      appends.push_back(one_in(3) ? any_append() : one_like_an_earlier());
      if (one_in(4)) appends.push_back(appends[below(appends.size())]);
    }
    compare_append(appends);
  }

  void compare_append(const std::vector<std::vector<draft>>& appends) {
    auto last = reference_->last();
    const auto expected = append(*reference_, appends);
    const auto actual = append(*journal_, appends);
    ++report_.calls_of_append;
    for (std::size_t i = 0; i < appends.size(); ++i) {
      CAPTURE(i);
      REQUIRE(actual[i].stored == expected[i].stored);
      REQUIRE(actual[i].first == expected[i].first);
      REQUIRE(actual[i].stands == expected[i].stands);
      ++report_.appends;
      if (!expected[i].stored) {
        ++report_.conflicts;
      } else if (expected[i].first <= last) {
        ++report_.repeats;
      } else {
        for (const auto& draft : appends[i]) last = last + draft.payloads.size();
      }
    }
    report_.events = last.value;
    REQUIRE(journal_->last() == reference_->last());
  }

  /// A sound append and one that is none, in one call.
  void append_what_must_be_refused() {
    const auto sound = any_stream();
    const auto other = any_stream();
    const draft good(sound, reference_->highest(sound).value, any_payloads());
    const draft bad(other, reference_->highest(other).value, any_payloads());
    auto addition = bad.addition();
    switch (below(4)) {
    case 0: ++addition.events; break;
    case 1: addition.frames.remove_suffix(1); break;
    case 2: addition.expected = addition.expected + 1; break;
    default: addition.expected = version{version::max().value - 1}; break;
    }
    const std::vector<cairn::addition> first{good.addition()}, second{addition};
    const std::vector<atomic_append> appends{first, second};
    for (auto* const which : {reference_.get(), journal_.get()}) {
      std::vector<append_outcome> outcomes(appends.size());
      std::optional<errc> refused;
      try {
        which->append(appends, outcomes);
      } catch (const error& failure) { refused = failure.kind(); }
      REQUIRE(refused == errc::invalid_argument);
    }
    ++report_.refusals;
    REQUIRE(journal_->last() == reference_->last());
    REQUIRE(journal_->highest(sound) == reference_->highest(sound));
  }

  version_range any_range() {
    const auto any_version = [&] {
      const auto stands = reference_->highest(stream(below(5))).value;
      switch (below(4)) {
      case 0: return version{below(4)};
      case 1: return version{stands + 2 - std::min(stands + 2, below(6))};
      case 2: return version::max();
      default: return version{below(stands + 1)};
      }
    };
    version_range range{.from = any_version(), .to = one_in(3) ? version::max() : any_version(), .limit = 1 + below(100)};
    if (one_in(20)) range.limit = one_in(2) ? 0 : version_range{}.limit;
    return range;
  }

  /// Every byte of a record is in its body, but for its position.
  using bodies = std::vector<std::pair<std::uint64_t, std::string>>;

  static record_visitor into(bodies& records, std::uint64_t at_most) {
    return [&records, at_most](const record_view& record) {
      records.emplace_back(record.position.value, record.body);
      return records.size() < at_most;
    };
  }

  void compare_one(const stream_id& stream, version_range range) {
    bodies expected, actual;
    reference_->read(stream, range, into(expected, version_range{}.limit));
    journal_->read(stream, range, into(actual, version_range{}.limit));
    // Compared first and printed never: a difference of payloads would fill the screen.
    REQUIRE((actual == expected));
    ++report_.reads;
    report_.records_read += actual.size();
  }

  void compare_everything(std::uint64_t from, std::uint64_t at_most) {
    bodies expected, actual;
    const auto next = reference_->read_all(position{from}, into(expected, at_most));
    REQUIRE(journal_->read_all(position{from}, into(actual, at_most)) == next);
    REQUIRE((actual == expected));
    ++report_.reads;
    report_.records_read += actual.size();
  }

  void compare_highest(const stream_id& stream) {
    REQUIRE(journal_->highest(stream) == reference_->highest(stream));
    ++report_.reads;
  }

  void use_snapshots() {
    if (!store_.keeps_snapshots) return compare_highest(any_stream());
    const auto stream = any_stream();
    const version at{below(30)};
    if (one_in(3)) {
      const auto bytes = std::string(one_in(50) ? below(300'000) : below(30), 's') + std::to_string(operation_);
      for (auto* const which : {reference_.get(), journal_.get()}) which->snapshots().save(stream, at, bytes);
    } else if (one_in(3)) {
      const auto keep = below(4);
      for (auto* const which : {reference_.get(), journal_.get()}) which->snapshots().prune(stream, keep);
    }
    const auto enough = 1 + below(4);
    const auto those_of = [&](journal& which) {
      std::vector<std::pair<version, std::string>> found;
      which.snapshots().read_newest_first(stream, at, [&](const snapshot_view& one) {
        found.emplace_back(one.version, one.bytes);
        return found.size() < enough;
      });
      return found;
    };
    REQUIRE((those_of(*journal_) == those_of(*reference_)));
    ++report_.snapshot_calls;
  }

  void reopen() {
    journal_.reset();
    journal_ = store_.open();
    REQUIRE(journal_->last() == reference_->last());
    ++report_.reopenings;
  }

  static constexpr std::size_t earlier_max_ = 200;

  const store_under_test& store_;
  const lockstep_options options_;
  const std::unique_ptr<journal> reference_ = memory_journal();
  std::unique_ptr<journal> journal_;
  std::mt19937_64 random_;
  std::uint64_t operation_ = 0;
  std::map<stream_id, std::uint64_t> planned_;  // the versions after what the next call has so far
  std::deque<std::vector<draft>> earlier_;      // appends to repeat
  lockstep_report report_;
};

}  // namespace detail

/// Ends the test case at the first answer that differs, and says at which operation. To see it again: the same seed, and more
/// operations than that one's number.
inline lockstep_report journal_lockstep(const store_under_test& store, lockstep_options options) {
  return detail::lockstep(store, options).run();
}

}  // namespace cairn::testkit
