// All states of a type by one reading of the log, and the state in every snapshot held against what its events make. `cairn
// verify` knows bytes and no types; this is its other half.
#pragma once

#include <cairn/detail/typed_operation.hpp>
#include <cairn/folded_log.hpp>

#include <concepts>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace cairn::inline v1 {

/// A folded_log that also compares the snapshots that are there when an aggregate's first event is read: their states, not the
/// command ids that they keep. Besides all states it holds those of the snapshots, until their last event is folded.
/// Thread safety: as a standard container. The store may be in use meanwhile, by a runtime, too.
template <Aggregate A>
class verified_log {
  struct awaited_snapshot {
    cairn::version version;
    A state;
  };
  using newest_first = std::vector<awaited_snapshot>;

public:
  /// Beside each state are the snapshots that wait for their last event.
  using states_type = folded_log<A, newest_first>;

  verified_log() = default;
  verified_log(verified_log&&) = default;
  verified_log& operator=(verified_log&&) = default;

  /// Folds on as folded_log::catch_up(), with the same `store` each time, and compares each snapshot once its last event is
  /// folded. Two states are the same where their bytes are, in any order, because an unordered container has none; and where they
  /// are equal, if the aggregate has an `operator==`, which sees also what is swapped, or left out of the bytes.
  /// Throws error(errc::corrupt_store), naming the snapshot, where its state is not what the events make: the code that reads or
  /// applies them has changed since, or somebody wrote to the store. Also throws what folded_log::catch_up() and
  /// snapshot_store::read_newest_first() throw. Whatever was thrown, the next call goes on behind it, and looks again for
  /// snapshots that could not be read.
  void catch_up(journal& store, position last = position{std::numeric_limits<std::uint64_t>::max()}) {
    if (first_seen_) check(store, *first_seen_);
    states_.catch_up(store, last, [&](folded& one) {
      if (one.version == version{1}) first_seen_ = &one;
      if (first_seen_ || awaits(one)) check(store, one);
    });
  }

  const states_type& states() const noexcept { return states_; }

  /// How many snapshots have the state that the events make.
  std::uint64_t compared() const noexcept { return compared_; }
  /// How many were not compared because recovery passes them over as well: damaged, of another schema version, or not read back
  /// as they were written. One that is beyond the aggregate's last event waits for that.
  std::uint64_t passed_over() const noexcept { return passed_over_; }

private:
  using folded = typename states_type::folded;

  static bool awaits(const folded& one) { return !one.beside.empty() && one.beside.back().version <= one.version; }

  void check(journal& store, folded& one) {
    if (first_seen_) {
      one.beside = snapshots_of(store, one.id);
      first_seen_ = nullptr;
    }
    std::string fault;
    while (awaits(one)) {
      const auto [at, state] = std::move(one.beside.back());
      one.beside.pop_back();
      if (same(state, at == version{} ? A{} : one.state)) {
        ++compared_;
      } else {
        fault += (fault.empty() ? "" : "; ") + fault_of(one.id, at);
      }
    }
    if (!fault.empty()) throw error(errc::corrupt_store, fault);
  }

  newest_first snapshots_of(journal& store, std::string_view id) {
    const stream_view stream{A::category, id};
    newest_first found;
    std::uint64_t passed_over = 0;
    store.snapshots().read_newest_first(stream, version::max(), [&](const snapshot_view& stored) {
      if (const auto state = actors::state_in_snapshot(stored, actors::type_of<A>)) {
        found.push_back({stored.version, std::move(actors::state_in<A>(*state))});
      } else {
        ++passed_over;
      }
      return true;
    });
    passed_over_ += passed_over;
    return found;
  }

  static std::string fault_of(std::string_view id, version at) {
    return "the snapshot of " + to_string(stream_view{A::category, id}) + " at version " + std::to_string(at.value) +
           " is not what the events up to there make: either the code that reads or applies them was changed without a new "
           "schema_version, or somebody wrote to the store. Find out first which of the two is right. Where the events are, a "
           "new schema_version lets recovery pass the old snapshots over, and cairn rebuild drops them";
  }

  static bool same(const A& one, const A& other) {
    std::string bytes, others;
    cairn::detail::encode(bytes, one);
    cairn::detail::encode(others, other);
    if (!actors::same_bytes_in_any_order(bytes, others)) return false;
    if constexpr (std::equality_comparable<A>) {
      return one == other || (bytes == others && !(one == one));  // what is not equal to itself, as a NaN
    } else {
      return true;
    }
  }

  states_type states_;
  folded* first_seen_ = nullptr;  // whose snapshots are still to be looked for; aggregates stay where they are
  std::uint64_t compared_ = 0;
  std::uint64_t passed_over_ = 0;
};

}  // namespace cairn
