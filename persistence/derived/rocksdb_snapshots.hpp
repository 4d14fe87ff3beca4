// Snapshots in a column family of RocksDB, keyed as the index is.
#pragma once

#include "rocksdb_database.hpp"

#include <cairn/snapshot_store.hpp>

#include <functional>
#include <memory>
#include <optional>

namespace cairn::inline v1::detail {

/// `database` must outlive it. `note_damage` is called before an error says that a snapshot is damaged. `last` returns the
/// position of the log's last record; 0 if it is not known.
std::unique_ptr<snapshot_store> rocksdb_snapshots(rocksdb_database& database, std::function<void()> note_damage,
                                                  std::function<position()> last);

/// How far the log went when the newest snapshot was saved; 0 if there is none. Nothing if that is damaged.
std::optional<position> log_of_snapshots(const rocksdb_database& database);

}  // namespace cairn::detail
