// Stories of aggregates: each kind of mismatch is caught and told readably, and aggregates that are wrong in one thing are found.
#include "reported.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/testkit/given.hpp>

#include <cstdint>
#include <doctest/doctest.h>
#include <limits>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace cairn::tests {
namespace {

using testkit::given;

// --- a tank that does all right, and with it events, commands and results that are each wrong in one thing ---

struct Filled {
  static constexpr std::string_view type = "FILL";
  int litres = 0;
  std::vector<std::string> by = {};
  MSGPACK_DEFINE_MAP(litres, by)
  bool operator==(const Filled&) const = default;
};
struct Emptied {
  static constexpr std::string_view type = "EMPTY";
  bool operator==(const Emptied&) const = default;
};
struct Spilled {
  static constexpr std::string_view type = "SPILL";
  int litres = 0;
  std::string where = {};
  MSGPACK_DEFINE_MAP(litres)  // where is forgotten
  bool operator==(const Spilled&) const = default;
};
struct Weathered {
  static constexpr std::string_view type = "WEATHER";
  int days = 0;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack(days);
  }
  void msgpack_unpack(const msgpack::object& from) { days = from.as<int>() + 1; }
  bool operator==(const Weathered&) const = default;
};
struct Rusted {
  static constexpr std::string_view type = "RUST";
  int depth = 0;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack("deep");
  }
  void msgpack_unpack(const msgpack::object& from) { depth = from.as<int>(); }
  bool operator==(const Rusted&) const = default;
};

struct Fill {
  int litres = 0;
  MSGPACK_DEFINE_MAP(litres)
  bool operator==(const Fill&) const = default;
};
struct Empty {  // as a command of a user's is that has no need of msgpack, nor of a default constructor
  explicit Empty(bool gently) : is_gentle(gently) {}
  bool is_gentle;
};
struct FillTwice {};
struct Spill {};
struct Weather {};
struct Rust {};
struct Flood {};
struct Leave {};
struct Explode {};
struct Burst {};
struct FillBlindly {
  int litres = 0;
  int hidden = 0;
  MSGPACK_DEFINE_MAP(litres)  // hidden is forgotten
  bool operator==(const FillBlindly&) const = default;
};

struct Level {
  int litres = 0;
  bool is_low = false;
  MSGPACK_DEFINE_MAP(litres, is_low)
  bool operator==(const Level&) const = default;
};
struct Weight {
  int kilograms = 0;
  int grams = 0;
  MSGPACK_DEFINE_MAP(kilograms)  // grams is forgotten
  bool operator==(const Weight&) const = default;
};
struct LookAtLevel {};
struct Weigh {};
struct Recite {};
struct Pour {
  int litres = 0;
  MSGPACK_DEFINE_MAP(litres)
  bool operator==(const Pour&) const = default;
};

struct Tank {
  static constexpr std::string_view category = "tank";
  using Event = std::variant<Filled, Emptied, Spilled, Weathered, Rusted>;
  using Decision = decision<Event>;

  int litres = 0;
  MSGPACK_DEFINE_MAP(litres)
  bool operator==(const Tank&) const = default;

  Decision decide(const Fill& fill) const {
    if (litres + fill.litres > 10) return reject("too_much");
    if (fill.litres == 0) return cairn::accepted;
    return Filled{fill.litres};
  }
  Decision decide(const FillTwice&) const { return std::vector<Event>{Filled{1}, Filled{2, {"a", "b"}}}; }
  Decision decide(const Empty&) const { return Emptied{}; }
  Decision decide(const Spill&) const { return Spilled{1, "here"}; }
  Decision decide(const Weather&) const { return Weathered{1}; }
  Decision decide(const Rust&) const { return Rusted{}; }
  Decision decide(const Flood&) const { return std::vector<Event>(limits::events_per_decision_max + 1, Emptied{}); }
  Decision decide(const Leave&) const { return cairn::accepted; }
  Decision decide(const Explode&) const { throw std::runtime_error("too hot"); }
  Decision decide(const Burst&) const { throw 7; }
  Decision decide(const FillBlindly& fill) const { return Filled{fill.litres}; }
  decision<Event, Level> decide(const LookAtLevel&) const { return {cairn::accepted, Level{litres, litres < 3}}; }
  decision<Event, Weight> decide(const Weigh&) const { return {cairn::accepted, Weight{litres, 5}}; }
  decision<Event, std::string> decide(const Recite&) const {
    return {cairn::accepted, std::string(limits::metadata_field_bytes_max, 'a')};
  }
  decision<Event, int> decide(const Pour& pour) const {
    if (pour.litres > 10) return reject("too_much");
    return {Filled{pour.litres}, litres + pour.litres};
  }

  void evolve(const Filled& event) noexcept { litres += event.litres; }
  void evolve(const Emptied&) noexcept { litres = 0; }
  void evolve(const Spilled& event) noexcept { litres -= event.litres; }
  void evolve(const Weathered&) noexcept {}
  void evolve(const Rusted&) noexcept {}
};

/// A tank that forgets a field of its state in its snapshots.
struct ForgetfulTank {
  static constexpr std::string_view category = "tank";
  using Event = std::variant<Filled>;

  int litres = 0;
  int fillings = 0;
  MSGPACK_DEFINE_MAP(litres)  // fillings is forgotten
  bool operator==(const ForgetfulTank&) const = default;

  decision<Event> decide(const Fill& fill) const { return Filled{fill.litres}; }
  void evolve(const Filled& event) noexcept {
    litres += event.litres;
    ++fillings;
  }
};

/// A tank that folds wrongly: it keeps what was filled last.
struct WrongTank {
  static constexpr std::string_view category = "tank";
  using Event = std::variant<Filled>;

  int litres = 0;
  MSGPACK_DEFINE_MAP(litres)
  bool operator==(const WrongTank&) const = default;

  decision<Event> decide(const Fill& fill) const { return Filled{fill.litres}; }
  void evolve(const Filled& event) noexcept { litres = event.litres; }
};

}  // namespace

// --- stories that are true ---

TEST_CASE("a story is told in one statement, and goes on from the state that is reached") {
  given<Tank>(Filled{2}, Filled{1})
      .when(Fill{3})
      .then(Filled{3})
      .then_state(Tank{6})
      .then_state([](const Tank& tank) { return tank.litres == 6; })
      .when(Fill{5})
      .then_rejected("too_much")
      .then_state(Tank{6})
      .when(Fill{0})
      .then_nothing()
      .when(Empty{true})
      .then(Emptied{})
      .when(FillTwice{})
      .then(Filled{1}, Filled{2, {"a", "b"}})
      .then_state({.litres = 3});
}

TEST_CASE("a story can begin with nothing, and end without a command") {
  given<Tank>().when(Fill{1}).then(Filled{1});
  given<Tank>().then_state(Tank{});
  given<Tank>(Filled{2}, Emptied{}, Tank::Event{Filled{1}}).then_state(Tank{1}).then_state([](const Tank& tank) {
    return tank.litres == 1;
  });
}

TEST_CASE("a command with a result has it looked at") {
  given<Tank>(Filled{2}).when(LookAtLevel{}).then_nothing().then_result({.litres = 2, .is_low = true});
  given<Tank>(Filled{2}).when(Pour{3}).then(Filled{3}).then_result(5).when(Pour{11}).then_rejected("too_much");
}

// --- mismatches ---

TEST_CASE("another event is told field by field, with the whole story") {
  CHECK(reported([] { given<Tank>(Filled{1}).when(Fill{3}).then(Filled{2}); }) == "the event is not as expected\n"
                                                                                  "  litres: expected 2, actual 3\n"
                                                                                  "given FILL {\"litres\":1,\"by\":[]}\n"
                                                                                  "when cairn::tests::Fill {\"litres\":3}\n"
                                                                                  "then FILL {\"litres\":3,\"by\":[]}");
}

TEST_CASE("an event of another type is told with both") {
  CHECK(reported([] { given<Tank>().when(Fill{3}).then(Emptied{}); }) == "the event is not as expected\n"
                                                                         "  expected EMPTY {}\n"
                                                                         "  actual FILL {\"litres\":3,\"by\":[]}\n"
                                                                         "when cairn::tests::Fill {\"litres\":3}\n"
                                                                         "then FILL {\"litres\":3,\"by\":[]}");
}

TEST_CASE("of several events, the one that differs is told, down to the element") {
  CHECK(reported([] {
          given<Tank>().when(FillTwice{}).then(Filled{1}, Filled{2, {"a", "c"}});
        }) == "event 2 is not as expected\n"
              "  by[1]: expected \"c\", actual \"b\"\n"
              "when cairn::tests::FillTwice {}\n"
              "then FILL {\"litres\":1,\"by\":[]}, FILL {\"litres\":2,\"by\":[\"a\",\"b\"]}");
}

TEST_CASE("more events, fewer events and none at all are told as they are") {
  CHECK(reported([] { given<Tank>().when(FillTwice{}).then(Filled{1}); }) ==
        "the answer is not as expected\n"
        "  expected FILL {\"litres\":1,\"by\":[]}\n"
        "  actual FILL {\"litres\":1,\"by\":[]}, FILL {\"litres\":2,\"by\":[\"a\",\"b\"]}\n"
        "when cairn::tests::FillTwice {}\n"
        "then FILL {\"litres\":1,\"by\":[]}, FILL {\"litres\":2,\"by\":[\"a\",\"b\"]}");
  CHECK(reported([] { given<Tank>().when(Fill{0}).then(Filled{0}); }) == "the answer is not as expected\n"
                                                                         "  expected FILL {\"litres\":0,\"by\":[]}\n"
                                                                         "  actual nothing\n"
                                                                         "when cairn::tests::Fill {\"litres\":0}\n"
                                                                         "then nothing");
  CHECK(reported([] { given<Tank>().when(Fill{1}).then_nothing(); }) == "the answer is not as expected\n"
                                                                        "  expected nothing\n"
                                                                        "  actual FILL {\"litres\":1,\"by\":[]}\n"
                                                                        "when cairn::tests::Fill {\"litres\":1}\n"
                                                                        "then FILL {\"litres\":1,\"by\":[]}");
}

TEST_CASE("a refusal that is not expected is told, and so is one that is missing or has another reason") {
  CHECK(reported([] { given<Tank>().when(Fill{11}).then(Filled{11}); }) == "the answer is not as expected\n"
                                                                           "  expected FILL {\"litres\":11,\"by\":[]}\n"
                                                                           "  actual rejected: too_much\n"
                                                                           "when cairn::tests::Fill {\"litres\":11}\n"
                                                                           "then rejected: too_much");
  CHECK(reported([] { given<Tank>().when(Fill{11}).then_nothing(); }) == "the answer is not as expected\n"
                                                                         "  expected nothing\n"
                                                                         "  actual rejected: too_much\n"
                                                                         "when cairn::tests::Fill {\"litres\":11}\n"
                                                                         "then rejected: too_much");
  CHECK(reported([] { given<Tank>().when(Fill{1}).then_rejected("too_much"); }) == "the answer is not as expected\n"
                                                                                   "  expected rejected: too_much\n"
                                                                                   "  actual FILL {\"litres\":1,\"by\":[]}\n"
                                                                                   "when cairn::tests::Fill {\"litres\":1}\n"
                                                                                   "then FILL {\"litres\":1,\"by\":[]}");
  CHECK(reported([] { given<Tank>().when(Fill{11}).then_rejected("too_little"); }) == "the answer is not as expected\n"
                                                                                      "  expected rejected: too_little\n"
                                                                                      "  actual rejected: too_much\n"
                                                                                      "when cairn::tests::Fill {\"litres\":11}\n"
                                                                                      "then rejected: too_much");
}

TEST_CASE("another result is told field by field, and one that a refusal leaves out as well") {
  CHECK(reported([] { given<Tank>(Filled{2}).when(LookAtLevel{}).then_result({.litres = 3, .is_low = false}); }) ==
        "the result is not as expected\n"
        "  litres: expected 3, actual 2\n"
        "  is_low: expected false, actual true\n"
        "given FILL {\"litres\":2,\"by\":[]}\n"
        "when cairn::tests::LookAtLevel {}\n"
        "then nothing with result {\"litres\":2,\"is_low\":true}");
  CHECK(reported([] { given<Tank>().when(Pour{1}).then_result(2); }) == "the result is not as expected\n"
                                                                        "  expected 2, actual 1\n"
                                                                        "when cairn::tests::Pour {\"litres\":1}\n"
                                                                        "then FILL {\"litres\":1,\"by\":[]} with result 1");
  CHECK(reported([] { given<Tank>().when(Pour{11}).then_result(11); }) == "the answer is not as expected\n"
                                                                          "  expected result 11\n"
                                                                          "  actual rejected: too_much\n"
                                                                          "when cairn::tests::Pour {\"litres\":11}\n"
                                                                          "then rejected: too_much");
}

TEST_CASE("a state that is folded wrongly is told field by field, or as a whole to a predicate") {
  CHECK(reported([] { given<WrongTank>(Filled{1}).when(Fill{2}).then(Filled{2}).then_state(WrongTank{3}); }) ==
        "the state is not as expected\n"
        "  litres: expected 3, actual 2\n"
        "given FILL {\"litres\":1,\"by\":[]}\n"
        "when cairn::tests::Fill {\"litres\":2}\n"
        "then FILL {\"litres\":2,\"by\":[]}");
  const auto is_full = [](const WrongTank& tank) { return tank.litres == 3; };
  CHECK(reported([&] { given<WrongTank>(Filled{1}).when(Fill{2}).then_state(is_full); }) ==
        "the state is not as expected: {\"litres\":2}\n"
        "given FILL {\"litres\":1,\"by\":[]}\n"
        "when cairn::tests::Fill {\"litres\":2}\n"
        "then FILL {\"litres\":2,\"by\":[]}");
  CHECK(reported([] { given<WrongTank>(Filled{1}, Filled{2}).then_state(WrongTank{3}); }) ==
        "the state is not as expected\n"
        "  litres: expected 3, actual 2\n"
        "given FILL {\"litres\":1,\"by\":[]}\n"
        "given FILL {\"litres\":2,\"by\":[]}");
  CHECK(reported([&] { given<WrongTank>(Filled{1}, Filled{2}).then_state(is_full); }) ==
        "the state is not as expected: {\"litres\":2}\n"
        "given FILL {\"litres\":1,\"by\":[]}\n"
        "given FILL {\"litres\":2,\"by\":[]}");
}

TEST_CASE("a command's story that went well is part of what the next one tells") {
  CHECK(reported([] { given<Tank>().when(Fill{1}).then(Filled{1}).when(Fill{10}).then_nothing(); }) ==
        "the answer is not as expected\n"
        "  expected nothing\n"
        "  actual rejected: too_much\n"
        "when cairn::tests::Fill {\"litres\":1}\n"
        "then FILL {\"litres\":1,\"by\":[]}\n"
        "when cairn::tests::Fill {\"litres\":10}\n"
        "then rejected: too_much");
}

// --- what decide does wrong ---

TEST_CASE("an exception in decide is told with its text") {
  CHECK(reported([] { given<Tank>(Filled{1}).when(Explode{}).then(Filled{1}); }) == "decide threw: too hot\n"
                                                                                    "given FILL {\"litres\":1,\"by\":[]}\n"
                                                                                    "when cairn::tests::Explode {}");
  CHECK(reported([] { given<Tank>().when(Burst{}).then(Filled{1}); }) == "decide threw: something that is no std::exception\n"
                                                                         "when cairn::tests::Burst {}");
}

TEST_CASE("a decision of more events than the runtime takes is told") {
  CHECK(reported([] { given<Tank>().when(Flood{}).then(Emptied{}); })
            .starts_with("a decision has " + std::to_string(limits::events_per_decision_max + 1) + " events, and may have " +
                         std::to_string(limits::events_per_decision_max) + "\nwhen cairn::tests::Flood {}\nthen EMPTY {}, "));
}

TEST_CASE("a result for which a record has no room is told") {
  const auto size = limits::metadata_field_bytes_max;
  CHECK(reported([&] {
          given<Tank>().when(Recite{}).then_result(std::string(size, 'a'));
        }).starts_with("the result takes " + std::to_string(size + 5) + " bytes, and may take " + std::to_string(size) + "\n"));
}

// --- what is forgotten in a MSGPACK_DEFINE_MAP ---

TEST_CASE("a field forgotten in an event is found, given or decided") {
  const std::string flaw = "cairn::tests::Spilled comes back from its bytes as another value: is a field missing in its "
                           "MSGPACK_DEFINE_MAP, which has litres?";
  CHECK(reported([] { given<Tank>(Spilled{1, "here"}).when(Fill{1}).then(Filled{1}); }) == flaw + "\ngiven SPILL {\"litres\":1}");
  CHECK(reported([] { given<Tank>(Spilled{1, "here"}).then_state(Tank{-1}); }) == flaw + "\ngiven SPILL {\"litres\":1}");
  CHECK(reported([] {
          given<Tank>().when(Spill{}).then(Spilled{1, "here"});
        }) == flaw + "\nwhen cairn::tests::Spill {}\nthen SPILL {\"litres\":1}");
}

TEST_CASE("an expected event that differs in a forgotten field is told as such") {
  // The forgotten field has its default in what is decided, and so only the expectation can show it.
  const testkit::detail::lines told = testkit::detail::differences_of(Spilled{1, "there"}, Spilled{1, "here"});
  CHECK(told ==
        testkit::detail::lines{"both values have the same msgpack bytes but differ by operator==: a member is missing from "
                               "the MSGPACK_DEFINE_MAP of cairn::tests::Spilled (which has litres), or operator== compares "
                               "something that is not stored"});
}

TEST_CASE("an expected state that differs in a forgotten member is explained, not shown twice") {
  CHECK(reported([] { given<ForgetfulTank>().then_state(ForgetfulTank{.fillings = 7}); })
            .starts_with("the state is not as expected\n"
                         "  both values have the same msgpack bytes but differ by operator==: a member is missing from the "
                         "MSGPACK_DEFINE_MAP of cairn::tests::ForgetfulTank (which has litres), or operator== compares something "
                         "that is not stored"));
}

TEST_CASE("two states that are not equal because of a NaN are explained, not shown as NaN and NaN") {
  const auto nan = std::numeric_limits<double>::quiet_NaN();
  const auto told = testkit::detail::differences_of(std::vector<double>{nan}, std::vector<double>{nan});
  CHECK(told == testkit::detail::lines{"both values have the same msgpack bytes but differ by operator==: a member is not a "
                                       "number, and differs from itself"});
}

TEST_CASE("an event that comes back as another one, or not at all, is told with what differs") {
  CHECK(reported([] { given<Tank>().when(Weather{}).then(Weathered{1}); }) ==
        "cairn::tests::Weathered comes back from its bytes as another value\n"
        "  expected 1, actual 2\n"
        "when cairn::tests::Weather {}\n"
        "then WEATHER 1");
  CHECK(reported([] {
          given<Tank>().when(Rust{}).then(Rusted{});
        }).starts_with("cairn::tests::Rusted does not come back from its bytes: "));
}

TEST_CASE("a field forgotten in the state is found, after the given events and after a command") {
  const std::string flaw = "cairn::tests::ForgetfulTank comes back from its bytes as another value: is a field missing in its "
                           "MSGPACK_DEFINE_MAP, which has litres?";
  CHECK(reported([] { given<ForgetfulTank>(Filled{1}).when(Fill{1}).then(Filled{1}); }) ==
        flaw + "\ngiven FILL {\"litres\":1,\"by\":[]}");
  CHECK(reported([] { given<ForgetfulTank>().when(Fill{1}).then(Filled{1}); }) ==
        flaw + "\nwhen cairn::tests::Fill {\"litres\":1}\nthen FILL {\"litres\":1,\"by\":[]}");
}

TEST_CASE("a field forgotten in a command is found") {
  CHECK(reported([] {
          given<Tank>().when(FillBlindly{1, 2}).then(Filled{1});
        }) ==
        "cairn::tests::FillBlindly comes back from its bytes as another value: is a field missing in its MSGPACK_DEFINE_MAP, "
        "which has litres?\n"
        "when cairn::tests::FillBlindly {\"litres\":1}\n"
        "then FILL {\"litres\":1,\"by\":[]}");
}

TEST_CASE("a field forgotten in a result is found") {
  CHECK(reported([] {
          given<Tank>().when(Weigh{}).then_result({0, 5});
        }) == "cairn::tests::Weight comes back from its bytes as another value: is a field missing in its MSGPACK_DEFINE_MAP, "
              "which has kilograms?\n"
              "when cairn::tests::Weigh {}\n"
              "then nothing with result {\"kilograms\":0}");
}

// --- how failures are reported ---

TEST_CASE("a command of which nothing is expected is a failure of its own") {
  const std::string missing = "nothing is expected of this command: a `then…` is missing\n"
                              "when cairn::tests::Leave {}\nthen nothing";
  CHECK(reported([] { static_cast<void>(given<Tank>().when(Leave{})); }) == missing);
  CHECK(reported([] { given<Tank>().when(Leave{}).when(Fill{1}).then(Filled{1}); }) == missing);
  CHECK(reported([] { given<Tank>().when(Leave{}).then_nothing().when(Fill{1}).then(Filled{1}); }) == "nothing was reported");
}

TEST_CASE("a failure has the line of its own `then…`, or of the `when` where that is what is wrong") {
  std::vector<std::uint32_t> offsets;
  const auto start = std::source_location::current().line();
  const failures_go_to here([&](const testkit::failure& failed) { offsets.push_back(failed.where().line() - start); });
  given<Tank>(Spilled{1, "here"})
      .when(Fill{1})  // 3: the given event has a flaw
      .then(Filled{2})
      .then_nothing()           // 5
      .then_rejected("never")   // 6
      .then_state(Tank{7})      // 7
      .when(Explode{})          // 8
      .then(Filled{2})          // says nothing more
      .then_nothing()           // nor does this
      .then_rejected("never");  // nor this
  CHECK(offsets == std::vector<std::uint32_t>{3, 3, 5, 6, 7, 8});
}

TEST_CASE("a test that ends with an exception of its own has that one alone") {
  const auto throw_own = [] { throw std::runtime_error("the test's own"); };
  const auto story = [&] {
    auto asked = given<Tank>().when(Leave{});
    throw_own();
    asked.then_nothing();
  };
  CHECK_THROWS_WITH_AS(story(), "the test's own", std::runtime_error);
}

}  // namespace cairn::tests
