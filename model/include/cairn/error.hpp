// How the runtime says that it failed. The domain's "no" is not here: that is a cairn::rejection, a value.
//
// One enum for the whole of cairn, one exception type that carries it with a sentence of detail.
#pragma once

#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace cairn {

/// Every way in which the system, rather than the domain, can fail. "Not stored" means certainly not; "unknown" means that
/// only the journal knows, and the aggregate's next answer tells.
enum class errc {
  /// The aggregate is not at the version that the command expected. Not stored; the version that stands comes with it.
  version_conflict = 1,
  /// Too many commands in flight, or waiting for one aggregate's recovery. Not stored; try again later.
  overloaded,
  /// The deadline passed before the command was decided. Not stored.
  deadline_passed,
  /// The deadline passed while the command's events were on their way to the journal, or before its aggregate could say whether
  /// a command with this id was carried out already. Unknown: send it again with the same command id to learn which.
  timed_out,
  /// The journal could not write or read. Unknown for appends that were in flight.
  journal_unavailable,
  /// Stored bytes fail their checksum or their grammar. The detail names aggregate, version and position.
  corrupt_record,
  /// A stored event has a type or schema version that this program cannot read. The detail names it.
  unknown_event,
  /// The aggregate's `decide` threw, or its events cannot be encoded and folded again. Not stored; the aggregate lives on.
  decide_failed,
  /// The aggregate could not be brought back from the journal. Not stored; recovery is tried again with growing pauses.
  recovery_failed,
  /// The runtime is draining and takes no more commands. Not stored.
  draining,
  /// The actor that held the command is gone. Unknown.
  abandoned,
  /// An argument is outside its documented range. Not stored; the detail says which and what is allowed.
  invalid_argument,
  /// Another writer has taken over the journal. Not stored; this process must stop writing.
  fenced,
  /// The store is open elsewhere. The detail says where and what to do.
  store_in_use,
  /// The store was written in a format that this program does not know. The detail names both versions.
  unknown_format,
  /// The store's own damage was found while it was opened, or a snapshot that contradicts the events. The detail says what is
  /// known to be intact, or what to do.
  corrupt_store,
  /// The aggregate has carried out another command with this command id. Not stored; give each command an id of its own.
  command_id_reused,
};

/// The category of errc; message() gives a sentence.
const std::error_category& error_category() noexcept;

inline std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), error_category()}; }

/// A failure with its detail: which aggregate, which file, what to do. Thrown by stores and by the blocking calls.
class error : public std::system_error {
public:
  error(errc code, const std::string& detail) : std::system_error(make_error_code(code), detail), detail_(detail) {}

  errc kind() const noexcept { return static_cast<errc>(code().value()); }

  /// The detail alone, without the sentence of the code.
  const std::string& detail() const noexcept { return detail_; }

private:
  std::string detail_;
};

}  // namespace cairn

template <>
struct std::is_error_code_enum<cairn::errc> : std::true_type {};
