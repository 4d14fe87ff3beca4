// Nobody waits for somebody else's slow work: a decision, a recovery, a look into the past; and what a runtime holds has a bound.
#include "product.hpp"
#include "settings.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>
#include <cairn/testkit/forwarding_journal.hpp>

#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <future>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <variant>
#include <vector>

namespace cairn::tests {
namespace {

using namespace stock;
using namespace std::chrono_literals;

/// Whoever waits so long waits for ever.
constexpr auto patience = 60s;

/// Blocks whoever comes until it is opened; says when the first has come.
struct gate {
  std::latch arrived{1};
  std::promise<void> opening;
  std::shared_future<void> opened = opening.get_future().share();

  void pass() {
    arrived.count_down();
    opened.wait();
  }
  void open() { opening.set_value(); }
};

// --- decisions ---

struct Decide {
  gate* at = nullptr;
};
struct Decided {
  static constexpr std::string_view type = "DECIDED";
};
struct Judge {
  static constexpr std::string_view category = "judge";
  using Event = std::variant<Decided>;
  decision<Event> decide(const Decide& command) const {
    if (command.at) command.at->pass();
    return cairn::accepted;
  }
  void evolve(const Decided&) noexcept {}
};

TEST_CASE("one slow decision keeps no other aggregate waiting while a thread is idle") {
  constexpr std::size_t judges = 1'000;
  runtime runtime{{.journal = memory_journal(), .bounds = {.threads = 2}}};
  std::vector<addressed<Decide>> all;
  for (std::size_t judge = 0; judge < judges; ++judge) all.push_back({std::to_string(judge), {}});
  static_cast<void>(runtime.ask_many<Judge>(all, blocking));  // from now on all of them are live
  // A worker takes up to eight at once: the slow one is each of them in its turn.
  for (std::size_t slow = judges / 2; slow < judges / 2 + 8; ++slow) {
    gate gate;
    std::vector<std::future<answer<>>> answers;
    for (std::size_t judge = 0; judge < judges; ++judge) {
      answers.push_back(runtime.ask<Judge>(all[judge].id, Decide{judge == slow ? &gate : nullptr}, boost::asio::use_future));
    }
    gate.arrived.wait();
    for (std::size_t judge = 0; judge < judges; ++judge) {
      if (judge != slow) REQUIRE(answers[judge].wait_for(patience) == std::future_status::ready);
    }
    gate.open();
    CHECK(answers[slow].get());
  }
}

// --- readings ---

/// A journal whose reads of one aggregate stop at a gate.
class slow_journal final : public testkit::forwarding_journal {
public:
  slow_journal(stream_id slow, gate& at) : slow_(std::move(slow)), gate_(at) {}

  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    if (stream == stream_view(slow_)) gate_.pass();
    forwarding_journal::read(stream, range, visit);
  }

private:
  const stream_id slow_;
  gate& gate_;
};

TEST_CASE("one slow recovery keeps no other waiting while a reader is idle") {
  gate gate;
  runtime runtime{
      {.journal = std::make_shared<slow_journal>(stream_id("product", "slow"), gate), .bounds = {.recoveries_at_once_max = 2}}};
  auto slow = runtime.ask<Product>("slow", Enrol{}, boost::asio::use_future);
  gate.arrived.wait();
  for (int other = 0; other < 50; ++other) {
    auto answer = runtime.ask<Product>(std::to_string(other), Enrol{}, boost::asio::use_future);
    REQUIRE(answer.wait_for(patience) == std::future_status::ready);
    CHECK(answer.get());
  }
  gate.open();
  CHECK(slow.get());
}

TEST_CASE("one slow look into the past keeps no other waiting while a reader is idle") {
  gate gate;
  runtime runtime{{.journal = std::make_shared<slow_journal>(stream_id("product", "slow"), gate)}};
  for (int other = 0; other < 50; ++other) runtime.ask<Product>(std::to_string(other), Enrol{}, blocking).value();
  auto slow = runtime.state_at<Product>("slow", system_now(), boost::asio::use_future);
  gate.arrived.wait();
  for (int other = 0; other < 50; ++other) {
    auto found = runtime.state_at<Product>(std::to_string(other), version{1}, boost::asio::use_future);
    REQUIRE(found.wait_for(patience) == std::future_status::ready);
    CHECK(found.get().state.enrolled);
  }
  gate.open();
  CHECK(slow.get().version == version{0});
}

// --- blocking calls ---

struct Carry {
  std::shared_ptr<void> load;
};
struct Carrier {
  static constexpr std::string_view category = "carrier";
  using Event = std::variant<Decided>;
  decision<Event> decide(const Carry&) const { return Decided{}; }
  void evolve(const Decided&) noexcept {}
};

TEST_CASE("a blocking caller destroys its command itself") {
  runtime runtime{{.journal = memory_journal()}};
  for (int call = 0; call < 100; ++call) {
    std::promise<std::thread::id> destroyed;
    auto by = destroyed.get_future();
    runtime
        .ask<Carrier>(
            std::to_string(call),
            Carry{{&destroyed,
                   [](void* told) { static_cast<std::promise<std::thread::id>*>(told)->set_value(std::this_thread::get_id()); }}},
            blocking)
        .value();
    REQUIRE(by.wait_for(patience) == std::future_status::ready);
    CHECK(by.get() == std::this_thread::get_id());
  }
}

// --- warnings ---

TEST_CASE("a look into the past succeeds though the warning about its snapshot throws") {
  const std::shared_ptr<journal> store = memory_journal();
  runtime runtime{{.journal = store, .on_warning = [](const std::string&) { throw std::runtime_error("no log file"); }}};
  runtime.ask<Product>("1", Enrol{7}, blocking).value();
  store->snapshots().save({"product", "1"}, version{1}, "no snapshot");
  CHECK(runtime.state_at<Product>("1", version{1}, blocking).state.count == 7);
}

}  // namespace
}  // namespace cairn::tests
