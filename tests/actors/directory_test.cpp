// Activation, passivation and return, one message at a time.
#include "deterministic.hpp"

namespace cairn::tests {
namespace {

std::uint64_t live(const deterministic_world& world) { return world.shared.stats.live_aggregates; }

}  // namespace

TEST_CASE("an aggregate's actor is made by its first command and used by the next") {
  deterministic_world world;
  const auto enrolled = world.ask("1", Enrol{1});
  const auto added = world.ask("1", AddStock{1});
  world.run();
  CHECK(accepted(enrolled));
  CHECK(accepted(added));
  CHECK(world.shared.stats.activations == 1);
}

TEST_CASE("commands of one aggregate are carried out in their order, whoever sends them, while others go their way") {
  deterministic_world world;
  std::vector<answered> all;
  for (int sender = 0; sender < 20; ++sender) {
    for (int product = 0; product < 5; ++product) all.push_back(world.ask(std::to_string(product), Enrol{sender}));
  }
  world.run();
  for (std::size_t place = 0; place < all.size(); ++place) CHECK((*all[place])->rejected == (place >= 5));
}

TEST_CASE("other aggregates go on while one is stuck in its recovery") {
  deterministic_world world;
  world.others.insert(world.others.end(), world.staff.recoverers.begin(), world.staff.recoverers.end());
  const probe<actors::recovery_request> reader(world.system);
  world.staff.recoverers = {reader.handle};
  const auto stuck = world.ask("stuck", Enrol{1});
  world.run();
  world.staff.recoverers = {world.others.front()};
  const auto other = world.ask("other", Enrol{1});
  world.run();
  CHECK_FALSE(stuck->has_value());
  CHECK(accepted(other));

  auto& [request, aggregate] = reader.kept->front();
  caf::send_as(caf::actor_cast<caf::actor>(aggregate), world.others.front(), std::move(request));
  world.run();
  CHECK(accepted(stuck));
  world.others.push_back(reader.handle);
}

TEST_CASE("an idle aggregate is passivated, and comes back from one snapshot and no event") {
  deterministic_world world({.passivate_after = 1'000ms});
  world.ask("1", Enrol{1});
  for (int command = 0; command < 10; ++command) world.ask("1", AddStock{1});
  world.run();
  world.advance(900ms);
  CHECK(live(world) == 1);
  world.advance(700ms);
  CHECK(live(world) == 0);
  world.store->events_read = world.store->snapshot_reads = 0;
  const auto back = world.ask("1", AddStock{1});
  world.run();
  REQUIRE(accepted(back));
  CHECK((*back)->version == version{12});
  CHECK(world.store->snapshot_reads == 1);
  CHECK(world.store->events_read == 0);
}

TEST_CASE("an aggregate that is used is not idle") {
  deterministic_world world({.passivate_after = 1'000ms});
  world.ask("1", Enrol{1});
  world.run();
  for (int round = 0; round < 10; ++round) {
    world.ask("1", AddStock{1});
    world.advance(500ms);
  }
  CHECK(live(world) == 1);
  CHECK(world.shared.stats.activations == 1);
}

TEST_CASE("no command is lost, doubled or reordered, at whichever moment it meets a passivation") {
  // The passivation takes a handful of messages; a command is let in after each number of them.
  for (int moment = 0; moment < 12; ++moment) {
    CAPTURE(moment);
    deterministic_world world({.live_aggregates_max = 1, .directories = 1});
    world.ask("1", Enrol{0});
    world.run();
    const auto other = world.ask("2", Enrol{0});  // there is room for one: 1 must go
    world.step(moment);
    std::vector<answered> late;
    for (int command = 0; command < 3; ++command) late.push_back(world.ask("1", AddStock{1}));
    world.run();
    CHECK(accepted(other));
    for (std::size_t place = 0; place < late.size(); ++place) {
      REQUIRE(accepted(late[place]));
      CHECK((*late[place])->version == version{place + 2});
    }
  }
}

TEST_CASE("no more aggregates live at once than may") {
  deterministic_world world({.live_aggregates_max = 3, .directories = 1});
  std::uint64_t most = 0;
  std::vector<answered> all;
  for (int product = 0; product < 50; ++product) all.push_back(world.ask(std::to_string(product), Enrol{product}));
  while (world.scheduler.try_run_once()) most = std::max(most, live(world));
  CHECK(most == 3);
  for (const auto& one : all) CHECK(accepted(one));
}

TEST_CASE("the least recently used aggregate is the one that makes room") {
  deterministic_world world({.live_aggregates_max = 2, .directories = 1, .passivate_after = 1'000ms});
  world.ask("old", Enrol{0});
  world.ask("new", Enrol{0});
  world.run();
  world.advance(300ms);
  world.ask("old", AddStock{1});
  world.run();
  world.ask("third", Enrol{0});
  world.run();
  const auto activations = world.shared.stats.activations.load();
  world.ask("old", AddStock{1});
  world.run();
  CHECK(world.shared.stats.activations == activations);
}

TEST_CASE("an aggregate whose actor dies is made anew by the next command, from what is durable") {
  deterministic_world world;
  const auto killed = world.enrolled("1", 5);
  caf::anon_send_exit(killed, caf::exit_reason::kill);
  world.run();
  const auto next = world.ask("1", AddStock{1});
  world.run();
  REQUIRE(accepted(next));
  CHECK((*next)->version == version{2});
  CHECK(world.shared.stats.activations == 2);
}

TEST_CASE("the appends of an actor that was killed are settled before its successor recovers") {
  deterministic_world world;
  const auto killed = world.enrolled("1", 5);
  const auto first = world.ask("1", AddStock{1});
  const auto second = world.ask("1", AddStock{1});
  while (world.scheduler.prioritize(world.staff.directory_for(stream_hash{}({"product", "1"})))) world.step(1);
  world.scheduler.prioritize(killed);
  world.step(2);  // both are decided, and their appends are in the journal's mailbox
  caf::anon_send_exit(killed, caf::exit_reason::kill);
  world.scheduler.prioritize(killed);
  world.step(1);
  CHECK(failed_with(first, errc::abandoned));
  CHECK(failed_with(second, errc::abandoned));
  std::vector<answered> next;
  for (int command = 0; command < 3; ++command) next.push_back(world.ask("1", AddStock{10}));
  world.run();
  // What was abandoned turned out to be stored, and the next commands are decided on it.
  for (std::size_t place = 0; place < next.size(); ++place) {
    REQUIRE(accepted(next[place]));
    CHECK((*next[place])->version == version{4 + place});
  }
}

TEST_CASE("draining leaves a snapshot of every live aggregate, and what comes later is refused") {
  deterministic_world world;
  for (int product = 0; product < 10; ++product) world.ask(std::to_string(product), Enrol{product});
  world.run();
  const auto gate = std::make_shared<actors::drain_gate>(world.staff.directories.size());
  for (const auto& directory : world.staff.directories) caf::anon_send(directory, actors::drain_directory{true, gate});
  const auto late = world.ask("1", AddStock{1});
  world.run();
  CHECK(gate->is_open());
  CHECK(world.store->saved.size() == 10);
  CHECK(live(world) == 0);
  CHECK(failed_with(late, errc::draining));
}

}  // namespace cairn::tests
