// Messages put straight into the journal actor's mailbox.
#include "foreign_append.hpp"
#include "product.hpp"

#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace cairn::tests {
namespace {

using namespace stock;
using namespace testkit;

actors::append_request append_of(const std::string& id, std::uint64_t expected, std::uint64_t incarnation = 1) {
  return foreign_append(id, expected, Enrolled{}, incarnation);
}

// An aggregate that is kept from doing anything itself. Appends are sent in its name, and what it is answered is kept.
struct sender {
  sender(test_runtime& its_world, const std::string& id)
      : world(its_world), who(aggregate<Product>(id)), results(world.probe(who)) {
    world.state<Product>(id);
    world.run();
    results.drop();
  }
  void send(actors::append_request request) { world.inject(journal_actor(), std::move(request), who); }
  actors::append_result at(std::size_t place) const { return std::get<actors::append_result>(results.at(place)); }
  test_runtime& world;
  address who;
  tap results;
};

}  // namespace

TEST_CASE("everything that is queued before the commit's turn is one group commit, and each sender gets one answer") {
  test_runtime world;
  sender first(world, "1"), second(world, "2");
  world.run();
  for (std::uint64_t version = 0; version < 10; ++version) {
    first.send(append_of("1", version));
    second.send(append_of("2", version));
  }
  world.run();
  CHECK(world.journal().counts().batches == std::vector<std::size_t>{20});
  REQUIRE(first.results.size() == 1);
  REQUIRE(second.results.size() == 1);
  CHECK(first.at(0).appends == 10);
  CHECK(first.at(0).durable_through == version{10});
  CHECK(first.at(0).code == errc{});
}

TEST_CASE("a group commit is bounded by count") {
  test_runtime world({.batch_appends_max = 4});
  sender one(world, "1");
  for (std::uint64_t version = 0; version < 10; ++version) one.send(append_of("1", version));
  world.run();
  CHECK(world.journal().counts().batches == std::vector<std::size_t>{4, 4, 2});
}

TEST_CASE("a group commit is bounded by bytes") {
  test_runtime world({.batch_bytes_max = 1});
  sender one(world, "1");
  for (std::uint64_t version = 0; version < 3; ++version) one.send(append_of("1", version));
  world.run();
  CHECK(world.journal().counts().batches == std::vector<std::size_t>{1, 1, 1});
}

TEST_CASE("a conflict fails what is built on it and nobody else's") {
  test_runtime world;
  sender first(world, "1"), second(world, "2");
  first.send(append_of("1", 0));
  first.send(append_of("1", 5));  // a version that does not stand
  first.send(append_of("1", 6));
  second.send(append_of("2", 0));
  world.run();
  CHECK(first.at(0).appends == 3);
  CHECK(first.at(0).durable_through == version{1});
  CHECK(first.at(0).code == errc::version_conflict);
  CHECK(first.at(0).stands == version{1});
  CHECK(second.at(0).code == errc{});
  CHECK(world.journal().last() == position{2});
}

TEST_CASE("a commit that throws is unknown for all of it, and the next one works") {
  test_runtime world;
  sender first(world, "1"), second(world, "2");
  world.journal().fail_next_append();
  first.send(append_of("1", 0));
  second.send(append_of("2", 0));
  world.run();
  for (const auto* one : {&first, &second}) {
    REQUIRE(one->results.size() == 1);
    CHECK(one->at(0).code == errc::journal_unavailable);
    CHECK(one->at(0).durable_through == version{0});
  }
  CHECK(world.warnings().size() == 1);
  first.send(append_of("1", 0));
  world.run();
  CHECK(first.at(1).code == errc{});
}

TEST_CASE("appends of two incarnations of one aggregate are answered apart") {
  test_runtime world;
  sender one(world, "1");
  one.send(append_of("1", 0, 1));
  one.send(append_of("1", 1, 2));
  world.run();
  REQUIRE(one.results.size() == 2);
  CHECK(one.at(0).incarnation == 1);
  CHECK(one.at(0).appends == 1);
  CHECK(one.at(1).incarnation == 2);
}

TEST_CASE("the journal commits what it has gathered before it ends") {
  test_runtime world;
  sender one(world, "1");
  one.send(append_of("1", 0));
  world.inject(journal_actor(), actors::finish{});
  world.run();
  CHECK(world.journal().last() == position{1});
  CHECK(one.results.size() == 1);
}

}  // namespace cairn::tests
