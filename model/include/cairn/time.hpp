// Moments, and where they come from. Nothing in cairn reads the wall clock by itself: a clock is passed in.
#pragma once

#include <chrono>
#include <functional>
#include <string>

namespace cairn::inline v1 {

/// A moment in UTC, in microseconds.
using timestamp = std::chrono::sys_time<std::chrono::microseconds>;

/// Says what time it is. Called from many threads at once; may stand still, and may go backwards (the runtime never lets
/// recorded-at fall within an aggregate).
using clock = std::function<timestamp()>;

/// The machine's clock.
timestamp system_now();

/// ISO 8601 with microseconds: "2010-12-01T08:26:00.000000Z".
std::string to_string(timestamp moment);

}  // namespace cairn
