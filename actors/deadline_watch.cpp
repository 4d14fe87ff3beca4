#include "deadline_watch.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace cairn::inline v1::actors {
namespace {

constexpr std::chrono::milliseconds looks_apart_max{100};
/// Completed at once; more come in the next round.
constexpr std::size_t expired_at_once = 256;

}  // namespace

void deadline_watch::add(operation& asked) {
  const auto& options = asked.options();
  if (!options.deadline || (!options.command_id.empty() && *options.deadline < now_())) return;
  auto& known = asked.watch(*this, *options.deadline);
  const std::lock_guard lock(mutex_);
  deadlines_.insert(deadlines_.end(), known);
  if (&*deadlines_.begin() == &known) changed_.notify_one();
}

void deadline_watch::remove(watched_deadline& known) noexcept {
  const std::lock_guard lock(mutex_);
  if (known.is_linked()) deadlines_.erase(deadlines_.iterator_to(known));
}

void deadline_watch::expire() noexcept {
  const auto now = now_();
  std::array<operation_ptr, expired_at_once> passed;
  for (auto taken = passed.size(); taken == passed.size();) {
    {
      const std::lock_guard lock(mutex_);
      for (taken = 0; taken < passed.size() && !deadlines_.empty() && deadlines_.begin()->deadline < now; ++taken) {
        auto& first = *deadlines_.begin();
        deadlines_.erase(deadlines_.begin());
        passed[taken] = first.self.share_if_alive();  // without a share it is being abandoned, and told so
      }
    }
    for (auto& asked : passed) {
      if (asked) asked->expire();
      asked = {};
    }
  }
}

std::optional<timestamp> deadline_watch::next() const {
  const std::lock_guard lock(mutex_);
  return deadlines_.empty() ? std::nullopt : std::optional(deadlines_.begin()->deadline);
}

void deadline_watch::start() {
  thread_ = std::thread([this] { run(); });
}

void deadline_watch::stop() noexcept {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void deadline_watch::run() noexcept {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (deadlines_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto now = now_();
    const auto next = std::min(deadlines_.begin()->deadline, now + looks_apart_max);
    if (next >= now) {
      changed_.wait_for(lock, next - now + std::chrono::microseconds{1});
      continue;
    }
    lock.unlock();
    expire();
    lock.lock();
  }
}

}  // namespace cairn::actors
