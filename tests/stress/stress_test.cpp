// Everything at once, on threads: many clients, few places, few live aggregates, a journal that fails, a drain in between.
//
// What the other suites try one by one meets here, so that the thread sanitizer sees the real engine at work. Which thread does
// what when is up to the machine; that each call is answered once and in order, and what the journal holds in the end, is not.
#include "product.hpp"
#include "settings.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>
#include <cairn/testkit/faulty_journal.hpp>
#include <cairn/testkit/random.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::tests {
namespace {

namespace asio = boost::asio;
using namespace stock;
using namespace testkit;
using namespace std::chrono_literals;

constexpr std::size_t products = 24;
constexpr std::uint64_t threads = 3;
constexpr std::uint64_t calls_of_thread = 500;
constexpr std::uint64_t sessions = 4;
constexpr std::uint64_t calls_of_session = 120;
constexpr std::uint64_t calls_until_drain = threads * calls_of_thread / 2;

struct tally {
  std::atomic<std::uint64_t> asked{0};
  std::atomic<std::uint64_t> answered_wrongly{0};  // not exactly once
  std::atomic<std::uint64_t> out_of_order{0};
  std::atomic<std::uint64_t> stored_wrongly{0};  // lost, twice, or although the answer says that it is not
  std::atomic<std::uint64_t> faults{0};
  std::atomic<std::uint64_t> drains{0};
  std::atomic<std::uint64_t> passivations{0};
  std::atomic<std::uint64_t> recoveries{0};
};

/// How often a command's event may be in the journal, by what its answer says.
enum class stored { never, once, perhaps };

stored by_code(errc code) {
  switch (code) {
  case errc::overloaded:
  case errc::deadline_passed:
  case errc::draining:
  case errc::recovery_failed:
  case errc::invalid_argument:
  case errc::decide_failed: return stored::never;
  default: return stored::perhaps;
  }
}

stored by_answer(boost::system::error_code code, const answer<>& answer) {
  if (code) return by_code(static_cast<errc>(code.value()));
  return answer ? stored::once : stored::never;
}

/// One call. A command's tag is the reason on its event.
struct call {
  std::string tag;
  std::atomic<int> answers{0};
  std::atomic<stored> expected{stored::never};

  void answered(stored as) {
    expected = as;
    ++answers;
  }
};

/// The calls of one client. Used by its thread; the answers come on other threads.
class client {
public:
  client(std::string name, std::uint64_t seed, tally& counted, asio::any_io_executor on)
      : random(seed), counts(counted), executor(std::move(on)), name_(std::move(name)) {}

  call& next_call() {
    ++counts.asked;
    auto& next = calls.emplace_back();
    next.tag = name_ + "/" + std::to_string(calls.size());
    return next;
  }

  /// An answer on the client's own executor, which runs one handler at a time. Both `number`, in order of the calls, and the
  /// version rise from answer to answer.
  void in_order(std::size_t product, std::uint64_t number, version at) {
    auto& last = last_[product];
    if (number <= last.number || at.value <= last.at) ++counts.out_of_order;
    last.number = number;
    last.at = at.value;
  }
  /// What the client knows of a product, and an answer to a call that began afterwards.
  version known(std::size_t product) const { return version{last_[product].at}; }
  void not_before(version known, version at) {
    if (at < known) ++counts.out_of_order;
  }

  testkit::random random;
  tally& counts;
  const asio::any_io_executor executor;
  std::deque<call> calls;  // which stay where they are

private:
  struct last_answer {
    std::uint64_t number = 0;
    std::atomic<std::uint64_t> at{0};
  };
  const std::string name_;
  std::array<last_answer, products> last_;
};

std::string id_of(std::size_t product) { return std::to_string(product); }

command_options some_options(testkit::random& random) {
  command_options options;
  if (random.chance(0.7)) options.when_full = when_full::wait;
  if (random.chance(0.1)) options.deadline = system_now() + std::chrono::microseconds(random.below(3'000));
  return options;
}

/// As a user would who repeats a command under its id where the outcome is unknown.
void ask_with_repeat(runtime& runtime, client& self, std::size_t product) {
  auto& asked = self.next_call();
  const auto known = self.known(product);
  auto options = some_options(self.random);
  options.command_id = asked.tag;
  auto expected = stored::never;
  for (int attempt = 0; attempt < 3; ++attempt) {
    try {
      const auto got = runtime.ask<Product>(id_of(product), AddStock{1, asked.tag}, options, blocking);
      self.not_before(known + 1, got.version);
      expected = stored::once;
      break;
    } catch (const error& failed) {
      // Where one attempt's outcome is unknown, that of all together is.
      if (by_code(failed.kind()) == stored::perhaps) expected = stored::perhaps;
      if (expected == stored::never) break;
    }
  }
  asked.answered(expected);
}

void ask_with_callback(runtime& runtime, client& self, std::size_t product) {
  auto& asked = self.next_call();
  const auto number = self.calls.size();
  runtime.ask<Product>(id_of(product), AddStock{1, asked.tag}, some_options(self.random),
                       asio::bind_executor(self.executor, [&self, &asked, product, number](auto code, const answer<>& got) {
                         if (!code) self.in_order(product, number, got.version);
                         asked.answered(by_answer(code, got));
                       }));
}

void ask_with_future(runtime& runtime, client& self, std::size_t product) {
  auto& asked = self.next_call();
  const auto known = self.known(product);
  auto future = runtime.ask<Product>(id_of(product), RemoveStock{1, asked.tag}, some_options(self.random), asio::use_future);
  try {
    const auto got = future.get();
    self.not_before(known, got.version);
    asked.answered(by_answer({}, got));
  } catch (const boost::system::system_error& failed) { asked.answered(by_answer(failed.code(), {})); }
}

struct batch {
  std::vector<addressed<AddStock>> commands;
  std::vector<std::size_t> products;
  std::vector<call*> calls;
  std::vector<version> known;
};

batch make_batch(client& self) {
  batch made;
  for (auto left = 1 + self.random.below(12); left > 0; --left) {
    auto& asked = self.next_call();
    const auto product = static_cast<std::size_t>(self.random.below(products));
    made.commands.push_back({id_of(product), AddStock{1, asked.tag}, some_options(self.random)});
    made.products.push_back(product);
    made.calls.push_back(&asked);
    made.known.push_back(self.known(product));
  }
  return made;
}

void take_batch(client& self, const batch& asked, const std::vector<answer<>>& got) {
  std::map<std::size_t, version> last;
  if (got.size() != asked.calls.size()) ++self.counts.answered_wrongly;
  for (std::size_t place = 0; place < got.size(); ++place) {
    const auto& answer = got[place];
    if (!answer.failed()) {
      auto& before = last[asked.products[place]];
      self.not_before(before + 1, answer.version);
      self.not_before(asked.known[place] + 1, answer.version);
      before = answer.version;
    }
    asked.calls[place]->answered(by_answer(make_asio_code(answer.code), answer));
  }
}

void ask_many(runtime& runtime, client& self) {
  auto asked = make_batch(self);
  auto commands = std::move(asked.commands);
  if (self.random.chance(0.5)) return take_batch(self, asked, runtime.ask_many<Product>(std::move(commands), blocking));
  runtime.ask_many<Product>(
      std::move(commands),
      asio::bind_executor(self.executor, [&self, asked = std::move(asked)](const auto& got) { take_batch(self, asked, got); }));
}

void look(runtime& runtime, client& self, std::size_t product) {
  auto& asked = self.next_call();
  const auto known = self.known(product);
  const auto take = [&self, &asked, known](auto code, const auto& seen) {
    if (!code) self.not_before(known, seen.version);
    asked.answered(stored::never);
  };
  const auto done = [&asked](auto&&...) { asked.answered(stored::never); };
  switch (self.random.below(4)) {
  case 0: runtime.state<Product>(id_of(product), asio::bind_executor(self.executor, take)); break;
  case 1: runtime.state_at<Product>(id_of(product), version{1}, asio::bind_executor(self.executor, done)); break;
  case 2: runtime.history<Product>(id_of(product), {version{1}, version{9}}, asio::bind_executor(self.executor, done)); break;
  default:
    try {
      const auto seen = runtime.state<Product>(id_of(product), blocking);
      self.not_before(known, seen.version);
    } catch (const error&) {
      // Refused, or it cannot be recovered now.
    }
    asked.answered(stored::never);
  }
}

/// One command after another, each with what the one before has made sure.
asio::awaitable<void> session(runtime& runtime, client& self) {
  for (std::uint64_t number = 0; number < calls_of_session; ++number) {
    auto& asked = self.next_call();
    const auto product = static_cast<std::size_t>(self.random.below(products));
    const auto known = self.known(product);
    const auto options = some_options(self.random);
    boost::system::error_code code;
    const auto got = co_await runtime.ask<Product>(id_of(product), AddStock{1, asked.tag}, options,
                                                   asio::redirect_error(asio::use_awaitable, code));
    if (!code) {
      self.not_before(known + 1, got.version);
      self.in_order(product, self.calls.size(), got.version);
    }
    asked.answered(by_answer(code, got));
    if (self.random.chance(0.2)) {
      const auto seen = co_await runtime.state<Product>(id_of(product), asio::redirect_error(asio::use_awaitable, code));
      if (!code) self.not_before(self.known(product), seen.version);
    }
  }
}

/// The journal fails every now and then, once at a time, so that what was lost is tried again.
void order_a_fault(faulty_journal& journal, testkit::random& random) {
  switch (random.below(4)) {
  case 0: return journal.fail_next_append();
  case 1: return journal.fail_next_sync();
  case 2: return journal.fail_next_save();
  default: return journal.fail_read(1 + random.below(3));
  }
}

/// How a round ends.
enum class ending { destroyed, drained, drained_twice, drained_in_background };

class round {
public:
  round(std::shared_ptr<faulty_journal> journal, std::uint64_t seed, ending how, tally& counts)
      : journal_(std::move(journal)), seed_(seed), how_(how), counts_(counts) {
    const asio::any_io_executor in_turn = one_.get_executor(), on_strand = asio::make_strand(many_),
                                on_inner_strand = asio::make_strand(asio::any_io_executor(many_.get_executor()));
    for (const auto& executor : {in_turn, on_strand, on_inner_strand}) add_client(executor);
    for (std::uint64_t made = 0; made < sessions; ++made) add_client(asio::make_strand(many_));
  }

  void run() {
    auto work_of_one = asio::make_work_guard(one_);
    auto work_of_many = asio::make_work_guard(many_);
    std::vector<std::thread> running;
    running.emplace_back([this] { one_.run(); });
    for (int started = 0; started < 2; ++started) running.emplace_back([this] { many_.run(); });
    {
      runtime runtime{options()};
      std::vector<std::thread> asking;
      for (std::uint64_t started = 0; started < threads; ++started) {
        asking.emplace_back([this, &runtime, &self = clients_[started]] { ask(runtime, self); });
      }
      for (auto place = threads; place < threads + sessions; ++place) {
        auto& self = clients_[place];
        asio::co_spawn(self.executor, session(runtime, self), [this](std::exception_ptr failed) {
          if (failed) ++counts_.answered_wrongly;
          ++sessions_ended_;
          sessions_ended_.notify_all();
        });
      }
      for (auto& thread : asking) thread.join();
      // A session goes on to ask, so it must have ended; callbacks may still be on their way when the runtime is destroyed.
      for (auto ended = sessions_ended_.load(); ended < sessions; ended = sessions_ended_.load()) sessions_ended_.wait(ended);
      count(runtime.statistics());
    }
    work_of_one.reset();
    work_of_many.reset();
    for (auto& thread : running) thread.join();
  }

  /// The calls by their tags.
  std::map<std::string, const call*> calls() const {
    std::map<std::string, const call*> all;
    for (const auto& one : clients_) {
      for (const auto& asked : one.calls) all.emplace(asked.tag, &asked);
    }
    return all;
  }

private:
  void add_client(const asio::any_io_executor& executor) {
    const auto number = clients_.size();
    clients_.emplace_back(std::to_string(seed_) + "/" + std::to_string(number), seed_ * 100 + number, counts_, executor);
  }

  runtime_options options() const {
    runtime_options options{.journal = journal_, .in_flight_max = 24, .waiting_max = 100};
    options.bounds.threads = 3;
    options.bounds.directories = 3;
    options.bounds.live_aggregates_max = products / 2;
    options.bounds.passivate_after = 2ms;
    options.bounds.snapshot_every_events = 7;
    options.bounds.recoveries_at_once_max = 2;
    options.bounds.recovery_queue_max = 20;
    options.bounds.recovery_retry_min = 1ms;
    options.bounds.recovery_retry_max = 4ms;
    options.bounds.batch_appends_max = 16;
    options.on_warning = [](const std::string&) {};
    return options;
  }

  void ask(runtime& runtime, client& self) {
    for (std::uint64_t number = 0; number < calls_of_thread; ++number) {
      const auto product = static_cast<std::size_t>(self.random.below(products));
      switch (self.random.below(12)) {
      case 0: ask_with_repeat(runtime, self, product); break;
      case 1: ask_with_future(runtime, self, product); break;
      case 2: ask_many(runtime, self); break;
      case 3: look(runtime, self, product); break;
      default: ask_with_callback(runtime, self, product);
      }
      if (self.random.chance(0.02)) order_a_fault(*journal_, self.random);
      const auto asked = ++asked_;
      if (asked == calls_until_drain) drain(runtime, self);
      if (asked == calls_until_drain + 1 && how_ == ending::drained_twice) drain(runtime, self);
    }
  }

  void drain(runtime& runtime, client& self) {
    if (how_ == ending::destroyed) return;
    ++counts_.drains;
    if (how_ != ending::drained_in_background) return runtime.drain(blocking);
    auto& asked = self.next_call();
    runtime.drain(asio::bind_executor(self.executor, [&asked](auto) { asked.answered(stored::never); }));
  }

  void count(const runtime_statistics& counted) {
    counts_.faults += counted.failed_commits + counted.failed_recoveries + counted.failed_snapshots;
    counts_.passivations += counted.passivations;
    counts_.recoveries += counted.recoveries;
  }

  const std::shared_ptr<faulty_journal> journal_;
  const std::uint64_t seed_;
  const ending how_;
  tally& counts_;
  asio::io_context one_{1};
  asio::io_context many_{2};
  std::deque<client> clients_;  // which stay where they are
  std::atomic<std::uint64_t> asked_{0};
  std::atomic<std::uint64_t> sessions_ended_{0};
};

/// The reasons on what was added and removed from `first` on, and how often each is there.
std::map<std::string, std::uint64_t> reasons_from(const journal& journal, position first) {
  std::map<std::string, std::uint64_t> found;
  journal.read_all(first, [&](const record_view& record) {
    const auto event = read_event<Product>(record);
    if (const auto* added = std::get_if<StockAdded>(&event)) ++found[added->reason];
    if (const auto* removed = std::get_if<StockRemoved>(&event)) ++found[removed->reason];
    return true;
  });
  return found;
}

void check(const round& ended, const std::map<std::string, std::uint64_t>& found, tally& counts) {
  const auto calls = ended.calls();
  for (const auto& [tag, asked] : calls) {
    if (asked->answers != 1) ++counts.answered_wrongly;
    const auto place = found.find(tag);
    const auto times = place == found.end() ? 0 : place->second;
    const bool right = asked->expected == stored::perhaps ? times <= 1 : times == (asked->expected == stored::once ? 1 : 0);
    if (!right) ++counts.stored_wrongly;
  }
  for (const auto& [tag, times] : found) {
    if (!calls.contains(tag)) ++counts.stored_wrongly;
  }
}

}  // namespace

TEST_CASE(
    "whatever the threads do and the journal fails to do, every call is answered once, in order, and as the journal has it") {
  const auto rounds = setting("CAIRN_TEST_ROUNDS", 12);
  const auto seed = setting("CAIRN_TEST_SEED", 1);
  const auto journal = std::make_shared<faulty_journal>();
  tally counts;
  {
    runtime runtime{{.journal = journal}};
    for (std::size_t product = 0; product < products; ++product) runtime.ask<Product>(id_of(product), Enrol{}, blocking).value();
  }
  for (std::uint64_t number = 0; number < rounds; ++number) {
    constexpr std::array endings{ending::destroyed, ending::drained, ending::drained_in_background, ending::drained_twice};
    const auto before = journal->last();
    round round(journal, seed + number, endings[number % endings.size()], counts);
    round.run();
    check(round, reasons_from(*journal, before + 1), counts);
  }
  CHECK(counts.answered_wrongly == 0);
  CHECK(counts.out_of_order == 0);
  CHECK(counts.stored_wrongly == 0);
  CHECK(counts.faults > 0);
  CHECK(counts.passivations > 0);
  show("stress: " + std::to_string(rounds) + " rounds, " + std::to_string(counts.asked) + " calls, " +
       std::to_string(counts.faults) + " faults, " + std::to_string(counts.drains) + " drains, " +
       std::to_string(counts.passivations) + " passivations, " + std::to_string(counts.recoveries) +
       " recoveries; answers lost or doubled " + std::to_string(counts.answered_wrongly) + ", out of order " +
       std::to_string(counts.out_of_order) + "; commands lost, doubled or stored in spite of a refusal " +
       std::to_string(counts.stored_wrongly));
}

}  // namespace cairn::tests
