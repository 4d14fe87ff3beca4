#include "pending_answers.hpp"

#include <algorithm>
#include <thread>

namespace cairn::inline v1::actors {

void pending_answers::hold(operation_ptr asked, version after) {
  std::unique_lock lock(mutex_);
  asked->after = after;
  waiting_.push(std::move(asked));
  if (after <= durable()) answer_ready(lock);
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

operation_queue pending_answers::take_ready() {
  operation_queue ready;
  while (!waiting_.empty() && waiting_.front().after <= durable()) ready.push(waiting_.pop());
  return ready;
}

// The lock is not held while answers are given, and another thread may find the next ones ready meanwhile. It leaves them to
// whoever is at it, or they would overtake.
void pending_answers::answer_ready(std::unique_lock<std::mutex>& lock) {
  if (answering_) return;
  answering_ = true;
  for (auto ready = take_ready(); !ready.empty(); ready = take_ready()) {
    lock.unlock();
    while (!ready.empty()) operation::complete(ready.pop());
    lock.lock();
  }
  answering_ = false;
}

bool pending_answers::note_result(std::uint32_t appends, version through) {
  appends_in_flight_ -= std::min(appends_in_flight_, appends);
  if (through <= durable()) return false;
  durable_.store(through.value, std::memory_order_release);
  return true;
}

void pending_answers::settle(std::uint32_t appends, version through) {
  std::unique_lock lock(mutex_);
  note_result(appends, through);
  answer_ready(lock);
}

pending_answers::settled pending_answers::settle_for_journal(std::uint64_t incarnation, std::uint32_t appends, version through) {
  std::unique_lock lock(mutex_);
  if (incarnation != incarnation_) return {.by_aggregate = true, .wanted = true};
  settled found{.wanted = results_wanted_};
  if (!note_result(appends, through) || answering_) return found;  // whoever is at it takes these as well
  auto ready = take_ready();
  if (ready.empty()) return found;
  found.handing_over = answering_ = true;
  lock.unlock();
  while (!ready.empty()) operation::complete(ready.pop());
  return found;
}

bool pending_answers::handed_over() {
  const std::lock_guard lock(mutex_);
  answering_ = false;
  return !waiting_.empty() && waiting_.front().after <= durable();
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
  std::unique_lock lock(mutex_);
  // The next incarnation's answers must not overtake those that the journal is giving. It waits for nobody meanwhile.
  while (answering_) {
    lock.unlock();
    std::this_thread::yield();
    lock.lock();
  }
  return waiting_.empty() && appends_in_flight_ == 0;
}

void pending_answers::fail(const outcome& failure, std::uint64_t next_incarnation) {
  std::unique_lock lock(mutex_);
  incarnation_ = next_incarnation;
  results_wanted_ = true;
  waiting_.for_each([&](operation& one) {
    one.after = {};
    one.held = outcome::failed(failure.code, failure.text);
    one.held.version = failure.version;
  });
  answer_ready(lock);
}

void pending_answers::recovered_at(version durable) {
  const std::lock_guard lock(mutex_);
  durable_.store(durable.value, std::memory_order_release);
  results_wanted_ = false;
}

void pending_answers::abandon() {
  operation_queue abandoned;
  {
    const std::lock_guard lock(mutex_);
    std::swap(abandoned, waiting_);
  }
}

}  // namespace cairn::actors
