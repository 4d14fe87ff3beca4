// Messages injected into the real actors of a runtime, held, lost and reordered, with time moved by hand.
#include "product.hpp"

#include <cairn/testkit/test_runtime.hpp>

#include <doctest/doctest.h>

namespace cairn::testkit {
namespace {

using namespace std::chrono_literals;
using namespace stock;
using actors::append_request;
using actors::append_result;

}  // namespace

TEST_CASE("an answer waits until the journal's acknowledgement has arrived") {
  test_runtime world;
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  auto acknowledgements = world.hold<append_result>(aggregate<Product>("1"));
  world.run();
  CHECK_FALSE(enrolled.answered());
  CHECK(world.journal().last() == position{1});
  acknowledgements.release();
  world.run();
  CHECK(enrolled.accepted());
  CHECK(enrolled->version == version{1});
}

}  // namespace cairn::testkit
