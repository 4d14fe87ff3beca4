// A small test of an aggregate's rules, as a user would write it.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include "product.hpp"

#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/given.hpp>

#include <doctest/doctest.h>

using namespace stock;
using cairn::testkit::given;

TEST_CASE("stock is added to a product that is enrolled") { given<Product>(Enrolled{3}).when(AddStock{2}).then(StockAdded{2}); }

TEST_CASE("no more is removed than is there") {
  given<Product>(Enrolled{3}).when(RemoveStock{5}).then_rejected("insufficient_stock");
}
