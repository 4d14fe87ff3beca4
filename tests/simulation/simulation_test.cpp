// Simulated runs of the whole runtime: that they keep every promise, repeat themselves from their seed, and find out those that
// do not keep theirs.
#include "settings.hpp"
#include "simulation/workload.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/testkit/simulate.hpp>

#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <limits>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace cairn::tests {

using namespace testkit;
namespace {

using stock::AddStock;
using stock::Count;
using stock::Enrol;
using stock::Product;
using stock::ProductWorkload;
using stock::StockAdded;

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// Replays one seed, as the command of a failure does.
class environment_seed {
public:
  explicit environment_seed(const std::string& seed) {
    ::setenv("CAIRN_SIMULATION_FIRST", seed.c_str(), 1);
    ::setenv("CAIRN_SIMULATION_SEEDS", "1", 1);
  }
  ~environment_seed() {
    ::unsetenv("CAIRN_SIMULATION_FIRST");
    ::unsetenv("CAIRN_SIMULATION_SEEDS");
  }
  environment_seed(const environment_seed&) = delete;
  environment_seed& operator=(const environment_seed&) = delete;
};

// Where somebody replays a seed of the product, the tests that are about other seeds have nothing to say.
bool is_replay() { return std::getenv("CAIRN_SIMULATION_FIRST") || std::getenv("CAIRN_SIMULATION_SEEDS"); }

}  // namespace

TEST_CASE("a product keeps its promises, whatever fails") {
  const seeds which{tests::setting("CAIRN_TEST_FIRST", 1), tests::setting("CAIRN_TEST_SEEDS", 1'500)};
  const auto report = simulate<Product>(ProductWorkload{}, {}, which);
  CHECK_MESSAGE(report.passed(), report.text());
  tests::show("simulation: " + report.figures.text());
  if (which.count < 1'500 || is_replay()) return;
  // A workload that is too tame finds nothing.
  for (const auto* fault : {"failed sync", "failed write", "full disk", "torn write", "power cut", "power cut without syncs",
                            "failed read", "failed open", "interruption", "failed snapshot", "damaged snapshot", "failed index",
                            "lost index", "crash", "restart", "killed aggregate", "slow disk", "stalled actor", "clock jump"}) {
    CHECK_MESSAGE(report.figures.faults.contains(fault), fault);
  }
  for (const auto* answer : {"accepted", "rejected", "repeated", "state", "version_conflict", "overloaded", "deadline_passed",
                             "timed_out", "journal_unavailable", "abandoned", "draining"}) {
    CHECK_MESSAGE(report.figures.answers.contains(answer), answer);
  }
}

TEST_CASE("so it does with seeds that nobody has tried before, as long as there is time") {
  if (is_replay()) return;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(tests::setting("CAIRN_TEST_SECONDS", 10));
  const std::uint64_t first = std::random_device{}();
  simulation_figures all;
  for (seeds which{first, 100}; std::chrono::steady_clock::now() < until; which.first += which.count) {
    const auto report = simulate<Product>(ProductWorkload{}, {}, which);
    all += report.figures;
    REQUIRE_MESSAGE(report.passed(), report.text());
  }
  tests::show("simulation: fresh seeds from " + std::to_string(first) + " on: " + all.text());
}

TEST_CASE("the same seed gives the same history, byte for byte, and another seed another one") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    const auto history = simulated_history<Product>(ProductWorkload{}, seed);
    CHECK(history == simulated_history<Product>(ProductWorkload{}, seed));
    CHECK(history != simulated_history<Product>(ProductWorkload{}, seed + 1));
  }
}

TEST_CASE("where nothing fails, every outcome is learned at the first attempt") {
  if (is_replay()) return;
  const auto report = simulate<Product>(ProductWorkload{}, faults::none(), {1, 100});
  CHECK_MESSAGE(report.passed(), report.text());
  CHECK(report.figures.faults.empty());
  CHECK(report.figures.answers.at("accepted") > 0);
  CHECK_FALSE(report.figures.answers.contains("journal_unavailable"));
  CHECK_FALSE(report.figures.answers.contains("abandoned"));
}

TEST_CASE("each fault by itself is survived, too") {
  if (is_replay()) return;
  const auto only = [](double faults::*kind, double share) {
    auto rates = faults::none();
    rates.*kind = share;
    const auto report = simulate<Product>(ProductWorkload{}, rates, {1, 40});
    CHECK_MESSAGE(report.passed(), report.text());
    // Only the lack of syncs is counted beside its power cut.
    CHECK(report.figures.faults.size() == 1 + report.figures.faults.count("power cut without syncs"));
  };
  only(&faults::failed_sync, 0.2);
  only(&faults::failed_write, 0.2);
  only(&faults::full_disk, 0.05);
  only(&faults::torn_write, 0.05);
  only(&faults::power_cut, 0.05);
  only(&faults::failed_read, 0.2);
  only(&faults::failed_open, 0.1);
  only(&faults::interruption, 0.5);
  only(&faults::failed_index, 1);
  only(&faults::lost_index, 1);
  only(&faults::failed_save, 1);
  only(&faults::damaged_snapshot, 1);
  only(&faults::crash, 0.01);
  only(&faults::restart, 0.01);
  only(&faults::killed_aggregate, 0.1);
  only(&faults::slow_disk, 1);
  only(&faults::stalled_actor, 0.5);
  only(&faults::clock_jump, 0.2);
}

TEST_CASE("what cannot be simulated is refused with a sentence") {
  if (is_replay()) return;
  const auto refusal = [](const faults& rates, seeds which) {
    try {
      simulate<Product>(ProductWorkload{}, rates, which);
    } catch (const error& reason) { return reason.detail(); }
    return std::string("no refusal");
  };
  CHECK(refusal({}, {1, 0}) == "no seeds were given, so nothing would be simulated");
  auto rates = faults::none();
  rates.crash = 1.5;
  CHECK(has(refusal(rates, {1, 1}), "the share of a fault is 1.5"));
  const environment_seed misspelt("one");
  CHECK(refusal({}, {1, 1}) == "CAIRN_SIMULATION_FIRST must be a whole number, not 'one'");
}

// -- aggregates that the simulation must find out

namespace {

// Loses its count whenever it comes back from a snapshot.
struct Forgetful {
  static constexpr std::string_view category = "forgetful";
  using Event = std::variant<StockAdded>;
  bool known = false;
  Count count = 0;
  MSGPACK_DEFINE_MAP(known)
  bool operator==(const Forgetful&) const = default;
  decision<Event> decide(const AddStock& add) const { return StockAdded{add.count, {}}; }
  void evolve(const StockAdded& event) noexcept {
    known = true;
    count += event.count;
  }
};

// Decides by what is not in its state.
struct Moody {
  static constexpr std::string_view category = "moody";
  using Event = std::variant<StockAdded>;
  inline static int asked = 0;
  Count count = 0;
  MSGPACK_DEFINE_MAP(count)
  bool operator==(const Moody&) const = default;
  decision<Event> decide(const AddStock& add) const {
    if (++asked % 7 == 0) return reject("not_today");
    return StockAdded{add.count, {}};
  }
  void evolve(const StockAdded& event) noexcept { count += event.count; }
};

struct Emptied {
  static constexpr std::string_view type = "EMPTIED";
  Count left = 0;
  Count taken = 0;  // forgotten below
  MSGPACK_DEFINE_MAP(left)
  bool operator==(const Emptied&) const = default;
};

struct Take {
  Count count = 0;
};

// Its events lose a field on their way to the disk, and its command answers with something.
struct Leaking {
  static constexpr std::string_view category = "leaking";
  using Event = std::variant<Emptied>;
  Count taken = 0;
  MSGPACK_DEFINE_MAP(taken)
  bool operator==(const Leaking&) const = default;
  decision<Event, Count> decide(const Take& take) const { return {Emptied{0, take.count}, taken + take.count}; }
  void evolve(const Emptied& event) noexcept { taken += event.taken; }
};

// As it should be, with an answer to its command, which is not known to msgpack.
struct Tally {
  static constexpr std::string_view category = "tally";
  using Event = std::variant<StockAdded>;
  Count count = 0;
  MSGPACK_DEFINE_MAP(count)
  bool operator==(const Tally&) const = default;
  decision<Event, Count> decide(const Take& take) const {
    if (take.count == 0) return {cairn::accepted, count};
    return {std::vector<Event>(static_cast<std::size_t>(take.count), StockAdded{1, {}}), count + take.count};
  }
  void evolve(const StockAdded& event) noexcept { count += event.count; }
};

// Throws at some commands, as its author may like.
struct Touchy {
  static constexpr std::string_view category = "touchy";
  using Event = std::variant<StockAdded>;
  Count count = 0;
  MSGPACK_DEFINE_MAP(count)
  bool operator==(const Touchy&) const = default;
  decision<Event> decide(const AddStock& add) const {
    if (add.count == 5) throw std::runtime_error("five is too many");
    return StockAdded{add.count, "caf\xe9"};  // not UTF-8
  }
  void evolve(const StockAdded& event) noexcept { count += event.count; }
};

std::variant<AddStock> add_some(random& random) { return AddStock{random.between(1, 5)}; }
std::variant<Take> take_some(random& random) { return Take{random.between(0, 3)}; }

}  // namespace

TEST_CASE("commands that store several events, none, and answer with a value are simulated like any other") {
  if (is_replay()) return;
  const auto report = simulate<Tally>(take_some, {}, {1, 100});
  CHECK_MESSAGE(report.passed(), report.text());
}

TEST_CASE("an exception of decide is an answer like any other, where decide throws") {
  if (is_replay()) return;
  const auto report = simulate<Touchy>(add_some, {}, {1, 100});
  CHECK_MESSAGE(report.passed(), report.text());
  CHECK(report.figures.answers.at("decide_failed") > 0);
}

TEST_CASE("random numbers may be of any range, and none is picked from nothing") {
  random chance(1);
  constexpr auto least = std::numeric_limits<std::int64_t>::min();
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  CHECK(chance.between(least, most) != chance.between(least, most));
  CHECK(chance.between(most, most) == most);
  CHECK(chance.between(least, least) == least);
  CHECK_THROWS_AS(chance.pick(std::vector<int>{}), error);
}

TEST_CASE("a state that forgets a field in its snapshots is found out, and the report says how to see it again") {
  if (is_replay()) return;
  const auto report = simulate<Forgetful>(add_some, {}, {1, 100});
  REQUIRE(report.failure);
  const auto& failure = *report.failure;
  const auto text = report.text();
  CHECK(has(failure.what, "forgetful/"));
  // The two states look equal, so the report has to say why they are not.
  CHECK(has(failure.what, "both values have the same msgpack bytes but differ by operator==: a member is missing from the "
                          "MSGPACK_DEFINE_MAP of cairn::tests::Forgetful (which has known)"));
  CHECK(has(text, "seed " + std::to_string(failure.seed) + ": " + failure.what));
  CHECK(has(text, "What happened last:"));
  CHECK(has(failure.replay, "CAIRN_SIMULATION_FIRST=" + std::to_string(failure.seed) + " CAIRN_SIMULATION_SEEDS=1 "));
  CHECK(has(failure.replay, "simulation_tests"));
  CHECK(has(text, failure.replay));
  REQUIRE(failure.trace.size() > 10);
  CHECK(has(failure.trace.front(), "the process starts"));

  const environment_seed replayed(std::to_string(failure.seed));
  const auto again = simulate<Forgetful>(add_some, {}, {12'345, 100});  // the environment goes before
  REQUIRE(again.failure);
  CHECK(again.figures.runs == 1);
  CHECK(again.failure->seed == failure.seed);
  CHECK(again.failure->what == failure.what);
  CHECK(again.failure->trace == failure.trace);
}

TEST_CASE("an aggregate that decides by what is not in its state is found out") {
  if (is_replay()) return;
  CHECK_FALSE(simulate<Moody>(add_some, {}, {1, 100}).passed());
}

TEST_CASE("an event that forgets a field on its way to the disk is found out") {
  if (is_replay()) return;
  const auto report = simulate<Leaking>(take_some, {}, {1, 100});
  REQUIRE(report.failure);
  CHECK(has(report.failure->what, "not linearizable"));
}

}  // namespace cairn::tests
