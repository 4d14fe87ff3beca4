// Long histories and many aggregates.
#include "product.hpp"
#include "temporary_folder.hpp"

#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

namespace cairn::tests {
namespace {

namespace asio = boost::asio;
using namespace stock;

// Puts `total` commands through a window, and gives how many were accepted.
template <class Ask>
int in_window(int total, Ask ask) {
  asio::io_context io{1};
  int accepted = 0, asked = 0, answered = 0;
  std::function<void()> next = [&] {
    if (asked == total) return;
    ask(asked++, io, [&](bool good) {
      accepted += good;
      ++answered;
      next();
    });
  };
  auto work = asio::make_work_guard(io);
  for (int slot = 0; slot < 5'000; ++slot) next();
  while (answered < total) io.run_one();
  work.reset();
  io.run();  // returns when the runtime has finished with `io`, which lives no longer than this call
  return accepted;
}

}  // namespace

TEST_CASE("a history of 100,000 events is recovered from its snapshot, read whole, and asked at any version") {
  const temporary_folder folder;
  constexpr int events = 100'000;
  {
    runtime runtime{{.journal = open_store(folder.path())}};
    runtime.ask<Product>("1", Enrol{}, blocking).value();
    const int accepted = in_window(events - 1, [&](int, asio::io_context& io, auto done) {
      runtime.ask<Product>("1", AddStock{1}, asio::bind_executor(io, [done](boost::system::error_code code, answer<> answer) {
                             done(!code && answer);
                           }));
    });
    REQUIRE(accepted == events - 1);
    runtime.drain(drain_snapshots::no, blocking);
    CHECK(runtime.statistics().snapshots_saved <= events / 500);
    CHECK(runtime.statistics().failed_snapshots == 0);
  }
  runtime runtime{{.journal = open_store(folder.path())}};
  CHECK(runtime.state<Product>("1", blocking).state.count == events - 1);
  CHECK(runtime.statistics().events_recovered == 0);  // the last boundary is the end
  for (const std::uint64_t at : {1ULL, 499ULL, 500ULL, 501ULL, 77'777ULL, 100'000ULL}) {
    CHECK(runtime.state_at<Product>("1", version{at}, blocking).state.count == static_cast<Count>(at) - 1);
  }
  const auto whole = runtime.history<Product>("1", blocking).events;
  REQUIRE(whole.size() == events);
  for (std::size_t place = 0; place < whole.size(); ++place) REQUIRE(whole[place].version == version{place + 1});
}

TEST_CASE("100,000 aggregates live at once, and all come back after a restart") {
  const temporary_folder folder;
  constexpr int products = 100'000;
  {
    runtime runtime{{.journal = open_store(folder.path())}};
    const int accepted = in_window(products, [&](int product, asio::io_context& io, auto done) {
      runtime.ask<Product>(
          std::to_string(product), Enrol{product},
          asio::bind_executor(io, [done](boost::system::error_code code, answer<> answer) { done(!code && answer); }));
    });
    REQUIRE(accepted == products);
    CHECK(runtime.statistics().live_aggregates == products);
  }
  runtime runtime{{.journal = open_store(folder.path()), .bounds = {.live_aggregates_max = 10'000}}};
  const int right = in_window(products, [&](int product, asio::io_context& io, auto done) {
    runtime.state<Product>(std::to_string(product),
                           asio::bind_executor(io, [done, product](boost::system::error_code code, versioned<Product> seen) {
                             done(!code && seen.state.count == product && seen.version == version{1});
                           }));
  });
  CHECK(right == products);
  CHECK(runtime.statistics().live_aggregates <= 10'000);
  CHECK(runtime.statistics().events_recovered == 0);
}

}  // namespace cairn::tests
