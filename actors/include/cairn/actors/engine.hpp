// All actors of one runtime behind one object, with CAF out of sight: submit, read, drain.
#pragma once

#include <cairn/actors/context.hpp>
#include <cairn/actors/operation.hpp>

#include <memory>

namespace cairn::actors {

/// Thread safety: every member from any thread, drain() once at a time. Immovable; the destructor drains.
class engine {
public:
  /// Starts the actors. Throws error(errc::invalid_argument), naming the setting, its value and its range.
  engine(std::shared_ptr<journal> store, clock now, warn_function warn, settings bounds);
  ~engine();

  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  /// Hands an operation to its aggregate, which is made if it is not live. Never blocks; there is no bound here.
  void submit(operation_ptr asked);

  /// Runs `job` on a reader. `hash` spreads jobs over the readers.
  void read(std::size_t hash, std::shared_ptr<read_job> job);

  /// Finishes everything that was submitted, leaves a snapshot of each aggregate where `snapshot`, ends all actors and lets go
  /// of the store. Nothing may be submitted or read while it runs or afterwards. A second call does nothing.
  void drain(bool snapshot);

  const counters& stats() const noexcept;

private:
  struct implementation;
  std::unique_ptr<implementation> self_;
};

}  // namespace cairn::actors
