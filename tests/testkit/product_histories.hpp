// Random histories of the stock product, and how they are written down for other checkers.
#pragma once

#include "histories.hpp"

#include <product.hpp>

#include <string>
#include <string_view>

namespace cairn::tests {

using product_maker = history_maker<stock::Product, stock::Enrol, stock::AddStock, stock::RemoveStock>;

inline std::variant<stock::Enrol, stock::AddStock, stock::RemoveStock> random_product_command(std::mt19937_64& random) {
  const auto count = static_cast<stock::Count>(random() % 6);
  const auto kind = random() % 20;
  if (kind < 2) return stock::Enrol{count, random() % 2 == 0};
  if (kind < 12) return stock::AddStock{count};
  return stock::RemoveStock{count};
}

/// For testkit::json_lines().
struct product_format {
  static std::string json_of(const stock::Enrol& enrol) {
    return R"({"count":)" + std::to_string(enrol.count) + R"(,"allow_back_orders":)" + truth(enrol.allow_back_orders) + "}";
  }
  static std::string json_of(const stock::AddStock& add) { return R"({"count":)" + std::to_string(add.count) + "}"; }
  static std::string json_of(const stock::RemoveStock& remove) { return R"({"count":)" + std::to_string(remove.count) + "}"; }
  static std::string json_of(const stock::Product& product) {
    return R"({"enrolled":)" + truth(product.enrolled) + R"(,"allow_back_orders":)" + truth(product.allow_back_orders) +
           R"(,"count":)" + std::to_string(product.count) + "}";
  }
  static std::string_view name_of(const stock::Enrol&) { return "Enrol"; }
  static std::string_view name_of(const stock::AddStock&) { return "AddStock"; }
  static std::string_view name_of(const stock::RemoveStock&) { return "RemoveStock"; }

private:
  static std::string truth(bool holds) { return holds ? "true" : "false"; }
};

}  // namespace cairn::tests
