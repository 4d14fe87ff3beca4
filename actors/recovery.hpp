// How an aggregate comes back: the latest usable snapshot at or before a version, then the events after it.
//
// Plain functions over a journal, for the readers' threads. Knows nothing of actors.
#pragma once

#include "command_window.hpp"
#include "operation.hpp"

#include <cairn/journal.hpp>
#include <cairn/time.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace cairn::inline v1::actors {

/// What a snapshot's bytes hold (docs/record_format.md, "Snapshots").
struct snapshot_content {
  cairn::version version;
  timestamp recorded_at;  ///< of the event at that version
  std::uint32_t schema_version = 1;
  std::string_view state;
  std::string_view commands;  ///< the command window, still encoded
};

std::string encode_snapshot(version at, timestamp recorded_at, std::uint32_t schema_version, const hosted_state& state,
                            const command_window& commands);

/// Throws error(errc::corrupt_record) where the bytes fail their checksum or grammar. The views live as long as `bytes`.
snapshot_content decode_snapshot(std::string_view bytes);

/// An aggregate as its journal tells it.
struct recovered {
  std::unique_ptr<hosted_state> state;
  cairn::version version;
  timestamp recorded_at;  ///< of the last event; the epoch where there is none
  command_window commands;
  cairn::version snapshot;        ///< the version of the snapshot that recovery started from; 0 for none
  std::uint64_t events_read = 0;  ///< after it
};

/// What recovery starts from, if it may.
struct snapshot_reading {
  recovered aggregate;  ///< good for nothing where there is a reason against it
  std::string why_not;  ///< it is passed over; empty: it can be used
};

/// The aggregate as a snapshot has it. It is passed over where it is damaged, of another schema version than `type`, does not
/// read back as it was written, or is of a version beyond `head`, the aggregate's last. Throws what the type's default
/// constructor throws.
snapshot_reading read_snapshot(const snapshot_view& stored, version head, const aggregate_type& type,
                               std::size_t deduplication_window_size);

/// How far to go.
struct recovery_bounds {
  cairn::version version = cairn::version::max();
  timestamp recorded_at = timestamp::max();
};

/// Recovers `stream` as it was at the bounds (both inclusive). A snapshot that is missing, damaged, of another schema or beyond
/// the journal's end is passed over with a warning, for the one before it and in the end for version 0.
/// Throws what journal::read throws, and error(errc::unknown_event).
recovered recover(journal& store, const aggregate_type& type, stream_view stream, std::size_t deduplication_window_size,
                  const warn_function& warn, recovery_bounds bounds = {});

/// The state that the events make which had happened by `at` in the business's own time: those whose occurred-at, or recorded-at
/// where they brought none, is at most `at`, in order of version. Reads the whole history: such events need not be its beginning.
/// `version` is that of the last event that counts.
recovered recover_as_occurred(const journal& store, const aggregate_type& type, stream_view stream, timestamp at);

}  // namespace cairn::actors
