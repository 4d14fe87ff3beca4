// Subscriptions: every record once, in order, only when it is durable.
#include "product.hpp"
#include "settings.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/subscription.hpp>
#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/forwarding_journal.hpp>
#include <cairn/testkit/random.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 107700
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#endif
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cairn::tests {
namespace {

namespace asio = boost::asio;
using namespace stock;

/// Longer than any of these tests takes, so that a lost wake-up fails instead of hanging.
constexpr std::chrono::seconds patience{30};

template <class Value>
Value soon(std::future<Value> value) {
  if (value.wait_for(patience) != std::future_status::ready) throw std::runtime_error("no record came within half a minute");
  return value.get();
}

/// Enrols product "1" and adds stock to it until the journal has `records` records.
void fill(runtime& runtime, std::uint64_t records) {
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  while (runtime.head() < position{records}) runtime.ask<Product>("1", AddStock{1}, blocking).value();
}

std::vector<std::uint64_t> positions_of(const record_batch& batch) {
  std::vector<std::uint64_t> all;
  for (const auto& record : batch) all.push_back(record.position.value);
  return all;
}
using numbers = std::vector<std::uint64_t>;

/// A journal whose reads of the log and appends do what a test says.
class scripted_journal final : public testkit::forwarding_journal {
public:
  scripted_journal() : forwarding_journal(memory_journal()) {}

  std::atomic<bool> reads_fail = false;
  std::atomic<bool> append_fails_once_stored = false;
  position damaged{};  // reading it fails
  std::function<void()> before_append, after_append;

  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    if (before_append) before_append();
    forwarding_journal::append(appends, outcomes);
    if (after_append) after_append();
    if (append_fails_once_stored.exchange(false)) throw error(errc::journal_unavailable, "the sync failed");
  }
  position read_all(position from, const record_visitor& visit) const override {
    if (reads_fail) throw error(errc::journal_unavailable, "the disk is away");
    return forwarding_journal::read_all(from, [&](const record_view& record) {
      if (record.position == damaged) throw error(errc::corrupt_record, "position 3 is damaged");
      return visit(record);
    });
  }
};

/// An io_context with a thread.
class io_thread {
public:
  ~io_thread() {
    work_.reset();
    thread_.join();
  }
  asio::io_context io;

private:
  asio::executor_work_guard<asio::io_context::executor_type> work_{io.get_executor()};
  std::thread thread_{[this] { io.run(); }};
};

}  // namespace

TEST_CASE("a subscription delivers what is there, from any position, and then what comes") {
  runtime runtime{{.journal = memory_journal()}};
  fill(runtime, 5);
  for (std::uint64_t after = 0; after < 5; ++after) {
    auto records = runtime.subscribe({.after = position{after}});
    CHECK(records.through() == position{after});
    for (auto expected = after + 1; expected <= 5; ++expected) {
      const auto next = records.next(blocking);
      CHECK(next.record.position == position{expected});
      CHECK(next.record.version == version{expected});
      CHECK(next.record.stream == stream_view{"product", "1"});
      CHECK(records.through() == position{expected});
    }
  }
  auto records = runtime.subscribe({.after = runtime.head()});
  auto next = records.next(asio::use_future);
  CHECK(next.wait_for(std::chrono::seconds{0}) == std::future_status::timeout);
  runtime.ask<Product>("1", RemoveStock{1, "sold"}, blocking).value();
  const auto live = soon(std::move(next));
  CHECK(live.record.position == position{6});
  CHECK(live.record.type == "DELETE");
  CHECK(std::get<StockRemoved>(read_event<Product>(live.record)).reason == "sold");
}

TEST_CASE("batches end at their bounds, and what one call leaves the next one gets") {
  runtime runtime{{.journal = memory_journal()}};
  fill(runtime, 7);
  SUBCASE("records") {
    auto records = runtime.subscribe({.batch_records_max = 3});
    const auto first = records.next_batch(blocking);
    CHECK(positions_of(first) == numbers{1, 2, 3});
    CHECK(first.through == position{3});
    CHECK(first.head == position{7});
    CHECK(records.next(blocking).record.position == position{4});
    const auto rest = records.next_batch(blocking);  // of the batch that next() read
    CHECK(positions_of(rest) == numbers{5, 6});
    CHECK(records.through() == position{6});
    CHECK(positions_of(records.next_batch(blocking)) == numbers{7});
  }
  SUBCASE("bytes: at least one record") {
    auto records = runtime.subscribe({.batch_bytes_max = 1});
    CHECK(positions_of(records.next_batch(blocking)) == numbers{1});
    CHECK(positions_of(records.next_batch(blocking)) == numbers{2});
  }
  SUBCASE("a copy keeps the bytes") {
    auto copy = [&] { return runtime.subscribe({}).next(blocking); }();
    CHECK(copy.record.type == "ENROLL");
  }
}

TEST_CASE("filters: category, aggregate, type and a predicate; the position advances where nothing passes") {
  runtime runtime{{.journal = memory_journal()}};
  fill(runtime, 3);                                             // 1 to 3
  runtime.ask<Product>("2", Enrol{5}, blocking).value();        // 4
  runtime.ask<Product>("2", RemoveStock{1}, blocking).value();  // 5
  runtime.ask<Product>("1", AddStock{9}, blocking).value();     // 6

  const auto through_with = [&](subscription_options options) {
    auto records = runtime.subscribe(std::move(options));
    return positions_of(records.next_batch(blocking));
  };
  CHECK(through_with({.category = "product"}) == numbers{1, 2, 3, 4, 5, 6});
  CHECK(through_with({.category = "product", .id = "2"}) == numbers{4, 5});
  CHECK(through_with({.after = position{4}, .category = "product", .id = "2"}) == numbers{5});
  CHECK(through_with({.types = {"ENROLL", "DELETE"}}) == numbers{1, 4, 5});
  CHECK(through_with({.where = [](const record_view& record) { return record.version == version{2}; }}) == numbers{2, 5});
  CHECK(positions_of(runtime.of<Product>("1").subscribe(position{2}).next_batch(blocking)) == numbers{3, 6});

  SUBCASE("of one aggregate, what comes later") {
    auto records = runtime.of<Product>("2").subscribe();
    CHECK(positions_of(records.next_batch(blocking)) == numbers{4, 5});
    CHECK(records.through() == position{6});
    auto next = records.next(asio::use_future);
    runtime.ask<Product>("1", AddStock{1}, blocking).value();
    runtime.ask<Product>("2", AddStock{1}, blocking).value();
    CHECK(soon(std::move(next)).record.position == position{8});
  }
  SUBCASE("of a category without records") {
    auto records = runtime.subscribe({.category = "nothing"});
    auto next = records.next(asio::use_future);
    runtime.ask<Product>("1", AddStock{1}, blocking).value();
    CHECK(next.wait_for(std::chrono::seconds{0}) == std::future_status::timeout);
    records.cancel();
    CHECK_THROWS(soon(std::move(next)));
  }
  SUBCASE("a predicate that throws fails the call by name, and the next call goes on from the same record") {
    int called = 0;
    auto records = runtime.subscribe({.where = [&](const record_view&) -> bool {
      if (++called == 1) throw std::runtime_error("no luck");
      return true;
    }});
    try {
      static_cast<void>(records.next(blocking));
      FAIL("next() did not throw");
    } catch (const error& failure) {
      CHECK(failure.kind() == errc::invalid_argument);
      CHECK(failure.detail().find("position 1") != std::string::npos);
      CHECK(failure.detail().find("no luck") != std::string::npos);
    }
    CHECK(records.next(blocking).record.position == position{1});
  }
  SUBCASE("records before a predicate that throws are delivered") {
    auto records = runtime.subscribe({.where = [](const record_view& record) -> bool {
      if (record.position == position{3}) throw std::runtime_error("no luck");
      return true;
    }});
    CHECK(positions_of(records.next_batch(blocking)) == numbers{1, 2});
    CHECK_THROWS_AS(static_cast<void>(records.next(blocking)), error);
  }
}

TEST_CASE("filters with small batches lose nothing") {
  runtime runtime{{.journal = memory_journal()}};
  for (const std::string id : {"1", "2"}) runtime.ask<Product>(id, Enrol{}, blocking).value();
  for (int number = 0; number < 20; ++number) {
    for (const std::string id : {"1", "2"}) runtime.ask<Product>(id, AddStock{1}, blocking).value();
  }
  const auto all_of = [&](subscription_options options, std::size_t records) {
    auto source = runtime.subscribe(std::move(options));
    numbers all;
    while (all.size() < records) {
      for (const auto& record : soon(source.next_batch(asio::use_future))) all.push_back(record.position.value);
    }
    return all;
  };
  const auto every_second_from = [](std::uint64_t first, std::size_t count) {
    numbers all;
    for (std::size_t number = 0; number < count; ++number) all.push_back(first + 2 * number);
    return all;
  };
  for (const std::size_t most : {1, 2, 3, 7}) {
    CHECK(all_of({.where = [](const record_view& record) { return record.stream.id == "2"; }, .batch_records_max = most}, 21) ==
          every_second_from(2, 21));
    CHECK(all_of({.category = "product", .id = "1", .batch_records_max = most}, 21) == every_second_from(1, 21));
  }
  // About two records.
  const auto size = runtime.subscribe({.after = position{5}}).next(blocking).record.body.size();
  CHECK(runtime.subscribe({.after = position{4}, .batch_bytes_max = 2 * size + 1}).next_batch(blocking).size() == 2);
  CHECK(
      runtime.subscribe({.after = position{4}, .types = {"ADD"}, .batch_bytes_max = 2 * size + 1}).next_batch(blocking).size() ==
      2);
}

TEST_CASE("a subscription passes by what it does not want, also if its calls are cancelled") {
  runtime runtime{{.journal = memory_journal()}};
  fill(runtime, 50);
  auto records = runtime.subscribe({.category = "nothing"});
  while (records.through() < position{50}) {
    auto next = records.next(asio::use_future);
    std::this_thread::yield();
    records.cancel();
    CHECK_THROWS(soon(std::move(next)));
  }
  CHECK(records.through() == position{50});

  auto other = runtime.of<Product>("2").subscribe();
  auto batch = other.next_batch(asio::use_future);
  while (runtime.head() < position{10'100}) {
    CHECK(runtime.ask_many<Product>("1", std::vector<AddStock>(1'000, AddStock{1}), blocking).size() == 1'000);
  }
  const auto passed = soon(std::move(batch));
  CHECK(passed.empty());
  CHECK(passed.through >= position{10'000});
}

TEST_CASE("an empty batch says how far the log was read, if many records do not pass") {
  runtime runtime{{.journal = memory_journal()}};
  constexpr std::size_t many = 10'500;
  std::vector<AddStock> all(many - 1, AddStock{1});
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  CHECK(runtime.ask_many<Product>("1", std::move(all), blocking).size() == many - 1);
  runtime.ask<Product>("1", RemoveStock{1}, blocking).value();

  auto batches = runtime.subscribe({.types = {"DELETE"}});
  const auto first = batches.next_batch(blocking);
  CHECK(first.empty());
  CHECK(first.through == position{10'000});
  CHECK(positions_of(soon(batches.next_batch(asio::use_future))) == numbers{many + 1});

  auto one_by_one = runtime.subscribe({.types = {"DELETE"}});
  CHECK(soon(one_by_one.next(asio::use_future)).record.position == position{many + 1});

  auto of_one = runtime.subscribe({.category = "product", .id = "1", .types = {"DELETE"}});
  CHECK(soon(of_one.next(asio::use_future)).record.position == position{many + 1});
}

TEST_CASE("options outside their ranges are refused by name") {
  runtime runtime{{.journal = memory_journal()}};
  const auto refused = [&](subscription_options options, const char* name) {
    try {
      static_cast<void>(runtime.subscribe(std::move(options)));
      FAIL_CHECK(name << " was not refused");
    } catch (const error& failure) {
      CHECK(failure.kind() == errc::invalid_argument);
      CHECK(failure.detail().find(name) != std::string::npos);
    }
  };
  refused({.batch_records_max = 0}, "batch_records_max");
  refused({.batch_records_max = 100'001}, "batch_records_max");
  refused({.batch_bytes_max = 0}, "batch_bytes_max");
  refused({.id = "1"}, "without a category");
  refused({.after = position{1}}, "the journal ends at position 0");
}

TEST_CASE("a call ends if it is cancelled, if the subscription ends, or if the runtime drains") {
  runtime runtime{{.journal = memory_journal()}};
  auto records = std::make_optional(runtime.subscribe({}));
  auto next = records->next(asio::use_future);
  errc wanted{};
  SUBCASE("cancelled") {
    records->cancel();
    wanted = errc::cancelled;
  }
  SUBCASE("destroyed") {
    records.reset();
    wanted = errc::cancelled;
  }
  SUBCASE("drained") {
    runtime.drain(blocking);
    wanted = errc::draining;
  }
  try {
    static_cast<void>(soon(std::move(next)));
    FAIL("the call did not fail");
  } catch (const boost::system::system_error& failure) { CHECK(failure.code() == wanted); }
  if (wanted == errc::draining) {
    CHECK_THROWS_AS(static_cast<void>(records->next(blocking)), error);
  } else if (records) {
    fill(runtime, 1);
    CHECK(records->next(blocking).record.position == position{1});
  }
}

TEST_CASE("a second call is refused while one is in progress") {
  runtime runtime{{.journal = memory_journal()}};
  auto records = runtime.subscribe({});
  auto first = records.next(asio::use_future);
  try {
    static_cast<void>(records.next_batch(blocking));
    FAIL("the second call did not fail");
  } catch (const error& failure) { CHECK(failure.kind() == errc::invalid_argument); }
  fill(runtime, 1);
  CHECK(soon(std::move(first)).record.position == position{1});
}

TEST_CASE("a second call is refused until the value of the first one is delivered") {
  runtime runtime{{.journal = memory_journal()}};
  fill(runtime, 2);
  asio::io_context io;
  auto records = runtime.subscribe({.batch_records_max = 1});
  std::uint64_t first = 0;
  records.next(asio::bind_executor(io, [&](auto, const received_record& got) { first = got.record.position.value; }));
  CHECK_THROWS_AS(static_cast<void>(records.next(blocking)), error);
  io.run();
  CHECK(first == 1);
  CHECK(records.next(blocking).record.position == position{2});
}

TEST_CASE("a subscription that is assigned to or destroyed lets go of its predicate") {
  runtime runtime{{.journal = memory_journal()}};
  const auto captured = std::make_shared<int>(0);
  auto records = runtime.subscribe({.where = [captured](const record_view&) { return true; }});
  auto next = records.next(asio::use_future);
  CHECK(captured.use_count() == 2);
  records = runtime.subscribe({});
  CHECK(captured.use_count() == 1);
  CHECK_THROWS(soon(std::move(next)));
  fill(runtime, 1);
  CHECK(records.next(blocking).record.position == position{1});
}

#if BOOST_VERSION >= 107700
TEST_CASE("a call is cancelled by the slot of its handler") {
  runtime runtime{{.journal = memory_journal()}};
  auto records = runtime.subscribe({});
  asio::io_context io;
  asio::cancellation_signal signal;
  errc code{};
  records.next(asio::bind_cancellation_slot(signal.slot(),
                                            asio::bind_executor(io, [&](auto, const received_record& got) { code = got.code; })));
  signal.emit(asio::cancellation_type::total);
  io.run();
  CHECK(code == errc::cancelled);
  fill(runtime, 1);
  CHECK(records.next(blocking).record.position == position{1});
}
#endif

TEST_CASE("calls that are cancelled again and again without a new record leave nothing behind") {
  runtime runtime{{.journal = memory_journal()}};
  auto records = runtime.subscribe({});
  auto held = std::make_shared<int>(0);
  for (int call = 0; call < 1'000; ++call) {
    std::promise<errc> ended;
    asio::io_context io;
    records.next(asio::bind_executor(io, [held, &ended](auto, const received_record& got) { ended.set_value(got.code); }));
    records.cancel();
    io.run();
    CHECK(ended.get_future().get() == errc::cancelled);
  }
  CHECK(held.use_count() <= 2);
  fill(runtime, 1);
  CHECK(records.next(blocking).record.position == position{1});
}

TEST_CASE("a record is delivered only when it is durable, and its answer comes only when it may be delivered") {
  auto journal = std::make_shared<scripted_journal>();
  std::atomic<std::uint64_t> head_before{9}, head_after{9};
  cairn::runtime* of = nullptr;
  journal->before_append = [&] { head_before = of->head().value; };
  journal->after_append = [&] { head_after = of->head().value; };
  runtime runtime{{.journal = journal}};
  of = &runtime;
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  CHECK(head_before == 0);
  CHECK(head_after == 0);  // append() has not returned: it may still fail
  CHECK(runtime.head() == position{1});

  // On the thread that answers, as soon as it does.
  std::atomic<int> behind = 0, answered = 0;
  constexpr int commands = 2'000;
  std::promise<void> all;
  io_thread other;
  for (int number = 0; number < commands; ++number) {
    runtime.ask<Product>("1", AddStock{1}, asio::bind_executor(other.io, [&](auto, const answer<>& got) {
                           if (runtime.head().value < got.version.value) ++behind;
                           if (++answered == commands) all.set_value();
                         }));
  }
  soon(all.get_future());
  CHECK(behind == 0);
}

TEST_CASE("a journal that cannot be read fails the call, and the next call goes on from the same record") {
  auto journal = std::make_shared<scripted_journal>();
  runtime runtime{{.journal = journal}};
  fill(runtime, 2);
  auto records = runtime.subscribe({});
  CHECK(records.next_batch(blocking).size() == 2);
  runtime.ask<Product>("1", AddStock{1}, blocking).value();
  journal->reads_fail = true;
  try {
    static_cast<void>(records.next(blocking));
    FAIL("next() did not throw");
  } catch (const error& failure) {
    CHECK(failure.kind() == errc::journal_unavailable);
    CHECK(failure.detail() == "the disk is away");
  }
  journal->reads_fail = false;
  CHECK(records.next(blocking).record.position == position{3});
}

TEST_CASE("records before a damaged one are delivered") {
  auto journal = std::make_shared<scripted_journal>();
  runtime runtime{{.journal = journal}};
  fill(runtime, 4);
  journal->damaged = position{3};
  auto records = runtime.subscribe({});
  CHECK(positions_of(records.next_batch(blocking)) == numbers{1, 2});
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      static_cast<void>(records.next(blocking));
      FAIL("next() did not throw");
    } catch (const error& failure) { CHECK(failure.kind() == errc::corrupt_record); }
  }
  CHECK(records.through() == position{2});
}

TEST_CASE("a record is delivered that was stored by an append that failed") {
  auto journal = std::make_shared<scripted_journal>();
  runtime runtime{{.journal = journal}};
  auto records = runtime.subscribe({});
  auto next = records.next(asio::use_future);
  journal->append_fails_once_stored = true;
  CHECK_THROWS_AS(static_cast<void>(runtime.ask<Product>("1", Enrol{}, {.command_id = "a"}, blocking)), error);
  const auto repeat = runtime.ask<Product>("1", Enrol{}, {.command_id = "a"}, blocking);
  CHECK(repeat.repeated);
  CHECK(runtime.head() == position{1});
  CHECK(soon(std::move(next)).record.position == position{1});
}

TEST_CASE("a subscription that is not read does not delay commands, and catches up later") {
  runtime runtime{{.journal = memory_journal()}};
  auto idle = runtime.subscribe({});
  auto slow = runtime.subscribe({.batch_records_max = 1});
  fill(runtime, 20'000);
  for (std::uint64_t expected = 1; expected <= 100; ++expected) {
    CHECK(slow.next(blocking).record.position == position{expected});
  }
  position through;
  while (through < runtime.head()) {
    const auto batch = idle.next_batch(blocking);
    for (const auto& record : batch) {
      if (record.position != through + 1) FAIL("a gap");
      through = record.position;
    }
  }
  CHECK(through == position{20'000});
}

TEST_CASE("the callback form delivers each record on its executor, and ends once") {
  runtime runtime{{.journal = memory_journal()}};
  fill(runtime, 3);
  auto records = runtime.subscribe({});
  io_thread other;
  std::vector<std::uint64_t> seen;
  std::promise<void> five;
  std::promise<errc> ended;
  records.each(
      other.io.get_executor(),
      [&](const record_view& record) {
        seen.push_back(record.position.value);
        if (seen.size() == 5) five.set_value();
      },
      [&](errc code, const std::string&) { ended.set_value(code); });
  runtime.ask<Product>("1", AddStock{1}, blocking).value();
  runtime.ask<Product>("1", AddStock{1}, blocking).value();
  soon(five.get_future());
  records.cancel();
  CHECK(soon(ended.get_future()) == errc::cancelled);
  CHECK(seen == numbers{1, 2, 3, 4, 5});
}

TEST_CASE("the callback form ends if it is cancelled or destroyed from its handler, and takes batches") {
  runtime runtime{{.journal = memory_journal()}};
  fill(runtime, 5);
  auto records = std::make_optional(runtime.subscribe({.batch_records_max = 4}));
  asio::io_context io;
  numbers seen;
  std::vector<errc> ends;
  const auto end = [&](errc code, const std::string&) { ends.push_back(code); };
  SUBCASE("cancelled") {
    records->each(
        io.get_executor(),
        [&](const record_view& record) {
          seen.push_back(record.position.value);
          if (seen.size() == 2) records->cancel();
        },
        end);
    io.run_for(std::chrono::seconds{10});  // at most
    CHECK(seen == numbers{1, 2});
  }
  SUBCASE("destroyed") {
    records->each(
        io.get_executor(),
        [&](const record_view& record) {
          seen.push_back(record.position.value);
          if (seen.size() == 3) records.reset();
        },
        end);
    io.run_for(std::chrono::seconds{10});  // at most
    CHECK(seen == numbers{1, 2, 3});
  }
  SUBCASE("batches") {
    records->each(
        io.get_executor(),
        [&](const record_batch& batch) {
          seen.push_back(batch.through.value);
          if (batch.through == position{5}) records->cancel();
        },
        end);
    io.run_for(std::chrono::seconds{10});  // at most
    CHECK(seen == numbers{4, 5});
  }
  CHECK(ends == std::vector<errc>{errc::cancelled});
}

#if defined(BOOST_ASIO_HAS_CO_AWAIT)
TEST_CASE("a coroutine awaits records, typed") {
  /// Counts what was added; other events do not concern it.
  struct added {
    Count count = 0;
    position last;
    void on(const StockAdded& event, const record_view& record) {
      count += event.count;
      last = record.position;
    }
  };
  runtime runtime{{.journal = memory_journal()}};
  fill(runtime, 4);
  runtime.ask<Product>("1", RemoveStock{2}, blocking).value();
  asio::io_context io;
  added target;
  int applied = 0;
  bool as_result_fails = false;
  asio::co_spawn(
      io,
      [&]() -> asio::awaitable<void> {
        auto records = runtime.subscribe({});
        const auto batch = co_await records.next_batch();
        for (const auto& record : batch) applied += apply_record<Product>(target, record);
        runtime.drain(blocking);
        const auto end = co_await records.next(as_result);
        as_result_fails = end.failed() && end.code == errc::draining;
        bool thrown = false;
        try {
          static_cast<void>(co_await records.next());
        } catch (const error& failure) { thrown = failure.kind() == errc::draining; }
        CHECK(thrown);
      },
      [](std::exception_ptr failure) { CHECK_FALSE(failure); });
  io.run();
  CHECK(applied == 3);
  CHECK(target.count == 3);
  CHECK(target.last == position{4});
  CHECK(as_result_fails);
}
#endif

TEST_CASE("a subscription follows a runtime that a test steps") {
  testkit::test_runtime world;
  auto records = world.runtime().subscribe({});
  std::vector<std::uint64_t> seen;
  records.each(
      world.executor(), [&](const record_view& record) { seen.push_back(record.position.value); },
      [](errc, const std::string&) {});
  world.run();
  CHECK(seen.empty());
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  const auto added = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(enrolled.accepted());
  CHECK(added.accepted());
  CHECK(seen == numbers{1, 2});
}

TEST_CASE("between what is there and what comes no record is missing and none comes twice, with writers that never pause") {
  const auto switches = setting("CAIRN_TEST_SWITCHES", sanitized ? 20'000 : 100'000);
  constexpr int writers = 8;
  runtime runtime{{.journal = memory_journal()}};
  io_thread writing;
  std::atomic<bool> stop = false;
  std::atomic<int> left = writers;
  std::promise<void> stopped;
  // Each writer sends its next command from the answer to the last.
  struct writer {
    cairn::runtime& runtime;
    asio::io_context& io;
    std::atomic<bool>& stop;
    std::atomic<int>& left;
    std::promise<void>& stopped;
    std::string id;
    void next() {
      if (stop) {
        if (--left == 0) stopped.set_value();
        return;
      }
      runtime.ask<Product>(id, AddStock{1}, asio::bind_executor(io, [this](auto, const answer<>&) { next(); }));
    }
  };
  std::vector<std::unique_ptr<writer>> all;
  for (int number = 0; number < writers; ++number) {
    runtime.ask<Product>(std::to_string(number), Enrol{}, blocking).value();
    all.push_back(std::make_unique<writer>(runtime, writing.io, stop, left, stopped, std::to_string(number)));
    all.back()->next();
  }

  testkit::random random(setting("CAIRN_TEST_SEED", 1));
  std::uint64_t delivered = 0, wrong = 0, live = 0;
  for (std::uint64_t number = 0; number < switches; ++number) {
    const auto head = runtime.head().value;
    const auto after = head - std::min<std::uint64_t>(head, random.below(20));
    auto records = runtime.subscribe({.after = position{after}, .batch_records_max = 1 + random.below(8)});
    const auto until = head + 1 + random.below(3);  // at least one record that was not there
    for (auto expected = after + 1; expected <= until;) {
      const auto batch = soon(records.next_batch(asio::use_future));
      if (batch.head.value > head) ++live;
      for (const auto& record : batch) {
        wrong += record.position.value != expected++;
        ++delivered;
      }
    }
  }
  stop = true;
  soon(stopped.get_future());
  show("subscriptions: " + std::to_string(switches) + " switches from the log to what comes, " + std::to_string(delivered) +
       " records delivered, " + std::to_string(wrong) + " missing or twice");
  CHECK(wrong == 0);
  CHECK(live > 0);
}

}  // namespace cairn::tests
