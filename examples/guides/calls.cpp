// What docs/embedding.md shows: the forms of a call, its options, retries, batches and cancellation.
#include "product.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 107700
#include <boost/asio/experimental/awaitable_operators.hpp>
#endif

#include <chrono>
#include <future>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace asio = boost::asio;
using namespace stock;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> sell(cairn::runtime& runtime) {
  try {
    const auto answer = co_await runtime.ask<Product>("1", RemoveStock{2, "sold"});
    if (answer) {
      std::cout << "stored, version " << answer.version.value << "\n";
    } else {
      std::cout << "rejected: " << answer.rejected->code << "\n";
    }
  } catch (const cairn::error& failure) { std::cout << "failed: " << failure.what() << "\n"; }
}

asio::awaitable<void> sell_without_exceptions(cairn::runtime& runtime) {
  const auto answer = co_await runtime.ask<Product>("1", RemoveStock{2, "sold"}, cairn::as_result);
  if (answer.failed()) {
    std::cout << "failed: " << cairn::make_error_code(answer.code).message() << ": " << answer.detail << "\n";
  }
}

void enrol(cairn::runtime& runtime) { runtime.ask<Product>("1", Enrol{20}, cairn::blocking).value(); }

void sell_with_callback(cairn::runtime& runtime, asio::io_context& io) {
  const auto done = [](boost::system::error_code failure, cairn::answer<> answer) {
    if (failure) std::cout << "failed: " << failure.message() << ": " << answer.detail << "\n";
  };
  runtime.ask<Product>("1", RemoveStock{1}, asio::bind_executor(io.get_executor(), done));
}

void sell_with_future(cairn::runtime& runtime) {
  std::future<cairn::answer<>> answer = runtime.ask<Product>("1", RemoveStock{1}, asio::use_future);
  answer.get().value();  // get() throws boost::system::system_error if the call failed
}

void sell_on_strand(cairn::runtime& runtime, asio::io_context& io) {
  asio::co_spawn(asio::make_strand(io), sell(runtime), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
}

asio::awaitable<void> reorder(cairn::runtime& runtime, std::string order) {
  const auto product = runtime.of<Product>("1");
  const auto before = co_await product.state();
  if (before.state.count >= 3) co_return;
  try {
    (co_await product.ask(AddStock{10}, {.expected = cairn::expected_version::exactly(before.version),
                                         .command_id = order,
                                         .deadline = cairn::system_now() + 2s}))
        .value();
  } catch (const cairn::command_rejected& rejected) {
    std::cout << "rejected: " << rejected.reason().code << "\n";
  } catch (const cairn::error& failure) {
    if (failure.kind() != cairn::errc::version_conflict) throw;
    std::cout << "changed meanwhile, now at version " << failure.current_version()->value << "\n";
  }
}

asio::awaitable<void> sell_for(cairn::runtime& runtime, std::string user) {
  cairn::command_options options{.command_id = "order-9", .principal = user};
  options.metadata = {{"channel", "web"}, {"tenant", "north"}};
  const auto answer = co_await runtime.ask<Product>("1", RemoveStock{1}, options);
  if (!answer) std::cout << "rejected: " << answer.rejected->code << "\n";
}

asio::awaitable<cairn::answer<>> sell_once(cairn::runtime& runtime, std::string order) {
  const auto product = runtime.of<Product>("1");
  std::optional<cairn::answer<>> doubt;  // of an attempt that may be stored
  for (int attempt = 1;; ++attempt) {
    const cairn::command_options options{.command_id = order, .deadline = cairn::system_now() + 2s};
    const auto answer = co_await product.ask(RemoveStock{2, "sold"}, options, cairn::as_result);
    if (cairn::holds(cairn::condition::outcome_unknown, answer.code)) doubt = answer;
    if (!cairn::holds(cairn::condition::worth_retrying, answer.code) || attempt == 5) {
      co_return answer.failed() && doubt ? *doubt : answer;  // an earlier attempt may be stored
    }
    asio::steady_timer pause(co_await asio::this_coro::executor, 100ms * attempt);
    co_await pause.async_wait(asio::use_awaitable);
  }
}

using Movement = std::variant<Enrol, AddStock, RemoveStock>;

asio::awaitable<void> deliver(cairn::runtime& runtime) {
  std::vector<cairn::addressed<Movement>> delivery{
      {"1", AddStock{5}, {.command_id = "delivery-7/1"}},
      {"2", Enrol{9}, {.expected = cairn::expected_version::none_yet(), .command_id = "delivery-7/2"}},
      {"1", RemoveStock{1}, {.when_full = cairn::when_full::wait}},
  };
  const auto answers = co_await runtime.ask_many<Product>(std::move(delivery));
  for (const auto& answer : answers) {
    if (answer.failed()) std::cout << "failed: " << answer.detail << "\n";
    if (answer.rejected) std::cout << "rejected: " << answer.rejected->code << "\n";
  }
}

// An aggregate type that owns memory and has no constructor.
struct Note {
  std::string text;
  MSGPACK_DEFINE_MAP(text)
};
struct Noted {
  static constexpr std::string_view type = "NOTED";
  std::string text;
  MSGPACK_DEFINE_MAP(text)
};
struct Notebook {
  static constexpr std::string_view category = "notebook";
  using Event = std::variant<Noted>;
  std::string last;
  MSGPACK_DEFINE_MAP(last)

  cairn::decision<Event> decide(const Note& note) const { return Noted{note.text}; }
  void evolve(const Noted& event) noexcept { last = event.text; }
};

asio::awaitable<void> note(cairn::runtime& runtime) {
  const Note note{"count the shelves"};
  (co_await runtime.ask<Notebook>("1", note)).value();
  if (const auto answer = co_await runtime.ask<Product>("1", RemoveStock{1}); !answer) {
    std::cout << "rejected: " << answer.rejected->code << "\n";
  }
}

#if BOOST_VERSION >= 107700
asio::awaitable<void> sell_within_limit(cairn::runtime& runtime) {
  using namespace asio::experimental::awaitable_operators;
  const auto product = runtime.of<Product>("1");
  asio::steady_timer limit(co_await asio::this_coro::executor, 2s);
  const auto first = co_await (product.ask(RemoveStock{1}, {.command_id = "order-8"}) || limit.async_wait(asio::use_awaitable));
  if (first.index() == 1) std::cout << "no answer yet: ask again with the same command id\n";
}
#endif

asio::awaitable<void> show_all(cairn::runtime& runtime, asio::io_context& io) {
  co_await sell(runtime);
  co_await sell_without_exceptions(runtime);
  sell_with_callback(runtime, io);
  sell_on_strand(runtime, io);
  co_await reorder(runtime, "order-6");
  (co_await sell_once(runtime, "order-7")).value();
  const auto repeat = co_await sell_once(runtime, "order-7");
  if (!repeat.repeated) std::cout << "sold twice\n";
  co_await sell_for(runtime, "ann");
  co_await deliver(runtime);
  co_await note(runtime);
#if BOOST_VERSION >= 107700
  co_await sell_within_limit(runtime);
#endif
}

}  // namespace

int main() {
  asio::io_context io;
  cairn::runtime runtime{{.journal = cairn::memory_journal()}};
  enrol(runtime);
  sell_with_future(runtime);
  asio::co_spawn(io, show_all(runtime, io), [](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
  });
  io.run();
}
