// Where handlers and coroutines continue: on the executor that is associated with them, whichever kind it is, and on nothing
// else.
//
// The runtime posts the answers for one io_context together and past the handlers' executors, so it must tell an io_context's
// executor from every other.
#include "product.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>
#include <cairn/testkit/forwarding_journal.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cairn::tests {
namespace {

namespace asio = boost::asio;
using namespace stock;

thread_local bool is_thread_of_runtime = false;

// Marks the threads that an answer comes from: those of the aggregates, of the journal and of the readers.
class marking_journal final : public testkit::forwarding_journal {
public:
  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    is_thread_of_runtime = true;
    forwarding_journal::append(appends, outcomes);
  }
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    is_thread_of_runtime = true;
    forwarding_journal::read(stream, range, visit);
  }
};

timestamp marking_clock() {
  is_thread_of_runtime = true;
  return system_now();
}

// A runtime, an io_context with four threads, and a pool of four.
class stage {
public:
  stage() {
    for (int started = 0; started < 4; ++started) threads_.emplace_back([this] { io.run(); });
  }
  ~stage() {
    runtime.drain(blocking);
    work_.reset();
    for (auto& thread : threads_) thread.join();
    pool.join();
  }

  asio::io_context io{4};
  asio::thread_pool pool{4};
  cairn::runtime runtime{{.journal = std::make_shared<marking_journal>(), .clock = marking_clock}};

private:
  asio::executor_work_guard<asio::io_context::executor_type> work_{io.get_executor()};
  std::vector<std::thread> threads_;
};

enum class runs { one_at_a_time, at_once };

// Counts the visits from outside of an executor, and those beside another one of a strand.
class watch {
public:
  watch(std::function<bool()> inside, runs how) : inside_(std::move(inside)), how_(how) {}

  void visit() {
    ++visits;
    if (!inside_()) ++outside;
    if (how_ == runs::at_once) return;
    if (visited_.exchange(true)) ++overlapping;
    for (int turn = 0; turn < 4; ++turn) std::this_thread::yield();  // another one has time to come in
    visited_ = false;
  }

  std::atomic<int> visits{0}, outside{0}, overlapping{0};

private:
  const std::function<bool()> inside_;
  const runs how_;
  std::atomic<bool> visited_{false};
};

constexpr int aggregates = 6;
constexpr int rounds = 40;

template <class Executor>
void check_callbacks(runtime& runtime, const Executor& executor, watch& seen) {
  std::latch left(5 * rounds);
  const auto handler = [&] {
    return asio::bind_executor(executor, [&](const auto&...) {
      seen.visit();
      left.count_down();
    });
  };
  for (int round = 0; round < rounds; ++round) {
    const auto id = std::to_string(round % aggregates);
    runtime.ask<Product>(id, AddStock{1}, handler());
    runtime.ask_many<Product>(id, std::vector(3, AddStock{1}), handler());
    runtime.state<Product>(id, handler());
    runtime.state_at<Product>(id, version{1}, handler());
    runtime.history<Product>(id, version_range{version{1}, version{2}}, handler());
  }
  left.wait();
}

asio::awaitable<void> session(runtime& runtime, std::string id, watch& seen) {
  for (int round = 0; round < rounds / 4; ++round) {
    co_await runtime.ask<Product>(id, AddStock{1}, asio::use_awaitable);
    seen.visit();
    co_await runtime.ask_many<Product>(id, std::vector(3, AddStock{1}), asio::use_awaitable);
    seen.visit();
    co_await runtime.state<Product>(id, asio::use_awaitable);
    seen.visit();
    co_await runtime.state_at<Product>(id, version{1}, asio::use_awaitable);
    seen.visit();
    co_await runtime.history<Product>(id, version_range{version{1}, version{2}}, asio::use_awaitable);
    seen.visit();
  }
}

template <class Executor>
void check_coroutines(runtime& runtime, const Executor& executor, watch& seen) {
  std::atomic<int> failures{0};
  std::latch left(2 * aggregates);
  for (int started = 0; started < 2 * aggregates; ++started) {
    asio::co_spawn(executor, session(runtime, std::to_string(started % aggregates), seen), [&](std::exception_ptr failure) {
      if (failure) ++failures;
      left.count_down();
    });
  }
  left.wait();
  CHECK(failures == 0);
}

// A call that is refused at once, and the drain itself.
template <class Executor>
void check_drain(runtime& runtime, const Executor& executor, watch& seen) {
  std::latch left(4);
  const auto handler = [&] {
    return asio::bind_executor(executor, [&](const auto&...) {
      seen.visit();
      left.count_down();
    });
  };
  runtime.drain(handler());
  runtime.ask<Product>("1", AddStock{1}, handler());
  runtime.ask_many<Product>("1", std::vector(2, AddStock{1}), handler());
  runtime.state_at<Product>("1", version{1}, handler());
  left.wait();
}

template <class Executor>
void check_stays_on(const Executor& executor, const std::function<bool()>& inside, runs how, stage& stage) {
  for (int id = 0; id < aggregates; ++id) stage.runtime.ask<Product>(std::to_string(id), Enrol{}, blocking).value();
  SUBCASE("callbacks") {
    watch seen(inside, how);
    check_callbacks(stage.runtime, executor, seen);
    CHECK(seen.visits == 5 * rounds);
    CHECK(seen.outside == 0);
    CHECK(seen.overlapping == 0);
  }
  SUBCASE("coroutines") {
    watch seen(inside, how);
    check_coroutines(stage.runtime, executor, seen);
    CHECK(seen.visits == 2 * aggregates * 5 * (rounds / 4));
    CHECK(seen.outside == 0);
    CHECK(seen.overlapping == 0);
  }
  SUBCASE("a drain, and calls that are refused") {
    watch seen(inside, how);
    check_drain(stage.runtime, executor, seen);
    CHECK(seen.visits == 4);
    CHECK(seen.outside == 0);
    CHECK(seen.overlapping == 0);
  }
}

// The executor as it is, and inside of any_io_executor, which is how each coroutine has its own.
template <class Executor>
void check_stays_on_both(const Executor& executor, const std::function<bool()>& inside, runs how, stage& stage) {
  SUBCASE("as it is") { check_stays_on(executor, inside, how, stage); }
  SUBCASE("inside of any_io_executor") { check_stays_on(asio::any_io_executor(executor), inside, how, stage); }
}

template <class Executor>
auto running_in(const Executor& executor) {
  return [executor] { return executor.running_in_this_thread(); };
}

}  // namespace

TEST_CASE("handlers of an io_context run on its threads") {
  stage stage;
  check_stays_on_both(stage.io.get_executor(), running_in(stage.io.get_executor()), runs::at_once, stage);
}

TEST_CASE("handlers of an io_context's executor with other properties run on its threads") {
  stage stage;
  const auto tracked = asio::require(stage.io.get_executor(), asio::execution::outstanding_work.tracked);
  check_stays_on_both(tracked, running_in(stage.io.get_executor()), runs::at_once, stage);
}

TEST_CASE("handlers of a strand run on it, one at a time") {
  stage stage;
  const auto strand = asio::make_strand(stage.io);
  check_stays_on_both(strand, running_in(strand), runs::one_at_a_time, stage);
}

TEST_CASE("handlers of a strand over any_io_executor, as make_strand(socket.get_executor()) makes it, run on it, one at a time") {
  stage stage;
  const auto strand = asio::make_strand(asio::any_io_executor(stage.io.get_executor()));
  check_stays_on_both(strand, running_in(strand), runs::one_at_a_time, stage);
}

TEST_CASE("handlers of a strand of a strand run on both, one at a time") {
  stage stage;
  const auto inner = asio::make_strand(stage.io);
  const auto strand = asio::make_strand(asio::any_io_executor(inner));
  const auto inside = [inner, strand] { return inner.running_in_this_thread() && strand.running_in_this_thread(); };
  check_stays_on_both(strand, inside, runs::one_at_a_time, stage);
}

TEST_CASE("handlers of a thread pool run on its threads") {
  stage stage;
  check_stays_on_both(stage.pool.get_executor(), running_in(stage.pool.get_executor()), runs::at_once, stage);
}

TEST_CASE("handlers of a strand on a thread pool run on it, one at a time") {
  stage stage;
  const auto strand = asio::make_strand(stage.pool);
  check_stays_on_both(strand, running_in(strand), runs::one_at_a_time, stage);
}

TEST_CASE("handlers of the system's executor run on no thread of the runtime or of whoever asks") {
  stage stage;
  const auto inside = [asking = std::this_thread::get_id()] {
    return !is_thread_of_runtime && std::this_thread::get_id() != asking;
  };
  SUBCASE("callbacks, as it is") {
    watch seen(inside, runs::at_once);
    check_callbacks(stage.runtime, asio::system_executor(), seen);
    CHECK(seen.outside == 0);
  }
  SUBCASE("callbacks, inside of any_io_executor") {
    watch seen(inside, runs::at_once);
    check_callbacks(stage.runtime, asio::any_io_executor(asio::system_executor()), seen);
    CHECK(seen.outside == 0);
  }
  SUBCASE("callbacks, by default") {
    std::atomic<int> outside{0};
    std::latch left(rounds);
    for (int round = 0; round < rounds; ++round) {
      stage.runtime.state<Product>("1", [&](const auto&...) {
        if (!inside()) ++outside;
        left.count_down();
      });
    }
    left.wait();
    CHECK(outside == 0);
  }
  SUBCASE("coroutines") {
    watch seen(inside, runs::at_once);
    for (int id = 0; id < aggregates; ++id) stage.runtime.ask<Product>(std::to_string(id), Enrol{}, blocking).value();
    check_coroutines(stage.runtime, asio::system_executor(), seen);
    CHECK(seen.outside == 0);
  }
}

TEST_CASE("handlers of many executors that are answered by one commit each run on their own") {
  stage stage;
  stage.runtime.ask<Product>("1", Enrol{}, blocking).value();
  const auto plain = stage.io.get_executor();
  const asio::any_io_executor inside_any = plain;
  const auto strand = asio::make_strand(inside_any);
  const asio::any_io_executor strand_inside_any = strand;
  const auto on_pool = stage.pool.get_executor();
  std::atomic<int> outside{0};
  std::latch left(5 * rounds);
  const auto handler_of = [&](const auto& executor, const auto& where) {
    return asio::bind_executor(executor, [&outside, &left, where](const auto&...) {
      if (!where.running_in_this_thread()) ++outside;
      left.count_down();
    });
  };
  for (int round = 0; round < rounds; ++round) {
    stage.runtime.ask<Product>("1", AddStock{1}, handler_of(plain, plain));
    stage.runtime.ask<Product>("1", AddStock{1}, handler_of(strand, strand));
    stage.runtime.ask<Product>("1", AddStock{1}, handler_of(inside_any, plain));
    stage.runtime.ask<Product>("1", AddStock{1}, handler_of(strand_inside_any, strand));
    stage.runtime.ask<Product>("1", AddStock{1}, handler_of(on_pool, on_pool));
  }
  left.wait();
  CHECK(outside == 0);
}

// Seen by the sanitizers: the thread that has posted the last handler is still at it when the handler has run.
TEST_CASE("an io_context may be destroyed once its run() has returned, while the runtime lives on") {
  runtime runtime{{.journal = memory_journal()}};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  std::atomic<int> answered{0};
  const auto count = [&](const auto&...) { ++answered; };
  constexpr int contexts = 200;
  for (int made = 0; made < contexts; ++made) {
    asio::io_context io{2};
    const asio::any_io_executor inside_any = io.get_executor();
    runtime.ask<Product>("1", AddStock{1}, asio::bind_executor(io, count));
    runtime.ask<Product>("1", AddStock{1}, asio::bind_executor(inside_any, count));
    runtime.ask_many<Product>("1", std::vector(2, AddStock{1}), asio::bind_executor(io, count));
    runtime.state<Product>("1", asio::bind_executor(asio::make_strand(inside_any), count));
    runtime.state_at<Product>("1", version{1}, asio::bind_executor(inside_any, count));
    std::thread other([&] { io.run(); });
    io.run();
    other.join();
  }
  CHECK(answered == 5 * contexts);
}

TEST_CASE("only an io_context's plain executor is taken for the io_context") {
  asio::io_context io;
  asio::thread_pool pool(1);
  const auto plain = io.get_executor();
  const auto inside_any = [](const auto& executor) { return detail::io_context_of(asio::any_io_executor(executor)); };
  CHECK(detail::io_context_of(plain) == &io);
  CHECK(inside_any(plain) == &io);
  asio::any_io_executor seen;
  const auto look = [&]() -> asio::awaitable<void> { seen = co_await asio::this_coro::executor; };
  asio::co_spawn(io, look(), [](std::exception_ptr) {});
  io.run();
  CHECK(detail::io_context_of(seen) == &io);  // as each coroutine of the io_context has it

  CHECK(detail::io_context_of(asio::any_io_executor()) == nullptr);
  CHECK(inside_any(asio::require(plain, asio::execution::outstanding_work.tracked)) == nullptr);
  CHECK(inside_any(asio::require(plain, asio::execution::allocator(std::allocator<int>()))) == nullptr);
  CHECK(inside_any(asio::make_strand(io)) == nullptr);
  CHECK(inside_any(asio::make_strand(asio::any_io_executor(plain))) == nullptr);
  CHECK(inside_any(asio::make_strand(asio::any_io_executor(asio::make_strand(io)))) == nullptr);
  CHECK(inside_any(pool.get_executor()) == nullptr);
  CHECK(inside_any(asio::make_strand(pool)) == nullptr);
  CHECK(inside_any(asio::system_executor()) == nullptr);
  CHECK(detail::io_context_of(asio::make_strand(io)) == nullptr);
  pool.join();
}

}  // namespace cairn::tests
