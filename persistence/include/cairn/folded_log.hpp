// The states of all aggregates of a type at once, by one reading of the log: what a report over everything or a proof needs. For
// one aggregate there is runtime::state(), which reads no more than it must.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/journal.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::inline v1 {

struct nothing_beside {};

/// Every aggregate of type `A` that has events, as the log makes it. All states are held in memory. `A` need not be what decides:
/// any struct with the aggregate's category and events, and an evolve() for each of them, is a projection that catches up when
/// told. Thread safety: as a standard container.
template <Aggregate A, class Beside = nothing_beside>
class folded_log {
public:
  struct folded {
    std::string id;
    A state;
    cairn::version version;               ///< of the last event that is folded
    [[no_unique_address]] Beside beside;  ///< for whoever looks on while it is folded
  };

  /// Folds what `store`, the same each time, has beyond what is folded already, and nothing behind position `last`. Records of
  /// other categories are passed over.
  /// Throws error(errc::unknown_event) where an event cannot be read, error(errc::corrupt_record) where it does not follow its
  /// aggregate's last, and what journal::read_all() throws. What comes before is folded then.
  void catch_up(const journal& store, position last = position{std::numeric_limits<std::uint64_t>::max()}) {
    catch_up(store, last, [](const folded&) {});
  }

  /// The same, and hands each aggregate to `visit` after each of its events. What that throws ends it; the event is folded then.
  template <std::invocable<folded&> Visit>
  void catch_up(const journal& store, position last, Visit visit) {
    store.read_all(through_ + 1, [&](const record_view& record) {
      if (record.position > last) return false;
      folded* one = nullptr;
      if (record.stream.category == std::string_view(A::category)) {
        detail::use_event<A>(record, [&](const auto& event) { one = &add(record, event); });
      }
      through_ = record.position;
      if (one) visit(*one);
      return true;
    });
  }

  /// Every record up to here is folded.
  position through() const noexcept { return through_; }

  std::size_t size() const noexcept { return all_.size(); }
  /// In the order of their first events. Valid until catch_up().
  auto begin() const noexcept { return all_.begin(); }
  auto end() const noexcept { return all_.end(); }

  /// The aggregate of this id, or null where nothing has happened to it. Valid until the folded_log goes.
  const folded* find(std::string_view id) const {
    const auto place = place_of(id);
    return place == nobody ? nullptr : &all_[place];
  }

private:
  // Open addressing: an event costs one look into a table of few bytes, and one at its aggregate.
  static constexpr std::uint32_t nobody = 0xffffffff;
  struct slot {
    std::uint32_t hash = 0;
    std::uint32_t place = nobody;
  };

  folded& add(const record_view& record, const auto& event) {
    const auto place = place_of(record.stream.id);
    const auto before = place == nobody ? version{} : all_[place].version;
    if (record.version != before + 1) {
      throw error(errc::corrupt_record, "position " + std::to_string(record.position.value) + " has version " +
                                            std::to_string(record.version.value) + " of " + to_string(record.stream) +
                                            ", which has " + std::to_string(before.value) + " events before it");
    }
    auto& one = place == nobody ? make(record.stream.id) : all_[place];
    one.state.evolve(event);
    one.version = record.version;
    return one;
  }

  static std::size_t hash(std::string_view id) noexcept { return std::hash<std::string_view>{}(id); }

  std::uint32_t place_of(std::string_view id) const { return slots_.empty() ? nobody : slots_[slot_of(id, hash(id))].place; }

  /// Where `id` is, or the free slot where it belongs.
  std::size_t slot_of(std::string_view id, std::size_t hash) const {
    const auto mask = slots_.size() - 1;
    for (auto at = hash & mask;; at = (at + 1) & mask) {
      const auto& here = slots_[at];
      if (here.place == nobody || (here.hash == static_cast<std::uint32_t>(hash) && all_[here.place].id == id)) return at;
    }
  }

  folded& make(std::string_view id) {
    if (2 * all_.size() >= slots_.size()) grow();
    all_.push_back({std::string(id), A{}, {}, {}});
    const auto known = hash(id);
    slots_[slot_of(id, known)] = {static_cast<std::uint32_t>(known), static_cast<std::uint32_t>(all_.size() - 1)};
    return all_.back();
  }

  void grow() {
    slots_.assign(std::max<std::size_t>(64, 2 * slots_.size()), {});
    for (std::uint32_t place = 0; place < all_.size(); ++place) {
      const auto known = hash(all_[place].id);
      slots_[slot_of(all_[place].id, known)] = {static_cast<std::uint32_t>(known), place};
    }
  }

  std::vector<slot> slots_;
  std::deque<folded> all_;
  position through_;
};

}  // namespace cairn
