// How a test framework shows a value of cairn or of an application: as the testkit's own reports do.
//
// Knows no framework. A type with its own operator<< is not covered, nor is one that msgpack does not know.
#pragma once

#include <cairn/answer.hpp>
#include <cairn/testkit/detail/through_bytes.hpp>

#include <chrono>
#include <concepts>
#include <deque>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::inline v1::testkit::detail {

template <class T>
concept HasInsertion = requires(std::ostream& out, const T& value) {
  operator<<(out, value);
};

// --- whether a value can be packed, without an error of the compiler if it cannot ---

template <class T>
consteval bool is_packable();

/// The standard types that msgpack-c packs by their elements. Others count as unknown, because asking would not compile.
template <class T>
struct parts_packable : std::false_type {};
template <class... Ts>
struct parts_packable<std::tuple<Ts...>> : std::bool_constant<(is_packable<Ts>() && ...)> {};
template <class First, class Second>
struct parts_packable<std::pair<First, Second>> : std::bool_constant<is_packable<First>() && is_packable<Second>()> {};
template <class T>
struct parts_packable<std::optional<T>> : std::bool_constant<is_packable<T>()> {};
template <class T, class... Policies>
struct parts_packable<std::vector<T, Policies...>> : std::bool_constant<is_packable<T>()> {};
template <class T, class... Policies>
struct parts_packable<std::deque<T, Policies...>> : std::bool_constant<is_packable<T>()> {};
template <class T, class... Policies>
struct parts_packable<std::set<T, Policies...>> : std::bool_constant<is_packable<T>()> {};
template <class K, class V, class... Policies>
struct parts_packable<std::map<K, V, Policies...>> : std::bool_constant<is_packable<K>() && is_packable<V>()> {};
template <class K, class V, class... Policies>
struct parts_packable<std::unordered_map<K, V, Policies...>> : std::bool_constant<is_packable<K>() && is_packable<V>()> {};

/// Returns whether msgpack-c packs a T. An empty struct counts only if `cairn` packs it itself, which it does not inside another.
template <class T>
consteval bool is_packable() {
  if constexpr (requires(const T& packed, msgpack::packer<std::string>& packer) { packed.msgpack_pack(packer); }) {
    return true;
  } else if constexpr (!std::is_base_of_v<msgpack::v1::adaptor::pack<T>, msgpack::adaptor::pack<T>>) {
    return true;  // by an adaptor of the application
  } else {
    return std::is_arithmetic_v<T> || std::is_same_v<T, std::string> || parts_packable<T>::value;
  }
}

template <class T>
concept Packable = std::is_class_v<T> && !std::is_polymorphic_v<T> && (std::is_empty_v<T> || is_packable<T>());

// --- texts ---

template <class T>
concept NamedOnDisk = requires {
  { T::type } -> std::convertible_to<std::string_view>;
};
template <class T>
concept NamedCategory = requires {
  { T::category } -> std::convertible_to<std::string_view>;
};

/// Shows an event behind its type, a state by its fields, and a command or result behind the name of its struct.
template <Packable T>
std::string report_text(const T& value) {
  if constexpr (NamedOnDisk<T>) {
    return std::string(std::string_view(T::type)) + " " + shown(value);
  } else if constexpr (NamedCategory<T> || !(requires { value.msgpack_pack(std::declval<msgpack::packer<std::string>&>()); })) {
    return std::is_empty_v<T> && !NamedCategory<T> ? type_name<T>() + " {}" : shown(value);
  } else {
    return type_name<T>() + " " + shown(value);
  }
}

inline std::string report_text(cairn::version number) { return "version " + std::to_string(number.value); }
inline std::string report_text(cairn::position number) { return "position " + std::to_string(number.value); }
inline std::string report_text(const rejection& no) { return "rejected: " + no.code; }

/// Shows a moment of the system clock as an export does.
template <class Duration>
requires(!HasInsertion<std::chrono::sys_time<Duration>>) std::string report_text(const std::chrono::sys_time<Duration>& moment) {
  const auto text = shown(moment);
  return text.starts_with('"') ? text.substr(1, text.size() - 2) : text;
}

inline std::string report_text(const std::optional<errc>& kind) {
  return kind ? make_error_code(*kind).message() : "no error of cairn's";
}
inline std::string report_text(const std::optional<cairn::version>& number) {
  return number ? report_text(*number) : "no version";
}

template <class... Es>
requires(sizeof...(Es) > 0 && (NamedOnDisk<Es> && ...) && (Packable<Es> && ...)) std::string
    report_text(const std::variant<Es...>& event) {
  return shown_event(event);
}

/// Events, one behind the other.
template <class... Es>
requires requires(const std::variant<Es...>& event) { report_text(event); }
std::string report_text(const std::vector<std::variant<Es...>>& events) {
  std::string all;
  for (const auto& event : events) all += (all.empty() ? "" : ", ") + report_text(event);
  return "[" + all + "]";
}

template <class Result>
std::string report_text(const answer<Result>& given) {
  auto text = report_text(given.version);
  if (given.rejected) return report_text(*given.rejected) + ", " + text;
  if (!given.detail.empty()) return text + ", failed: " + given.detail;
  text += ", " + std::to_string(given.events) + (given.events == 1 ? " event" : " events");
  if (given.repeated) text += ", repeated";
  if constexpr (!std::is_void_v<Result>) {
    if constexpr (is_packable<Result>()) text += ", result " + shown(given.result);
  }
  return text;
}

template <class A>
std::string report_text(const versioned<A>& found) {
  if (!found.detail.empty()) return report_text(found.version) + ", failed: " + found.detail;
  if constexpr (Packable<A>) return report_text(found.version) + " " + shown(found.state);
  return report_text(found.version);
}

/// A type that report_text() shows, and that has no operator<< of its own.
template <class T>
concept Reportable = std::is_class_v<T> && !HasInsertion<T> && requires(const T& value) {
  { report_text(value) } -> std::same_as<std::string>;
};

}  // namespace cairn::testkit::detail
