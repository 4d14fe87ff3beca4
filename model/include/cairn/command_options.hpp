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
  /// first answer again and changes nothing. Empty: no such protection. A rejection stores nothing, so its repeat is decided
  /// afresh.
  std::string command_id = {};
  std::string correlation_id = {};
  std::string causation_id = {};
  std::string who = {};
  /// The business's own time, where it differs from the time of recording.
  std::optional<timestamp> occurred_at = {};
  /// By the runtime's clock. Past it the command is not decided (errc::deadline_passed), or its outcome is unknown
  /// (errc::timed_out). Watched from the moment when the command reaches its aggregate: one that still waits for a place in the
  /// runtime is told when its turn comes.
  std::optional<timestamp> deadline = {};
  /// Up to 64 keys of the user's own.
  std::vector<std::pair<std::string, std::string>> keys = {};
  cairn::when_full when_full = cairn::when_full::fail;

  bool operator==(const command_options&) const = default;
};

}  // namespace cairn
