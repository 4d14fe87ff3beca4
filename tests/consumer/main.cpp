// A user's first program, built against the installed package: an aggregate of its own in one file.
#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>

#include <iostream>

struct Open {};
struct Add {
  int count = 0;
};
struct Opened {
  static constexpr std::string_view type = "OPENED";
};
struct Added {
  static constexpr std::string_view type = "ADDED";
  int count = 0;
  MSGPACK_DEFINE_MAP(count)
};

struct Box {
  static constexpr std::string_view category = "box";
  using Event = std::variant<Opened, Added>;
  int count = 0;
  MSGPACK_DEFINE_MAP(count)

  cairn::decision<Event> decide(const Open&) const { return Opened{}; }
  cairn::decision<Event> decide(const Add& add) const { return Added{add.count}; }
  void evolve(const Opened&) noexcept {}
  void evolve(const Added& event) noexcept { count += event.count; }
};

int main() {
  cairn::runtime runtime{{.journal = cairn::memory_journal()}};
  runtime.ask<Box>("a", Open{});
  runtime.ask<Box>("a", Add{3});
  const auto box = runtime.state<Box>("a");
  std::cout << "version " << box.version.value << ", count " << box.state.count << "\n";
}
