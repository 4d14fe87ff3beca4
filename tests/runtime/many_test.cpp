// Many commands handed over in one call: each with its own outcome, in order within an aggregate, answered together.
#include "../../actors/engine.hpp"
#include "product.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/runtime.hpp>
#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace cairn::tests {
namespace {

namespace asio = boost::asio;
using namespace stock;
using namespace testkit;

using Movement = std::variant<Enrol, AddStock, RemoveStock>;

struct Took {
  static constexpr std::string_view type = "TOOK";
  int number = 0;
  MSGPACK_DEFINE_MAP(number)
};
struct TakeNumber {};
struct TakeTwo {};
struct Reset {};

// Its commands answer with what was taken.
struct Counter {
  static constexpr std::string_view category = "counter";
  using Event = std::variant<Took>;
  int taken = 0;
  MSGPACK_DEFINE_MAP(taken)
  decision<Event, int> decide(const TakeNumber&) const { return {Took{taken + 1}, taken + 1}; }
  decision<Event, int> decide(const TakeTwo&) const { return {std::vector<Event>{Took{taken + 1}, Took{taken + 2}}, taken + 2}; }
  decision<Event> decide(const Reset&) const { throw 1; }
  void evolve(const Took& event) noexcept { taken = event.number; }
};

// Whose clock goes on by a second with each decision.
struct Tardy {
  static constexpr std::string_view category = "tardy";
  using Event = std::variant<Took>;
  static inline std::atomic<std::int64_t> seconds = 1'000;
  static timestamp now() { return timestamp{std::chrono::seconds{seconds}}; }
  int taken = 0;
  MSGPACK_DEFINE_MAP(taken)
  decision<Event> decide(const TakeNumber&) const {
    ++seconds;
    return Took{taken + 1};
  }
  void evolve(const Took& event) noexcept { taken = event.number; }
};

addressed<AddStock> patient(std::string id, Count count) {
  return {std::move(id), AddStock{count}, {.when_full = when_full::wait}};
}

// The engine on threads, which notes the calls that it must not get.
class checked_engine final : public actors::engine {
public:
  struct calls {
    std::atomic<int> of_nothing{0}, after_drain{0};
  };
  checked_engine(actors::engine_parts parts, calls& noted) : noted_(noted), engine_(actors::threaded_engine(std::move(parts))) {}

  void watch(actors::operation& asked) override { engine_->watch(asked); }
  bool runs_this_thread() const noexcept override { return engine_->runs_this_thread(); }
  void submit(actors::operation_ptr asked) override {
    note();
    engine_->submit(std::move(asked));
  }
  void submit_many(std::vector<actors::operation_ptr> asked) override {
    note();
    if (asked.empty()) ++noted_.of_nothing;
    if (!drained_) engine_->submit_many(std::move(asked));
  }
  void read(actors::operation_ptr asked) override {
    note();
    engine_->read(std::move(asked));
  }
  void drain(bool snapshot) override {
    drained_ = true;
    engine_->drain(snapshot);
  }
  const actors::counters& stats() const noexcept override { return engine_->stats(); }
  position head() const noexcept override { return engine_->head(); }

private:
  void note() {
    if (drained_) ++noted_.after_drain;
  }

  calls& noted_;
  std::atomic<bool> drained_{false};
  const std::unique_ptr<actors::engine> engine_;
};

void enrol(test_runtime& world, const std::string& id, Count count = 0) {
  const auto enrolled = world.ask<Product>(id, Enrol{count});
  world.run();
  REQUIRE(enrolled.accepted());
}

}  // namespace

// -- what a batch is

TEST_CASE("a batch is answered in the order of its commands, each with an outcome of its own") {
  test_runtime world;
  enrol(world, "1", 5);
  enrol(world, "2");
  const auto answers = world.ask_many<Product>(std::vector<addressed<Movement>>{
      {"1", RemoveStock{4}},
      {"2", AddStock{7}},
      {"1", RemoveStock{4}},
      {"1", AddStock{1}, {.expected = expected_version::exactly(version{9})}},
      {std::string(limits::id_bytes_max + 1, 'x'), Enrol{1}},
      {"3", AddStock{1}},
      {"1", RemoveStock{1}},
      {"3", Enrol{1}},
  });
  CHECK_FALSE(answers.answered());
  world.run();
  REQUIRE(answers->size() == 8);
  const auto& all = *answers;
  CHECK(all[0].version == version{2});
  CHECK(all[1].version == version{2});
  CHECK(all[2].rejected == rejection{"insufficient_stock"});
  CHECK(all[3].code == errc::version_conflict);
  CHECK(all[3].version == version{2});
  CHECK(all[3].detail == "product/1 is at version 2, the command expected version 9");
  CHECK(all[4].code == errc::invalid_argument);
  CHECK(all[5].rejected == rejection{"not_enrolled"});
  CHECK(all[6].version == version{3});
  CHECK(all[7].version == version{1});
  for (const auto place : {0, 1, 2, 5, 6, 7}) CHECK_FALSE(all[static_cast<std::size_t>(place)].code);
  for (const auto place : {0, 1, 6, 7}) CHECK(all[static_cast<std::size_t>(place)].events == 1);
  CHECK(world.runtime().in_flight() == 0);
}

TEST_CASE("it is not atomic: what its commands store is there whatever becomes of the others") {
  test_runtime world;
  enrol(world, "1", 5);
  world.ask_many<Product>("1", std::vector{RemoveStock{3}, RemoveStock{3}, RemoveStock{2}});
  world.run();
  const auto left = world.state<Product>("1");
  world.run();
  CHECK(left->state.count == 0);
  CHECK(left->version == version{3});
}

TEST_CASE("what comes for one aggregate in a message is stored with one append") {
  test_runtime world;
  enrol(world, "1");
  auto journal = world.hold<actors::append_request>(journal_actor());
  world.ask_many<Product>("1", std::vector(64, AddStock{1}));
  world.run();
  REQUIRE(journal.size() == 1);
  CHECK(std::get<actors::append_request>(journal.at(0)).events == 64);
  journal.release();
  world.run();
  CHECK(world.journal().last() == position{65});
}

TEST_CASE("a batch is answered when the last of its commands is durable, and not before") {
  test_runtime world;
  enrol(world, "1");
  enrol(world, "2");
  auto acknowledgements = world.hold<actors::append_result>(aggregate<Product>("2"));
  const auto answers = world.ask_many<Product>(std::vector<addressed<AddStock>>{{"1", AddStock{1}}, {"2", AddStock{1}}});
  world.run();
  CHECK_FALSE(answers.answered());
  const auto other = world.state<Product>("1");
  world.run();
  CHECK(other->version == version{2});
  acknowledgements.release();
  world.run();
  REQUIRE(answers.answered());
  for (const auto& one : *answers) CHECK(one.version == version{2});
}

TEST_CASE("a command id that comes twice in a batch is carried out once, and answered twice") {
  test_runtime world;
  enrol(world, "1");
  const command_options named{.command_id = "a"};
  const auto answers = world.ask_many<Product>(
      std::vector<addressed<AddStock>>{{"1", AddStock{1}, named}, {"1", AddStock{1}}, {"1", AddStock{1}, named}});
  world.run();
  REQUIRE(answers->size() == 3);
  CHECK_FALSE((*answers)[0].repeated);
  CHECK((*answers)[1].version == version{3});
  CHECK((*answers)[2].repeated);
  CHECK((*answers)[2].version == version{2});
  CHECK(world.journal().last() == position{3});
}

TEST_CASE(
    "the commands of a batch may answer something besides their events, and be of several kinds that answer with the same") {
  test_runtime world;
  using Take = std::variant<TakeNumber, TakeTwo>;
  const auto answers = world.ask_many<Counter>("a", std::vector<Take>{TakeNumber{}, TakeTwo{}, TakeNumber{}});
  world.run();
  REQUIRE(answers->size() == 3);
  CHECK((*answers)[0].result == 1);
  CHECK((*answers)[1].result == 3);
  CHECK((*answers)[1].events == 2);
  CHECK((*answers)[2].result == 4);
}

TEST_CASE("a decide that throws, and an append that fails, are told to those whom they concern") {
  test_runtime world;
  enrol(world, "1");
  const auto thrown = world.ask_many<Counter>("a", std::vector(2, Reset{}));
  world.run();
  for (const auto& one : *thrown) CHECK(one.code == errc::decide_failed);

  world.journal().fail_next_append();
  const auto failed = world.ask_many<Product>("1", std::vector<Movement>{AddStock{1}, RemoveStock{5}, AddStock{0}});
  world.run();
  REQUIRE(failed->size() == 3);
  for (const auto& one : *failed) CHECK(one.code == errc::journal_unavailable);  // each was decided on what was not stored
  const auto next = world.ask_many<Product>("1", std::vector{AddStock{1}});
  world.run();
  CHECK(next->front().version == version{2});
}

TEST_CASE("a batch of nothing is answered at once, through the handler's executor") {
  test_runtime world;
  const auto answers = world.ask_many<Product>(std::vector<addressed<AddStock>>{});
  CHECK_FALSE(answers.answered());
  world.run();
  REQUIRE(answers.answered());
  CHECK(answers->empty());
}

// -- places

TEST_CASE("each command of a batch takes a place, and those that find none are told so") {
  test_runtime world({.in_flight_max = 3});
  const auto answers =
      world.ask_many<Product>("1", std::vector<Movement>{Enrol{1}, AddStock{1}, AddStock{1}, AddStock{1}, AddStock{1}});
  CHECK(world.runtime().in_flight() == 3);
  world.run();
  REQUIRE(answers->size() == 5);
  for (std::size_t place = 0; place < 3; ++place) CHECK((*answers)[place].version == version{place + 1});
  for (std::size_t place = 3; place < 5; ++place) CHECK((*answers)[place].code == errc::overloaded);
  CHECK(world.runtime().in_flight() == 0);
}

TEST_CASE("a batch larger than what may be in flight waits for places, in order, up to what may wait") {
  test_runtime world({.in_flight_max = 2, .waiting_max = 5});
  enrol(world, "1");
  enrol(world, "2");
  std::vector<addressed<AddStock>> commands;
  for (int command = 0; command < 8; ++command) commands.push_back(patient(command % 2 ? "2" : "1", 1));
  commands.push_back({"1", AddStock{1}});  // will not wait, and must not overtake those that do
  const auto answers = world.ask_many<Product>(commands);
  CHECK(world.runtime().in_flight() == 2);
  world.run();
  REQUIRE(answers->size() == 9);
  for (std::size_t place = 0; place < 7; ++place) {
    CHECK_FALSE((*answers)[place].code);
    CHECK((*answers)[place].version == version{place / 2 + 2});
  }
  CHECK((*answers)[7].code == errc::overloaded);
  CHECK((*answers)[7].detail == "5 commands wait for a place already");
  CHECK((*answers)[8].code == errc::overloaded);
  CHECK((*answers)[8].detail == "2 operations are in flight");
}

TEST_CASE("batches and single commands that wait for places keep the order in which they came, whatever the threads do") {
  runtime runtime{{.journal = memory_journal(), .in_flight_max = 20}};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  // Gives up places and takes them while a batch is let in.
  std::atomic<bool> done{false};
  std::thread another([&] {
    while (!done) static_cast<void>(runtime.ask_many<Product>(std::vector(10, patient("2", 1)), blocking));
  });
  std::uint64_t last = 1, out_of_order = 0;
  for (int round = 0; round < 500; ++round) {
    auto batch = runtime.ask_many<Product>(std::vector(100, patient("1", 1)), asio::use_future);
    const auto next = patient("1", 1);
    auto single = runtime.ask<Product>("1", next.command, next.options, asio::use_future);
    for (const auto& answer : batch.get()) out_of_order += answer.version != version{++last};
    out_of_order += single.get().version != version{++last};
  }
  done = true;
  another.join();
  CHECK(out_of_order == 0);
}

TEST_CASE("many threads hand over batches for the same products: every command is carried out once, each thread's in its order") {
  constexpr std::size_t threads = 6, rounds = 50, products = 4, size = 32;
  runtime runtime{{.journal = memory_journal(), .in_flight_max = 40}};
  for (std::size_t product = 0; product < products; ++product)
    runtime.ask<Product>(std::to_string(product), Enrol{}, blocking).value();
  std::atomic<int> out_of_order{0};
  std::vector<std::thread> all;
  for (std::size_t thread = 0; thread < threads; ++thread) {
    all.emplace_back([&] {
      std::vector<version> last(products);
      for (std::size_t round = 0; round < rounds; ++round) {
        std::vector<addressed<AddStock>> commands;
        for (std::size_t place = 0; place < size; ++place) commands.push_back(patient(std::to_string(place % products), 1));
        const auto answers = runtime.ask_many<Product>(std::move(commands), blocking);
        for (std::size_t place = 0; place < size; ++place) {
          const auto& answer = answers[place];
          if (!answer || answer.version <= last[place % products]) ++out_of_order;
          last[place % products] = answer.version;
        }
      }
    });
  }
  for (auto& thread : all) thread.join();
  CHECK(out_of_order == 0);
  for (std::size_t product = 0; product < products; ++product) {
    CHECK(runtime.state<Product>(std::to_string(product), blocking).state.count == threads * rounds * size / products);
  }
}

TEST_CASE("a drain finishes a batch, also what of it waits for a place, and refuses the next") {
  test_runtime world({.in_flight_max = 2});
  enrol(world, "1");
  const auto answers = world.ask_many<Product>(std::vector(10, patient("1", 1)));
  world.runtime().drain(blocking);
  world.run();
  REQUIRE(answers->size() == 10);
  for (std::size_t place = 0; place < 10; ++place) CHECK((*answers)[place].version == version{place + 2});
  const auto late = world.ask_many<Product>("1", std::vector(2, AddStock{1}));
  world.run();
  REQUIRE(late->size() == 2);
  for (const auto& one : *late) CHECK(one.code == errc::draining);
}

TEST_CASE("the engine gets no batch that has no place: it may be at its end by then") {
  checked_engine::calls calls;
  runtime runtime{{.journal = memory_journal(), .in_flight_max = 1},
                  [&](actors::engine_parts parts) { return std::make_unique<checked_engine>(std::move(parts), calls); }};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  static_cast<void>(runtime.ask_many<Product>("1", std::vector(3, AddStock{1}), blocking));
  static_cast<void>(runtime.ask_many<Product>(std::vector(3, patient("1", 1)), blocking));
  static_cast<void>(runtime.ask_many<Product>(
      std::vector<addressed<AddStock>>{{std::string(limits::id_bytes_max + 1, 'x'), AddStock{1}}}, blocking));
  CHECK(calls.of_nothing == 0);
  runtime.drain(blocking);
  for (const auto& one : runtime.ask_many<Product>("1", std::vector(2, AddStock{1}), blocking)) CHECK(one.code == errc::draining);
  for (const auto& one : runtime.ask_many<Product>(std::vector(2, patient("1", 1)), blocking)) CHECK(one.code == errc::draining);
  CHECK(calls.of_nothing == 0);
  CHECK(calls.after_drain == 0);
}

TEST_CASE("batches beside a drain are carried out or refused, and reach no engine that has drained") {
  for (int round = 0; round < 20; ++round) {
    checked_engine::calls calls;
    runtime runtime{{.journal = memory_journal(), .in_flight_max = 4},
                    [&](actors::engine_parts parts) { return std::make_unique<checked_engine>(std::move(parts), calls); }};
    runtime.ask<Product>("1", Enrol{}, blocking).value();
    std::atomic<int> neither{0};
    std::latch begun(3);
    const auto ask = [&] {
      static_cast<void>(runtime.ask_many<Product>(std::vector(3, patient("1", 1)), blocking));
      begun.arrive_and_wait();
      for (bool refused = false; !refused;) {
        for (const auto& one : runtime.ask_many<Product>(std::vector(3, patient("1", 1)), blocking)) {
          refused = one.code == errc::draining;
          neither += one.failed() && !refused;
        }
      }
    };
    std::vector<std::thread> threads;
    for (int started = 0; started < 2; ++started) threads.emplace_back(ask);
    begun.arrive_and_wait();
    runtime.drain(blocking);
    for (auto& thread : threads) thread.join();
    CHECK(neither == 0);
    CHECK(calls.of_nothing == 0);
    CHECK(calls.after_drain == 0);
  }
}

// -- the forms of the call

TEST_CASE("a delivery comes in as one batch, of which the commands that failed are told") {
  runtime runtime{{.journal = memory_journal()}};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  std::vector<std::string> failed;
  const auto session = [&]() -> asio::awaitable<void> {
    std::vector<cairn::addressed<Movement>> delivery{
        {"1", AddStock{5}, {.command_id = "delivery-7/1"}},
        {"2", Enrol{9}, {.expected = cairn::expected_version::none_yet(), .command_id = "delivery-7/2"}},
        {"1", RemoveStock{1}},
    };
    const auto answers = co_await runtime.ask_many<Product>(std::move(delivery), asio::use_awaitable);
    for (const auto& answer : answers) {
      if (answer.failed()) failed.push_back(make_error_code(answer.code).message() + ": " + answer.detail);
    }
  };
  asio::io_context io;
  for (int time = 0; time < 2; ++time) {
    asio::co_spawn(io, session(), [](std::exception_ptr failure) { CHECK_FALSE(failure); });
    io.run();
    io.restart();
  }
  CHECK(failed.empty());  // the second time the named ones were repeats
  CHECK(runtime.state<Product>("1", blocking).state.count == 3);
  CHECK(runtime.state<Product>("2", blocking).version == version{1});
}

TEST_CASE("callbacks, futures, coroutines and plain threads get the same answers, and a failed command throws nothing") {
  runtime runtime{{.journal = memory_journal()}};
  asio::io_context io;
  const auto test_thread = std::this_thread::get_id();
  int called = 0;
  runtime.ask_many<Product>("1", std::vector<Movement>{Enrol{5}, RemoveStock{9}},
                            asio::bind_executor(io, [&](const std::vector<answer<>>& all) {
                              REQUIRE(all.size() == 2);
                              CHECK(all[0].version == version{1});
                              CHECK(all[1].rejected == rejection{"insufficient_stock"});
                              CHECK(std::this_thread::get_id() == test_thread);
                              ++called;
                            }));
  io.run();
  io.restart();

  CHECK(runtime.ask_many<Product>("1", std::vector(2, AddStock{1}), asio::use_future).get()[1].version == version{3});

  const auto session = [&]() -> asio::awaitable<void> {
    std::vector<addressed<AddStock>> commands{
        {"1", AddStock{1, "found"}}, {"1", AddStock{1}, {.expected = expected_version::none_yet()}}, {"2", AddStock{1}}};
    const auto all = co_await runtime.ask_many<Product>(std::move(commands), asio::use_awaitable);
    CHECK(all.size() == 3);
    CHECK(all[0].version == version{4});
    CHECK(all[1].code == errc::version_conflict);
    CHECK(all[2].rejected == rejection{"not_enrolled"});
    std::vector<Movement> movements{RemoveStock{1, "sold"}, AddStock{2, "returned"}};
    const auto more = co_await runtime.ask_many<Product>("1", movements, asio::use_awaitable);
    CHECK(more[1].version == version{6});
    ++called;
  };
  asio::co_spawn(io, session(), [](std::exception_ptr failure) { CHECK_FALSE(failure); });
  io.run();
  CHECK(called == 2);

  CHECK(runtime.ask_many<Product>("1", std::vector{RemoveStock{1}, RemoveStock{1}}, blocking)[1].version == version{8});
  CHECK(runtime.ask_many<Product>(std::vector{addressed{"1", AddStock{1}}}, blocking)[0].version == version{9});
  CHECK(runtime.ask_many<Product>(std::vector<addressed<AddStock>>{}, blocking).empty());
  runtime.drain(blocking);
  CHECK(runtime.ask_many<Product>("1", std::vector{AddStock{1}}, blocking)[0].code == errc::draining);
}

TEST_CASE("a batch's events have the time at which their aggregate took it, and its deadlines are looked at in between") {
  runtime runtime{{.journal = memory_journal(), .clock = Tardy::now}};
  runtime.ask<Tardy>("1", TakeNumber{}, blocking).value();  // so that it is there
  const auto taken_at = Tardy::now();
  const auto answers = runtime.ask_many<Tardy>(
      std::vector<addressed<TakeNumber>>{
          {"1", {}}, {"1", {}}, {"1", {}, {.deadline = taken_at + std::chrono::seconds{1}}}, {"1", {}}},
      blocking);
  REQUIRE(answers.size() == 4);
  CHECK_FALSE(answers[0].code);
  CHECK_FALSE(answers[1].code);
  CHECK(answers[2].code == errc::deadline_passed);
  CHECK_FALSE(answers[3].code);
  const auto history = runtime.history<Tardy>("1", {.from = version{2}}, blocking);
  REQUIRE(history.events.size() == 3);
  for (const auto& event : history.events) CHECK(event.recorded_at == taken_at);
}

}  // namespace cairn::tests
