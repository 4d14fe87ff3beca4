// Activation, passivation and return, one message at a time.
#include "../../actors/crew.hpp"
#include "product.hpp"

#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace cairn::tests {
namespace {

using namespace std::chrono_literals;
using namespace stock;
using namespace testkit;

std::uint64_t live(test_runtime& world) { return world.runtime().statistics().live_aggregates; }

}  // namespace

TEST_CASE("an aggregate's actor is made by its first command and used by the next") {
  test_runtime world;
  const auto enrolled = world.ask<Product>("1", Enrol{1});
  const auto added = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(enrolled.accepted());
  CHECK(added.accepted());
  CHECK(world.runtime().statistics().activations == 1);
}

TEST_CASE("commands of one aggregate are carried out in their order, whoever sends them, while others go their way") {
  test_runtime world;
  std::vector<awaited<answer<>>> all;
  for (int sender = 0; sender < 20; ++sender) {
    for (int product = 0; product < 5; ++product) all.push_back(world.ask<Product>(std::to_string(product), Enrol{sender}));
  }
  world.run();
  for (std::size_t place = 0; place < all.size(); ++place) CHECK(all[place].rejected("already_enrolled") == (place >= 5));
}

TEST_CASE("other aggregates go on while one is stuck in its recovery") {
  test_runtime world;
  auto recoveries = world.hold<actors::recovery_request>(recoverer_of<Product>("stuck"));
  const auto stuck = world.ask<Product>("stuck", Enrol{1});
  world.run();
  recoveries.close();
  const auto other = world.ask<Product>("other", Enrol{1});
  world.run();
  CHECK_FALSE(stuck.answered());
  CHECK(other.accepted());

  recoveries.release();
  world.run();
  CHECK(stuck.accepted());
}

TEST_CASE("an idle aggregate is passivated, and comes back from one snapshot and no event") {
  test_runtime world({.passivate_after = 1'000ms});
  world.ask<Product>("1", Enrol{1});
  for (int command = 0; command < 10; ++command) world.ask<Product>("1", AddStock{1});
  world.run();
  world.advance(900ms);
  CHECK(live(world) == 1);
  world.advance(700ms);
  CHECK(live(world) == 0);
  const auto before = world.journal().counts();
  const auto back = world.ask<Product>("1", AddStock{1});
  world.run();
  REQUIRE(back.accepted());
  CHECK(back->version == version{12});
  CHECK(world.journal().counts().snapshot_reads == before.snapshot_reads + 1);
  CHECK(world.journal().counts().events_read == before.events_read);
}

TEST_CASE("an aggregate that is used is not idle") {
  test_runtime world({.passivate_after = 1'000ms});
  world.ask<Product>("1", Enrol{1});
  world.run();
  for (int round = 0; round < 10; ++round) {
    world.ask<Product>("1", AddStock{1});
    world.advance(500ms);
  }
  CHECK(live(world) == 1);
  CHECK(world.runtime().statistics().activations == 1);
}

TEST_CASE("no command is lost, doubled or reordered, at whichever moment it meets a passivation") {
  // The passivation takes a handful of messages; a command is let in after each number of them.
  for (int moment = 0; moment < 12; ++moment) {
    CAPTURE(moment);
    test_runtime world({.live_aggregates_max = 1, .directories = 1});
    world.ask<Product>("1", Enrol{0});
    world.run();
    const auto other = world.ask<Product>("2", Enrol{0});  // there is room for one: 1 must go
    for (int message = 0; message < moment; ++message) world.step();
    std::vector<awaited<answer<>>> late;
    for (int command = 0; command < 3; ++command) late.push_back(world.ask<Product>("1", AddStock{1}));
    world.run();
    CHECK(other.accepted());
    for (std::size_t place = 0; place < late.size(); ++place) {
      REQUIRE(late[place].accepted());
      CHECK(late[place]->version == version{place + 2});
    }
  }
}

TEST_CASE("no command of a batch is lost, doubled or reordered, at whichever moment it meets a passivation") {
  for (int moment = 0; moment < 12; ++moment) {
    CAPTURE(moment);
    test_runtime world({.live_aggregates_max = 1, .directories = 1});
    world.ask<Product>("1", Enrol{0});
    world.run();
    const auto other = world.ask<Product>("2", Enrol{0});  // there is room for one: 1 must go
    for (int message = 0; message < moment; ++message) world.step();
    const auto late = world.ask_many<Product>("1", std::vector(3, AddStock{1}));
    const auto last = world.ask<Product>("1", AddStock{1});
    world.run();
    CHECK(other.accepted());
    REQUIRE(late->size() == 3);
    for (std::size_t place = 0; place < 3; ++place) CHECK((*late)[place].version == version{place + 2});
    REQUIRE(last.accepted());
    CHECK(last->version == version{5});
  }
}

TEST_CASE("a batch for more aggregates than may live ends each only after the commands that came before") {
  test_runtime world({.live_aggregates_max = 2, .directories = 1});
  std::vector<addressed<Enrol>> commands;
  for (int round = 0; round < 2; ++round) {
    for (int product = 0; product < 20; ++product) commands.push_back({std::to_string(product), Enrol{product}});
  }
  const auto answers = world.ask_many<Product>(commands);
  std::uint64_t most = 0;
  while (world.step()) most = std::max(most, live(world));
  CHECK(most == 2);
  REQUIRE(answers->size() == 40);
  for (std::size_t place = 0; place < 40; ++place) {
    CHECK_FALSE((*answers)[place].code);
    CHECK(static_cast<bool>((*answers)[place]) == (place < 20));
  }
  CHECK(world.runtime().statistics().activations == 22);  // the first two came too early for their second command
}

TEST_CASE("a batch that comes during a recovery waits as single commands do, in order and within the bound") {
  test_runtime world({.recovery_queue_max = 3});
  auto recoveries = world.hold<actors::recovery_request>(recoverer_of<Product>("1"));
  const auto first = world.ask<Product>("1", Enrol{0});
  const auto batch = world.ask_many<Product>("1", std::vector(4, AddStock{1}));
  world.run();
  CHECK_FALSE(batch.answered());
  recoveries.release();
  world.run();
  CHECK(first.accepted());
  REQUIRE(batch->size() == 4);
  for (std::size_t place = 0; place < 2; ++place) CHECK((*batch)[place].version == version{place + 2});
  for (std::size_t place = 2; place < 4; ++place) CHECK((*batch)[place].code == errc::overloaded);
}

TEST_CASE("a batch whose aggregate cannot be recovered, or is killed, says so for each of its commands and for no other") {
  test_runtime world;
  world.ask<Product>("2", Enrol{0});
  world.run();
  world.journal().fail_read();
  const std::vector<addressed<AddStock>> commands{{"1", AddStock{1}}, {"2", AddStock{1}}, {"1", AddStock{1}}};
  const auto unread = world.ask_many<Product>(commands);
  world.run();
  REQUIRE(unread->size() == 3);
  for (const std::size_t place : {0, 2}) CHECK((*unread)[place].code == errc::journal_unavailable);
  CHECK((*unread)[1].version == version{2});

  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("2"));
  const auto killed = world.ask_many<Product>(std::vector<addressed<AddStock>>(3, {"2", AddStock{1}}));
  world.run();
  world.kill(aggregate<Product>("2"));
  world.run();
  REQUIRE(killed->size() == 3);
  for (const auto& one : *killed) CHECK(one.code == errc::abandoned);
}

TEST_CASE("a batch in the mailbox of a directory that drains is refused, command by command") {
  test_runtime world({.directories = 1});
  const auto gate = std::make_shared<actors::drain_gate>(1);
  world.inject(directory_of<Product>("1"), actors::drain_directory{true, gate});
  const auto late = world.ask_many<Product>(std::vector<addressed<Enrol>>{{"1", Enrol{1}}, {"2", Enrol{1}}});
  world.run();
  REQUIRE(late->size() == 2);
  for (const auto& one : *late) CHECK(one.code == errc::draining);
}

TEST_CASE("no more aggregates live at once than may") {
  test_runtime world({.live_aggregates_max = 3, .directories = 1});
  std::uint64_t most = 0;
  std::vector<awaited<answer<>>> all;
  for (int product = 0; product < 50; ++product) all.push_back(world.ask<Product>(std::to_string(product), Enrol{product}));
  while (world.step()) most = std::max(most, live(world));
  CHECK(most == 3);
  for (const auto& one : all) CHECK(one.accepted());
}

TEST_CASE("the least recently used aggregate is the one that makes room") {
  test_runtime world({.live_aggregates_max = 2, .directories = 1, .passivate_after = 1'000ms});
  world.ask<Product>("old", Enrol{0});
  world.ask<Product>("new", Enrol{0});
  world.run();
  world.advance(300ms);
  world.ask<Product>("old", AddStock{1});
  world.run();
  world.ask<Product>("third", Enrol{0});
  world.run();
  const auto activations = world.runtime().statistics().activations;
  world.ask<Product>("old", AddStock{1});
  world.run();
  CHECK(world.runtime().statistics().activations == activations);
}

TEST_CASE("an aggregate whose actor dies is made anew by the next command, from what is durable") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.run();
  world.kill(aggregate<Product>("1"));
  const auto next = world.ask<Product>("1", AddStock{1});
  world.run();
  REQUIRE(next.accepted());
  CHECK(next->version == version{2});
  CHECK(world.runtime().statistics().activations == 2);
}

TEST_CASE("the appends of an actor that was killed are settled before its successor recovers") {
  test_runtime world;
  const auto killed = aggregate<Product>("1");
  world.ask<Product>("1", Enrol{5});
  world.run();
  const auto first = world.ask<Product>("1", AddStock{1});
  const auto second = world.ask<Product>("1", AddStock{1});
  while (world.step(directory_of<Product>("1"))) {}
  while (world.step(killed)) {}  // both are decided, and their appends are in the journal's mailbox
  CHECK(world.mailbox(journal_actor()).size() == 2);
  world.kill(killed);
  CHECK(first.failed_with(errc::abandoned));
  CHECK(second.failed_with(errc::abandoned));
  std::vector<awaited<answer<>>> next;
  for (int command = 0; command < 3; ++command) next.push_back(world.ask<Product>("1", AddStock{10}));
  world.run();
  // What was abandoned turned out to be stored, and the next commands are decided on it.
  for (std::size_t place = 0; place < next.size(); ++place) {
    REQUIRE(next[place].accepted());
    CHECK(next[place]->version == version{4 + place});
  }
}

TEST_CASE("draining leaves a snapshot of every live aggregate, and what comes later is refused") {
  test_runtime world({.directories = 1});
  for (int product = 0; product < 10; ++product) world.ask<Product>(std::to_string(product), Enrol{product});
  world.run();
  const auto gate = std::make_shared<actors::drain_gate>(1);
  world.inject(directory_of<Product>("1"), actors::drain_directory{true, gate});
  const auto late = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(gate->is_open());
  CHECK(world.journal().counts().saved.size() == 10);
  CHECK(live(world) == 0);
  CHECK(late.failed_with(errc::draining));
}

}  // namespace cairn::tests
