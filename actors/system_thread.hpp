// A CAF actor system on a thread that belongs to it alone.
//
// CAF 0.17 stores a reference to the system's logger in a thread-local variable of each thread that makes a
// system or spawns an actor, and ~actor_system waits until the last of these references is released. On a
// thread of the application that is wrong twice: if another thread destroys the system, the destructor waits
// until the first thread ends; and at exit, thread-local variables are destroyed before static objects, so
// the destructor of a static system would release its reference a second time. Here only the system's own
// thread makes the system, spawns the system actors and destroys the system.
#pragma once

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>

#include <functional>
#include <latch>
#include <thread>

namespace cairn::inline v1::actors {

/// Thread safety: any thread may create and destroy it, except a thread of the system itself. Immovable.
class system_thread {
public:
  /// Makes the system, then calls `set_up` with it, both on the new thread. Returns when both are done, and
  /// rethrows what either throws. `set_up` spawns the actors that live as long as the system: no other thread
  /// may call spawn(). `config` must outlive this object.
  system_thread(caf::actor_system_config& config, const std::function<void(caf::actor_system&)>& set_up);
  /// Destroys the system, which waits for its actors, and ends the thread.
  ~system_thread();
  system_thread(const system_thread&) = delete;
  system_thread& operator=(const system_thread&) = delete;

  caf::actor_system& operator*() const noexcept { return *system_; }
  caf::actor_system* operator->() const noexcept { return system_; }

  /// Whether the calling thread is a thread that the system started: a worker, its clock or the thread of a
  /// detached actor.
  bool runs_this_thread() const noexcept;
  /// The same of any system.
  static bool any_runs_this_thread() noexcept;

private:
  caf::actor_system* system_ = nullptr;
  std::latch end_{1};
  std::thread thread_;
};

}  // namespace cairn::actors
