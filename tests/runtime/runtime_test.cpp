// The runtime as an application uses it: real threads, real Asio, a real store.
#include "../../actors/answers_together.hpp"
#include "product.hpp"
#include "temporary_folder.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/runtime.hpp>
#include <cairn/store.hpp>
#include <cairn/testkit/forwarding_journal.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

namespace cairn::tests {
namespace {

namespace asio = boost::asio;
using namespace stock;
using namespace std::chrono_literals;

/// A journal whose append() stops at a gate as long as that is shut, and which counts the reads that run at once.
class gated_journal final : public testkit::forwarding_journal {
public:
  explicit gated_journal(bool open = false) : open_(open) {}

  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    {
      std::unique_lock lock(mutex_);
      ++arrived_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_; });
    }
    forwarding_journal::append(appends, outcomes);
  }
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    const int now = ++reading_;
    int most = most_reading_;
    while (now > most && !most_reading_.compare_exchange_weak(most, now)) {}
    for (int turn = 0; turn < 100; ++turn) std::this_thread::yield();  // gives the others a chance to come too
    forwarding_journal::read(stream, range, visit);
    --reading_;
  }

  void set_open(bool open) {
    std::lock_guard lock(mutex_);
    open_ = open;
    arrived_ = 0;
    changed_.notify_all();
  }
  int most_reading() const { return most_reading_; }
  void wait_until_somebody_appends() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return arrived_ > 0; });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_;
  int arrived_ = 0;
  mutable std::atomic<int> reading_{0};
  mutable std::atomic<int> most_reading_{0};
};

template <class Call>
error failure_of(Call call) {
  try {
    call();
  } catch (const error& failure) { return failure; }
  FAIL("no error was thrown");
  return error(errc::abandoned, "");
}

struct Reserve {
  int count = 0;
};
struct Reserved {
  static constexpr std::string_view type = "RESERVED";
  int count = 0;
  MSGPACK_DEFINE_MAP(count)
};
struct Ticket {
  std::string number;
  int left = 0;
  MSGPACK_DEFINE_MAP(number, left)
};

struct Close {};

// An aggregate whose command answers something besides its events.
struct Hall {
  static constexpr std::string_view category = "hall";
  using Event = std::variant<Reserved>;
  int taken = 0;
  MSGPACK_DEFINE_MAP(taken)
  decision<Event> decide(const Close&) const { return Reserved{10 - taken}; }
  decision<Event, Ticket> decide(const Reserve& reserve) const {
    if (reserve.count > 10 - taken) return reject("full");
    if (reserve.count == 0) return {cairn::accepted, Ticket{"none", 10 - taken}};
    return {Reserved{reserve.count}, Ticket{"T" + std::to_string(taken + 1), 10 - taken - reserve.count}};
  }
  void evolve(const Reserved& event) noexcept { taken += event.count; }
};

// An aggregate whose event's unpacking throws what is no std::exception.
struct Odd {
  static constexpr std::string_view type = "ODD";
  template <class Packer>
  void msgpack_pack(Packer& packer) const {
    packer.pack(1);
  }
  void msgpack_unpack(const msgpack::object&);
  int value = 0;
};
struct Hostile {
  static constexpr std::string_view category = "hostile";
  using Event = std::variant<Odd>;
  static inline std::atomic<bool> hostile{false};
  int events = 0;
  MSGPACK_DEFINE_MAP(events)
  decision<Event> decide(const Close&) const { return Odd{}; }
  void evolve(const Odd&) noexcept { ++events; }
};
void Odd::msgpack_unpack(const msgpack::object&) {
  if (Hostile::hostile) throw 1;
}

}  // namespace

TEST_CASE("the four rows: count 2 at version 4, 5 at version 3, on a store on disk") {
  const temporary_folder folder;
  runtime runtime{{.journal = open_store(folder.path())}};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  runtime.ask<Product>("1", AddStock{3}, blocking).value();
  runtime.ask<Product>("1", AddStock{2}, blocking).value();
  const auto removed = runtime.ask<Product>("1", RemoveStock{3}, blocking);
  CHECK(removed.version == version{4});
  CHECK(removed.events == 1);
  CHECK(runtime.state<Product>("1", blocking).state.count == 2);
  CHECK(runtime.state_at<Product>("1", version{4}, blocking).state.count == 2);
  CHECK(runtime.state_at<Product>("1", version{3}, blocking).state.count == 5);

  const auto rows = runtime.history<Product>("1", blocking).events;
  REQUIRE(rows.size() == 4);
  const std::vector<std::pair<std::string, Count>> expected{{"ENROLL", 0}, {"ADD", 3}, {"ADD", 2}, {"DELETE", 3}};
  for (std::size_t row = 0; row < rows.size(); ++row) {
    CHECK(rows[row].version == version{row + 1});
    std::visit(
        [&](const auto& event) {
          CHECK(event.type == expected[row].first);
          CHECK(event.count == expected[row].second);
        },
        rows[row].event);
  }
}

TEST_CASE("every completion token gets the same answer, through its own executor") {
  runtime runtime{{.journal = memory_journal()}};
  asio::io_context io;
  const auto test_thread = std::this_thread::get_id();
  int called = 0;
  runtime.ask<Product>("1", Enrol{5}, asio::bind_executor(io, [&](boost::system::error_code code, answer<> answer) {
                         CHECK_FALSE(code);
                         CHECK(answer.version == version{1});
                         CHECK(std::this_thread::get_id() == test_thread);
                         ++called;
                       }));
  io.run();
  io.restart();
  auto future = runtime.ask<Product>("1", AddStock{1}, asio::use_future);
  CHECK(future.get().version == version{2});

  const auto session = [&]() -> asio::awaitable<void> {
    const auto added = co_await runtime.ask<Product>("1", AddStock{1, "found"}, asio::use_awaitable);
    CHECK(added.version == version{3});
    const auto seen = co_await runtime.state<Product>("1", asio::use_awaitable);
    CHECK(seen.state.count == 7);
    const auto before = co_await runtime.state_at<Product>("1", version{1}, asio::use_awaitable);
    CHECK(before.state.count == 5);
    const auto events = co_await runtime.history<Product>("1", version_range{version{2}, version{3}}, asio::use_awaitable);
    CHECK(events.events.size() == 2);
    CHECK(std::get<StockAdded>(events.events[1].event).reason == "found");

    const command_options conflicting{.expected = expected_version::exactly(version{9})};
    boost::system::error_code code;
    const auto conflict =
        co_await runtime.ask<Product>("1", AddStock{1}, conflicting, asio::redirect_error(asio::use_awaitable, code));
    CHECK(code == errc::version_conflict);
    CHECK(conflict.version == version{3});
    CHECK(conflict.detail == "product/1 is at version 3, the command expected version 9");
    CHECK_THROWS_AS(co_await runtime.ask<Product>("1", AddStock{1}, conflicting, asio::use_awaitable),
                    boost::system::system_error);
    ++called;
  };
  asio::co_spawn(io, session(), [](std::exception_ptr failure) { CHECK_FALSE(failure); });
  io.run();
  CHECK(called == 2);
}

TEST_CASE("a command may answer something besides its events, and a repeat gets it again after a restart") {
  const temporary_folder folder;
  const command_options named{.command_id = "reservation 1"};
  {
    runtime runtime{{.journal = open_store(folder.path())}};
    const auto first = runtime.ask<Hall>("a", Reserve{4}, named, blocking);
    CHECK(first.result.number == "T1");
    CHECK(first.result.left == 6);
    CHECK(runtime.ask<Hall>("a", Reserve{7}, blocking).rejected == rejection{"full"});
    const auto none = runtime.ask<Hall>("a", Reserve{0}, blocking);
    CHECK(none.events == 0);
    CHECK(none.result.number == "none");
  }
  runtime runtime{{.journal = open_store(folder.path())}};
  const auto repeat = runtime.ask<Hall>("a", Reserve{4}, named, blocking);
  CHECK(repeat.repeated);
  CHECK(repeat.result.number == "T1");
  CHECK(repeat.result.left == 6);
  CHECK(runtime.state<Hall>("a", blocking).state.taken == 4);
}

TEST_CASE("a state at a moment is all that was recorded by then, ties included; before the first event it is empty") {
  auto now = std::make_shared<std::atomic<std::int64_t>>(1'000'000);
  const auto at = [](std::int64_t microseconds) { return timestamp{std::chrono::microseconds{microseconds}}; };
  runtime runtime{{.journal = memory_journal(), .bounds = {.snapshot_every_events = 2}, .clock = [now, at] { return at(*now); }}};
  runtime.ask<Product>("1", Enrol{1}, blocking).value();  // at 1,000,000
  *now = 2'000'000;
  runtime.ask<Product>("1", AddStock{10}, blocking).value();  // both at 2,000,000
  runtime.ask<Product>("1", AddStock{100}, blocking).value();
  *now = 3'000'000;
  runtime.ask<Product>("1", AddStock{1'000}, blocking).value();

  const auto count_at = [&](std::int64_t moment) { return runtime.state_at<Product>("1", at(moment), blocking); };
  CHECK(count_at(999'999).version == version{0});
  CHECK_FALSE(count_at(999'999).state.enrolled);
  CHECK(count_at(1'000'000).state.count == 1);
  CHECK(count_at(1'999'999).state.count == 1);
  CHECK(count_at(2'000'000).state.count == 111);
  CHECK(count_at(2'999'999).version == version{3});
  CHECK(count_at(3'000'000).state.count == 1'111);
  CHECK(count_at(std::numeric_limits<std::int64_t>::max()).state.count == 1'111);
}

TEST_CASE("a state can be asked for by the business's own time, in which events need not be in order") {
  runtime runtime{{.journal = memory_journal()}};
  const auto day = [](int number) { return timestamp{std::chrono::days{number}}; };
  runtime.ask<Product>("1", Enrol{0}, {.occurred_at = day(1)}, blocking).value();
  runtime.ask<Product>("1", AddStock{10}, {.occurred_at = day(5)}, blocking).value();
  runtime.ask<Product>("1", AddStock{100}, {.occurred_at = day(3)}, blocking).value();  // told late
  CHECK(runtime.state_at<Product>("1", as_occurred{day(4)}, blocking).state.count == 100);
  CHECK(runtime.state_at<Product>("1", as_occurred{day(5)}, blocking).state.count == 110);
  CHECK(runtime.state_at<Product>("1", as_occurred{day(0)}, blocking).version == version{0});
}

TEST_CASE("a version that does not exist yet is an error that says how far the aggregate has come") {
  runtime runtime{{.journal = memory_journal()}};
  runtime.ask<Product>("1", Enrol{0}, blocking).value();
  const auto failure = failure_of([&] { static_cast<void>(runtime.state_at<Product>("1", version{9}, blocking)); });
  CHECK(failure.kind() == errc::invalid_argument);
  CHECK(failure.detail() == "product/1 is at version 1; there is no version 9 yet");
  CHECK(runtime.state_at<Product>("1", version{0}, blocking).version == version{0});
  CHECK(runtime.state<Product>("never heard of", blocking).version == version{0});
  CHECK(runtime.history<Product>("never heard of", blocking).events.empty());
}

TEST_CASE("past the bound the caller is told at once, or waits, as it chose") {
  const auto store = std::make_shared<gated_journal>();
  std::optional<runtime> runtime;
  runtime.emplace(runtime_options{.journal = store, .in_flight_max = 2, .waiting_max = 1});
  auto first = runtime->ask<Product>("1", Enrol{}, asio::use_future);
  auto second = runtime->ask<Product>("2", Enrol{}, asio::use_future);
  CHECK(failure_of([&] { runtime->ask<Product>("3", Enrol{}, blocking).value(); }).kind() == errc::overloaded);
  CHECK(failure_of([&] { static_cast<void>(runtime->history<Product>("3", blocking)); }).kind() == errc::overloaded);

  const command_options patient{.when_full = when_full::wait};
  auto third = runtime->ask<Product>("3", Enrol{}, patient, asio::use_future);
  const auto fourth = failure_of([&] { runtime->ask<Product>("4", Enrol{}, patient, blocking).value(); });
  CHECK(fourth.kind() == errc::overloaded);
  CHECK(fourth.detail() == "1 commands wait for a place already");
  CHECK(runtime->in_flight() == 2);
  CHECK(third.wait_for(0s) == std::future_status::timeout);

  store->set_open(true);
  CHECK(first.get().version == version{1});
  CHECK(second.get().version == version{1});
  CHECK(third.get().version == version{1});
  runtime->drain(blocking);
  CHECK(runtime->in_flight() == 0);
}

TEST_CASE("of answers that are posted together, one that throws, or stops the context, leaves the others to be told") {
  asio::io_context io;
  std::vector<int> told;
  std::function<void(int)> handler;
  struct teller {
    int number;
    std::vector<int>& told;
    std::function<void(int)>& handler;
  };
  std::vector<teller> tellers;
  for (int number = 1; number <= 5; ++number) tellers.push_back({number, told, handler});
  {
    const detail::handler_executor executor(io.get_executor());
    const actors::answers_together posted_at_its_end;
    for (auto& one : tellers) {
      executor.post(
          detail::make_signal(),
          [](actors::operation_ptr, void* to) {
            auto& one_of_them = *static_cast<teller*>(to);
            one_of_them.told.push_back(one_of_them.number);
            one_of_them.handler(one_of_them.number);
          },
          &one);
    }
  }
  SUBCASE("throws") {
    handler = [](int number) {
      if (number == 2) throw std::runtime_error("a handler's own");
    };
    CHECK_THROWS_AS(io.run(), std::runtime_error);
    CHECK(told == std::vector<int>{1, 2});
  }
  SUBCASE("stops the context") {
    handler = [&](int number) {
      if (number == 2) io.stop();
    };
    io.run();
    CHECK(told == std::vector<int>{1, 2});
    io.restart();
  }
  io.run();
  CHECK(told == std::vector<int>{1, 2, 3, 4, 5});
}

TEST_CASE("a runtime ends while the threads that asked it for new products live on") {
  std::promise<void> asked, go_on;
  std::thread asker;
  {
    runtime runtime{{.journal = memory_journal()}};
    asker = std::thread([&, may_end = go_on.get_future()] {
      CHECK(runtime.ask<Product>("1", Enrol{}, blocking));
      asked.set_value();
      may_end.wait();
    });
    asked.get_future().wait();
  }
  go_on.set_value();
  asker.join();
}

TEST_CASE("a batch whose handler never runs goes with its io_context, also after the runtime") {
  asio::io_context io;
  {
    runtime runtime{{.journal = memory_journal()}};
    runtime.ask<Product>("1", Enrol{}, blocking).value();
    runtime.ask_many<Product>(std::vector<addressed<AddStock>>{{"1", AddStock{1}}, {"none", AddStock{1}}},
                              asio::bind_executor(io, [](const std::vector<answer<>>&) { CHECK(false); }));
    runtime.drain(blocking);
    CHECK(runtime.in_flight() == 0);
  }
}

TEST_CASE("answers of one commit keep their order where they take different ways: alone, as a batch, to a thread that waits") {
  const auto store = std::make_shared<gated_journal>(true);
  runtime runtime{{.journal = store}};
  asio::io_context io;
  std::vector<int> told;
  for (const auto* id : {"1", "2"}) runtime.ask<Product>(id, Enrol{}, blocking).value();
  for (int round = 0; round < 200; ++round) {
    told.clear();
    // What comes while the journal is busy with another product is one commit.
    store->set_open(false);
    auto other = runtime.ask<Product>("2", AddStock{1}, asio::use_future);
    store->wait_until_somebody_appends();
    std::thread opens([&] {
      for (int turn = 0; turn < 20; ++turn) std::this_thread::yield();
      store->set_open(true);
    });
    runtime.ask<Product>("1", AddStock{1},
                         asio::bind_executor(io, [&](const boost::system::error_code&, const answer<>&) { told.push_back(1); }));
    if (round % 2 == 0) {
      runtime.ask_many<Product>("1", std::vector(2, AddStock{1}),
                                asio::bind_executor(io, [&](const std::vector<answer<>>&) { told.push_back(2); }));
      io.run();
      CHECK(told == std::vector<int>{1, 2});
    } else {
      // Once the blocking call returns, the answer of what was decided before it waits for its context to run.
      if (round % 4 == 1) {
        runtime.ask<Product>("1", AddStock{1}, blocking).value();
      } else {
        static_cast<void>(runtime.ask_many<Product>("1", std::vector(2, AddStock{1}), blocking));
      }
      io.poll();
      CHECK(told == std::vector<int>{1});
    }
    opens.join();
    io.restart();
    other.get().value();
  }
}

TEST_CASE("commands find their product, in their order, while products end and begin all the time") {
  constexpr int threads = 4, products = 12, commands = 300;
  runtime runtime{{.journal = memory_journal(),
                   .bounds = {.live_aggregates_max = 3, .directories = 2, .passivate_after = std::chrono::milliseconds{2}}}};
  std::atomic<int> out_of_order{0}, failed{0};
  std::vector<std::thread> askers;
  for (int thread = 0; thread < threads; ++thread) {
    askers.emplace_back([&, thread] {
      asio::io_context io;
      std::array<version, products> last{};
      for (int command = 0; command < commands; ++command) {
        const auto product = static_cast<std::size_t>((command * 7 + thread) % products);
        const auto check = [&, product](const answer<>& given) {
          if (!(last[product] < given.version)) ++out_of_order;
          last[product] = given.version;
        };
        const auto id = "p" + std::to_string(product) + "/" + std::to_string(thread);
        if (command < products) runtime.ask<Product>(id, Enrol{}, blocking).value();
        if (command % 5 == 0) {
          runtime.ask_many<Product>(id, std::vector(3, AddStock{1}),
                                    asio::bind_executor(io, [&, check](const std::vector<answer<>>& all) {
                                      for (const auto& one : all) one.failed() ? void(++failed) : check(one);
                                    }));
        } else {
          runtime.ask<Product>(id, AddStock{1},
                               asio::bind_executor(io, [&, check](const boost::system::error_code& code, const answer<>& given) {
                                 code ? void(++failed) : check(given);
                               }));
        }
        if (command % 50 == 0) {
          io.run();
          io.restart();
        }
      }
      io.run();
    });
  }
  for (auto& asker : askers) asker.join();
  CHECK(out_of_order == 0);
  CHECK(failed == 0);
  CHECK(runtime.statistics().passivations > static_cast<std::uint64_t>(products));
}

TEST_CASE("each of many commands is answered once, by an io_context of several threads, an executor that hides it, or a strand") {
  constexpr int products = 50, commands = 40;
  runtime runtime{{.journal = memory_journal()}};
  asio::io_context io;
  asio::any_io_executor any = io.get_executor();
  auto strand = asio::make_strand(io);
  std::array<std::atomic<int>, products> answered{};
  for (int command = 0; command < commands; ++command) {
    for (int product = 0; product < products; ++product) {
      const auto count = [&, product](const boost::system::error_code& failed, const answer<>&) {
        if (!failed) ++answered[static_cast<std::size_t>(product)];
      };
      const auto id = std::to_string(product);
      if (product % 3 == 0) runtime.ask<Product>(id, Enrol{}, asio::bind_executor(io, count));
      if (product % 3 == 1) runtime.ask<Product>(id, Enrol{}, asio::bind_executor(any, count));
      if (product % 3 == 2) runtime.ask<Product>(id, Enrol{}, asio::bind_executor(strand, count));
    }
  }
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) threads.emplace_back([&] { io.run(); });
  for (auto& thread : threads) thread.join();
  for (const auto& one : answered) CHECK(one == commands);
}

TEST_CASE("waiting commands are all let in, whatever the threads do") {
  runtime runtime{{.journal = memory_journal(), .in_flight_max = 3}};
  const command_options patient{.when_full = when_full::wait};
  std::vector<std::thread> threads;
  std::atomic<int> accepted{0};
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&, thread] {
      runtime.ask<Product>(std::to_string(thread), Enrol{}, patient, blocking).value();
      for (int command = 0; command < 500; ++command) {
        accepted += static_cast<bool>(runtime.ask<Product>(std::to_string(thread), AddStock{1}, patient, blocking));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(accepted == 4'000);
  CHECK(runtime.in_flight() == 0);
}

TEST_CASE("commands that wait for a place are carried out in the order in which they came") {
  runtime runtime{{.journal = memory_journal(), .in_flight_max = 2}};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  const command_options patient{.when_full = when_full::wait};
  std::vector<std::future<answer<>>> asked;
  for (int command = 0; command < 5'000; ++command) {
    asked.push_back(runtime.ask<Product>("1", AddStock{1}, patient, asio::use_future));
  }
  for (std::size_t place = 0; place < asked.size(); ++place) REQUIRE(asked[place].get().version == version{place + 2});
}

TEST_CASE("recoveries and looks into the past read beside a writer that is stuck, and no more at once than may") {
  const auto store = std::make_shared<gated_journal>(true);
  runtime runtime{{.journal = store, .bounds = {.live_aggregates_max = 1, .directories = 1, .recoveries_at_once_max = 3}}};
  runtime.ask<Product>("1", Enrol{1}, blocking).value();
  runtime.ask<Product>("2", Enrol{2}, blocking).value();  // there is room for one: 1 is not live any more
  store->set_open(false);
  auto stuck = runtime.ask<Product>("2", AddStock{1}, asio::use_future);
  store->wait_until_somebody_appends();
  CHECK(runtime.history<Product>("1", blocking).events.size() == 1);
  CHECK(runtime.state_at<Product>("2", version{1}, blocking).state.count == 2);
  CHECK(stuck.wait_for(0s) == std::future_status::timeout);
  store->set_open(true);
  CHECK(stuck.get().version == version{2});

  std::vector<std::future<versioned<Product>>> looks;
  for (int product = 0; product < 500; ++product) {
    looks.push_back(runtime.state_at<Product>(std::to_string(product), version{0}, asio::use_future));
    looks.push_back(runtime.state<Product>(std::to_string(product), asio::use_future));
  }
  for (auto& look : looks) static_cast<void>(look.get());
  CHECK(store->most_reading() <= 3);
}

TEST_CASE("a cold aggregate is recovered while the journal is stuck in an append of another") {
  const auto store = std::make_shared<gated_journal>();
  runtime runtime{{.journal = store}};
  auto stuck = runtime.ask<Product>("1", Enrol{}, asio::use_future);
  store->wait_until_somebody_appends();
  CHECK(runtime.state<Product>("2", blocking).version == version{0});
  store->set_open(true);
  CHECK(stuck.get().version == version{1});
}

TEST_CASE("a command id that was first used by another kind of command is an error, not the end of the process") {
  runtime runtime{{.journal = memory_journal()}};
  const command_options named{.command_id = "a"};
  runtime.ask<Hall>("a", Close{}, named, blocking).value();
  const auto failure = failure_of([&] { runtime.ask<Hall>("a", Reserve{1}, named, blocking).value(); });
  CHECK(failure.kind() == errc::command_id_reused);
}

TEST_CASE("an unpacking that throws what is no exception is an error of the call that reads") {
  runtime runtime{{.journal = memory_journal()}};
  runtime.ask<Hostile>("1", Close{}, blocking).value();
  Hostile::hostile = true;
  CHECK(failure_of([&] { static_cast<void>(runtime.history<Hostile>("1", blocking)); }).kind() == errc::journal_unavailable);
  CHECK(failure_of([&] { static_cast<void>(runtime.state_at<Hostile>("1", version{1}, blocking)); }).kind() ==
        errc::journal_unavailable);
  Hostile::hostile = false;
  CHECK(runtime.history<Hostile>("1", blocking).events.size() == 1);
}

TEST_CASE("a warning function that throws stops nothing") {
  const auto store = std::make_shared<gated_journal>(true);
  runtime runtime{{.journal = store, .on_warning = [](const std::string&) { throw 1; }}};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  store->snapshots().save({"product", "2"}, version{3}, "no snapshot");
  CHECK(runtime.ask<Product>("2", Enrol{}, blocking).version == version{1});
}

TEST_CASE("draining finishes what is in flight, and refuses what comes after") {
  const auto store = std::make_shared<gated_journal>();
  runtime runtime{{.journal = store}};
  std::vector<std::future<answer<>>> asked;
  for (int product = 0; product < 100; ++product) {
    asked.push_back(runtime.ask<Product>(std::to_string(product), Enrol{}, asio::use_future));
  }
  store->wait_until_somebody_appends();
  auto drained = runtime.drain(asio::use_future);
  store->set_open(true);
  drained.get();
  for (auto& one : asked) CHECK(one.get().version == version{1});
  CHECK(failure_of([&] { runtime.ask<Product>("1", AddStock{1}, blocking).value(); }).kind() == errc::draining);
  CHECK(failure_of([&] { static_cast<void>(runtime.state_at<Product>("1", version{1}, blocking)); }).kind() == errc::draining);
  CHECK(store.use_count() == 1);  // the runtime has let go of its journal
  CHECK(store->snapshots().latest({"product", "1"}, version::max()).has_value());
  runtime.drain(blocking);  // a second time does nothing
}

TEST_CASE("draining leaves no snapshot where none is wanted") {
  const std::shared_ptr<journal> store = memory_journal();
  runtime runtime{{.journal = store}};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  runtime.drain(drain_snapshots::no, blocking);
  CHECK_FALSE(store->snapshots().latest({"product", "1"}, version::max()).has_value());
}

TEST_CASE("many threads on one aggregate: every command is carried out once, one at a time") {
  const temporary_folder folder;
  runtime runtime{{.journal = open_store(folder.path())}};
  runtime.ask<Product>("1", Enrol{0}, blocking).value();
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::vector<std::uint64_t> versions;
  for (int thread = 0; thread < 8; ++thread) {
    threads.emplace_back([&] {
      for (int command = 0; command < 200; ++command) {
        const auto added = runtime.ask<Product>("1", AddStock{1}, blocking);
        std::lock_guard lock(mutex);
        versions.push_back(added.version.value);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::sort(versions.begin(), versions.end());
  REQUIRE(versions.size() == 1'600);
  for (std::size_t place = 0; place < versions.size(); ++place) REQUIRE(versions[place] == place + 2);
  CHECK(runtime.state<Product>("1", blocking).state.count == 1'600);
}

TEST_CASE("an option that is out of its range is an error that names it and its range") {
  const auto complaint = [](runtime_options options) {
    return failure_of([&] { runtime runtime{std::move(options)}; }).detail();
  };
  CHECK(complaint({}).find("runtime_options::journal") != std::string::npos);
  CHECK(complaint({.journal = memory_journal(), .in_flight_max = 0}) == "in_flight_max is 0, and must be at least 1");
  CHECK(complaint({.journal = memory_journal(), .bounds = {.batch_appends_max = 0}}) ==
        "batch_appends_max is 0, and must be from 1 to 1000000");
  CHECK(complaint({.journal = memory_journal(), .bounds = {.passivate_after = -1ms}}).find("passivate_after") == 0);
}

TEST_CASE("an id that is too long is refused before anything is done with it") {
  runtime runtime{{.journal = memory_journal()}};
  const auto failure =
      failure_of([&] { runtime.ask<Product>(std::string(limits::id_bytes_max + 1, 'x'), Enrol{}, blocking).value(); });
  CHECK(failure.kind() == errc::invalid_argument);
  CHECK(runtime.ask<Product>(std::string(limits::id_bytes_max, 'x'), Enrol{}, blocking).version == version{1});
  CHECK(runtime.ask<Product>("", Enrol{}, blocking).version == version{1});
  const command_options heavy{.principal = std::string(limits::metadata_field_bytes_max + 1, 'x')};
  CHECK(failure_of([&] { runtime.ask<Product>("1", Enrol{}, heavy, blocking).value(); }).kind() == errc::invalid_argument);
}

}  // namespace cairn::tests
