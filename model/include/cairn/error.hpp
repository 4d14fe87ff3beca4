// How the runtime says that it failed. The domain's "no" is not here: that is a cairn::rejection, a value.
//
// One enum for the whole of cairn, one exception type that carries it with a sentence of detail.
#pragma once

#include <cairn/identity.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace cairn::inline v1 {

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
  /// The caller cancelled the call before the command was decided. Not stored.
  cancelled,
  /// The caller cancelled the call after the command was decided, or before its aggregate could say whether a command with
  /// this id was carried out already. Unknown: send it again with the same command id to learn which.
  cancelled_in_doubt,
};

/// What a failed command means for its caller: `if (code == cairn::condition::not_stored)`. Compares with the codes of
/// Boost and of the standard library.
enum class condition {
  /// This call stored nothing. An earlier call with the same command id may have.
  not_stored = 1,
  /// The command may be stored or not. A repeat with the same command id returns its outcome.
  outcome_unknown,
  /// The same call may succeed later, without a change. With outcome_unknown, repeat it only with a command id.
  worth_retrying,
};

/// The category of errc; message() returns a sentence.
const std::error_category& error_category() noexcept;
/// The category of condition.
const std::error_category& condition_category() noexcept;

inline std::error_code make_error_code(errc code) noexcept { return {static_cast<int>(code), error_category()}; }
inline std::error_condition make_error_condition(condition what) noexcept {
  return {static_cast<int>(what), condition_category()};
}
/// Whether `what` holds for a command that failed with `code`.
bool holds(condition what, errc code) noexcept;

/// Compares a code of the standard library, also one that was a boost::system::error_code: by the name of its category.
bool operator==(const std::error_code& left, errc right) noexcept;
bool operator==(const std::error_code& left, condition right) noexcept;

/// A failure with its detail: which aggregate, which file, what to do. Stores throw it, and so do the calls of a
/// runtime that return their value.
class error : public std::system_error {
public:
  error(errc code, const std::string& detail, std::optional<version> current = {})
      : std::system_error(make_error_code(code), detail), detail_(detail), current_(current) {}

  errc kind() const noexcept { return static_cast<errc>(code().value()); }

  /// The detail alone, without the sentence of the code.
  const std::string& detail() const noexcept { return detail_; }

  /// The aggregate's version, with errc::version_conflict.
  std::optional<version> current_version() const noexcept { return current_; }

private:
  std::string detail_;
  std::optional<version> current_;
};

}  // namespace cairn

template <>
struct std::is_error_code_enum<cairn::errc> : std::true_type {};
template <>
struct std::is_error_condition_enum<cairn::condition> : std::true_type {};
