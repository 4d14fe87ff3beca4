// The plain reference journal: every record in one list, and for each aggregate the places of its own.
//
// Read it to learn what a journal does. Nothing here is for speed, and nothing survives the object.
#include <cairn/memory_journal.hpp>

#include "append_check.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace cairn::inline v1 {
namespace {

class memory_snapshots final : public snapshot_store {
public:
  void save(stream_view stream, version at, std::string_view bytes) override {
    const std::lock_guard lock(mutex_);
    kept_[stream_id(stream)][at] = bytes;
  }

  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    const auto there = of(stream);
    for (auto next = there.upper_bound(at_most); next != there.begin();) {
      const auto& [at, bytes] = *--next;
      if (!visit({at, bytes})) return;
    }
  }

  void prune(stream_view stream, std::size_t keep) override {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(stream_id(stream));
    if (found == kept_.end()) return;
    while (found->second.size() > keep) found->second.erase(found->second.begin());
  }

private:
  using by_version = std::map<version, std::string>;

  by_version of(stream_view stream) const {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(stream_id(stream));
    return found == kept_.end() ? by_version{} : found->second;
  }

  mutable std::mutex mutex_;
  std::map<stream_id, by_version> kept_;
};

class memory_store final : public journal {
public:
  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    if (appends.size() != outcomes.size()) throw error(errc::invalid_argument, "append() needs one outcome for each append");
    for (const auto& append : appends) {
      detail::require_sound(append);
      for (const auto& addition : append) detail::for_each_frame(addition, [](std::string_view, const record_view&) {});
    }
    const std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < appends.size(); ++i) outcomes[i] = append_one(appends[i]);
  }

  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    const auto first = std::max(range.from, version{1});
    for (std::uint64_t number = first.value; number - first.value < range.limit && version{number} <= range.to; ++number) {
      const auto where = find(stream, version{number});
      if (where == position{} || !visit(decode_record(where, body(where)))) return;
    }
  }

  position read_all(position from, const record_visitor& visit) const override {
    from = std::max(from, position{1});
    for (const position end = last(); from <= end;) {
      const position here = from;
      from = from + 1;
      if (!visit(decode_record(here, body(here)))) break;
    }
    return from;
  }

  version highest(stream_view stream) const override {
    const std::lock_guard lock(mutex_);
    return stands(stream);
  }

  position last() const override {
    const std::lock_guard lock(mutex_);
    return position{bodies_.size()};
  }

  snapshot_store& snapshots() override { return snapshots_; }

private:
  append_outcome append_one(atomic_append append) {
    for (const auto& addition : append) {
      const auto stand = stands(addition.stream);
      if (stand == addition.expected) continue;
      const auto first = first_time(append);
      if (first > position{}) return {.stored = true, .first = first, .stands = {}};
      return {.stored = false, .first = {}, .stands = stand};
    }
    const position first{bodies_.size() + 1};
    for (const auto& addition : append) {
      detail::for_each_frame(addition, [&](std::string_view body, const record_view&) {
        bodies_.emplace_back(body);
        places_[stream_id(addition.stream)].push_back(position{bodies_.size()});
      });
    }
    return {.stored = true, .first = first, .stands = {}};
  }

  /// Where the records of a repeated append stand; 0 where it is none.
  position first_time(atomic_append append) const {
    std::vector<std::string_view> repeated;
    bool known = true;
    for (const auto& addition : append) {
      detail::for_each_frame(addition, [&](std::string_view body, const record_view& record) {
        repeated.push_back(body);
        known = known && !record.command_id.empty();
      });
    }
    const auto found = places_.find(stream_id(append.front().stream));
    const auto before = append.front().expected.value;
    if (!known || found == places_.end() || before >= found->second.size()) return {};
    const auto first = found->second[before];
    const auto standing = bodies_.begin() + static_cast<std::ptrdiff_t>(first.value - 1);
    const bool there = repeated.size() <= static_cast<std::size_t>(bodies_.end() - standing) &&
                       std::equal(repeated.begin(), repeated.end(), standing);
    return there ? first : position{};
  }

  version stands(stream_view stream) const {
    const auto found = places_.find(stream_id(stream));
    return version{found == places_.end() ? 0 : found->second.size()};
  }

  position find(stream_view stream, version number) const {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(stream_id(stream));
    if (found == places_.end() || number.value > found->second.size()) return position{};
    return found->second[number.value - 1];
  }

  /// The bytes stay where they are for as long as the journal lives, so a visitor may look at them without the lock.
  std::string_view body(position where) const {
    const std::lock_guard lock(mutex_);
    return bodies_[where.value - 1];
  }

  mutable std::mutex mutex_;
  std::deque<std::string> bodies_;                     // the record at position p is the p-th
  std::map<stream_id, std::vector<position>> places_;  // the record of version v is at the v-th
  memory_snapshots snapshots_;
};

}  // namespace

std::unique_ptr<journal> memory_journal() { return std::make_unique<memory_store>(); }

}  // namespace cairn
