// The part of the index that outlives the process: sorted pairs of bytes (index_run.hpp) and a mark that says how far they go.
//
// Implementations: rocksdb_derived.cpp, and memory_derived.hpp for tests and the simulation.
#pragma once

#include "index_memory.hpp"

#include <cairn/identity.hpp>
#include <cairn/snapshot_store.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::inline v1::detail {

/// Finds an aggregate's runs. Thread safety: one thread at a time.
class run_cursor {
public:
  virtual ~run_cursor() = default;
  /// Goes to the last pair whose key is at most `key`. False if there is none.
  virtual bool seek(std::string_view key) = 0;
  /// Goes to the next pair. False if there is none.
  virtual bool next() = 0;
  /// They live until the cursor moves.
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
};

/// Thread safety: write() and clear() from one thread at a time; every other member from any thread at any time.
/// Errors: error(errc::corrupt_store) if the pairs are damaged, error(errc::journal_unavailable) if they cannot be read or
/// written.
class index_storage {
public:
  virtual ~index_storage() = default;

  /// How far the pairs go. Nothing if there are none.
  virtual std::optional<index_mark> mark() const = 0;
  /// Removes all pairs.
  virtual void clear() = 0;
  /// Adds the pairs of a generation and its mark, all or nothing.
  virtual void write(const generation& generation) = 0;

  /// The newest versions of aggregates, in the same order; 0 for one that is not known.
  virtual void newest_versions(std::span<const stream_view> streams, std::vector<std::uint64_t>& versions) const = 0;
  virtual std::unique_ptr<run_cursor> runs() const = 0;

  /// Notes that the index is damaged, so that the next opening makes it again, and throws error(errc::corrupt_store) that says
  /// so.
  [[noreturn]] virtual void fail(const std::string& what) const = 0;
};

/// Everything that is made of the log, and can be made again.
class derived_data {
public:
  virtual ~derived_data() = default;
  virtual index_storage& index() = 0;
  virtual snapshot_store& snapshots() = 0;
  /// Says how far the log goes: `last()` is the position of its last record, now and whenever a snapshot is saved.
  /// Removes all snapshots if one was saved beyond it: the log has lost records, and others will take their versions.
  /// Returns why they were removed; nothing if they were not. Before the first snapshot is saved.
  /// The default is for snapshots that a power cut never leaves.
  virtual std::string follow_log(const std::function<position()>& /* last */) { return {}; }
  /// Brings the snapshots to files, because the store is being closed.
  virtual void flush() = 0;
  /// Reads everything. Throws error(errc::corrupt_store) if something cannot be read.
  virtual void check() const = 0;
};

}  // namespace cairn::detail
