// The README's first example: four events of one product, its state now and as it was, and a "no".
#include "product.hpp"

#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdlib>
#include <filesystem>
#include <iostream>

namespace asio = boost::asio;
using namespace stock;

asio::awaitable<void> tour(cairn::runtime& runtime) {
  co_await runtime.ask<Product>("1", Enrol{}, asio::use_awaitable);         // version 1: ENROLL 0
  co_await runtime.ask<Product>("1", AddStock{3}, asio::use_awaitable);     // version 2: ADD 3
  co_await runtime.ask<Product>("1", AddStock{2}, asio::use_awaitable);     // version 3: ADD 2
  co_await runtime.ask<Product>("1", RemoveStock{3}, asio::use_awaitable);  // version 4: DELETE 3

  auto now = co_await runtime.state<Product>("1", asio::use_awaitable);
  auto before = co_await runtime.state_at<Product>("1", cairn::version{3}, asio::use_awaitable);
  std::cout << "version " << now.version.value << ": count " << now.state.count << "\n";
  std::cout << "version " << before.version.value << ": count " << before.state.count << "\n";

  auto answer = co_await runtime.ask<Product>("1", RemoveStock{9}, asio::use_awaitable);
  if (!answer) std::cout << "removing 9: " << answer.rejected->reason << "\n";
}

int main() {
  const auto folder = std::filesystem::temp_directory_path() / "cairn-tour";
  std::filesystem::remove_all(folder);

  cairn::runtime runtime{{.journal = cairn::open_store(folder)}};
  asio::io_context io;
  asio::co_spawn(io, tour(runtime), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
  io.run();
}
