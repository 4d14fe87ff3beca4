// The options of a command.
#pragma once

#include <cairn/identity.hpp>
#include <cairn/time.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::inline v1 {

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

struct call_options;

/// Metadata of the user's own: keys and values, in order. At most limits::metadata_keys_max.
using metadata = std::vector<std::pair<std::string, std::string>>;

/// The options of a command, where they are kept: in a variable or in a batch. All but the deadline and when_full are
/// stored with each event.
struct command_options {
  expected_version expected = expected_version::any();
  /// Makes the command idempotent: a repeat within the aggregate's last ids (runtime_bounds::deduplication_window_size)
  /// returns the first answer and changes nothing, even if the repeat's deadline has passed. Empty: not idempotent.
  /// Only a command that stored events is remembered: a repeat of one that was rejected, or accepted without events, is
  /// decided again. The same id with another command fails (errc::command_id_reused). Commands are the same if their C++
  /// types have the same name and their fields the same bytes. Without a codec the bytes of the object count; if it has
  /// padding, floating-point numbers or owns memory, only the name does.
  std::string command_id = {};
  std::string correlation_id = {};
  std::string causation_id = {};
  std::string principal = {};
  /// The time of the event in the business, if it differs from the time of recording.
  std::optional<timestamp> occurred_at = {};
  /// By the runtime's clock. When it has passed the call ends, wherever the command is: with errc::deadline_passed if the
  /// command was not decided and never will be, with errc::timed_out if its outcome is unknown. If the clock jumps, up to
  /// 0.1 s late.
  std::optional<timestamp> deadline = {};
  cairn::metadata metadata = {};
  cairn::when_full when_full = cairn::when_full::fail;

  bool operator==(const command_options&) const = default;
  operator call_options() const noexcept;  // valid as long as this object
};

/// The metadata of a call, not owned.
class metadata_view {
public:
  metadata_view() = default;
  metadata_view(const metadata& entries) noexcept : entries_(&entries) {}
  metadata copy() const { return entries_ ? *entries_ : metadata(); }

private:
  const metadata* entries_ = nullptr;
};

/// The options of one call, written in braces: `runtime.ask<Product>("1", AddStock{3}, {.command_id = "order-7"})`. The
/// fields are those of command_options. A call copies what they refer to before it returns; to keep options, use
/// command_options, which converts to this.
///
/// Views, and trivially destructible, because g++ before 13 destroys a braced temporary twice inside co_await.
struct call_options {
  expected_version expected = expected_version::any();
  std::string_view command_id = {};
  std::string_view correlation_id = {};
  std::string_view causation_id = {};
  std::string_view principal = {};
  std::optional<timestamp> occurred_at = {};
  std::optional<timestamp> deadline = {};
  metadata_view metadata = {};
  cairn::when_full when_full = cairn::when_full::fail;
};

inline command_options::operator call_options() const noexcept {
  return {expected, command_id, correlation_id, causation_id, principal, occurred_at, deadline, metadata, when_full};
}

}  // namespace cairn
