// Which aggregate, which of its events, and where in the whole history: the three coordinates of everything recorded.
#pragma once

#include <compare>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>

namespace cairn::inline v1 {

/// The number of an event within its aggregate: from 1, without gaps. 0 is the aggregate before its first event.
struct version {
  std::uint64_t value = 0;

  constexpr version() = default;
  constexpr explicit version(std::uint64_t number) : value(number) {}
  static constexpr version max() { return version{std::numeric_limits<std::uint64_t>::max()}; }

  constexpr auto operator<=>(const version&) const = default;
  constexpr version operator+(std::uint64_t more) const { return version{value + more}; }
};

/// The number of a record in the journal's global order: from 1, without gaps, in the order in which records became durable.
struct position {
  std::uint64_t value = 0;

  constexpr position() = default;
  constexpr explicit position(std::uint64_t number) : value(number) {}

  constexpr auto operator<=>(const position&) const = default;
  constexpr position operator+(std::uint64_t more) const { return position{value + more}; }
};

/// Names one aggregate without owning the name.
struct stream_view {
  std::string_view category;
  std::string_view id;

  constexpr auto operator<=>(const stream_view&) const = default;
};

/// Names one aggregate: a category (the aggregate type's name on disk, 1 to 255 bytes) and an id within it (0 to 2^20 bytes,
/// any bytes at all).
struct stream_id {
  std::string category;
  std::string id;

  stream_id() = default;
  stream_id(std::string_view the_category, std::string_view the_id) : category(the_category), id(the_id) {}
  explicit stream_id(stream_view view) : category(view.category), id(view.id) {}

  operator stream_view() const noexcept { return {category, id}; }
  auto operator<=>(const stream_id&) const = default;
};

namespace detail {
template <class>
inline constexpr bool never = false;
}

/// The id of an aggregate as a call takes it: a string of any kind. Does not own it. A number does not compile, because C++
/// would take 0 for a null pointer.
class aggregate_id {
public:
  template <std::convertible_to<std::string_view> Text>
  aggregate_id(const Text& text) : text_(text) {}
  template <class Number>
  requires std::is_arithmetic_v<Number> || std::is_null_pointer_v<Number> aggregate_id(Number) {
    static_assert(detail::never<Number>, "cairn: the id of an aggregate is a string: write \"7\" or std::to_string(number)");
  }

  operator std::string_view() const noexcept { return text_; }

private:
  std::string_view text_;
};

/// A hash of the name, the same for stream_id and stream_view. Not stable between programs: never store it.
struct stream_hash {
  using is_transparent = void;
  std::size_t operator()(stream_view stream) const noexcept {
    const std::hash<std::string_view> hash;
    return hash(stream.id) ^ (hash(stream.category) * 0x9e3779b97f4a7c15ULL);
  }
};

/// Equality for containers keyed by stream_id and asked with a stream_view.
struct stream_equal {
  using is_transparent = void;
  bool operator()(stream_view left, stream_view right) const noexcept { return left == right; }
};

/// "category/id", for messages to people.
std::string to_string(stream_view stream);

}  // namespace cairn
