// Compiled by clang, which has no coroutines for Asio on some systems: every other form of a call must still be there.
#include "product.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>

#include <boost/asio/use_future.hpp>

using namespace stock;

int main() {
  cairn::runtime runtime{{.journal = cairn::memory_journal()}};
  const auto product = runtime.of<Product>("1");
  product.ask(Enrol{}, {.command_id = "order-7"}, cairn::blocking).value();
  product.ask(AddStock{3}, [](const auto&...) {});
  const auto seen = product.state(boost::asio::use_future).get();
  runtime.drain(cairn::blocking);
  return seen.state.count == 3 ? 0 : 1;
}
