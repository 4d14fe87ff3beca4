// What every store demands of an append before it looks at versions.
#pragma once

#include <cairn/journal.hpp>

namespace cairn::detail {

/// Throws error(errc::invalid_argument) where an append names one aggregate twice: which of the two would come first?
inline void require_different_aggregates(atomic_append append) {
  for (std::size_t one = 1; one < append.size(); ++one) {
    for (std::size_t other = 0; other < one; ++other) {
      if (append[one].stream == append[other].stream) {
        throw error(errc::invalid_argument, "one append names " + to_string(append[one].stream) + " twice");
      }
    }
  }
}

}  // namespace cairn::detail
