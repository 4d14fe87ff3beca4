// The rules of a product's stock, told as stories, without a runtime: the test to copy for an aggregate of your own.
#include "product.hpp"

#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/given.hpp>

#include <doctest/doctest.h>
#include <limits>

namespace stock {
namespace {

using cairn::testkit::given;

constexpr Count most = std::numeric_limits<Count>::max();
constexpr Count least = std::numeric_limits<Count>::min();

auto count_is(Count count) {
  return [count](const Product& product) { return product.count == count; };
}

}  // namespace

TEST_CASE("the stock of a product is the sum of what happened to it: the four rows") {
  given<Product>(Enrolled{}, StockAdded{3}, StockAdded{2}).then_state(count_is(5));
  given<Product>(Enrolled{}, StockAdded{3}, StockAdded{2}, StockRemoved{3}).then_state(count_is(2));
}

TEST_CASE("a product is enrolled once, and with what is there") {
  given<Product>()
      .when(Enrol{4})
      .then(Enrolled{4})
      .then_state({.enrolled = true, .allow_back_orders = false, .count = 4})
      .when(Enrol{})
      .then_rejected("already_enrolled");
  given<Product>().when(Enrol{-1}).then_rejected("count_negative");
}

TEST_CASE("nothing happens to a product before it is enrolled") {
  given<Product>().when(AddStock{1}).then_rejected("not_enrolled");
  given<Product>().when(RemoveStock{1}).then_rejected("not_enrolled");
}

TEST_CASE("counts are positive") {
  for (const Count count : {Count{0}, Count{-1}, least}) {
    given<Product>(Enrolled{5}).when(AddStock{count}).then_rejected("count_not_positive");
    given<Product>(Enrolled{5}).when(RemoveStock{count}).then_rejected("count_not_positive");
  }
}

TEST_CASE("what is not there cannot be removed, unless back-orders are allowed") {
  given<Product>(Enrolled{3})
      .when(RemoveStock{4})
      .then_rejected("insufficient_stock")
      .when(RemoveStock{3})
      .then(StockRemoved{3})
      .then_state(count_is(0));
  given<Product>()
      .when(Enrol{3, true})
      .then(Enrolled{3, true})
      .when(RemoveStock{4})
      .then(StockRemoved{4})
      .then_state({.enrolled = true, .allow_back_orders = true, .count = -1});
}

TEST_CASE("no count ever overflows") {
  given<Product>(Enrolled{most - 1})
      .when(AddStock{1})
      .then(StockAdded{1})
      .then_state(count_is(most))
      .when(AddStock{1})
      .then_rejected("count_too_large");
  given<Product>(Enrolled{0, true}, StockRemoved{most})
      .when(RemoveStock{2})
      .then_rejected("count_too_small")
      .when(RemoveStock{1})
      .then(StockRemoved{1})
      .then_state(count_is(least));
}

TEST_CASE("a history that the rules would never make is folded all the same") {
  given<Product>(Enrolled{most}, StockAdded{1}).then_state(count_is(least));
  given<Product>(StockRemoved{most}, StockRemoved{2}).then_state(count_is(most));
}

TEST_CASE("a reason is kept where there is one") {
  given<Product>(Enrolled{})
      .when(AddStock{2, "returned"})
      .then(StockAdded{2, "returned"})
      .when(RemoveStock{1, "broken"})
      .then(StockRemoved{1, "broken"});
}

}  // namespace stock
