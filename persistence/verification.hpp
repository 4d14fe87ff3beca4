// Reads a whole store and checks all there is to check of it.
#pragma once

#include "rocksdb_database.hpp"

namespace cairn::detail {

/// rocksdb_store::verify(), documented there.
verification verify_store(const rocksdb_database& database, const verify_options& options);

}  // namespace cairn::detail
