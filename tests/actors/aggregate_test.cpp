// Messages put straight into an aggregate's mailbox, with a journal that answers when, how and in which order the test likes.
#include "../../actors/recovery.hpp"
#include "foreign_append.hpp"
#include "product.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

namespace cairn::tests {
namespace {

using namespace std::chrono_literals;
using namespace stock;
using namespace testkit;
using actors::append_result;

const auto product = aggregate<Product>("1");

actors::append_request request_at(const tap& journal, std::size_t place) {
  return std::get<actors::append_request>(journal.at(place));
}

append_result stored_through(std::uint64_t through, std::uint32_t appends = 1, std::uint64_t incarnation = 1) {
  return {incarnation, appends, version{through}, {}, {}, {}};
}

append_result failed_after(std::uint64_t through, std::uint32_t appends, std::uint64_t incarnation = 1) {
  return {incarnation, appends, version{through}, errc::journal_unavailable, "the disk says no", {}};
}

}  // namespace

TEST_CASE("an answer waits until the journal says that it is durable") {
  test_runtime world;
  const auto journal = world.probe(journal_actor());
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  world.run();
  REQUIRE(journal.size() == 1);
  CHECK(request_at(journal, 0).expected == version{0});
  CHECK_FALSE(enrolled.answered());

  world.inject(product, stored_through(1));
  world.run();
  REQUIRE(enrolled.accepted());
  CHECK(enrolled->version == version{1});
}

TEST_CASE("commands are decided on events that are not durable yet, in order of arrival") {
  test_runtime world;
  const auto journal = world.probe(journal_actor());
  world.ask<Product>("1", Enrol{5});
  const auto first = world.ask<Product>("1", RemoveStock{4});
  const auto second = world.ask<Product>("1", RemoveStock{4});
  world.run();
  CHECK(journal.size() == 2);  // the second removal stores nothing
  CHECK_FALSE(first.answered());
  CHECK_FALSE(second.answered());  // its "no" has seen the first removal, and must not be heard before that is durable

  world.inject(product, stored_through(1));
  world.run();
  CHECK_FALSE(first.answered());
  CHECK_FALSE(second.answered());
  world.inject(product, stored_through(2));
  world.run();
  CHECK(first.accepted());
  REQUIRE(second.answered());
  CHECK(second.rejected("insufficient_stock"));
}

TEST_CASE("what is decided while two requests are on their way goes as one when the first is answered") {
  test_runtime world;
  const auto journal = world.probe(journal_actor());
  world.ask<Product>("1", Enrol{0});
  std::vector<awaited<answer<>>> additions;
  for (int command = 0; command < 10; ++command) additions.push_back(world.ask<Product>("1", AddStock{1}));
  world.run();
  REQUIRE(journal.size() == 2);
  world.inject(product, stored_through(1));
  world.run();
  REQUIRE(journal.size() == 3);
  const auto merged = request_at(journal, 2);
  CHECK(merged.expected == version{2});
  CHECK(merged.events == 9);
  world.inject(product, stored_through(2));
  world.inject(product, stored_through(11));
  world.run();
  for (std::size_t place = 0; place < additions.size(); ++place) {
    REQUIRE(additions[place].accepted());
    CHECK(additions[place]->version == version{place + 2});
  }
}

TEST_CASE("what was decided and never sent fails with the append that it was built on") {
  test_runtime world;
  const auto journal = world.probe(journal_actor());
  std::vector<awaited<answer<>>> all{world.ask<Product>("1", Enrol{0})};
  for (int command = 0; command < 5; ++command) all.push_back(world.ask<Product>("1", AddStock{1}));
  world.run();
  world.inject(product, failed_after(0, 2));
  world.run();
  for (const auto& one : all) CHECK(one.failed_with(errc::journal_unavailable));
  CHECK(journal.size() == 2);
  const auto again = world.ask<Product>("1", Enrol{0});
  world.run();
  REQUIRE(journal.size() == 3);
  CHECK(request_at(journal, 2).expected == version{0});
  CHECK(request_at(journal, 2).events == 1);
  world.inject(product, stored_through(1, 1, 2));
  world.run();
  CHECK(again.accepted());
}

TEST_CASE("a look at the state waits for the events that it has seen") {
  test_runtime world;
  world.probe(journal_actor());
  world.ask<Product>("1", Enrol{5});
  const auto look = world.state<Product>("1");
  world.run();
  CHECK_FALSE(look.answered());
  world.inject(product, stored_through(1));
  world.run();
  REQUIRE(look.answered());
  CHECK(look->state.count == 5);
  CHECK(look->version == version{1});
}

TEST_CASE("two hundred commands in flight get the error of the append that failed, and the state is the durable one again") {
  test_runtime world;
  const auto enrolled = world.ask<Product>("1", Enrol{100});
  world.run();
  REQUIRE(enrolled.accepted());

  world.journal().fail_next_append();
  std::vector<awaited<answer<>>> additions;
  for (int command = 0; command < 200; ++command) additions.push_back(world.ask<Product>("1", AddStock{1}));
  world.run();
  for (const auto& addition : additions) REQUIRE(addition.failed_with(errc::journal_unavailable));
  CHECK(additions.front()->detail == "the disk says no");

  const auto look = world.state<Product>("1");
  const auto next = world.ask<Product>("1", AddStock{7});
  world.run();
  REQUIRE(look.answered());
  CHECK(look->state.count == 100);
  CHECK(look->version == version{1});
  REQUIRE(next.accepted());
  CHECK(next->version == version{2});
}

TEST_CASE("what a failed append stored after all is there when the aggregate goes on") {
  test_runtime world;
  world.ask<Product>("1", Enrol{100});
  world.run();
  world.journal().fail_next_sync();
  const auto unknown = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(unknown.failed_with(errc::journal_unavailable));
  const auto look = world.state<Product>("1");
  world.run();
  REQUIRE(look.answered());
  CHECK(look->state.count == 101);
  CHECK(look->version == version{2});
}

TEST_CASE("what was durable before the failure in the same answer is answered as durable") {
  test_runtime world;
  world.probe(journal_actor());
  const auto first = world.ask<Product>("1", Enrol{1});
  const auto second = world.ask<Product>("1", AddStock{1});
  world.run();
  world.inject(product, failed_after(1, 2));
  world.run();
  CHECK(first.accepted());
  CHECK(second.failed_with(errc::journal_unavailable));
}

TEST_CASE("recovery after a failure waits until the last append on its way has been answered") {
  test_runtime world;
  world.probe(journal_actor());
  const auto first = world.ask<Product>("1", Enrol{1});
  const auto second = world.ask<Product>("1", AddStock{1});
  world.run();
  const auto reads = world.journal().counts().reads;
  world.inject(product, failed_after(0, 1));
  world.run();
  CHECK(first.failed_with(errc::journal_unavailable));
  CHECK(second.failed_with(errc::journal_unavailable));
  CHECK(world.journal().counts().reads == reads);  // the second append may yet be stored

  world.inject(product, failed_after(0, 1));
  world.run();
  CHECK(world.journal().counts().reads == reads + 1);
}

TEST_CASE("acknowledgements of an earlier incarnation are dropped") {
  test_runtime world;
  world.probe(journal_actor());
  world.ask<Product>("1", Enrol{1});
  world.run();
  world.inject(product, failed_after(0, 1));
  world.run();

  const auto again = world.ask<Product>("1", Enrol{2});
  world.run();
  CHECK_FALSE(again.answered());
  world.inject(product, stored_through(1, 1, /*incarnation*/ 1));  // it is the second incarnation that waits
  world.run();
  CHECK_FALSE(again.answered());
  world.inject(product, stored_through(1, 1, /*incarnation*/ 2));
  world.run();
  CHECK(again.accepted());
}

TEST_CASE("acknowledgements that arrive in another order answer everything exactly once") {
  test_runtime world;
  world.probe(journal_actor());
  const auto first = world.ask<Product>("1", Enrol{1});
  const auto second = world.ask<Product>("1", AddStock{1});
  const auto third = world.ask<Product>("1", AddStock{1});
  world.run();
  world.inject(product, stored_through(2));  // the second is durable, so the first is: it was decided on it
  world.run();
  CHECK(first.accepted());
  CHECK(second.accepted());
  CHECK_FALSE(third.answered());
  world.inject(product, stored_through(1));
  world.inject(product, stored_through(3));
  world.run();
  CHECK(third.accepted());
}

TEST_CASE("an acknowledgement of more than was ever sent makes nothing durable that does not exist") {
  test_runtime world;
  world.probe(journal_actor());
  world.state<Product>("1");
  world.run();
  world.inject(product, stored_through(1000, 7));
  const auto enrolled = world.ask<Product>("1", Enrol{1});
  world.run();
  CHECK_FALSE(enrolled.answered());
}

TEST_CASE("commands that arrive during recovery wait, and are decided in their order") {
  test_runtime world;
  std::vector<awaited<answer<>>> all{world.ask<Product>("1", Enrol{0})};
  for (int command = 0; command < 20; ++command) all.push_back(world.ask<Product>("1", AddStock{1}));
  while (world.step(directory_of<Product>("1"))) {}
  while (world.step(product)) {}  // all of them are taken before the reader has had its turn
  CHECK(world.journal().counts().reads == 0);
  for (const auto& one : all) CHECK_FALSE(one.answered());
  world.run();
  for (std::size_t place = 0; place < all.size(); ++place) {
    REQUIRE(all[place].accepted());
    CHECK(all[place]->version == version{place + 1});
  }
}

TEST_CASE("as many commands as may wait for a recovery, the next is told that it is too much") {
  test_runtime world({.recovery_queue_max = 3});
  std::vector<awaited<answer<>>> asked;
  for (int command = 0; command < 4; ++command) asked.push_back(world.ask<Product>("1", Enrol{0}));
  while (world.step(directory_of<Product>("1"))) {}
  while (world.step(product)) {}
  CHECK(asked[3].failed_with(errc::overloaded));
  world.run();
  CHECK(asked[0].accepted());
  CHECK(asked[1].rejected("already_enrolled"));
}

TEST_CASE("a failed recovery answers with its reason, and is tried again with growing pauses") {
  test_runtime world;
  world.journal().fail_read(1, errc::journal_unavailable, "the disk cannot be read", 2);
  const auto waiting = world.ask<Product>("1", Enrol{0});
  world.run();
  REQUIRE(waiting.failed_with(errc::journal_unavailable));
  CHECK(waiting->detail.find("product/1") != std::string::npos);
  CHECK(world.warnings().size() == 1);
  const auto in_between = world.ask<Product>("1", Enrol{0});
  world.run();
  CHECK(in_between.failed_with(errc::journal_unavailable));
  world.advance(110ms);
  CHECK(world.journal().counts().reads == 2);
  world.advance(110ms);
  CHECK(world.journal().counts().reads == 2);  // the second pause is twice as long
  world.advance(110ms);
  const auto later = world.ask<Product>("1", Enrol{0});
  world.run();
  CHECK(later.accepted());
}

TEST_CASE("an expected version that does not stand is a conflict that names the one that does") {
  test_runtime world;
  const auto none_yet = world.ask<Product>("1", Enrol{1}, {.expected = expected_version::none_yet()});
  const auto twice = world.ask<Product>("1", Enrol{1}, {.expected = expected_version::none_yet()});
  const auto exactly = world.ask<Product>("1", AddStock{1}, {.expected = expected_version::exactly(version{1})});
  world.run();
  CHECK(none_yet.accepted());
  REQUIRE(twice.failed_with(errc::version_conflict));
  CHECK(twice->version == version{1});
  CHECK(exactly.accepted());
  CHECK(world.journal().last() == position{2});
}

TEST_CASE("an event written behind the aggregate's back is a conflict, and the aggregate goes on from what stands") {
  test_runtime world;
  world.ask<Product>("1", Enrol{1});
  world.run();
  // Another writer of the same store, as a second incarnation of the aggregate would be.
  world.inject(journal_actor(), foreign_append("1", 1, StockAdded{10}));
  world.run();
  const auto late = world.ask<Product>("1", AddStock{100});
  world.run();
  REQUIRE(late.failed_with(errc::version_conflict));
  CHECK(late->version == version{2});
  const auto again = world.ask<Product>("1", AddStock{100});
  const auto look = world.state<Product>("1");
  world.run();
  CHECK(again.accepted());
  CHECK(look->state.count == 111);
}

TEST_CASE("a repeated command id gets the first answer and changes nothing, also while the first is on its way") {
  test_runtime world;
  world.probe(journal_actor());
  world.ask<Product>("1", Enrol{1});
  const auto first = world.ask<Product>("1", AddStock{1}, {.command_id = "a"});
  const auto repeat = world.ask<Product>("1", AddStock{1}, {.command_id = "a"});
  world.run();
  CHECK_FALSE(repeat.answered());
  world.inject(product, stored_through(2, 2));
  world.run();
  REQUIRE(first.accepted());
  REQUIRE(repeat.accepted());
  CHECK_FALSE(first->repeated);
  CHECK(repeat->repeated);
  CHECK(repeat->version == first->version);
  CHECK(repeat->events == first->events);
}

TEST_CASE("the id of a command whose append failed is not remembered") {
  test_runtime world;
  world.ask<Product>("1", Enrol{1});
  world.run();
  world.journal().fail_next_append();
  const auto first = world.ask<Product>("1", AddStock{1}, {.command_id = "a"});
  world.run();
  CHECK(first.failed_with(errc::journal_unavailable));
  const auto repeat = world.ask<Product>("1", AddStock{1}, {.command_id = "a"});
  world.run();
  REQUIRE(repeat.accepted());
  CHECK_FALSE(repeat->repeated);
  CHECK(repeat->version == version{2});
}

TEST_CASE("the window of command ids is bounded") {
  test_runtime world({.deduplication_window_size = 2});
  world.ask<Product>("1", Enrol{0});
  for (const auto* id : {"a", "b", "c"}) world.ask<Product>("1", AddStock{1}, {.command_id = id});
  const auto kept = world.ask<Product>("1", AddStock{1}, {.command_id = "b"});
  const auto forgotten = world.ask<Product>("1", AddStock{1}, {.command_id = "a"});
  world.run();
  CHECK(kept->repeated);
  CHECK_FALSE(forgotten->repeated);
}

TEST_CASE("a command past its deadline is not decided") {
  test_runtime world;
  const auto late = world.ask<Product>("1", Enrol{0}, {.deadline = world.now() - 1ms});
  world.run();
  CHECK(late.failed_with(errc::deadline_passed));
  CHECK(world.journal().last() == position{0});
}

TEST_CASE("a deadline that passes while a command waits for the journal makes its outcome unknown, and says so") {
  test_runtime world;
  const auto journal = world.probe(journal_actor());
  const auto asked = world.ask<Product>("1", Enrol{0}, {.command_id = "a", .deadline = world.now() + 50ms});
  const auto patient = world.ask<Product>("1", AddStock{1});
  world.run();
  world.advance(40ms);
  CHECK_FALSE(asked.answered());
  world.advance(40ms);
  CHECK(asked.failed_with(errc::timed_out));
  CHECK_FALSE(patient.answered());
  world.inject(product, stored_through(2, 2));
  world.run();
  CHECK(patient.accepted());
  const auto repeat = world.ask<Product>("1", Enrol{0}, {.command_id = "a"});
  world.run();
  CHECK(repeat->repeated);  // it was stored, and the repeat says so
}

TEST_CASE("a command that was answered at its deadline keeps its place until it has left the aggregate") {
  test_runtime world;
  world.probe(journal_actor());
  const auto asked = world.ask<Product>("1", Enrol{}, {.deadline = world.now() + 5ms});
  world.advance(20ms);
  CHECK(asked.failed_with(errc::timed_out));
  CHECK(world.runtime().in_flight() == 1);
  world.inject(product, stored_through(1));
  world.run();
  CHECK(world.runtime().in_flight() == 0);
}

TEST_CASE(
    "the commands of a batch that were answered at their deadline keep their places until they have left their aggregates") {
  test_runtime world;
  world.probe(journal_actor());
  // Of two aggregates, of which the second one's append is never answered.
  const auto answers = world.ask_many<Product>(std::vector<addressed<Enrol>>{{"1", Enrol{0}, {.deadline = world.now() + 5ms}},
                                                                             {"2", Enrol{0}, {.deadline = world.now() + 5ms}}});
  world.advance(20ms);
  REQUIRE(answers.answered());
  for (const auto& answer : *answers) CHECK(answer.code == errc::timed_out);
  CHECK(world.runtime().in_flight() == 2);
  world.inject(product, stored_through(1));
  world.run();
  CHECK(world.runtime().in_flight() == 1);
}

TEST_CASE("a command that was answered at its deadline gives up its place even where nobody runs its handler") {
  test_runtime world;
  world.probe(journal_actor());
  boost::asio::io_context nobody_runs_it;
  world.runtime().ask<Product>("1", Enrol{}, command_options{.deadline = world.now() + 5ms},
                               boost::asio::bind_executor(nobody_runs_it, [](boost::system::error_code, const answer<>&) {}));
  world.advance(20ms);
  CHECK(world.runtime().in_flight() == 1);
  world.inject(product, stored_through(1));
  world.run();
  CHECK(world.runtime().in_flight() == 0);
}

TEST_CASE("a journal that fails one append after another costs a recovery for few of them, and is tried again now and then") {
  test_runtime world;
  world.ask<Product>("1", Enrol{0});
  world.run();
  world.journal().fail_next_append(errc::journal_unavailable, "the disk says no", 4);
  const auto recovered_before = world.runtime().statistics().recoveries;
  for (int command = 0; command < 100; ++command) {
    const auto refused = world.ask<Product>("1", AddStock{1});
    world.run();
    REQUIRE(refused.failed_with(errc::journal_unavailable));
    CHECK(refused->detail.find("the disk says no") != std::string::npos);
  }
  CHECK(world.runtime().statistics().recoveries - recovered_before == 3);
  const auto look = world.state<Product>("1");  // reads go on
  world.run();
  CHECK(look->version == version{1});
  world.advance(150ms);
  const auto fourth = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(fourth.failed_with(errc::journal_unavailable));
  world.advance(300ms);
  const auto taken = world.ask<Product>("1", AddStock{1});
  const auto next = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(taken.accepted());
  const auto after = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(after.accepted());
}

TEST_CASE("a deadline at the end of time never comes") {
  test_runtime world;
  world.probe(journal_actor());
  const auto asked = world.ask<Product>("1", Enrol{}, {.deadline = timestamp::max()});
  world.advance(3h);
  CHECK_FALSE(asked.answered());
}

TEST_CASE("a deadline is watched wherever the command is: for a place, in a directory, in the mailbox of its aggregate") {
  test_runtime world({.in_flight_max = 1});
  world.ask<Product>("1", Enrol{0});
  world.run();
  std::optional<testkit::tap> keeper;
  SUBCASE("in a directory") { keeper = world.probe(directory_of<Product>("1")); }
  SUBCASE("in the mailbox") { keeper = world.probe(product); }
  SUBCASE("in the journal's") { keeper = world.probe(journal_actor()); }
  const auto asked = world.ask<Product>("1", AddStock{1}, {.deadline = world.now() + 5ms, .when_full = when_full::wait});
  const auto waiting = world.ask<Product>("1", AddStock{2}, {.deadline = world.now() + 5ms, .when_full = when_full::wait});
  world.run();
  world.advance(4ms);
  CHECK_FALSE(waiting.answered());
  world.advance(2ms);
  CHECK(waiting.failed_with(errc::deadline_passed));
  if (!asked.answered()) world.run();
  CHECK(asked.answered());
}

TEST_CASE("a deadline goes by the runtime's clock, and is seen to have passed when that jumps") {
  test_runtime world;
  world.probe(journal_actor());
  const auto asked = world.ask<Product>("1", Enrol{}, {.deadline = world.now() + 24h});
  world.run();
  world.set_clock(world.now() + 25h);
  world.advance(1us);
  CHECK(asked.failed_with(errc::timed_out));
}

TEST_CASE("a repeat gets the first answer, also if its own deadline has passed") {
  test_runtime world;
  const auto first = world.ask<Product>("1", Enrol{5}, {.command_id = "a"});
  world.run();
  REQUIRE(first.accepted());
  const auto late = world.now() - 1h;
  const auto repeat = world.ask<Product>("1", Enrol{5}, {.command_id = "a", .deadline = late});
  const auto another = world.ask<Product>("1", Enrol{5}, {.command_id = "b", .deadline = late});
  world.run();
  CHECK(repeat->repeated);
  CHECK(repeat->version == version{1});
  CHECK(another.failed_with(errc::deadline_passed));
}

TEST_CASE("a command with an id whose deadline passes before it is known whether it is a repeat is not said to be undone") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5}, {.command_id = "a"});
  world.advance_until_idle();
  REQUIRE_FALSE(world.is_live(product));
  world.probe(recoverer_of<Product>("1"));
  const auto repeat = world.ask<Product>("1", Enrol{5}, {.command_id = "a", .deadline = world.now() + 5ms});
  world.advance(10ms);
  CHECK(repeat.failed_with(errc::timed_out));
}

TEST_CASE("a command id that another command has used is refused, in the same process and behind a recovery") {
  test_runtime world;
  const auto first = world.ask<Product>("1", Enrol{5}, {.command_id = "a"});
  world.run();
  REQUIRE(first.accepted());
  const auto check = [&] {
    const auto other_fields = world.ask<Product>("1", Enrol{6}, {.command_id = "a"});
    const auto other_type = world.ask<Product>("1", AddStock{5}, {.command_id = "a"});
    const auto repeat = world.ask<Product>("1", Enrol{5}, {.command_id = "a"});
    world.run();
    CHECK(other_fields.failed_with(errc::command_id_reused));
    CHECK(other_type.failed_with(errc::command_id_reused));
    CHECK(repeat->repeated);
    CHECK(world.journal().last() == position{1});
  };
  check();
  world.kill(product);  // its events are read again
  world.run();
  check();
  world.advance_until_idle();  // its snapshot is
  REQUIRE_FALSE(world.is_live(product));
  check();
}

TEST_CASE("a deadline that passes during recovery is told at once, and the command is never decided") {
  test_runtime world;
  world.probe(recoverer_of<Product>("1"));
  const auto asked = world.ask<Product>("1", Enrol{0}, {.deadline = world.now() + 50ms});
  world.run();
  world.advance(100ms);
  CHECK(asked.failed_with(errc::deadline_passed));
  auto found = std::make_shared<actors::recovered>(
      actors::recovered{actors::type_of<Product>.make(), {}, {}, actors::command_window(8), {}, 0});
  world.inject(product, actors::recovery_result{1, found, {}, {}});
  world.run();
  CHECK(world.journal().last() == position{0});
}

namespace {

struct Throw {};
struct Unpackable {
  static constexpr std::string_view type = "UNPACKABLE";
  int value = 0;
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack(std::string("a string that no int can be read from"));
  }
  void msgpack_unpack(const msgpack::object& object) { value = object.as<int>(); }
};
struct Emit {};

// An aggregate that does what an aggregate should not.
struct Rude {
  static constexpr std::string_view category = "rude";
  using Event = std::variant<Enrolled, Unpackable>;
  int events = 0;
  MSGPACK_DEFINE_MAP(events)
  decision<Event> decide(const Throw&) const { throw std::runtime_error("not today"); }
  decision<Event> decide(const Emit&) const { return std::vector<Event>{Enrolled{}, Unpackable{}}; }
  decision<Event> decide(const Enrol&) const { return Enrolled{}; }
  void evolve(const Enrolled&) noexcept { ++events; }
  void evolve(const Unpackable&) noexcept { ++events; }
};

struct Impostor : Rude {
  static constexpr std::string_view category = "product";
};

}  // namespace

TEST_CASE("an exception in decide is that command's error, and the aggregate lives on") {
  test_runtime world;
  const auto thrown = world.ask<Rude>("1", Throw{});
  const auto next = world.ask<Rude>("1", Enrol{});
  world.run();
  REQUIRE(thrown.failed_with(errc::decide_failed));
  CHECK(thrown->detail == "rude/1: not today");
  CHECK(next.accepted());
}

TEST_CASE("a decision that throws is told when what it has seen is durable") {
  test_runtime world;
  const auto appends = world.probe(journal_actor());
  const auto enrolled = world.ask<Rude>("1", Enrol{});
  const auto thrown = world.ask<Rude>("1", Throw{});
  world.run();
  CHECK_FALSE(thrown.answered());
  world.inject(aggregate<Rude>("1"), stored_through(1));
  world.run();
  CHECK(enrolled.accepted());
  CHECK(thrown.failed_with(errc::decide_failed));
}

TEST_CASE("an event that does not read back from its bytes never becomes durable, nor does any other of its decision") {
  test_runtime world;
  const auto broken = world.ask<Rude>("1", Emit{});
  world.run();
  CHECK(broken.failed_with(errc::decide_failed));
  CHECK(world.journal().last() == position{0});
  const auto next = world.ask<Rude>("1", Enrol{});
  world.run();
  REQUIRE(next.accepted());
  CHECK(next->version == version{1});
}

TEST_CASE("two aggregate types that share a category are told apart, and the second is refused") {
  test_runtime world;
  const auto enrolled = world.ask<Product>("1", Enrol{});
  const auto foreign = world.ask<Impostor>("1", Enrol{});
  world.run();
  CHECK(enrolled.accepted());
  CHECK(foreign.failed_with(errc::invalid_argument));
}

TEST_CASE("recorded-at never falls within an aggregate, whatever the clock does") {
  test_runtime world;
  world.ask<Product>("1", Enrol{});
  world.run();
  world.set_clock(world.now() - 1h);
  world.ask<Product>("1", AddStock{1});
  world.run();
  std::vector<timestamp> moments;
  world.journal().read({"product", "1"}, {}, [&](const record_view& record) {
    moments.push_back(record.recorded_at);
    return true;
  });
  REQUIRE(moments.size() == 2);
  CHECK(moments[1] == moments[0]);
}

TEST_CASE("an operation whose actor is killed is answered as abandoned") {
  test_runtime world;
  world.probe(journal_actor());
  const auto asked = world.ask<Product>("1", Enrol{});
  world.run();
  world.kill(product);
  CHECK(asked.failed_with(errc::abandoned));
}

TEST_CASE("all but the deadline of a command's options is on the record") {
  test_runtime world;
  command_options options;
  options.expected = expected_version::none_yet();
  options.command_id = "command";
  options.correlation_id = "correlation";
  options.causation_id = "causation";
  options.principal = "somebody";
  options.occurred_at = world.now() - 24h;
  options.metadata = {{"shop", "north"}};
  world.ask<Product>("1", Enrol{}, options);
  world.run();
  int records = 0;
  world.journal().read({"product", "1"}, {}, [&](const record_view& record) {
    ++records;
    CHECK(record.expected == version{0});
    CHECK(record.command_id == "command");
    CHECK(record.correlation_id == "correlation");
    CHECK(record.causation_id == "causation");
    CHECK(record.principal == "somebody");
    CHECK(record.occurred_at == world.now() - 24h);
    CHECK(record.recorded_at == world.now());
    CHECK(metadata_of(record) == options.metadata);
    return true;
  });
  CHECK(records == 1);
}

}  // namespace cairn::tests
