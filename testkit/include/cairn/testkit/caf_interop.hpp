// For those who live in CAF: the actors of a test_runtime as CAF's own handles, and the coordinator that steps them.
#pragma once

#include <cairn/testkit/test_runtime.hpp>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/scheduler/test_coordinator.hpp>

namespace cairn::inline v1::testkit {

/// What they give lives as long as the test_runtime. Messages that are sent to the handles by CAF's own means pass the taps like
/// any others; jobs that are run by the coordinator's own means pass none.
/// A thread that spawns actors in system() must destroy the test_runtime itself, or have ended when another
/// thread does. CAF waits for such a thread, so the destructor aborts instead.
struct caf_interop {
  /// Null where the aggregate is not live.
  static caf::actor handle(test_runtime& world, const address& who);
  static caf::actor_system& system(test_runtime& world);
  static caf::scheduler::test_coordinator& scheduler(test_runtime& world);
};

}  // namespace cairn::testkit
