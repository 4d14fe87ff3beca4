// The threads that run the aggregates and the directories: a scheduler for CAF.
//
// Actors made ready from outside wait in one queue that all workers share. Those that an actor makes ready wait for the worker it
// ran on, whose cache still holds the messages that they got; a worker that has nothing else to do takes them all the same. A
// worker takes several actors at once if many are ready, and another one that has nothing to do takes these from it. It gives
// back all that one turn made ready at once, or each at once if others sleep, and wakes only workers that sleep. CAF's own worker
// also looks up, before and after each turn, what only its logger wants to know, and cairn's logs nothing.
#pragma once

#include <caf/detail/thread_safe_actor_clock.hpp>
#include <caf/execution_unit.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace cairn::inline v1::actors {

/// Given to a CAF actor system as its scheduler module. Takes the number of its threads and the messages of one turn from the
/// system's configuration.
class work_pool final : public caf::scheduler::abstract_coordinator {
public:
  explicit work_pool(caf::actor_system& system);
  ~work_pool() override;

  void enqueue(caf::resumable* ready) override { put({&ready, 1}, shared_); }
  caf::actor_clock& clock() noexcept override { return clock_; }

  /// Gathers what a thread from outside makes ready, and hands all of it to the pool at its end.
  class made_ready final : public caf::execution_unit {
  public:
    explicit made_ready(work_pool& pool) : caf::execution_unit(&pool.system()), pool_(pool) {}
    ~made_ready() override {
      if (!ready_.empty()) pool_.put(ready_, pool_.shared_);
    }
    void exec_later(caf::resumable* ready) override { ready_.push_back(ready); }

  private:
    work_pool& pool_;
    std::vector<caf::resumable*> ready_;
  };

protected:
  void start() override;
  void stop() override;

private:
  class worker;
  using ready_queue = std::deque<caf::resumable*>;  // each holds a reference

  void put(std::span<caf::resumable* const> ready, ready_queue& into);
  /// Waits until there is something to do, and gives it to the worker. Returns whether there is: not if the pool stops and all is
  /// done.
  bool take(worker& into);
  /// An actor that a worker has taken and not begun. Null if there is none.
  caf::resumable* steal();
  /// Null where there is nothing to do.
  ready_queue* next_queue(ready_queue& own);

  std::mutex mutex_;
  std::condition_variable ready_;
  ready_queue shared_;
  std::vector<ready_queue> own_;  // of each worker
  std::vector<std::unique_ptr<worker>> workers_;
  std::atomic<std::size_t> sleeping_ = 0;  // changes under the lock
  bool stopping_ = false;
  caf::detail::thread_safe_actor_clock clock_;
  std::vector<std::thread> threads_;
  std::thread clock_thread_;
};

}  // namespace cairn::actors
