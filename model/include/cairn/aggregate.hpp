// What the runtime asks of an aggregate type, and how its events become bytes and state again.
//
// Nothing is registered: a type with the members below is an aggregate. examples/product/product.hpp is the one to copy.
#pragma once

#include <cairn/codec.hpp>
#include <cairn/decision.hpp>
#include <cairn/error.hpp>
#include <cairn/limits.hpp>
#include <cairn/record.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace cairn::inline v1 {

/// An event: a plain struct with a name that stays on disk for ever, and its fields named to msgpack.
template <class E>
concept Event = std::copyable<E> && std::default_initializable<E> && requires {
  { E::type } -> std::convertible_to<std::string_view>;
};

namespace detail {

template <class T>
struct is_variant : std::false_type {};
template <class... Es>
struct is_variant<std::variant<Es...>> : std::true_type {};

template <class V>
struct all_events : std::false_type {};
template <class... Es>
struct all_events<std::variant<Es...>> : std::bool_constant<(Event<Es> && ...)> {};

template <class A, class E>
concept EvolvesWith = noexcept(std::declval<A&>().evolve(std::declval<const E&>()));

template <class A, class V>
struct evolves_all : std::false_type {};
template <class A, class... Es>
struct evolves_all<A, std::variant<Es...>> : std::bool_constant<(EvolvesWith<A, Es> && ...)> {};

template <class A>
concept HasCategory = requires {
  { A::category } -> std::convertible_to<std::string_view>;
};
template <class A>
concept HasEvents = is_variant<typename A::Event>::value && all_events<typename A::Event>::value;
template <class A>
concept Evolves = evolves_all<A, typename A::Event>::value;

}  // namespace detail

/// A state that is the fold of its events. Required: `category`, `Event` (a std::variant of events), a default constructor (the
/// state before the first event), for each event a `void evolve(const E&) noexcept`, and for each command that it is asked a
/// `cairn::decision<Event> decide(const Command&) const`. Its fields must be named to msgpack, for snapshots.
/// Optional: `static constexpr std::uint32_t schema_version` (1 where absent), raised when an old snapshot no longer fits.
template <class A>
concept Aggregate =
    std::copyable<A> && std::default_initializable<A> && detail::HasCategory<A> && detail::HasEvents<A> && detail::Evolves<A>;

/// A command that aggregate `A` decides: `a.decide(command)` on a const state gives a cairn::decision over A's events.
template <class C, class A>
concept CommandOf = requires(const A& state, const C& command) {
  typename std::remove_cvref_t<decltype(state.decide(command))>::result_type;
  requires std::same_as < typename std::remove_cvref_t<decltype(state.decide(command))>::event_type,
  typename A::Event > ;
};

namespace detail {

template <class V>
struct event_names;
template <class... Es>
struct event_names<std::variant<Es...>> {
  static consteval bool distinct() {
    constexpr std::string_view names[] = {Es::type...};
    for (std::size_t one = 0; one < sizeof...(Es); ++one) {
      for (std::size_t other = one + 1; other < sizeof...(Es); ++other) {
        if (names[one] == names[other]) return false;
      }
    }
    return true;
  }
  static consteval bool storable() {
    return ((!std::string_view(Es::type).empty() && std::string_view(Es::type).size() <= limits::event_type_bytes_max) && ...);
  }
};

}  // namespace detail

namespace detail {

/// Requires of a stored type, an event or a state, that bytes can be made of it. The compiler names it as `T`.
template <class T>
consteval void require_codec() {
  static_assert(Encodable<T>,
                "cairn: this event or state has no codec: include <cairn/msgpack.hpp> where it is defined, and name its "
                "fields by MSGPACK_DEFINE_MAP(...); or specialise cairn::codec for it");
  if constexpr (requires { codec<T>::names_its_fields; }) {
    static_assert(codec<T>::names_its_fields,
                  "cairn: this event or state has fields and does not name them: add MSGPACK_DEFINE_MAP(field, ...) to it, or "
                  "specialise cairn::codec for it");
  }
}

/// Requires of the result of command `C` that bytes can be made of it.
template <class A, class C>
consteval void require_result() {
  using result = typename decltype(std::declval<const A&>().decide(std::declval<const C&>()))::result_type;
  if constexpr (!std::is_void_v<result>) {
    static_assert(std::default_initializable<result> && Encodable<result>,
                  "cairn: the result of this `decide` is default-constructible and has a codec: include <cairn/msgpack.hpp> and "
                  "name its fields by MSGPACK_DEFINE_MAP(...); or specialise cairn::codec for it");
    // A result may be of another library's type, such as std::string, which msgpack knows without names of fields.
    if constexpr (std::is_aggregate_v<result> && requires { codec<result>::names_its_fields; }) {
      static_assert(
          codec<result>::names_its_fields || requires { std::tuple_size<result>::value; },
          "cairn: the result of this `decide` has fields and does not name them: add MSGPACK_DEFINE_MAP(field, ...) "
          "to it, or specialise cairn::codec for it");
    }
  }
}

/// Requires of aggregate `A` what event `E` needs. The compiler names both.
template <class A, class E>
consteval void require_event() {
  static_assert(Event<E>,
                "cairn: each event is copyable, default-constructible, and has `static constexpr std::string_view type`");
  static_assert(
      requires(A & state, const E& event) { state.evolve(event); },
      "cairn: the aggregate has no `void evolve(const E&) noexcept` for this event E");
  static_assert(EvolvesWith<A, E>,
                "cairn: the aggregate's `void evolve(const E&) noexcept` for this event E must be noexcept: what has happened "
                "cannot be refused");
  require_codec<E>();
}

template <class A, class V>
struct require_events;
template <class A, class... Es>
struct require_events<A, std::variant<Es...>> {
  static consteval void check() { (require_event<A, Es>(), ...); }
};

}  // namespace detail

/// Requires that `A` is an aggregate: fails to compile with a sentence that says what is missing, and costs nothing else.
template <class A>
consteval void require_aggregate() {
  static_assert(std::copyable<A> && std::default_initializable<A>,
                "cairn: an aggregate is copyable, and its default constructor makes the state before the first event");
  static_assert(detail::HasCategory<A>,
                "cairn: an aggregate has `static constexpr std::string_view category`, its type's name on disk");
  static_assert(
      requires { typename A::Event; },
      "cairn: an aggregate has `using Event = std::variant<...>` of the events that can happen to it");
  static_assert(detail::is_variant<typename A::Event>::value,
                "cairn: an aggregate's `Event` is a std::variant<...>, also of one event");
  detail::require_events<A, typename A::Event>::check();
  static_assert(detail::event_names<typename A::Event>::distinct(),
                "cairn: two events of one aggregate have the same `type` name");
  static_assert(detail::event_names<typename A::Event>::storable(), "cairn: an event's `type` name has 1 to 255 bytes");
  static_assert(!std::string_view(A::category).empty() && std::string_view(A::category).size() <= limits::category_bytes_max,
                "cairn: an aggregate's `category` has 1 to 255 bytes");
  detail::require_codec<A>();
}

/// Requires that `A` decides command `C`, as require_aggregate() does.
template <class A, class C>
consteval void require_command() {
  require_aggregate<A>();
  static_assert(
      requires(A & state, const C& command) { state.decide(command); },
      "cairn: the aggregate has no `decide(const Command&)` for this command");
  static_assert(
      requires(const A& state, const C& command) { state.decide(command); },
      "cairn: `decide` must be const: it returns events, and evolve applies them");
  static_assert(CommandOf<C, A>, "cairn: `decide` must return a cairn::decision<Event> over the aggregate's own events");
  detail::require_result<A, C>();
}

/// The schema version of an event or a state: its `schema_version`, or 1.
template <class T>
constexpr std::uint32_t schema_version_of() {
  if constexpr (requires { T::schema_version; }) {
    return T::schema_version;
  } else {
    return 1;
  }
}

/// Applies one event to a state.
template <Aggregate A>
void evolve(A& state, const typename A::Event& event) noexcept {
  std::visit([&state](const auto& happened) noexcept { state.evolve(happened); }, event);
}

/// The state that `events` make, from the beginning.
template <Aggregate A>
A fold(std::span<const typename A::Event> events) {
  A state;
  for (const auto& event : events) evolve(state, event);
  return state;
}

namespace detail {

[[noreturn]] void throw_unknown_event(const record_view& record, std::string_view why);
[[noreturn]] void throw_unreadable_version(const record_view& record, std::uint32_t current);

template <Event E>
E decode_event(const record_view& record) {
  constexpr auto current = schema_version_of<E>();
  if (record.schema_version == current) return codec<E>::decode(record.payload);
  if constexpr (requires { codec<E>::upcast(record.schema_version, record.payload); }) {
    if (record.schema_version < current) return codec<E>::upcast(record.schema_version, record.payload);
  }
  throw_unreadable_version(record, current);
}

template <Event E>
E read_event(const record_view& record) {
  try {
    return decode_event<E>(record);
  } catch (const error& reason) {
    if (reason.kind() == errc::unknown_event) throw;
    throw_unknown_event(record, reason.detail());
  } catch (const std::bad_cast& reason) { throw_unknown_event(record, reason.what()); }
}

template <class V>
struct event_reader;
template <class... Es>
struct event_reader<std::variant<Es...>> {
  /// Hands `use` the event as its own type, and returns what that returns.
  template <class Use>
  static auto read(const record_view& record, Use use) {
    return read_one_of<Use, Es...>(record, use);
  }

private:
  template <class Use, class E, class... Others>
  static auto read_one_of(const record_view& record, Use& use) -> decltype(use(read_event<E>(record))) {
    if (record.type == std::string_view(E::type)) return use(read_event<E>(record));
    if constexpr (sizeof...(Others) > 0) {
      return read_one_of<Use, Others...>(record, use);
    } else {
      throw_unknown_event(record, "no such event type in the aggregate's Event");
    }
  }
};

template <Aggregate A, class Use>
auto use_event(const record_view& record, Use use) {
  return event_reader<typename A::Event>::read(record, use);
}

}  // namespace detail

/// Reads a record's payload as an event of `A`. An older schema version goes through the event's
/// `static E upcast(std::uint32_t from, const msgpack::object& old)`, or its codec's, if it has one.
/// Throws error(errc::unknown_event) naming type, schema version, aggregate, version and position; also where the payload is
/// not what the type says.
template <Aggregate A>
typename A::Event read_event(const record_view& record) {
  return detail::use_event<A>(record, [](auto&& event) { return typename A::Event(std::move(event)); });
}

/// Applies what a record says to a state. Throws as read_event() does; the state is then as before.
template <Aggregate A>
void evolve(A& state, const record_view& record) {
  detail::use_event<A>(record, [&state](const auto& event) noexcept { state.evolve(event); });
}

}  // namespace cairn
