#include "exit_drain.hpp"

#include "../actors/engine.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdlib>
#include <list>
#include <mutex>
#include <new>
#include <thread>
#include <unistd.h>
#include <utility>

namespace cairn::inline v1::detail {

struct exit_drain::entry {
  std::function<void()> drain;
  std::size_t registration;
  ::pid_t process;          // a forked child has none of the threads, and must not wait for them
  std::thread::id busy_on;  // the thread that drains or destroys the runtime; none: no thread
};

class exit_drain::entries {
public:
  static entries& all() {
    static auto& instance = *new entries;  // outlives any static runtime
    return instance;
  }

  entry* add(std::function<void()> drain) {
    const std::lock_guard lock(mutex_);
    // exit() calls its functions and the destructors of static objects in one sequence, newest first. So each
    // runtime needs a registration: that of an older runtime would come too late.
    if (std::atexit([] { all().drain_next(); }) != 0) throw std::bad_alloc();
    living_.push_back({std::move(drain), ++registrations_, ::getpid(), {}});
    return &living_.back();
  }

  void begin_destruction(entry& one) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return one.busy_on == std::thread::id(); });
    one.busy_on = std::this_thread::get_id();
    one.drain = nullptr;
  }

  void remove(const entry& ended) {
    const std::lock_guard lock(mutex_);
    living_.remove_if([&](const entry& one) { return &one == &ended; });
    changed_.notify_all();
  }

  /// At exit, all runtimes are drained before what exists now is destroyed.
  void add_all() {
    const auto drain_all = [] {
      std::unique_lock lock(all().mutex_);
      all().drain_since(0, lock);
    };
    if (std::atexit(drain_all) != 0) throw std::bad_alloc();
  }

private:
  // All since the newest registration: usually one runtime.
  void drain_next() {
    std::unique_lock lock(mutex_);
    drain_since(registrations_--, lock);
  }

  void drain_since(std::size_t from, std::unique_lock<std::mutex>& lock) {
    const auto is_next = [&](const entry& one) {
      return one.registration >= from && one.process == ::getpid() && one.busy_on != std::this_thread::get_id() &&
             (one.drain || one.busy_on != std::thread::id());
    };
    for (;;) {
      auto next = living_.rbegin();
      while (next != living_.rend() && !is_next(*next)) ++next;
      if (next == living_.rend()) return;
      if (next->busy_on != std::thread::id()) {
        if (actors::is_engine_thread()) return;  // the other thread may be waiting for this one
        changed_.wait(lock);
        continue;
      }
      next->busy_on = std::this_thread::get_id();
      const auto drain = std::exchange(next->drain, nullptr);
      lock.unlock();
      drain();
      lock.lock();
      next->busy_on = {};
      changed_.notify_all();
    }
  }

  std::mutex mutex_;  // for all below
  std::condition_variable changed_;
  std::list<entry> living_;  // oldest first
  std::size_t registrations_ = 0;
};

exit_drain::exit_drain(std::function<void()> drain) : entry_(entries::all().add(std::move(drain))) {}

void exit_drain::before_what_exists_now() { entries::all().add_all(); }

exit_drain::~exit_drain() { entries::all().remove(*entry_); }

void exit_drain::begin_destruction() { entries::all().begin_destruction(*entry_); }

}  // namespace cairn::detail
