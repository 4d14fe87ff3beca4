// When snapshots are taken, what they hold, and what recovery reads.
#include "../../actors/pending_answers.hpp"
#include "../../actors/recovery.hpp"
#include "product.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/forwarding_journal.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace cairn::tests {
namespace {

using namespace stock;
using namespace testkit;

struct Several {
  int events = 0;
};

// Adds one with each event; one command may make many.
struct Counter {
  static constexpr std::string_view category = "counter";
  using Event = std::variant<StockAdded>;
  Count count = 0;
  MSGPACK_DEFINE_MAP(count)
  decision<Event> decide(const Several& several) const {
    return std::vector<Event>(static_cast<std::size_t>(several.events), StockAdded{1, {}});
  }
  void evolve(const StockAdded& event) noexcept { count += event.count; }
};

const auto counter = aggregate<Counter>("1");

awaited<answer<>> add(test_runtime& world, int events, std::string command_id = {}) {
  const auto answer = world.ask<Counter>("1", Several{events}, {.command_id = std::move(command_id)});
  world.run();
  return answer;
}

void end(test_runtime& world, const address& one = counter, bool snapshot = true) {
  world.inject(one, actors::passivate{snapshot});
  world.run();
}

// What recovery warns of where nobody wants to know.
void unheard(const std::string&) {}

actors::warn_function kept_in(std::vector<std::string>& warnings) {
  return [&warnings](const std::string& sentence) { warnings.push_back(sentence); };
}

Count count_in(const actors::recovered& found) { return static_cast<const actors::hosted<Counter>&>(*found.state).value.count; }

}  // namespace

TEST_CASE("snapshots are taken at exactly 500, 1000 and so on") {
  test_runtime world;
  for (int command = 0; command < 1'100; ++command) add(world, 1);
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{500, 1000});
}

TEST_CASE("a decision whose events cross the boundary leaves its snapshot at the boundary") {
  test_runtime world;
  add(world, 499);
  CHECK(world.journal().counts().saved.empty());
  add(world, 1'003, "the crossing command");
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{500, 1000, 1500});

  const auto found = actors::recover(world.journal(), actors::type_of<Counter>, {"counter", "1"}, 8, unheard);
  CHECK(found.snapshot == version{1500});
  CHECK(found.version == version{1502});
  CHECK(count_in(found) == 1502);
  const auto* first = found.commands.find("the crossing command");
  REQUIRE(first);
  CHECK(first->last == version{1502});
  CHECK(first->events == 1003);
}

TEST_CASE("no snapshot is written of what is not durable") {
  test_runtime world({.snapshot_every_events = 2});
  world.probe(journal_actor());
  add(world, 3);
  CHECK(world.journal().counts().saved.empty());
  world.inject(counter, actors::append_result{1, 1, version{0}, errc::journal_unavailable, "no", {}});
  world.run();
  CHECK(world.journal().counts().saved.empty());
  add(world, 3);
  world.inject(counter, actors::append_result{2, 1, version{3}, {}, {}, {}});
  world.run();
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{2});
}

TEST_CASE("a snapshot that is due is written, once, by an aggregate that ends before it hears of its last append") {
  test_runtime world({.snapshot_every_events = 2});
  const auto journal = world.probe(journal_actor());
  add(world, 2);
  const auto request = std::get<actors::append_request>(journal.at(0));
  // As a journal does that has a thread of its own.
  const auto settled = request.answers->settle_for_journal(request.incarnation, 1, version{2});
  REQUIRE(settled.wanted);
  REQUIRE(settled.handing_over);
  request.answers->handed_over();
  bool at_its_end = false;
  SUBCASE("which is asked for one") { at_its_end = true; }
  SUBCASE("which is not") {}
  end(world, counter, at_its_end);
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{2});
}

TEST_CASE("an aggregate that ends tries once more where the snapshot that was under way has failed") {
  test_runtime world({.snapshot_every_events = 2});
  const auto writer = world.probe(snapshot_writer());
  add(world, 2);
  REQUIRE(writer.size() == 1);
  end(world);
  CHECK(writer.size() == 1);
  bool saved = false;
  SUBCASE("failed") {}
  SUBCASE("not failed") { saved = true; }
  world.inject(counter, actors::snapshot_result{version{2}, saved});
  world.run();
  CHECK(writer.size() == (saved ? 1 : 2));
}

TEST_CASE("recovery reads one snapshot and fewer than 500 events") {
  test_runtime world;
  for (int command = 0; command < 1'499; ++command) add(world, 1);
  end(world, counter, false);
  const auto before = world.journal().counts();
  const auto answer = add(world, 1);
  CHECK(answer->version == version{1500});
  CHECK(world.journal().counts().snapshot_reads - before.snapshot_reads == 1);
  CHECK(world.journal().counts().events_read - before.events_read == 499);
}

TEST_CASE("after passivation the return reads one snapshot and no event") {
  test_runtime world;
  for (int command = 0; command < 77; ++command) add(world, 1);
  end(world);
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{77});
  const auto before = world.journal().counts();
  const auto answer = add(world, 1);
  CHECK(answer->version == version{78});
  CHECK(world.journal().counts().snapshot_reads - before.snapshot_reads == 1);
  CHECK(world.journal().counts().events_read - before.events_read == 0);
}

TEST_CASE("passivation without events since the last snapshot writes none") {
  test_runtime world;
  add(world, 500);
  end(world);
  world.state<Counter>("1");
  world.run();
  end(world);
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{500});
}

TEST_CASE("with snapshots off none is ever written") {
  test_runtime world({.snapshot_every_events = 0});
  add(world, 2'000);
  end(world);
  CHECK(world.journal().counts().saved.empty());
}

TEST_CASE("five hundred snapshots that cannot be saved cost warnings, and no command") {
  test_runtime world({.snapshot_every_events = 1});
  world.journal().fail_next_save(errc::journal_unavailable, "no room for snapshots", 500);
  for (int command = 0; command < 500; ++command) REQUIRE(add(world, 1).accepted());
  CHECK(world.warnings().size() == 500);
  CHECK(world.runtime().statistics().failed_snapshots == 500);
  end(world);
  const auto answer = add(world, 1);
  CHECK(answer->version == version{501});
}

namespace {

// A state whose packing throws.
struct Unsavable : Counter {
  static constexpr std::string_view category = "unsavable";
  template <class Packer>
  void msgpack_pack(Packer&) const {
    throw std::runtime_error("this state cannot be packed");
  }
};

}  // namespace

TEST_CASE("a state that cannot be packed costs a warning, and no command") {
  test_runtime world({.snapshot_every_events = 1});
  const auto answer = world.ask<Unsavable>("1", Several{3});
  world.run();
  end(world, aggregate<Unsavable>("1"));
  CHECK(answer.accepted());
  REQUIRE(world.warnings().size() == 4);
  CHECK(world.warnings().front() == "no snapshot of unsavable/1 at version 1: this state cannot be packed");
}

TEST_CASE("a repeated command id is known across a snapshot, a passivation and a fresh start from the journal") {
  test_runtime world({.snapshot_every_events = 10});
  add(world, 3, "before the snapshot");
  add(world, 9);
  add(world, 2, "after the snapshot");
  const auto check = [&](const char* where) {
    CAPTURE(where);
    const auto before = add(world, 3, "before the snapshot");
    const auto after = add(world, 2, "after the snapshot");
    REQUIRE(before->repeated);
    CHECK(before->version == version{3});
    CHECK(before->events == 3);
    REQUIRE(after->repeated);
    CHECK(after->version == version{14});
  };
  check("in the same life");
  end(world, counter, false);
  check("from snapshot and tail");
  end(world, counter, true);
  check("from the snapshot alone");
  end(world, counter, false);
  world.journal().snapshots().prune({"counter", "1"}, 0);
  check("from the events alone");
}

TEST_CASE("a damaged, older or premature snapshot is passed over for the one before, with a warning") {
  test_runtime world({.snapshot_every_events = 10});
  add(world, 25);  // snapshots at 10 and 20
  end(world, counter, false);
  const stream_id stream("counter", "1");
  auto bytes = world.journal().snapshots().latest(stream, version::max())->bytes;

  SUBCASE("a flipped byte") {
    bytes.back() ^= 1;
    world.journal().snapshots().save(stream, version{20}, bytes);
  }
  SUBCASE("cut short") { world.journal().snapshots().save(stream, version{20}, bytes.substr(0, bytes.size() / 2)); }
  SUBCASE("empty") { world.journal().snapshots().save(stream, version{20}, {}); }
  SUBCASE("of another schema") {
    actors::hosted<Counter> state;
    state.value.count = 20;
    world.journal().snapshots().save(stream, version{20},
                                     actors::encode_snapshot(version{20}, world.now(), 7, state, actors::command_window(0)));
  }
  SUBCASE("of a version that the journal has not reached") {
    actors::hosted<Counter> state;
    world.journal().snapshots().save(stream, version{20}, bytes);
    world.journal().snapshots().save(stream, version{90},
                                     actors::encode_snapshot(version{90}, world.now(), 1, state, actors::command_window(0)));
    world.journal().snapshots().save(stream, version{20}, {});
  }
  std::vector<std::string> warnings;
  const auto found = actors::recover(world.journal(), actors::type_of<Counter>, stream, 8, kept_in(warnings));
  CHECK(found.snapshot == version{10});
  CHECK(found.version == version{25});
  CHECK(count_in(found) == 25);
  CHECK(warnings.size() >= 1);
}

namespace {

// A state that was saved by one program and cannot be read by this one.
struct Unreadable : Counter {
  static constexpr std::string_view category = "counter";
  void msgpack_unpack(const msgpack::object&) { throw std::runtime_error("a value of an enum that is not known here"); }
};

}  // namespace

TEST_CASE("a snapshot that the user's own unpacking refuses costs time, never data") {
  test_runtime world({.snapshot_every_events = 10});
  add(world, 25);
  std::vector<std::string> warnings;
  const auto found = actors::recover(world.journal(), actors::type_of<Unreadable>, {"counter", "1"}, 8, kept_in(warnings));
  CHECK(found.snapshot == version{0});
  CHECK(static_cast<const actors::hosted<Unreadable>&>(*found.state).value.count == 25);
  CHECK(warnings.size() == 2);
}

TEST_CASE("answers do not wait for snapshots, and a writer that is stuck is not flooded") {
  test_runtime world({.snapshot_every_events = 1});
  const auto writer = world.hold<actors::snapshot_request>(snapshot_writer());
  for (int command = 0; command < 100; ++command) REQUIRE(add(world, 1).accepted());
  CHECK(writer.size() == 16);
  world.inject(counter, actors::snapshot_result{version{1}, true});
  world.run();
  REQUIRE(writer.size() == 17);
  // The newest; those between are of no use any more.
  CHECK(std::get<actors::snapshot_request>(writer.at(16)).at == version{100});
}

namespace {

// A state of 4 MiB.
struct Large {
  static constexpr std::string_view category = "large";
  using Event = std::variant<StockAdded>;
  std::string state = std::string(std::size_t{4} << 20, 'x');
  MSGPACK_DEFINE_MAP(state)
  decision<Event> decide(const Several&) const { return StockAdded{1, {}}; }
  void evolve(const StockAdded&) noexcept {}
};

}  // namespace

TEST_CASE("snapshots that wait for a writer that is stuck have a bound for all aggregates together") {
  test_runtime world({.snapshot_every_events = 1});
  const auto writer = world.hold<actors::snapshot_request>(snapshot_writer());
  for (int command = 0; command < 30; ++command) {
    const auto answer = world.ask<Large>(std::to_string(command), Several{1});
    world.run();
    REQUIRE(answer.accepted());
  }
  CHECK(writer.size() == 15);  // of a little more than 4 MiB each in 64 MiB
  CHECK(world.runtime().statistics().skipped_snapshots == 15);
}

TEST_CASE("a snapshot that could not be saved is tried once more at passivation") {
  test_runtime world({.snapshot_every_events = 10});
  world.journal().fail_next_save();
  add(world, 10);
  CHECK(world.journal().counts().saved.empty());
  end(world);
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{10});
}

TEST_CASE("every single flipped byte of a snapshot is noticed") {
  actors::hosted<Counter> state;
  state.value.count = 12345;
  actors::command_window commands(4);
  commands.remember("an id", version{7}, 1, {});
  const auto good = actors::encode_snapshot(version{7}, timestamp{}, 1, state, commands);
  CHECK(actors::decode_snapshot(good).version == version{7});
  for (std::size_t place = 0; place < good.size(); ++place) {
    for (const int bit : {1, 128}) {
      auto bad = good;
      bad[place] = static_cast<char>(bad[place] ^ bit);
      CHECK_THROWS_AS(actors::decode_snapshot(bad), error);
    }
  }
}

namespace {

// A journal that never prunes its snapshots.
class unpruned : public testkit::forwarding_journal, public snapshot_store {
public:
  snapshot_store& snapshots() override { return *this; }

  void save(stream_view stream, version at, std::string_view bytes) override { inner().snapshots().save(stream, at, bytes); }
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    inner().snapshots().read_newest_first(stream, at_most, visit);
  }
  void prune(stream_view, std::size_t) override {}
};

// Hands out so many snapshots, and fails then.
struct failing_snapshots final : unpruned {
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    int left = readable;
    unpruned::read_newest_first(stream, at_most, [&](const snapshot_view& one) {
      if (left-- == 0) throw error(errc::journal_unavailable, "a block cannot be read");
      return visit(one);
    });
  }
  int readable = 100;
};

}  // namespace

TEST_CASE("where snapshots cannot be read, at once or behind a damaged one, all events are, with a warning") {
  const auto store = std::make_shared<failing_snapshots>();
  test_runtime world({.snapshot_every_events = 10}, store);
  add(world, 25);
  end(world);
  const stream_id stream("counter", "1");
  store->save(stream, version{25}, "damaged");
  for (const int readable : {0, 1}) {
    store->readable = readable;
    std::vector<std::string> warnings;
    const auto found = actors::recover(*store, actors::type_of<Counter>, stream, 8, kept_in(warnings));
    CHECK(found.snapshot == version{});
    CHECK(found.version == version{25});
    CHECK(count_in(found) == 25);
    CHECK(found.events_read == 25);
    REQUIRE(warnings.size() == static_cast<std::size_t>(readable) + 1);
    CHECK(warnings.back() == "no snapshot of counter/1 can be used, so all of its events are read: a block cannot be read");
  }
}

TEST_CASE("replay from zero equals snapshot and tail at every version of a random history") {
  test_runtime world({.snapshot_every_events = 7}, std::make_shared<unpruned>());
  std::uint64_t seed = 20260101;
  const auto random = [&seed](std::uint64_t below) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (seed >> 33) % below;
  };
  world.ask<Product>("1", Enrol{50, true});
  for (int command = 0; command < 150; ++command) {
    const auto count = static_cast<Count>(1 + random(9));
    if (random(2) == 0) {
      world.ask<Product>("1", AddStock{count});
    } else {
      world.ask<Product>("1", RemoveStock{count});
    }
    if (random(10) == 0) world.run();
  }
  world.run();
  const stream_id stream("product", "1");
  const auto head = world.journal().highest(stream);
  REQUIRE(head == version{151});
  Product replayed;
  std::vector<Product> states{replayed};
  world.journal().read(stream, {}, [&](const record_view& record) {
    evolve(replayed, read_event<Product>(record));
    states.push_back(replayed);
    return true;
  });
  int from_snapshot = 0;
  for (std::uint64_t at = 0; at <= head.value; ++at) {
    const auto found =
        actors::recover(world.journal(), actors::type_of<Product>, stream, 8, unheard, {version{at}, timestamp::max()});
    REQUIRE(found.version == version{at});
    REQUIRE(static_cast<const actors::hosted<Product>&>(*found.state).value == states[at]);
    CHECK(found.snapshot == version{at / 7 * 7});
    from_snapshot += found.snapshot.value > 0;
  }
  CHECK(from_snapshot == 145);
}

}  // namespace cairn::tests
