// Has failures of the testkit caught, where a test wants to see one.
#pragma once

#include "shell.hpp"

#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/failure.hpp>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>

namespace cairn::tests {

/// Failures go to `report` while it lives, and to doctest again behind it.
class failures_go_to {
public:
  explicit failures_go_to(std::function<void(const testkit::failure&)> report) { testkit::report_failures_to(std::move(report)); }
  ~failures_go_to() { testkit::report_failures_to(testkit::detail::report_to_doctest); }
  failures_go_to(const failures_go_to&) = delete;
  failures_go_to& operator=(const failures_go_to&) = delete;
};

/// The text of the failure that `work` reports first, which ends it.
template <class Work>
std::string reported(Work work) {
  const failures_go_to nobody({});
  try {
    work();
  } catch (const testkit::failure& failed) { return failed.text(); }
  return "nothing was reported";
}

/// Runs a skipped test case of this program in a process of its own: what doctest says of it, and how the process ends.
inline ran run_alone(const std::string& test_case) {
  setenv("CAIRN_THIS_PROGRAM", std::filesystem::read_symlink("/proc/self/exe").c_str(), 1);
  return shell("CAIRN_THIS_PROGRAM")("--test-case='" + test_case + "' --no-skip --no-colors");
}

}  // namespace cairn::tests
