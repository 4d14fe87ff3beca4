#include "load.hpp"
#include "postgres.hpp"
#include "rows.hpp"

#include <memory>

namespace cairn::benchmarks {
namespace {

row against_update(std::string key, std::string title, std::size_t products, double wanted,
                   const std::shared_ptr<std::unique_ptr<postgres_cluster>>& cluster) {
  return {std::move(key),
          std::move(title),
          "PostgreSQL UPDATE",
          "commands/s",
          at_least(wanted),
          [=](const extent& size) -> measure_round {
            if (!*cluster) *cluster = std::make_unique<postgres_cluster>();
            const auto ours = scaled({.products = products, .in_flight = 10'000}, size);
            (*cluster)->fill(ours.products);
            return [=](int round) -> measured {
              const auto [commands, updates] = in_turn(
                  round, [&] { return run(ours, size.seconds).commands_per_second; },
                  [&] { return (*cluster)->updates_per_second(ours.products, size.seconds); });
              return {commands, updates};
            };
          }};
}

}  // namespace

std::vector<row> postgres_rows() {
  // The first row that is measured starts it; it ends with the last of the rows.
  const auto cluster = std::make_shared<std::unique_ptr<postgres_cluster>>();
  return {against_update("postgres-1k", "1,000 products, 10,000 in flight", 1'000, 30, cluster),
          against_update("postgres-100k", "100,000 products, 10,000 in flight", 100'000, 12, cluster)};
}

}  // namespace cairn::benchmarks
