// What becomes of a runtime whose clients want ten times what it can do, and do not wait for answers before they ask again.
//
// Twice: with clients that are refused at once where the runtime is full, and with those that wait for a place and are refused
// only where too many wait already. Over time: how many commands are carried out and how many refused, how long the former take,
// and what the process's heap holds. The clients take processor time from the runtime, as all are in this one process; so that
// they get to ask for much more than it can do all the same, the events are large, and the disk has work with them.
#include "load.hpp"
#include "measure.hpp"
#include "product.hpp"
#include "report.hpp"

#include "../examples/load_simulation/histogram.hpp"
#include "command_line/flags.hpp"
#include "command_line/output_file.hpp"
#include "command_line/terminal.hpp"
#include "command_line/text.hpp"

#include <cairn/rocksdb_journal.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <optional>

namespace {

namespace asio = boost::asio;
using namespace cairn;
using namespace cairn::benchmarks;

constexpr std::size_t in_flight_max = 10'000;
constexpr std::size_t waiting_max = 10'000;
constexpr double too_much = 10;
const std::string long_reason(8'192, 'x');

/// One stretch of the run.
struct sample {
  double until = 0;    ///< seconds since the start
  double seconds = 0;  ///< how long it was
  std::uint64_t done = 0;
  std::uint64_t refused = 0;
  double p50_ms = 0;  ///< of those that were done
  double p99_ms = 0;
  double heap_mib = 0;
};

/// Asks a runtime for so many commands a second, come what may, and keeps what became of them.
class storm {
public:
  storm(when_full full, double commands_per_second, double seconds)
      : options_{.when_full = full}, timer_(io_),
        per_step_(std::max<std::size_t>(
            1, static_cast<std::size_t>(commands_per_second * std::chrono::duration<double>(step).count()))),
        seconds_(seconds), runtime_{{.journal = rocksdb_journal(folder_.path()),
                                     .in_flight_max = in_flight_max,
                                     .waiting_max = waiting_max}} {}

  /// About sixty samples, one after another.
  std::vector<sample> run() {
    enrol_all(runtime_, ids_);
    start_ = next_step_ = steady::now();
    ask_for_one_step();
    io_.run();
    runtime_.drain(drain_snapshots::no);
    return std::move(samples_);
  }

private:
  static constexpr std::chrono::milliseconds step{1};

  void ask_for_one_step() {
    stop_if_interrupted();
    for (std::size_t count = 0; count < per_step_; ++count) ask();
    const auto now = steady::now();
    take_sample();
    if (seconds_since(start_) >= seconds_) return;
    // A step that the client had no time for is left out: it asks no faster afterwards.
    next_step_ = std::max(now, next_step_ + step);
    timer_.expires_at(next_step_);
    timer_.async_wait([this](const boost::system::error_code&) { ask_for_one_step(); });
  }

  void ask() {
    runtime_.ask<stock::Product>(
        ids_[numbers_.below(ids_.size())], stock::AddStock(1, long_reason), options_,
        asio::bind_executor(io_, [this, asked = steady::now()](const boost::system::error_code& failed, const answer<>& answer) {
          if (failed == errc::overloaded) {
            ++present_.refused;
            return;
          }
          require_success(failed, answer);
          ++present_.done;
          latencies_.record(static_cast<std::uint64_t>(1e9 * seconds_since(asked)));
        }));
  }

  void take_sample() {
    const auto now = seconds_since(start_);
    const auto before = samples_.empty() ? 0 : samples_.back().until;
    if (now - before < seconds_ / 60) return;
    present_.until = now;
    present_.seconds = now - before;
    present_.p50_ms = static_cast<double>(latencies_.percentile(50)) / 1e6;
    present_.p99_ms = static_cast<double>(latencies_.percentile(99)) / 1e6;
    latencies_ = {};
    present_.heap_mib = heap_bytes().value_or(0) / (1 << 20);
    samples_.push_back(std::exchange(present_, {}));
  }

  const temporary_folder folder_;
  const command_options options_;
  const std::vector<std::string> ids_ = ids_of(1'000);
  asio::io_context io_{1};
  asio::steady_timer timer_;
  number_generator numbers_;
  const std::size_t per_step_;
  const double seconds_;
  steady::time_point start_;
  steady::time_point next_step_;
  simulation::histogram latencies_;  // of the present stretch
  sample present_;
  std::vector<sample> samples_;
  runtime runtime_;  // the first to go: until then it answers, also where an interrupt ends this
};

struct outcome_of_clients {
  std::string name;
  std::vector<sample> samples;

  plot_line line(double (*of)(const sample&)) const {
    plot_line made{name, {}};
    for (const auto& one : samples) made.points.push_back({one.until, of(one), of(one), of(one)});
    return made;
  }
  double most_heap_mib() const {
    double most = 0;
    for (const auto& one : samples) most = std::max(most, one.heap_mib);
    return most;
  }
  double median_of(double (*of)(const sample&)) const {
    std::vector<double> values;
    for (const auto& one : samples) values.push_back(of(one));
    return median(values);
  }
};

double done_per_second(const sample& one) { return static_cast<double>(one.done) / one.seconds / 1e3; }
double asked_per_second(const sample& one) { return static_cast<double>(one.done + one.refused) / one.seconds / 1e3; }
double refused_per_second(const sample& one) { return static_cast<double>(one.refused) / one.seconds / 1e3; }

int run_all(int argc, char** argv) {
  CLI::App app{"Asks a runtime for ten times the commands that it can carry out, by clients that do not wait for answers.",
               "scripts/benchmark overload"};
  app.formatter(std::make_shared<command_line::plain_help>());
  double seconds = 15;
  bool quick = false;
  std::string path;
  app.add_option("--seconds", seconds, "How long, with either kind of client")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(0.5, 3'600.0).description(""));
  app.add_option("--json", path, "Write the figures to this file, for scripts/benchmark plot")
      ->type_name("FILE")
      ->check(command_line::not_empty());
  app.add_flag("--quick", quick, "A short run: shows that it runs, and nothing of how fast");
  CLI11_PARSE(app, argc, argv);
  if (quick) seconds = 0.5;
  std::optional<command_line::output_file> file;
  if (!path.empty()) file.emplace(path);

  command_line::status_line watched;
  watched.show("what the machine can do");
  const auto most = run({.products = 1'000, .in_flight = in_flight_max, .why = long_reason}, quick ? 0.2 : 5).commands_per_second;
  std::vector<outcome_of_clients> both;
  for (const auto& [full, name] :
       {std::pair{when_full::fail, "refused when full"}, std::pair{when_full::wait, "waiting when full"}}) {
    watched.show(std::string("clients ") + name);
    both.push_back({name, storm(full, too_much * most, seconds).run()});
  }
  watched.clear();

  std::printf(
      "Events of %zu bytes. A closed loop with %zu commands in flight: %.0f k/s. The clients want %.0f times as many.\n\n",
      long_reason.size(), in_flight_max, most / 1e3, too_much);
  for (const auto& clients : both) {
    const auto done = clients.median_of(done_per_second);
    std::printf(
        "%-20s %.0f k/s asked, %.0f k/s done (%.2f of the closed loop); p50 %.1f ms, p99 %.1f ms; heap at most %.0f MiB\n",
        clients.name.c_str(), clients.median_of(asked_per_second), done, 1e3 * done / most,
        clients.median_of([](const sample& one) { return one.p50_ms; }),
        clients.median_of([](const sample& one) { return one.p99_ms; }), clients.most_heap_mib());
  }
  if (quick) std::printf("\nA quick run says that everything runs; its figures mean nothing.\n");
  if (file) {
    const auto lines = [&](double (*of)(const sample&)) { return std::vector{both[0].line(of), both[1].line(of)}; };
    const auto time = "seconds since the start";
    file->finish(plots_json(
        "Clients that ask for much more than the runtime can do: " + command_line::grouped(in_flight_max) + " in flight, " +
            command_line::grouped(waiting_max) + " waiting",
        {{"Carried out", time, "thousand a second", false, lines(done_per_second)},
         {"Refused", time, "thousand a second", false, lines(refused_per_second)},
         {"Median of the time to the answer", time, "milliseconds", false, lines([](const sample& one) { return one.p50_ms; })},
         {"99th percentile of it", time, "milliseconds", false, lines([](const sample& one) { return one.p99_ms; })},
         {"Heap of the process", time, "MiB", false, lines([](const sample& one) { return one.heap_mib; })}}));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_benchmark("overload_benchmark", run_all, argc, argv); }
