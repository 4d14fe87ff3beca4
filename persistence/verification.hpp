// Reads a whole store and checks all there is to check of it.
#pragma once

#include "progress_report.hpp"
#include "rocksdb_database.hpp"

namespace cairn::detail {

/// rocksdb_store::verify(), documented there.
verification verify_store(const rocksdb_database& database, const verify_options& options, const progress_report::clock& clock);

}  // namespace cairn::detail
