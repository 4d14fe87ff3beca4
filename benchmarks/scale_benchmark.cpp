// What a store costs that holds very many products: to write, to open after a kill, and to ask for one that is not live.
//
// The store is filled through the journal by a process of its own, which goes on appending until it is killed. That happens
// somewhat after each tenth of the events, here earlier and there later (drawn once for all runs), so that now more and now less
// is to be replayed: the store is opened, and the next process goes on where the log ends. Work comes in visits: a hundredth of
// the products, chosen at random, get ten events each, one in a round and in another order each time; then the next hundredth is
// visited, until all were, and all over again. Commands for products at random, which have had no event for a long time, come
// last: they are the worst that can come for the index.
#include "load.hpp"
#include "measure.hpp"
#include "product.hpp"
#include "report.hpp"
#include "rows.hpp"
#include "store.hpp"

#include "command_line/flags.hpp"
#include "command_line/output_file.hpp"
#include "command_line/terminal.hpp"
#include "command_line/text.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <functional>
#include <optional>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>

namespace {

namespace asio = boost::asio;
using namespace cairn;
using namespace cairn::benchmarks;
using command_line::counted;
using command_line::fixed;
using command_line::grouped;

constexpr std::uint64_t batch_records_max = 4'000;
constexpr std::uint64_t parts = 10;
constexpr std::uint64_t events_per_product = 20;
constexpr std::uint64_t bytes_per_event = 170;  // on disk, with what compaction holds twice for a while
constexpr double mib = 1 << 20;

struct store_size {
  std::uint64_t products = 0;
  std::uint64_t events = 0;

  std::string told() const { return counted(products, "product") + " and " + counted(events, "event"); }
};

/// The product that has its turn at `place` of a round: every one has it once.
std::uint64_t shuffled(std::uint64_t place, std::uint64_t products, std::uint64_t round) {
  const auto bits = static_cast<int>(std::bit_width(products - 1));
  const auto mask = (std::uint64_t{1} << bits) - 1;
  do {
    for (int turn = 0; turn < 3; ++turn) {
      place = ((place + round) * 0x9e3779b97f4a7c15) & mask;
      place ^= place >> ((bits + 1) / 2);
    }
  } while (place >= products);
  return place;
}

/// Which product has which event.
struct turn {
  std::uint64_t product;
  std::uint64_t number;  ///< of its event, from 0
};

constexpr std::uint64_t events_per_visit = 10;

/// Whose turn the event at this place of all is, where work comes in visits.
turn visited(std::uint64_t event, std::uint64_t products) {
  const auto together_max = std::max<std::uint64_t>(1, products / 100);
  const auto visit = event / (events_per_visit * products);
  const auto within = event % (events_per_visit * products);
  const auto first = within / (events_per_visit * together_max) * together_max;
  const auto together = std::min(together_max, products - first);
  const auto since = within - events_per_visit * first;
  const auto round = since / together;
  const auto member = together == 1 ? 0 : shuffled(since % together, together, round);
  return {shuffled(first + member, products, visit), events_per_visit * visit + round};
}

/// How far the filling has come.
struct filled {
  std::uint64_t events = 0;
  double seconds = 0;   ///< of this process in append() alone: making the records is the aggregates' work
  double resident = 0;  ///< of this process
};

/// Goes on filling the store in `folder` and telling standard output of it, until the process is killed.
[[noreturn]] void fill(const std::filesystem::path& folder, const store_size& size) {
  const auto store = open_store(folder);
  std::string enrolled, added;
  cairn::detail::encode(enrolled, stock::Enrolled{});
  cairn::detail::encode(added, stock::StockAdded{1, reason});
  const auto batch_records = std::min(batch_records_max, size.events / parts);  // no batch is more than a part
  const auto tell_after = size.events / (10 * parts);
  std::vector<stream_id> streams(batch_records);
  record_batch batch(*store, batch_records);
  filled so_far{.events = store->last().value};
  auto told = steady::now();
  for (;;) {
    for (std::uint64_t place = 0; place < batch_records; ++place) {
      const auto [product, number] = visited(so_far.events + place, size.products);
      streams[place] = {stock::Product::category, std::to_string(product)};
      const bool first = number == 0;
      batch.set(place, streams[place], version{number}, first ? stock::Enrolled::type : stock::StockAdded::type,
                first ? enrolled : added);
    }
    const auto before = so_far.events;
    const auto start = steady::now();
    batch.append();
    so_far.seconds += seconds_since(start);
    so_far.events += batch_records;
    if (so_far.events / tell_after > before / tell_after || seconds_since(told) > 0.2) {
      std::printf("%llu %.9f %.0f\n", static_cast<unsigned long long>(so_far.events), so_far.seconds, resident_bytes());
      std::fflush(stdout);
      told = steady::now();
    }
  }
}

/// This program once more, filling a store. Killed with its owner.
class filling_process {
public:
  filling_process(const std::filesystem::path& folder, const store_size& size) {
    std::vector<std::string> words{
        "scale_benchmark",          "--fill", folder.string(), "--products", std::to_string(size.products), "--events",
        std::to_string(size.events)};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    const auto parent = ::getpid();
    child_ = ::fork();
    if (child_ == 0) {
      // Nothing from here on may allocate.
      const bool ready = ::setpgid(0, 0) == 0 && ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == parent &&
                         ::dup2(ends[1], STDOUT_FILENO) >= 0;
      if (ready) ::execv("/proc/self/exe", arguments.data());
      ::_exit(127);
    }
    ::close(ends[1]);
    told_ = ::fdopen(ends[0], "r");
    if (child_ < 0 || !told_) throw std::system_error(errno, std::generic_category(), "start a process");
  }
  ~filling_process() {
    if (child_ > 0) {
      ::kill(child_, SIGKILL);
      ::waitpid(child_, nullptr, 0);
    }
    if (told_) std::fclose(told_);
  }
  filling_process(const filling_process&) = delete;
  filling_process& operator=(const filling_process&) = delete;

  /// Waits for what it tells next.
  filled next() {
    char line[128];
    if (!std::fgets(line, sizeof line, told_)) {
      stop_if_interrupted();
      throw std::runtime_error("the process that fills the store has ended");
    }
    stop_if_interrupted();
    filled so_far;
    unsigned long long events = 0;
    std::sscanf(line, "%llu %lf %lf", &events, &so_far.seconds, &so_far.resident);
    so_far.events = events;
    return so_far;
  }

private:
  pid_t child_ = -1;
  std::FILE* told_ = nullptr;
};

/// Of all files in the folder, which come and go meanwhile.
double bytes_in(const std::filesystem::path& folder) {
  double bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    std::error_code gone;
    const auto size = entry.file_size(gone);
    if (!gone) bytes += static_cast<double>(size);
  }
  return bytes;
}

/// What was seen at the end of a part.
struct part_filled {
  std::uint64_t events = 0;  ///< of all parts so far
  double records_per_second = 0;
  double disk = 0;
  double resident = 0;
  double open_seconds = 0;  ///< after the kill
  std::uint64_t replayed = 0;
  double open_resident = 0;
  double open_again_seconds = 0;  ///< after it was closed, with nothing to replay
};

struct opened {
  std::unique_ptr<cairn::store> store;
  double seconds = 0;
};

opened open_timed(const std::filesystem::path& folder) {
  const auto start = steady::now();
  auto store = open_store(folder);
  return {std::move(store), seconds_since(start)};
}

/// Fills the store on, from `from` to `to` events, by a process that is killed then.
part_filled fill_part(const std::filesystem::path& folder, const store_size& size, std::uint64_t from, std::uint64_t to,
                      command_line::status_line& watched) {
  filling_process process(folder, size);
  filled so_far;
  while (so_far.events < to) {
    so_far = process.next();
    const auto share = std::min(1.0, static_cast<double>(so_far.events) / static_cast<double>(size.events));
    watched.show("filling " + command_line::bar(share, command_line::bar_max) + " " + grouped(so_far.events) + " of " +
                 counted(size.events, "event"));
  }
  return {.events = so_far.events,
          .records_per_second = static_cast<double>(so_far.events - from) / so_far.seconds,
          .disk = bytes_in(folder),
          .resident = so_far.resident};
}

/// Fills a store in parts, opens it after each, and prints what that took.
std::vector<part_filled> fill_in_parts(const std::filesystem::path& folder, const store_size& size,
                                       command_line::status_line& watched) {
  std::printf("Filled with %s; killed after each tenth and opened, then closed and opened again:\n\n"
              "%13s  %7s  %8s  %6s   %6s  %9s  %6s   %8s\n%13s  %7s  %8s  %6s   %6s  %9s  %6s   %8s\n",
              size.told().c_str(), "events", "records", "on disk", "memory", "opened", "replayed", "memory", "reopened", "",
              "k/s", "B/event", "MiB", "s", "records", "MiB", "s");
  std::fflush(stdout);
  std::vector<part_filled> done;
  number_generator numbers;
  std::uint64_t there = 0;
  for (std::uint64_t part = 1; part <= parts; ++part) {
    const auto to = part * size.events / parts + numbers.below(size.events / (4 * parts));
    auto seen = fill_part(folder, size, there, to, watched);
    watched.show("opening");
    release_free_memory();
    auto killed = open_timed(folder);
    there = killed.store->last().value;
    if (there < seen.events) throw std::runtime_error("the store lost events that it had acknowledged");
    seen.open_seconds = killed.seconds;
    seen.replayed = killed.store->records_replayed();
    seen.open_resident = resident_bytes();
    killed.store.reset();
    const auto again = open_timed(folder);
    seen.open_again_seconds = again.seconds;
    if (again.store->records_replayed() != 0) throw std::runtime_error("the store was closed, and had records to replay");
    done.push_back(seen);
    watched.clear();
    std::printf("%13s  %7.0f  %8.0f  %6.0f   %6.2f  %9s  %6.0f   %8.2f\n", grouped(seen.events).c_str(),
                seen.records_per_second / 1e3, seen.disk / static_cast<double>(seen.events), seen.resident / mib,
                seen.open_seconds, grouped(seen.replayed).c_str(), seen.open_resident / mib, seen.open_again_seconds);
    std::fflush(stdout);
  }
  std::printf("The last tenth was filled %.2f times as fast as the first.\n\n",
              done.back().records_per_second / done.front().records_per_second);
  return done;
}

/// So that what is read next comes from the disk.
void drop_from_page_cache(const std::filesystem::path& folder) {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    const int file = ::open(entry.path().c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) continue;
    ::fdatasync(file);
    ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
  }
}

/// A runtime that may keep far fewer products live than there are.
class bounded_runtime {
public:
  bounded_runtime(std::shared_ptr<journal> store, std::uint64_t products)
      : products_(products),
        live_max_(std::min<std::uint64_t>(10'000, products / 10)), runtime_{{.journal = std::move(store),
                                                                             .bounds = {.live_aggregates_max = live_max_}}} {}

  /// One command after another, each for a product that is not live. Returns how long the answers took, in ms.
  std::vector<double> ask_cold(std::uint64_t commands) {
    constexpr std::uint64_t round_of_its_own = 1'000'003;
    std::vector<double> took_ms;
    for (std::uint64_t number = 0; number < commands; ++number) {
      stop_if_interrupted();
      const auto id = std::to_string(shuffled(number, products_, round_of_its_own));
      const auto start = steady::now();
      require_success({}, runtime_.ask<stock::Product>(id, stock::AddStock(1, reason), blocking));
      took_ms.push_back(1e3 * seconds_since(start));
    }
    return took_ms;
  }

  /// Keeps so many commands for random products in flight. Returns how many were answered in a second.
  double ask_random(std::size_t in_flight, double seconds) {
    std::uint64_t answered = 0;
    const auto start = steady::now();
    std::function<void()> ask = [&] {
      runtime_.ask<stock::Product>(std::to_string(numbers_.below(products_)), stock::AddStock(1, reason),
                                   asio::bind_executor(io_, [&](const boost::system::error_code& failed, const answer<>& answer) {
                                     stop_if_interrupted();
                                     require_success(failed, answer);
                                     ++answered;
                                     live_most_ = std::max<std::uint64_t>(live_most_, runtime_.statistics().live_aggregates);
                                     if (seconds_since(start) < seconds) ask();
                                   }));
    };
    for (std::size_t slot = 0; slot < in_flight; ++slot) ask();
    io_.run();
    return static_cast<double>(answered) / seconds_since(start);
  }

  std::uint64_t live_max() const { return live_max_; }
  std::uint64_t live_most() const { return live_most_; }

private:
  const std::uint64_t products_;
  const std::uint64_t live_max_;
  number_generator numbers_;
  std::uint64_t live_most_ = 0;
  asio::io_context io_{1};
  runtime runtime_;  // the first to go: until then it answers, also where an interrupt ends this
};

/// How fast products answer that are not live, one after the other and many at once.
void ask_bounded(std::shared_ptr<journal> store, std::uint64_t products, bool quick, command_line::status_line& watched) {
  bounded_runtime bounded(std::move(store), products);
  watched.show("asking cold products");
  const auto cold_ms = bounded.ask_cold(quick ? 100 : 1'000);
  watched.clear();
  std::printf("Cold products from disk, one command after another: p50 %.2f ms (goal: under 5), p99 %.2f ms\n", median(cold_ms),
              percentile(cold_ms, 0.99));
  std::fflush(stdout);
  const auto resident_before = resident_bytes();
  watched.show("writing to random products");
  const auto random_rate = bounded.ask_random(1'000, quick ? 0.3 : 20);
  watched.clear();
  std::printf("Random products, 1,000 commands in flight: %.0f commands/s; live at most %s with a limit of %s; "
              "%.0f MiB resident before and %.0f after\n",
              random_rate, grouped(bounded.live_most()).c_str(), grouped(bounded.live_max()).c_str(), resident_before / mib,
              resident_bytes() / mib);
}

/// How fast commands for some of the products are, all of them live, and how fast such commands are in a store of their own.
void compare_with_empty_store(std::shared_ptr<journal> store, std::uint64_t products, bool quick,
                              command_line::status_line& watched) {
  constexpr std::uint64_t round_of_its_own = 2'000'003;
  load what{.products = static_cast<std::size_t>(std::min<std::uint64_t>(50'000, products / 10)), .in_flight = 10'000};
  if (quick) what.warm_up_bytes = 0;
  std::vector<std::string> ids;
  for (std::uint64_t place = 0; place < what.products; ++place) {
    ids.push_back(std::to_string(shuffled(place, products, round_of_its_own)));
  }
  watched.show("making " + counted(what.products, "product") + " live");
  const auto start = steady::now();
  pipeline large(what, std::move(store), std::move(ids));
  const auto seconds = seconds_since(start);
  pipeline empty(what);
  std::vector<double> in_large, in_empty, ratios;
  for (int round = 0; round < (quick ? 1 : 5); ++round) {
    watched.show("writing to " + counted(what.products, "live product") + ", round " + std::to_string(round + 1));
    const auto length = quick ? 0.1 : 3.0;
    const auto [one, other] = in_turn(
        round, [&] { return large.run(length); }, [&] { return empty.run(length); });
    in_large.push_back(one / 1e3);
    in_empty.push_back(other / 1e3);
    ratios.push_back(one / other);
  }
  watched.clear();
  std::printf("%s live in %.1f s; then 10,000 commands in flight for them: %s k commands/s, in an empty store %s k: %s "
              "(goal: at least 0.8)\n",
              counted(what.products, "product").c_str(), seconds, with_spread(in_large, "%.0f").c_str(),
              with_spread(in_empty, "%.0f").c_str(), with_spread(ratios, "%.2f").c_str());
  std::fflush(stdout);
}

void require_room(const store_size& size) {
  const auto folder = std::filesystem::temp_directory_path();
  const auto wanted = bytes_per_event * (size.events + size.events / parts);  // the last process writes beyond
  const auto there = std::filesystem::space(folder).available;
  if (wanted <= there) return;
  throw std::runtime_error(size.told() + " take about " + grouped(wanted >> 30) + " GiB, and " + folder.string() + " has " +
                           grouped(there >> 30) + " left; TMPDIR names another folder");
}

int run_all(int argc, char** argv) {
  CLI::App app{
      "Fills a store with very many products, kills the process that does and opens the store after each tenth, then asks "
      "for cold products.",
      "scripts/benchmark scale"};
  app.formatter(std::make_shared<command_line::plain_help>());
  store_size size{.products = 100'000};
  bool quick = false;
  std::string path, folder_to_fill;
  app.add_option("--products", size.products, "How many products")
      ->type_name("N")
      ->capture_default_str()
      ->check(command_line::from(1'000, 100'000'000));
  app.add_option("--events", size.events, "How many events all products have together; 20 each where this is left out")
      ->type_name("N")
      ->check(command_line::from(1'000, 2'000'000'000));
  app.add_option("--json", path, "Write the figures to this file, for scripts/benchmark plot")
      ->type_name("FILE")
      ->check(command_line::not_empty());
  app.add_flag("--quick", quick, "A short, small run: shows that it runs, and nothing of how fast");
  app.add_option("--fill", folder_to_fill)->group("");  // for this program itself
  if (const auto end = command_line::ended_by_flags(app, app.get_name(), argc, argv)) return *end;
  if (quick) size = {.products = 10'000};
  if (size.events == 0) size.events = events_per_product * size.products;
  if (size.events < events_per_visit * size.products) {
    throw std::runtime_error("each product is visited at least once, so there must be " + std::to_string(events_per_visit) +
                             " events or more for each");
  }
  if (!folder_to_fill.empty()) fill(folder_to_fill, size);
  std::optional<command_line::output_file> file;
  if (!path.empty()) file.emplace(path);
  require_room(size);

  std::printf("%u cores, %s; a sync of 4 KiB takes %.2f ms\n\n", std::thread::hardware_concurrency(), processor().c_str(),
              1e3 * median_sync_seconds());
  std::fflush(stdout);
  command_line::status_line watched;
  const temporary_folder folder;
  const auto done = fill_in_parts(folder.path(), size, watched);
  const std::shared_ptr<journal> store = open_store(folder.path());
  compare_with_empty_store(store, size.products, quick, watched);
  drop_from_page_cache(folder.path());
  ask_bounded(store, size.products, quick, watched);
  if (quick) std::printf("\nA quick run says that everything runs; its figures mean nothing.\n");
  if (file) {
    plot_line rate, disk, resident, replayed, open_resident;
    plot_line killed{"after a kill", {}}, again{"after closing", {}};
    const auto add = [](plot_line& line, std::uint64_t x, double y) { line.points.push_back({static_cast<double>(x), y, y, y}); };
    for (const auto& after : done) {
      add(rate, after.events, after.records_per_second / 1e3);
      add(disk, after.events, after.disk / static_cast<double>(after.events));
      add(resident, after.events, after.resident / mib);
      add(killed, after.events, after.open_seconds);
      add(again, after.events, after.open_again_seconds);
      add(replayed, after.events, static_cast<double>(after.replayed) / 1e3);
      add(open_resident, after.events, after.open_resident / mib);
    }
    file->finish(
        plots_json("A store of " + size.told(),
                   {{"Filling", "events", "thousand records a second", false, {rate}},
                    {"Disk", "events", "bytes an event", false, {disk}},
                    {"Memory while filling, of a new process for each tenth", "events", "MiB resident", false, {resident}},
                    {"Opening", "events", "seconds", false, {killed, again}},
                    {"Replayed at opening after a kill", "events", "thousand records", false, {replayed}},
                    {"Memory after opening", "events", "MiB resident", false, {open_resident}}}));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_benchmark("scale_benchmark", run_all, argc, argv); }
