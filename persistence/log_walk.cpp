#include "log_walk.hpp"

namespace cairn::detail {
namespace {

/// What a walk asks the disk for at a time.
constexpr std::size_t readahead_bytes = std::size_t{1} << 20;

}  // namespace

log_walk::log_walk(const rocksdb_database& database) : database_(&database) {
  rocksdb::ReadOptions options;
  options.readahead_size = readahead_bytes;
  options.fill_cache = false;  // a walk through all of it would push out what aggregates are read from
  iterator_.reset(database.db().NewIterator(options, database.log()));
}

bool log_walk::here() const {
  if (iterator_->Valid()) {
    last_key_.assign(iterator_->key().data(), iterator_->key().size());
    return true;
  }
  const auto where =
      last_key_.empty() ? std::string() : " near the chunk at position " + std::to_string(from_log_key(last_key_).value);
  database_->check(iterator_->status(), "read the log" + where);
  return false;
}

bool log_walk::first() {
  iterator_->SeekToFirst();
  return here();
}

bool log_walk::last() {
  iterator_->SeekToLast();
  return here();
}

bool log_walk::next() {
  iterator_->Next();
  return here();
}

bool log_walk::previous() {
  iterator_->Prev();
  return here();
}

bool log_walk::seek(position where) {
  const auto key = log_key(where);
  iterator_->SeekForPrev({key.data(), key.size()});
  return here();
}

}  // namespace cairn::detail
