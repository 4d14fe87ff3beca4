// Which thread may create a runtime, use it and destroy it: any. And when: at exit, and in the handlers that
// it calls, too.
//
// A failure here is a destructor that never returns, so each test has a time limit, after which it ends the
// process.
#include "product.hpp"
#include "temporary_folder.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/runtime.hpp>
#include <cairn/store.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <latch>
#include <memory>
#include <mutex>
#include <sys/wait.h>
#include <thread>
#include <vector>

namespace cairn::tests {
namespace {

namespace asio = boost::asio;
using namespace stock;
using namespace std::chrono_literals;
using runtime_pointer = std::unique_ptr<runtime>;
using error_code = boost::system::error_code;

runtime_pointer make_runtime(runtime_options options = {}) {
  options.journal = memory_journal();
  return std::make_unique<runtime>(std::move(options));
}

/// Ends the process where the test that made it is not done in time.
class time_limit {
public:
  time_limit() : watcher_([this, name = doctest::getContextOptions()->currentTest->m_name] { watch(name); }) {}
  ~time_limit() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    watcher_.join();
  }
  time_limit(const time_limit&) = delete;
  time_limit& operator=(const time_limit&) = delete;

private:
  void watch(const char* name) {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, 60s, [this] { return done_; })) return;
    std::fprintf(stderr, "not done within 60 s: %s\n", name);
    std::_Exit(1);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread watcher_;
};

/// An io_context with threads that run it until the end of the test.
class running_context {
public:
  explicit running_context(std::size_t threads = 1) {
    for (; threads > 0; --threads) threads_.emplace_back([this] { io.run(); });
  }
  ~running_context() {
    work_.reset();
    for (auto& thread : threads_) thread.join();
  }

  asio::io_context io;

private:
  asio::executor_work_guard<asio::io_context::executor_type> work_{io.get_executor()};
  std::vector<std::thread> threads_;
};

/// Keeps a thread alive that has done something, until the end of the test.
class live_thread {
public:
  explicit live_thread(std::function<void()> work) {
    std::latch done{1};
    thread_ = std::thread([this, &done, work = std::move(work)] {
      work();
      done.count_down();
      end_.wait();
    });
    done.wait();
  }
  ~live_thread() {
    end_.count_down();
    thread_.join();
  }

private:
  std::latch end_{1};
  std::thread thread_;
};

void run_on_new_thread(std::function<void()> work) { std::thread(std::move(work)).join(); }

struct program_run {
  int code;
  std::string output;
};

program_run run_program(const std::string& arguments) {
  const auto command = "timeout 120 '" LIFETIME_PROGRAM "' " + arguments + " 2>&1";
  program_run result{-1, {}};
  auto* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe);
  char part[4096];
  for (std::size_t size = 0; (size = std::fread(part, 1, sizeof part, pipe)) > 0;) result.output.append(part, size);
  const auto status = pclose(pipe);
  result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

struct DrainFromWithin {};
struct Noted {
  static constexpr std::string_view type = "NOTED";
  int count = 0;
  MSGPACK_DEFINE_MAP(count)
};
struct Drainer {
  static constexpr std::string_view category = "drainer";
  using Event = std::variant<Noted>;
  static inline runtime* used = nullptr;
  int count = 0;
  MSGPACK_DEFINE_MAP(count)
  decision<Event> decide(const DrainFromWithin&) const {
    used->drain(blocking);
    return Noted{};
  }
  void evolve(const Noted&) noexcept { ++count; }
};

}  // namespace

TEST_CASE("a runtime is destroyed by another thread while its creator waits") {
  const time_limit limit;
  auto runtime = make_runtime();
  SUBCASE("unused") {}
  SUBCASE("used by its creator") { runtime->ask<Product>("1", Enrol{1}, blocking).value(); }
  SUBCASE("drained by its creator") { runtime->drain(blocking); }
  run_on_new_thread([&] { runtime.reset(); });
}

TEST_CASE("a runtime is destroyed after its creator has ended") {
  const time_limit limit;
  runtime_pointer runtime;
  run_on_new_thread([&] { runtime = make_runtime(); });
  runtime->ask<Product>("1", Enrol{1}, blocking).value();
  runtime.reset();
}

TEST_CASE("a runtime is destroyed while its creator and the threads that used it live on") {
  const time_limit limit;
  runtime_pointer runtime;
  const live_thread creator([&] { runtime = make_runtime(); });
  const live_thread first_user([&] { runtime->ask<Product>("1", Enrol{1}, blocking).value(); });
  const live_thread second_user([&] {
    static_cast<void>(runtime->ask_many<Product>(std::vector<addressed<Enrol>>{{"2", Enrol{1}}, {"3", Enrol{1}}}, blocking));
    static_cast<void>(runtime->state<Product>("4", blocking));
    static_cast<void>(runtime->history<Product>("1", blocking));
  });
  const live_thread drainer([&] { runtime->drain(blocking); });
  SUBCASE("on a thread that does nothing else") {
    run_on_new_thread([&] { runtime.reset(); });
  }
  SUBCASE("on the test's thread") { runtime.reset(); }
}

TEST_CASE("a thread of a pool creates a runtime, and another thread destroys it") {
  const time_limit limit;
  asio::thread_pool pool(2);
  std::promise<runtime_pointer> made;
  asio::post(pool, [&] { made.set_value(make_runtime()); });
  auto runtime = made.get_future().get();
  runtime->ask<Product>("1", Enrol{1}, blocking).value();
  SUBCASE("outside of the pool") { runtime.reset(); }
  SUBCASE("of the pool") {
    std::promise<void> destroyed;
    asio::post(pool, [&] {
      runtime.reset();
      destroyed.set_value();
    });
    destroyed.get_future().get();
  }
  pool.join();
}

TEST_CASE("a runtime is created and destroyed on system_executor") {
  const time_limit limit;
  std::promise<runtime_pointer> made;
  asio::post(asio::system_executor(), [&] { made.set_value(make_runtime()); });
  auto runtime = made.get_future().get();
  std::promise<void> destroyed;
  SUBCASE("by a function posted there") {
    asio::post(asio::system_executor(), [&] {
      runtime.reset();
      destroyed.set_value();
    });
  }
  SUBCASE("by a handler") {
    runtime->ask<Product>("1", Enrol{1}, [&](error_code, const answer<>&) {
      runtime.reset();
      destroyed.set_value();
    });
  }
  destroyed.get_future().get();
}

TEST_CASE("runtimes made in turn on one thread are destroyed in any order, each on another thread") {
  const time_limit limit;
  std::array<std::size_t, 3> order{0, 1, 2};
  do {
    std::array<runtime_pointer, 3> runtimes;
    for (auto& runtime : runtimes) runtime = make_runtime();
    for (auto& runtime : runtimes) runtime->ask<Product>("1", Enrol{1}, blocking).value();
    for (const auto place : order) run_on_new_thread([&] { runtimes[place].reset(); });
    const auto one_more = make_runtime();
    one_more->ask<Product>("1", Enrol{1}, blocking).value();
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("several threads create, use and hand on runtimes at once") {
  const time_limit limit;
  constexpr std::size_t threads = 4, rounds = 5;
  std::mutex mutex;
  std::vector<runtime_pointer> handed_on;
  for (std::size_t round = 0; round < rounds; ++round) {
    std::vector<std::thread> all;
    for (std::size_t made = 0; made < threads; ++made) {
      all.emplace_back([&] {
        auto runtime = make_runtime();
        runtime->ask<Product>("1", Enrol{1}, blocking).value();
        runtime_pointer of_another;
        const std::lock_guard lock(mutex);
        if (!handed_on.empty()) {
          of_another = std::move(handed_on.back());
          handed_on.pop_back();
        }
        handed_on.push_back(std::move(runtime));
      });
    }
    for (auto& thread : all) thread.join();
  }
}

TEST_CASE("a handler destroys the runtime that calls it") {
  const time_limit limit;
  // Each call, with a handler that destroys the runtime. `bound` binds the handler to an executor, `run` runs
  // it.
  const auto each_call = [&](auto bound, auto run) {
    for (const auto* call : {"ask", "ask_many", "state", "state_at", "history", "drain", "refused"}) {
      CAPTURE(call);
      const std::string_view name = call;
      auto runtime = make_runtime();
      std::promise<void> destroyed;
      auto handler = bound([&](auto&&...) {
        runtime.reset();
        destroyed.set_value();
      });
      if (name == "ask") runtime->ask<Product>("1", Enrol{1}, handler);
      if (name == "ask_many") {
        runtime->ask_many<Product>(std::vector<addressed<Enrol>>{{"1", Enrol{1}}, {"2", Enrol{1}}, {"2", Enrol{1}}}, handler);
      }
      if (name == "state") runtime->state<Product>("1", handler);
      if (name == "state_at") runtime->state_at<Product>("1", version{0}, handler);
      if (name == "history") runtime->history<Product>("1", {}, handler);
      if (name == "drain") runtime->drain(handler);
      if (name == "refused") {
        runtime->drain(blocking);
        runtime->ask<Product>("1", Enrol{1}, handler);
      }
      run();
      destroyed.get_future().get();
    }
  };
  SUBCASE("on the thread that runs an io_context and created the runtime") {
    asio::io_context io;
    each_call([&](auto handler) { return asio::bind_executor(io, handler); },
              [&] {
                io.restart();
                io.run();
              });
  }
  SUBCASE("on another thread that runs an io_context") {
    running_context context;
    each_call([&](auto handler) { return asio::bind_executor(context.io, handler); }, [] {});
  }
  SUBCASE("on a strand of several threads") {
    running_context context(3);
    const auto strand = asio::make_strand(context.io);
    each_call([&](auto handler) { return asio::bind_executor(strand, handler); }, [] {});
  }
  SUBCASE("on a thread_pool") {
    asio::thread_pool pool(2);
    each_call([&](auto handler) { return asio::bind_executor(pool, handler); }, [] {});
    pool.join();
  }
}

TEST_CASE("the first of many handlers destroys the runtime, and the others are called with their answers") {
  const time_limit limit;
  constexpr int commands = 200;
  auto runtime = make_runtime({.in_flight_max = 50});
  asio::io_context io;
  int answered = 0, refused = 0;
  const command_options waiting{.when_full = when_full::wait};
  for (int command = 0; command < commands; ++command) {
    runtime->ask<Product>(std::to_string(command % 7), AddStock{1}, waiting,
                          asio::bind_executor(io, [&](error_code code, const answer<>&) {
                            runtime.reset();
                            ++(code == errc::draining ? refused : answered);
                          }));
  }
  io.run();
  CHECK(answered + refused == commands);
  CHECK(answered > 0);
}

TEST_CASE("a handler destroys the runtime while the function that asked has not returned yet") {
  const time_limit limit;
  running_context context(2);
  for (int round = 0; round < 100; ++round) {
    auto runtime = make_runtime({.in_flight_max = 1});
    std::promise<void> destroyed;
    std::atomic<int> left{2};
    const auto last_destroys = [&](auto&&...) {
      if (--left > 0) return;
      runtime.reset();
      destroyed.set_value();
    };
    const command_options waiting{.when_full = when_full::wait};
    auto& used = *runtime;  // a handler may have reset the pointer before this thread reads it
    switch (round % 3) {
    case 0:  // the second waits for a place, if the first still has it
      used.ask<Product>("1", Enrol{1}, waiting, asio::bind_executor(context.io, last_destroys));
      used.ask<Product>("1", Enrol{1}, waiting, asio::bind_executor(context.io, last_destroys));
      break;
    case 1:
      left = 1;
      used.ask<Product>("1", Enrol{1}, asio::bind_executor(context.io, last_destroys));
      break;
    case 2:
      left = 1;
      used.history<Product>("1", {}, asio::bind_executor(context.io, last_destroys));
      break;
    }
    destroyed.get_future().get();
  }
}

TEST_CASE("a coroutine destroys the runtime whose answer resumed it") {
  const time_limit limit;
  auto runtime = make_runtime();
  asio::io_context io;
  bool done = false;
  const auto session = [&]() -> asio::awaitable<void> {
    co_await runtime->ask<Product>("1", Enrol{1}, asio::use_awaitable);
    runtime.reset();
    runtime = make_runtime();
    co_await runtime->history<Product>("1", {}, asio::use_awaitable);
    runtime.reset();
    runtime = make_runtime();
    co_await runtime->ask<Product>("1", Enrol{1}, asio::use_awaitable);
    co_await runtime->drain(asio::use_awaitable);
    runtime.reset();
    done = true;
  };
  asio::co_spawn(io, session(), asio::detached);
  SUBCASE("on the creator's thread") { io.run(); }
  SUBCASE("on another thread") {
    run_on_new_thread([&] { io.run(); });
  }
  CHECK(done);
}

TEST_CASE("a runtime with a drain in the background is destroyed on another thread, and the drain's handler is called") {
  const time_limit limit;
  asio::io_context io;
  bool called = false;
  auto runtime = make_runtime();
  runtime->ask<Product>("1", Enrol{1}, blocking).value();
  runtime->drain(asio::bind_executor(io, [&](error_code code) {
    CHECK_FALSE(code);
    called = true;
  }));
  run_on_new_thread([&] { runtime.reset(); });
  io.run();
  CHECK(called);
}

TEST_CASE("a store is closed when its runtime has been destroyed on another thread") {
  const time_limit limit;
  const temporary_folder folder;
  for (int round = 0; round < 3; ++round) {
    auto runtime = std::make_unique<cairn::runtime>(runtime_options{.journal = open_store(folder.path())});
    static_cast<void>(runtime->ask<Product>("1", Enrol{1}, blocking));
    CHECK(runtime->ask<Product>("1", AddStock{1}, blocking).version.value == static_cast<std::uint64_t>(round) + 2);
    run_on_new_thread([&] { runtime.reset(); });
  }
}

TEST_CASE("a constructor that throws leaves its thread free to make another runtime") {
  const time_limit limit;
  CHECK_THROWS_AS(make_runtime({.bounds = {.batch_appends_max = 0}}), error);
  auto runtime = make_runtime();
  run_on_new_thread([&] { runtime.reset(); });
}

TEST_CASE("drain() on a thread of the runtime is refused with a sentence") {
  const time_limit limit;
  runtime runtime{{.journal = memory_journal()}};
  Drainer::used = &runtime;
  try {
    runtime.ask<Drainer>("1", DrainFromWithin{}, blocking).value();
    FAIL("the command succeeded");
  } catch (const error& failure) {
    CHECK(failure.kind() == errc::decide_failed);
    CHECK(failure.detail().find("drain() was called on a thread of this runtime") != std::string::npos);
  }
}

TEST_CASE("a runtime destroyed on a thread of its own ends the process with a sentence") {
  std::string way, call = "~runtime()";
  SUBCASE("in decide") { way = "decide"; }
  SUBCASE("in a handler that runs where it is posted") { way = "handler"; }
  SUBCASE("in the handler of a read that runs where it is posted") { way = "read"; }
  SUBCASE("by exit in decide") {
    way = "exit";
    call = "exit()";
  }
  const auto run = run_program("refused " + way);
  CHECK(run.code == 128 + SIGABRT);
  CHECK(run.output.find("cairn: " + call + " was called on a thread of this runtime") != std::string::npos);
}

TEST_CASE("a runtime is drained at exit, wherever it lives") {
  std::string end;
  SUBCASE("when main returns") { end = "return"; }
  SUBCASE("when another thread calls exit while main waits for it") { end = "other_thread"; }
  SUBCASE("when another thread that asked calls exit") { end = "asking_thread"; }
  SUBCASE("when a handler calls exit") { end = "handler"; }
  const temporary_folder folder;
  for (const auto* storage : {"namespace", "pointer", "function", "stack", "destroyed_meanwhile"}) {
    for (const auto* commands : {"none", "answered", "in_flight"}) {
      for (const auto& place : {std::string("memory"), (folder.path() / "store").string()}) {
        const auto arguments = std::string(storage) + ' ' + end + ' ' + commands + ' ' + place;
        CAPTURE(arguments);
        const auto run = run_program(arguments);
        CHECK(run.code == 0);
        CHECK(run.output == "");
      }
    }
  }
}

TEST_CASE("a test_runtime is created, used and destroyed on different threads") {
  const time_limit limit;
  std::unique_ptr<testkit::test_runtime> world;
  std::optional<testkit::awaited<answer<>>> enrolled;
  const live_thread creator([&] { world = std::make_unique<testkit::test_runtime>(); });
  const live_thread user([&] {
    enrolled = world->ask<Product>("1", Enrol{1});
    world->run();
  });
  CHECK(enrolled->accepted());
  SUBCASE("destroyed on the test's thread") { world.reset(); }
  SUBCASE("destroyed on a third thread, with a command in flight") {
    world->ask<Product>("1", AddStock{1});
    run_on_new_thread([&] { world.reset(); });
  }
  SUBCASE("drained and destroyed on a third thread") {
    run_on_new_thread([&] {
      world->runtime().drain(blocking);
      world.reset();
    });
  }
}

}  // namespace cairn::tests
