// What an aggregate makes of a command: events, nothing to do, or no.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cairn {

/// The domain said no. A value, never an exception; nothing is stored.
struct rejection {
  std::string reason;
  bool operator==(const rejection&) const = default;
};

/// Refuses a command: `return cairn::reject("insufficient_stock");`
inline rejection reject(std::string_view reason) { return rejection{std::string(reason)}; }

/// Accepts a command that changes nothing: `return cairn::nothing;`
struct nothing_t {
  bool operator==(const nothing_t&) const = default;
};
inline constexpr nothing_t nothing{};

/// The outcome of one `decide`: one event or several (stored all or none, at most limits::events_per_decision_max), nothing, or a
/// rejection.
/// `Event` is the aggregate's variant. `Result` is what the command answers besides, where it answers something; it must be
/// default-constructible and known to msgpack, because a repeat of the command gets it again.
template <class Event, class Result = void>
class decision {
  using stored_result = std::conditional_t<std::is_void_v<Result>, std::monostate, Result>;

public:
  using event_type = Event;
  using result_type = Result;

  decision(rejection no) : outcome_(std::move(no)) {}
  decision(nothing_t, stored_result result = {}) : result_(std::move(result)) {}
  decision(std::vector<Event> events, stored_result result = {}) : outcome_(std::move(events)), result_(std::move(result)) {}

  template <class E>
  requires std::is_constructible_v<Event, E&&> decision(E&& event, stored_result result = {})
      : outcome_(std::in_place_type<Event>, std::forward<E>(event)), result_(std::move(result)) {}

  /// Null where the command was accepted.
  const rejection* rejected() const noexcept { return std::get_if<rejection>(&outcome_); }

  std::span<Event> events() noexcept {
    if (auto* one = std::get_if<Event>(&outcome_)) return {one, 1};
    if (auto* several = std::get_if<std::vector<Event>>(&outcome_)) return *several;
    return {};
  }
  std::span<const Event> events() const noexcept { return const_cast<decision*>(this)->events(); }

  const stored_result& result() const noexcept { return result_; }

private:
  std::variant<nothing_t, Event, std::vector<Event>, rejection> outcome_;
  stored_result result_;
};

}  // namespace cairn
