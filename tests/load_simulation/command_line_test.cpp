// The program as its users meet it: a small run, a second one on the same store, and what it says of what it cannot take.
// LOAD_SIMULATION_BIN names the program.
#include "csv_file.hpp"
#include "shell.hpp"

#include <cairn/store.hpp>
#include <doctest/doctest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sys/wait.h>
#include <zstd.h>

namespace simulation::tests {
namespace {

namespace fs = std::filesystem;

struct shell : cairn::tests::shell {
  shell() : cairn::tests::shell("LOAD_SIMULATION_BIN") {}
};

const std::string small = "--products 50 --commands 5000 --in-flight 200 ";

TEST_CASE("a small day is played and proved, with report, page and figures, and leaves no store behind") {
  const shell run;
  const auto result = run(small + "--json figures.json");
  CHECK_MESSAGE(result.code == 0, result.said);
  CHECK(result.mentions("folding it by the domain"));
  CHECK(run.text_of("figures.json").find("\"domain_snapshots\": 0,") == std::string::npos);
  CHECK(result.mentions("50 products recovered; every closing count and version is right"));
  CHECK(result.mentions("5,050 in "));
  CHECK(run.text_of("figures.json").find("\"proved\": true") != std::string::npos);
  CHECK(run.text_of("load_simulation.html").find("</html>") != std::string::npos);
  CHECK(run.files() == 2);
}

TEST_CASE("a day is played and proved in batches, of which the report says so") {
  const shell run;
  const auto result = run(small + "--batch 64 --json figures.json");
  CHECK_MESSAGE(result.code == 0, result.said);
  CHECK(result.mentions("up to 200 commands in flight in batches of 64, synced."));
  CHECK(result.mentions("50 products recovered; every closing count and version is right"));
  CHECK(result.mentions("5,050 in "));
  CHECK(run.text_of("figures.json").find("\"batch\": 64") != std::string::npos);
  CHECK(run.text_of("load_simulation.html").find(" in batches of 64") != std::string::npos);
}

TEST_CASE("a second run goes on from the store of the first") {
  const shell run;
  CHECK(run(small + "--data stock").code == 0);
  const auto second = run(small + "--data stock --json figures.json");
  CHECK_MESSAGE(second.code == 0, second.said);
  CHECK(second.mentions("events of earlier runs: 50 products, each recovered as its history says."));
  CHECK(second.mentions("every closing count and version is right"));
  const auto third = run("--products 20 --commands 1000 --seed 5 --passivate-after 1 --snapshot-every 7 --data stock");
  CHECK_MESSAGE(third.code == 0, third.said);
  CHECK(third.mentions("50 products recovered"));
}

TEST_CASE("a file is played with enough stock, with too little, and twice on the same store") {
  const shell run;
  const csv_file sales(header + line("A", "6") + line("B", "2") + line("A", "-1") + line("A", "6"));
  const auto enough = run("--replay '" + sales.path.string() + "' --data stock");
  CHECK_MESSAGE(enough.code == 0, enough.said);
  CHECK(enough.mentions("each count is the opening stock less what was sold."));
  const auto again = run("--replay '" + sales.path.string() + "' --data stock");
  CHECK_MESSAGE(again.code == 0, again.said);
  CHECK(again.mentions("each count is the opening stock less what was sold."));
  const auto little = run("--opening 7 --replay '" + sales.path.string() + "'");
  CHECK_MESSAGE(little.code == 0, little.said);
  CHECK(little.mentions("rejected: insufficient_stock"));
}

TEST_CASE("help is help, and wrong usage is told in a sentence") {
  const shell run;
  CHECK(run("--help").code == 0);
  CHECK(run("--help").mentions("--replay FILE"));
  for (const auto* wrong : {"--clients 0",
                            "--clients -1",
                            "--clients x",
                            "--clients 10001",
                            "--batch 0",
                            "--batch 10001",
                            "--clients",
                            "--in-flight 0",
                            "--in-flight 10000001",
                            "--in-flight 99999999999999999999",
                            "--products 0",
                            "--products 10000001",
                            "--commands 0",
                            "--commands 100000001",
                            "--seed -1",
                            "--durability perhaps",
                            "--snapshot-every -1",
                            "--passivate-after -5",
                            "--opening 5",
                            "--opening",
                            "--nonsense",
                            "word",
                            "--replay x.csv --seed 2",
                            "--replay x.csv --opening -1",
                            "--replay x.csv --opening much"}) {
    const auto result = run(wrong);
    CHECK_MESSAGE(result.code == 2, wrong << ": " << result.said);
    CHECK_MESSAGE(result.mentions("Try load_simulation --help."), wrong << ": " << result.said);
  }
  CHECK(run.files() == 0);
}

TEST_CASE("a file that cannot be played is named with its line, and nothing is written") {
  const shell run;
  CHECK(run("--replay missing.csv --data stock").code == 2);
  const auto folder = run("--replay . --data stock");
  CHECK(folder.code == 2);
  CHECK(folder.mentions(". is a folder"));
  const csv_file bad(header + line("X", "1") + line("X", "many"));
  const auto result = run("--json figures.json --data stock --replay '" + bad.path.string() + "'");
  CHECK(result.code == 2);
  CHECK(result.mentions("sales.csv:3: the quantity 'many'"));
  CHECK(run.files() == 0);
}

TEST_CASE("outputs that cannot be written are refused before anything is done") {
  const shell run;
  for (const auto* wrong :
       {"--json .", "--html .", "--json no/such/folder/x.json", "--html no/such/folder/x.html", "> /dev/full"}) {
    const auto result = run(small + "--data stock " + wrong);
    CHECK_MESSAGE(result.code == 2, wrong << ": " << result.said);
    CHECK_MESSAGE(result.mentions("cannot write"), wrong << ": " << result.said);
  }
  CHECK(run.files() == 0);
}

TEST_CASE("figures and page in one file are refused, however it is spelled") {
  const shell run;
  fs::create_directory(fs::path(run.folder()) / "out");
  for (const auto* wrong :
       {"--json x --html x", "--json x --html ./x", "--json out/../x --html x", "--json load_simulation.html"}) {
    const auto result = run(small + "--data stock " + wrong);
    CHECK_MESSAGE(result.code == 2, wrong << ": " << result.said);
    CHECK_MESSAGE(result.mentions("give each a file of its own."), wrong << ": " << result.said);
  }
  CHECK(run.files() == 1);
  CHECK(run(small + "--json /dev/null --html /dev/null").code == 0);
}

TEST_CASE("one product is not called products") {
  const shell run;
  const auto result = run("--products 1 --commands 1 --clients 1 --in-flight 1");
  CHECK_MESSAGE(result.code == 0, result.said);
  CHECK(result.mentions("1 movement of 1 product.\n1 client, up to 1 command in flight"));
  CHECK(result.mentions("1 product recovered; "));
}

TEST_CASE("a compressed file that is cut short is named") {
  const shell run;
  std::string sales = header;
  for (int number = 0; number < 20'000; ++number) sales += line("P" + std::to_string(number * 7 % 1'000), "1");
  std::string packed(ZSTD_compressBound(sales.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), sales.data(), sales.size(), 3));
  const csv_file cut(packed.substr(0, packed.size() / 2), "sales.csv.zst");
  const auto result = run("--data stock --replay '" + cut.path.string() + "'");
  CHECK_MESSAGE(result.code == 2, result.said);
  CHECK(result.mentions(cut.path.string() + ":"));
  CHECK(result.mentions("the compressed data ends too soon; the file is cut short."));
  CHECK(run.files() == 0);
}

TEST_CASE("Ctrl-C while the day is made up or a file is read ends it before anything is played") {
  const shell run;
  const std::string interrupted = "timeout --foreground --preserve-status --signal INT 0.5";
  const auto made_up = run("--commands 50000000 --data stock", interrupted);
  CHECK_MESSAGE(made_up.code == 130, made_up.said);
  CHECK_MESSAGE(made_up.mentions("Stopped before anything was played."), made_up.said);
  std::ofstream(fs::path(run.folder()) / "lines") << header << line("X", "1");
  for (const auto* repeated : {"2", "3"}) {  // a sale, or an empty line, for ever
    const auto endless = "{ cat lines; yes \"$(sed -n " + std::string(repeated) + "p lines)\"; } 2> yes.said | " + interrupted;
    const auto read = run("--replay /dev/stdin --data stock", endless);
    CHECK_MESSAGE(read.code == 130, repeated << ": " << read.said);
    CHECK_MESSAGE(read.mentions("Stopped before anything was played."), repeated << ": " << read.said);
  }
  CHECK_FALSE(run.has("stock"));
}

TEST_CASE("a folder that cannot be the store is refused") {
  const shell run;
  std::ofstream(fs::path(run.folder()) / "file") << "not a store";
  fs::create_directory(fs::path(run.folder()) / "letters");
  std::ofstream(fs::path(run.folder()) / "letters" / "letter.txt") << "Dear friend";
  for (const auto* wrong : {"--data file", "--data file/under", "--data letters"}) {
    const auto result = run(small + wrong);
    CHECK_MESSAGE(result.code == 2, wrong << ": " << result.said);
    CHECK_MESSAGE(result.mentions("cannot open the store"), wrong << ": " << result.said);
    CHECK_FALSE(result.mentions("a format that this program does not know"));  // the detail has said what it is
  }
  CHECK(run.files() == 2);

  const auto open_here = cairn::open_store(fs::path(run.folder()) / "stock");
  const auto in_use = run(small + "--data stock");
  CHECK_MESSAGE(in_use.code == 2, in_use.said);
}

TEST_CASE("Ctrl-C stops it cleanly, and what was answered is there for the next run") {
  const shell run;
  int said[2];
  REQUIRE(pipe(said) == 0);
  const auto path = run.program();
  const auto data = run.folder() + "/stock";
  const auto page = run.folder() + "/page.html";
  const auto child = fork();
  if (child == 0) {
    dup2(said[1], STDOUT_FILENO);
    close(said[0]);
    execl(path.c_str(), path.c_str(), "--commands", "1000000", "--data", data.c_str(), "--html", page.c_str(), nullptr);
    _exit(127);
  }
  close(said[1]);
  auto* from_child = fdopen(said[0], "r");
  char part[4096];
  REQUIRE(std::fgets(part, sizeof part, from_child));  // it begins
  kill(child, SIGINT);
  std::string rest;
  while (std::fgets(part, sizeof part, from_child)) rest += part;
  std::fclose(from_child);
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 130);
  CHECK(rest.find("Stopped after ") != std::string::npos);
  CHECK_FALSE(run.has("page.html"));
  const auto next = run(small + "--data stock");
  CHECK_MESSAGE(next.code == 0, next.said);
}

}  // namespace
}  // namespace simulation::tests
