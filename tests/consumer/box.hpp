// A user's own domain in one file: an aggregate, what may be asked of it, and what happens to it.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/msgpack.hpp>

#include <string_view>
#include <variant>

struct Open {};
struct Add {
  int count = 0;
  MSGPACK_DEFINE_MAP(count)
  bool operator==(const Add&) const = default;
};
struct Opened {
  static constexpr std::string_view type = "OPENED";
  bool operator==(const Opened&) const = default;
};
struct Added {
  static constexpr std::string_view type = "ADDED";
  int count = 0;
  MSGPACK_DEFINE_MAP(count)
  bool operator==(const Added&) const = default;
};

struct Box {
  static constexpr std::string_view category = "box";
  using Event = std::variant<Opened, Added>;
  bool open = false;
  int count = 0;
  MSGPACK_DEFINE_MAP(open, count)
  bool operator==(const Box&) const = default;

  cairn::decision<Event> decide(const Open&) const { return Opened{}; }
  cairn::decision<Event> decide(const Add& add) const {
    if (!open) return cairn::reject("closed");
    return Added{add.count};
  }
  void evolve(const Opened&) noexcept { open = true; }
  void evolve(const Added& event) noexcept { count += event.count; }
};
