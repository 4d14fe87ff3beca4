// The command `cairn`: maintenance of a store from outside. One function for each command; main() has the flags, and says what
// went wrong.
#include "command_line/flags.hpp"
#include "command_line/input_file.hpp"
#include "command_line/output_buffer.hpp"
#include "command_line/output_file.hpp"
#include "command_line/terminal.hpp"
#include "command_line/text.hpp"

#include <cairn/error.hpp>
#include <cairn/maintenance.hpp>
#include <cairn/store.hpp>
#include <cairn/version.hpp>

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
#include <new>
#include <optional>
#include <ostream>
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
  std::string backup;
  std::string head;
  std::string format = "ndjson";
  std::string output;
  std::string input;
  bool salvage = false;
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
  command_line::output_buffer buffer(STDOUT_FILENO, stop_wakes);
  std::ostream out(&buffer);
  out << text << std::flush;
  if (out) return;
  const int reason = errno;
  require_going_on();
  throw bad_input(std::string("cannot write to standard output: ") + std::strerror(reason) + ".");
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

// -- the commands

int verify_and_tell(const settings& chosen, const std::optional<cairn::chain_head>& noted) {
  const stopwatch watch;
  progress shown;
  const auto found = cairn::verify_store(chosen.folder, {.noted = noted, .progress = shown.function("verifying")});
  shown.clear();
  say(chosen.folder + " is whole" + (noted ? ", and its history goes through the noted head" : "") + ".\n" + "  records  " +
      grouped(found.records) + "\n" + "  chunks   " + grouped(found.chunks) + "\n" + "  indexed  " +
      (found.indexed ? grouped(*found.indexed) : "not checked: the store is open, or has no index yet") + "\n" + "  took     " +
      watch.text() + "\n" + "  head     " + to_string(found.head) + "\n" +
      "Note the head elsewhere than beside the store; cairn verify --head shows later that nothing was changed up to there.\n");
  return fine;
}

int verify(const settings& chosen) {
  return verify_and_tell(chosen, chosen.head.empty() ? std::nullopt : std::optional(cairn::parse_chain_head(chosen.head)));
}

/// Writes to `out`; says on standard error where a damaged store ends.
cairn::salvaged export_to(std::ostream& out, const settings& chosen, progress& shown) {
  cairn::export_options options;
  options.format = chosen.format == "msgpack" ? cairn::export_format::msgpack : cairn::export_format::ndjson;
  // On one terminal the records are the progress.
  const bool seen = !chosen.output.empty() || isatty(STDOUT_FILENO) == 0;
  options.progress = seen ? shown.function("exporting") : progress::unseen();
  if (chosen.salvage) return cairn::salvage_store(chosen.folder, out, options);
  return {cairn::export_store(chosen.folder, out, options), {}};
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
  cairn::salvaged result;
  const auto summary = [&] {
    return counted(result.head.through.value, "record") + " in " + chosen.output + "\nhead " + to_string(result.head) + "\n";
  };
  try {
    if (chosen.output.empty() || is_standard_output(chosen.output)) {
      command_line::output_buffer buffer(STDOUT_FILENO, stop_wakes);
      std::ostream out(&buffer);
      result = export_to(out, chosen, shown);
      shown.clear();
      if (!chosen.output.empty()) std::cerr << summary();
    } else {
      command_line::output_file file(chosen.output, stop_wakes);
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
  } catch (const std::exception&) {
    // An output that takes no more then does so for the same reason.
    require_going_on();
    throw;
  }
  if (result.damage.empty()) return fine;
  std::cerr << "Exported the records up to position " << result.head.through.value << ", and no more: " << result.damage
            << "\nThe export is complete up to there and can be imported.\n";
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
    head = cairn::import_store(file.stream(), chosen.folder, tell);
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
  const auto made = cairn::backup_store(chosen.folder, chosen.backup, shown.function("backing up"));
  shown.clear();
  say(chosen.backup + " is a backup of " + chosen.folder + ": " + counted(made.head.through.value, "record") + ", " +
      grouped(made.copied) + " bytes copied\nhead " + to_string(made.head) + "\n");
  return fine;
}

int restore(const settings& chosen) {
  progress shown;
  const auto head = cairn::restore_store(chosen.backup, chosen.folder, shown.function("restoring"));
  shown.clear();
  say(chosen.folder + " is restored and whole: " + counted(head.through.value, "record") + "\nhead " + to_string(head) + "\n");
  return fine;
}

int rebuild(const settings& chosen) {
  const stopwatch watch;
  progress shown;
  cairn::rebuild_store(chosen.folder);
  const auto records = cairn::open_store(chosen.folder, {.opening = shown.function("indexing")})->records_replayed();
  shown.clear();
  say(chosen.folder + " has its index again: " + counted(records, "record") + ", in " + watch.text() +
      ". There are no snapshots until new ones are taken.\n");
  return fine;
}

// -- flags

using command = int (*)(const settings&);

command command_in(CLI::App& app, int argc, char** argv, settings& chosen) {
  app.name("cairn");
  app.description(
      "Verifies, exports and backs up a store of cairn. What only reads also works while a program has the store open.");
  app.set_help_flag("-h,--help", "This text");
  app.set_version_flag("--version", "cairn " + std::string(cairn::library_version_string()) + ", store format 2",
                       "The version of cairn");
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
  exporting->add_flag("--salvage", chosen.salvage,
                      "Write what comes before the first damage of a damaged store, and say\n"
                      "where that is; exits with 1 where there is damage");

  auto* const importing = add("import", import_store, "Makes a store of an export, equal to the one that was exported");
  place(importing, "FOLDER", chosen.folder, "Where the store will be; empty or missing");
  importing->add_option("--input", chosen.input, "Read this file instead of standard input; either format")
      ->check(command_line::not_empty())
      ->type_name("FILE");

  auto* const backing_up = add("backup", back_up, "Brings a backup up to date, copying only what it lacks");
  place(backing_up, "FOLDER", chosen.folder, "Where the store is; it may be open");
  place(backing_up, "BACKUP", chosen.backup, "Where the backup is; each store needs a folder of its own");

  auto* const restoring = add("restore", restore, "Makes a store of a backup, and checks all of it");
  place(restoring, "BACKUP", chosen.backup, "Where the backup is");
  place(restoring, "FOLDER", chosen.folder, "Where the store will be; empty or missing");

  auto* const rebuilding = add("rebuild", rebuild, "Drops index and snapshots, and makes the index again from the log");
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

/// `name` becomes the command's.
int run_command(int argc, char** argv, std::string& name) {
  settings chosen;
  CLI::App app;
  command run = nullptr;
  const auto full_name = [&] {
    const auto subcommands = app.get_subcommands();
    return subcommands.empty() ? std::string("cairn") : "cairn " + subcommands.front()->get_name();
  };
  try {
    run = command_in(app, argc, argv, chosen);
  } catch (const CLI::CallForHelp&) {
    std::cout << app.help() << std::flush;
    return std::cout ? fine : unusable;
  } catch (const CLI::CallForVersion& version) {
    std::cout << version.what() << '\n' << std::flush;
    return std::cout ? fine : unusable;
  } catch (const CLI::ParseError& wrong_usage) {
    std::cerr << wrong_usage.what() << ". Try " << full_name() << " --help.\n";
    return unusable;
  }
  name = full_name();

  stop_wakes = eventfd(0, EFD_CLOEXEC);
  struct sigaction at_signal {};
  at_signal.sa_handler = at_stop;
  at_signal.sa_flags = static_cast<int>(SA_RESETHAND);  // and no SA_RESTART: what waits is to stop waiting
  for (const auto signal : {SIGINT, SIGTERM}) sigaction(signal, &at_signal, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a write that fails says so itself
  return run(chosen);
}

}  // namespace

int main(int argc, char** argv) {
  std::string name = "cairn";
  try {
    occupy_standard_streams();
    std::ios::sync_with_stdio(false);
    return run_command(argc, argv, name);
  } catch (const stopped&) {
    std::cerr << "Stopped.\n";
    return interrupted;
  } catch (const bad_input& reason) {
    std::cerr << name << ": " << reason.what() << "\n";
    return unusable;
  } catch (const cairn::error& reason) {
    std::cerr << name << ": " << reason.detail() << ".\n";
    return reason.kind() == cairn::errc::invalid_argument ? unusable : failed;
  } catch (const std::bad_alloc&) {
    std::cerr << name << ": not enough memory; free some, or raise the limit (ulimit -v).\n";
    return failed;
  } catch (const std::exception& reason) {
    std::cerr << name << ": " << reason.what() << "\n";
    return failed;
  }
}
