// Goes through the log's chunks as they stand: what reading everything, opening, verifying and exporting have in common.
//
// Checks nothing beyond what chunk_reader checks; what must follow what is its user's affair.
#pragma once

#include "log_chunk.hpp"
#include "rocksdb_database.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace cairn::detail {

/// Sees the log as it was when the walk was made. One thread at a time. Must end before the database does.
/// Throws error(errc::corrupt_record) or error(errc::journal_unavailable) where the log cannot be read.
class log_walk {
public:
  explicit log_walk(const rocksdb_database& database);

  /// Each goes to a chunk, and says whether there is one.
  bool first();
  bool last();
  bool next();
  bool previous();
  /// The last chunk that begins at `where` or before it.
  bool seek(position where);

  /// The chunk's bytes live until the walk goes on.
  std::string_view key() const { return view(iterator_->key()); }
  std::string_view value() const { return view(iterator_->value()); }
  chunk_reader chunk() const { return {key(), value()}; }

private:
  bool here() const;

  const rocksdb_database* database_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
  mutable std::string last_key_;  // of the last chunk that could be read, to say where one could not
};

}  // namespace cairn::detail
