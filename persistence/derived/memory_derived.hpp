// Index and snapshots in memory, for tests and the simulation: what they keep outlives the store, as files would.
#pragma once

#include "index_storage.hpp"

#include <map>
#include <memory>
#include <string>

namespace cairn::inline v1::detail {

/// What a disk would keep. A generation is kept whole or not at all.
using index_pairs = std::map<std::string, std::string, std::less<>>;

/// `pairs` must outlive the storage.
std::unique_ptr<index_storage> memory_index_storage(index_pairs& pairs);

}  // namespace cairn::detail
