#include "durable_head.hpp"

#include <algorithm>
#include <utility>

namespace cairn::inline v1::actors {

void end_subscription_read(operation_ptr read) noexcept {
  read->complete(outcome::failed(errc::draining, "the subscription ends here"));
}

// The journal stores the position and then looks for reads that wait; wait_beyond() adds a read and then looks at the position.
// Both are sequentially consistent, so one of the two sees the other.
void durable_head::resume_waiting() noexcept {
  if (waiting_count_.load() == 0) return;
  std::vector<operation_ptr> ready;
  {
    const std::lock_guard lock(mutex_);
    ready = take_ready();
  }
  resume(std::move(ready));
}

// A completed read is destroyed here, without the lock: a handler may go with it.
void durable_head::resume(std::vector<operation_ptr> ready) noexcept {
  for (auto& read : ready) {
    if (!read->completed()) resume_(std::move(read));
  }
}

void durable_head::wait_beyond(position beyond, operation_ptr read) noexcept {
  // Its place is given up last: a drain that waits for it may then end the actors.
  auto* const keeper = std::exchange(read->admitted_by, nullptr);
  std::vector<operation_ptr> ready;
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      waiting_.push_back({beyond, std::move(read)});
      waiting_count_.store(waiting_.size());
      if (beyond < last() || waiting_.size() >= look_through_at_) ready = take_ready();
    }
  }
  if (read) end_subscription_read(std::move(read));
  resume(std::move(ready));
  if (keeper) keeper->leave();
}

std::vector<operation_ptr> durable_head::take_ready() {
  std::vector<operation_ptr> ready;
  const auto last = this->last();
  std::erase_if(waiting_, [&](waiting_read& one) {
    if (!one.read->completed() && one.beyond >= last) return false;
    ready.push_back(std::move(one.read));
    return true;
  });
  waiting_count_.store(waiting_.size());
  look_through_at_ = 2 * waiting_.size() + few;
  return ready;
}

void durable_head::close() noexcept {
  std::vector<waiting_read> ended;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    ended.swap(waiting_);
    waiting_count_.store(0);
  }
  for (auto& one : ended) end_subscription_read(std::move(one.read));
}

}  // namespace cairn::actors
