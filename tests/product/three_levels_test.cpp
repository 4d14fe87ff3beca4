// One domain tested at the three levels that docs/testing.md describes. What that page shows stands here, so that it is compiled
// and run.
#include "product.hpp"

#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/given.hpp>
#include <cairn/testkit/simulate.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include "temporary_folder.hpp"

#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <variant>

namespace stock {

using namespace std::chrono_literals;
using cairn::errc;
using cairn::position;
using cairn::version;
using cairn::actors::append_result;
using cairn::testkit::aggregate;
using cairn::testkit::given;
using cairn::testkit::simulate;
using cairn::testkit::simulated_history;
using cairn::testkit::test_runtime;

// -- the rules

TEST_CASE("what is not there cannot be sold") {
  given<Product>(Enrolled{0}, StockAdded{3})
      .when(RemoveStock{2, "sold"})
      .then(StockRemoved{2, "sold"})
      .then_state([](const Product& product) { return product.count == 1; })
      .when(RemoveStock{2, "sold"})
      .then_rejected("insufficient_stock");
}

TEST_CASE("a failed story" * doctest::skip()) {
  given<Product>(Enrolled{5}, StockAdded{3}).when(RemoveStock{2, "sold"}).then(StockRemoved{3, "sold"});
}

// -- the service, message by message

TEST_CASE("a sale whose answer was lost is made once") {
  test_runtime world;
  world.ask<Product>("1", Enrol{5});
  world.run();

  auto acknowledgements = world.hold<append_result>(aggregate<Product>("1"));
  const auto sold = world.ask<Product>("1", RemoveStock{2}, {.command_id = "order-7"});
  world.run();
  CHECK(world.journal().last() == position{2});  // it is stored, but nobody has told the product
  CHECK_FALSE(sold.answered());

  world.kill(aggregate<Product>("1"));
  acknowledgements.close();
  world.run();
  CHECK(sold.failed_with(errc::abandoned));  // whoever asked cannot know

  const auto again = world.ask<Product>("1", RemoveStock{2}, {.command_id = "order-7"});
  world.run();
  CHECK(again.accepted());
  CHECK(again->repeated);
  CHECK(world.journal().last() == position{2});
}

TEST_CASE("a product whose past cannot be read says so, and is there again when it can") {
  test_runtime world;
  world.journal().fail_read();
  const auto first = world.ask<Product>("1", Enrol{5});
  world.run();
  CHECK(first.failed_with(errc::journal_unavailable));

  world.advance(100ms);  // the pause before the next try; nobody waits for it
  const auto second = world.ask<Product>("1", Enrol{5});
  world.run();
  CHECK(second.accepted());
}

TEST_CASE("a message that does not come" * doctest::skip()) {
  test_runtime world;
  auto acknowledgements = world.hold<append_result>(aggregate<Product>("1"));
  world.ask<Product>("1", RemoveStock{2});  // refused, so there is nothing to store
  world.run();
  acknowledgements.expect<append_result>();
}

// -- everything at once

std::variant<Enrol, AddStock, RemoveStock> some_command(cairn::testkit::random& random) {
  switch (random.below(4)) {
  case 0: return Enrol{random.between(0, 9)};
  case 1: return RemoveStock{random.between(1, 5)};
  default: return AddStock{random.between(1, 5)};
  }
}

TEST_CASE("a product keeps its promises, whatever fails") {
  const auto report = simulate<Product>(some_command);
  CHECK_MESSAGE(report.passed(), report.text());
}

/// Wrong on purpose: how often something was removed stands in no event, so it is gone when the process is.
struct ForgetfulProduct : Product {
  mutable int removals = 0;

  using Product::decide;
  Decision decide(const RemoveStock& remove) const {
    if (++removals > 3) return cairn::reject("enough_for_today");
    return Product::decide(remove);
  }
};

TEST_CASE("an aggregate that remembers what is in no event is found out") {
  const auto report = simulate<ForgetfulProduct>(some_command);
  REQUIRE(report.failure);
  const auto has = [text = report.text()](const std::string& part) { return text.find(part) != std::string::npos; };
  const auto seed = std::to_string(report.failure->seed);
  CHECK(has("seed " + seed + ": product/"));
  CHECK(has(": its history is not linearizable\nthe longest order that explains it ends with\n"));
  CHECK(has("\nand none of these can come next:\n"));
  CHECK(has("\n\nWhat happened last:\n"));
  CHECK(has("\n\nThis makes the run again:\n  CAIRN_SIMULATION_FIRST=" + seed + " CAIRN_SIMULATION_SEEDS=1 "));
}

TEST_CASE("a simulated history, for a checker outside") {
  const cairn::tests::temporary_folder place;
  const auto folder = place.path();
  std::ofstream(folder / "history.jsonl") << simulated_history<Product>(some_command, 7);
  CHECK(std::filesystem::file_size(folder / "history.jsonl") > 0);
}

TEST_CASE("a failed simulation" * doctest::skip()) {
  const auto report = simulate<ForgetfulProduct>(some_command);
  CHECK_MESSAGE(report.passed(), report.text());
}

}  // namespace stock
