// All states of a type by one reading of the log, and the state in every snapshot held against what its events make. `cairn
// verify` knows bytes and no types; this is its other half.
#pragma once

#include <cairn/actors/recovery.hpp>
#include <cairn/folded_log.hpp>

#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace cairn {

/// A folded_log that also compares the snapshots that are there when an aggregate's first event is read: their states, not the
/// command ids that they keep. Besides all states it holds those of the snapshots, until their last event is folded.
/// Thread safety: as a standard container. The store may be in use meanwhile, by a runtime, too.
template <Aggregate A>
class verified_log {
public:
  verified_log() = default;
  verified_log(verified_log&&) = default;
  verified_log& operator=(verified_log&&) = default;

  /// Folds on as folded_log::catch_up(), with the same `store` each time, and compares each snapshot once its last event is
  /// folded. Two states are the same where their bytes are, in any order, because an unordered container has none; and where they
  /// are equal, if the aggregate has an `operator==`, which sees also what is swapped, or left out of the bytes. Throws
  /// error(errc::corrupt_store), naming the snapshot, where its state is not what the events make: the code that reads or applies
  /// them has changed since, or somebody wrote to the store. Also throws what folded_log::catch_up(), journal::highest() and
  /// snapshot_store::latest() throw. Whatever was thrown, the next call goes on behind it.
  void catch_up(journal& store, position last = position{std::numeric_limits<std::uint64_t>::max()}) {
    if (first_seen_) check(store, *first_seen_);
    states_.catch_up(store, last, [&](const folded& one) {
      if (one.version == version{1}) first_seen_ = &one;
      check(store, one);
    });
  }

  const folded_log<A>& states() const noexcept { return states_; }

  /// How many snapshots have the state that the events make.
  std::uint64_t compared() const noexcept { return compared_; }
  /// How many were not compared because recovery passes them over as well: damaged, of another schema version, not read back as
  /// they were written, or beyond the aggregate's last event.
  std::uint64_t passed_over() const noexcept { return passed_over_; }

private:
  using folded = typename folded_log<A>::folded;
  struct awaited_snapshot {
    cairn::version version;
    A state;
  };

  void check(journal& store, const folded& one) {
    if (first_seen_) {
      look_for_snapshots(store, one);
      first_seen_ = nullptr;
    }
    const auto found = awaited_.find(&one);
    if (found == awaited_.end()) return;
    std::string fault;
    auto& newest_first = found->second;
    for (; !newest_first.empty() && newest_first.back().version <= one.version; newest_first.pop_back()) {
      const auto& [at, state] = newest_first.back();
      if (same(state, at == version{} ? A{} : one.state)) {
        ++compared_;
      } else {
        fault = fault_of(one.id, at);
      }
    }
    if (newest_first.empty()) awaited_.erase(found);
    if (!fault.empty()) throw error(errc::corrupt_store, fault);
  }

  void look_for_snapshots(journal& store, const folded& one) {
    const stream_view stream{A::category, one.id};
    auto stored = store.snapshots().latest(stream, version::max());
    if (!stored) return;
    // Asked after the newest was read: a snapshot is never saved before its events are durable.
    const auto head = store.highest(stream);
    std::vector<awaited_snapshot> newest_first;
    std::uint64_t passed_over = 0;
    while (stored) {
      const auto at = stored->version;
      auto [aggregate, why_not] = actors::read_snapshot(*stored, head, actors::type_of<A>, 0);
      if (why_not.empty()) {
        newest_first.push_back({at, std::move(static_cast<actors::hosted<A>&>(*aggregate.state).value)});
      } else {
        ++passed_over;
      }
      if (at == version{}) break;
      stored = store.snapshots().latest(stream, version{at.value - 1});
    }
    awaited_.emplace(&one, std::move(newest_first));
    passed_over_ += passed_over;
  }

  static std::string fault_of(std::string_view id, version at) {
    return "the snapshot of " + to_string(stream_view{A::category, id}) + " at version " + std::to_string(at.value) +
           " is not what the events up to there make: either the code that reads or applies them was changed without a new "
           "schema_version, or somebody wrote to the store. Find out first which of the two is right. Where the events are, a "
           "new "
           "schema_version lets recovery pass the old snapshots over, and cairn rebuild drops them";
  }

  static bool same(const A& one, const A& other) {
    std::string bytes, others;
    codec::encode(bytes, one);
    codec::encode(others, other);
    if (!actors::same_bytes_in_any_order(bytes, others)) return false;
    if constexpr (std::equality_comparable<A>) {
      return one == other || (bytes == others && !(one == one));  // what is not equal to itself, as a NaN
    } else {
      return true;
    }
  }

  folded_log<A> states_;
  const folded* first_seen_ = nullptr;  // whose snapshots are still to be looked for
  /// By aggregates of `states_`, which stay where they are, the newest first.
  std::unordered_map<const folded*, std::vector<awaited_snapshot>> awaited_;
  std::uint64_t compared_ = 0;
  std::uint64_t passed_over_ = 0;
};

}  // namespace cairn
