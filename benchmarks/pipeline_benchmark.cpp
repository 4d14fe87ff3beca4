// How much of its speed the pipeline keeps when everything it answers must first be on disk.
//
// Three things are measured in turn, again and again in one run, so that a machine that changes its pace hits all of them:
//   pipeline     command → directory → aggregate → journal (RocksDB, synced) → answer
//   no journal   the same, but an aggregate acknowledges its own events at once and nothing is stored
//   bare store   rocksdb_journal alone, appending records of the same size in batches of the pipeline's mean size
// A closed loop: a window of commands is always in flight, and one client thread gets the answers and asks again. The engine is
// driven below cairn::runtime, which has no way to leave the journal out; the answers are posted to an io_context as there.
// In the end, what the hash chain costs, and one directory actor in the place of eight: whether the way to an aggregate is the
// bottleneck.
#include "measure.hpp"
#include "product.hpp"

#include "../persistence/store_environment.hpp"

#include <cairn/actors/engine.hpp>
#include <cairn/actors/typed_operation.hpp>
#include <cairn/rocksdb_journal.hpp>

#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace cairn;
using namespace cairn::benchmarks;

// Pads the event to about 100 bytes of record, the size that everything is quoted for.
const std::string reason = "a delivery from the warehouse in the north, as ordered";

struct scenario {
  std::size_t products;
  std::size_t in_flight;
};

struct pipeline_figures {
  double commands_per_second = 0;
  double mean_batch = 0;
  double mean_commit_us = 0;
  double cpu_us_per_command = 0;
};

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Each slot of the window always has one command on its way, for one product after another.
class closed_loop {
public:
  closed_loop(actors::engine& engine, scenario what) : engine_(engine), what_(what), left_(what.in_flight) {
    for (std::size_t product = 0; product < what.products; ++product) ids_.push_back(std::to_string(product));
  }

  void enrol_all() {
    std::atomic<std::size_t> open{what_.products};
    for (const auto& id : ids_) {
      const auto done = [&open](const actors::operation_ptr&) { open.fetch_sub(1); };
      engine_.submit(actors::operation_ptr(
          new actors::command_operation<stock::Product, stock::Enrol, decltype(done)>(id, stock::Enrol{}, {}, done)));
    }
    while (open.load() > 0) std::this_thread::yield();
  }

  // Runs for `seconds` after a warm-up, and gives commands per second.
  double run(double seconds, const std::function<void()>& after_warm_up, const std::function<void()>& at_end) {
    auto work = std::make_unique<asio::executor_work_guard<asio::io_context::executor_type>>(io_.get_executor());
    for (std::size_t slot = 0; slot < what_.in_flight; ++slot) ask(slot);
    std::thread client([this] { io_.run(); });
    const auto wait = [](double how_long) {
      const auto start = steady::now();
      while (seconds_since(start) < how_long) ::usleep(1'000);
    };
    wait(seconds / 4);
    after_warm_up();
    const auto start = steady::now();
    const auto before = answered_.load();
    wait(seconds);
    const auto rate = static_cast<double>(answered_.load() - before) / seconds_since(start);
    at_end();
    stop_.store(true);
    while (left_.load() > 0) std::this_thread::yield();
    work.reset();
    client.join();
    return rate;
  }

private:
  void ask(std::size_t slot) {
    auto done = [this, slot](const actors::operation_ptr& asked) {
      asio::post(io_, [this, slot, code = asked->held.code, rejected = asked->held.rejected] {
        if (code != errc{} || rejected) {
          std::fprintf(stderr, "a command failed: %s\n", make_error_code(code).message().c_str());
          std::abort();
        }
        answered_.fetch_add(1, std::memory_order_relaxed);
        if (stop_.load(std::memory_order_relaxed)) {
          left_.fetch_sub(1);
        } else {
          ask(slot);
        }
      });
    };
    next_ = next_ * 6364136223846793005ULL + 1442695040888963407ULL;
    engine_.submit(actors::operation_ptr(new actors::command_operation<stock::Product, stock::AddStock, decltype(done)>(
        ids_[(next_ >> 33) % ids_.size()], stock::AddStock{1, reason}, {}, std::move(done))));
  }

  actors::engine& engine_;
  scenario what_;
  std::vector<std::string> ids_;
  asio::io_context io_{1};
  std::uint64_t next_ = 1;
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<bool> stop_{false};
  std::atomic<std::size_t> left_;
};

pipeline_figures run_pipeline(scenario what, double seconds, bool with_journal, actors::settings bounds = {},
                              detail::store_environment environment = {}) {
  const auto folder = fresh_folder();
  pipeline_figures figures;
  {
    std::shared_ptr<journal> store;
    if (with_journal) store = detail::open_rocksdb_store(folder, {}, environment);
    const auto warn = [](const std::string& sentence) { std::fprintf(stderr, "%s\n", sentence.c_str()); };
    const auto engine = actors::threaded_engine({store, system_now, warn, bounds});
    store.reset();
    closed_loop loop(*engine, what);
    loop.enrol_all();
    std::uint64_t commits = 0, events = 0, commit_ns = 0;
    double cpu = 0;
    figures.commands_per_second = loop.run(
        seconds,
        [&] {
          cpu = cpu_seconds();
          commits = engine->stats().commits;
          events = engine->stats().events;
          commit_ns = engine->stats().commit_ns;
        },
        [&] {
          cpu = cpu_seconds() - cpu;
          commits = engine->stats().commits - commits;
          events = engine->stats().events - events;
          commit_ns = engine->stats().commit_ns - commit_ns;
        });
    figures.cpu_us_per_command = cpu / seconds / figures.commands_per_second * 1e6;
    if (with_journal) {
      figures.mean_batch = static_cast<double>(events) / static_cast<double>(commits);
      figures.mean_commit_us = static_cast<double>(commit_ns) / 1e3 / static_cast<double>(commits);
    }
  }
  std::filesystem::remove_all(folder);
  return figures;
}

double run_bare_store(scenario what, std::size_t batch, double seconds) {
  const auto folder = fresh_folder();
  double rate = 0;
  {
    const auto store = rocksdb_journal(folder);
    std::vector<stream_id> streams;
    std::vector<version> versions(what.products);
    for (std::size_t product = 0; product < what.products; ++product) streams.emplace_back("product", std::to_string(product));
    std::string payload;
    codec::encode(payload, stock::StockAdded{1, reason});
    std::vector<std::string> frames(batch);
    std::vector<addition> additions(batch);
    std::vector<atomic_append> appends(batch);
    std::vector<append_outcome> outcomes(batch);
    std::uint64_t next = 1, records = 0;
    steady::duration in_append{};
    // Only append() is timed: encoding is the aggregates' work.
    while (std::chrono::duration<double>(in_append).count() < seconds) {
      for (std::size_t place = 0; place < batch; ++place) {
        next = next * 6364136223846793005ULL + 1442695040888963407ULL;
        const auto product = (next >> 33) % what.products;
        unrecorded_event event;
        event.stream = streams[product];
        event.version = versions[product] + 1;
        event.type = stock::StockAdded::type;
        event.recorded_at = system_now();
        event.payload = payload;
        frames[place].clear();
        encode_frame(frames[place], event);
        additions[place] = {streams[product], versions[product], 1, frames[place]};
        appends[place] = {&additions[place], 1};
        versions[product] = versions[product] + 1;
      }
      const auto start = steady::now();
      store->append(appends, outcomes);
      in_append += steady::now() - start;
      records += batch;
    }
    rate = static_cast<double>(records) / std::chrono::duration<double>(in_append).count();
  }
  std::filesystem::remove_all(folder);
  return rate;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Measures the whole pipeline against itself without a journal, and against the bare store.\n"
               "Every figure is a ratio within this run: the median of the rounds, with the least and the most."};
  int rounds = 5;
  double seconds = 2;
  bool quick = false;
  std::string json;
  app.add_option("--rounds", rounds, "how often each side is measured, in turn")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--seconds", seconds, "how long each measurement takes")->capture_default_str()->check(CLI::Range(0.05, 3600.0));
  app.add_flag("--quick", quick, "one short round: shows that it runs, not how fast");
  app.add_option("--json", json, "write the figures to this file too");
  CLI11_PARSE(app, argc, argv);
  if (quick) {
    rounds = 1;
    seconds = 0.3;
  }

  const bool terminal = ::isatty(STDERR_FILENO) != 0;
  const std::vector<scenario> scenarios{{1'000, 1'000}, {1'000, 10'000}, {100'000, 10'000}, {1, 1'000}};
  const int steps = static_cast<int>(scenarios.size()) * rounds * 3 + rounds * 4;
  int step = 0;
  const auto progress = [&](const char* what) {
    ++step;
    if (terminal) std::fprintf(stderr, "\r\033[K%3d %%  %s", 100 * step / steps, what);
  };

  std::printf("%zu cores; a cache line goes between two of them and back in %.0f ns\n\n",
              static_cast<std::size_t>(std::thread::hardware_concurrency()), core_round_trip_ns());
  std::string rows;
  for (const auto& what : scenarios) {
    std::vector<double> pipeline, no_journal, bare, against_none, against_bare, batch, commit, cpu, cpu_alone;
    for (int round = 0; round < rounds; ++round) {
      progress("no journal");
      const auto alone = run_pipeline(what, seconds, false);
      no_journal.push_back(alone.commands_per_second / 1e3);
      cpu_alone.push_back(alone.cpu_us_per_command);
      progress("pipeline");
      const auto figures = run_pipeline(what, seconds, true);
      pipeline.push_back(figures.commands_per_second / 1e3);
      batch.push_back(figures.mean_batch);
      commit.push_back(figures.mean_commit_us);
      cpu.push_back(figures.cpu_us_per_command);
      progress("bare store");
      bare.push_back(run_bare_store(what, std::max<std::size_t>(1, static_cast<std::size_t>(figures.mean_batch)), seconds) / 1e3);
      against_none.push_back(pipeline.back() / no_journal.back());
      against_bare.push_back(pipeline.back() / bare.back());
    }
    if (terminal) std::fprintf(stderr, "\r\033[K");
    std::printf("%zu product%s, %zu in flight\n", what.products, what.products == 1 ? "" : "s", what.in_flight);
    std::printf("  pipeline              %s k commands/s\n", with_spread(pipeline, "%.0f").c_str());
    std::printf("  without a journal     %s k commands/s\n", with_spread(no_journal, "%.0f").c_str());
    std::printf("  bare store            %s k records/s\n", with_spread(bare, "%.0f").c_str());
    std::printf("  ratio to no journal   %s\n", with_spread(against_none, "%.2f").c_str());
    std::printf("  ratio to bare store   %s\n", with_spread(against_bare, "%.2f").c_str());
    std::printf("  CPU per command       %s us, without a journal %s us\n", with_spread(cpu, "%.2f").c_str(),
                with_spread(cpu_alone, "%.2f").c_str());
    std::printf("  one group commit      %s records, %s us\n\n", with_spread(batch, "%.0f").c_str(),
                with_spread(commit, "%.0f").c_str());
    std::fflush(stdout);
    char row[512];
    std::snprintf(
        row, sizeof row,
        "%s  {\"products\": %zu, \"in_flight\": %zu, \"pipeline_k\": %.1f, \"no_journal_k\": %.1f, \"bare_store_k\": %.1f, "
        "\"ratio_no_journal\": %.3f, \"ratio_bare_store\": %.3f, \"mean_batch\": %.0f, \"mean_commit_us\": %.0f}",
        rows.empty() ? "" : ",\n", what.products, what.in_flight, median(pipeline), median(no_journal), median(bare),
        median(against_none), median(against_bare), median(batch), median(commit));
    rows += row;
  }
  std::vector<double> chained;
  for (int round = 0; round < rounds; ++round) {
    progress("without the chain");
    const auto without = run_pipeline({1'000, 10'000}, seconds, true, {}, {.chained = false}).commands_per_second;
    progress("with the chain");
    chained.push_back(run_pipeline({1'000, 10'000}, seconds, true).commands_per_second / without);
  }
  if (terminal) std::fprintf(stderr, "\r\033[K");
  std::printf("1000 products, 10000 in flight: with the hash chain, against a log without it\n  ratio                 %s\n\n",
              with_spread(chained, "%.2f").c_str());
  std::vector<double> one_directory;
  for (int round = 0; round < rounds; ++round) {
    progress("eight directories");
    const auto eight = run_pipeline({1'000, 10'000}, seconds, true).commands_per_second;
    progress("one directory");
    one_directory.push_back(run_pipeline({1'000, 10'000}, seconds, true, {.directories = 1}).commands_per_second / eight);
  }
  if (terminal) std::fprintf(stderr, "\r\033[K");
  std::printf("1000 products, 10000 in flight: one directory instead of eight\n  ratio                 %s\n",
              with_spread(one_directory, "%.2f").c_str());

  if (!json.empty()) {
    std::ofstream file(json);
    file << "[\n" << rows << "\n]\n";
    if (!file.flush()) {
      std::fprintf(stderr, "pipeline_benchmark: cannot write %s\n", json.c_str());
      return 2;
    }
  }
  return 0;
}
