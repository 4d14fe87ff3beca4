// Writes the log as documents, chunk by chunk, and follows the chain on the way.
#pragma once

#include "rocksdb_database.hpp"

namespace cairn::detail {

/// rocksdb_store::export_to(), documented there.
chain_head export_store(const rocksdb_database& database, std::ostream& out, const export_options& options);

/// The first and the last document of an export say who wrote it, and these are the words.
inline constexpr const char* export_name = "cairn export";
inline constexpr std::uint64_t export_version = 1;

}  // namespace cairn::detail
