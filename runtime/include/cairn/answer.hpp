// The values that calls return: the answer to a command, a state with its version, a history.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/decision.hpp>
#include <cairn/error.hpp>
#include <cairn/identity.hpp>
#include <cairn/time.hpp>

#include <boost/system/error_code.hpp>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::inline v1 {

namespace detail {

[[noreturn]] void throw_not_accepted(errc code, const std::string& detail, version current,
                                     const std::optional<rejection>& refusal);

}  // namespace detail

/// Thrown by answer::value() if the aggregate rejected the command.
class command_rejected : public std::runtime_error {
public:
  explicit command_rejected(rejection refusal);

  const rejection& reason() const noexcept { return reason_; }

private:
  rejection reason_;
};

/// The outcome of a command: accepted, rejected by the aggregate, or failed. True only if it was accepted.
template <class Result = void>
struct [[nodiscard]] answer {
  cairn::version version;             ///< of the aggregate after the command; with errc::version_conflict, the current one
  std::uint32_t events = 0;           ///< that the command stored
  bool repeated = false;              ///< this is the first answer to the command's id, given again
  std::optional<rejection> rejected;  ///< set if the aggregate rejected the command
  errc code{};                        ///< set if the call failed; then only `version` and `detail` mean anything
  std::string detail;                 ///< failed: which aggregate, and why
  std::conditional_t<std::is_void_v<Result>, std::monostate, Result> result{};  ///< accepted: the typed result

  bool accepted() const noexcept { return !failed() && !rejected; }
  bool failed() const noexcept { return code != errc{}; }
  explicit operator bool() const noexcept { return accepted(); }

  /// Returns the typed result if the command was accepted. Throws command_rejected if it was rejected, and error with the
  /// code, the detail and the current version if the call failed.
  Result value() const {
    if (!accepted()) detail::throw_not_accepted(code, detail, version, rejected);
    if constexpr (!std::is_void_v<Result>) return result;
  }
};

/// The state of an aggregate and its version. True unless the call failed.
template <Aggregate A>
struct [[nodiscard]] versioned {
  A state;
  cairn::version version;  ///< 0: it has no events yet
  errc code{};             ///< set if the call failed
  std::string detail;      ///< failed: which aggregate, and why

  bool failed() const noexcept { return code != errc{}; }
  explicit operator bool() const noexcept { return !failed(); }
};

/// One event of an aggregate's history, with all that its record says.
template <Aggregate A>
struct recorded_event {
  cairn::version version;
  cairn::position position;
  typename A::Event event;
  timestamp recorded_at;
  std::optional<timestamp> occurred_at;
  std::optional<cairn::version> expected;  ///< what the command demanded
  std::string command_id;
  std::string correlation_id;
  std::string causation_id;
  std::string principal;
  cairn::metadata metadata;
};

/// A part of an aggregate's history, in order of version.
template <Aggregate A>
struct [[nodiscard]] history_part {
  std::vector<recorded_event<A>> events;
  errc code{};         ///< set if the call failed
  std::string detail;  ///< failed: which aggregate, and why

  bool failed() const noexcept { return code != errc{}; }
  explicit operator bool() const noexcept { return !failed(); }
};

/// Returns the code as Asio's completion handlers get it; no error for errc{}. Compare it with `code == cairn::errc::overloaded`
/// or with `code == cairn::condition::not_stored`.
boost::system::error_code make_asio_code(errc code) noexcept;

bool operator==(const boost::system::error_code& left, errc right) noexcept;
bool operator==(const boost::system::error_code& left, condition right) noexcept;

}  // namespace cairn
