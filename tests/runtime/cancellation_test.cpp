// Cancellation through a handler's slot, with a Boost that has them (1.77 or newer). An answer must say the truth about what is
// stored, and each handler must be called once.
#include "product.hpp"
#include "settings.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>
#include <cairn/testkit/forwarding_journal.hpp>
#include <cairn/testkit/random.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace cairn::tests {
namespace {

namespace asio = boost::asio;
using namespace stock;
using kind = asio::cancellation_type;

/// A journal whose appends and reads wait until they are let go.
class held_journal final : public testkit::forwarding_journal {
public:
  held_journal() : forwarding_journal(memory_journal()) {}

  std::atomic<bool> hold_appends = false, hold_reads = false;
  std::promise<void> append_begun, read_begun, go_on;
  std::shared_future<void> may_go_on = go_on.get_future().share();

  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    if (hold_appends.exchange(false)) {
      append_begun.set_value();
      may_go_on.wait();
    }
    forwarding_journal::append(appends, outcomes);
  }
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    auto& self = const_cast<held_journal&>(*this);
    if (self.hold_reads.exchange(false)) {
      self.read_begun.set_value();
      may_go_on.wait();
    }
    forwarding_journal::read(stream, range, visit);
  }
};

/// One call that can be cancelled.
struct cancellable {
  asio::io_context io;
  asio::cancellation_signal signal;
  std::optional<errc> code;
  int called = 0;

  auto token() {
    return asio::bind_cancellation_slot(signal.slot(),
                                        asio::bind_executor(io, [this](boost::system::error_code, const auto& value) {
                                          ++called;
                                          code = value.code;
                                        }));
  }
  /// Runs until the answer is there.
  void finish() { io.run(); }
};

/// Runs everything where it is posted, whatever is asked of it.
struct inline_executor {
  asio::execution_context* where;

  asio::execution_context& query(asio::execution::context_t) const noexcept { return *where; }
  static constexpr auto query(asio::execution::blocking_t) noexcept { return asio::execution::blocking.never; }
  inline_executor require(asio::execution::blocking_t::never_t) const noexcept { return *this; }
  template <class Function>
  void execute(Function function) const {
    std::move(function)();
  }
  bool operator==(const inline_executor&) const noexcept = default;
};

}  // namespace

TEST_CASE("an operation that is given up is answered, though its handler has a cancellation slot") {
  cancellable call;
  auto asked = cairn::detail::make_signal();
  auto handler = asio::bind_cancellation_slot(call.signal.slot(),
                                              asio::bind_executor(call.io, [&](boost::system::error_code) { ++call.called; }));
  cairn::detail::handler_completion<decltype(handler), cairn::detail::done_alone>::attach(*asked, std::move(handler));
  CHECK(call.signal.slot().has_handler());
  asked = {};
  call.finish();
  CHECK(call.called == 1);
  CHECK_FALSE(call.signal.slot().has_handler());
}

TEST_CASE("a handler whose context ends before it runs is destroyed, and leaves no canceller behind") {
  asio::cancellation_signal signal;
  const auto owned = std::make_shared<int>(0);
  {
    asio::io_context io;
    auto asked = cairn::detail::make_signal();
    auto handler = asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(io, [owned](boost::system::error_code) {}));
    cairn::detail::handler_completion<decltype(handler), cairn::detail::done_alone>::attach(*asked, std::move(handler));
    asked = {};
    CHECK(owned.use_count() > 1);
  }
  CHECK(owned.use_count() == 1);
  CHECK_FALSE(signal.slot().has_handler());
}

TEST_CASE("a batch is cancelled whose handler runs where it is posted") {
  const auto journal = std::make_shared<held_journal>();
  asio::io_context context;
  asio::cancellation_signal signal;
  runtime runtime{{.journal = journal}};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  journal->hold_appends = true;
  std::vector<answer<>> answers;
  runtime.ask_many<Product>(
      "1", std::vector<AddStock>{AddStock{1}, AddStock{2}},
      asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(inline_executor{&context}, [&](std::vector<answer<>> all) {
                                     answers = std::move(all);
                                   })));
  journal->append_begun.get_future().wait();
  signal.emit(kind::terminal);
  REQUIRE(answers.size() == 2);
  for (const auto& one : answers) CHECK(one.code == errc::cancelled_in_doubt);
  journal->go_on.set_value();
}

TEST_CASE("a deferred call starts once") {
  runtime runtime{{.journal = memory_journal()}};
  auto enrol = runtime.ask<Product>("1", Enrol{}, asio::deferred);
  static_assert(!std::is_copy_constructible_v<decltype(enrol)>);
  asio::io_context io;
  int called = 0;
  std::move(enrol)(
      asio::bind_executor(io, [&](boost::system::error_code, const answer<>& given) { called += given.accepted(); }));
  io.run();
  CHECK(called == 1);
}

TEST_CASE("a command that waits for its aggregate's recovery is cancelled, and is not stored") {
  const auto journal = std::make_shared<held_journal>();
  runtime runtime{{.journal = journal}};
  cancellable call;
  auto type = kind::total;
  SUBCASE("totally") {}
  SUBCASE("partially") { type = kind::partial; }
  SUBCASE("terminally") { type = kind::terminal; }
  journal->hold_reads = true;
  runtime.ask<Product>("1", Enrol{}, call.token());
  journal->read_begun.get_future().wait();
  call.signal.emit(type);
  call.finish();
  CHECK(call.called == 1);
  CHECK(call.code == errc::cancelled);
  journal->go_on.set_value();
  CHECK(runtime.state<Product>("1", blocking).version == version{0});
}

TEST_CASE("a command that is decided is not cancelled totally; its caller can be let go with an outcome that is in doubt") {
  const auto journal = std::make_shared<held_journal>();
  runtime runtime{{.journal = journal}};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  cancellable call;
  journal->hold_appends = true;
  runtime.ask<Product>("1", AddStock{1}, {.command_id = "order-7"}, call.token());
  journal->append_begun.get_future().wait();
  call.signal.emit(kind::total);
  call.io.poll();
  CHECK(call.called == 0);
  SUBCASE("terminally") {
    call.signal.emit(kind::terminal);
    call.finish();
    CHECK(call.code == errc::cancelled_in_doubt);
    journal->go_on.set_value();
    const auto repeat = runtime.ask<Product>("1", AddStock{1}, {.command_id = "order-7"}, blocking);
    CHECK(repeat.repeated);
    CHECK(repeat.version == version{2});
  }
  SUBCASE("not at all") {
    journal->go_on.set_value();
    call.finish();
    CHECK(call.code == errc{});
  }
  CHECK(call.called == 1);
  CHECK(runtime.state<Product>("1", blocking).version == version{2});
}

TEST_CASE("a read, a batch and a coroutine's call are cancelled") {
  const auto journal = std::make_shared<held_journal>();
  runtime runtime{{.journal = journal}};
  journal->hold_reads = true;
  SUBCASE("a read of the past") {
    cancellable call;
    runtime.history<Product>("1", call.token());
    journal->read_begun.get_future().wait();
    call.signal.emit(kind::total);
    call.finish();
    CHECK(call.code == errc::cancelled);
  }
  SUBCASE("a batch, of which each command is cancelled by itself") {
    asio::io_context io;
    asio::cancellation_signal signal;
    std::vector<answer<>> answers;
    runtime.ask_many<Product>("1", std::vector<Enrol>(3),
                              asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(io, [&](std::vector<answer<>> all) {
                                                             answers = std::move(all);
                                                           })));
    journal->read_begun.get_future().wait();
    signal.emit(kind::terminal);
    io.run();
    REQUIRE(answers.size() == 3);
    for (const auto& answer : answers) CHECK(answer.code == errc::cancelled);
  }
  SUBCASE("a coroutine's call, by a timer") {
    using namespace asio::experimental::awaitable_operators;
    asio::io_context io;
    std::size_t first = 9;
    asio::co_spawn(
        io,
        [&]() -> asio::awaitable<void> {
          asio::steady_timer limit(io);
          limit.expires_after(std::chrono::milliseconds{1});
          const auto done = co_await (runtime.ask<Product>("1", Enrol{}) || limit.async_wait(asio::use_awaitable));
          first = done.index();
        },
        [](std::exception_ptr failure) { CHECK_FALSE(failure); });
    io.run();
    CHECK(first == 1);
  }
  journal->go_on.set_value();
  CHECK(runtime.state<Product>("1", blocking).version == version{0});
}

namespace {

/// Makes calls one after the other on its own strand: commands, batches, and reads of states and histories. Cancels
/// most of them at a random moment, and gives some commands a deadline that passes soon.
class client {
public:
  client(runtime& runtime, asio::io_context& io, std::uint64_t number, std::size_t calls)
      : runtime_(runtime), strand_(asio::make_strand(io)), random_(number), number_(number), left_(calls) {}

  void next() {
    if (left_-- == 0) return;
    auto now = std::make_shared<call>();
    now->product = std::to_string(random_.below(products));
    if (random_.chance(0.3)) {
      read(now);
    } else if (random_.chance(0.1)) {
      send_batch(now);
    } else {
      send(now);
    }
    if (random_.chance(0.8)) cancel_after(random_.below(20), now);
  }

  static constexpr std::size_t products = 64;
  static constexpr std::size_t batch = 3;
  std::size_t called_wrongly = 0, answered_wrongly = 0, refused = 0, in_doubt = 0, in_doubt_and_stored = 0, reads_cancelled = 0;
  std::map<std::string, std::vector<std::string>> stored, not_stored;  // tags by product

private:
  struct call {
    asio::cancellation_signal signal;
    std::string product;
    std::vector<addressed<AddStock>> commands;
    std::size_t answered = 0;
    int called = 0;
  };
  using call_ptr = std::shared_ptr<call>;

  /// A handler on the strand, with the call's cancellation slot.
  template <class Take>
  auto handler(const call_ptr& now, Take take) {
    auto once = [this, now, take = std::move(take)](auto&&... arguments) {
      if (++now->called != 1) ++called_wrongly;
      take(std::forward<decltype(arguments)>(arguments)...);
    };
    return asio::bind_cancellation_slot(now->signal.slot(), asio::bind_executor(strand_, std::move(once)));
  }

  void add_command(call& now) {
    const auto tag = std::to_string(number_) + "/" + std::to_string(left_) + "/" + std::to_string(now.commands.size());
    command_options options;
    if (random_.chance(0.5)) options.command_id = tag;
    if (random_.chance(0.2)) options.deadline = system_now() + std::chrono::microseconds(random_.below(200));
    now.commands.push_back({now.product, AddStock{1, tag}, std::move(options)});
  }

  void send(const call_ptr& now) {
    add_command(*now);
    auto& [id, command, options] = now->commands.front();
    runtime_.ask<Product>(id, command, command_options(options), handler(now, [this, now](auto code, const answer<>& got) {
                            if (bool(code) != got.failed()) ++answered_wrongly;
                            take(now, got);
                          }));
  }

  void send_batch(const call_ptr& now) {
    while (now->commands.size() < batch) add_command(*now);
    runtime_.ask_many<Product>(now->commands, handler(now, [this, now](const std::vector<answer<>>& all) {
                                 if (all.size() != batch) ++answered_wrongly;
                                 now->answered = 0;
                                 batch_ = all;
                                 take(now, batch_.front());
                               }));
  }

  void read(const call_ptr& now) {
    const auto take = [this](auto code, const auto& got) {
      if (bool(code) != got.failed()) ++answered_wrongly;
      if (got.code == errc::cancelled) {
        ++reads_cancelled;
      } else if (got.failed()) {
        ++answered_wrongly;
      }
      next();
    };
    if (random_.chance(0.8)) {
      runtime_.state<Product>(now->product, handler(now, take));
    } else {
      runtime_.history<Product>(now->product, version_range{.limit = 5}, handler(now, take));
    }
  }

  void cancel_after(std::size_t hops, call_ptr now) {
    if (hops > 0) {
      return asio::post(strand_, [this, hops, now = std::move(now)]() mutable { cancel_after(hops - 1, std::move(now)); });
    }
    constexpr kind types[] = {kind::total, kind::partial, kind::terminal};
    now->signal.emit(types[random_.below(3)]);
  }

  /// Takes the answer to the next command of the call. A command in doubt that has an id is sent again.
  void take(const call_ptr& now, const answer<>& got) {
    const auto& one = now->commands[now->answered];
    if (got) {
      stored[now->product].push_back(one.command.reason);
    } else if (got.code == errc::cancelled || got.code == errc::deadline_passed) {
      ++refused;
      not_stored[now->product].push_back(one.command.reason);
    } else if (got.code == errc::cancelled_in_doubt || got.code == errc::timed_out) {
      ++in_doubt;
      if (!one.options.command_id.empty()) return repeat(now);
    } else {
      ++answered_wrongly;
    }
    go_on(now);
  }

  void repeat(const call_ptr& now) {
    const auto& one = now->commands[now->answered];
    runtime_.ask<Product>(one.id, one.command, {.command_id = one.options.command_id},
                          asio::bind_executor(strand_, [this, now](auto, const answer<>& got) {
                            if (!got) ++answered_wrongly;
                            in_doubt_and_stored += got.repeated;
                            stored[now->product].push_back(now->commands[now->answered].command.reason);
                            go_on(now);
                          }));
  }

  void go_on(const call_ptr& now) {
    if (++now->answered < now->commands.size()) return take(now, batch_[now->answered]);
    next();
  }

  runtime& runtime_;
  asio::strand<asio::io_context::executor_type> strand_;
  testkit::random random_;
  const std::uint64_t number_;
  std::size_t left_;
  std::vector<answer<>> batch_;
};

}  // namespace

TEST_CASE("of calls cancelled at random moments each is answered once, and what was stored can be learned by command ids") {
  constexpr std::size_t clients = 16;
  const auto calls = setting("CAIRN_TEST_CANCELLATIONS", 1'000'000);
  runtime runtime{{.journal = memory_journal()}};
  for (std::size_t product = 0; product < client::products; ++product) {
    runtime.ask<Product>(std::to_string(product), Enrol{}, blocking).value();
  }
  asio::io_context io{2};
  std::vector<std::unique_ptr<client>> all;
  for (std::size_t number = 0; number < clients; ++number) {
    all.push_back(std::make_unique<client>(runtime, io, number, calls / clients));
    all.back()->next();
  }
  std::thread other([&] { io.run(); });
  io.run();
  other.join();

  std::map<std::string, std::map<std::string, int>> found;
  for (std::size_t product = 0; product < client::products; ++product) {
    auto& tags = found[std::to_string(product)];
    for (const auto& one : runtime.history<Product>(std::to_string(product), blocking).events) {
      if (const auto* added = std::get_if<StockAdded>(&one.event)) ++tags[added->reason];
    }
  }
  std::size_t wrong = 0, refused = 0, in_doubt = 0, in_doubt_and_stored = 0, reads_cancelled = 0;
  for (const auto& one : all) {
    CHECK(one->called_wrongly == 0);
    CHECK(one->answered_wrongly == 0);
    for (const auto& [product, tags] : one->stored) {
      for (const auto& tag : tags) wrong += found[product][tag] != 1;
    }
    for (const auto& [product, tags] : one->not_stored) {
      for (const auto& tag : tags) wrong += found[product].contains(tag);
    }
    refused += one->refused;
    in_doubt += one->in_doubt;
    in_doubt_and_stored += one->in_doubt_and_stored;
    reads_cancelled += one->reads_cancelled;
  }
  CHECK(wrong == 0);
  show("cancellation: " + std::to_string(calls) + " calls; " + std::to_string(refused) + " commands cancelled or expired, " +
       std::to_string(in_doubt) + " in doubt (a repeat found " + std::to_string(in_doubt_and_stored) + " stored), " +
       std::to_string(reads_cancelled) + " reads cancelled; " + std::to_string(wrong) + " wrong");
  CHECK(refused > 0);
  CHECK(in_doubt_and_stored > 0);
  CHECK(reads_cancelled > 0);
}

}  // namespace cairn::tests
