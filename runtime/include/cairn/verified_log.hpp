// All states of a type by one reading of the log, and every snapshot on the way held against it: shows that what recovery starts
// from is what the events make. `cairn verify` knows bytes and no types; this is its other half.
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

/// A folded_log that also compares the snapshots that were there when an aggregate's first event was read.
/// Thread safety: as a standard container. The store may be in use meanwhile, by a runtime, too.
template <Aggregate A>
class verified_log {
public:
  /// Folds on as folded_log::catch_up(), with the same `store` each time, and compares each snapshot once its last event is
  /// folded. States are the same where their bytes or, if there is an `operator==`, that says so; without one the bytes may be in
  /// any order, because an unordered container has none. Throws error(errc::corrupt_store), naming the first snapshot that says
  /// something else than the events do: then `evolve` does not do what it did when the snapshot was taken, or somebody wrote to
  /// it. And what folded_log::catch_up() and snapshot_store::latest() throw.
  void catch_up(journal& store, position last = position{std::numeric_limits<std::uint64_t>::max()}) {
    states_.catch_up(store, last, [&](const folded& one) {
      if (one.version == version{1}) look_for_snapshots(store, one);
      compare(one);
    });
  }

  const folded_log<A>& states() const noexcept { return states_; }

  /// How many snapshots said the same as the events.
  std::uint64_t compared() const noexcept { return compared_; }
  /// How many recovery passes over as well: damaged, of another schema version, or beyond the aggregate's last event.
  std::uint64_t passed_over() const noexcept { return passed_over_; }

private:
  using folded = typename folded_log<A>::folded;
  struct awaited_snapshot {
    cairn::version version;
    A state;
  };

  void look_for_snapshots(journal& store, const folded& one) {
    const stream_view stream{A::category, one.id};
    auto stored = store.snapshots().latest(stream, version::max());
    if (!stored) return;
    // Asked after the newest was read: a snapshot is never saved before its events are durable.
    const auto head = store.highest(stream);
    std::vector<awaited_snapshot> newest_first;
    while (stored) {
      const auto at = stored->version;
      auto [aggregate, why_not] = actors::read_snapshot(*stored, head, actors::type_of<A>, 0);
      if (why_not.empty()) {
        newest_first.push_back({at, std::move(static_cast<actors::hosted<A>&>(*aggregate.state).value)});
      } else {
        ++passed_over_;
      }
      if (at == version{}) break;
      stored = store.snapshots().latest(stream, version{at.value - 1});
    }
    if (!newest_first.empty()) awaited_.emplace(&one, std::move(newest_first));
  }

  void compare(const folded& one) {
    const auto found = awaited_.find(&one);
    if (found == awaited_.end() || found->second.back().version != one.version) return;
    auto& [at, state] = found->second.back();
    if (!same(state, one.state)) {
      throw error(errc::corrupt_store,
                  "the snapshot of " + to_string(stream_view{A::category, one.id}) + " at version " + std::to_string(at.value) +
                      " says something else than its events: either evolve() does not do what it did when the "
                      "snapshot was taken, which asks for a new schema_version, or somebody wrote to it. cairn "
                      "rebuild makes a store of the log alone, without snapshots");
    }
    ++compared_;
    found->second.pop_back();
    if (found->second.empty()) awaited_.erase(found);
  }

  static bool same(const A& one, const A& other) {
    std::string bytes, others;
    codec::encode(bytes, one);
    codec::encode(others, other);
    if (bytes == others) return true;
    if constexpr (std::equality_comparable<A>) {
      return one == other;
    } else {
      return actors::same_bytes_in_any_order(bytes, others);
    }
  }

  folded_log<A> states_;
  std::unordered_map<const folded*, std::vector<awaited_snapshot>> awaited_;  // the aggregates stay where they are
  std::uint64_t compared_ = 0;
  std::uint64_t passed_over_ = 0;
};

}  // namespace cairn
