// What is done to a store from outside: verify, export, import, backup, restore, rebuild.
//
// verify_store(), export_store(), salvage_store() and backup_store() only read: they change nothing in the store's folder. They
// may run while a program has the store open, this one too, and see a prefix of its history then. docs/record_format.md,
// "Exports", is the grammar of an export.
#pragma once

#include <cairn/chain_head.hpp>
#include <cairn/progress_function.hpp>

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>
#include <string>

namespace cairn::inline v1 {

/// Errors of all functions here, thrown as cairn::error:
///   errc::invalid_argument     there is no store in the folder, or a folder that must be empty is not
///   errc::unknown_format       another program's folder, or a store or export of another version
///   errc::corrupt_record       stored records are damaged or missing; the detail says where
///   errc::corrupt_store        other files are damaged or missing
///   errc::store_in_use         a program has the store open, and the function needs it alone
///   errc::journal_unavailable  the system refuses something; the detail says what, why, and the remedy
/// What a progress function throws passes through, and stops the work.

struct verify_options {
  /// A head that was noted earlier: the history must go through it.
  std::optional<chain_head> noted = {};
  progress_function progress = {};
};

/// What was found to be whole.
struct verification {
  std::uint64_t records = 0;
  std::uint64_t chunks = 0;
  /// Records that the index was compared with. Nothing if it was not: the store is open, or has no index yet.
  std::optional<std::uint64_t> indexed;
  chain_head head;  ///< as of now: note it
};

/// Reads everything that is stored, and checks each record's checksum and grammar, the chain from the first record to the last,
/// that the log reaches as far as it ever did, that the history goes through the noted head, and, unless a program has the store
/// open, that the index knows every record and no other, and that every snapshot can be read.
verification verify_store(const std::filesystem::path& folder, const verify_options& options = {});

/// How the documents of an export are written. Both say the same.
enum class export_format {
  ndjson,   ///< one JSON object a line
  msgpack,  ///< msgpack maps, one after another
};

struct export_options {
  export_format format = export_format::ndjson;
  progress_function progress = {};
};

/// Writes every record to `out`, with what it takes to make an equal store of it by import_store(). Checks the chain, and returns
/// the head that it ends with. If it throws, what was written has no end, and an import refuses it.
chain_head export_store(const std::filesystem::path& folder, std::ostream& out, const export_options& options = {});

/// What a damaged store still gave.
struct salvaged {
  chain_head head;     ///< of what was exported
  std::string damage;  ///< what is wrong behind it, in a sentence; empty if nothing is
};

/// Writes the records before the first damage to `out`, as an export that can be imported. Whole chunks only, because only those
/// can be shown to be unchanged. A segment that is missing, or that the disk does not give, is damage as well.
salvaged salvage_store(const std::filesystem::path& folder, std::ostream& out, const export_options& options = {});

/// Makes the store that `in` is an export of, in either format, in `folder`, which must be empty or missing: the same store id,
/// the same chunks, the same head, which is returned. Snapshots are made again as the store is used. The store appears in its
/// folder at the end, when everything was checked and is durable; until then it grows in `folder`.import-…, and what a killed
/// import left there is removed by the next one. The detail of errc::corrupt_record names the line or object of the export.
/// `progress` is called while reading (`of` is 0 then), and while checking.
chain_head import_store(std::istream& in, const std::filesystem::path& folder, const progress_function& progress = {});

struct backup_result {
  chain_head head;           ///< of the backup
  std::uint64_t copied = 0;  ///< bytes that it had to copy
};

/// Brings the backup in the folder `backup` up to date with the store; makes it if it is missing. A backup is a store without an
/// index: verify_store(), export_store() and restore_store() read it. Finished segments are copied once, or shared with the store
/// if the file system can do that; a history only grows, so each earlier state is a prefix of the backup. The whole backup is
/// read and checked before the function returns. Throws error(errc::invalid_argument) if the folder holds another store's backup,
/// or one whose history the store does not continue; error(errc::corrupt_record) if the backup is damaged: it stays as it is, and
/// the store needs another folder.
backup_result backup_store(const std::filesystem::path& folder, const std::filesystem::path& backup,
                           const progress_function& progress = {});

/// Makes a store of a backup in `folder`, which must be empty or missing, and checks all of it. Returns its head. As with
/// import_store(), the store appears at the end.
chain_head restore_store(const std::filesystem::path& backup, const std::filesystem::path& folder,
                         const progress_function& progress = {});

/// Removes index and snapshots; the next opening makes the index again from the log. Nobody needs it for a damaged index, which
/// opening makes again by itself.
void rebuild_store(const std::filesystem::path& folder);

}  // namespace cairn
