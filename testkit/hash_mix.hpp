// One hash of several.
#pragma once

#include <cstddef>

namespace cairn::inline v1::testkit::detail {

inline std::size_t mix(std::size_t hash, std::size_t more) {
  hash = (hash ^ more) * 0x9e3779b97f4a7c15ULL;
  return hash ^ hash >> 32;
}

}  // namespace cairn::testkit::detail
