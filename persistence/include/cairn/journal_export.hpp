// A whole store as a stream of documents, for people, other programs and other versions of cairn, and back again.
//
// docs/record_format.md, "Exports", is the grammar. rocksdb_store::export_to() writes one of a store that is open.
#pragma once

#include <cairn/chain_head.hpp>
#include <cairn/progress_function.hpp>

#include <filesystem>
#include <iosfwd>
#include <string>

namespace cairn {

/// How the documents are written down. Both say the same.
enum class export_format {
  ndjson,   ///< one JSON object a line
  msgpack,  ///< msgpack maps, one after another
};

struct export_options {
  export_format format = export_format::ndjson;
  progress_function progress = {};
};

/// What a damaged store still gave.
struct intact_export {
  chain_head head;     ///< of what was exported
  std::string damage;  ///< what is wrong with the record behind that, in a sentence; empty where nothing was found to be
};

/// Writes the records of the store in `folder` that come before the first damage to `out`, as an export that can be imported.
/// Whole chunks only, since only those can be shown to be unchanged. Changes nothing in `folder`, and reads neither the index
/// nor the snapshots. Throws error: errc::store_in_use, errc::corrupt_store (not even the beginning can be read),
/// errc::unknown_format (not a cairn store, or one of another version), errc::journal_unavailable (`out` takes no more). A table
/// that is missing, or that the disk does not give, is damage like any other.
intact_export export_intact_records(const std::filesystem::path& folder, std::ostream& out, const export_options& options = {});

/// Makes the store that `in` is an export of, of either format, in `folder`, which must be empty or not there yet: the same
/// store id, the same chunks, the same head, which is returned. Snapshots are made anew as the store is used. The store gets its
/// folder in the end only, when everything has been checked and is on the disk. Until then it grows in a folder beside it; one
/// that a killed process leaves behind (`folder`.import-…) is no store and can be deleted.
/// `tell` hears of the reading, where nobody knows how many records there are, then of the indexing, then of a last look at it
/// all. Throws error: errc::invalid_argument (`folder` is not empty), errc::unknown_format (`in` is no export, or one of another
/// version), errc::corrupt_record (`in` is cut short, or something in it was altered, left out, put in or moved; the detail names
/// the line or object and what is wrong), errc::journal_unavailable (`in` cannot be read or `folder` not written).
chain_head import_rocksdb_journal(std::istream& in, const std::filesystem::path& folder, const progress_function& tell = {});

}  // namespace cairn
