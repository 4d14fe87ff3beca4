// The smallest program with a coroutine on Asio alone: the measure of what examples/product/tour.cpp costs.
#include <utility>  // Boost 1.74's awaitable.hpp uses std::exchange without including it

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <iostream>

namespace asio = boost::asio;

asio::awaitable<void> session() {
  co_await asio::post(asio::use_awaitable);
  std::cout << "done\n";
}

int main() {
  asio::io_context io;
  asio::co_spawn(io, session(), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
  io.run();
}
