// `cairn`: what can be done to a store from outside, while no program has it open. One function for each command; main() has the
// flags and says what went wrong.
#include "command_line/flags.hpp"
#include "command_line/input_file.hpp"
#include "command_line/output_file.hpp"
#include "command_line/terminal.hpp"
#include "command_line/text.hpp"

#include <cairn/journal_export.hpp>
#include <cairn/rocksdb_journal.hpp>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;
using command_line::bad_input;
using command_line::counted;
using command_line::grouped;

enum exit_code { fine = 0, failed = 1, unusable = 2, interrupted = 130 };

struct settings {
  std::string folder;
  std::string backups;
  std::string head;
  std::string format = "ndjson";
  std::string output;
  std::string input;
  bool intact = false;
  std::int64_t keep = 2;
};

// Set by the first Ctrl-C; the second one ends the program at once.
std::atomic<bool> stop{false};
// Has something to read from then on, so that what waits for input wakes up.
int stop_wakes = -1;

struct stopped {};

extern "C" void at_stop(int) {
  const int before = errno;
  stop = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = write(stop_wakes, &one, sizeof one);
  errno = before;
}

void require_going_on() {
  if (stop) throw stopped();
}

// -- what is said meanwhile and in the end

/// Says it on standard output; throws bad_input where nobody can hear it.
void say(const std::string& text) {
  errno = 0;
  std::cout << text << std::flush;
  if (!std::cout) throw bad_input(std::string("cannot write to standard output: ") + std::strerror(errno) + ".");
}

/// Shows how long work comes on, and ends it where somebody wants that.
class progress {
public:
  /// How much of an input of known size has been read, 0 to 1; asked where nobody knows the number of records.
  using share_function = std::function<double()>;

  cairn::progress_function function(const std::string& what, const share_function& read = {}) {
    return [this, what, read](std::uint64_t done, std::uint64_t of) {
      require_going_on();
      show(what, done, of, of == 0 && read ? std::optional(read()) : std::nullopt);
    };
  }
  /// Shows nothing, and ends the work all the same.
  static cairn::progress_function unseen() {
    return [](std::uint64_t, std::uint64_t) { require_going_on(); };
  }
  void clear() { line_.clear(); }

private:
  void show(const std::string& what, std::uint64_t done, std::uint64_t of, std::optional<double> share) {
    if (of > 0) share = static_cast<double>(std::min(done, of)) / static_cast<double>(of);
    auto text = what + "  " + grouped(done) + (of > 0 ? " of " + grouped(std::max(done, of)) : "") + " records";
    if (share) {
      text = command_line::percent_of(*share) + "  " + text;
      const auto taken = command_line::width_of(text) + 2;
      const auto room = command_line::status_line::columns() - std::min(taken, command_line::status_line::columns());
      if (room >= command_line::bar_min) {
        text = command_line::bar(*share, std::min(room, command_line::bar_max)) + "  " + text;
      }
    }
    line_.show(text);
  }

  command_line::status_line line_;
};

class stopwatch {
public:
  std::string text() const {
    const auto taken = std::chrono::steady_clock::now() - start_;
    return command_line::as_time(static_cast<std::uint64_t>(std::chrono::nanoseconds(taken).count()));
  }

private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

// -- stores

/// Throws bad_input where there is no store: opening would make one.
void require_store(const fs::path& folder) {
  std::error_code failure;
  const auto require_readable = [&] {
    if (failure) throw bad_input("cannot read the folder '" + folder.string() + "': " + failure.message() + ".");
  };
  const auto found = fs::status(folder, failure);
  if (found.type() == fs::file_type::none) require_readable();
  if (found.type() != fs::file_type::directory) throw bad_input("there is no folder '" + folder.string() + "'.");
  failure.clear();
  if (fs::exists(folder / "CURRENT", failure)) return;
  require_readable();
  fs::directory_iterator files(folder, failure);
  for (; !failure && files != fs::directory_iterator(); files.increment(failure)) {
    if (files->path().extension() == ".sst") return;  // a damaged one, of which opening says what is wrong
  }
  require_readable();
  throw bad_input("there is no store in '" + folder.string() + "'.");
}

std::unique_ptr<cairn::rocksdb_store> open_store(const std::string& folder, progress& shown) {
  require_store(folder);
  return cairn::rocksdb_journal(folder, {.opening = shown.function("opening")});
}

int verify_and_tell(const settings& chosen, const std::optional<cairn::chain_head>& noted) {
  const stopwatch watch;
  progress shown;
  const auto store = open_store(chosen.folder, shown);
  const auto found = store->verify({.noted = noted, .progress = shown.function("verifying")});
  shown.clear();
  say(chosen.folder + " is whole" + (noted ? ", and its history goes through the noted head" : "") + ".\n" + "  records  " +
      grouped(found.records) + "\n" + "  chunks   " + grouped(found.chunks) + "\n" + "  indexed  " + grouped(found.indexed) +
      "\n" + "  took     " + watch.text() + "\n" + "  head     " + to_string(found.head) + "\n" +
      "Note the head elsewhere than beside the store; cairn verify --head shows later that nothing was changed up to there.\n");
  return fine;
}

// -- the commands

int verify(const settings& chosen) {
  return verify_and_tell(chosen, chosen.head.empty() ? std::nullopt : std::optional(cairn::parse_chain_head(chosen.head)));
}

/// Writes to `out` and says on standard error where a damaged store ends.
cairn::intact_export export_to(std::ostream& out, const settings& chosen, progress& shown) {
  cairn::export_options options;
  options.format = chosen.format == "msgpack" ? cairn::export_format::msgpack : cairn::export_format::ndjson;
  // On one terminal the records are the progress.
  const bool seen = !chosen.output.empty() || isatty(STDOUT_FILENO) == 0;
  options.progress = seen ? shown.function("exporting") : progress::unseen();
  if (!chosen.intact) return {open_store(chosen.folder, shown)->export_to(out, options), {}};
  require_store(chosen.folder);
  return cairn::export_intact_records(chosen.folder, out, options);
}

/// As /dev/stdout is. A file behind it must not be opened anew, which would begin at its beginning, nor be replaced.
bool is_standard_output(const std::string& path) {
  struct stat named {};
  struct stat standard {};
  return stat(path.c_str(), &named) == 0 && fstat(STDOUT_FILENO, &standard) == 0 && named.st_dev == standard.st_dev &&
         named.st_ino == standard.st_ino;
}

int export_store(const settings& chosen) {
  progress shown;
  cairn::intact_export result;
  const auto summary = [&] {
    return counted(result.head.through.value, "record") + " in " + chosen.output + "\nhead " + to_string(result.head) + "\n";
  };
  if (chosen.output.empty() || is_standard_output(chosen.output)) {
    result = export_to(std::cout, chosen, shown);
    shown.clear();
    if (!chosen.output.empty()) std::cerr << summary();
  } else {
    command_line::output_file file(chosen.output);
    result = export_to(file.stream(), chosen, shown);
    file.finish();
    shown.clear();
    // What is no ordinary file may lead to where standard output does.
    if (file.direct()) {
      std::cerr << summary();
    } else {
      say(summary());
    }
  }
  if (result.damage.empty()) return fine;
  std::cerr << "Exported up to position " << result.head.through.value << ", and no further: " << result.damage
            << ". The export is complete up to there and can be imported.\n";
  return failed;
}

int import_store(const settings& chosen) {
  progress shown;
  cairn::chain_head head;
  try {
    command_line::input_file file(chosen.input, stop_wakes);
    progress::share_function read;
    if (file.has_size()) read = [&] { return file.share(); };
    const auto tell = [reading = shown.function("reading", read), checking = shown.function("checking")](auto done, auto of) {
      (of == 0 ? reading : checking)(done, of);
    };
    head = cairn::import_rocksdb_journal(file.stream(), chosen.folder, tell);
  } catch (const std::exception&) {
    // An input that ends too soon then, or that cannot be read, does so for the same reason.
    require_going_on();
    throw;
  }
  shown.clear();
  say(counted(head.through.value, "record") + " in " + chosen.folder + ", equal to the store that was exported\nhead " +
      to_string(head) + "\n");
  return fine;
}

int back_up(const settings& chosen) {
  progress shown;
  const auto store = open_store(chosen.folder, shown);
  shown.clear();
  require_going_on();  // from here on a backup comes to its end; what the second Ctrl-C leaves of it goes with the next one
  const auto through = store->backup(chosen.backups, static_cast<std::size_t>(chosen.keep));
  say(chosen.backups + " has a backup of " + chosen.folder + ": " + counted(through.value, "record") + "\nhead " +
      to_string(store->head()) + "\n");
  return fine;
}

int restore(const settings& chosen) {
  cairn::restore_rocksdb_journal(chosen.backups, chosen.folder);
  try {
    require_going_on();
    return verify_and_tell(chosen, std::nullopt);
  } catch (const stopped&) {
    std::cerr << chosen.folder << " is restored, and not verified yet; cairn verify does that. ";
    throw;
  }
}

int rebuild(const settings& chosen) {
  const stopwatch watch;
  progress shown;
  require_store(chosen.folder);
  cairn::strip_rocksdb_journal(chosen.folder);
  auto store = cairn::rocksdb_journal(chosen.folder, {.opening = shown.function("indexing")});
  const auto records = store->records_replayed();
  store.reset();  // writes the index behind
  const auto left = cairn::rocksdb_journal(chosen.folder)->records_replayed();
  shown.clear();
  if (left > 0) {
    throw bad_input("the index of " + chosen.folder +
                    " could not be written; is the disk full? The store works without, and tries again.");
  }
  say(chosen.folder + " is made of its log alone: the index has " + counted(records, "record") + " again, in " + watch.text() +
      ", and there are no snapshots until new ones are taken.\n");
  return fine;
}

// -- flags

using command = int (*)(const settings&);

command command_in(CLI::App& app, int argc, char** argv, settings& chosen) {
  app.name("cairn");
  app.description("Looks after a store of cairn's while no program has it open.");
  app.set_help_flag("-h,--help", "This text");
  const auto help = std::make_shared<command_line::plain_help>();
  help->label("SUBCOMMAND", "COMMAND");
  help->label("Positionals", "Folders");
  app.formatter(help);
  app.require_subcommand(1);

  command asked = nullptr;
  const auto add = [&](const char* name, command run, const std::string& description) {
    auto* const one = app.add_subcommand(name, description);
    one->group("Commands");
    one->callback([&asked, run] { asked = run; });
    return one;
  };
  const auto place = [](CLI::App* one, const char* name, std::string& into, const char* description) {
    one->add_option(name, into, description)->required()->check(command_line::not_empty())->type_name("");
  };

  auto* const verifying = add("verify", verify, "Reads all that is stored and checks all there is to check");
  place(verifying, "FOLDER", chosen.folder, "Where the store is");
  verifying->add_option("--head", chosen.head, "A head that was noted earlier: the history must go through it")
      ->check(command_line::not_empty())
      ->type_name("HEAD");

  auto* const exporting = add("export", export_store, "Writes every record, for people, other programs or another store");
  place(exporting, "FOLDER", chosen.folder, "Where the store is");
  exporting->add_option("--format", chosen.format, "'ndjson': one JSON object a line; 'msgpack': the same, smaller")
      ->check(command_line::one_of("ndjson", "msgpack"))
      ->type_name("HOW")
      ->capture_default_str();
  exporting->add_option("--output", chosen.output, "Write to this file instead of standard output")
      ->check(command_line::not_empty())
      ->type_name("FILE");
  exporting->add_flag("--intact", chosen.intact,
                      "Write what comes before the first damage of a damaged store, and say\n"
                      "where that is; exits with 1 where there is damage");

  auto* const importing = add("import", import_store, "Makes a store of an export, equal to the one that was exported");
  place(importing, "FOLDER", chosen.folder, "Where the store is to be; empty, or not there yet");
  importing->add_option("--input", chosen.input, "Read this file instead of standard input; either format")
      ->check(command_line::not_empty())
      ->type_name("FILE");

  auto* const backing_up = add("backup", back_up, "Adds a backup, copying only what the earlier ones lack");
  place(backing_up, "FOLDER", chosen.folder, "Where the store is");
  place(backing_up, "BACKUPS", chosen.backups, "Where the backups are; each store needs a folder of its own");
  backing_up->add_option("--keep", chosen.keep, "Keep so many of the newest backups")
      ->check(command_line::from(1, 1'000'000))
      ->type_name("N")
      ->capture_default_str();

  auto* const restoring = add("restore", restore, "Makes the store of the newest backup, and verifies it");
  place(restoring, "BACKUPS", chosen.backups, "Where the backups are");
  place(restoring, "FOLDER", chosen.folder, "Where the store is to be; empty, or not there yet");

  auto* const rebuilding = add("rebuild", rebuild, "Makes the store of its log alone, where the index or snapshots are damaged");
  place(rebuilding, "FOLDER", chosen.folder, "Where the store is");

  for (auto* const one : app.get_subcommands({})) one->set_help_flag("-h,--help", "This text");
  // Not before the commands are there, which would take it over.
  app.footer("cairn COMMAND --help has more on each. Some to try:\n"
             "  cairn verify stock                             is everything as it was written?\n"
             "  cairn export stock | zstd > stock.ndjson.zst   every record, a line each\n"
             "  zstdcat stock.ndjson.zst | cairn import copy   an equal store\n"
             "Exit codes: 0 fine, 1 damage was found or it could not be done, 2 wrong usage, 130 stopped by Ctrl-C.");
  if (argc > 1 && argv[1][0] != '-') {
    const std::string given = argv[1];
    std::string known;
    bool found = false;
    for (const auto* const one : app.get_subcommands({})) {
      found = found || one->get_name() == given;
      known += (known.empty() ? "" : ", ") + one->get_name();
    }
    if (!found) throw CLI::ParseError("there is no command '" + given + "'; there are " + known, unusable);
  }
  app.parse(argc, argv);
  return asked;
}

/// A file that is opened later must not become standard output by getting its number. Reading or writing what was closed fails as
/// before.
void occupy_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    const int opened = open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY);  // gets the least free number, this one
    if (opened != stream) std::abort();
  }
}

}  // namespace

int main(int argc, char** argv) {
  occupy_standard_streams();
  std::ios::sync_with_stdio(false);
  settings chosen;
  CLI::App app;
  command run = nullptr;
  const auto name = [&] {
    const auto subcommands = app.get_subcommands();
    return subcommands.empty() ? std::string("cairn") : "cairn " + subcommands.front()->get_name();
  };
  try {
    run = command_in(app, argc, argv, chosen);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;
    return std::cout ? fine : unusable;
  } catch (const CLI::ParseError& wrong_usage) {
    std::cerr << wrong_usage.what() << ". Try " << name() << " --help.\n";
    return unusable;
  }

  stop_wakes = eventfd(0, EFD_CLOEXEC);
  struct sigaction at_signal {};
  at_signal.sa_handler = at_stop;
  at_signal.sa_flags = static_cast<int>(SA_RESETHAND);  // and no SA_RESTART: what waits is to stop waiting
  for (const auto signal : {SIGINT, SIGTERM}) sigaction(signal, &at_signal, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a write that fails says so itself

  try {
    return run(chosen);
  } catch (const stopped&) {
    std::cerr << "Stopped.\n";
    return interrupted;
  } catch (const bad_input& reason) {
    std::cerr << name() << ": " << reason.what() << "\n";
    return unusable;
  } catch (const cairn::error& reason) {
    std::cerr << name() << ": " << reason.detail() << ".\n";
    return reason.kind() == cairn::errc::invalid_argument ? unusable : failed;
  } catch (const std::exception& reason) {
    std::cerr << name() << ": " << reason.what() << "\n";
    return failed;
  }
}
