// The command `cairn` as its users meet it. CAIRN_BIN names the program.
#include "../folder_tree.hpp"
#include "../settings.hpp"
#include "../shell.hpp"
#include "stores.hpp"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace cairn::tests {
namespace {

/// The program in a folder with a store in `stock`, which is closed.
struct cairn_shell : shell {
  cairn_shell() : shell("CAIRN_BIN") {
    const auto store = open_store(stock());
    append_many(*store, 2'000);
    head = store->head();
    exported = export_of(stock());
  }
  fs::path in(const std::string& name) const { return fs::path(folder()) / name; }
  fs::path stock() const { return in("stock"); }

  chain_head head;
  std::string exported;
};

/// The segment of a store's log that has `share` of all others before it.
fs::path segment_of(const fs::path& folder, double share = 0.5) {
  std::vector<fs::path> segments;
  for (const auto& entry : fs::directory_iterator(folder / "log")) segments.push_back(entry.path());
  std::sort(segments.begin(), segments.end());
  return segments.at(static_cast<std::size_t>(share * static_cast<double>(segments.size())));
}

/// Flips a bit in the middle of a segment.
void damage(const fs::path& segment) {
  auto bytes = contents(segment);
  REQUIRE(bytes.size() > 1000);
  auto& byte = bytes[bytes.size() / 2];
  byte = static_cast<char>(byte ^ 1);
  overwrite(segment, bytes);
}

TEST_CASE("help is help, and wrong usage is told in a sentence") {
  const cairn_shell run;
  const auto help = run("--help");
  CHECK(help.code == 0);
  CHECK(help.mentions("Exit codes: 0 fine"));
  for (const std::string command : {"verify", "export", "import", "backup", "restore", "rebuild"}) {
    CHECK(help.mentions("\n  " + command));
    const auto more = run(command + " --help");
    CHECK_MESSAGE(more.code == 0, more.said);
    CHECK_MESSAGE(more.mentions("Usage: cairn " + command), more.said);
    const auto bare = run(command);
    CHECK_MESSAGE(bare.code == 2, bare.said);
    CHECK_MESSAGE(bare.mentions("is required. Try cairn " + command + " --help."), bare.said);
  }
  for (const auto* wrong : {"", "nonsense", "verify stock more", "export stock --format xml", "backup stock backup --keep 1"}) {
    const auto result = run(wrong);
    CHECK_MESSAGE(result.code == 2, wrong << ": " << result.said);
    CHECK_MESSAGE(result.mentions("--help."), wrong << ": " << result.said);
  }
  const auto unknown = run("nonsense stock");
  CHECK(unknown.code == 2);
  CHECK(unknown.mentions("there is no command 'nonsense'; there are verify, export, import, backup, restore, rebuild"));
  CHECK(run("''").mentions("there is no command ''; there are verify, "));
  CHECK(run.files() == 1);
}

TEST_CASE("an empty argument is wrong usage everywhere") {
  const cairn_shell run;
  for (const auto* wrong :
       {"verify ''", "verify stock --head ''", "verify stock --head=", "export ''", "export stock --output ''", "import ''",
        "import copy --input ''", "backup '' b", "backup stock ''", "restore '' copy", "restore backups ''"}) {
    const auto result = run(wrong, "true |");
    CHECK_MESSAGE(result.code == 2, wrong << ": " << result.said);
    CHECK_MESSAGE((result.mentions("must not be empty. Try cairn ") || result.mentions("HEAD missing. Try cairn ")),
                  wrong << ": " << result.said);
  }
  CHECK(run.files() == 1);
}

TEST_CASE("the version of the program names the format of its stores") {
  const cairn_shell run;
  const auto version = run("--version 2> errors");
  CHECK(version.code == 0);
  CHECK_MESSAGE(version.said.starts_with("cairn "), version.said);
  CHECK_MESSAGE(version.said.ends_with(", store format 2\n"), version.said);
  CHECK(run.text_of("errors").empty());
  CHECK(run("--version > /dev/full").code == 2);
}

/// What comes before the program's name so that it runs as a user without rights. Nothing if that cannot be done.
std::optional<std::string> without_rights(const cairn_shell& run) {
  fs::permissions(run.folder(), fs::perms(0755));
  if (geteuid() != 0) return "";
  if (run("--version; setpriv --reuid 65534 --regid 65534 --clear-groups '" + run.program() + "' --version").code != 0)
    return std::nullopt;
  return "setpriv --reuid 65534 --regid 65534 --clear-groups";
}

TEST_CASE("a folder that may not be read is said to be such") {
  const cairn_shell run;
  const auto as = without_rights(run);
  if (!as) return;
  for (const auto mode : {fs::perms(0), fs::perms(0311), fs::perms(0444)}) {
    fs::permissions(run.stock(), mode);
    for (const auto* folder : {"stock", "stock/within"}) {
      if (mode == fs::perms(0311) && folder == std::string("stock/within")) continue;  // which is not there
      for (const auto* command : {"verify", "export", "export --salvage"}) {
        const auto result = run(std::string(command) + " " + folder, *as);
        CHECK_MESSAGE(result.code == 1, result.said);
        CHECK_MESSAGE(result.said.ends_with(": Permission denied; check the owner and the permissions.\n"), result.said);
      }
    }
    fs::permissions(run.stock(), fs::perms(0755));
  }
}

TEST_CASE("commands that read change no file, owner or mode: not as the superuser with a narrow umask, and not without rights") {
  const cairn_shell run;
  fs::create_directory(run.in("there"));
  fs::permissions(run.in("there"), fs::perms(0777));
  const auto as = without_rights(run);
  const auto before = tree_of(run.stock());
  for (const auto& who : {std::optional<std::string>("umask 077;"), as}) {
    if (!who) continue;
    for (const auto* command : {"verify stock", "export stock > there/out", "export stock --salvage > there/out",
                                "export stock --output there/out", "backup stock there/backup", "backup stock there/backup"}) {
      const auto result = run(command, *who);
      CHECK_MESSAGE(result.code == 0, result.said);
      check_unchanged(run.stock(), before);
    }
    fs::remove_all(run.in("there/backup"));
    fs::remove(run.in("there/out"));
  }
}

TEST_CASE("with few descriptors a command does its work or says that they are too few, and never calls a sound store damaged" *
          doctest::skip(sanitized)) {
  const cairn_shell run;
  for (int opening = 0; opening < 20; ++opening) append(*open_store(run.stock()), {event{}});
  const auto exported = export_of(run.stock());
  int done = 0;
  int refused = 0;
  for (int descriptors = 5; descriptors <= 40; ++descriptors) {
    for (const auto* command : {"export stock", "export stock --salvage", "verify stock", "backup stock backup"}) {
      CAPTURE(descriptors);
      CAPTURE(command);
      const auto result = run(std::string(command) + " 2> errors > output", "ulimit -n " + std::to_string(descriptors) + ";");
      if (result.code == 0) {
        ++done;
        if (command[0] == 'e') CHECK(run.text_of("output") == exported);
        continue;
      }
      const auto errors = run.text_of("errors");
      if (!errors.starts_with("cairn ")) {  // the shell or the loader had too few for itself
        CHECK_MESSAGE(descriptors < 20, errors);
        continue;
      }
      ++refused;
      CHECK(result.code == 1);
      CHECK_MESSAGE(errors.ends_with("Too many open files; raise the limit of open files (ulimit -n).\n"), errors);
      CHECK_MESSAGE(errors.find("damage") == std::string::npos, errors);
    }
  }
  CHECK(done > 50);
  CHECK(refused > 5);
  CHECK(run("verify stock").mentions("indexed  2,020"));
}

TEST_CASE("with little memory a command does its work or says that it needs more, and never ends without a word" *
          doctest::skip(sanitized)) {
  const cairn_shell run;
  int done = 0;
  int refused = 0;
  for (int kib = 24'000; kib <= 120'000; kib += 3'000) {
    const auto limit = "ulimit -c 0; ulimit -v " + std::to_string(kib) + ";";
    if (run("--version", limit).code != 0) continue;  // the program cannot begin
    for (const auto* command :
         {"export stock", "verify stock", "backup stock backup", "rebuild stock", "import copy --input file"}) {
      CAPTURE(kib);
      CAPTURE(command);
      if (!run.has("file")) overwrite(run.in("file"), run.exported);
      const auto result = run(std::string(command) + " 2>&1 > /dev/null", limit);
      fs::remove_all(run.in("copy"));
      if (result.code == 0) {
        ++done;
        continue;
      }
      ++refused;
      CHECK_MESSAGE(result.code == 1, result.said);
      CHECK_MESSAGE((result.mentions("; free memory, or raise") || result.mentions("not enough memory; free some, or raise")),
                    result.said);
    }
  }
  CHECK(done > 20);
  CHECK(refused > 5);
  CHECK(run("verify stock").code == 0);
}

TEST_CASE("a standard stream that is closed is no other file, and its use an error") {
  const cairn_shell run;
  CHECK(run("verify stock <&- 2>&-").code == 0);
  const auto silent = run("export stock >&-");
  CHECK_MESSAGE(silent.code == 1, silent.said);
  CHECK(run("verify stock >&-").code == 2);
  const auto unread = run("import copy <&-");
  CHECK_MESSAGE(unread.code == 1, unread.said);
  CHECK(unread.mentions("the input cannot be read"));
  CHECK(run.files() == 1);
  CHECK(run("verify stock").code == 0);
}

TEST_CASE("a folder without a store is named, and no store is made of it") {
  const cairn_shell run;
  fs::create_directory(run.in("empty"));
  for (const auto* command : {"verify", "export", "export --salvage", "rebuild", "backup"}) {
    for (const auto* folder : {"missing", "empty"}) {
      const auto result = run(std::string(command) + " " + folder + (command[0] == 'b' ? " backups" : ""));
      CHECK_MESSAGE(result.code == 2, result.said);
      CHECK_MESSAGE(result.mentions("there is no "), result.said);
    }
  }
  CHECK(run.files() == 2);
  CHECK(fs::is_empty(run.in("empty")));
}

TEST_CASE("beside a program that has the store open, what only reads works, and what needs the store alone says so") {
  const cairn_shell run;
  const auto store = open_store(run.stock());
  append_many(*store, 2'500);
  const auto verified = run("verify stock --head " + to_string(run.head));
  CHECK_MESSAGE(verified.code == 0, verified.said);
  CHECK(verified.mentions("records  2,500"));
  CHECK(verified.mentions("indexed  not checked: the store is open"));
  CHECK(run("export stock").said == export_of(run.stock()));
  CHECK(run("export stock --salvage").said == export_of(run.stock()));
  CHECK(run("backup stock backup").mentions("backup is a backup of stock: 2,500 records"));
  const auto rebuilt = run("rebuild stock");
  CHECK_MESSAGE(rebuilt.code == 1, rebuilt.said);
  CHECK(rebuilt.mentions("the store is open in this or another process; close it there"));
  append_many(*store, 3'000);
  CHECK(bodies(*store).size() == 3'000);
}

TEST_CASE("verify tells what is there and its head, and holds a noted head against it") {
  const cairn_shell run;
  const auto result = run("verify stock 2> errors");
  CHECK(result.code == 0);
  CHECK(result.mentions("records  2,000"));
  CHECK(result.mentions("head     " + to_string(run.head)));
  CHECK(result.mentions("Note the head elsewhere"));
  CHECK(run.text_of("errors").empty());
  CHECK(run("verify stock --head " + to_string(run.head)).mentions("goes through the noted head"));
  auto other = run.head;
  other.hash[0] ^= 1;
  const auto wrong = run("verify stock --head " + to_string(other) + " > output");
  CHECK(wrong.code == 1);
  CHECK(wrong.mentions("the history does not go through the noted head"));
  CHECK(run.text_of("output").empty());
  CHECK(run("verify stock --head 12").code == 2);
}

TEST_CASE("verify says in a sentence what is damaged") {
  const cairn_shell run;
  damage(segment_of(run.stock()));
  const auto result = run("verify stock");
  CHECK_MESSAGE(result.code == 1, result.said);
  CHECK_MESSAGE(result.said.starts_with("cairn verify: stock/log/00000000000000000001.log, offset "), result.said);
  CHECK_MESSAGE(result.mentions("save the records before the damage with `cairn export --salvage`"), result.said);
}

TEST_CASE("export and import make an equal store through a pipe and through a file, in silence") {
  const cairn_shell run;
  CHECK(run("export stock > lines").said.empty());
  CHECK(run.text_of("lines") == run.exported);
  for (const std::string format : {"ndjson", "msgpack"}) {
    const auto piped = run("import piped", "'" + run.program() + "' export stock --format " + format + " |");
    CHECK_MESSAGE(piped.code == 0, piped.said);
    CHECK(piped.said == "2,000 records in piped, equal to the store that was exported\nhead " + to_string(run.head) + "\n");
    CHECK(run("export stock --output file --format " + format).mentions("2,000 records in file\nhead " + to_string(run.head)));
    const auto read = run("import read --input file");
    CHECK_MESSAGE(read.code == 0, read.said);
    for (const auto* copy : {"piped", "read"}) {
      CHECK(open_store(run.in(copy))->head() == run.head);
      CHECK(run("verify " + std::string(copy) + " --head " + to_string(run.head)).code == 0);
      fs::remove_all(run.in(copy));
    }
  }
}

TEST_CASE("an export that cannot be written is an error and leaves nothing behind") {
  const cairn_shell run;
  const auto full = run("export stock --output /dev/full");
  CHECK_MESSAGE(full.code == 1, full.said);
  CHECK(full.mentions("the export cannot be written: No space left on device"));
  CHECK(run("export stock > /dev/full").code == 1);
  run("export stock 2> errors | true");
  CHECK(run.text_of("errors") == "cairn export: the export cannot be written: Broken pipe.\n");
  fs::remove(run.in("errors"));
  CHECK(run("export stock --output .").mentions("cannot write .: it is a folder."));
  const auto missing = run("export stock --output no/such/folder/x");
  CHECK(missing.code == 2);
  CHECK(missing.mentions("cannot write no/such/folder/x: No such file or directory."));
  CHECK(run("verify stock > /dev/full").code == 2);
  CHECK(run.files() == 1);
}

TEST_CASE("what a killed export to a file left is removed by the next one, and nothing else is") {
  const cairn_shell run;
  // The system ends a program that goes beyond this size.
  CHECK(run("export stock --output file", "ulimit -c 0; ulimit -f 64;").code == 128 + SIGXFSZ);
  CHECK(run.files() == 2);
  CHECK_FALSE(run.has("file"));
  for (const auto* name : {"file.unfinished-", "file.unfinished-abc12", "file.unfinished-abc1234", "file.unfinished-ABC123",
                           "other.unfinished-abc123", "file.unfinished-locked"}) {
    overwrite(run.in(name), "mine");
  }
  const int locked = open(run.in("file.unfinished-locked").c_str(), O_RDWR | O_CLOEXEC);  // its maker lives
  REQUIRE(flock(locked, LOCK_EX) == 0);
  CHECK(run("export stock --output file").code == 0);
  close(locked);
  CHECK(run.text_of("file") == run.exported);
  CHECK(run.files() == 8);
  CHECK(run.has("file.unfinished-locked"));
  CHECK(run("export stock --output file").code == 0);
  CHECK_FALSE(run.has("file.unfinished-locked"));
}

TEST_CASE("what a killed import or restore left is no store, and is removed by the next one") {
  const cairn_shell run;
  overwrite(run.in("file"), run.exported);
  for (const std::string command : {"import copy --input file", "restore stock copy"}) {
    CHECK(run(command, "ulimit -c 0; ulimit -f 64;").code == 128 + SIGXFSZ);
    CHECK_FALSE(run.has("copy"));
    REQUIRE(run.files() == 3);
    for (const auto& entry : fs::directory_iterator(run.folder())) {
      const auto name = entry.path().filename().string();
      if (!name.starts_with("copy.")) continue;
      const auto left = run("verify " + name);
      CHECK_MESSAGE(left.code == 1, left.said);
      CHECK_MESSAGE(left.mentions("was left by an import or a restore that did not finish; delete it"), left.said);
    }
    CHECK(run(command).code == 0);
    CHECK(run.files() == 3);
    CHECK(run("verify copy --head " + to_string(run.head)).code == 0);
    fs::remove_all(run.in("copy"));
  }
}

TEST_CASE("an output leaves other files alone, and standard output by its name is standard output") {
  const cairn_shell run;
  overwrite(run.in("file.part"), "mine");
  CHECK(run("export stock --output file").code == 0);
  CHECK(run.text_of("file") == run.exported);
  CHECK(run.text_of("file.part") == "mine");
  CHECK(run.files() == 3);
  const auto said = "2,000 records in /dev/stdout\nhead " + to_string(run.head) + "\n";
  const auto named = run("export stock --output /dev/stdout > again 2> errors");
  CHECK_MESSAGE(named.code == 0, named.said);
  CHECK(run.text_of("again") == run.exported);
  CHECK(run.text_of("errors") == said);
  const auto piped = run("export stock --output /dev/stdout 2> errors | cat > piped");
  CHECK(run.text_of("piped") == run.exported);
  CHECK(run.text_of("errors") == said);
  CHECK(run("export stock --output /dev/null 2> errors").said.empty());
  CHECK(run.text_of("errors").starts_with("2,000 records in /dev/null"));
  CHECK(run.files() == 6);
}

/// The command, at work with an output that nobody reads: interrupted once the pipe to `output` is full.
ran interrupted_while_it_is_not_read(const cairn_shell& run, const std::string& arguments, int output, int standard_output = -1) {
  const auto child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (standard_output >= 0) dup2(standard_output, STDOUT_FILENO);
    const auto command = "cd '" + run.folder() + "' && exec '" + run.program() + "' " + arguments + " 2> errors";
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  const int room = fcntl(output, F_GETPIPE_SZ);
  for (int waiting = 0; waiting < room;) {
    REQUIRE(ioctl(output, FIONREAD, &waiting) == 0);
    std::this_thread::yield();
  }
  kill(child, SIGINT);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  ran result{WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(run.in("errors"))};
  fs::remove(run.in("errors"));
  return result;
}

TEST_CASE("an export into a pipe that nobody reads ends at the first Ctrl-C") {
  const cairn_shell run;
  std::array<int, 2> ends{};
  REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
  const auto to_pipe = interrupted_while_it_is_not_read(run, "export stock", ends[0], ends[1]);
  CHECK(to_pipe.code == 130);
  CHECK(to_pipe.said == "Stopped.\n");
  close(ends[0]);
  close(ends[1]);

  REQUIRE(mkfifo(run.in("fifo").c_str(), 0600) == 0);
  const int reader = open(run.in("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  REQUIRE(reader >= 0);
  const auto to_fifo = interrupted_while_it_is_not_read(run, "export stock --output fifo", reader);
  CHECK(to_fifo.code == 130);
  CHECK(to_fifo.said == "Stopped.\n");
  close(reader);
  CHECK(run.files() == 2);
}

/// The command, at work with an input that does not come: interrupted once it waits for more.
ran interrupted_while_it_waits(const cairn_shell& run, const std::string& arguments, const std::string& input) {
  std::array<int, 2> pipe_ends{};
  REQUIRE(pipe(pipe_ends.data()) == 0);
  const auto errors = run.in("errors");
  const auto child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(pipe_ends[0], STDIN_FILENO);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    const auto command = "cd '" + run.folder() + "' && exec '" + run.program() + "' " + arguments + " > errors 2>&1";
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  close(pipe_ends[0]);
  REQUIRE(write(pipe_ends[1], input.data(), input.size()) == static_cast<ssize_t>(input.size()));
  // What is in the pipe no more has been read, and that is after the first Ctrl-C would be heard.
  for (int left = 1; left > 0;) {
    REQUIRE(ioctl(pipe_ends[1], FIONREAD, &left) == 0);
    std::this_thread::yield();
  }
  kill(child, SIGINT);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  close(pipe_ends[1]);
  ran result{WIFEXITED(status) ? WEXITSTATUS(status) : -1, contents(errors)};
  fs::remove(errors);
  return result;
}

TEST_CASE("an import that waits for its input ends at the first Ctrl-C, and leaves nothing behind") {
  const cairn_shell run;
  for (const auto& input : {run.exported.substr(0, 1), run.exported.substr(0, 1'000), run.exported.substr(0, 50'000)}) {
    const auto result = interrupted_while_it_waits(run, "import made/copy", input);
    CHECK_MESSAGE(result.code == 130, result.said);
    CHECK(result.said == "Stopped.\n");
    CHECK(run.files() == 1);
  }
}

TEST_CASE("an import that is refused says why and leaves nothing behind") {
  const cairn_shell run;
  auto lines = lines_of(run.exported);
  lines.erase(lines.begin() + 7);
  overwrite(run.in("gap"), text_of(lines));
  const auto gap = run("import copy --input gap");
  CHECK(gap.code == 1);
  CHECK(gap.said == "cairn import: line 8 has the record of position 8 where that of position 7 must come.\n");
  CHECK(run("import copy < /dev/null").mentions("there is nothing to import"));
  CHECK(run("import copy --input missing").mentions("cannot read missing: No such file or directory."));
  CHECK(run("import copy --input .").code == 2);
  const auto folder = run("import copy < .");
  CHECK(folder.code == 2);
  CHECK(folder.mentions("cannot read standard input: it is a folder."));
  const auto taken = run("import stock", "'" + run.program() + "' export stock |");
  CHECK_MESSAGE(taken.code == 2, taken.said);
  CHECK(run.files() == 2);
  CHECK(open_store(run.stock())->head() == run.head);
}

TEST_CASE("an import into the folder that the command runs in is refused, and one by a path with dots is not") {
  const cairn_shell run;
  fs::create_directory(run.in("here"));
  const auto here = run("import . < ../stock/identity", "cd here &&");
  CHECK_MESSAGE(here.code == 2, here.said);
  CHECK(here.mentions("is the folder that the program runs in"));
  CHECK(fs::is_empty(run.in("here")));
  const auto there = run("import here/../here/.", "'" + run.program() + "' export stock |");
  CHECK_MESSAGE(there.code == 0, there.said);
  CHECK(open_store(run.in("here"))->head() == run.head);
}

TEST_CASE("an export of a sound store is the same with --salvage") {
  const cairn_shell run;
  const auto salvaged = run("export stock --salvage 2> errors");
  CHECK(salvaged.code == 0);
  CHECK(salvaged.said == run.exported);
  CHECK(run.text_of("errors").empty());
}

/// What --salvage makes of `damaged`, a damaged copy of `stock`: its head, which must be on the way of `stock`.
chain_head saved_from_damaged(const cairn_shell& run) {
  CHECK(run("export damaged > output").code == 1);
  const auto result = run("export damaged --salvage > saved");
  CHECK_MESSAGE(result.code == 1, result.said);
  CHECK_MESSAGE(result.mentions("The export is complete up to there and can be imported."), result.said);
  CHECK(run("import saved_store --input saved").code == 0);
  const auto saved = open_store(run.in("saved_store"))->head();
  CHECK_MESSAGE(
      result.said.starts_with("Exported the records up to position " + std::to_string(saved.through.value) + ", and no more: "),
      result.said);
  CHECK(run("verify stock --head " + to_string(saved)).code == 0);
  fs::remove_all(run.in("saved_store"));
  fs::remove_all(run.in("damaged"));
  return saved;
}

TEST_CASE("of a store with a damaged or missing segment --salvage saves what comes before it, and says where that is") {
  const cairn_shell run;
  append_many(*open_with_small_segments(run.stock()), 4'000);  // the first segment is as it was
  append_many(*open_with_small_segments(run.stock()), 10'000);
  REQUIRE(entries_of(run.stock() / "log") > 10);
  for (const double share : {0.2, 0.5, 0.99}) {
    CAPTURE(share);
    const auto segment = segment_of(run.stock(), share);
    const auto first = std::stoull(segment.filename().string());
    const auto copy = run.in("damaged") / "log" / segment.filename();
    fs::copy(run.stock(), run.in("damaged"), fs::copy_options::recursive);
    damage(copy);
    const auto before_damage = saved_from_damaged(run).through.value;
    CHECK(before_damage >= first);
    CHECK(before_damage < first + 2'000);
    fs::copy(run.stock(), run.in("damaged"), fs::copy_options::recursive);
    fs::remove(copy);
    CHECK(saved_from_damaged(run).through.value == first - 1);
  }
}

TEST_CASE("a backup is made, brought up to date and restored, and no command overwrites anything") {
  const cairn_shell run;
  const auto backup = run("backup stock backup");
  CHECK_MESSAGE(backup.code == 0, backup.said);
  CHECK_MESSAGE(backup.said.starts_with("backup is a backup of stock: 2,000 records, "), backup.said);
  CHECK(backup.said.ends_with(" bytes copied\nhead " + to_string(run.head) + "\n"));
  CHECK(run("backup stock backup").mentions(": 2,000 records, 0 bytes copied\n"));
  const auto restored = run("restore backup copy");
  CHECK_MESSAGE(restored.code == 0, restored.said);
  CHECK(restored.said == "copy is restored and whole: 2,000 records\nhead " + to_string(run.head) + "\n");
  CHECK(run("verify backup --head " + to_string(run.head)).code == 0);
  CHECK(run("restore backup stock").code == 2);
  const auto other = run("backup stock .");
  CHECK_MESSAGE(other.code == 1, other.said);
  CHECK(other.mentions("is not a cairn store: it holds backup; choose another folder, or an empty one"));
  CHECK(run.files() == 3);
}

TEST_CASE("a backup that the system ended is continued by the next one") {
  const cairn_shell run;
  CHECK(run("backup stock backup", "ulimit -c 0; ulimit -f 64;").code == 128 + SIGXFSZ);
  CHECK(run("verify backup").mentions("records  0"));
  const auto opened = run("rebuild backup");
  CHECK_MESSAGE(opened.code == 1, opened.said);
  CHECK(opened.mentions("is a backup that was not brought up to date completely; back up to it again"));
  CHECK(run("backup stock backup").mentions("2,000 records"));
  CHECK(run("verify backup --head " + to_string(run.head)).code == 0);
}

TEST_CASE("a copy of a store that went another way does not replace the original's backup") {
  const cairn_shell run;
  fs::copy(run.stock(), run.in("copy"), fs::copy_options::recursive);
  append(*open_store(run.stock()), {event{.payload = "\x01"}});
  append(*open_store(run.in("copy")), {event{.payload = "\x02"}});
  CHECK(run("backup stock backup").code == 0);
  const auto refused = run("backup copy backup");
  CHECK_MESSAGE(refused.code == 2, refused.said);
  CHECK(refused.mentions("the store does not continue the history of this backup"));
  CHECK(run("verify backup").mentions("records  2,001"));
  CHECK(run("backup stock backup").code == 0);
}

TEST_CASE("a store gets its index again from its log alone") {
  const cairn_shell run;
  const auto result = run("rebuild stock");
  CHECK_MESSAGE(result.code == 0, result.said);
  CHECK_MESSAGE(result.mentions("stock has its index again: 2,000 records, in "), result.said);
  CHECK(run("verify stock").mentions("indexed  2,000"));
}

}  // namespace
}  // namespace cairn::tests
