// Write-ahead logs that have their space before they are written.
//
// A sync of a file that grows waits for more than its bytes: the file system also has to write down how long the file is now, and
// where. A sync of blocks that are there already waits for the bytes alone, in half the time. So while a store is busy, the next
// log is made ready in the background, as a file of zeros, and RocksDB then writes over it.
// docs/decisions/0007-logs-have-their-space-first.md has the reasons, and what this means for what a power cut may leave.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace rocksdb {
class Env;
}

namespace cairn::detail {

/// An environment for RocksDB, over `base`, in which the logs of the store in `folder` are prepared: when one is half full, the
/// next is made, of `log_bytes` and an eighth. Where that fails, or is late, the next log is an ordinary one.
/// Must be destroyed after the store, and before `base`. Thread safety: as any environment of RocksDB.
std::shared_ptr<rocksdb::Env> with_prepared_logs(rocksdb::Env& base, const std::string& folder, std::uint64_t log_bytes);

/// The file that is to become the next log of the store in `folder`. Without meaning after a crash.
std::string prepared_log(const std::string& folder);

}  // namespace cairn::detail
