// Says at the end how much a program of the testkit's suite has tried.
#include "settings.hpp"

#include <doctest/doctest.h>

#include <string>

namespace {

struct figures final : doctest::IReporter {
  explicit figures(const doctest::ContextOptions& options)
      : run_by_a_test(options.no_skip), program(options.binary_name.c_str()) {}

  void test_run_end(const doctest::TestRunStats& run) override {
    if (run_by_a_test) return;  // which wants to see a failure
    cairn::tests::show("testkit: " + program.substr(program.rfind('/') + 1) + ", " +
                       std::to_string(run.numTestCasesPassingFilters - run.numTestCasesFailed) + " of " +
                       std::to_string(run.numTestCasesPassingFilters) + " test cases passed, " + std::to_string(run.numAsserts) +
                       " checks");
  }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}

  bool run_by_a_test;
  std::string program;
};

DOCTEST_REGISTER_LISTENER("figures", 1, figures);

}  // namespace
