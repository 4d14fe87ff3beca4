// All actors of one runtime behind one object, with CAF out of sight: submit, read, drain.
#pragma once

#include "context.hpp"
#include "operation.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

namespace cairn::inline v1::actors {

/// Thread safety: every member from any thread, drain() once at a time. Immovable; the destructor drains.
class engine {
public:
  engine() = default;
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;
  virtual ~engine() = default;

  /// Watches the deadline of an operation, if it has one, from here until it is completed. Before anything else is done with it.
  virtual void watch(operation& asked) = 0;

  /// Hands an operation to its aggregate, which is made if it is not live. Never blocks; there is no bound here.
  virtual void submit(operation_ptr asked) = 0;

  /// The same for several at once, at least one, in as few messages as may be. Those of one aggregate come to it in their order.
  virtual void submit_many(std::vector<operation_ptr> asked) = 0;

  /// Lets a reader run operation::read(), and completes the operation.
  virtual void read(operation_ptr asked) = 0;

  /// Finishes everything that was submitted, leaves a snapshot of each aggregate where `snapshot`, ends all actors and lets go
  /// of the store. Nothing may be submitted or read while it runs or afterwards, not even an empty list: the engine takes no lock
  /// against that. A second call does nothing.
  virtual void drain(bool snapshot) = 0;

  virtual const counters& stats() const noexcept = 0;
  /// The position of the last durable record.
  virtual position head() const noexcept = 0;

  /// False where the actors have no threads of their own and go on only by make_progress(): the testkit steps them. Whoever waits
  /// for them then does so by calling that, on the one thread that calls anything here.
  virtual bool has_threads() const noexcept { return true; }
  /// Whether an actor is running on the calling thread, or the thread is one of the actors' own: it cannot
  /// wait for the drain, which waits for it.
  virtual bool runs_this_thread() const noexcept = 0;
  /// Lets such actors do the next thing that there is to do. Throws std::logic_error where there is none.
  virtual void make_progress() {}
};

/// What an engine is made of. Without a store nothing is kept, and commands are acknowledged at once.
struct engine_parts {
  std::shared_ptr<journal> store;
  clock now = system_now;
  warn_function warn;
  settings bounds;
  /// Submits a read again that waited for another record: see operation::waits_beyond(). From any thread.
  std::function<void(operation_ptr)> resume_read = {};
};

/// Whether the calling thread is one of the threads of any engine.
bool is_engine_thread() noexcept;

/// The actors on their threads, started. Throws as checked() does.
std::unique_ptr<engine> threaded_engine(engine_parts parts);

}  // namespace cairn::actors
