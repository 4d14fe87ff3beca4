// verify_store() for a store that an import is making.
#pragma once

#include <cairn/maintenance.hpp>

#include <filesystem>

namespace cairn::inline v1::detail {

/// verify_store(), but of a folder that has the file `unfinished`.
verification verify_unfinished_store(const std::filesystem::path& folder, const progress_function& progress);

}  // namespace cairn::detail
