#include "context.hpp"

#include <algorithm>

namespace cairn::inline v1::actors {

void journal_health::note_failure(errc code, const std::string& detail, timestamp now) {
  const std::lock_guard lock(mutex_);
  last_failure_ = outcome::failed(code, detail);
  last_try_ = now;
  failures_.fetch_add(1, std::memory_order_relaxed);
}

std::optional<outcome> journal_health::refusal_while_failing(timestamp now, const settings& bounds) {
  const std::lock_guard lock(mutex_);
  const auto doublings = std::min(failures_.load(std::memory_order_relaxed) - tolerated_failures, 16U);
  const auto pause = std::min(bounds.recovery_retry_min * (1U << doublings), bounds.recovery_retry_max);
  if (now >= last_try_ + pause || now < last_try_) {
    last_try_ = now;
    return std::nullopt;
  }
  return outcome::failed(last_failure_.code, "not tried, because the last appends failed: " + last_failure_.text);
}

std::shared_ptr<void> shared_context::room_for_snapshot(std::size_t bytes) {
  const auto before = snapshot_bytes->fetch_add(bytes, std::memory_order_relaxed);
  std::shared_ptr<void> room(snapshot_bytes.get(), [taken = snapshot_bytes, bytes](void*) { taken->fetch_sub(bytes); });
  if (before == 0 || before + bytes <= snapshot_bytes_max) return room;
  stats.skipped_snapshots.fetch_add(1, std::memory_order_relaxed);
  return nullptr;
}

}  // namespace cairn::actors
