// How long work on a store tells how far it has come.
#pragma once

#include <cstdint>
#include <functional>

namespace cairn::inline v1 {

/// Told how far long work has come, in records, at most a few times a second and from the second second on; then once more at
/// its end. `of` may be exceeded by what is appended meanwhile, and is 0 where nobody knows it. What it throws ends the work and
/// comes out of it.
using progress_function = std::function<void(std::uint64_t done, std::uint64_t of)>;

}  // namespace cairn
