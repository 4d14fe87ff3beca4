// The conformance suite can fail: it is run on journals that are each wrong in one thing, and must see it.
//
// Each run is another process, this program again with the skipped test cases at the end, so that its failures stay there.
#include "wrong_journals.hpp"

#include "settings.hpp"

#include <cairn/testkit/journal_conformance.hpp>
#include <cairn/testkit/journal_lockstep.hpp>

#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace cairn::tests {
namespace {

constexpr const char* journal_variable = "CAIRN_TEST_WRONG_JOURNAL";
constexpr const char* nothing_wrong = "nothing is wrong";
constexpr int failed_assertions = EXIT_FAILURE;  // of a test program of doctest's; a crash or a hang is no catch

/// Runs a skipped test case on a journal in a process of its own, silently, and returns its exit code; -1 where it was killed.
int run_on(const std::string& journal, const std::string& test_case) {
  const std::string filter = "--test-case=" + test_case;
  const std::string which = std::string(journal_variable) + "=" + journal;
  std::vector<std::string> arguments{"tests", filter, "--no-skip"};
  std::vector<char*> argument_pointers;
  for (auto& argument : arguments) argument_pointers.push_back(argument.data());
  argument_pointers.push_back(nullptr);
  std::vector<const char*> environment{which.c_str()};
  for (char** entry = environ; *entry; ++entry) environment.push_back(*entry);
  environment.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  pid_t child = 0;
  const int failed = posix_spawn(&child, "/proc/self/exe", &files, nullptr, argument_pointers.data(),
                                 const_cast<char* const*>(environment.data()));
  posix_spawn_file_actions_destroy(&files);
  if (failed != 0) return -1;
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// What is wrong with the journals that the test case ends well with, or not at all.
std::vector<std::string> not_caught_by(const std::string& test_case) {
  std::vector<std::pair<std::string, int>> runs;
  for (const auto& [what, open] : wrong_journals()) runs.emplace_back(what, 0);
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (auto run = next++; run < runs.size(); run = next++) runs[run].second = run_on(runs[run].first, test_case);
    });
  }
  for (auto& thread : threads) thread.join();
  std::vector<std::string> missed;
  for (const auto& [what, exit_code] : runs) {
    if (exit_code != failed_assertions) missed.push_back(what);
  }
  return missed;
}

store_under_test store_of_this_process() {
  alarm(300);  // a run that hangs shall end, and not as a catch
  const char* what = std::getenv(journal_variable);
  REQUIRE(what);
  return what == std::string_view(nothing_wrong) ? wrong_store<forwarding_journal>() : wrong_journals().at(what)();
}

std::string caught(std::size_t missed) {
  const auto all = wrong_journals().size();
  return std::to_string(all - missed) + " of " + std::to_string(all);
}

}  // namespace

TEST_CASE("a journal that is wrong in one thing fails the suite, and one that is wrong in nothing passes") {
  CHECK(run_on(nothing_wrong, "(child) the suite on a journal") == EXIT_SUCCESS);
  const auto missed = not_caught_by("(child) the suite on a journal");
  for (const auto& what : missed) FAIL_CHECK("the suite does not see a journal that ", what);
  show("wrong journals caught by the suite: " + caught(missed.size()));
}

// Not all: it has one thread and never looks at a journal from two places at once.
TEST_CASE("most of the wrong journals differ from the reference under random work too") {
  CHECK(run_on(nothing_wrong, "(child) random work on a journal") == EXIT_SUCCESS);
  const auto missed = not_caught_by("(child) random work on a journal");
  CHECK(missed.size() < wrong_journals().size() / 3);
  std::string names;
  for (const auto& what : missed) names += (names.empty() ? "" : ", ") + what;
  show("wrong journals caught by random work: " + caught(missed.size()) + "; not the one that " + names);
}

TEST_CASE("(child) the suite on a journal" * doctest::skip()) { testkit::journal_conformance(store_of_this_process()); }

TEST_CASE("(child) random work on a journal" * doctest::skip()) {
  testkit::journal_lockstep(store_of_this_process(), {.seed = 1, .operations = 3000});
}

}  // namespace cairn::tests
