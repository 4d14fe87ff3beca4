// The load simulation: plays a shop's day against a runtime as fast as it goes, closes the store, opens it again, and proves that
// every product is as the answers said. This file has the flags and puts the parts together; read `simulate` downward.
#include "driver.hpp"
#include "movements.hpp"
#include "page.hpp"
#include "proof.hpp"
#include "report.hpp"
#include "workload.hpp"

#include "command_line/flags.hpp"
#include "command_line/output_file.hpp"

#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <optional>
#include <unordered_set>

namespace {

namespace fs = std::filesystem;
using namespace simulation;
using command_line::from;
using command_line::one_of;
using command_line::output_file;
using command_line::whole_number;
using clock = std::chrono::steady_clock;

enum exit_code { proved = 0, not_proved = 1, unusable = 2, interrupted = 130 };

struct settings {
  std::string replay;
  std::string opening = "enough";
  std::int64_t products = 3'000;
  std::int64_t commands = 4'000'000;
  std::int64_t seed = 1;
  std::int64_t clients = 8;
  std::int64_t in_flight = 4'000;
  std::int64_t batch = 1;
  std::string durability = "synced";
  std::int64_t snapshot_every = 500;
  std::int64_t passivate_after = 120'000;
  std::string data;
  std::string json;
  std::string html;
};

constexpr std::int64_t opening_max = 1'000'000'000'000;
constexpr int warnings_told_max = 3;

// Set by the first Ctrl-C; the second one ends the program at once.
stop_flag stop{false};

// -- flags

void add_flags(CLI::App& app, settings& chosen) {
  app.description("Plays a shop's day against cairn as fast as your machine allows: stock is sold, returned and delivered, many\n"
                  "products at once. Then it closes the store, opens it again, recovers every product, and proves that each\n"
                  "count is right. You get a report here and a page with plots.");
  app.footer("Without any option it makes up a day, in a store that is removed at the end. Some more to try:\n"
             "  load_simulation --replay sales.csv.zst         sales of a real shop\n"
             "  load_simulation --data stock                   keep the store; the next run goes on from there\n"
             "  load_simulation --in-flight 100                fewer at a time: less throughput, quicker answers\n"
             "Exit codes: 0 everything proved, 1 something is wrong, 2 wrong usage or input, 130 stopped by Ctrl-C.");
  app.name("load_simulation");
  app.formatter(std::make_shared<command_line::plain_help>());

  const std::string played = "What is played";
  auto* replay = app.add_option("--replay", chosen.replay,
                                "A CSV file with the columns InvoiceNo, StockCode, Quantity and\n"
                                "InvoiceDate, plain or as .zst; a negative quantity comes back");
  replay->group(played)->type_name("FILE");
  auto* opening = app.add_option("--opening", chosen.opening,
                                 "With --replay: the stock of each product at the start; 'enough' is\n"
                                 "as much as is sold of it, and with less, sales are refused");
  opening->group(played)->type_name("N")->capture_default_str()->needs(replay);
  opening->check(CLI::Validator([](std::string& text) { return text == "enough" ? "" : from(0, opening_max)(text); }, ""));

  const auto number = [&](const char* name, std::int64_t& into, const char* what, std::int64_t least, std::int64_t most,
                          const std::string& group) {
    return app.add_option(name, into, what)->check(from(least, most))->capture_default_str()->type_name("N")->group(group);
  };
  number("--products", chosen.products, "Products of the made-up day; few sell most", 1, 10'000'000, played)->excludes(replay);
  number("--commands", chosen.commands, "Sales, returns and deliveries of that day", 1, movements_max, played)->excludes(replay);
  number("--seed", chosen.seed, "Another number makes another day", 0, std::numeric_limits<std::int64_t>::max(), played)
      ->excludes(replay);

  const std::string hard = "How hard";
  number("--clients", chosen.clients, "Clients that share the products among them", 1, 10'000, hard);
  number("--in-flight", chosen.in_flight, "Commands sent and not yet answered, of all clients", 1, 10'000'000, hard);
  number("--batch", chosen.batch, "Commands that a client hands over in one call, to be answered together", 1, 10'000, hard);

  const std::string stored = "How it is stored";
  app.add_option("--data", chosen.data, "A folder for the store, which is kept; without it, a temporary one")
      ->group(stored)
      ->type_name("DIR");
  app.add_option("--durability", chosen.durability,
                 "'synced': an answered command survives a power cut; 'buffered':\nonly the death of the program")
      ->check(one_of("synced", "buffered"))
      ->capture_default_str()
      ->type_name("HOW")
      ->group(stored);
  number("--snapshot-every", chosen.snapshot_every, "Events of a product from snapshot to snapshot; 0: none", 0, 1'000'000'000,
         stored);
  number("--passivate-after", chosen.passivate_after, "Milliseconds after which an idle product leaves memory; 0: never", 0,
         86'400'000, stored);

  app.add_option("--json", chosen.json, "Write the figures to this file, for programs")->group("What you get")->type_name("FILE");
  app.add_option("--html", chosen.html,
                 "Write the page with the plots to this file; otherwise it is\n"
                 "load_simulation.html, in build/ where there is one")
      ->group("What you get")
      ->type_name("FILE");
  app.set_help_flag("-h,--help", "This text")->group("What you get");
}

// -- the parts of a run

/// Says it on standard output; throws bad_input where nobody can hear it.
void say(const std::string& text) {
  errno = 0;
  std::cout << text << std::flush;
  if (!std::cout) throw bad_input(std::string("cannot write to standard output: ") + std::strerror(errno) + ".");
}

/// Throws bad_input where figures and page would overwrite each other. What is no ordinary file (a pipe, say) may take both.
void refuse_one_file_for_both(const fs::path& json, const fs::path& html) {
  std::error_code unknown;
  if (json.empty() || (fs::exists(json, unknown) && !fs::is_regular_file(json, unknown))) return;
  const auto whole = [&](const fs::path& path) { return fs::weakly_canonical(fs::absolute(path, unknown), unknown); };
  if (whole(json) != whole(html)) return;
  throw bad_input("cannot write both the figures (--json) and the page (--html) to " + json.string() +
                  "; give each a file of its own.");
}

/// Where the store is: a folder of the user's, or a temporary one that goes when the program does.
class store_folder {
public:
  explicit store_folder(const std::string& chosen) : path_(chosen), temporary_(chosen.empty()) {
    if (!temporary_) return;
    std::error_code unknown;
    auto name = (fs::temp_directory_path(unknown) / "cairn-load-simulation-XXXXXX").string();
    if (unknown || !mkdtemp(name.data())) {
      throw bad_input("cannot make a temporary folder: " + (unknown ? unknown.message() : std::strerror(errno)) +
                      "; set TMPDIR to another place, or give one with --data.");
    }
    path_ = name;
  }
  ~store_folder() {
    std::error_code ignored;
    if (temporary_) fs::remove_all(path_, ignored);
  }
  store_folder(const store_folder&) = delete;
  store_folder& operator=(const store_folder&) = delete;

  const fs::path& path() const { return path_; }
  bool temporary() const { return temporary_; }
  std::uint64_t bytes() const {
    std::uint64_t sum = 0;
    for (const auto& entry : fs::recursive_directory_iterator(path_)) sum += entry.is_regular_file() ? entry.file_size() : 0;
    return sum;
  }

private:
  fs::path path_;
  bool temporary_;
};

std::shared_ptr<cairn::journal> open_store(const store_folder& folder, const settings& chosen, progress& shown) {
  cairn::store_options options;
  // After an end that was none, records are read to find out what there is.
  options.opening = [&shown](std::uint64_t done, std::uint64_t of) {
    shown.doing("opening the store: " + grouped(done) + " of " + grouped(of) + " records of its log read");
  };
  options.durability = chosen.durability == "synced" ? cairn::durability::synced : cairn::durability::buffered;
  try {
    return cairn::open_store(folder.path(), options);
  } catch (const cairn::error& refused) { throw bad_input("cannot open the store: " + refused.detail() + "."); }
}

cairn::runtime_options runtime_over(std::shared_ptr<cairn::journal> journal, const settings& chosen) {
  cairn::runtime_options options;
  options.journal = std::move(journal);
  options.in_flight_max = static_cast<std::size_t>(chosen.in_flight) + 1'000;  // room for the recoveries, too
  // The clients bound what is in flight; all of it may be meant for one product that is still being recovered.
  options.bounds.recovery_queue_max = options.in_flight_max;
  options.bounds.snapshot_every_events = static_cast<std::uint64_t>(chosen.snapshot_every);
  options.bounds.passivate_after = std::chrono::milliseconds(chosen.passivate_after);
  // When a disk is full, thousands say so; the first few tell it all.
  options.on_warning = [told = std::make_shared<std::atomic<int>>(0)](const std::string& sentence) {
    if (told->fetch_add(1) < warnings_told_max) cairn::runtime_options::warn_on_stderr(sentence);
  };
  return options;
}

workload work_to_do(const settings& chosen) {
  if (chosen.replay.empty()) {
    return synthetic_day({static_cast<std::uint32_t>(chosen.products), static_cast<std::uint64_t>(chosen.commands),
                          static_cast<std::uint64_t>(chosen.seed)},
                         stop);
  }
  auto sales = read_movements(chosen.replay, stop);
  if (stop) return sales;
  auto openings = enough_of_each(sales);
  if (const auto each = whole_number(chosen.opening)) std::fill(openings.begin(), openings.end(), *each);
  sales.open_with(openings, sales.movements.empty() ? cairn::timestamp{} : sales.movements.front().occurred_at);
  return sales;
}

void append(std::vector<std::string>& all, const std::vector<std::string>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

/// Plays the workload, and leaves what was found in `about`.
void play(cairn::runtime& runtime, const workload& work, std::vector<standing>& books, const drive_options& options,
          progress& shown, report& about) {
  driver clients(runtime, work, books, options, stop);
  timeline samples;
  const auto start = clock::now();
  const auto look = [&] {
    samples.take(std::chrono::duration<double>(clock::now() - start).count(), clients.latency(), runtime.statistics());
  };
  clients.start();
  while (!clients.finished_within(std::chrono::milliseconds(25))) {
    look();
    shown.show(clients.latency().count(), work.movements.size(), samples.samples());
  }
  look();
  about.passivations = runtime.statistics().passivations;
  shown.doing("finishing and closing");
  const auto draining = clock::now();
  // Without last snapshots, so that the recovery has snapshots and events to read, as after a crash.
  runtime.drain(cairn::drain_snapshots::no, cairn::blocking);
  about.drain_seconds = std::chrono::duration<double>(clock::now() - draining).count();

  about.commands = clients.result();
  about.seconds = clients.seconds();
  about.latency = clients.latency();
  about.timeline = samples.samples();
  const auto counters = runtime.statistics();
  about.events = counters.events;
  about.commits = counters.commits;
  about.commit_ns = counters.commit_ns;
  about.snapshots = counters.snapshots_saved;
  about.failed_snapshots = counters.failed_snapshots;
  about.faults = about.commands.faults;
}

/// What the earlier runs left: each product as the log has it must be as the runtime recovers it. Adds the products that this run
/// does not know to `work`, and gives the standings of all.
std::vector<standing> earlier_products(cairn::runtime& runtime, const cairn::journal& store, workload& work, report& about) {
  const auto log = fold_log(store, stop);
  std::unordered_set<std::string> known(work.products.begin(), work.products.end());
  std::vector<std::string> others;
  for (const auto& [id, unused] : log.products) {
    if (!known.contains(id)) others.push_back(id);
  }
  std::sort(others.begin(), others.end());
  append(work.products, others);
  const auto found = recover_all(runtime, work.products, stop);
  about.faults = log.faults;
  append(about.faults, found.faults);
  append(about.faults, differences(work.products, "the log", in_order(log, work.products), "recovered", found.products));
  if (about.faults.empty() && !stop) {
    say("The store has " + counted(log.records, "event") + " of earlier runs: " + counted(log.products.size(), "product") +
        ", each recovered as its history says.\n");
  }
  return found.products;
}

/// Where each product must stand if nothing was refused: what it had and what the movements add, without looking at any answer.
std::vector<standing> sums_of(const workload& work, std::vector<standing> at_start) {
  for (const auto& move : work.movements) {
    at_start[move.product].count += move.kind == movement_kind::sold ? -move.count : move.count;
    ++at_start[move.product].version;
  }
  return at_start;
}

/// Opens the store anew and compares all that it holds with the clients' books.
void prove(const store_folder& folder, const settings& chosen, const workload& work, const std::vector<standing>& at_start,
           const std::vector<standing>& books, progress& shown, report& about) {
  shown.doing("opening the store again");
  const auto opening = clock::now();
  auto journal = open_store(folder, chosen, shown);
  about.open_seconds = std::chrono::duration<double>(clock::now() - opening).count();
  shown.doing("folding the log by hand");
  about.log = fold_log(*journal, stop);
  shown.doing("folding it by the domain");
  about.domain = fold_by_domain(*journal, work.products, stop);
  shown.doing("recovering every product");
  cairn::runtime runtime(runtime_over(std::move(journal), chosen));
  about.cold = recover_all(runtime, work.products, stop);
  runtime.drain(cairn::drain_snapshots::no, cairn::blocking);
  shown.clear();

  const auto folded = in_order(about.log, work.products);
  for (const auto& one : folded) {
    if (one.version > 0) about.events_per_product.push_back(one.version);
  }
  std::sort(about.events_per_product.begin(), about.events_per_product.end());
  about.store_bytes = folder.bytes();

  append(about.faults, about.log.faults);
  append(about.faults, about.domain.faults);
  append(about.faults, about.cold.faults);
  append(about.faults, differences(work.products, "by the answers", books, "by the log", folded));
  append(about.faults, differences(work.products, "by the log", folded, "by the domain", about.domain.products));
  append(about.faults, differences(work.products, "by the answers", books, "recovered", about.cold.products));
  const bool nothing_refused = about.commands.rejected.empty();
  if (nothing_refused) {
    append(about.faults,
           differences(work.products, "by the movements", sums_of(work, at_start), "recovered", about.cold.products));
  }
  about.proved = about.faults.empty();
  about.verdict = counted(work.products.size(), "product") + " recovered; every closing count and version is right" +
                  (nothing_refused ? ", and each count is the opening stock less what was sold." : ".");
  if (!about.proved) about.verdict = "Something is wrong: what was answered is not what is there.";
}

// -- the run

int wrong(report& about) {
  std::cerr << (about.verdict.empty() ? "Something is wrong; nothing was proved." : about.verdict) << "\n";
  for (const auto& fault : about.faults) std::cerr << "  " << fault << "\n";
  return not_proved;
}

int simulate(settings chosen) {
  chosen.clients = std::min(chosen.clients, chosen.in_flight);
  if (chosen.html.empty()) chosen.html = fs::is_directory("build") ? "build/load_simulation.html" : "load_simulation.html";

  refuse_one_file_for_both(chosen.json, chosen.html);

  // All that can be wrong with what was asked for is found before the store is touched.
  output_file html(chosen.html);
  std::optional<output_file> json;
  if (!chosen.json.empty()) json.emplace(chosen.json);
  progress shown;
  shown.doing(chosen.replay.empty() ? "making up the day" : "reading " + chosen.replay);
  auto work = work_to_do(chosen);
  shown.clear();
  if (stop) {
    say("Stopped before anything was played.\n");
    return interrupted;
  }

  report about;
  about.title = work.title;
  about.products = about.openings = work.products.size();
  about.movements = work.movements.size() - about.openings;
  about.skipped = work.skipped;
  about.clients = static_cast<std::size_t>(chosen.clients);
  about.in_flight = static_cast<std::size_t>(chosen.in_flight);
  about.batch = static_cast<std::size_t>(chosen.batch);
  about.durability = chosen.durability;
  about.snapshot_every = static_cast<std::uint64_t>(chosen.snapshot_every);
  say("Playing " + work.title + ": " + counted(about.movements, "movement") + " of " + counted(about.products, "product") +
      (work.skipped > 0
           ? " (and " + counted(work.skipped, "line") + (work.skipped == 1 ? " that moves" : " that move") + " nothing)"
           : "") +
      ".\n" + counted(about.clients, "client") + ", up to " + counted(about.in_flight, "command") + " in flight" +
      in_batches(about) + ", " + chosen.durability + ".\n");

  const store_folder folder(chosen.data);
  std::vector<standing> at_start(work.products.size());
  auto books = at_start;
  {
    auto journal = open_store(folder, chosen, shown);
    const auto& store = *journal;
    about.events_before = store.last().value;
    cairn::runtime runtime(runtime_over(std::move(journal), chosen));
    drive_options options{about.clients, about.in_flight, {}, about.batch};
    if (about.events_before > 0) {
      shown.doing("looking at what earlier runs have left");
      books = at_start = earlier_products(runtime, store, work, about);
      shown.clear();
      if (stop) return interrupted;
      if (!about.faults.empty()) return wrong(about);
      // A product that is there already and gets nothing more needs no opening.
      std::erase_if(work.movements, [&](const movement& one) {
        return one.kind == movement_kind::opening && one.count == 0 && books[one.product].version > 0;
      });
      about.openings = work.movements.size() - about.movements;
      options.run = "@" + std::to_string(about.events_before);
    }
    play(runtime, work, books, options, shown, about);
    shown.clear();
  }
  if (about.commands.failed > 0 || !about.faults.empty()) return wrong(about);
  if (stop) {
    say("Stopped after " + grouped(about.commands.answered) + " of " + counted(work.movements.size(), "command") + ". " +
        (folder.temporary() ? "The temporary store is removed.\n"
                            : "All that was answered is in " + folder.path().string() + ".\n"));
    return interrupted;
  }
  prove(folder, chosen, work, at_start, books, shown, about);
  if (stop) {
    say("Stopped while the proof was made; nothing is proved.\n");
    return interrupted;
  }

  say(as_text(about) + "\n" + (about.proved ? about.verdict + "\n" : ""));
  html.finish(as_page(about));
  if (json) json->finish(as_json(about));
  say("Plots: " + html.path().string() + "\n");
  if (!folder.temporary()) say("Store: " + folder.path().string() + "\n");
  return about.proved ? proved : wrong(about);
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  CLI::App app;
  add_flags(app, chosen);
  if (const auto end = command_line::ended_by_flags(app, "load_simulation", argc, argv)) return *end;

  struct sigaction at_signal {};
  at_signal.sa_handler = [](int) { stop = true; };
  at_signal.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  for (const auto signal : {SIGINT, SIGTERM}) sigaction(signal, &at_signal, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a write that fails says so itself

  try {
    return simulate(chosen);
  } catch (const bad_input& reason) {
    std::cerr << reason.what() << "\n";
    return unusable;
  } catch (const cairn::error& reason) {
    std::cerr << "The simulation failed: " << reason.detail() << "\n";
    return not_proved;
  } catch (const std::exception& reason) {
    std::cerr << "The simulation failed: " << reason.what() << "\n";
    return not_proved;
  }
}
