// What docs/streams.md shows: a read model that follows the journal, and resumes from its checkpoint.
#include "product.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/subscription.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <map>
#include <string>

namespace asio = boost::asio;
using namespace stock;

namespace {

/// How many pieces of each product were sold.
struct sold_pieces {
  std::map<std::string, Count> pieces;
  cairn::position checkpoint;

  void on(const StockRemoved& event, const cairn::record_view& record) { pieces[std::string(record.stream.id)] += event.count; }
};

asio::awaitable<void> follow(cairn::runtime& runtime, sold_pieces& sold) {
  auto records = runtime.subscribe({.after = sold.checkpoint, .category = "product"});
  for (;;) {
    const auto batch = co_await records.next_batch(cairn::as_result);
    if (batch.failed()) break;  // errc::draining: the runtime ends
    for (const auto& record : batch) cairn::apply_record<Product>(sold, record);
    sold.checkpoint = batch.through;
    std::cout << "up to position " << batch.through.value << ", " << batch.head.value - batch.through.value << " behind\n";
    if (sold.checkpoint >= runtime.head()) break;  // the example ends here; a service goes on
  }
}

}  // namespace

int main() {
  cairn::runtime runtime{{.journal = cairn::memory_journal()}};
  auto product = runtime.of<Product>("1");
  product.ask(Enrol{20}, cairn::blocking).value();
  product.ask(RemoveStock{3}, cairn::blocking).value();

  asio::io_context io;
  sold_pieces sold;
  const auto show_failure = [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  };
  asio::co_spawn(io, follow(runtime, sold), show_failure);
  io.run();

  product.ask(RemoveStock{4}, cairn::blocking).value();
  io.restart();
  asio::co_spawn(io, follow(runtime, sold), show_failure);  // from its checkpoint
  io.run();
  std::cout << "sold: " << sold.pieces["1"] << "\n";

  auto one_product = product.subscribe(cairn::position{1});
  const auto first = one_product.next(cairn::blocking);
  std::cout << first.record.type << " at position " << first.record.position.value << "\n";
}
