// Journals that each break one promise, to show that the conformance suite sees it.
//
// Each stands before a right one, the plain reference, and spoils one thing on the way in or out.
#pragma once

#include <cairn/memory_journal.hpp>
#include <cairn/testkit/drafts.hpp>
#include <cairn/testkit/forwarding_journal.hpp>
#include <cairn/testkit/store_under_test.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cairn::tests {

using testkit::draft;
using testkit::store_under_test;

/// Wrong in nothing. What it keeps is in the right journal, so it can be closed and opened again.
class forwarding_journal : public testkit::forwarding_journal {
public:
  using testkit::forwarding_journal::forwarding_journal;

protected:
  append_outcome append_one(atomic_append append) const {
    append_outcome outcome;
    inner().append({&append, 1}, {&outcome, 1});
    return outcome;
  }

  /// As if it had been decided on the versions that stand now.
  append_outcome append_at_the_end(atomic_append append) const {
    std::vector<draft> drafts;
    for (const auto& addition : append) {
      std::vector<std::string> payloads;
      std::string command_id;
      for (const auto& body : bodies(addition)) {
        const auto record = decode_record({}, body);
        payloads.emplace_back(record.payload);
        command_id = record.command_id;
      }
      drafts.emplace_back(stream_id(addition.stream), inner().highest(addition.stream).value, payloads, command_id);
    }
    return testkit::append(inner(), {drafts}).at(0);
  }

  static std::vector<std::string_view> bodies(const addition& addition) {
    std::vector<std::string_view> all;
    auto frames = addition.frames;
    for (std::string_view body; next_frame(frames, body);) all.push_back(body);
    return all;
  }

  /// The first `events` of them.
  static addition begin_of(addition addition, std::uint32_t events) {
    std::size_t bytes = 0;
    const auto all = bodies(addition);
    for (std::size_t i = 0; i < events && i < all.size(); ++i) bytes += 4 + all[i].size();
    addition.events = std::min(addition.events, events);
    addition.frames = addition.frames.substr(0, bytes);
    return addition;
  }

  static bool conflicts(const journal& journal, atomic_append append) {
    return std::any_of(append.begin(), append.end(),
                       [&](const addition& one) { return journal.highest(one.stream) != one.expected; });
  }
};

/// Does with each append of a call what `Derived::one(append)` says. Refuses rightly what a journal must refuse.
template <class Derived>
class one_by_one : public forwarding_journal {
public:
  using forwarding_journal::forwarding_journal;

  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    memory_journal()->append(appends, outcomes);
    for (std::size_t i = 0; i < appends.size(); ++i) outcomes[i] = static_cast<Derived*>(this)->one(appends[i]);
  }
};

// --- appends ---

struct forgets_the_last_event : one_by_one<forgets_the_last_event> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    std::vector<addition> fewer(append.begin(), append.end());
    for (auto& addition : fewer) addition = begin_of(addition, std::max(addition.events, 2U) - 1);
    return append_one(fewer);
  }
};

struct takes_few_events : one_by_one<takes_few_events> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    std::vector<addition> fewer(append.begin(), append.end());
    for (auto& addition : fewer) addition = begin_of(addition, 8192);
    return append_one(fewer);
  }
};

struct takes_few_appends : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    const auto taken = std::min<std::size_t>(appends.size(), 8192);
    inner().append(appends.first(taken), outcomes.first(taken));
    for (auto i = taken; i < appends.size(); ++i)
      outcomes[i] = {.stored = true, .first = outcomes[i - 1].first + 1, .stands = {}};
  }
};

struct stores_in_spite_of_a_conflict : one_by_one<stores_in_spite_of_a_conflict> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    const auto outcome = append_one(append);
    if (!outcome.stored) append_at_the_end(append);
    return outcome;
  }
};

struct names_the_version_that_was_expected : one_by_one<names_the_version_that_was_expected> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    auto outcome = append_one(append);
    if (!outcome.stored) outcome.stands = append.front().expected;
    return outcome;
  }
};

struct names_the_last_position : one_by_one<names_the_last_position> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    auto outcome = append_one(append);
    if (outcome.stored) outcome.first = outcome.first + (append.back().events - 1);
    return outcome;
  }
};

struct tears_an_append_over_aggregates : one_by_one<tears_an_append_over_aggregates> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    if (append.size() < 2) return append_one(append);
    append_outcome outcome;
    for (std::size_t i = 0; i < append.size(); ++i) {
      const auto part = append_one(append.subspan(i, 1));
      if (i == 0 || (outcome.stored && !part.stored)) outcome = part;
    }
    return outcome;
  }
};

/// Where they are few, readers get the chance to look in between.
struct shows_the_events_of_an_append_one_by_one : one_by_one<shows_the_events_of_an_append_one_by_one> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    if (conflicts(inner(), append)) return append_one(append);
    append_outcome outcome;
    for (const auto& addition : append) {
      auto number = addition.expected;
      for (const auto& body : bodies(addition)) {
        const auto frame = std::string_view(body.data() - 4, body.size() + 4);
        const cairn::addition event{addition.stream, number, 1, frame};
        const auto stored = append_one({&event, 1});
        if (!outcome.stored) outcome = stored;
        number = number + 1;
        const auto before = looks_.load();
        const int patience = append.size() > 1 || (addition.events > 1 && addition.events < 5) ? 200 : 0;
        for (int waited = 0; waited < patience && looks_ < before + 4; ++waited) std::this_thread::yield();
      }
    }
    return outcome;
  }
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    ++looks_;
    forwarding_journal::read(stream, range, visit);
  }
  position read_all(position from, const record_visitor& visit) const override {
    ++looks_;
    return forwarding_journal::read_all(from, visit);
  }
  mutable std::atomic<std::uint64_t> looks_ = 0;
};

struct takes_what_it_must_refuse : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    try {
      inner().append(appends, outcomes);
    } catch (const error&) { std::fill(outcomes.begin(), outcomes.end(), append_outcome{true, inner().last(), {}}); }
  }
};

struct keeps_the_beginning_of_a_refused_call : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    for (std::size_t i = 0; i < appends.size(); ++i) outcomes[i] = append_one(appends[i]);
  }
};

struct leaves_a_gap : one_by_one<leaves_a_gap> {
  using one_by_one::one_by_one;
  static position out(position where) { return where > position{3} ? where + 1 : where; }
  append_outcome one(atomic_append append) {
    auto outcome = append_one(append);
    outcome.first = out(outcome.first);
    return outcome;
  }
  static record_visitor shifted(const record_visitor& visit) {
    return [&visit](record_view record) {
      record.position = out(record.position);
      return visit(record);
    };
  }
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    inner().read(stream, range, shifted(visit));
  }
  position read_all(position from, const record_visitor& visit) const override {
    return out(inner().read_all(from > position{4} ? position{from.value - 1} : from, shifted(visit)));
  }
  position last() const override { return out(inner().last()); }
};

// --- repeats ---

struct does_not_recognise_a_repeat : one_by_one<does_not_recognise_a_repeat> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    const auto stands = inner().highest(append.front().stream);
    const auto last = inner().last();
    const auto outcome = append_one(append);
    return outcome.stored && outcome.first <= last ? append_outcome{false, {}, stands} : outcome;
  }
};

struct stores_a_repeat_twice : one_by_one<stores_a_repeat_twice> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    const auto last = inner().last();
    const auto outcome = append_one(append);
    return outcome.stored && outcome.first <= last ? append_at_the_end(append) : outcome;
  }
};

struct answers_a_repeat_as_if_it_were_new : one_by_one<answers_a_repeat_as_if_it_were_new> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    const auto last = inner().last();
    auto outcome = append_one(append);
    if (outcome.stored && outcome.first <= last) outcome.first = last + 1;
    return outcome;
  }
};

struct takes_what_looks_alike_for_a_repeat : one_by_one<takes_what_looks_alike_for_a_repeat> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    auto outcome = append_one(append);
    if (outcome.stored) return outcome;
    position first;
    std::size_t same = 0, all = 0;
    for (const auto& addition : append) {
      const auto wanted = bodies(addition);
      all += wanted.size();
      std::size_t at = 0;
      inner().read(addition.stream, {.from = addition.expected + 1, .limit = wanted.size()}, [&](const record_view& record) {
        if (first == position{}) first = record.position;
        same += record.body == wanted[at++] ? 1 : 0;
        return true;
      });
    }
    return same == all ? append_outcome{true, first, {}} : outcome;
  }
};

struct takes_a_part_for_a_repeat : one_by_one<takes_a_part_for_a_repeat> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    auto outcome = append_one(append);
    if (outcome.stored) return outcome;
    const auto first = begin_of(append.front(), 1);
    const auto begin = append_one({&first, 1});
    return begin.stored ? begin : outcome;
  }
};

struct takes_a_command_id_for_a_repeat : one_by_one<takes_a_command_id_for_a_repeat> {
  using one_by_one::one_by_one;
  append_outcome one(atomic_append append) {
    const auto wanted = decode_record({}, bodies(append.front()).front());
    position first;
    inner().read(wanted.stream, {}, [&](const record_view& record) {
      if (!record.command_id.empty() && record.command_id == wanted.command_id) first = record.position;
      return first == position{};
    });
    return first > position{} ? append_outcome{true, first, {}} : append_one(append);
  }
};

// --- reads ---

struct loses_the_lower_bound : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    inner().read(stream, {.to = range.to, .limit = range.limit}, visit);
  }
};

struct loses_the_upper_bound : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    inner().read(stream, {.from = range.from, .limit = range.limit}, visit);
  }
};

struct loses_the_limit : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    inner().read(stream, {.from = range.from, .to = range.to}, visit);
  }
};

struct takes_the_limit_0_for_none : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    if (range.limit == 0) range.limit = version_range{}.limit;
    inner().read(stream, range, visit);
  }
};

struct does_not_stop_for_its_visitor : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    inner().read(stream, range, [&](const record_view& record) { return visit(record), true; });
  }
};

struct swallows_what_a_visitor_throws : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    try {
      inner().read(stream, range, visit);
    } catch (const std::exception&) {
      // That is what is wrong with it.
    }
  }
};

struct cuts_bytes_at_a_zero : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  static record_visitor cutting(const record_visitor& visit) {
    return [&visit](record_view record) {
      record.payload = record.payload.substr(0, record.payload.find('\0'));
      record.body = record.body.substr(0, record.body.size() - 1);
      return visit(record);
    };
  }
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    inner().read(stream, range, cutting(visit));
  }
};

/// Two by two.
struct takes_records_out_of_their_turn : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  position read_all(position from, const record_visitor& visit) const override {
    std::vector<std::pair<position, std::string>> all;
    const auto next = inner().read_all(from, [&](const record_view& record) {
      all.emplace_back(record.position, record.body);
      return true;
    });
    for (std::size_t i = 0; i + 1 < all.size(); i += 2) std::swap(all[i], all[i + 1]);
    for (const auto& [where, body] : all) {
      if (!visit(decode_record(where, body))) return where + 1;
    }
    return next;
  }
};

struct goes_on_one_position_late : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  position read_all(position from, const record_visitor& visit) const override { return inner().read_all(from, visit) + 1; }
};

struct reads_beyond_the_end_as_it_was : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  position read_all(position from, const record_visitor& visit) const override {
    bool enough = false;
    do {
      from = inner().read_all(from, [&](const record_view& record) { return !(enough = !visit(record)); });
    } while (!enough && from <= inner().last());
    return from;
  }
};

struct knows_aggregates_that_are_unknown : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  version highest(stream_view stream) const override { return std::max(inner().highest(stream), version{1}); }
};

struct makes_appends_wait_for_readers : forwarding_journal {
  using forwarding_journal::forwarding_journal;
  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    const std::lock_guard lock(mutex_);
    inner().append(appends, outcomes);
  }
  position read_all(position from, const record_visitor& visit) const override {
    const std::lock_guard lock(mutex_);
    return inner().read_all(from, visit);
  }
  mutable std::recursive_mutex mutex_;
};

// --- snapshots ---

/// Does with snapshots what its first member says, and nothing else wrong.
class wrong_snapshots : public forwarding_journal, public snapshot_store {
public:
  using forwarding_journal::forwarding_journal;
  snapshot_store& snapshots() override { return *this; }
  void save(stream_view stream, version at, std::string_view bytes) override { inner().snapshots().save(stream, at, bytes); }
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    inner().snapshots().read_newest_first(stream, at_most, visit);
  }
  void prune(stream_view stream, std::size_t keep) override { inner().snapshots().prune(stream, keep); }
};

struct forgets_the_snapshots_below : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void save(stream_view stream, version at, std::string_view bytes) override {
    wrong_snapshots::save(stream, at, bytes);
    prune(stream, 1);
  }
};

struct prunes_the_newest_snapshot : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void prune(stream_view stream, std::size_t keep) override {
    const auto newest = latest(stream, version::max());
    const auto below = newest && newest->version > version{} ? latest(stream, version{newest->version.value - 1}) : std::nullopt;
    wrong_snapshots::prune(stream, newest && keep > 0 ? 0 : keep);
    if (below) save(stream, below->version, below->bytes);
  }
};

struct finds_snapshots_beyond_what_was_asked : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void read_newest_first(stream_view stream, version, const snapshot_visitor& visit) const override {
    wrong_snapshots::read_newest_first(stream, version::max(), visit);
  }
};

struct hands_out_the_newest_snapshot_only : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    wrong_snapshots::read_newest_first(stream, at_most, [&](const snapshot_view& one) { return visit(one), false; });
  }
};

struct shows_snapshots_that_are_saved_meanwhile : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    while (const auto one = inner().snapshots().latest(stream, at_most)) {
      if (!visit({one->version, one->bytes}) || one->version == version{}) return;
      at_most = version{one->version.value - 1};
    }
  }
};

struct goes_on_with_another_aggregates_snapshots : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    bool more = true;
    const auto hand_on = [&](const snapshot_view& one) { return more = visit(one); };
    wrong_snapshots::read_newest_first(stream, at_most, hand_on);
    if (more && stream.id == "2") wrong_snapshots::read_newest_first({stream.category, "1"}, at_most, hand_on);
  }
};

struct leaves_out_the_snapshot_before_any_event : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    bool first = true;
    wrong_snapshots::read_newest_first(stream, at_most, [&](const snapshot_view& one) {
      return (std::exchange(first, false) || one.version > version{}) && visit(one);
    });
  }
};

/// Lists the versions first, and looks for the bytes later.
struct loses_what_a_snapshots_visitor_prunes : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    std::vector<version> there;
    wrong_snapshots::read_newest_first(stream, at_most, [&](const snapshot_view& one) {
      there.push_back(one.version);
      return true;
    });
    for (const auto at : there) {
      const auto one = inner().snapshots().latest(stream, at);
      if (one && one->version == at && !visit({at, one->bytes})) return;
    }
  }
};

struct swallows_what_a_snapshots_visitor_throws : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    try {
      wrong_snapshots::read_newest_first(stream, at_most, visit);
    } catch (const std::exception&) {}
  }
};

struct does_not_stop_for_a_snapshots_visitor : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    wrong_snapshots::read_newest_first(stream, at_most, [&](const snapshot_view& one) { return visit(one), true; });
  }
};

struct keeps_the_first_snapshot_of_a_version : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void save(stream_view stream, version at, std::string_view bytes) override {
    const auto there = latest(stream, at);
    if (!there || there->version != at) wrong_snapshots::save(stream, at, bytes);
  }
};

struct cuts_large_snapshots : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void save(stream_view stream, version at, std::string_view bytes) override {
    wrong_snapshots::save(stream, at, bytes.substr(0, 100'000));
  }
};

// --- opening ---

/// The first `records` of a journal, in a new one.
inline std::shared_ptr<journal> copy_of(const journal& from, std::uint64_t records) {
  const std::shared_ptr<journal> copy = memory_journal();
  from.read_all(position{1}, [&](const record_view& record) {
    if (record.position.value > records) return false;
    std::string frame(4, '\0');
    const auto length = static_cast<std::uint32_t>(record.body.size());
    std::memcpy(frame.data(), &length, sizeof length);
    frame += record.body;
    const addition addition{record.stream, version{record.version.value - 1}, 1, frame};
    const atomic_append append{&addition, 1};
    append_outcome outcome;
    copy->append({&append, 1}, {&outcome, 1});
    return true;
  });
  return copy;
}

/// A store whose journals are all `Wrong` before one right journal.
template <class Wrong>
store_under_test wrong_store() {
  const std::shared_ptr<journal> right = memory_journal();
  return {.open = [right] { return std::make_unique<Wrong>(right); }, .locks_out_others = false};
}

inline store_under_test loses_the_last_record_when_closed() {
  const auto right = std::make_shared<std::shared_ptr<journal>>(memory_journal());
  const auto open = [right] {
    const auto last = (*right)->last().value;
    if (last > 0) *right = copy_of(**right, last - 1);
    return std::make_unique<forwarding_journal>(*right);
  };
  return {.open = open, .locks_out_others = false};
}

inline store_under_test loses_snapshots_when_closed() {
  const auto right = std::make_shared<std::shared_ptr<journal>>(memory_journal());
  const auto open = [right] {
    *right = copy_of(**right, (*right)->last().value);
    return std::make_unique<forwarding_journal>(*right);
  };
  return {.open = open, .locks_out_others = false};
}

inline store_under_test can_be_opened_twice() {
  auto store = wrong_store<forwarding_journal>();
  store.locks_out_others = true;
  return store;
}

/// What holds the lock is in this process's memory.
inline store_under_test keeps_out_its_own_process_only() {
  const std::shared_ptr<journal> right = memory_journal();
  const auto holder = std::make_shared<std::weak_ptr<journal>>();
  const auto open = [right, holder] {
    if (!holder->expired()) throw error(errc::store_in_use, "open in this or another process");
    const std::shared_ptr<journal> lock = std::make_shared<forwarding_journal>(right);
    *holder = lock;
    return std::make_unique<forwarding_journal>(lock);
  };
  return {.open = open};
}

/// Each by what is wrong with it.
inline const std::map<std::string, std::function<store_under_test()>>& wrong_journals() {
  static const std::map<std::string, std::function<store_under_test()>> all{
      {"answers a repeat as if it were new", wrong_store<answers_a_repeat_as_if_it_were_new>},
      {"can be opened twice", can_be_opened_twice},
      {"cuts bytes at a zero", wrong_store<cuts_bytes_at_a_zero>},
      {"cuts large snapshots", wrong_store<cuts_large_snapshots>},
      {"does not recognise a repeat", wrong_store<does_not_recognise_a_repeat>},
      {"does not stop for a snapshot's visitor", wrong_store<does_not_stop_for_a_snapshots_visitor>},
      {"does not stop for its visitor", wrong_store<does_not_stop_for_its_visitor>},
      {"finds snapshots beyond what was asked", wrong_store<finds_snapshots_beyond_what_was_asked>},
      {"forgets the last event of an append", wrong_store<forgets_the_last_event>},
      {"forgets the snapshots below a new one", wrong_store<forgets_the_snapshots_below>},
      {"goes on one position late", wrong_store<goes_on_one_position_late>},
      {"goes on with another aggregate's snapshots", wrong_store<goes_on_with_another_aggregates_snapshots>},
      {"hands out the newest snapshot only", wrong_store<hands_out_the_newest_snapshot_only>},
      {"keeps out its own process only", keeps_out_its_own_process_only},
      {"keeps the beginning of a refused call", wrong_store<keeps_the_beginning_of_a_refused_call>},
      {"keeps the first snapshot of a version", wrong_store<keeps_the_first_snapshot_of_a_version>},
      {"knows aggregates that are unknown", wrong_store<knows_aggregates_that_are_unknown>},
      {"leaves a gap in the positions", wrong_store<leaves_a_gap>},
      {"leaves out the snapshot before any event", wrong_store<leaves_out_the_snapshot_before_any_event>},
      {"loses snapshots when closed", loses_snapshots_when_closed},
      {"loses the last record when closed", loses_the_last_record_when_closed},
      {"loses the limit of a read", wrong_store<loses_the_limit>},
      {"loses the lower bound of a read", wrong_store<loses_the_lower_bound>},
      {"loses the upper bound of a read", wrong_store<loses_the_upper_bound>},
      {"loses what a snapshot's visitor prunes", wrong_store<loses_what_a_snapshots_visitor_prunes>},
      {"makes appends wait for readers", wrong_store<makes_appends_wait_for_readers>},
      {"names the last position of an append", wrong_store<names_the_last_position>},
      {"names the version that was expected", wrong_store<names_the_version_that_was_expected>},
      {"prunes the newest snapshot", wrong_store<prunes_the_newest_snapshot>},
      {"reads beyond the end as it was", wrong_store<reads_beyond_the_end_as_it_was>},
      {"shows snapshots that are saved meanwhile", wrong_store<shows_snapshots_that_are_saved_meanwhile>},
      {"shows the events of an append one by one", wrong_store<shows_the_events_of_an_append_one_by_one>},
      {"stores a repeat twice", wrong_store<stores_a_repeat_twice>},
      {"stores in spite of a conflict", wrong_store<stores_in_spite_of_a_conflict>},
      {"swallows what a snapshot's visitor throws", wrong_store<swallows_what_a_snapshots_visitor_throws>},
      {"swallows what a visitor throws", wrong_store<swallows_what_a_visitor_throws>},
      {"takes a command id for a repeat", wrong_store<takes_a_command_id_for_a_repeat>},
      {"takes a part for a repeat", wrong_store<takes_a_part_for_a_repeat>},
      {"takes no more than 8,192 appends of a call", wrong_store<takes_few_appends>},
      {"takes no more than 8,192 events of an append", wrong_store<takes_few_events>},
      {"takes records out of their turn", wrong_store<takes_records_out_of_their_turn>},
      {"takes the limit 0 for none", wrong_store<takes_the_limit_0_for_none>},
      {"takes what it must refuse", wrong_store<takes_what_it_must_refuse>},
      {"takes what looks alike for a repeat", wrong_store<takes_what_looks_alike_for_a_repeat>},
      {"tears an append over aggregates", wrong_store<tears_an_append_over_aggregates>},
  };
  return all;
}

}  // namespace cairn::tests
