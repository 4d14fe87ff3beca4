// What is true of a product's stock whatever is asked of it: random commands, to copy for an aggregate of your own.
#include "product.hpp"

#include <cairn/testkit/doctest.hpp>
#include <cairn/testkit/properties.hpp>

#include <doctest/doctest.h>
#include <string>
#include <variant>

namespace stock {
namespace {

using cairn::testkit::check_properties;
using Command = std::variant<Enrol, AddStock, RemoveStock>;

/// Mostly counts of every day, and now and then one at the end of the range.
rc::Gen<Count> counts() {
  return rc::gen::weightedOneOf<Count>({{9, rc::gen::inRange<Count>(-1, 20)}, {1, rc::gen::arbitrary<Count>()}});
}

rc::Gen<Command> commands() {
  const auto reasons = rc::gen::element<std::string>("", "sold", "returned");
  return rc::gen::oneOf(rc::gen::apply(
                            [](Count count, bool lenient) -> Command {
                              return Enrol{count, lenient};
                            },
                            counts(), rc::gen::arbitrary<bool>()),
                        rc::gen::apply(
                            [](Count count, std::string why) -> Command {
                              return AddStock{count, why};
                            },
                            counts(), reasons),
                        rc::gen::apply(
                            [](Count count, std::string why) -> Command {
                              return RemoveStock{count, why};
                            },
                            counts(), reasons));
}

}  // namespace

TEST_CASE("no stock is below zero, unless back-orders are allowed") {
  check_properties<Product>(commands(), [](const Product& product) { return product.allow_back_orders || product.count >= 0; });
}

TEST_CASE("nothing is in stock before the product is enrolled") {
  check_properties<Product>(commands(), [](const Product& product) { return product.enrolled || product == Product{}; });
}

}  // namespace stock
