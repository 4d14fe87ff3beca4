// Messages injected into the real actors of a runtime, held, lost and reordered, with time moved by hand. Each test is an example
// to copy; those that hold the testkit itself to its word are in test_runtime_faults_test.cpp.
#include "../../actors/recovery.hpp"
#include "product.hpp"

#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>

#include <doctest/doctest.h>

#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace cairn::tests {
namespace {

using namespace std::chrono_literals;
using namespace stock;
using namespace testkit;

}  // namespace

// -- asking and stepping

TEST_CASE("a command is asked of the real runtime, and its answer is there once the actors have run") {
  test_runtime world;
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  const auto removed = world.ask<Product>("1", RemoveStock{9});
  CHECK_FALSE(enrolled.answered());  // nothing happens before the actors are stepped
  world.run();
  CHECK(enrolled.accepted());
  CHECK(enrolled->version == version{1});
  CHECK(removed.rejected("insufficient_stock"));
}

TEST_CASE("states of now and of the past, and the history, are asked in the same way") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.ask<Product>("1", AddStock{2, "found"});
  world.run();
  const auto now = world.state<Product>("1");
  const auto before = world.state_at<Product>("1", version{1});
  const auto history = world.history<Product>("1");
  world.run();
  CHECK(now->state.count == 7);
  CHECK(before->state.count == 5);
  REQUIRE(history->events.size() == 2);
  CHECK(std::get<StockAdded>(history->events[1].event).reason == "found");
}

TEST_CASE("the actors take one message at a time, in the order that the test wants") {
  test_runtime world;
  const auto product = aggregate<Product>("1");
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  CHECK(world.step(directory_of<Product>("1")));  // makes the aggregate, and hands it the command
  CHECK(world.is_live(product));
  CHECK(world.step(product));  // takes the command, and keeps it: it is being recovered
  CHECK(world.step(recoverer_of<Product>("1")));
  CHECK(world.step(product));  // is recovered, and decides
  CHECK(world.step(journal_actor()));
  CHECK(world.step(journal_actor()));  // commits
  CHECK(world.journal().last() == position{1});
  CHECK_FALSE(enrolled.answered());
  CHECK(world.step(product));
  CHECK(enrolled.accepted());
  CHECK_FALSE(world.step());  // nobody has anything to do
}

TEST_CASE("what waits in a mailbox can be looked at, and told in a line") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5}, {.command_id = "the first"});
  const auto waiting = world.mailbox(directory_of<Product>("1"));
  REQUIRE(waiting.size() == 1);
  CHECK(describe(waiting[0]) == "perform: product/1, command the first");
  while (world.mailbox(journal_actor()).empty()) world.step();
  CHECK(describe(world.mailbox(journal_actor())[0]) == "append_request: product/1 versions 1 to 1");
}

// -- messages out of the test's hand

TEST_CASE("an internal message is injected as if an actor had sent it") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.run();
  world.inject(aggregate<Product>("1"), actors::passivate{});
  world.run();
  CHECK_FALSE(world.is_live(aggregate<Product>("1")));
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{1});
}

TEST_CASE("a message is injected in an actor's name, who gets the answer") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.run();
  auto results = world.hold<actors::snapshot_result>(aggregate<Product>("1"));
  world.inject(snapshot_writer(), actors::snapshot_request{stream_id("product", "1"), version{1}, "bytes"},
               aggregate<Product>("1"));
  world.run();
  CHECK(results.expect<actors::snapshot_result>().saved);
}

TEST_CASE("an acknowledgement that the journal never gave makes nothing durable that does not exist") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.run();
  world.inject(aggregate<Product>("1"), actors::append_result{1, 7, version{1000}, {}, {}, {}});
  world.run();
  const auto journal = world.probe(journal_actor());
  const auto added = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK_FALSE(added.answered());
}

// -- acknowledgements

TEST_CASE("an answer waits until the journal's acknowledgement has arrived") {
  test_runtime world;
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("1"));
  world.run();
  CHECK_FALSE(enrolled.answered());
  CHECK(world.journal().last() == position{1});
  acknowledgements.release();
  world.run();
  CHECK(enrolled.accepted());
  CHECK(enrolled->version == version{1});
}

TEST_CASE("an acknowledgement that is lost is made good by the next, which covers it") {
  test_runtime world;
  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("1"));
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.run();
  acknowledgements.drop();
  acknowledgements.close();
  world.run();
  CHECK_FALSE(enrolled.answered());
  const auto added = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(enrolled.accepted());
  CHECK(added.accepted());
}

TEST_CASE("acknowledgements that come late are waited for") {
  test_runtime world;
  world.delay<actors::append_result>(aggregate<Product>("1"), 20ms);
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.advance(19ms);
  CHECK_FALSE(enrolled.answered());
  world.advance(1ms);
  CHECK(enrolled.accepted());
}

TEST_CASE("acknowledgements in another order answer everything once") {
  test_runtime world;
  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("1"));
  const auto first = world.ask<Product>("1", Enrol{5});
  world.run();
  const auto second = world.ask<Product>("1", AddStock{1});
  world.run();
  REQUIRE(acknowledgements.size() == 2);
  acknowledgements.release(1);
  world.run();
  CHECK(first.accepted());  // the second was decided on it, so it is durable
  CHECK(second.accepted());
  acknowledgements.release();
  const auto third = world.ask<Product>("1", AddStock{1});
  world.run();
  acknowledgements.release();
  world.run();
  CHECK(third->version == version{3});
}

// -- failures of the store

TEST_CASE("an append that fails is the command's error, and the aggregate goes on from what is stored") {
  test_runtime world;
  world.journal().fail_next_append(errc::journal_unavailable, "the cable is out");
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.run();
  CHECK(enrolled.failed_with(errc::journal_unavailable));
  CHECK(enrolled->detail == "the cable is out");
  const auto again = world.ask<Product>("1", Enrol{5});
  world.run();
  CHECK(again.accepted());
}

TEST_CASE("a sync that fails leaves the outcome open, and asking again under the same id tells it") {
  test_runtime world;
  world.journal().fail_next_sync();
  const auto enrolled = world.ask<Product>("1", Enrol{5}, {.command_id = "a"});
  world.run();
  CHECK(enrolled.failed_with(errc::journal_unavailable));
  const auto again = world.ask<Product>("1", Enrol{5}, {.command_id = "a"});
  world.run();
  CHECK(again.accepted());
  CHECK(again->repeated);  // it was stored after all
}

TEST_CASE("two hundred commands in flight get the error of the append that failed, and none of them happened") {
  test_runtime world;
  world.ask<Product>("1", Enrol{100});
  world.run();
  world.journal().fail_next_append();
  std::vector<awaited<answer<>>> additions;
  for (int number = 0; number < 200; ++number) additions.push_back(world.ask<Product>("1", AddStock{1}));
  world.run();
  for (const auto& addition : additions) CHECK(addition.failed_with(errc::journal_unavailable));
  const auto seen = world.state<Product>("1");
  world.run();
  CHECK(seen->state.count == 100);
  CHECK(seen->version == version{1});
}

TEST_CASE("a snapshot that cannot be saved costs a warning, and is tried again when the aggregate leaves") {
  test_runtime world({.snapshot_every_events = 2});
  world.journal().fail_next_save(errc::journal_unavailable, "no room");
  world.ask<Product>("1", Enrol{5});
  const auto added = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(added.accepted());
  REQUIRE(world.warnings().size() == 1);
  CHECK(world.warnings()[0] == "the snapshot of product/1 at version 2 was not saved: no room");
  world.advance_until_idle();
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{2});
}

TEST_CASE("the second read of two fails: the one that has come back, the other has not") {
  test_runtime world;
  world.journal().fail_read(2, errc::corrupt_record, "a page is torn");
  const auto first = world.ask<Product>("1", Enrol{5});
  world.run();
  const auto second = world.ask<Product>("2", Enrol{5});
  world.run();
  CHECK(first.accepted());
  CHECK(second.failed_with(errc::corrupt_record));
  CHECK(second->detail == "product/2 cannot be recovered: a page is torn");
}

// -- time

TEST_CASE("a deadline that passes while the journal is silent makes the outcome unknown, and says so") {
  test_runtime world;
  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("1"));
  const auto enrolled = world.ask<Product>("1", Enrol{5}, {.deadline = world.now() + 50ms});
  world.advance(40ms);
  CHECK_FALSE(enrolled.answered());
  world.advance(20ms);
  CHECK(enrolled.failed_with(errc::timed_out));
}

TEST_CASE("a recovery that fails is tried again with growing pauses") {
  test_runtime world({.recovery_retry_min = 100ms});
  world.journal().fail_read(1, errc::journal_unavailable, "the disk cannot be read", 2);
  world.ask<Product>("1", Enrol{5});
  world.run();
  CHECK(world.journal().counts().reads == 1);
  world.advance(100ms);
  CHECK(world.journal().counts().reads == 2);
  world.advance(199ms);
  CHECK(world.journal().counts().reads == 2);
  world.advance(1ms);
  CHECK(world.journal().counts().reads == 3);
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.run();
  CHECK(enrolled.accepted());
}

TEST_CASE("the clock may jump, and recorded-at never falls within an aggregate") {
  test_runtime world;
  const auto noon = world.now();
  world.ask<Product>("1", Enrol{5});
  world.run();
  world.set_clock(noon - 1h);
  world.ask<Product>("1", AddStock{1});
  world.run();
  world.set_clock(noon + 1h);
  world.ask<Product>("1", AddStock{1});
  world.run();
  const auto history = world.history<Product>("1");
  world.run();
  CHECK(history->events[1].recorded_at == noon);
  CHECK(history->events[2].recorded_at == noon + 1h);
}

// -- passivation

TEST_CASE("an aggregate that is idle leaves, and comes back from its snapshot and no event") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.advance_until_idle();
  CHECK_FALSE(world.is_live(aggregate<Product>("1")));
  const auto added = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(added->version == version{2});
  CHECK(world.journal().counts().events_read == 0);
}

TEST_CASE("with room for one, each of two aggregates makes the other leave") {
  test_runtime world({.live_aggregates_max = 1});
  world.ask<Product>("1", Enrol{5});
  world.ask<Product>("2", Enrol{5});
  const auto added = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(added->version == version{2});
  CHECK(world.runtime().statistics().passivations == 2);
}

TEST_CASE("a command that comes while its aggregate is told to leave is carried out by the next incarnation") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.run();
  auto leaving = world.hold<actors::passivate>(aggregate<Product>("1"));
  world.advance_until_idle();
  REQUIRE(leaving.size() == 1);
  const auto late = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK_FALSE(late.answered());  // its directory keeps it
  leaving.release();
  world.run();
  CHECK(late->version == version{2});
  CHECK(world.runtime().statistics().activations == 2);
}

TEST_CASE("commands that arrive during recovery wait, and are decided in their order") {
  test_runtime world;
  auto recovery = world.hold<actors::recovery_request>(recoverer_of<Product>("1"));
  const auto enrolled = world.ask<Product>("1", Enrol{0});
  const auto added = world.ask<Product>("1", AddStock{1});
  const auto other = world.ask<Product>("2", Enrol{0});
  world.run();
  CHECK_FALSE(enrolled.answered());
  recovery.release();
  world.run();
  CHECK(enrolled->version == version{1});
  CHECK(added->version == version{2});
  CHECK(other.accepted());
}

TEST_CASE("a look at the state waits for the events that it has seen") {
  test_runtime world;
  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("1"));
  world.ask<Product>("1", Enrol{5});
  const auto seen = world.state<Product>("1");
  world.run();
  CHECK_FALSE(seen.answered());
  acknowledgements.release();
  world.run();
  CHECK(seen->state.count == 5);
}

// -- death

TEST_CASE("an actor that is killed between append and acknowledgement has stored what nobody was told") {
  test_runtime world;
  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("1"));
  const auto enrolled = world.ask<Product>("1", Enrol{5}, {.command_id = "a"});
  world.run();
  world.kill(aggregate<Product>("1"));
  CHECK(enrolled.failed_with(errc::abandoned));
  acknowledgements.close();
  const auto again = world.ask<Product>("1", Enrol{5}, {.command_id = "a"});
  world.run();
  CHECK(again.accepted());
  CHECK(again->repeated);
}

// The directory once let a successor in as soon as an actor that it had told to leave was gone, for such an actor has waited for
// its appends. One that is killed while it leaves has not: its append was committed behind its successor's recovery, and the
// successor's first command failed with a conflict that nobody had made.
TEST_CASE("the successor of an actor that was killed while it left waits until the dead one's appends are settled") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.run();
  auto commits = world.hold<actors::commit_now>(journal_actor());
  const auto lost = world.ask<Product>("1", AddStock{1});
  world.advance_until_idle();  // it is told to leave, and waits for the journal
  world.kill(aggregate<Product>("1"));
  CHECK(lost.failed_with(errc::abandoned));
  const auto next = world.ask<Product>("1", AddStock{1});
  world.run();
  commits.close();
  commits.release();
  world.run();
  CHECK(next.accepted());
  CHECK(next->version == version{3});
}

TEST_CASE("a process dies where its world ends, and the next begins over the same journal") {
  const std::shared_ptr<journal> disk = memory_journal();
  {
    test_runtime world({}, disk);
    auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("1"));
    world.ask<Product>("1", Enrol{5});
    world.run();
  }
  test_runtime world({}, disk);
  const auto seen = world.state<Product>("1");
  world.run();
  CHECK(seen->state.count == 5);
}

// -- probes

TEST_CASE("a probe in the journal's place says what it likes") {
  test_runtime world;
  auto journal = world.probe(journal_actor());
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.run();
  const auto request = journal.expect<actors::append_request>();
  CHECK(request.expected == version{0});
  CHECK(request.events == 1);
  journal.expect_no_message();
  journal.reply(actors::append_result{request.incarnation, 1, version{0}, errc::version_conflict, "a lie", version{7}});
  world.run();
  CHECK(enrolled.failed_with(errc::version_conflict));
  CHECK(enrolled->version == version{7});
}

TEST_CASE("a probe in the snapshot writer's place keeps no command waiting") {
  test_runtime world({.snapshot_every_events = 1});
  auto writer = world.probe(snapshot_writer());
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.run();
  CHECK(enrolled.accepted());
  const auto request = writer.expect<actors::snapshot_request>();
  CHECK(request.at == version{1});
  writer.reply(actors::snapshot_result{request.at, false});
  world.advance_until_idle();
  CHECK(writer.allow<actors::snapshot_request>());  // once more, before it leaves
  CHECK_FALSE(writer.allow<actors::snapshot_request>());
}

TEST_CASE("a probe in a recoverer's place brings back what the test likes") {
  test_runtime world;
  auto recoverer = world.probe(recoverer_of<Product>("1"));
  const auto removed = world.ask<Product>("1", RemoveStock{5});
  world.run();
  const auto request = recoverer.expect<actors::recovery_request>();
  CHECK(request.stream == stream_id("product", "1"));
  auto state = std::make_unique<actors::hosted<Product>>();
  state->value = Product{.enrolled = true, .count = 4};
  auto found =
      std::make_shared<actors::recovered>(actors::recovered{std::move(state), version{9}, {}, actors::command_window(8), {}, 0});
  recoverer.reply(actors::recovery_result{request.incarnation, std::move(found), {}, {}});
  world.run();
  CHECK(removed.rejected("insufficient_stock"));
  CHECK(removed->version == version{9});
}

TEST_CASE("a probe in a directory's place answers a call before any aggregate sees it") {
  test_runtime world;
  auto directory = world.probe(directory_of<Product>("1"));
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.run();
  directory.expect<actors::perform>().what->complete(actors::outcome::failed(errc::overloaded, "not today"));
  world.run();
  CHECK(enrolled.failed_with(errc::overloaded));
  CHECK_FALSE(world.is_live(aggregate<Product>("1")));
}

TEST_CASE("a probe in an aggregate's place sees everything that is sent to it") {
  test_runtime world;
  auto product = world.probe(aggregate<Product>("1"));
  world.ask<Product>("1", Enrol{5});
  world.run();
  CHECK(product.expect<actors::perform>().what->stream() == stream_view{"product", "1"});
  CHECK(product.expect<actors::recovery_result>().aggregate->version == version{0});
  product.expect_no_message();
}

// -- batches

TEST_CASE("a batch is one message to a directory, and one to each of its aggregates that has several of its commands") {
  test_runtime world({.directories = 1});
  auto first = world.probe(aggregate<Product>("1"));
  auto second = world.probe(aggregate<Product>("2"));
  world.ask_many<Product>(std::vector<addressed<AddStock>>{
      {"1", AddStock{1}, {.command_id = "a"}}, {"2", AddStock{1}}, {"1", AddStock{2}, {.command_id = "b"}}});
  const auto waiting = world.mailbox(directory_of<Product>("1"));
  REQUIRE(waiting.size() == 1);
  CHECK(describe(waiting[0]) == "perform_many: 3 operations, the first of product/1, command a");
  world.run();
  const auto for_the_first = first.expect<actors::perform_many>();
  REQUIRE(for_the_first.what.size() == 2);
  CHECK(for_the_first.what[0]->options().command_id == "a");
  CHECK(for_the_first.what[1]->options().command_id == "b");
  CHECK(describe(second.at(0)) == "perform: product/2");
}

TEST_CASE("a batch that is held goes on when it is released, behind what came meanwhile") {
  test_runtime world;
  world.ask<Product>("1", Enrol{0});
  world.run();
  auto batches = world.hold<actors::perform_many>(aggregate<Product>("1"));
  const auto batch = world.ask_many<Product>("1", std::vector(3, AddStock{1}));
  const auto single = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK_FALSE(batch.answered());
  CHECK(single->version == version{2});
  batches.release();
  world.run();
  REQUIRE(batch.answered());
  for (std::size_t place = 0; place < 3; ++place) CHECK((*batch)[place].version == version{place + 3});
}

TEST_CASE("a batch that is dropped on one of its ways is answered, and says which of its commands were abandoned") {
  test_runtime world;
  world.ask<Product>("1", Enrol{0});
  world.ask<Product>("2", Enrol{0});
  world.run();
  auto batches = world.hold<actors::perform_many>(aggregate<Product>("1"));
  const auto batch = world.ask_many<Product>(
      std::vector<addressed<AddStock>>{{"1", AddStock{1}}, {"2", AddStock{1}}, {"1", AddStock{1}}, {"2", AddStock{1}}});
  world.run();
  CHECK_FALSE(batch.answered());
  batches.drop();
  world.run();
  REQUIRE(batch->size() == 4);
  for (const std::size_t place : {0, 2}) CHECK((*batch)[place].code == errc::abandoned);
  for (const std::size_t place : {1, 3}) CHECK((*batch)[place].version == version{place / 2 + 2});
  CHECK(world.runtime().in_flight() == 0);
}

TEST_CASE("a batch is taken out of one mailbox, and injected into another in parts and in another order") {
  test_runtime world;
  world.ask<Product>("1", Enrol{0});
  world.run();
  auto directory = world.probe(directory_of<Product>("1"));
  const auto batch = world.ask_many<Product>("1", std::vector(3, AddStock{1}));
  world.run();
  auto taken = directory.expect<actors::perform_many>();
  world.inject(aggregate<Product>("1"), actors::perform_many{{taken.what[2], taken.what[0]}});
  world.run();
  CHECK_FALSE(batch.answered());
  world.inject(aggregate<Product>("1"), actors::perform{taken.what[1]});
  world.run();
  REQUIRE(batch->size() == 3);
  CHECK((*batch)[0].version == version{3});
  CHECK((*batch)[1].version == version{4});
  CHECK((*batch)[2].version == version{2});
}

// -- the user's own service

namespace {

// Knows nothing of tests: what runs its handlers is handed to it, as main would.
class Warehouse {
public:
  Warehouse(cairn::runtime& runtime, boost::asio::any_io_executor executor) : runtime_(runtime), executor_(std::move(executor)) {}

  void receive(const std::string& product, Count count, std::function<void(bool)> done) {
    runtime_.ask<Product>(
        product, AddStock{count},
        boost::asio::bind_executor(executor_, [done = std::move(done)](auto code, auto answer) { done(!code && answer); }));
  }

  boost::asio::awaitable<bool> move(std::string from, std::string to, Count count) {
    const auto taken = co_await runtime_.ask<Product>(from, RemoveStock{count}, boost::asio::use_awaitable);
    if (!taken) co_return false;
    const auto put = co_await runtime_.ask<Product>(to, AddStock{count}, boost::asio::use_awaitable);
    co_return bool(put);
  }

private:
  cairn::runtime& runtime_;
  boost::asio::any_io_executor executor_;
};

}  // namespace

TEST_CASE("a service's callbacks run while the world is stepped") {
  test_runtime world;
  Warehouse warehouse(world.runtime(), world.executor());
  world.ask<Product>("1", Enrol{5});
  std::optional<bool> received;
  warehouse.receive("1", 3, [&](bool accepted) { received = accepted; });
  world.run();
  CHECK(received == true);
}

TEST_CASE("a service's coroutine runs while the world is stepped, and waits where the test holds it") {
  test_runtime world;
  Warehouse warehouse(world.runtime(), world.executor());
  world.ask<Product>("1", Enrol{5});
  world.ask<Product>("2", Enrol{0});
  world.run();
  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("2"));
  std::optional<bool> moved;
  boost::asio::co_spawn(world.executor(), warehouse.move("1", "2", 3), [&](std::exception_ptr, bool done) { moved = done; });
  world.run();
  CHECK_FALSE(moved.has_value());
  acknowledgements.release();
  world.run();
  CHECK(moved == true);
}

TEST_CASE("a service's coroutine sees the error of a store that fails as an exception") {
  test_runtime world;
  Warehouse warehouse(world.runtime(), world.executor());
  world.journal().fail_read();
  std::exception_ptr thrown;
  boost::asio::co_spawn(world.executor(), warehouse.move("1", "2", 3), [&](std::exception_ptr what, bool) { thrown = what; });
  world.run();
  CHECK_THROWS_AS(std::rethrow_exception(thrown), boost::system::system_error);
}

// -- places, and the end

TEST_CASE("calls beyond the places in flight are refused, or wait for one") {
  test_runtime world({.in_flight_max = 1});
  const auto first = world.ask<Product>("1", Enrol{5});
  const auto refused = world.ask<Product>("1", AddStock{1}, {.when_full = when_full::fail});
  const auto patient = world.ask<Product>("1", AddStock{1}, {.when_full = when_full::wait});
  world.run();
  CHECK(first.accepted());
  CHECK(refused.failed_with(errc::overloaded));
  CHECK(patient->version == version{2});
}

TEST_CASE("a drain finishes what is in flight, leaves snapshots, and refuses what comes later") {
  test_runtime world;
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.runtime().drain(blocking);
  const auto late = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(enrolled.accepted());
  CHECK(late.failed_with(errc::draining));
  CHECK(world.journal().counts().saved == std::vector<std::uint64_t>{1});
}

TEST_CASE("a drain lets time pass as far as it needs to") {
  test_runtime world;
  world.delay<actors::append_result>(aggregate<Product>("1"), 10min);
  const auto before = world.now();
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.runtime().drain(drain_snapshots::no, blocking);
  world.run();
  CHECK(enrolled.accepted());
  CHECK(world.now() == before + 10min);
}

TEST_CASE("a drain that waits for a held message says so, and ends once that is released") {
  test_runtime world;
  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("1"));
  const auto enrolled = world.ask<Product>("1", Enrol{5}, {.deadline = timestamp::max()});
  CHECK_THROWS_WITH_AS(world.runtime().drain(blocking),
                       "the call would wait for ever: a message that it needs is held, or was dropped", std::logic_error);
  acknowledgements.release();
  world.runtime().drain(blocking);
  world.run();
  CHECK(enrolled.accepted());
}

}  // namespace cairn::tests
