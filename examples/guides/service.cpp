// What docs/embedding.md shows of a service: its options, its shutdown on a signal, and what it counts.
#include "product.hpp"

#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <utility>

namespace asio = boost::asio;
using namespace stock;
using namespace std::chrono_literals;

namespace {

// Stands for the requests of a service. Ends when the runtime drains.
asio::awaitable<void> serve(cairn::runtime& runtime) {
  const auto product = runtime.of<Product>("1");
  asio::steady_timer timer(co_await asio::this_coro::executor);
  (co_await product.ask(Enrol{}, {.command_id = "enrol-1"})).value();
  for (;;) {
    const auto answer = co_await product.ask(AddStock{1}, cairn::as_result);
    if (answer.code == cairn::errc::draining) co_return;
    timer.expires_after(1s);
    co_await timer.async_wait(asio::use_awaitable);
  }
}

void print(const cairn::runtime_statistics& counts) {
  std::cout << counts.events << " events in " << counts.commits << " commits, " << counts.failed_commits << " failed\n"
            << counts.live_aggregates << " aggregates in memory, " << counts.in_flight << " operations in flight\n";
}

}  // namespace

int main() {
  cairn::runtime_options options{.journal = cairn::open_store("stock-data")};
  options.in_flight_max = 20'000;
  options.bounds.snapshot_every_events = 1'000;
  options.on_warning = [](const std::string& sentence) { std::clog << "cairn: " + sentence + "\n"; };

  asio::io_context io;
  cairn::runtime runtime(std::move(options));

  asio::signal_set signals(io, SIGINT, SIGTERM);
  signals.async_wait([&](boost::system::error_code failure, int) {
    if (failure) return;
    const auto drained = [&](boost::system::error_code) { print(runtime.statistics()); };
    runtime.drain(asio::bind_executor(io.get_executor(), drained));
  });

  asio::co_spawn(io, serve(runtime), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
  io.run();  // returns after the drain, when serve() has ended too
}
