// Simulated runs of the whole runtime: that they keep every promise, and repeat themselves from their seed.
#include "settings.hpp"
#include "simulation/workload.hpp"

#include <cairn/testkit/simulate.hpp>

#include <doctest/doctest.h>

namespace cairn::testkit {

using stock::Product;
using stock::ProductWorkload;

TEST_CASE("a product keeps its promises, whatever fails") {
  const auto report = simulate<Product>(ProductWorkload{});
  CHECK_MESSAGE(report.passed(), report.text());
  tests::show(report.text());
}

}  // namespace cairn::testkit
