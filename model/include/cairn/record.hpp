// An event before and after it is recorded, and the bytes between: the grammar of docs/record_format.md.
//
// A record's body holds everything but its position. The aggregate encodes it once; every store keeps those bytes as they are.
#pragma once

#include <cairn/command_options.hpp>
#include <cairn/identity.hpp>
#include <cairn/time.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::inline v1 {

/// An event that is to be recorded: all that its record will say but the position, which the journal gives. Owns nothing; the
/// views must live until encode_frame() returns.
struct unrecorded_event {
  stream_view stream;
  cairn::version version;
  std::string_view type;
  std::uint32_t schema_version = 1;
  timestamp recorded_at;
  /// Which event of its decision this is, from 0, and of how many.
  std::uint32_t index = 0;
  std::uint32_t count = 1;
  /// Where the metadata comes from; null for none.
  const command_options* options = nullptr;
  /// The typed result of the command, msgpack; on the last event of a decision, so that a repeat gets the first answer.
  std::string_view result;
  /// The command's fingerprint (command_options::command_id), on the last event of a decision; 0 for none.
  std::uint64_t fingerprint = 0;
  std::string_view payload;
};

/// One record as it stands in a journal. Owns nothing: the views live as long as the bytes that it was read from.
struct record_view {
  cairn::position position;
  stream_view stream;
  cairn::version version;
  std::string_view type;
  std::uint32_t schema_version = 1;
  timestamp recorded_at;
  std::optional<timestamp> occurred_at;
  std::uint32_t index = 0;
  std::uint32_t count = 1;
  /// The version that the command demanded, where it demanded one.
  std::optional<cairn::version> expected;
  std::string_view command_id;
  std::string_view correlation_id;
  std::string_view causation_id;
  std::string_view principal;
  /// The user's own keys, still encoded; metadata_of() reads them.
  std::string_view encoded_metadata;
  std::string_view result;
  /// The fingerprint of the command, if it brought a command id; 0 if the record has none.
  std::uint64_t fingerprint = 0;
  std::string_view payload;
  /// The tag of an extension without which this record cannot be understood, because a newer program wrote it; 0 if there is
  /// none. A journal does not hand such a record out.
  std::uint64_t critical_extension = 0;
  /// The whole body, for passing on unchanged.
  std::string_view body;
};

/// The user's own keys of a record, in the order in which they were given.
std::vector<std::pair<std::string, std::string>> metadata_of(const record_view& record);

/// Appends the frame of `event` to `out`: four bytes of length, little-endian, then the body.
/// Throws error(errc::invalid_argument) naming the field that is beyond its limit (cairn/limits.hpp); `out` is then as before.
void encode_frame(std::string& out, const unrecorded_event& event);

/// Takes the next frame's body off the front of `frames`. False where nothing is left.
/// Throws error(errc::corrupt_record) where the frame is cut short.
bool next_frame(std::string_view& frames, std::string_view& body);

/// Throws error(errc::unknown_format) if `record` has an extension without which it cannot be understood.
void require_understood(const record_view& record);

/// Reads a body. Throws error(errc::corrupt_record), naming the position and what it could not read.
record_view decode_record(position where, std::string_view body);

}  // namespace cairn
