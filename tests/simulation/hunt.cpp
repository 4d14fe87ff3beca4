// Simulates products until a run breaks a promise, and says after how many seeds and which promise. Linked with a mistaken
// source of cairn, it is a mutant, which must be found out; with none it finds nothing.
#include "simulation/workload.hpp"

#include <cairn/testkit/simulate.hpp>

#include <cstdlib>
#include <iostream>
#include <string>

int main(int count, char** arguments) {
  cairn::testkit::seeds which{1, 1000};
  for (int place = 1; place + 1 < count; place += 2) {
    const std::string name = arguments[place];
    const auto number = std::strtoull(arguments[place + 1], nullptr, 10);
    if (name == "--first") which.first = number;
    if (name == "--seeds") which.count = number;
  }
  const auto report = cairn::testkit::simulate<stock::Product>(stock::ProductWorkload{}, {}, which);
  if (report.passed()) return 1;
  const auto& what = report.failure->what;
  std::cout << report.failure->seed - which.first + 1 << " " << what.substr(0, what.find('\n')).substr(0, 110) << std::endl;
  return 0;
}
