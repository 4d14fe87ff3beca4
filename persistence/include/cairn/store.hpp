// The embedded store: a log in files of cairn's own format, and an index and snapshots that are made of it.
//
// docs/record_format.md has its bytes, docs/durability.md what it promises and what to do after each error.
// <cairn/maintenance.hpp> has what is done to a store from outside: verify, export, import, backup, restore, rebuild.
#pragma once

#include <cairn/chain_head.hpp>
#include <cairn/journal.hpp>
#include <cairn/store_options.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace cairn::inline v1 {

/// A journal in a folder.
/// Thread safety: as journal; head() and records_replayed() from any thread at any time.
class store : public journal {
public:
  /// The head of the chain as of the last durable append.
  virtual chain_head head() const = 0;

  /// How many records opening had to read from the log because the index did not have them.
  virtual std::uint64_t records_replayed() const = 0;
};

/// Opens the store in `folder`, or makes one if the folder is missing or empty. The folder is locked until the store is
/// destroyed: against this process and others, by whatever path. It may be renamed meanwhile; the store stays in it. Reads must
/// have returned before the store is destroyed.
///
/// After an append that failed the store takes no more (errc::journal_unavailable). It still reads what was durable before, but
/// not the aggregates of that append: only opening the store again tells what became of it. Opening drops an interrupted commit
/// at the end of the log, if nothing in it was acknowledged. It makes an index that is missing, outdated, damaged or of another
/// store again, with a warning.
///
/// Throws error: errc::store_in_use (open in this or another process), errc::unknown_format (another program's folder, or a store
/// of another version; nothing is changed), errc::corrupt_record (the log is damaged; the detail says where), errc::corrupt_store
/// (files are missing), errc::invalid_argument (an option out of its range), errc::journal_unavailable (the system refuses
/// something; the detail says what, why, and the remedy).
std::unique_ptr<store> open_store(const std::string& folder, store_options options = {});

}  // namespace cairn
