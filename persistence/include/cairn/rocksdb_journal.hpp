// The embedded default: a log of chained chunks with an index behind it, in one RocksDB folder.
//
// docs/record_format.md has its bytes, docs/architecture.md its shape, docs/durability.md what it promises and what to do after
// each error.
#pragma once

#include <cairn/chain_head.hpp>
#include <cairn/journal.hpp>
#include <cairn/journal_export.hpp>
#include <cairn/progress_function.hpp>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

namespace cairn {

/// What "acknowledged" means.
enum class durability {
  synced,    ///< on stable storage: survives a power cut
  buffered,  ///< in the operating system's hands: survives the death of the process, not a power cut
};

struct rocksdb_options {
  cairn::durability durability = cairn::durability::synced;
  /// The recent, decompressed blocks kept in memory. 0 to 1,048,576.
  std::uint64_t block_cache_mib = 256;
  /// How many events, or aggregates, the index holds in memory before it is written behind. While one such part is being
  /// written the next may grow to twice the size, and appends wait beyond that; so at most four times as many events are read
  /// from the log at opening after a crash. An event takes 16 bytes, an aggregate about 100 and its name; while they are being
  /// written, an event 12 more and an aggregate 20. 1 to 100,000,000.
  std::uint64_t index_events_in_memory_max = 1'000'000;
  /// Told how opening comes on where it has to read much of the log: after a crash, and when the index was lost.
  progress_function opening = {};
};

struct verify_options {
  /// A head that was noted earlier: the history must go through it.
  std::optional<chain_head> noted = {};
  progress_function progress = {};
};

/// What was found to be whole.
struct verification {
  std::uint64_t records = 0;
  std::uint64_t chunks = 0;
  std::uint64_t indexed = 0;  ///< records that the index on disk was compared with
  chain_head head;            ///< as of now: note it
};

/// What a store on RocksDB can do besides being a journal.
/// Thread safety: every member from any thread at any time, also while an append is running.
class rocksdb_store : public journal {
public:
  /// The head of the chain as of the last durable append. Reads one chunk.
  virtual chain_head head() const = 0;

  /// Reads everything that is stored and checks all there is to check: every record's checksum and grammar, the chain from the
  /// first record to the last, that the index on disk knows every record and no other, and, where one is given, that the
  /// history goes through the noted head. Records that are appended meanwhile are not looked at.
  /// Throws error(errc::corrupt_record), naming the first chunk (by its records' positions) in which one was altered, removed,
  /// reordered or inserted, where the newest chunk has only a noted head to vouch for it; or what the index claims and the log
  /// does not hold; and what journal::read_all() throws.
  virtual verification verify(const verify_options& options = {}) const = 0;

  /// Adds a backup of the store as it is now to the backups in `folder`, which is made where it is missing. Files that an
  /// earlier backup holds already are not copied again. Of the backups the newest `keep` (at least 1) stay. Appends go on.
  /// Returns the position of the last record that the backup certainly holds.
  /// The new backup is read back before an old one goes, with all that it shares with earlier ones.
  /// Throws error(errc::journal_unavailable) where `folder` cannot be written, with the reason; what was there stays usable.
  /// Throws error(errc::corrupt_store) where files that earlier backups left in `folder` are damaged: nothing is added then and
  /// nothing deleted, and further backups need another folder.
  virtual position backup(const std::filesystem::path& folder, std::size_t keep = 2) = 0;

  /// Writes every record to `out`, chunk by chunk, with what it takes to make an equal store of it by
  /// import_rocksdb_journal(): an export. Records that are appended meanwhile are not in it, snapshots never are. The chain is
  /// checked on the way; the head that it ends with is returned.
  /// Throws error(errc::corrupt_record) where the log is damaged, error(errc::journal_unavailable) where it cannot be read or
  /// `out` takes no more; what was written until then has no end and is refused by an import.
  virtual chain_head export_to(std::ostream& out, const export_options& options = {}) const = 0;

  /// How many records opening had to read from the log.
  virtual std::uint64_t records_replayed() const = 0;
};

/// Opens the store in `folder`, or makes it where there is none. One process at a time: the folder is locked until the journal
/// is gone. The readers of a journal must be done before it is destroyed.
///
/// After an append that failed the store takes no more (errc::journal_unavailable), and still reads what was durable before;
/// opening it again tells what became of the append. A torn tail, as a crash leaves it, is dropped at opening; whatever was
/// acknowledged with `durability` comes before it.
///
/// Throws error: errc::store_in_use (open in this or another process), errc::unknown_format (written by another version),
/// errc::corrupt_record (stored records are damaged; the detail says which are known to be intact and what to do),
/// errc::corrupt_store (files or meta data are missing or damaged; the detail says what to do), errc::invalid_argument (an
/// option out of its range), errc::journal_unavailable (the folder cannot be written, with the reason).
std::unique_ptr<rocksdb_store> rocksdb_journal(const std::filesystem::path& folder, rocksdb_options options = {});

/// Makes the store that the newest backup in `backups` holds in `folder`, which must be empty or not there yet.
/// Throws error: errc::invalid_argument (`folder` is not empty), errc::corrupt_store (no usable backup in `backups`, with the
/// reason), errc::journal_unavailable (a folder cannot be read or written).
void restore_rocksdb_journal(const std::filesystem::path& backups, const std::filesystem::path& folder);

/// Leaves of the store in `folder` its log alone: drops the index, which the next opening makes anew, and the snapshots, without
/// which recoveries take longer until there are new ones. For where files of the two are damaged or missing.
/// Throws what rocksdb_journal() throws, and error(errc::invalid_argument) where there is no store.
void strip_rocksdb_journal(const std::filesystem::path& folder);

}  // namespace cairn
