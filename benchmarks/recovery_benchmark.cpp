// Whether a storm of recoveries stalls the aggregates that are already live.
//
// A few live products take commands at an even pace, whatever comes. Then ten thousand cold ones, each with a tail of events to
// read, are all asked at once. Measured is how long the live ones' answers take before the storm and during it, from the moment
// at which a command was due, so that a stall counts for every command that it delays.
#include "load.hpp"
#include "measure.hpp"
#include "product.hpp"
#include "store.hpp"

#include "command_line/flags.hpp"

#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <utility>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <fstream>
#include <memory>
#include <mutex>

namespace {

namespace asio = boost::asio;
using namespace cairn;
using namespace cairn::benchmarks;

constexpr int live_products = 100;

std::string live(std::size_t product) { return "live-" + std::to_string(product); }

/// Commands at an even pace for the live products, and how long their answers took.
class steady_load {
public:
  steady_load(runtime& runtime, int per_second) : runtime_(runtime), per_second_(per_second), timer_(io_) {
    for (int product = 0; product < live_products; ++product)
      runtime.ask<stock::Product>(live(product), stock::Enrol{}, blocking).value();
    next_due_ = steady::now();
    tick();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~steady_load() {
    stop_.store(true);
    thread_.join();
  }

  /// The latencies, in ms, of what was answered since the last call.
  std::vector<double> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(latencies_ms_, {});
  }

private:
  void tick() {
    const auto now = steady::now();
    for (; next_due_ <= now && !stop_.load(); next_due_ += std::chrono::nanoseconds(1'000'000'000 / per_second_)) ask(next_due_);
    if (stop_.load()) return;
    timer_.expires_at(next_due_);
    timer_.async_wait([this](boost::system::error_code) { tick(); });
  }

  void ask(steady::time_point due) {
    runtime_.ask<stock::Product>(
        live(next_product_++ % live_products), stock::AddStock(1),
        asio::bind_executor(io_, [this, due](const boost::system::error_code& failed, const answer<>& answer) {
          require_success(failed, answer);
          const std::lock_guard lock(mutex_);
          latencies_ms_.push_back(1e3 * seconds_since(due));
        }));
  }

  runtime& runtime_;
  const int per_second_;
  asio::io_context io_{1};
  asio::steady_timer timer_;
  steady::time_point next_due_;
  std::size_t next_product_ = 0;
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  std::vector<double> latencies_ms_;
  std::thread thread_;
};

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Asks many cold products at once and shows what that does to the answers of the live ones.",
               "scripts/benchmark recovery"};
  int rounds = 5;
  std::size_t products = 10'000;
  std::size_t tail = 250;
  int per_second = 2'000;
  std::size_t readers = runtime_bounds{}.recoveries_at_once_max;
  bool quick = false;
  app.add_option("--readers", readers, "how many recoveries run at once; 0: one for every two cores")
      ->capture_default_str()
      ->check(CLI::Range(0, 256));
  app.add_option("--rounds", rounds, "how often")->capture_default_str()->check(CLI::Range(1, 1000));
  app.add_option("--products", products, "cold products, all asked at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--tail", tail, "events of each, to be read")->capture_default_str()->check(CLI::Range(1, 100'000));
  app.add_option("--rate", per_second, "commands a second for the live products")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  app.add_flag("--quick", quick, "one small round: shows that it runs, not how fast");
  if (const auto end = command_line::ended_by_flags(app, app.get_name(), argc, argv)) return *end;
  if (quick) {
    rounds = 1;
    products = 200;
    tail = 20;
  }

  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  const auto progress = [&](const std::string& what) {
    if (terminal) std::fprintf(stderr, "\r\033[K%s", what.c_str());
  };
  const temporary_folder folder;
  std::vector<std::string> cold;
  for (std::size_t product = 0; product < products; ++product) cold.push_back("cold-" + std::to_string(product));
  progress("writing " + std::to_string(products * tail) + " events");
  append_histories(*open_store(folder.path()), cold, tail);

  std::vector<double> before_p50, before_p99, during_p50, during_p99, ratio, took, rate;
  for (int round = 0; round < rounds; ++round) {
    progress("round " + std::to_string(round + 1) + " of " + std::to_string(rounds));
    runtime runtime{{.journal = open_store(folder.path()), .bounds = {.recoveries_at_once_max = readers}}};
    {
      steady_load load(runtime, per_second);
      const auto calm = quick ? 0.3 : 3.0;
      while (load.take().empty()) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::duration<double>(calm / 3));  // past the first activations
      load.take();
      std::this_thread::sleep_for(std::chrono::duration<double>(calm));
      const auto before = load.take();

      std::atomic<std::size_t> open{products};
      asio::io_context answers{1};
      auto work = asio::make_work_guard(answers);
      std::thread client([&] { answers.run(); });
      const auto start = steady::now();
      for (const auto& product : cold) {
        runtime.ask<stock::Product>(
            product, stock::AddStock(1),
            asio::bind_executor(answers, [&open](const boost::system::error_code& failed, const answer<>& answer) {
              require_success(failed, answer);
              open.fetch_sub(1);
            }));
      }
      while (open.load() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      took.push_back(seconds_since(start));
      const auto during = load.take();
      work.reset();
      client.join();  // the runtime has finished with `answers`
      before_p50.push_back(percentile(before, 0.5));
      before_p99.push_back(percentile(before, 0.99));
      during_p50.push_back(percentile(during, 0.5));
      during_p99.push_back(percentile(during, 0.99));
      ratio.push_back(during_p99.back() / before_p99.back());
      rate.push_back(static_cast<double>(products) / took.back());
    }
    runtime.drain(drain_snapshots::no, blocking);
  }
  progress("");
  std::printf("%zu cold products with %zu events each, asked at once, beside %d live ones taking %d commands/s\n", products, tail,
              live_products, per_second);
  std::printf("  live before the storm  p50 %s ms, p99 %s ms\n", with_spread(before_p50, "%.2f").c_str(),
              with_spread(before_p99, "%.2f").c_str());
  std::printf("  live during the storm  p50 %s ms, p99 %s ms\n", with_spread(during_p50, "%.2f").c_str(),
              with_spread(during_p99, "%.2f").c_str());
  std::printf("  p99 during ÷ before    %s\n", with_spread(ratio, "%.1f").c_str());
  std::printf("  the storm took         %s s, %s products/s\n", with_spread(took, "%.2f").c_str(),
              with_spread(rate, "%.0f").c_str());
  return 0;
}
