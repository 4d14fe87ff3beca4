// When snapshots are taken, what they hold, and what recovery reads.
#include "deterministic.hpp"

namespace cairn::tests {
namespace {

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

caf::actor counter_in(deterministic_world& world) {
  world.aggregates.push_back(actors::spawn_aggregate(world.system, world.shared, world.staff, actors::type_of<Counter>, "1"));
  return world.aggregates.back();
}

answered add(deterministic_world& world, const caf::actor& counter, int events, std::string command_id = {}) {
  const auto answer = world.ask<Several, Counter>(counter, "1", Several{events}, {.command_id = std::move(command_id)});
  world.run();
  return answer;
}

void end(deterministic_world& world, const caf::actor& aggregate, bool snapshot = true) {
  caf::anon_send(aggregate, actors::passivate{snapshot});
  world.run();
}

}  // namespace

TEST_CASE("snapshots are taken at exactly 500, 1000 and so on") {
  deterministic_world world;
  const auto counter = counter_in(world);
  for (int command = 0; command < 1'100; ++command) add(world, counter, 1);
  CHECK(world.store->saved == std::vector<std::uint64_t>{500, 1000});
}

TEST_CASE("a decision whose events cross the boundary leaves its snapshot at the boundary") {
  deterministic_world world;
  const auto counter = counter_in(world);
  add(world, counter, 499);
  CHECK(world.store->saved.empty());
  add(world, counter, 1'003, "the crossing command");
  CHECK(world.store->saved == std::vector<std::uint64_t>{500, 1000, 1500});

  const auto found = actors::recover(*world.store, actors::type_of<Counter>, {"counter", "1"}, 8, world.shared.warn);
  CHECK(found.snapshot == version{1500});
  CHECK(found.version == version{1502});
  CHECK(static_cast<const actors::hosted<Counter>&>(*found.state).value.count == 1502);
  const auto* first = found.commands.find("the crossing command");
  REQUIRE(first);
  CHECK(first->last == version{1502});
  CHECK(first->events == 1003);
}

TEST_CASE("no snapshot is written of what is not durable") {
  deterministic_world world({.snapshot_every_events = 2});
  const auto journal = world.hold_journal();
  const auto counter = counter_in(world);
  add(world, counter, 3);
  CHECK(world.store->saved.empty());
  caf::anon_send(counter, actors::append_result{1, 1, version{0}, errc::journal_unavailable, "no", {}});
  world.run();
  CHECK(world.store->saved.empty());
  add(world, counter, 3);
  caf::anon_send(counter, actors::append_result{2, 1, version{3}, {}, {}, {}});
  world.run();
  CHECK(world.store->saved == std::vector<std::uint64_t>{2});
}

TEST_CASE("recovery reads one snapshot and fewer than 500 events") {
  deterministic_world world;
  const auto first = counter_in(world);
  for (int command = 0; command < 1'499; ++command) add(world, first, 1);
  end(world, first, false);
  world.store->events_read = world.store->snapshot_reads = 0;
  const auto again = counter_in(world);
  const auto answer = add(world, again, 1);
  CHECK((*answer)->version == version{1500});
  CHECK(world.store->snapshot_reads == 1);
  CHECK(world.store->events_read == 499);
}

TEST_CASE("after passivation the return reads one snapshot and no event") {
  deterministic_world world;
  const auto first = counter_in(world);
  for (int command = 0; command < 77; ++command) add(world, first, 1);
  end(world, first);
  CHECK(world.store->saved == std::vector<std::uint64_t>{77});
  world.store->events_read = world.store->snapshot_reads = 0;
  const auto answer = add(world, counter_in(world), 1);
  CHECK((*answer)->version == version{78});
  CHECK(world.store->snapshot_reads == 1);
  CHECK(world.store->events_read == 0);
}

TEST_CASE("passivation without events since the last snapshot writes none") {
  deterministic_world world;
  const auto first = counter_in(world);
  add(world, first, 500);
  end(world, first);
  const auto second = counter_in(world);
  world.run();
  end(world, second);
  CHECK(world.store->saved == std::vector<std::uint64_t>{500});
}

TEST_CASE("with snapshots off none is ever written") {
  deterministic_world world({.snapshot_every_events = 0});
  const auto counter = counter_in(world);
  add(world, counter, 2'000);
  end(world, counter);
  CHECK(world.store->saved.empty());
}

TEST_CASE("five hundred snapshots that cannot be saved cost warnings, and no command") {
  deterministic_world world({.snapshot_every_events = 1});
  world.store->failing_saves = 500;
  const auto counter = counter_in(world);
  for (int command = 0; command < 500; ++command) REQUIRE(accepted(add(world, counter, 1)));
  CHECK(world.warnings.size() == 500);
  CHECK(world.shared.stats.failed_snapshots == 500);
  end(world, counter);
  const auto answer = add(world, counter_in(world), 1);
  CHECK((*answer)->version == version{501});
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
  deterministic_world world({.snapshot_every_events = 1});
  const auto aggregate = actors::spawn_aggregate(world.system, world.shared, world.staff, actors::type_of<Unsavable>, "1");
  world.aggregates.push_back(aggregate);
  const auto answer = world.ask<Several, Unsavable>(aggregate, "1", Several{3});
  end(world, aggregate);
  CHECK(accepted(answer));
  REQUIRE(world.warnings.size() == 4);
  CHECK(world.warnings.front() == "no snapshot of unsavable/1 at version 1: this state cannot be packed");
}

TEST_CASE("a repeated command id is known across a snapshot, a passivation and a fresh start from the journal") {
  deterministic_world world({.snapshot_every_events = 10});
  auto counter = counter_in(world);
  add(world, counter, 3, "before the snapshot");
  add(world, counter, 9);
  add(world, counter, 2, "after the snapshot");
  const auto check = [&](const char* where) {
    CAPTURE(where);
    const auto before = add(world, counter, 3, "before the snapshot");
    const auto after = add(world, counter, 2, "after the snapshot");
    REQUIRE((*before)->repeated);
    CHECK((*before)->version == version{3});
    CHECK((*before)->events == 3);
    REQUIRE((*after)->repeated);
    CHECK((*after)->version == version{14});
  };
  check("in the same life");
  end(world, counter, false);
  counter = counter_in(world);
  check("from snapshot and tail");
  end(world, counter, true);
  counter = counter_in(world);
  check("from the snapshot alone");
  end(world, counter, false);
  world.store->prune({"counter", "1"}, 0);
  counter = counter_in(world);
  check("from the events alone");
}

TEST_CASE("a damaged, older or premature snapshot is passed over for the one before, with a warning") {
  deterministic_world world({.snapshot_every_events = 10});
  const auto counter = counter_in(world);
  add(world, counter, 25);  // snapshots at 10 and 20
  end(world, counter, false);
  const stream_id stream("counter", "1");
  auto bytes = world.store->latest(stream, version::max())->bytes;

  SUBCASE("a flipped byte") {
    bytes.back() ^= 1;
    world.store->save(stream, version{20}, bytes);
  }
  SUBCASE("cut short") { world.store->save(stream, version{20}, bytes.substr(0, bytes.size() / 2)); }
  SUBCASE("empty") { world.store->save(stream, version{20}, {}); }
  SUBCASE("of another schema") {
    actors::hosted<Counter> state;
    state.value.count = 20;
    world.store->save(stream, version{20}, actors::encode_snapshot(version{20}, world.now, 7, state, actors::command_window(0)));
  }
  SUBCASE("of a version that the journal has not reached") {
    actors::hosted<Counter> state;
    world.store->save(stream, version{20}, bytes);
    world.store->save(stream, version{90}, actors::encode_snapshot(version{90}, world.now, 1, state, actors::command_window(0)));
    world.store->save(stream, version{20}, {});
  }
  const auto found = actors::recover(*world.store, actors::type_of<Counter>, stream, 8, world.shared.warn);
  CHECK(found.snapshot == version{10});
  CHECK(found.version == version{25});
  CHECK(static_cast<const actors::hosted<Counter>&>(*found.state).value.count == 25);
  CHECK(world.warnings.size() >= 1);
}

namespace {

// A state that was saved by one program and cannot be read by this one.
struct Unreadable : Counter {
  static constexpr std::string_view category = "counter";
  void msgpack_unpack(const msgpack::object&) { throw std::runtime_error("a value of an enum that is not known here"); }
};

}  // namespace

TEST_CASE("a snapshot that the user's own unpacking refuses costs time, never data") {
  deterministic_world world({.snapshot_every_events = 10});
  add(world, counter_in(world), 25);
  const auto found = actors::recover(*world.store, actors::type_of<Unreadable>, {"counter", "1"}, 8, world.shared.warn);
  CHECK(found.snapshot == version{0});
  CHECK(static_cast<const actors::hosted<Unreadable>&>(*found.state).value.count == 25);
  CHECK(world.warnings.size() == 2);
}

TEST_CASE("answers do not wait for snapshots, and a writer that is stuck is not flooded") {
  deterministic_world world({.snapshot_every_events = 1});
  const probe<actors::snapshot_request> writer(world.system);
  world.others.push_back(std::exchange(world.staff.snapshots, writer.handle));
  const auto counter = counter_in(world);
  for (int command = 0; command < 100; ++command) REQUIRE(accepted(add(world, counter, 1)));
  CHECK(writer.kept->size() == 16);
  caf::anon_send(counter, actors::snapshot_result{version{1}, true});
  world.run();
  REQUIRE(writer.kept->size() == 17);
  CHECK(writer.kept->back().first.at == version{100});  // the newest; those between are of no use any more
}

TEST_CASE("a snapshot that could not be saved is tried once more at passivation") {
  deterministic_world world({.snapshot_every_events = 10});
  world.store->failing_saves = 1;
  const auto counter = counter_in(world);
  add(world, counter, 10);
  CHECK(world.store->saved.empty());
  end(world, counter);
  CHECK(world.store->saved == std::vector<std::uint64_t>{10});
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

TEST_CASE("replay from zero equals snapshot and tail at every version of a random history") {
  deterministic_world world({.snapshot_every_events = 7});
  world.store->keep_all_snapshots = true;
  const auto product = world.aggregate("1");
  std::uint64_t seed = 20260101;
  const auto random = [&seed](std::uint64_t below) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (seed >> 33) % below;
  };
  world.ask(product, "1", Enrol{50, true});
  for (int command = 0; command < 150; ++command) {
    const auto count = static_cast<Count>(1 + random(9));
    if (random(2) == 0) {
      world.ask(product, "1", AddStock{count});
    } else {
      world.ask(product, "1", RemoveStock{count});
    }
    if (random(10) == 0) world.run();
  }
  world.run();
  const stream_id stream("product", "1");
  const auto head = world.store->highest(stream);
  REQUIRE(head == version{151});
  Product replayed;
  std::vector<Product> states{replayed};
  world.store->read(stream, {}, [&](const record_view& record) {
    evolve(replayed, read_event<Product>(record));
    states.push_back(replayed);
    return true;
  });
  int from_snapshot = 0;
  for (std::uint64_t at = 0; at <= head.value; ++at) {
    const auto found =
        actors::recover(*world.store, actors::type_of<Product>, stream, 8, world.shared.warn, {version{at}, timestamp::max()});
    REQUIRE(found.version == version{at});
    REQUIRE(static_cast<const actors::hosted<Product>&>(*found.state).value == states[at]);
    CHECK(found.snapshot == version{at / 7 * 7});
    from_snapshot += found.snapshot.value > 0;
  }
  CHECK(from_snapshot == 145);
}

}  // namespace cairn::tests
