// What the simulated clients ask of products.
#pragma once

#include "product.hpp"

#include <cairn/testkit/random.hpp>

#include <variant>

namespace stock {

struct ProductWorkload {
  using Command = std::variant<Enrol, AddStock, RemoveStock>;

  Command operator()(cairn::testkit::random& random) const {
    switch (random.below(10)) {
    case 0: return Enrol{random.between(0, 20), random.chance(0.1)};
    case 1:
    case 2:
    case 3: return RemoveStock{random.between(1, 5)};
    default: return AddStock{random.between(1, 5)};
    }
  }
};

}  // namespace stock
