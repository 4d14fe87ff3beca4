// How the parts learn that somebody wants the program to end.
#pragma once

#include <atomic>

namespace simulation {

/// Whether somebody wants the program to end.
using stop_flag = std::atomic<bool>;

/// For those who have nobody to stop them.
inline const stop_flag never_stopped{false};

}  // namespace simulation
