// The rules of a product's stock, without a runtime.
#include "product.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace stock {
namespace {

Product after(std::vector<Product::Event> events) { return cairn::fold<Product>(events); }

template <class Command>
std::string refusal(const Product& product, const Command& command) {
  const auto decision = product.decide(command);
  return decision.rejected() ? decision.rejected()->reason : "";
}

template <class Command>
Product::Event only_event(const Product& product, const Command& command) {
  const auto decision = product.decide(command);
  REQUIRE(decision.events().size() == 1);
  return decision.events()[0];
}

constexpr Count most = std::numeric_limits<Count>::max();
constexpr Count least = std::numeric_limits<Count>::min();

}  // namespace

TEST_CASE("the stock of a product is the sum of what happened to it: the four rows") {
  const std::vector<Product::Event> rows{Enrolled{}, StockAdded{3, {}}, StockAdded{2, {}}, StockRemoved{3, {}}};
  CHECK(after(rows).count == 2);
  CHECK(after({rows.begin(), rows.begin() + 3}).count == 5);
}

TEST_CASE("a product is enrolled once, and with what is there") {
  CHECK(only_event(Product{}, Enrol{4}) == Product::Event{Enrolled{4, false}});
  CHECK(refusal(after({Enrolled{}}), Enrol{}) == "already_enrolled");
  CHECK(refusal(Product{}, Enrol{-1}) == "count_negative");
}

TEST_CASE("nothing happens to a product before it is enrolled") {
  CHECK(refusal(Product{}, AddStock{1}) == "not_enrolled");
  CHECK(refusal(Product{}, RemoveStock{1}) == "not_enrolled");
}

TEST_CASE("counts are positive") {
  for (const Count count : {Count{0}, Count{-1}, least}) {
    CHECK(refusal(after({Enrolled{5}}), AddStock{count}) == "count_not_positive");
    CHECK(refusal(after({Enrolled{5}}), RemoveStock{count}) == "count_not_positive");
  }
}

TEST_CASE("what is not there cannot be removed, unless back-orders are allowed") {
  CHECK(refusal(after({Enrolled{3}}), RemoveStock{4}) == "insufficient_stock");
  CHECK(after({Enrolled{3}, only_event(after({Enrolled{3}}), RemoveStock{3})}).count == 0);
  const auto lenient = after({Enrolled{3, true}});
  auto owed = lenient;
  cairn::evolve(owed, only_event(lenient, RemoveStock{4}));
  CHECK(owed.count == -1);
}

TEST_CASE("no count ever overflows") {
  CHECK(refusal(after({Enrolled{most}}), AddStock{1}) == "count_too_large");
  CHECK(only_event(after({Enrolled{most - 1}}), AddStock{1}) == Product::Event{StockAdded{1, {}}});
  auto owed = after({Enrolled{0, true}, StockRemoved{most, {}}});
  CHECK(only_event(owed, RemoveStock{1}) == Product::Event{StockRemoved{1, {}}});
  CHECK(refusal(owed, RemoveStock{2}) == "count_too_small");
}

TEST_CASE("a reason is kept where there is one") {
  CHECK(only_event(after({Enrolled{}}), AddStock{1, "returned"}) == Product::Event{StockAdded{1, "returned"}});
}

}  // namespace stock
