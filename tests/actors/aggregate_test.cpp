// Messages put straight into an aggregate's mailbox, with a journal that answers when, how and in which order the test likes.
#include "deterministic.hpp"

namespace cairn::tests {
namespace {

using actors::append_result;

append_result stored_through(std::uint64_t through, std::uint32_t appends = 1, std::uint64_t incarnation = 1) {
  return {incarnation, appends, version{through}, {}, {}, {}};
}

append_result failed_after(std::uint64_t through, std::uint32_t appends, std::uint64_t incarnation = 1) {
  return {incarnation, appends, version{through}, errc::journal_unavailable, "the disk says no", {}};
}

}  // namespace

TEST_CASE("an answer waits until the journal says that it is durable") {
  deterministic_world world;
  const auto journal = world.hold_journal();
  const auto product = world.aggregate("1");
  const auto enrolled = world.ask(product, "1", Enrol{5});
  world.run();
  REQUIRE(journal.kept->size() == 1);
  CHECK(journal.kept->front().first.expected == version{0});
  CHECK_FALSE(enrolled->has_value());

  caf::anon_send(product, stored_through(1));
  world.run();
  REQUIRE(accepted(enrolled));
  CHECK((*enrolled)->version == version{1});
}

TEST_CASE("commands are decided on events that are not durable yet, in order of arrival") {
  deterministic_world world;
  const auto journal = world.hold_journal();
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{5});
  const auto first = world.ask(product, "1", RemoveStock{4});
  const auto second = world.ask(product, "1", RemoveStock{4});
  world.run();
  CHECK(journal.kept->size() == 2);  // the second removal stores nothing
  CHECK_FALSE(first->has_value());
  CHECK_FALSE(second->has_value());  // its "no" has seen the first removal, and must not be heard before that is durable

  caf::anon_send(product, stored_through(1));
  world.run();
  CHECK_FALSE(first->has_value());
  CHECK_FALSE(second->has_value());
  caf::anon_send(product, stored_through(2));
  world.run();
  CHECK(accepted(first));
  REQUIRE(second->has_value());
  CHECK((*second)->rejected);
  CHECK((*second)->reason == "insufficient_stock");
}

TEST_CASE("what is decided while two requests are on their way goes as one when the first is answered") {
  deterministic_world world;
  const auto journal = world.hold_journal();
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{0});
  std::vector<answered> additions;
  for (int command = 0; command < 10; ++command) additions.push_back(world.ask(product, "1", AddStock{1}));
  world.run();
  REQUIRE(journal.kept->size() == 2);
  caf::anon_send(product, stored_through(1));
  world.run();
  REQUIRE(journal.kept->size() == 3);
  const auto& merged = journal.kept->back().first;
  CHECK(merged.expected == version{2});
  CHECK(merged.events == 9);
  caf::anon_send(product, stored_through(2));
  caf::anon_send(product, stored_through(11));
  world.run();
  for (std::size_t place = 0; place < additions.size(); ++place) {
    REQUIRE(accepted(additions[place]));
    CHECK((*additions[place])->version == version{place + 2});
  }
}

TEST_CASE("what was decided and never sent fails with the append that it was built on") {
  deterministic_world world;
  const auto journal = world.hold_journal();
  const auto product = world.aggregate("1");
  std::vector<answered> all{world.ask(product, "1", Enrol{0})};
  for (int command = 0; command < 5; ++command) all.push_back(world.ask(product, "1", AddStock{1}));
  world.run();
  caf::anon_send(product, failed_after(0, 2));
  world.run();
  for (const auto& one : all) CHECK(failed_with(one, errc::journal_unavailable));
  CHECK(journal.kept->size() == 2);
  const auto again = world.ask(product, "1", Enrol{0});
  world.run();
  REQUIRE(journal.kept->size() == 3);
  CHECK(journal.kept->back().first.expected == version{0});
  CHECK(journal.kept->back().first.events == 1);
  caf::anon_send(product, stored_through(1, 1, 2));
  world.run();
  CHECK(accepted(again));
}

TEST_CASE("a look at the state waits for the events that it has seen") {
  deterministic_world world;
  world.hold_journal();
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{5});
  const auto look = world.look(product, "1");
  world.run();
  CHECK_FALSE(look->has_value());
  caf::anon_send(product, stored_through(1));
  world.run();
  REQUIRE(look->has_value());
  CHECK((*look)->count == 5);
  CHECK((*look)->told.version == version{1});
}

TEST_CASE("two hundred commands in flight get the error of the append that failed, and the state is the durable one again") {
  deterministic_world world;
  const auto product = world.aggregate("1");
  const auto enrolled = world.ask(product, "1", Enrol{100});
  world.run();
  REQUIRE(accepted(enrolled));

  world.store->failing_appends = 1;
  std::vector<answered> additions;
  for (int command = 0; command < 200; ++command) additions.push_back(world.ask(product, "1", AddStock{1}));
  world.run();
  for (const auto& addition : additions) REQUIRE(failed_with(addition, errc::journal_unavailable));
  CHECK((*additions.front())->detail == "the disk says no");

  const auto look = world.look(product, "1");
  const auto next = world.ask(product, "1", AddStock{7});
  world.run();
  REQUIRE(look->has_value());
  CHECK((*look)->count == 100);
  CHECK((*look)->told.version == version{1});
  REQUIRE(accepted(next));
  CHECK((*next)->version == version{2});
}

TEST_CASE("what a failed append stored after all is there when the aggregate goes on") {
  deterministic_world world;
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{100});
  world.run();
  world.store->failing_appends = 1;
  world.store->store_what_fails = true;
  const auto unknown = world.ask(product, "1", AddStock{1});
  world.run();
  CHECK(failed_with(unknown, errc::journal_unavailable));
  const auto look = world.look(product, "1");
  world.run();
  REQUIRE(look->has_value());
  CHECK((*look)->count == 101);
  CHECK((*look)->told.version == version{2});
}

TEST_CASE("what was durable before the failure in the same answer is answered as durable") {
  deterministic_world world;
  world.hold_journal();
  const auto product = world.aggregate("1");
  const auto first = world.ask(product, "1", Enrol{1});
  const auto second = world.ask(product, "1", AddStock{1});
  world.run();
  caf::anon_send(product, failed_after(1, 2));
  world.run();
  CHECK(accepted(first));
  CHECK(failed_with(second, errc::journal_unavailable));
}

TEST_CASE("recovery after a failure waits until the last append on its way has been answered") {
  deterministic_world world;
  world.hold_journal();
  const auto product = world.aggregate("1");
  const auto first = world.ask(product, "1", Enrol{1});
  const auto second = world.ask(product, "1", AddStock{1});
  world.run();
  const int reads = world.store->reads;
  caf::anon_send(product, failed_after(0, 1));
  world.run();
  CHECK(failed_with(first, errc::journal_unavailable));
  CHECK(failed_with(second, errc::journal_unavailable));
  CHECK(world.store->reads == reads);  // the second append may yet be stored

  caf::anon_send(product, failed_after(0, 1));
  world.run();
  CHECK(world.store->reads == reads + 1);
}

TEST_CASE("acknowledgements of an earlier incarnation are dropped") {
  deterministic_world world;
  world.hold_journal();
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{1});
  world.run();
  caf::anon_send(product, failed_after(0, 1));
  world.run();

  const auto again = world.ask(product, "1", Enrol{2});
  world.run();
  CHECK_FALSE(again->has_value());
  caf::anon_send(product, stored_through(1, 1, /*incarnation*/ 1));  // it is the second incarnation that waits
  world.run();
  CHECK_FALSE(again->has_value());
  caf::anon_send(product, stored_through(1, 1, /*incarnation*/ 2));
  world.run();
  CHECK(accepted(again));
}

TEST_CASE("acknowledgements that arrive in another order answer everything exactly once") {
  deterministic_world world;
  world.hold_journal();
  const auto product = world.aggregate("1");
  const auto first = world.ask(product, "1", Enrol{1});
  const auto second = world.ask(product, "1", AddStock{1});
  const auto third = world.ask(product, "1", AddStock{1});
  world.run();
  caf::anon_send(product, stored_through(2));  // the second is durable, so the first is: it was decided on it
  world.run();
  CHECK(accepted(first));
  CHECK(accepted(second));
  CHECK_FALSE(third->has_value());
  caf::anon_send(product, stored_through(1));
  caf::anon_send(product, stored_through(3));
  world.run();
  CHECK(accepted(third));
}

TEST_CASE("an acknowledgement of more than was ever sent makes nothing durable that does not exist") {
  deterministic_world world;
  world.hold_journal();
  const auto product = world.aggregate("1");
  world.run();
  caf::anon_send(product, stored_through(1000, 7));
  const auto enrolled = world.ask(product, "1", Enrol{1});
  world.run();
  CHECK_FALSE(enrolled->has_value());
}

TEST_CASE("commands that arrive during recovery wait, and are decided in their order") {
  deterministic_world world;
  const auto product = world.aggregate("1");
  std::vector<answered> all{world.ask(product, "1", Enrol{0})};
  for (int command = 0; command < 20; ++command) all.push_back(world.ask(product, "1", AddStock{1}));
  world.scheduler.prioritize(product);
  world.step(21);  // all of them are taken before the reader has had its turn
  CHECK(world.store->reads == 0);
  CHECK(world.answers == 0);
  world.run();
  for (std::size_t place = 0; place < all.size(); ++place) {
    REQUIRE(accepted(all[place]));
    CHECK((*all[place])->version == version{place + 1});
  }
}

TEST_CASE("as many commands as may wait for a recovery, the next is told that it is too much") {
  deterministic_world world({.recovery_queue_max = 3});
  const auto product = world.aggregate("1");
  std::vector<answered> asked;
  for (int command = 0; command < 4; ++command) asked.push_back(world.ask(product, "1", Enrol{0}));
  world.scheduler.prioritize(product);
  world.step(5);
  CHECK(failed_with(asked[3], errc::overloaded));
  world.run();
  CHECK(accepted(asked[0]));
  CHECK((*asked[1])->rejected);
}

TEST_CASE("a failed recovery answers with its reason, and is tried again with growing pauses") {
  deterministic_world world;
  world.store->failing_reads = 2;
  const auto product = world.aggregate("1");
  const auto waiting = world.ask(product, "1", Enrol{0});
  world.run();
  REQUIRE(failed_with(waiting, errc::journal_unavailable));
  CHECK((*waiting)->detail.find("product/1") != std::string::npos);
  CHECK(world.warnings.size() == 1);
  const auto in_between = world.ask(product, "1", Enrol{0});
  world.run();
  CHECK(failed_with(in_between, errc::journal_unavailable));
  world.advance(110ms);
  CHECK(world.store->reads == 2);
  world.advance(110ms);
  CHECK(world.store->reads == 2);  // the second pause is twice as long
  world.advance(110ms);
  const auto later = world.ask(product, "1", Enrol{0});
  world.run();
  CHECK(accepted(later));
}

TEST_CASE("an expected version that does not stand is a conflict that names the one that does") {
  deterministic_world world;
  const auto product = world.aggregate("1");
  const auto none_yet = world.ask(product, "1", Enrol{1}, {.expected = expected_version::none_yet()});
  const auto twice = world.ask(product, "1", Enrol{1}, {.expected = expected_version::none_yet()});
  const auto exactly = world.ask(product, "1", AddStock{1}, {.expected = expected_version::exactly(version{1})});
  world.run();
  CHECK(accepted(none_yet));
  REQUIRE(failed_with(twice, errc::version_conflict));
  CHECK((*twice)->version == version{1});
  CHECK(accepted(exactly));
  CHECK(world.store->last() == position{2});
}

TEST_CASE("an event written behind the aggregate's back is a conflict, and the aggregate goes on from what stands") {
  deterministic_world world;
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{1});
  world.run();
  // Another writer of the same store, as a second incarnation of the aggregate would be.
  const auto other = world.aggregate("1");
  world.run();
  REQUIRE(accepted(world.ask(other, "1", AddStock{10})) == false);
  world.run();
  const auto late = world.ask(product, "1", AddStock{100});
  world.run();
  REQUIRE(failed_with(late, errc::version_conflict));
  CHECK((*late)->version == version{2});
  const auto again = world.ask(product, "1", AddStock{100});
  const auto look = world.look(product, "1");
  world.run();
  CHECK(accepted(again));
  CHECK((*look)->count == 111);
}

TEST_CASE("a repeated command id gets the first answer and changes nothing, also while the first is on its way") {
  deterministic_world world;
  world.hold_journal();
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{1});
  const auto first = world.ask(product, "1", AddStock{1}, {.command_id = "a"});
  const auto repeat = world.ask(product, "1", AddStock{1}, {.command_id = "a"});
  world.run();
  CHECK_FALSE(repeat->has_value());
  caf::anon_send(product, stored_through(2, 2));
  world.run();
  REQUIRE(accepted(first));
  REQUIRE(accepted(repeat));
  CHECK_FALSE((*first)->repeated);
  CHECK((*repeat)->repeated);
  CHECK((*repeat)->version == (*first)->version);
  CHECK((*repeat)->events == (*first)->events);
}

TEST_CASE("the id of a command whose append failed is not remembered") {
  deterministic_world world;
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{1});
  world.run();
  world.store->failing_appends = 1;
  const auto first = world.ask(product, "1", AddStock{1}, {.command_id = "a"});
  world.run();
  CHECK(failed_with(first, errc::journal_unavailable));
  const auto repeat = world.ask(product, "1", AddStock{1}, {.command_id = "a"});
  world.run();
  REQUIRE(accepted(repeat));
  CHECK_FALSE((*repeat)->repeated);
  CHECK((*repeat)->version == version{2});
}

TEST_CASE("the window of command ids is bounded") {
  deterministic_world world({.command_ids_kept = 2});
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{0});
  for (const auto* id : {"a", "b", "c"}) world.ask(product, "1", AddStock{1}, {.command_id = id});
  const auto kept = world.ask(product, "1", AddStock{1}, {.command_id = "b"});
  const auto forgotten = world.ask(product, "1", AddStock{1}, {.command_id = "a"});
  world.run();
  CHECK((*kept)->repeated);
  CHECK_FALSE((*forgotten)->repeated);
}

TEST_CASE("a command past its deadline is not decided") {
  deterministic_world world;
  const auto product = world.aggregate("1");
  const auto late = world.ask(product, "1", Enrol{0}, {.deadline = world.now - 1ms});
  world.run();
  CHECK(failed_with(late, errc::deadline_passed));
  CHECK(world.store->last() == position{0});
}

TEST_CASE("a deadline that passes while a command waits for the journal makes its outcome unknown, and says so") {
  deterministic_world world;
  const auto journal = world.hold_journal();
  const auto product = world.aggregate("1");
  const auto asked = world.ask(product, "1", Enrol{0}, {.command_id = "a", .deadline = world.now + 50ms});
  const auto patient = world.ask(product, "1", AddStock{1});
  world.run();
  world.advance(40ms);
  CHECK_FALSE(asked->has_value());
  world.advance(40ms);
  CHECK(failed_with(asked, errc::timed_out));
  CHECK_FALSE(patient->has_value());
  caf::anon_send(product, stored_through(2, 2));
  world.run();
  CHECK(accepted(patient));
  const auto repeat = world.ask(product, "1", Enrol{0}, {.command_id = "a"});
  world.run();
  CHECK((*repeat)->repeated);  // it was stored, and the repeat says so
}

TEST_CASE("a command that was answered at its deadline keeps its place until it has left the aggregate") {
  struct counting final : actors::doorkeeper {
    void leave() noexcept override { ++left; }
    int left = 0;
  } door;
  deterministic_world world;
  world.hold_journal();
  const auto product = world.aggregate("1");
  std::optional<actors::outcome> told;
  const auto complete = [&told](actors::outcome&& answer) { told.emplace(std::move(answer)); };
  actors::operation_ptr asked(
      new actors::command_operation<Product, Enrol, decltype(complete)>("1", Enrol{}, {.deadline = world.now + 5ms}, complete));
  asked->admitted_by = &door;
  caf::anon_send(product, actors::perform{std::move(asked)});
  world.run();
  world.advance(20ms);
  REQUIRE(told.has_value());
  CHECK(told->code == errc::timed_out);
  CHECK(door.left == 0);
  caf::anon_send(product, stored_through(1));
  world.run();
  CHECK(door.left == 1);
}

TEST_CASE("a deadline at the end of time costs one timer in an hour") {
  deterministic_world world({.passivate_after = 0ms});
  world.hold_journal();
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{}, {.deadline = timestamp::max()});
  world.run();
  world.now += 10min;
  CHECK(world.scheduler.advance_time(10min) == 0);
  world.now += 51min;
  CHECK(world.scheduler.advance_time(51min) == 1);
  caf::anon_send(product, stored_through(1));
  world.run();
}

TEST_CASE("a deadline that passes during recovery is told at once, and the command is never decided") {
  deterministic_world world;
  world.others.insert(world.others.end(), world.staff.recoverers.begin(), world.staff.recoverers.end());
  const probe<actors::recovery_request> reader(world.system);
  world.staff.recoverers = {reader.handle};
  const auto product = world.aggregate("1");
  const auto asked = world.ask(product, "1", Enrol{0}, {.deadline = world.now + 50ms});
  world.run();
  world.advance(100ms);
  CHECK(failed_with(asked, errc::deadline_passed));
  auto found = std::make_shared<actors::recovered>(
      actors::recovered{actors::type_of<Product>.make(), {}, {}, actors::command_window(8), {}, 0});
  caf::anon_send(product, actors::recovery_result{1, found, {}, {}});
  world.run();
  CHECK(world.store->last() == position{0});
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

}  // namespace

TEST_CASE("an exception in decide is that command's error, and the aggregate lives on") {
  deterministic_world world;
  const auto rude = actors::spawn_aggregate(world.system, world.shared, world.staff, actors::type_of<Rude>, "1");
  world.aggregates.push_back(rude);
  const auto thrown = world.ask<Throw, Rude>(rude, "1", Throw{});
  const auto next = world.ask<Enrol, Rude>(rude, "1", Enrol{});
  world.run();
  REQUIRE(failed_with(thrown, errc::decide_failed));
  CHECK((*thrown)->detail == "rude/1: not today");
  CHECK(accepted(next));
}

TEST_CASE("an event that does not read back from its bytes never becomes durable, nor does any other of its decision") {
  deterministic_world world;
  const auto rude = actors::spawn_aggregate(world.system, world.shared, world.staff, actors::type_of<Rude>, "1");
  world.aggregates.push_back(rude);
  const auto broken = world.ask<Emit, Rude>(rude, "1", Emit{});
  world.run();
  CHECK(failed_with(broken, errc::decide_failed));
  CHECK(world.store->last() == position{0});
  const auto next = world.ask<Enrol, Rude>(rude, "1", Enrol{});
  world.run();
  REQUIRE(accepted(next));
  CHECK((*next)->version == version{1});
}

TEST_CASE("two aggregate types that share a category are told apart, and the second is refused") {
  deterministic_world world;
  const auto product = world.aggregate("1");
  const auto enrolled = world.ask(product, "1", Enrol{});
  const auto foreign = world.ask<Enrol, Rude>(product, "1", Enrol{});
  world.run();
  CHECK(accepted(enrolled));
  CHECK(failed_with(foreign, errc::invalid_argument));
}

TEST_CASE("recorded-at never falls within an aggregate, whatever the clock does") {
  deterministic_world world;
  const auto product = world.aggregate("1");
  world.ask(product, "1", Enrol{});
  world.run();
  world.now -= std::chrono::hours{1};
  world.ask(product, "1", AddStock{1});
  world.run();
  std::vector<timestamp> moments;
  world.store->read({"product", "1"}, {}, [&](const record_view& record) {
    moments.push_back(record.recorded_at);
    return true;
  });
  REQUIRE(moments.size() == 2);
  CHECK(moments[1] == moments[0]);
}

TEST_CASE("an operation whose actor is killed is answered as abandoned") {
  deterministic_world world;
  world.hold_journal();
  const auto product = world.aggregate("1");
  const auto asked = world.ask(product, "1", Enrol{});
  world.run();
  caf::anon_send_exit(product, caf::exit_reason::kill);
  world.run();
  CHECK(failed_with(asked, errc::abandoned));
}

TEST_CASE("all but the deadline of a command's options is on the record") {
  deterministic_world world;
  const auto product = world.aggregate("1");
  command_options options;
  options.expected = expected_version::none_yet();
  options.command_id = "command";
  options.correlation_id = "correlation";
  options.causation_id = "causation";
  options.who = "somebody";
  options.occurred_at = world.now - 24h;
  options.keys = {{"shop", "north"}};
  world.ask(product, "1", Enrol{}, options);
  world.run();
  int records = 0;
  world.store->read({"product", "1"}, {}, [&](const record_view& record) {
    ++records;
    CHECK(record.expected == version{0});
    CHECK(record.command_id == "command");
    CHECK(record.correlation_id == "correlation");
    CHECK(record.causation_id == "causation");
    CHECK(record.who == "somebody");
    CHECK(record.occurred_at == world.now - 24h);
    CHECK(record.recorded_at == world.now);
    CHECK(metadata_keys(record) == options.keys);
    return true;
  });
  CHECK(records == 1);
}

}  // namespace cairn::tests
