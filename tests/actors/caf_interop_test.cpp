// For those who live in CAF: its handles, its sends and its coordinator, on the actors of a test_runtime.
#include "product.hpp"

#include <cairn/testkit/caf_interop.hpp>
#include <cairn/testkit/doctest.hpp>

#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <thread>
#include <vector>

namespace cairn::tests {
namespace {

using namespace stock;
using namespace testkit;

class saved_versions final : public caf::event_based_actor {
public:
  saved_versions(caf::actor_config& config, std::vector<version>& told) : caf::event_based_actor(config), told_(told) {}
  caf::behavior make_behavior() override {
    return {[this](const actors::snapshot_result& result) { told_.push_back(result.at); }};
  }

private:
  std::vector<version>& told_;
};

}  // namespace

TEST_CASE("a raw message is sent to an actor's handle by CAF's own means, and passes the taps like any other") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.run();
  const auto product = caf_interop::handle(world, aggregate<Product>("1"));
  REQUIRE(product);
  auto leaving = world.hold<actors::passivate>(aggregate<Product>("1"));
  caf::anon_send(product, actors::passivate{false});
  world.run();
  CHECK_FALSE(leaving.expect<actors::passivate>().snapshot);
  CHECK(world.is_live(aggregate<Product>("1")));
}

TEST_CASE("a tap keeps urgent messages as well, in the order in which the actor would have taken them") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.run();
  auto product = world.probe(aggregate<Product>("1"));
  const auto handle = caf_interop::handle(world, aggregate<Product>("1"));
  caf::anon_send(handle, actors::retry_recovery{});
  caf::anon_send<caf::message_priority::high>(handle, actors::passivate{});
  CHECK(world.mailbox(aggregate<Product>("1")).size() == 2);
  world.run();
  product.expect<actors::passivate>();
  product.expect<actors::retry_recovery>();
  product.expect_no_message();
}

TEST_CASE("CAF's coordinator says who is next, and runs what it is told to, past the taps") {
  test_runtime world;
  const auto enrolled = world.ask<Product>("1", Enrol{5});
  const auto calls = world.probe(directory_of<Product>("1"));
  auto& scheduler = caf_interop::scheduler(world);
  REQUIRE(scheduler.has_job());
  CHECK(scheduler.prioritize(caf_interop::handle(world, directory_of<Product>("1"))));
  scheduler.run_once();
  CHECK(calls.empty());
  world.run();
  CHECK(enrolled.accepted());
}

TEST_CASE("an aggregate that ends by CAF's own means is not live any more") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.run();
  const auto product = caf_interop::handle(world, aggregate<Product>("1"));
  caf::anon_send_exit(product, caf::exit_reason::kill);
  while (caf_interop::scheduler(world).try_run_once()) {}
  CHECK_FALSE(world.is_live(aggregate<Product>("1")));
  CHECK_FALSE(caf_interop::handle(world, aggregate<Product>("1")));
  const auto added = world.ask<Product>("1", AddStock{1});
  world.run();
  CHECK(added.accepted());
}

TEST_CASE("an actor of the user's own lives beside the runtime's, and is stepped with them") {
  test_runtime world;
  std::vector<version> told;
  const caf::actor listener = caf_interop::system(world).spawn<saved_versions>(told);
  caf::send_as(listener, caf_interop::handle(world, snapshot_writer()),
               actors::snapshot_request{stream_id("product", "1"), version{1}, "bytes"});
  world.run();
  CHECK(told == std::vector<version>{version{1}});
}

TEST_CASE("a test may spawn CAF actors, and destroy the test_runtime on the same thread or after that thread has ended") {
  std::unique_ptr<test_runtime> world;
  std::thread([&] { world = std::make_unique<test_runtime>(); }).join();
  std::vector<version> told;
  const auto spawn = [&] { caf_interop::system(*world).spawn<saved_versions>(told); };
  SUBCASE("on the same thread") { spawn(); }
  SUBCASE("after that thread has ended") { std::thread(spawn).join(); }
  world->run();
  world.reset();
}

}  // namespace cairn::tests
