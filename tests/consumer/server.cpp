// A user's service: coroutines on several threads, one strand for each connection, calls that are cancelled when their time is
// up or their client has gone, and a drain on SIGTERM under load. Its clients repeat what they are in doubt of, with the same
// command id. Afterwards the store must have every command that was acknowledged, and none twice.
//
//     server FOLDER
#include "box.hpp"

#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 107700
#include <boost/asio/experimental/awaitable_operators.hpp>
#endif

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;

namespace {

constexpr int threads = 4;
constexpr int clients = 16;
constexpr int boxes = 5;
constexpr int acknowledged_before_drain = 4000;

[[noreturn]] void fail(const std::string& what) {
  std::cerr << "server: " << what << "\n";
  std::_Exit(1);
}

void require_no_failure(std::exception_ptr failure) {
  if (failure) std::rethrow_exception(failure);
}

// ---- the service

class service {
public:
  service(asio::io_context& io, cairn::runtime& runtime) : io_(io), runtime_(runtime), signals_(io, SIGTERM) {
    acceptor_.open(tcp::v4());
    acceptor_.bind({asio::ip::address_v4::loopback(), 0});
    acceptor_.listen();
  }

  tcp::endpoint endpoint() const { return acceptor_.local_endpoint(); }

  void start() {
    asio::co_spawn(gate_, accept(), require_no_failure);
    asio::co_spawn(gate_, drain_on_signal(), require_no_failure);
  }

  /// How many calls were cancelled.
  std::atomic<int> cancelled{0};

private:
  using strand = asio::strand<asio::io_context::executor_type>;

  asio::awaitable<void> accept() {
    for (;;) {
      tcp::socket socket(asio::make_strand(io_));
      error_code refused;
      co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, refused));
      if (refused) co_return;
      const auto executor = socket.get_executor();
      asio::co_spawn(executor, serve(std::move(socket)), require_no_failure);
    }
  }

  asio::awaitable<void> drain_on_signal() {
    error_code refused;
    co_await signals_.async_wait(asio::redirect_error(asio::use_awaitable, refused));
    acceptor_.close();
    co_await runtime_.drain();
  }

  asio::awaitable<void> serve(tcp::socket socket) {
    std::string buffer;
    for (;;) {
      error_code gone;
      const auto size = co_await asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n',
                                                        asio::redirect_error(asio::use_awaitable, gone));
      if (gone) co_return;
      std::istringstream line(buffer.substr(0, size));
      buffer.erase(0, size);
      std::string box, id;
      int milliseconds = 0;
      line >> box >> id >> milliseconds;
      const auto reply = co_await answer(socket, box, id, std::chrono::milliseconds(milliseconds));
      require_strand(socket);
      co_await asio::async_write(socket, asio::buffer(reply), asio::redirect_error(asio::use_awaitable, gone));
      if (gone) co_return;
    }
  }

  static void require_strand(tcp::socket& socket) {
    const auto* const mine = socket.get_executor().target<strand>();
    if (!mine || !mine->running_in_this_thread()) fail("a coroutine goes on outside of its strand");
  }

  /// The answer to one line. Nothing is known of a call that was cancelled: a repeat with its command id tells.
  asio::awaitable<std::string> answer(tcp::socket& socket, const std::string& id, const std::string& command_id,
                                      [[maybe_unused]] std::chrono::milliseconds time) {
    const auto box = runtime_.of<Box>(id);
    cairn::answer<> given;
#if BOOST_VERSION >= 107700
    using namespace asio::experimental::awaitable_operators;
    asio::steady_timer timer(socket.get_executor(), time);
    auto first =
        co_await (box.ask(Add{1}, {.command_id = command_id}, cairn::as_result) || timer.async_wait(asio::use_awaitable) ||
                  socket.async_wait(tcp::socket::wait_read, asio::use_awaitable));  // readable: the client has gone
    if (first.index() != 0) {
      ++cancelled;
      co_return "repeat\n";
    }
    given = std::get<0>(std::move(first));
#else
    given = co_await box.ask(Add{1}, {.command_id = command_id}, cairn::as_result);
#endif
    require_strand(socket);
    if (given.accepted()) co_return "stored\n";
    if (given.rejected) co_return "rejected " + given.rejected->code + "\n";
    if (given.code == cairn::errc::draining) co_return "draining\n";
    fail(given.detail);
  }

  asio::io_context& io_;
  cairn::runtime& runtime_;
  strand gate_ = asio::make_strand(io_);
  tcp::acceptor acceptor_{gate_};
  asio::signal_set signals_;
};

// ---- its clients

struct ledger {
  std::mutex mutex;
  std::map<std::string, std::set<std::string>> acknowledged;  // command ids, by box
  std::set<std::string> sent;
  int repeated = 0;

  /// Returns how many are acknowledged now.
  std::size_t acknowledge(const std::string& box, const std::string& id) {
    std::lock_guard lock(mutex);
    acknowledged[box].insert(id);
    std::size_t all = 0;
    for (const auto& [name, ids] : acknowledged) all += ids.size();
    return all;
  }
  void note_sent(const std::string& id) {
    std::lock_guard lock(mutex);
    if (!sent.insert(id).second) ++repeated;
  }
};

/// Sends commands until the service drains, each until it is known to be stored. Now and then it gives a call no time, or hangs
/// up before the answer.
asio::awaitable<void> be_client(tcp::endpoint service, int number, ledger& known) {
  const auto executor = co_await asio::this_coro::executor;
  for (int command = 0;; ++command) {
    const auto box = std::to_string(command % boxes);
    const auto id = std::to_string(number) + "-" + std::to_string(command);
    bool impatient = command % 7 == 0;
    bool hangs_up = command % 11 == 0;
    std::string reply;
    tcp::socket socket(executor);
    while (reply != "stored") {
      error_code failed;
      if (!socket.is_open()) co_await socket.async_connect(service, asio::redirect_error(asio::use_awaitable, failed));
      if (failed) co_return;  // it listens no more
      known.note_sent(id);
      const auto line = box + " " + id + (impatient ? " 0\n" : " 60000\n");
      co_await asio::async_write(socket, asio::buffer(line), asio::redirect_error(asio::use_awaitable, failed));
      if (std::exchange(hangs_up, false)) {
        socket.close();
        continue;
      }
      std::string buffer;
      if (!failed) {
        co_await asio::async_read_until(socket, asio::dynamic_buffer(buffer), '\n',
                                        asio::redirect_error(asio::use_awaitable, failed));
      }
      if (failed) co_return;
      reply = buffer.substr(0, buffer.size() - 1);
      if (reply == "draining") co_return;
      if (reply != "stored" && reply != "repeat") fail("a client got '" + reply + "'");
      impatient = false;
    }
    if (known.acknowledge(box, id) == acknowledged_before_drain) std::raise(SIGTERM);
  }
}

// ---- the proof

/// Everything that was acknowledged is in the store, nothing is there twice, and nothing that was not sent.
void check(const std::string& folder, ledger& known) {
  cairn::runtime runtime{{.journal = cairn::open_store(folder)}};
  std::size_t stored = 0;
  for (int number = 0; number < boxes; ++number) {
    const auto box = runtime.of<Box>(std::to_string(number));
    const auto events = box.history(cairn::blocking).events;
    std::set<std::string> ids;
    for (const auto& event : events) {
      if (event.command_id == "open") continue;
      if (!known.sent.contains(event.command_id)) fail("the store has a command that nobody sent: " + event.command_id);
      if (!ids.insert(event.command_id).second) fail("the store has a command twice: " + event.command_id);
    }
    for (const auto& id : known.acknowledged[box.id()]) {
      if (!ids.contains(id)) fail("the store does not have the acknowledged command " + id);
    }
    if (box.state(cairn::blocking).state.count != static_cast<int>(ids.size())) fail("a count is not that of its events");
    stored += ids.size();
  }
  if (stored < acknowledged_before_drain) fail("the store has too few commands");
}

}  // namespace

int main(int, char** arguments) {
  const std::string folder = arguments[1];
  ledger known;
  int cancelled = 0;
  {
    cairn::runtime runtime{{.journal = cairn::open_store(folder)}};
    for (int box = 0; box < boxes; ++box) {
      runtime.of<Box>(std::to_string(box)).ask(Open{}, {.command_id = "open"}, cairn::blocking).value();
    }
    asio::io_context io, client_io;
    service stock(io, runtime);
    stock.start();
    for (int client = 0; client < clients; ++client) {
      asio::co_spawn(asio::make_strand(client_io), be_client(stock.endpoint(), client, known), require_no_failure);
    }
    std::vector<std::thread> pool;
    for (int thread = 0; thread < threads; ++thread) {
      pool.emplace_back([&] { io.run(); });
      pool.emplace_back([&] { client_io.run(); });
    }
    for (auto& thread : pool) thread.join();
    cancelled = stock.cancelled;
  }
  check(folder, known);
#if BOOST_VERSION >= 107700
  if (cancelled == 0) fail("no call was cancelled");
#endif
  std::cout << "drained under load: every acknowledged command is stored once; " << cancelled << " calls were cancelled, "
            << known.repeated << " commands were sent again\n";
}
