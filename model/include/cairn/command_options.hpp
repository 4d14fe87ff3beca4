// What a command brings along beside its meaning.
#pragma once

#include <cairn/identity.hpp>
#include <cairn/time.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cairn {

/// The version that an aggregate must have for a command to be decided at all.
class expected_version {
public:
  /// Whatever it is.
  static constexpr expected_version any() { return expected_version{}; }
  /// The aggregate must have no events yet.
  static constexpr expected_version none_yet() { return expected_version{version{0}}; }
  /// Exactly this one.
  static constexpr expected_version exactly(version number) { return expected_version{number}; }

  constexpr bool admits(version actual) const { return !required_ || *required_ == actual; }
  constexpr std::optional<version> required() const { return required_; }
  bool operator==(const expected_version&) const = default;

private:
  constexpr expected_version() = default;
  constexpr explicit expected_version(version number) : required_(number) {}
  std::optional<version> required_;
};

/// What to do when the runtime already has as many commands in flight as it may.
enum class when_full {
  fail,  ///< answer errc::overloaded at once
  wait,  ///< wait for a place, in order of arrival
};

/// Everything has a default; all but the deadline and when_full end up on the record of each event.
struct command_options {
  expected_version expected = expected_version::any();
  /// Makes the command idempotent: a repeat within the aggregate's last ids (runtime_options::bounds.command_ids_kept) gets the
  /// first answer again and changes nothing, even if the repeat's deadline has passed. Empty: no such protection.
  /// Only a command that stored events is remembered: a repeat of one that was rejected, or accepted without events, is decided
  /// again. The same id with another command is refused (errc::command_id_reused). Commands are the same if their C++ types have
  /// the same name and their fields the same msgpack. Without MSGPACK_DEFINE the bytes of the object count; if it has padding,
  /// floating-point numbers or owns memory, only the name does.
  std::string command_id = {};
  std::string correlation_id = {};
  std::string causation_id = {};
  std::string who = {};
  /// The business's own time, where it differs from the time of recording.
  std::optional<timestamp> occurred_at = {};
  /// By the runtime's clock. Once it has passed the call ends, wherever the command is: with errc::deadline_passed if the command
  /// was not decided and never will be, with errc::timed_out if its outcome is unknown. If the clock jumps, up to 0.1 s late.
  std::optional<timestamp> deadline = {};
  /// Up to 64 keys of the user's own.
  std::vector<std::pair<std::string, std::string>> keys = {};
  cairn::when_full when_full = cairn::when_full::fail;

  bool operator==(const command_options&) const = default;
};

}  // namespace cairn
