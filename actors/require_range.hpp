// The check of an option's range, with one sentence for all options.
#pragma once

#include <cairn/error.hpp>

#include <string>

namespace cairn::inline v1::actors {

/// Throws error(errc::invalid_argument), naming the option, its value and its range, if the value is outside.
template <class T>
void require_range(const char* name, T value, T least, T most) {
  if (value >= least && value <= most) return;
  throw error(errc::invalid_argument, std::string(name) + " is " + std::to_string(value) + ", and must be from " +
                                          std::to_string(least) + " to " + std::to_string(most));
}

}  // namespace cairn::actors
