// What an application gets back: the answer to a command, a state with its version, a history.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/decision.hpp>
#include <cairn/error.hpp>
#include <cairn/identity.hpp>
#include <cairn/time.hpp>

#include <boost/system/error_code.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cairn {

/// The answer to a command that the system carried out; true where the domain accepted it, false where it said no. Where the call
/// failed (there was an error code), only `version` and `detail` mean anything.
template <class Result = void>
struct answer {
  cairn::version version;             ///< of the aggregate after the command; with errc::version_conflict, the one that stands
  std::uint32_t events = 0;           ///< how many the command stored
  bool repeated = false;              ///< this is the first answer to the command's id, given again
  std::optional<rejection> rejected;  ///< the domain's no, with its reason
  std::string detail;                 ///< where the call failed: what and where, in a sentence
  std::conditional_t<std::is_void_v<Result>, std::monostate, Result> result{};  ///< what `decide` answered besides its events

  explicit operator bool() const noexcept { return !rejected; }
};

/// The state of an aggregate and the version that it has.
template <Aggregate A>
struct versioned {
  A state;
  cairn::version version;  ///< 0: nothing has happened to it yet
  std::string detail;      ///< where the call failed: what and where, in a sentence
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
  std::string who;
  std::vector<std::pair<std::string, std::string>> keys;
};

/// A part of an aggregate's history, in order of version.
template <Aggregate A>
struct history_part {
  std::vector<recorded_event<A>> events;
  std::string detail;  ///< where the call failed: what and where, in a sentence
};

/// errc as Asio's completion handlers get it. Compare with `code == cairn::errc::overloaded`.
boost::system::error_code make_asio_code(errc code) noexcept;

bool operator==(const boost::system::error_code& left, errc right) noexcept;

}  // namespace cairn
