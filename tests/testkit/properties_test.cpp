// Properties of aggregates: right ones pass, and each that is wrong in one thing is found, and told by its shortest story.
#include "reported.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/testkit/properties.hpp>

#include <array>
#include <cstdint>
#include <doctest/doctest.h>
#include <stdexcept>
#include <string>
#include <variant>

namespace cairn::tests {
namespace {

using testkit::check_properties;

constexpr auto always = [](const auto&) { return true; };

struct Added {
  static constexpr std::string_view type = "ADD";
  int number = 0;
  int hidden = 0;
  MSGPACK_DEFINE_MAP(number)  // hidden is forgotten
  bool operator==(const Added&) const = default;
};
struct Add {
  int number = 0;
  MSGPACK_DEFINE_MAP(number)
  bool operator==(const Add&) const = default;
};
using Command = std::variant<Add>;

rc::Gen<Command> additions() {
  return rc::gen::map(rc::gen::inRange(0, 100), [](int number) -> Command { return Add{number}; });
}

/// It does all right. The others have it for a base, and are each wrong in one thing.
struct RightCounter {
  static constexpr std::string_view category = "counter";
  using Event = std::variant<Added>;
  int sum = 0;
  MSGPACK_DEFINE_MAP(sum)
  bool operator==(const RightCounter&) const = default;

  decision<Event> decide(const Add& add) const { return Added{add.number}; }
  void evolve(const Added& event) noexcept { sum += event.number; }
};

/// Its events depend on a field that their bytes do not have.
struct ForgetfulEvents : RightCounter {
  decision<Event> decide(const Add& add) const { return Added{0, add.number}; }
  void evolve(const Added& event) noexcept { sum += event.hidden; }
};

/// Its snapshot leaves out what a later event needs, which its operator== does not look at.
struct ForgetfulSnapshot : RightCounter {
  int last = 0;
  void evolve(const Added& event) noexcept {
    sum += last;
    last = event.number;
  }
  bool operator==(const ForgetfulSnapshot& other) const { return sum == other.sum; }
};

/// Its state depends on more than its events: on how many there were of all.
struct ForeignState : RightCounter {
  static inline int evolved = 0;
  void evolve(const Added&) noexcept { sum = ++evolved; }
};

/// It decides only once.
struct Thrower : RightCounter {
  decision<Event> decide(const Add& add) const {
    if (sum > 0) throw std::runtime_error("no idea");
    return Added{add.number};
  }
};

/// It counts down, and its fold only stands that in the order in which it happened.
struct Fragile : RightCounter {
  decision<Event> decide(const Add&) const { return Added{sum + 1}; }
  void evolve(const Added& event) noexcept { sum += std::array{1}.at(event.number == sum + 1 ? 0 : 1); }
};

template <class A, class Invariant = decltype(always)>
std::string found(Invariant invariant = {}) {
  return reported([&] { check_properties<A>(additions(), invariant, {.cases = 200, .seed = 1}); });
}

bool tells(const std::string& text, std::string_view beginning) {
  INFO(text);
  CHECK(text.starts_with(beginning));
  return text.find("RC_PARAMS=\"seed=1 max_success=200\"") != std::string::npos;
}

}  // namespace

TEST_CASE("an aggregate that is right passes") { CHECK(found<RightCounter>() == "nothing was reported"); }

TEST_CASE("an invariant that does not hold is told by the shortest commands, their events, and the seed") {
  const auto text = found<RightCounter>([](const RightCounter& counter) { return counter.sum == 0; });
  CHECK(tells(text, "the invariant does not hold: {\"sum\":1}\n"
                    "when cairn::tests::Add {\"number\":1}\n"
                    "then ADD {\"number\":1}\n"
                    "found after "));
}

TEST_CASE("an invariant that only several commands break is told with all of them") {
  const auto text = found<RightCounter>([](const RightCounter& counter) { return counter.sum < 150; });
  CHECK(tells(text, "the invariant does not hold: {\"sum\":150}\nwhen cairn::tests::Add {\"number\":"));
  CHECK(text.find("when", text.find("when") + 1) != std::string::npos);
}

TEST_CASE("what an invariant throws is told") {
  const auto text = found<RightCounter>([](const RightCounter&) -> bool { throw std::runtime_error("cannot say"); });
  CHECK(tells(text, "the invariant threw: cannot say\nwhen cairn::tests::Add {\"number\":0}\nthen ADD {\"number\":0}\nfound"));
}

TEST_CASE("events whose bytes say too little are found by the replay") {
  CHECK(tells(found<ForgetfulEvents>(), "the replay to version 1 is not as the live state\n"
                                        "  sum: expected 1, actual 0\n"
                                        "when cairn::tests::Add {\"number\":1}\n"
                                        "then ADD {\"number\":0}\n"));
}

TEST_CASE("a fold of more than its events is found by the replay") {
  CHECK(tells(found<ForeignState>(), "the replay to version 1 is not as the live state\n  sum: expected "));
}

TEST_CASE("a snapshot that says too little is found by the events behind it") {
  CHECK(tells(found<ForgetfulSnapshot>(), "a snapshot of version 1 and the events behind it are not as the replay\n"
                                          "  sum: expected 1, actual 0\n"
                                          "when cairn::tests::Add {\"number\":1}\n"
                                          "then ADD {\"number\":1}\n"
                                          "when cairn::tests::Add {\"number\":0}\n"
                                          "then ADD {\"number\":0}\n"));
}

TEST_CASE("an exception in decide is told with the commands that lead to it") {
  CHECK(tells(found<Thrower>(), "decide threw: no idea\n"
                                "when cairn::tests::Add {\"number\":1}\n"
                                "then ADD {\"number\":1}\n"
                                "when cairn::tests::Add {\"number\":0}\n"
                                "found after "));
}

TEST_CASE("evolves in an order that it does not stand" * doctest::skip()) {
  check_properties<Fragile>(additions(), always, {.cases = 200, .seed = 1});
}

TEST_CASE("an evolve that does not take its events in any order ends the program, which says what was tried") {
  const auto run = run_alone("evolves in an order that it does not stand");
  CHECK(run.code != 0);
  CHECK(run.mentions("evolve threw, and has to be noexcept\nwhen cairn::tests::Add "));
  CHECK(run.mentions("and the events in another order, where any may be missing or repeated:\nthen ADD "));
}

}  // namespace cairn::tests
