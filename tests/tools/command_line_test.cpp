// The command `cairn` as its users meet it. CAIRN_BIN names the program.
#include "../shell.hpp"
#include "stores.hpp"

#include <algorithm>
#include <csignal>
#include <sys/ioctl.h>
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
    exported = export_of(*store);
  }
  fs::path in(const std::string& name) const { return fs::path(folder()) / name; }
  fs::path stock() const { return in("stock"); }

  chain_head head;
  std::string exported;
};

/// Flips a bit in the largest file of this kind, behind `share` of its bytes.
void damage(const fs::path& folder, const std::string& extension, double share = 0.5) {
  fs::path largest;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != extension) continue;
    if (largest.empty() || entry.file_size() > fs::file_size(largest)) largest = entry.path();
  }
  auto bytes = contents(largest);
  REQUIRE(bytes.size() > 1000);
  auto& byte = bytes[static_cast<std::size_t>(share * static_cast<double>(bytes.size()))];
  byte = static_cast<char>(byte ^ 1);
  overwrite(largest, bytes);
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
  for (const auto* wrong : {"", "nonsense", "verify stock more", "export stock --format xml", "backup stock backups --keep 0"}) {
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

TEST_CASE("a folder that may not be read is said to be such") {
  const cairn_shell run;
  // The superuser reads everything, so another user is taken where that can be done.
  const bool super = geteuid() == 0;
  if (super && run("> /dev/null; setpriv --reuid 65534 --clear-groups true").code != 0) return;
  const std::string as = super ? "setpriv --reuid 65534 --clear-groups" : "";
  fs::permissions(run.folder(), fs::perms(0755));
  for (const auto mode : {fs::perms(0), fs::perms(0311), fs::perms(0444)}) {
    fs::create_directories(run.in("closed"));
    fs::permissions(run.in("closed"), mode);
    for (const auto* folder : {"closed", "closed/within"}) {
      if (mode == fs::perms(0311) && folder == std::string("closed/within")) continue;  // which is not there
      const auto result = run(std::string("verify ") + folder, as);
      CHECK_MESSAGE(result.code == 2, result.said);
      CHECK_MESSAGE(result.said == std::string("cairn verify: cannot read the folder '") + folder + "': Permission denied.\n",
                    result.said);
    }
    fs::permissions(run.in("closed"), fs::perms(0755));
  }
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
  for (const auto* command : {"verify", "export", "export --intact", "rebuild", "backup --keep 1"}) {
    for (const auto* folder : {"missing", "empty"}) {
      const auto result = run(std::string(command) + " " + folder + (command[0] == 'b' ? " backups" : ""));
      CHECK_MESSAGE(result.code == 2, result.said);
      CHECK_MESSAGE(result.mentions("there is no "), result.said);
    }
  }
  CHECK(run.files() == 2);
  CHECK(fs::is_empty(run.in("empty")));
}

TEST_CASE("a store that is in use is said to be, by every command") {
  const cairn_shell run;
  const auto store = open_store(run.stock());
  for (const auto* command : {"verify stock", "export stock", "export stock --intact", "rebuild stock", "backup stock b"}) {
    const auto result = run(command);
    CHECK_MESSAGE(result.code == 1, result.said);
    CHECK_MESSAGE(result.mentions("is open in this or another process; close it there"), result.said);
  }
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
  damage(run.stock(), ".sst");
  const auto result = run("verify stock");
  CHECK_MESSAGE(result.code == 1, result.said);
  CHECK_MESSAGE(result.mentions("cairn verify: " + run.stock().string()), result.said);
  CHECK_MESSAGE(result.mentions("save what is intact with `cairn export --intact`"), result.said);
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
    CHECK_FALSE(run.has("file.part"));
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
  const auto here = run("import . < ../stock/CURRENT", "cd here &&");
  CHECK_MESSAGE(here.code == 2, here.said);
  CHECK(here.mentions("is the folder that the program runs in"));
  CHECK(fs::is_empty(run.in("here")));
  const auto there = run("import here/../here/.", "'" + run.program() + "' export stock |");
  CHECK_MESSAGE(there.code == 0, there.said);
  CHECK(open_store(run.in("here"))->head() == run.head);
}

TEST_CASE("an export of a sound store is the same with --intact") {
  const cairn_shell run;
  const auto intact = run("export stock --intact 2> errors");
  CHECK(intact.code == 0);
  CHECK(intact.said == run.exported);
  CHECK(run.text_of("errors").empty());
}

/// What --intact makes of `damaged`, a damaged copy of `stock`: its head, which must be on the way of `stock`.
chain_head saved_from_damaged(const cairn_shell& run) {
  CHECK(run("export damaged > output").code == 1);
  const auto result = run("export damaged --intact > saved");
  CHECK_MESSAGE(result.code == 1, result.said);
  CHECK_MESSAGE(result.mentions("The export is complete up to there and can be imported."), result.said);
  CHECK(run("import saved_store --input saved").code == 0);
  const auto saved = open_store(run.in("saved_store"))->head();
  CHECK_MESSAGE(result.said.starts_with("Exported up to position " + std::to_string(saved.through.value) + ","), result.said);
  CHECK(run("verify stock --head " + to_string(saved)).code == 0);
  fs::remove_all(run.in("saved_store"));
  fs::remove_all(run.in("damaged"));
  return saved;
}

TEST_CASE("of a store with a damaged table --intact saves what comes before the damage, and says where that is") {
  const cairn_shell run;
  for (const std::uint64_t events : {3'000, 4'000, 5'000, 10'000}) append_many(*open_store(run.stock()), events);  // a table each
  for (const double share : {0.1, 0.5, 0.9, 0.999}) {
    CAPTURE(share);
    fs::copy(run.stock(), run.in("damaged"));
    damage(run.in("damaged"), ".sst", share);
    const auto saved = saved_from_damaged(run);
    CHECK(saved.through.value >= 5'000);  // all that is not in the damaged table, the largest one
    CHECK(saved.through.value < 10'000);
  }
}

TEST_CASE("of a store with a missing table --intact saves what comes before it") {
  const cairn_shell run;
  for (const std::uint64_t events : {3'000, 4'000, 5'000, 10'000}) append_many(*open_store(run.stock()), events);  // a table each
  fs::copy(run.stock(), run.in("damaged"));
  fs::path largest;
  for (const auto& entry : fs::directory_iterator(run.in("damaged"))) {
    if (entry.path().extension() != ".sst") continue;
    if (largest.empty() || entry.file_size() > fs::file_size(largest)) largest = entry.path();
  }
  fs::remove(largest);
  const auto saved = saved_from_damaged(run);
  CHECK(saved.through.value >= 5'000);
  CHECK(saved.through.value < 10'000);
}

TEST_CASE("of a store with a damaged write-ahead log --intact saves what comes before the damage, and says where that is") {
  const cairn_shell run;
  auto store = open_store(run.stock());
  append_many(*store, 4'000);
  // As a process leaves it that has died: with all that is new in the write-ahead log only.
  fs::copy(run.stock(), run.in("damaged"));
  store.reset();
  damage(run.in("damaged"), ".log");
  const auto saved = saved_from_damaged(run);
  CHECK(saved.through > run.head.through);
  CHECK(saved.through.value < 4'000);
}

TEST_CASE("a backup is restored and verified, and neither overwrites anything") {
  const cairn_shell run;
  const auto backup = run("backup stock backups --keep 3");
  CHECK_MESSAGE(backup.code == 0, backup.said);
  CHECK(backup.mentions("backups has a backup of stock: 2,000 records\nhead " + to_string(run.head)));
  const auto restored = run("restore backups copy");
  CHECK_MESSAGE(restored.code == 0, restored.said);
  CHECK(restored.mentions("copy is whole."));
  CHECK(restored.mentions(to_string(run.head)));
  CHECK(run("restore backups stock").code == 2);
  CHECK(run("restore stock other").code == 1);
  CHECK(run.files() == 3);
}

TEST_CASE("a store is made of its log alone") {
  const cairn_shell run;
  const auto result = run("rebuild stock");
  CHECK_MESSAGE(result.code == 0, result.said);
  CHECK(result.mentions("stock is made of its log alone: the index has 2,000 records again, in "));
  CHECK(run("verify stock").mentions("indexed  2,000"));
}

}  // namespace
}  // namespace cairn::tests
