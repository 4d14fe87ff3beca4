#include <cairn/actors/pending_answers.hpp>

#include <algorithm>

namespace cairn::actors {
namespace {

void answer_all(operation_queue answered) {
  while (!answered.empty()) operation::complete(answered.pop());
}

}  // namespace

void pending_answers::hold(operation_ptr asked, version after) {
  {
    const std::lock_guard lock(mutex_);
    if (after > durable()) {
      asked->after = after;
      return waiting_.push(std::move(asked));
    }
  }
  operation::complete(std::move(asked));
}

bool pending_answers::begin_append(std::uint32_t most) {
  const std::lock_guard lock(mutex_);
  if (appends_in_flight_ < most) {
    ++appends_in_flight_;
    return true;
  }
  results_wanted_ = true;
  return false;
}

operation_queue pending_answers::settle_locked(std::uint32_t appends, version through) {
  appends_in_flight_ -= std::min(appends_in_flight_, appends);
  operation_queue answered;
  if (through <= durable()) return answered;
  durable_.store(through.value, std::memory_order_release);
  while (!waiting_.empty() && waiting_.front().after <= through) answered.push(waiting_.pop());
  return answered;
}

void pending_answers::settle(std::uint32_t appends, version through) {
  std::unique_lock lock(mutex_);
  auto answered = settle_locked(appends, through);
  lock.unlock();
  answer_all(std::move(answered));
}

bool pending_answers::settle_unless_wanted(std::uint64_t incarnation, std::uint32_t appends, version through) {
  std::unique_lock lock(mutex_);
  if (results_wanted_ || incarnation != incarnation_) return false;
  auto answered = settle_locked(appends, through);
  lock.unlock();
  answer_all(std::move(answered));
  return true;
}

void pending_answers::want_results(bool wanted) {
  const std::lock_guard lock(mutex_);
  results_wanted_ = wanted;
}

bool pending_answers::an_append_is_on_its_way() const {
  const std::lock_guard lock(mutex_);
  return appends_in_flight_ > 0;
}

bool pending_answers::all_done() const {
  const std::lock_guard lock(mutex_);
  return waiting_.empty() && appends_in_flight_ == 0;
}

void pending_answers::fail(const outcome& failure, std::uint64_t next_incarnation) {
  std::unique_lock lock(mutex_);
  incarnation_ = next_incarnation;
  results_wanted_ = true;
  auto failed = std::exchange(waiting_, {});
  lock.unlock();
  while (!failed.empty()) failed.pop()->complete(outcome(failure));
}

void pending_answers::recovered_at(version durable) {
  const std::lock_guard lock(mutex_);
  durable_.store(durable.value, std::memory_order_release);
  results_wanted_ = false;
}

void pending_answers::abandon() {
  operation_queue abandoned;
  const std::lock_guard lock(mutex_);
  std::swap(abandoned, waiting_);
}

}  // namespace cairn::actors
