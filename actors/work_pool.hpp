// The threads that run the aggregates and the directories: a scheduler for CAF with one queue that all of them share.
//
// As CAF's own policy `sharing`, with less work for each turn of an actor. A worker takes several actors at once where many are
// ready, gives back all that one turn made ready at once, and wakes only workers that sleep. CAF's own worker also looks up,
// before and after each turn, what only its logger wants to know, and cairn's logs nothing.
#pragma once

#include <caf/detail/thread_safe_actor_clock.hpp>
#include <caf/execution_unit.hpp>
#include <caf/resumable.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

namespace cairn::actors {

/// Given to a CAF actor system as its scheduler module. Takes the number of its threads and the messages of one turn from the
/// system's configuration.
class work_pool final : public caf::scheduler::abstract_coordinator {
public:
  explicit work_pool(caf::actor_system& system) : caf::scheduler::abstract_coordinator(system) {}

  void enqueue(caf::resumable* ready) override { put({&ready, 1}); }
  caf::actor_clock& clock() noexcept override { return clock_; }

protected:
  void start() override;
  void stop() override;

private:
  class worker;

  void put(std::span<caf::resumable* const> ready);
  /// Waits until there is something to do. Takes nothing where the pool stops and all is done.
  void take(std::vector<caf::resumable*>& into);

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<caf::resumable*> queue_;  // each holds a reference
  std::size_t sleeping_ = 0;
  bool stopping_ = false;
  caf::detail::thread_safe_actor_clock clock_;
  std::vector<std::thread> threads_;
};

}  // namespace cairn::actors
