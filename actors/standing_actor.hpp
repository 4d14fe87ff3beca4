// What the standing actors have in common: none of them may die alone.
#pragma once

#include "operation.hpp"

#include <caf/scheduled_actor.hpp>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace cairn::inline v1::actors {

/// What a store, an aggregate or the user's code throws is caught where it is called; what comes here (no memory for a message,
/// say) would leave a runtime that never answers again. So the process ends, loudly: all that it has acknowledged is in the
/// journal, and a restart goes on from there. Called while the exception is handled.
[[noreturn]] inline void end_process_of(const char* name) noexcept {
  std::fprintf(stderr, "%s cannot go on, and ends the process: %s\n", name, current_failure(errc::abandoned).detail.c_str());
  std::abort();
}

/// The same as the standing actors' exception handler.
inline caf::error end_process(caf::scheduled_actor* self, std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (...) { end_process_of(self->name()); }
}

}  // namespace cairn::actors
