// The README's first example: four events of one product, its state now and in the past, and a rejected command.
#include "product.hpp"

#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace asio = boost::asio;
using namespace stock;

asio::awaitable<void> tour(cairn::runtime& runtime) {
  const auto product = runtime.of<Product>("1");
  (co_await product.ask(Enrol{})).value();         // version 1: ENROLL 0; value() throws if it was not accepted
  (co_await product.ask(AddStock{3})).value();     // version 2: ADD 3
  (co_await product.ask(AddStock{2})).value();     // version 3: ADD 2
  (co_await product.ask(RemoveStock{3})).value();  // version 4: DELETE 3

  const auto now = co_await product.state();
  const auto before = co_await product.state_at(cairn::version{3});
  std::cout << "version " << now.version.value << ": count " << now.state.count << "\n";
  std::cout << "version " << before.version.value << ": count " << before.state.count << "\n";

  try {
    const auto answer = co_await product.ask(RemoveStock{9}, {.command_id = "order-7"});
    if (!answer) std::cout << "removing 9: " << answer.rejected->code << "\n";
  } catch (const cairn::error& failure) {
    std::cout << "failed: " << failure.what() << "\n";  // docs/errors.md: stored or not, and what to do
  }
}

int main() {
  char folder[] = P_tmpdir "/cairn-tour-XXXXXX";  // a new store for each run
  cairn::runtime runtime{{.journal = cairn::open_store(::mkdtemp(folder))}};
  asio::io_context io;
  asio::co_spawn(io, tour(runtime), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
  io.run();
}
