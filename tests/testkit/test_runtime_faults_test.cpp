// The test runtime held to its own word: what its expectations say when they fail, and what its taps do in corners.
#include "product.hpp"
#include "reported.hpp"

#include <cairn/testkit/test_runtime.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <doctest/doctest.h>

#include <source_location>
#include <vector>

namespace cairn::tests {
namespace {

using namespace std::chrono_literals;
using namespace stock;
using namespace testkit;

std::uint32_t this_line(std::source_location where = std::source_location::current()) { return where.line(); }

}  // namespace

// -- expectations that fail

TEST_CASE("an expectation that fails says what was expected, of whom, and what there was") {
  test_runtime world;
  auto journal = world.probe(journal_actor());
  const auto product = aggregate<Product>("1");
  CHECK(reported([&] { journal.expect<actors::append_request>(); }) ==
        "expected append_request to journal, and there is no message");
  CHECK(reported([&] { world.inject(product, actors::passivate{}); }) ==
        "aggregate product/1 is not live; ask it something first, and run()");
  CHECK(reported([&] { world.kill(product); }) == "aggregate product/1 is not live; ask it something first, and run()");
  CHECK(reported([&] { journal.reply(actors::snapshot_result{}); }) ==
        "nobody waits for a reply: no message with a sender was taken");

  world.ask<Product>("1", Enrol{5});
  world.run();
  CHECK(reported([&] { journal.expect<actors::commit_now>(); }) ==
        "expected commit_now to journal, and the next is append_request: product/1 versions 1 to 1");
  CHECK(reported([&] { journal.expect_no_message(); }) ==
        "expected no message to journal, and the next is append_request: product/1 versions 1 to 1");
  CHECK(reported([&] { journal.at(1); }) == "there is no message 1 to journal: the tap keeps 1");
  CHECK(reported([&] { journal.release(1); }) == "there is no message 1 to journal: the tap keeps 1");
  CHECK(reported([&] { journal.drop(1); }) == "there is no message 1 to journal: the tap keeps 1");
  CHECK(reported([&] { world.kill(journal_actor()); }) ==
        "the journal never dies alone: end the test_runtime, and make another over its journal");
  CHECK(journal.size() == 1);  // none of these took it
}

TEST_CASE("a failure names the line of the test that expects") {
  test_runtime world;
  auto journal = world.probe(journal_actor());
  std::vector<failure> told;
  const failures_go_to here([&](const failure& failed) { told.push_back(failed); });
  const auto first = this_line() + 1;
  CHECK_THROWS_AS(journal.expect<actors::append_request>(), failure);
  world.inject(aggregate<Product>("1"), actors::passivate{});
  world.kill(aggregate<Product>("1"));
  REQUIRE(told.size() == 3);  // the test goes on behind those that give nothing
  for (std::size_t place = 0; place < told.size(); ++place) {
    CHECK(told[place].where().line() == first + place);
    CHECK(std::string(told[place].where().file_name()).ends_with("test_runtime_faults_test.cpp"));
  }
}

TEST_CASE("an answer that has not come fails the test, where it is wanted or where it was asked for") {
  test_runtime world;
  const auto asked_at = this_line() + 1;
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  std::vector<failure> told;
  const failures_go_to here([&](const failure& failed) { told.push_back(failed); });
  const auto wanted_at = this_line() + 1;
  CHECK_THROWS_AS(enrolled.get(), failure);
  CHECK_THROWS_AS(static_cast<void>(enrolled->version), failure);
  REQUIRE(told.size() == 2);
  CHECK(told[0].where().line() == wanted_at);
  CHECK(told[0].text() == "no answer has come yet");
  CHECK(told[1].where().line() == asked_at);
  CHECK(told[1].text() == "no answer has come yet to what is asked here");
}

// -- taps in corners

// A tap once kept the first of two messages, and the actor's turn went on with the second, which the tap had not seen.
TEST_CASE("a tap keeps every message of several that wait, and none behind it slips through") {
  test_runtime world;
  world.ask<Product>("1", Enrol{0});
  world.run();
  auto commands = world.hold<actors::perform>(aggregate<Product>("1"));
  for (int number = 0; number < 5; ++number) world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(commands.size() == 5);
  CHECK(world.journal().last() == position{1});
  commands.release();
  world.run();
  CHECK(commands.empty());  // what is released is past the taps
  CHECK(world.journal().last() == position{6});
}

TEST_CASE("of two taps for the same message the first has it, and the second once the first is closed") {
  test_runtime world;
  auto first = world.hold<actors::append_request>(journal_actor());
  auto second = world.probe(journal_actor());
  world.ask<Product>("1", Enrol{5});
  world.run();
  CHECK(first.size() == 1);
  CHECK(second.empty());
  first.close();
  world.ask<Product>("2", Enrol{5});
  world.run();
  CHECK(first.size() == 1);
  CHECK(second.size() == 1);
}

TEST_CASE("a tap keeps what is sent to an aggregate that is made later, and to its successor") {
  test_runtime world;
  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("1"));
  world.ask<Product>("1", Enrol{5});
  world.run();
  world.kill(aggregate<Product>("1"));
  world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(acknowledgements.size() == 2);
}

// What is released or delayed was once known by its address, which stayed marked when its receiver had died.
TEST_CASE("messages that are released or delayed to a dead actor are lost, and no later one is taken for them") {
  test_runtime world({.snapshot_every_events = 0});
  const auto product = aggregate<Product>("1");
  auto acknowledgements = world.hold<actors::append_result>(product);
  for (int round = 0; round < 50; ++round) {
    world.ask<Product>("1", Enrol{5});
    world.ask<Product>("1", AddStock{1});
    world.run();
    REQUIRE(acknowledgements.size() == 1);
    world.kill(product);
    acknowledgements.release();
    world.run();
    REQUIRE(acknowledgements.empty());
  }
  acknowledgements.close();
  world.delay<actors::append_result>(product, 10ms);
  const auto asked = world.ask<Product>("1", AddStock{1});
  world.run();
  world.kill(product);
  world.advance(20ms);
  CHECK(asked.failed_with(errc::abandoned));
}

TEST_CASE("a tap passes an actor's exit, so that also a probe can be killed") {
  test_runtime world;
  const auto product = world.probe(aggregate<Product>("1"));
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.run();
  world.kill(aggregate<Product>("1"));
  CHECK_FALSE(world.is_live(aggregate<Product>("1")));
  CHECK_FALSE(enrolled.answered());  // the tap has it still
}

TEST_CASE("a call that a tap drops is answered as abandoned") {
  test_runtime world;
  auto calls = world.probe(directory_of<Product>("1"));
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.run();
  calls.drop();
  world.run();
  CHECK(enrolled.failed_with(errc::abandoned));
}

TEST_CASE(
    "a batch that meets the end of its world, in a mailbox or waiting for a place, is answered by nobody and owned by nobody") {
  for (int steps = 0; steps < 5; ++steps) {
    test_runtime world({.in_flight_max = 3});
    const auto batch = world.ask_many<Product>(std::vector(6, addressed<Enrol>{"1", Enrol{5}, {.when_full = when_full::wait}}));
    for (int step = 0; step < steps; ++step) world.step();
    CHECK_FALSE(batch.answered());
  }
}

TEST_CASE("a delay of no time arrives with the next moment, and one of less than none is none") {
  for (const auto by : {0us, -5us}) {
    test_runtime world;
    world.delay<actors::append_result>(aggregate<Product>("1"), by);
    const auto enrolled = world.ask<Product>("1", Enrol{5});
    world.run();
    CHECK_FALSE(enrolled.answered());
    world.advance(1us);
    CHECK(enrolled.accepted());
  }
}

TEST_CASE("a look into the past is held like any other message") {
  test_runtime world;
  auto reads = world.hold<actors::read_request>(reader_of<Product>("1"));
  const auto history = world.history<Product>("1");
  world.run();
  CHECK_FALSE(history.answered());
  reads.release();
  world.run();
  CHECK(history->events.empty());
}

// -- snapshots

TEST_CASE("five hundred snapshots in a row that fail cost warnings, and the next recovery reads events") {
  test_runtime world({.snapshot_every_events = 1});
  world.journal().fail_next_save(errc::journal_unavailable, "no room", 501);  // also the one at the end
  world.ask<Product>("1", Enrol{0});
  for (int number = 1; number < 500; ++number) {
    const auto added = world.ask<Product>("1", AddStock{1});
    world.run();
    REQUIRE(added.accepted());
  }
  CHECK(world.warnings().size() == 500);
  world.advance_until_idle();
  REQUIRE_FALSE(world.is_live(aggregate<Product>("1")));
  const auto seen = world.state<Product>("1");
  world.run();
  CHECK(seen->state.count == 499);
  CHECK(world.journal().counts().events_read == 500);
  CHECK(world.journal().counts().saved.empty());
}

TEST_CASE("a snapshot at five hundred events that fails keeps nobody waiting, and recovery reads the events") {
  test_runtime world({.snapshot_every_events = 500});
  world.journal().fail_next_save();
  world.ask<Product>("1", Enrol{0});
  for (int number = 1; number < 510; ++number) world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(world.warnings().size() == 1);
  world.kill(aggregate<Product>("1"));  // so that it saves none as it leaves
  const auto seen = world.state<Product>("1");
  world.run();
  CHECK(seen->version == version{510});
  CHECK(world.journal().counts().events_read == 510);
}

// -- the end

TEST_CASE("a world may end with messages held, operations in flight and commands that wait for a place") {
  std::optional<tap> held;
  std::optional<awaited<answer<>>> first, waiting;
  {
    test_runtime world({.in_flight_max = 1});
    held = world.hold<actors::append_result>(aggregate<Product>("1"));
    first = world.ask<Product>("1", Enrol{5});
    waiting = world.ask<Product>("1", AddStock{1}, {.when_full = when_full::wait});
    world.run();
    CHECK(held->size() == 1);
  }
  CHECK_FALSE(first->answered());  // no handler runs any more
  CHECK_FALSE(waiting->answered());
  CHECK(held->empty());
  CHECK(reported([&] { held->reply(actors::snapshot_result{}); }) ==
        "nobody waits for a reply: no message with a sender was taken");
  held->release();
  held->drop();
  held->close();
}

TEST_CASE("a world may end with calls in taps, in mailboxes, in recovery and in a suspended coroutine") {
  test_runtime world;
  const auto calls = world.probe(directory_of<Product>("1"));
  const auto reads = world.probe(recoverer_of<Product>("2"));
  world.ask<Product>("1", Enrol{5});
  world.ask<Product>("2", Enrol{5});
  boost::asio::co_spawn(
      world.executor(),
      [&world]() -> boost::asio::awaitable<void> {
        co_await world.runtime().ask<Product>("2", AddStock{1}, boost::asio::use_awaitable);
      },
      boost::asio::detached);
  world.run();
  world.ask<Product>("3", Enrol{5});
  world.history<Product>("3");
}

TEST_CASE("behind a drain nobody is live, taps keep nothing, and looks find nothing") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.runtime().drain(blocking);
  world.runtime().drain(blocking);  // once more does nothing
  for (const auto& who : {aggregate<Product>("1"), recoverer_of<Product>("1"), reader_of<Product>("1"),
                          directory_of<Product>("1"), journal_actor(), snapshot_writer()}) {
    CHECK_FALSE(world.is_live(who));
    CHECK(world.mailbox(who).empty());
    CHECK_FALSE(world.step(who));
    CHECK(world.probe(who).empty());
  }
  CHECK(reported([&] { world.inject(journal_actor(), actors::commit_now{}); }) == "journal is not live any more");
}

TEST_CASE("a drain gets stuck on its own messages as on those of commands, and goes on where it stopped") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.ask<Product>("2", Enrol{5});
  world.run();
  auto leaving = world.hold<actors::passivate>(aggregate<Product>("1"));
  CHECK_THROWS_AS(world.runtime().drain(blocking), std::logic_error);
  CHECK_FALSE(world.is_live(aggregate<Product>("2")));
  leaving.release();
  world.runtime().drain(blocking);
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{1, 1});
}

TEST_CASE("a coroutine that drains has drained when it goes on, and others run meanwhile") {
  test_runtime world;
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  bool drained = false;
  boost::asio::co_spawn(
      world.executor(),
      [&]() -> boost::asio::awaitable<void> {
        co_await world.runtime().drain(boost::asio::use_awaitable);
        drained = true;
      },
      boost::asio::detached);
  world.run();
  CHECK(drained);
  CHECK(enrolled.accepted());
}

TEST_CASE("a handler may step the world, and may drain it while it drains") {
  test_runtime world;
  bool added = false;
  world.runtime().ask<Product>("1", Enrol{5}, boost::asio::bind_executor(world.executor(), [&](auto, auto) {
                                 const auto next = world.ask<Product>("1", AddStock{1});
                                 world.run();
                                 added = next.accepted();
                                 world.runtime().drain(blocking);
                               }));
  world.run();
  CHECK(added);
  world.runtime().drain(blocking);

  test_runtime other;
  bool answered = false;
  other.runtime().ask<Product>("1", Enrol{5}, boost::asio::bind_executor(other.executor(), [&](auto, auto) {
                                 other.runtime().drain(blocking);
                                 answered = true;
                               }));
  other.runtime().drain(blocking);
  other.run();
  CHECK(answered);
}

}  // namespace cairn::tests
