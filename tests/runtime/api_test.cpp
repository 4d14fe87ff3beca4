// The promises of <cairn/runtime.hpp> to its callers: what each form of a call returns, and how it fails.
#include "product.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>
#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::tests {
namespace {

namespace asio = boost::asio;
using namespace stock;

/// Runs a coroutine to its end, and throws what it threw.
void run(const std::function<asio::awaitable<void>()>& session) {
  asio::io_context io;
  std::exception_ptr failure;
  asio::co_spawn(io, session(), [&](std::exception_ptr thrown) { failure = thrown; });
  io.run();
  if (failure) std::rethrow_exception(failure);
}

template <class Call>
std::optional<error> error_of(Call call) {
  try {
    call();
  } catch (const error& thrown) { return thrown; }
  return std::nullopt;
}

constexpr auto version_9 = expected_version::exactly(version{9});

// A domain without msgpack: its codec is its own.
struct Ping {};
struct Pinged {
  static constexpr std::string_view type = "PINGED";
  char byte = 'x';
};
struct Line {
  static constexpr std::string_view category = "line";
  using Event = std::variant<Pinged>;
  int pings = 0;
  decision<Event, std::string> decide(const Ping&) const { return {Pinged{}, std::string("pong")}; }
  void evolve(const Pinged&) noexcept { ++pings; }
};

enum class colour { red, green };
struct Paint {
  colour with = colour::red;
};
struct Painted {
  static constexpr std::string_view type = "PAINTED";
  colour with = colour::red;
  MSGPACK_DEFINE_MAP(with)
};
struct Wall {
  static constexpr std::string_view category = "wall";
  using Event = std::variant<Painted>;
  colour is = colour::red;
  MSGPACK_DEFINE_MAP(is)
  decision<Event> decide(const Paint& paint) const {
    if (paint.with == is) return reject("same_colour", "the wall is already painted in this colour");
    return Painted{paint.with};
  }
  void evolve(const Painted& event) noexcept { is = event.with; }
};

// Calls the runtime that runs it.
struct Look {};
struct Looked {
  static constexpr std::string_view type = "LOOKED";
};
struct Narcissus {
  static inline cairn::runtime* pool = nullptr;
  static constexpr std::string_view category = "narcissus";
  using Event = std::variant<Looked>;
  bool seen = false;
  MSGPACK_DEFINE_MAP(seen)
  decision<Event> decide(const Look&) const {
    static_cast<void>(pool->state<Narcissus>("1", blocking));
    return Looked{};
  }
  void evolve(const Looked&) noexcept { seen = true; }
};

}  // namespace
}  // namespace cairn::tests

template <>
struct cairn::codec<cairn::tests::Pinged> {
  static void encode(std::string& out, const cairn::tests::Pinged& event) { out.push_back(event.byte); }
  static cairn::tests::Pinged decode(std::string_view bytes) { return {bytes.at(0)}; }
};
template <>
struct cairn::codec<cairn::tests::Line> {
  static void encode(std::string& out, const cairn::tests::Line& line) { out += std::to_string(line.pings); }
  static cairn::tests::Line decode(std::string_view bytes) { return {std::stoi(std::string(bytes))}; }
};

namespace cairn::tests {

TEST_CASE("an answer is true only if the command was accepted") {
  runtime runtime{{.journal = memory_journal()}};
  const auto accepted = runtime.ask<Product>("1", Enrol{3}, blocking);
  CHECK(accepted);
  CHECK(accepted.accepted());
  CHECK_NOTHROW(accepted.value());

  const auto rejected = runtime.ask<Product>("1", RemoveStock{9}, blocking);
  CHECK_FALSE(rejected);
  CHECK_FALSE(rejected.failed());
  CHECK_THROWS_WITH_AS(rejected.value(), "the command was rejected: insufficient_stock", command_rejected);

  std::vector<addressed<AddStock>> batch{{"1", AddStock{1}, {.expected = version_9}}};
  const auto failed = runtime.ask_many<Product>(std::move(batch), blocking).at(0);
  CHECK_FALSE(failed);
  CHECK(failed.failed());
  CHECK(failed.code == errc::version_conflict);
  const auto thrown = error_of([&] { failed.value(); });
  REQUIRE(thrown);
  CHECK(thrown->kind() == errc::version_conflict);
  CHECK(thrown->current_version() == version{1});
}

TEST_CASE("a rejection has a code for programs and a message for people") {
  runtime runtime{{.journal = memory_journal()}};
  const auto same = runtime.ask<Wall>("1", Paint{colour::red}, blocking);
  REQUIRE(same.rejected);
  CHECK(same.rejected->code == "same_colour");
  CHECK(same.rejected->message == "the wall is already painted in this colour");
}

TEST_CASE("an enum needs no MSGPACK_ADD_ENUM, and comes back from the log") {
  const std::shared_ptr<cairn::journal> journal = memory_journal();
  {
    runtime runtime{{.journal = journal, .bounds = {.snapshot_every_events = 0}}};
    CHECK(runtime.ask<Wall>("1", Paint{colour::green}, blocking));
  }
  runtime runtime{{.journal = journal}};
  CHECK(runtime.state<Wall>("1", blocking).state.is == colour::green);
}

TEST_CASE("a type may have a codec of its own, and a command none") {
  const std::shared_ptr<cairn::journal> journal = memory_journal();
  {
    runtime runtime{{.journal = journal}};
    CHECK(runtime.ask<Line>("1", Ping{}, blocking).value() == "pong");
  }
  runtime runtime{{.journal = journal}};
  CHECK(runtime.state<Line>("1", blocking).state.pings == 1);
  CHECK(runtime.history<Line>("1", blocking).events.size() == 1);
}

TEST_CASE("without a token a call is awaited, and throws the code, the detail and the current version") {
  runtime runtime{{.journal = memory_journal()}};
  run([&]() -> asio::awaitable<void> {
    const auto enrolled = co_await runtime.ask<Product>("1", Enrol{3});
    CHECK(enrolled.version == version{1});
    const auto rejected = co_await runtime.ask<Product>("1", RemoveStock{9});
    CHECK(rejected.rejected->code == "insufficient_stock");
    std::optional<error> thrown;
    try {
      (co_await runtime.ask<Product>("1", AddStock{1}, {.expected = version_9})).value();
    } catch (const error& failure) { thrown = failure; }
    REQUIRE(thrown);
    CHECK(thrown->kind() == errc::version_conflict);
    CHECK(thrown->code() == condition::not_stored);
    CHECK(thrown->detail() == "product/1 is at version 1, the command expected version 9");
    CHECK(thrown->current_version() == version{1});
    CHECK((co_await runtime.state<Product>("1")).state.count == 3);
    CHECK((co_await runtime.state_at<Product>("1", version{1})).state.count == 3);
    CHECK((co_await runtime.history<Product>("1")).events.size() == 1);
    CHECK((co_await runtime.ask_many<Product>("1", std::vector<AddStock>(2, AddStock{1}))).at(1).version == version{3});
    std::optional<errc> beyond;
    try {
      static_cast<void>(co_await runtime.state_at<Product>("1", version{9}));
    } catch (const error& failure) { beyond = failure.kind(); }
    CHECK(beyond == errc::invalid_argument);
    co_await runtime.drain();
  });
  CHECK(runtime.ask<Product>("1", AddStock{1}, asio::use_future).wait_for(std::chrono::seconds{60}) == std::future_status::ready);
}

TEST_CASE("as_result throws nothing") {
  runtime runtime{{.journal = memory_journal()}};
  run([&]() -> asio::awaitable<void> {
    const auto failed = co_await runtime.ask<Product>("1", Enrol{}, {.expected = version_9}, as_result);
    CHECK(failed.code == errc::version_conflict);
    CHECK(failed.version == version{0});
    const auto beyond = co_await runtime.state_at<Product>("1", version{9}, as_result);
    CHECK_FALSE(beyond);
    CHECK(beyond.code == errc::invalid_argument);
    CHECK(beyond.detail == "product/1 is at version 0; there is no version 9 yet");
  });
}

TEST_CASE("a call that is not awaited does nothing") {
  runtime runtime{{.journal = memory_journal()}};
  static_cast<void>(runtime.ask<Product>("1", Enrol{3}));
  static_cast<void>(runtime.ask_many<Product>("1", std::vector<Enrol>(2)));
  CHECK(runtime.in_flight() == 0);
  CHECK(runtime.state<Product>("1", blocking).version == version{0});
}

TEST_CASE("options in braces work with every form of a call") {
  runtime runtime{{.journal = memory_journal()}};
  const auto product = runtime.of<Product>("1");
  product.ask(Enrol{}, {.command_id = "0", .principal = "anna"}, blocking).value();
  run([&]() -> asio::awaitable<void> {
    (co_await product.ask(AddStock{1}, {.command_id = "1"})).value();
    (co_await product.ask(AddStock{1}, {.command_id = std::string(100, '2')})).value();  // owns memory
    (co_await product.ask(AddStock{1}, {.command_id = "3"}, as_result)).value();
    (co_await product.ask(AddStock{1}, {.command_id = "4"}, asio::use_awaitable)).value();
    AddStock named{1, std::string(100, 'x')};
    (co_await product.ask(std::move(named), {.command_id = "5"})).value();
  });
  CHECK(product.ask(AddStock{1}, {.command_id = "6"}, asio::use_future).get());
  asio::io_context io;
  product.ask(AddStock{1}, {.command_id = "7"}, asio::bind_executor(io, [](auto code, const auto& answer) {
                CHECK_FALSE(code);
                CHECK(answer);
              }));
  io.run();
  const metadata shop{{"shop", "north"}};
  const command_options kept{.command_id = "8", .metadata = shop};
  CHECK(product.ask(AddStock{1}, kept, blocking));
  CHECK(product.ask(AddStock{1}, {.command_id = "9", .metadata = shop}, blocking));

  const auto events = product.history(blocking).events;
  REQUIRE(events.size() == 10);
  for (std::size_t place = 0; place < events.size(); ++place) {
    CHECK(events[place].command_id == (place == 2 ? std::string(100, '2') : std::to_string(place)));
  }
  CHECK(events[0].principal == "anna");
  CHECK(events[8].metadata == shop);
  CHECK(events[9].metadata == shop);
}

TEST_CASE("options in braces have every field of those that are kept") {
  command_options kept;
  kept.expected = version_9;
  kept.command_id = "order-7";
  kept.correlation_id = "day-17";
  kept.causation_id = "cart-7";
  kept.principal = "anna";
  kept.occurred_at = timestamp{std::chrono::seconds{1}};
  kept.deadline = timestamp{std::chrono::seconds{2}};
  kept.metadata = {{"shop", "north"}};
  kept.when_full = when_full::wait;
  // A field that is added later must be set above too, or the binding below does not compile.
  const auto& [expected, command_id, correlation_id, causation_id, principal, occurred_at, deadline, metadata, full] = kept;
  static_cast<void>(
      std::tie(expected, command_id, correlation_id, causation_id, principal, occurred_at, deadline, metadata, full));
  const call_options in_braces = kept;
  REQUIRE(actors::boxed(in_braces));
  CHECK(*actors::boxed(in_braces) == kept);
  CHECK(actors::boxed(call_options{}) == nullptr);
}

TEST_CASE("a handle makes the calls of one aggregate") {
  runtime runtime{{.journal = memory_journal()}};
  const auto product = runtime.of<Product>("7");
  CHECK(product.id() == "7");
  CHECK(product.ask(Enrol{2}, blocking));
  CHECK(product.ask_many(std::vector(2, AddStock{1}), blocking).size() == 2);
  CHECK(product.state(blocking).state.count == 4);
  CHECK(product.state_at(version{2}, blocking).state.count == 3);
  CHECK(product.history(version_range{version{2}}, blocking).events.size() == 2);
  CHECK(runtime.state<Product>("7", blocking).version == version{3});
}

TEST_CASE("a blocking call on the runtime's own thread fails instead of waiting for itself") {
  runtime runtime{{.journal = memory_journal()}};
  Narcissus::pool = &runtime;
  const auto failed = error_of([&] { runtime.ask<Narcissus>("1", Look{}, blocking).value(); });
  REQUIRE(failed);
  CHECK(failed->kind() == errc::decide_failed);
  CHECK(failed->detail().find("a blocking call was made on a thread of this runtime") != std::string::npos);
}

TEST_CASE("a blocking call of a test_runtime steps the actors itself") {
  testkit::test_runtime world;
  CHECK(world.runtime().ask<Product>("1", Enrol{2}, blocking));
  CHECK(world.runtime().state<Product>("1", blocking).state.count == 2);
}

TEST_CASE("a blocking call of a test_runtime throws if a message that it needs is held, and is answered later to nobody") {
  testkit::test_runtime world;
  auto appends = world.hold<actors::append_request>(testkit::journal_actor());
  CHECK_THROWS_AS(static_cast<void>(world.runtime().ask<Product>("1", Enrol{2}, blocking)), std::logic_error);
  appends.release();
  world.run();
  CHECK(world.runtime().state<Product>("1", blocking).state.count == 2);
}

TEST_CASE("each code says whether the command may be stored, to Boost and to the standard library") {
  std::size_t codes = 0;
  for (int value = 1; std::string(error_category().message(value)).find("unknown cairn error") != 0; ++value, ++codes) {
    const auto code = static_cast<errc>(value);
    CAPTURE(value);
    const auto standard = make_error_code(code);
    const auto boost_code = make_asio_code(code);
    const std::error_code converted = boost_code;
    CHECK((standard == condition::not_stored) != (standard == condition::outcome_unknown));
    for (const auto what : {condition::not_stored, condition::outcome_unknown, condition::worth_retrying}) {
      CHECK((standard == what) == holds(what, code));
      CHECK((boost_code == what) == holds(what, code));
      CHECK((converted == what) == holds(what, code));
    }
    CHECK(standard == code);
    CHECK(boost_code == code);
    CHECK(converted == code);
    CHECK_FALSE(standard == static_cast<errc>(value + 1));
    CHECK(boost_code.message() == standard.message());
  }
  CHECK(codes == static_cast<std::size_t>(errc::cancelled_in_doubt));
  CHECK_FALSE(std::make_error_code(std::errc::invalid_argument) == condition::not_stored);
  CHECK_FALSE(boost::system::error_code() == condition::not_stored);
  CHECK(make_error_code(errc::overloaded) == condition::worth_retrying);
  CHECK_FALSE(make_error_code(errc::version_conflict) == condition::worth_retrying);
}

namespace {

struct memory_count {
  std::size_t allocated = 0, freed = 0;
};

template <class T>
struct counting_allocator {
  using value_type = T;
  memory_count* count;

  explicit counting_allocator(memory_count& to) : count(&to) {}
  template <class Other>
  counting_allocator(const counting_allocator<Other>& other) : count(other.count) {}
  T* allocate(std::size_t size) {
    ++count->allocated;
    return std::allocator<T>().allocate(size);
  }
  void deallocate(T* memory, std::size_t size) {
    ++count->freed;
    std::allocator<T>().deallocate(memory, size);
  }
  bool operator==(const counting_allocator&) const = default;
};

struct counting_handler {
  memory_count& count;
  std::size_t& freed_before_the_call;
  asio::io_context& io;

  using executor_type = asio::io_context::executor_type;
  executor_type get_executor() const noexcept { return io.get_executor(); }
  using allocator_type = counting_allocator<void>;
  allocator_type get_allocator() const noexcept { return allocator_type(count); }

  template <class... Arguments>
  void operator()(Arguments&&...) const {
    freed_before_the_call = count.freed;
  }
};

}  // namespace

TEST_CASE("a handler's associated allocator holds the handler, and has its memory back before the handler is called") {
  runtime runtime{{.journal = memory_journal()}};
  memory_count count;
  std::size_t freed_before_the_call = 0;
  asio::io_context io;
  runtime.ask<Product>("1", Enrol{}, counting_handler{count, freed_before_the_call, io});
  io.run();
  CHECK(count.allocated == 1);
  CHECK(freed_before_the_call == 1);
  io.restart();
  runtime.history<Product>("1", counting_handler{count, freed_before_the_call, io});
  io.run();
  CHECK(count.allocated == 2);
  CHECK(freed_before_the_call == 2);
}

TEST_CASE("statistics are a value: a copy does not change") {
  runtime runtime{{.journal = memory_journal()}};
  const auto before = runtime.statistics();
  CHECK(runtime.ask<Product>("1", Enrol{}, blocking));
  CHECK(before.events == 0);
  CHECK(runtime.statistics().events == 1);
}

}  // namespace cairn::tests
