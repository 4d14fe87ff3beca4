// The checker of histories: textbook histories, and random ones beside a checker that tries every order.
#include "product_histories.hpp"

#include "settings.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/testkit/aggregate_model.hpp>
#include <cairn/testkit/linearizability.hpp>

#include <chrono>
#include <doctest/doctest.h>
#include <stdexcept>

namespace cairn::tests {
namespace {

using testkit::accepted;
using testkit::check_linearizable;
using testkit::command_asked;
using testkit::conflict;
using testkit::linearizability;
using testkit::linearization;
using testkit::not_stored;
using testkit::rejected;
using testkit::seen_state;
using testkit::state_asked;

using places = std::vector<std::size_t>;

// -- a register

struct register_input {
  std::optional<int> write;  // or a read
  bool operator==(const register_input&) const = default;
};

/// Holds 0 at first. The output of a write is 0.
struct plain_register {
  using state_type = int;
  using input_type = register_input;
  using output_type = int;

  int initial() const { return 0; }
  std::size_t hash(int value) const { return static_cast<std::size_t>(value); }
  std::optional<int> step(int value, const register_input& input, const int* output) const {
    if (input.write) return *input.write;
    return !output || *output == value ? std::optional(value) : std::nullopt;
  }
};

using register_operation = testkit::operation_of<plain_register>;
using register_history = std::vector<register_operation>;

register_operation write(std::uint64_t client, std::int64_t called, std::int64_t returned, int value) {
  return {client, called, returned, {value}, 0};
}
register_operation read(std::uint64_t client, std::int64_t called, std::int64_t returned, int value) {
  return {client, called, returned, {}, value};
}
register_operation lost_write(std::uint64_t client, std::int64_t called, int value) { return {client, called, {}, {value}, {}}; }

linearization check(const register_history& history, testkit::check_options options = {}) {
  return check_linearizable(plain_register{}, std::span<const register_operation>(history), options);
}

// -- an aggregate with everything that a decision can be

struct Added {
  static constexpr std::string_view type = "ADDED";
  int count = 0;
  MSGPACK_DEFINE_MAP(count)
};

struct Add {
  int count = 0;
  int times = 1;  // 0: nothing happens
  bool operator==(const Add&) const = default;
};
struct Take {  // without ==
  int count = 0;
};

struct Tally {
  static constexpr std::string_view category = "tally";
  using Event = std::variant<Added>;
  int total = 0;
  MSGPACK_DEFINE_MAP(total)
  bool operator==(const Tally&) const = default;

  cairn::decision<Event, int> decide(const Add& add) const {
    if (add.times == 0) return {cairn::accepted, total};
    return {std::vector<Event>(static_cast<std::size_t>(add.times), Added{add.count}), total + add.times * add.count};
  }
  cairn::decision<Event> decide(const Take& take) const {
    if (take.count > 9) throw std::runtime_error("too much at once");
    if (take.count > total) return reject("too_little");
    return Added{-take.count};
  }
  void evolve(const Added& event) noexcept { total += event.count; }
};

using tally_model = testkit::aggregate_model<Tally, Add, Take>;
using tally_operation = tally_model::operation;
using tally_history = std::vector<tally_operation>;
using asked = command_asked<Add, Take>;

std::string packed(int result) {
  std::string bytes;
  cairn::detail::encode(bytes, result);
  return bytes;
}

linearization check(const tally_history& history, testkit::check_options options = {}) {
  return testkit::check_aggregate<Tally, Add, Take>(history, options);
}

/// Operations one after the other, each called when the one before had returned.
tally_history one_by_one(std::vector<std::pair<tally_model::input_type, std::optional<tally_model::output_type>>> steps) {
  tally_history history;
  std::int64_t now = 0;
  for (auto& [input, output] : steps) {
    const auto returned = output ? std::optional<std::int64_t>(now + 1) : std::nullopt;
    history.push_back({1, now, returned, std::move(input), std::move(output)});
    now += 2;
  }
  return history;
}

seen_state<Tally> total(int count, std::uint64_t at) { return {Tally{count}, version{at}}; }

std::variant<Add, Take> random_tally_command(std::mt19937_64& random) {
  const auto count = static_cast<int>(random() % 2 + 1);
  if (random() % 3 == 0) return Take{random() % 30 == 0 ? 10 : count};
  return Add{count, static_cast<int>(random() % 8 == 0 ? 0 : random() % 5 == 0 ? 2 : 1)};
}

using tally_maker = history_maker<Tally, Add, Take>;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string in_ms(double seconds) { return std::to_string(static_cast<long>(seconds * 1000 + 0.5)) + " ms"; }

}  // namespace

TEST_CASE("A read may see either of two concurrent writes, and all that follow see the same") {
  const auto first = write(1, 0, 10, 1), second = write(2, 0, 10, 2);
  CHECK(check({first, second, read(3, 11, 12, 1), read(3, 13, 14, 1)}));
  CHECK(check({first, second, read(3, 11, 12, 2), read(4, 13, 14, 2)}));
  CHECK_FALSE(check({first, second, read(3, 11, 12, 1), read(4, 13, 14, 2)}));
}

TEST_CASE("Herlihy and Wing: a read during a write may see it or not, but once seen it stays") {
  CHECK(check({write(1, 0, 10, 1), read(2, 1, 2, 0), read(2, 3, 4, 1)}));
  CHECK(check({write(1, 0, 10, 1), read(2, 1, 2, 1), read(3, 3, 4, 1)}));
  CHECK_FALSE(check({write(1, 0, 10, 1), read(2, 1, 2, 1), read(3, 3, 4, 0)}));
}

TEST_CASE("A history that each client would believe alone, but not all together, is refused") {
  // Sequentially consistent, not linearizable: the write had returned before the read was called.
  CHECK_FALSE(check({write(1, 0, 1, 1), read(2, 2, 3, 0)}));
  CHECK(check({write(1, 0, 2, 1), read(2, 2, 3, 0)}));  // the same moment: concurrent
}

TEST_CASE("A write of unknown outcome may count from its call on, at any time, or never") {
  CHECK(check({lost_write(1, 0, 1), read(2, 1, 2, 0), read(2, 3, 4, 0)}));
  CHECK(check({lost_write(1, 0, 1), read(2, 1, 2, 0), write(2, 3, 4, 5), read(2, 5, 6, 1)}));
  CHECK_FALSE(check({lost_write(1, 3, 1), read(2, 1, 2, 1)}));                                     // seen before it was called
  CHECK_FALSE(check({lost_write(1, 0, 1), read(2, 1, 2, 1), read(2, 3, 4, 0)}));                   // seen, then gone
  CHECK_FALSE(check({lost_write(1, 0, 1), read(2, 1, 2, 1), write(2, 3, 4, 5), write(2, 5, 6, 6),  // a second time
                     read(2, 7, 8, 1)}));
}

TEST_CASE("The order that was found explains the history, and has of unknown operations only those that it needs") {
  const auto found =
      check({read(2, 10, 11, 7), lost_write(1, 0, 7), lost_write(3, 0, 8), write(2, 5, 20, 9), read(2, 22, 23, 9)});
  CHECK(found.verdict == linearizability::linearizable);
  CHECK(found.order == places{1, 0, 3, 4});
  CHECK(found.blocked.empty());
}

TEST_CASE("What cannot be explained is named, after the longest order that there is") {
  const register_history history{write(1, 0, 1, 1), write(1, 2, 3, 2), read(2, 4, 5, 1), read(2, 6, 7, 1)};
  const auto found = check(history);
  CHECK(found.verdict == linearizability::not_linearizable);
  CHECK(found.order == places{0, 1});
  CHECK(found.blocked == places{2});
  const auto describe = [](const register_operation& one) {
    return one.input.write ? "write " + std::to_string(*one.input.write) : "read " + std::to_string(one.output.value());
  };
  CHECK(testkit::explain(found, history, describe) ==
        "not linearizable: 2 of 4 operations in order, 3 steps; the longest order is\n"
        "  client 1, 0 to 1: write 1\n"
        "  client 1, 2 to 3: write 2\n"
        "and of these, none could be next, or one could never follow:\n"
        "  client 2, 4 to 5: read 1\n");
}

TEST_CASE("A search that took as many steps as it may is undecided, whichever way it would have gone") {
  const register_history history{write(1, 0, 9, 1), write(2, 0, 9, 2), write(3, 0, 9, 3), read(4, 10, 11, 1)};
  const auto steps = check(history).steps;
  CHECK(steps > 3);
  CHECK(check(history, {.steps_max = steps}).verdict == linearizability::linearizable);
  const auto found = check(history, {.steps_max = 2});
  CHECK(found.verdict == linearizability::undecided);
  CHECK(found.steps == 2);
  CHECK(found.order == places{0, 1});
  CHECK_FALSE(found);
}

TEST_CASE("A history without operations is linearizable, and one that contradicts itself is no history") {
  CHECK(check(register_history{}));
  CHECK(check({lost_write(1, 0, 1)}));
  CHECK_THROWS_AS(check({write(1, 5, 4, 1)}), error);
  CHECK_THROWS_AS(check({register_operation{1, 5, {}, {}, 0}}), error);
  CHECK_THROWS_AS(check({register_operation{1, 5, 6, {}, {}}}), error);
}

TEST_CASE("Unknown operations with equal inputs are one choice, not many") {
  register_history history;
  for (int i = 0; i < 40; ++i) history.push_back(lost_write(10, 0, i % 2));
  for (int i = 0; i < 20; ++i) history.push_back(read(1, 2 * i + 1, 2 * i + 2, i % 2));
  CHECK(check(history));
  history.push_back(read(1, 100, 101, 7));
  const auto refused = check(history);
  CHECK(refused.verdict == linearizability::not_linearizable);
  CHECK(refused.steps < 2'000);
}

TEST_CASE("Unknown operations with inputs of their own cost little where only the last counts") {
  register_history history;
  for (int i = 0; i < 30; ++i) history.push_back(lost_write(10, 0, i + 100));
  for (int i = 0; i < 30; i += 2) history.push_back(read(1, 2 * i + 1, 2 * i + 2, i + 100));
  CHECK(check(history));
  history.push_back(read(1, 200, 201, 7));
  const auto refused = check(history);
  CHECK(refused.verdict == linearizability::not_linearizable);
  CHECK(refused.steps < 20'000);
}

TEST_CASE("Random histories of a register get the verdict of every order tried") {
  const auto histories = setting("CAIRN_TEST_OPERATIONS", 100'000);
  const auto seed = setting("CAIRN_TEST_SEED", 1);
  std::mt19937_64 random(seed);
  const auto below = [&](int limit) { return static_cast<int>(random() % static_cast<std::uint64_t>(limit)); };
  std::uint64_t yes = 0, no = 0;
  for (std::uint64_t i = 0; i < histories; ++i) {
    register_history history;
    for (int operations = 2 + below(6); operations > 0; --operations) {
      const std::int64_t called = below(12), returned = called + below(6);
      switch (below(5)) {
      case 0: history.push_back(lost_write(1, called, below(3))); break;
      case 1:
      case 2: history.push_back(write(1, called, returned, below(3))); break;
      default: history.push_back(read(1, called, returned, below(3))); break;
      }
    }
    const bool expected = every_order(plain_register{}, std::span<const register_operation>(history)).explains();
    const auto found = check(history);
    REQUIRE_MESSAGE(found.verdict == (expected ? linearizability::linearizable : linearizability::not_linearizable),
                    "history " << i << " of seed " << seed);
    REQUIRE(is_order(plain_register{}, std::span<const register_operation>(history), found.order));
    REQUIRE(is_whole(history, found.order) == expected);
    ++(expected ? yes : no);
  }
  show("checker: register, " + std::to_string(histories) + " random histories as every order says: " + std::to_string(yes) +
       " linearizable, " + std::to_string(no) + " not, seed " + std::to_string(seed));
  CHECK(yes > histories / 10);
  CHECK(no > histories / 10);
}

TEST_CASE("An aggregate answers a repeat first, then looks at the expected version, then decides") {
  const asked first{Add{2}, "a", expected_version::none_yet()};
  CHECK(check(one_by_one({{first, accepted{version{1}, 1, false, packed(2)}},
                          {asked{Add{3}, "b"}, accepted{version{2}, 1, false, packed(5)}},
                          {first, accepted{version{1}, 1, true, packed(2)}},
                          {asked{Take{9}, "c", expected_version::exactly(version{1})}, conflict{version{2}}},
                          {asked{Take{9}, "c"}, rejected{"too_little", version{2}}},
                          {asked{Take{5}, "c"}, accepted{version{3}, 1}},
                          {state_asked{}, total(0, 3)}})));
  const auto second = [&](const tally_model::output_type& output) {
    return check(one_by_one({{first, accepted{version{1}, 1, false, packed(2)}}, {first, output}})).verdict;
  };
  CHECK(second(accepted{version{1}, 1, true, packed(2)}) == linearizability::linearizable);
  CHECK(second(not_stored{errc::draining}) == linearizability::linearizable);
  CHECK(second(accepted{version{1}, 1, false, packed(2)}) == linearizability::not_linearizable);
  CHECK(second(accepted{version{2}, 1, true, packed(2)}) == linearizability::not_linearizable);
  CHECK(second(accepted{version{1}, 1, true, packed(3)}) == linearizability::not_linearizable);
  CHECK(second(conflict{version{1}}) == linearizability::not_linearizable);
}

TEST_CASE("A decision without events answers with the version that stands, and is decided again when it is repeated") {
  const asked idle{Add{1, 0}, "a"};
  CHECK(check(one_by_one({{idle, accepted{version{0}, 0, false, packed(0)}},
                          {asked{Add{3, 2}}, accepted{version{2}, 2, false, packed(6)}},
                          {idle, accepted{version{2}, 0, false, packed(6)}}})));
  CHECK_FALSE(
      check(one_by_one({{idle, accepted{version{0}, 0, false, packed(0)}}, {idle, accepted{version{0}, 0, true, packed(0)}}})));
}

TEST_CASE("A command whose decision throws was not stored") {
  CHECK(check(
      one_by_one({{asked{Take{10}}, not_stored{errc::decide_failed}}, {asked{Take{10}}, {}}, {state_asked{}, total(0, 0)}})));
  CHECK_FALSE(check(one_by_one({{asked{Take{10}}, rejected{"too_little", version{0}}}})));
}

TEST_CASE("Only a command with several attempts may be told of a repeat that nobody else asked for") {
  for (const bool retried : {false, true}) {
    const asked add{Add{2}, "a", expected_version::any(), retried};
    CHECK(bool(check(one_by_one({{add, accepted{version{1}, 1, true, packed(2)}}, {state_asked{}, total(2, 1)}}))) == retried);
    CHECK(check(one_by_one({{add, accepted{version{1}, 1, false, packed(2)}}, {state_asked{}, total(2, 1)}})));
  }
  // Twice is too often, for many attempts as well.
  const asked add{Add{2}, "a", expected_version::any(), true};
  CHECK_FALSE(check(one_by_one({{add, accepted{version{1}, 1, true, packed(2)}}, {state_asked{}, total(4, 2)}})));
}

TEST_CASE("What went wrong is refused: a version off, a lost update, a stale look, an effect twice, a loss of what was seen") {
  const asked add{Add{1}, "a"}, more{Add{1}, "b"};
  const accepted to_one{version{1}, 1, false, packed(1)}, to_two{version{2}, 1, false, packed(2)};
  CHECK(check(one_by_one({{add, to_one}, {more, to_two}, {state_asked{}, total(2, 2)}})));
  CHECK_FALSE(check(one_by_one({{add, accepted{version{2}, 1, false, packed(1)}}, {state_asked{}, total(1, 1)}})));
  CHECK_FALSE(check(one_by_one({{add, to_one}, {more, to_one}, {state_asked{}, total(1, 1)}})));
  CHECK_FALSE(check(one_by_one({{add, to_one}, {more, to_two}, {state_asked{}, total(1, 1)}})));
  CHECK_FALSE(check(one_by_one({{add, to_one}, {state_asked{}, total(2, 2)}})));
  CHECK_FALSE(check(one_by_one({{add, {}}, {state_asked{}, total(1, 1)}, {state_asked{}, total(0, 0)}})));
}

TEST_CASE("Unknown commands that are equal are one choice, although each has an id of its own") {
  tally_history history;
  for (int i = 0; i < 40; ++i) history.push_back({1, 0, {}, asked{Add{1}, std::to_string(i)}, {}});
  for (int i = 0; i < 20; ++i)
    history.push_back({2, 2 * i + 1, 2 * i + 2, state_asked{}, total(2 * i, static_cast<unsigned>(2 * i))});
  CHECK(check(history));
  history.push_back({2, 100, 101, state_asked{}, total(38, 39)});
  const auto refused = check(history);
  CHECK(refused.verdict == linearizability::not_linearizable);
  CHECK(refused.steps < 20'000);
}

TEST_CASE("Random histories of an aggregate get the verdict of every order tried, and true ones are accepted") {
  const auto histories = setting("CAIRN_TEST_OPERATIONS", 200'000);
  const auto seed = setting("CAIRN_TEST_SEED", 1);
  const plain_model<Tally, Add, Take> plain;
  tally_maker maker({}, random_tally_command);
  std::uint64_t yes = 0, no = 0, truly = 0;
  std::map<fault, std::uint64_t> refused;
  for (std::uint64_t i = 0; i < histories; ++i) {
    const auto wanted = i % 3 == 0 ? fault::none : faults[i % faults.size()];
    const auto history = maker.make(seed * 1'000'003 + i, wanted);
    const bool expected = every_order(plain, std::span<const tally_operation>(history)).explains();
    // Without the ids that count only once, and with all of them: one is the other, but for the search.
    const auto found = check(history);
    const auto found_by_all_ids = check_linearizable(tally_model(), std::span<const tally_operation>(history));
    const auto verdict = expected ? linearizability::linearizable : linearizability::not_linearizable;
    REQUIRE_MESSAGE(found.verdict == verdict, "history " << i << " of seed " << seed);
    REQUIRE_MESSAGE(found_by_all_ids.verdict == verdict, "history " << i << " of seed " << seed);
    REQUIRE(is_order(plain, std::span<const tally_operation>(history), found.order));
    REQUIRE(is_whole(history, found.order) == expected);
    if (!maker.faulty()) {
      REQUIRE_MESSAGE(expected, "history " << i << " of seed " << seed << " has a real order");
      ++truly;
    } else if (!expected) {
      ++refused[wanted];
    }
    ++(expected ? yes : no);
  }
  std::string by_fault;
  for (const auto which : faults) {
    by_fault += std::string(", ") + to_string(which) + " " + std::to_string(refused[which]);
    CHECK_MESSAGE(refused[which] > histories / 200, to_string(which));
  }
  show("checker: aggregate, " + std::to_string(histories) + " random histories as every order says: " + std::to_string(yes) +
       " linearizable (" + std::to_string(truly) + " without a fault), " + std::to_string(no) + " not" + by_fault + ", seed " +
       std::to_string(seed));
  CHECK(yes > histories / 10);
  CHECK(no > histories / 10);
}

TEST_CASE("Each fault in a longer history with all outcomes known is refused") {
  const auto seed = setting("CAIRN_TEST_SEED", 1);
  tally_maker maker({.operations = 100, .clients = 6, .unknown = 0, .repeats = 0, .same_moments = false}, random_tally_command);
  for (const auto which : {fault::version_off, fault::lost_update, fault::stale_look, fault::double_effect}) {
    int made = 0;
    for (std::uint64_t i = 0; i < 100; ++i) {
      const auto history = maker.make(seed * 1'000'003 + i, which);
      if (!maker.faulty()) continue;
      ++made;
      REQUIRE_MESSAGE(check(history).verdict == linearizability::not_linearizable,
                      std::string(to_string(which)) << ", history " << i << " of seed " << seed);
    }
    CHECK(made > 50);
  }
}

TEST_CASE("Long histories of many clients are checked in reasonable time") {
  const auto seed = setting("CAIRN_TEST_SEED", 1);
  for (const auto& [operations, unknown] :
       std::vector<std::pair<std::size_t, unsigned>>{{500, 0}, {500, 6}, {2'000, 0}, {2'000, 2}}) {
    product_maker products({.operations = operations, .clients = 15, .unknown = unknown}, random_product_command);
    tally_maker tallies({.operations = operations, .clients = 15, .unknown = unknown}, random_tally_command);
    for (const auto which : {fault::none, fault::lost_update}) {
      double slowest = 0, sum = 0;
      std::uint64_t most_steps = 0, undecided = 0;
      constexpr std::uint64_t rounds = 10;
      for (std::uint64_t i = 0; i < rounds; ++i) {
        const auto history = products.make(seed * 1'000'003 + i, which);
        const auto others = tallies.make(seed * 1'000'003 + i, which);
        const bool sound = !products.faulty();
        const auto start = std::chrono::steady_clock::now();
        const auto found = product_maker::check(history);
        const auto seconds = seconds_since(start);
        if (sound) CHECK(found.verdict != linearizability::not_linearizable);
        if (!tallies.faulty()) CHECK(check(others).verdict != linearizability::not_linearizable);
        if (unknown == 0) CHECK(found.verdict == (sound ? linearizability::linearizable : linearizability::not_linearizable));
        undecided += found.verdict == linearizability::undecided ? 1 : 0;
        most_steps = std::max(most_steps, found.steps);
        slowest = std::max(slowest, seconds);
        sum += seconds;
      }
      show("checker: " + std::to_string(operations) + " operations of 15 clients, " + std::to_string(unknown) +
           " % unknown, fault " + to_string(which) + ": mean " + in_ms(sum / rounds) + ", slowest " + in_ms(slowest) +
           ", steps at most " + std::to_string(most_steps) + ", undecided " + std::to_string(undecided) + " of " +
           std::to_string(rounds) + ", seed " + std::to_string(seed));
    }
  }
}

}  // namespace cairn::tests
