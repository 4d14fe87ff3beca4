// What becomes of a runtime whose clients ask for more than ten times what it can do, and do not wait for their answers.
//
// Twice: with clients that are refused at once where the runtime is full, and with those that wait for a place and are refused
// only where too many wait already. Over time: how many commands are carried out and how many refused, how long the former take,
// and what the process's heap holds. The clients take processor time from the runtime, as all are in this one process; so that
// they get to ask for so much all the same, a command is small and cheap to refuse, and what is kept of it is large.
#include "load.hpp"
#include "measure.hpp"
#include "report.hpp"

#include "../examples/load_simulation/histogram.hpp"
#include "command_line/flags.hpp"
#include "command_line/output_file.hpp"
#include "command_line/terminal.hpp"
#include "command_line/text.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/store.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cstdio>
#include <msgpack.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace {

namespace asio = boost::asio;
using namespace cairn;
using namespace cairn::benchmarks;

constexpr std::size_t in_flight_max = 10'000;
constexpr std::size_t waiting_max = 10'000;
constexpr double too_much = 12;  // ten, and some to spare for moments in which the clients get no processor
constexpr std::size_t event_bytes = 8'192;

/// Something of which much is kept whenever somebody asks for a little.
struct Camera {
  struct Shoot {};
  struct Shot {
    static constexpr std::string_view type = "SHOT";
    std::string picture;
    MSGPACK_DEFINE_MAP(picture)
  };

  static constexpr std::string_view category = "camera";
  using Event = std::variant<Shot>;
  using Decision = decision<Event>;

  std::uint64_t shots = 0;
  MSGPACK_DEFINE_MAP(shots)

  Decision decide(const Shoot&) const { return Shot{std::string(event_bytes, 'x')}; }
  void evolve(const Shot&) noexcept { ++shots; }
};

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

/// A runtime and all of its clients, which are one thread; for one run.
class crowd {
public:
  explicit crowd(double seconds, when_full full = when_full::fail)
      : options_{.when_full = full}, seconds_(seconds),
        timer_(io_), runtime_{
                         {.journal = open_store(folder_.path()), .in_flight_max = in_flight_max, .waiting_max = waiting_max}} {}

  /// A closed loop: whoever is answered asks again. About sixty samples, one after another.
  std::vector<sample> ask_in_turn() {
    start_ = steady::now();
    for (std::size_t client = 0; client < in_flight_max; ++client) ask_again();
    return run();
  }

  /// So many commands a second, come what may.
  std::vector<sample> ask_regardless(double commands_per_second) {
    rate_ = commands_per_second;
    start_ = steady::now();
    ask_what_is_due();
    return run();
  }

private:
  std::vector<sample> run() {
    io_.run();
    runtime_.drain(drain_snapshots::no, blocking);
    return std::move(samples_);
  }

  void ask_again() {
    stop_if_interrupted();
    take_sample();
    if (seconds_since(start_) < seconds_) ask([this] { ask_again(); });
  }

  void ask_what_is_due() {
    stop_if_interrupted();
    take_sample();
    const auto now = seconds_since(start_);
    if (now >= seconds_) return;
    // What they had no time for while it mattered is left out: else clients that cannot keep up would fall ever further behind.
    asked_ = std::max(asked_, rate_ * (now - late_seconds_max));
    for (; asked_ < rate_ * now; ++asked_) ask([] {});
    timer_.expires_after(std::chrono::milliseconds(1));
    timer_.async_wait([this](const boost::system::error_code&) { ask_what_is_due(); });
  }

  template <class Then>
  void ask(Then then) {
    runtime_.ask<Camera>(
        ids_[numbers_.below(ids_.size())], Camera::Shoot{}, options_,
        asio::bind_executor(io_, [this, then, asked = steady::now()](boost::system::error_code failed, const answer<>& answer) {
          if (failed == errc::overloaded) {
            ++present_.refused;
          } else {
            require_success(failed, answer);
            ++present_.done;
            latencies_.record(static_cast<std::uint64_t>(1e9 * seconds_since(asked)));
          }
          then();
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

  static constexpr double late_seconds_max = 0.1;

  const temporary_folder folder_;
  const command_options options_;
  const double seconds_;
  const std::vector<std::string> ids_ = ids_of(1'000);
  asio::io_context io_{1};
  asio::steady_timer timer_;
  number_generator numbers_;
  double rate_ = 0;   // commands a second
  double asked_ = 0;  // or left out
  steady::time_point start_;
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
  CLI::App app{
      "Asks a runtime for more than ten times the commands that it can carry out, by clients that do not wait for answers.",
      "scripts/benchmark overload"};
  app.formatter(std::make_shared<command_line::plain_help>());
  double seconds = 15;
  bool quick = false;
  std::string path;
  app.add_option("--seconds", seconds, "How long, with each kind of client")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(0.5, 3'600.0).description(""));
  app.add_option("--json", path, "Write the figures to this file, for scripts/benchmark plot")
      ->type_name("FILE")
      ->check(command_line::not_empty());
  app.add_flag("--quick", quick, "A short run: shows that it runs, and nothing of how fast");
  if (const auto end = command_line::ended_by_flags(app, app.get_name(), argc, argv)) return *end;
  if (quick) seconds = 0.5;
  std::optional<command_line::output_file> file;
  if (!path.empty()) file.emplace(path);

  command_line::status_line watched;
  watched.show("what the machine can do");
  const auto most = outcome_of_clients{{}, crowd(seconds).ask_in_turn()}.median_of(done_per_second);
  std::vector<outcome_of_clients> both;
  for (const auto& [full, name] :
       {std::pair{when_full::fail, "refused when full"}, std::pair{when_full::wait, "waiting when full"}}) {
    watched.show(std::string("clients ") + name);
    both.push_back({name, crowd(seconds, full).ask_regardless(1e3 * too_much * most)});
  }
  watched.clear();

  std::printf(
      "Events of %zu bytes. A closed loop with %zu commands in flight: %.0f k/s. The clients want %.0f times as many.\n\n",
      event_bytes, in_flight_max, most, too_much);
  for (const auto& clients : both) {
    const auto asked = clients.median_of(asked_per_second);
    const auto done = clients.median_of(done_per_second);
    std::printf("%-20s %.0f k/s asked and %.0f k/s done (%.1f and %.2f of the closed loop); p50 %.1f ms, p99 %.1f ms; "
                "heap at most %.0f MiB\n",
                clients.name.c_str(), asked, done, asked / most, done / most,
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
