// What an aggregate makes of a command: events, nothing to do, or no.
#pragma once

#include <cairn/identity.hpp>

#include <concepts>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::inline v1 {

/// The domain refuses the command. A value, never an exception; nothing is stored.
struct rejection {
  std::string code;          ///< for programs: short and stable, "insufficient_stock"
  std::string message = {};  ///< for people; may be empty
  bool operator==(const rejection&) const = default;
};

/// Refuses a command: `return cairn::reject("insufficient_stock", "only 3 are left");`
inline rejection reject(std::string_view code, std::string_view message = {}) {
  return rejection{std::string(code), std::string(message)};
}

/// Accepts a command that changes nothing: `return cairn::accepted;`
struct accepted_t {
  bool operator==(const accepted_t&) const = default;
};
inline constexpr accepted_t accepted{};

namespace detail {

/// The events of a decision, or its rejection: the part that does not depend on the command.
template <class Event>
class decided {
public:
  /// Returns null if the command was accepted.
  const rejection* rejected() const noexcept { return std::get_if<rejection>(&outcome_); }

  std::span<Event> events() noexcept {
    if (auto* one = std::get_if<Event>(&outcome_)) return {one, 1};
    if (auto* several = std::get_if<std::vector<Event>>(&outcome_)) return *several;
    return {};
  }
  std::span<const Event> events() const noexcept { return const_cast<decided*>(this)->events(); }

protected:
  template <class... Arguments>
  explicit decided(Arguments&&... arguments) : outcome_(std::forward<Arguments>(arguments)...) {}

private:
  std::variant<accepted_t, Event, std::vector<Event>, rejection> outcome_;
};

template <class E, class Event>
concept OneOf = std::is_constructible_v<Event, E&&> && !std::same_as<std::remove_cvref_t<E>, rejection>;

template <class T, class... Others>
concept NoneOf = (!std::same_as<std::remove_cvref_t<T>, Others> && ...);

/// What `decide` cannot return.
template <class T, class Event>
concept NoDecision = !OneOf<T, Event> && NoneOf<T, rejection, accepted_t, std::vector<Event>> &&
                     !std::derived_from<std::remove_cvref_t<T>, decided<Event>>;
template <class T>
consteval void refuse_no_decision() {
  static_assert(never<T>, "cairn: `decide` returns an event of the aggregate's, a std::vector of its `Event`, cairn::accepted or "
                          "cairn::reject(\"code\", \"message\"), and not T");
}

}  // namespace detail

/// The outcome of one `decide`: one event or several (stored all or none, at most limits::events_per_decision_max),
/// nothing, or a rejection. `Event` is the aggregate's variant.
///
/// `Result` is the typed result of the command, if it has one: `return {StockRemoved{3}, remaining};`. It must be
/// default-constructible and have a codec, because a repeat of the command returns it again.
template <class Event, class Result = void>
class [[nodiscard]] decision : public detail::decided<Event> {
  using base = detail::decided<Event>;

public:
  using event_type = Event;
  using result_type = Result;

  decision(rejection refusal) : base(std::move(refusal)) {}
  decision(accepted_t, Result result) : base(accepted_t{}), result_(std::move(result)) {}
  decision(std::vector<Event> events, Result result) : base(std::move(events)), result_(std::move(result)) {}
  template <detail::OneOf<Event> E>
  decision(E&& event, Result result) : base(std::in_place_type<Event>, std::forward<E>(event)), result_(std::move(result)) {}

  template <class Forgotten>
  requires detail::OneOf<Forgotten, Event> || std::same_as<std::remove_cvref_t<Forgotten>, accepted_t> ||
      std::same_as<std::remove_cvref_t<Forgotten>, std::vector<Event>>
      decision(Forgotten&&) : base(accepted_t{}) {
    static_assert(detail::never<Forgotten>,
                  "cairn: this `decide` has a result: `return {event, result};`, or reject the command");
  }

  template <detail::NoDecision<Event> Other>
  decision(Other&&) : base(accepted_t{}) {
    detail::refuse_no_decision<std::remove_cvref_t<Other>>();
  }

  const Result& result() const noexcept { return result_; }

private:
  Result result_{};
};

template <class Event>
class [[nodiscard]] decision<Event, void> : public detail::decided<Event> {
  using base = detail::decided<Event>;

public:
  using event_type = Event;
  using result_type = void;

  decision(rejection refusal) : base(std::move(refusal)) {}
  decision(accepted_t) : base(accepted_t{}) {}
  decision(std::vector<Event> events) : base(std::move(events)) {}
  template <detail::OneOf<Event> E>
  decision(E&& event) : base(std::in_place_type<Event>, std::forward<E>(event)) {}
  template <detail::NoDecision<Event> Other>
  decision(Other&&) : base(accepted_t{}) {
    detail::refuse_no_decision<std::remove_cvref_t<Other>>();
  }
};

}  // namespace cairn
