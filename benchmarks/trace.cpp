#include "trace.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>

namespace cairn::benchmarks {

void watching_journal::append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) {
  if (!watches_) return forwarding_journal::append(appends, outcomes);
  const auto began = steady::now();
  forwarding_journal::append(appends, outcomes);
  const auto ended = steady::now();
  const std::lock_guard lock(mutex_);
  if (!watches_) return;
  commits_.push_back({began, ended});
  for (const auto& append : appends) {
    for (const auto& one : append) {
      std::uint32_t product = 0;
      std::from_chars(one.stream.id.data(), one.stream.id.data() + one.stream.id.size(), product);
      entries_.push_back({product, static_cast<std::uint32_t>(commits_.size() - 1), (one.expected + one.events).value});
    }
  }
}

void watching_journal::begin(std::size_t events_expected) {
  const std::lock_guard lock(mutex_);
  commits_.clear();
  commits_.reserve(events_expected / 16);
  entries_.clear();
  entries_.reserve(events_expected);
  watches_ = true;
}

void watching_journal::end() {
  const std::lock_guard lock(mutex_);
  watches_ = false;
  std::sort(entries_.begin(), entries_.end(), [](const entry& left, const entry& right) { return left.key() < right.key(); });
}

const watching_journal::commit& watching_journal::commit_of(std::size_t product, version made) const {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), std::pair<std::size_t, std::uint64_t>(product, made.value),
                       [](const entry& one, const auto& wanted) { return one.key() < wanted; });
  return commits_.at(found->commit);
}

part_times times_of(const waypoints& one, const watching_journal::commit& commit) {
  const std::array<steady::time_point, parts + 1> at{one.due,      one.asked,       one.decided, commit.began,
                                                     commit.ended, one.handed_over, one.told};
  part_times took{};
  for (std::size_t place = 0; place < parts; ++place) {
    took[place] = std::chrono::duration<double>(at[place + 1] - at[place]).count();
  }
  return took;
}

part_times means_of_slowest(std::vector<part_times> commands, double share) {
  const auto whole = [](const part_times& one) { return std::accumulate(one.begin(), one.end(), 0.0); };
  std::sort(commands.begin(), commands.end(),
            [&](const part_times& left, const part_times& right) { return whole(left) > whole(right); });
  const auto slowest = std::min(commands.size(), static_cast<std::size_t>(share * static_cast<double>(commands.size())) + 1);
  part_times means{};
  for (std::size_t place = 0; place < slowest; ++place) {
    for (std::size_t part = 0; part < parts; ++part) means[part] += commands[place][part] / static_cast<double>(slowest);
  }
  return means;
}

}  // namespace cairn::benchmarks
