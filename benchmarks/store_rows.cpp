#include "load.hpp"
#include "rows.hpp"
#include "store.hpp"

#include <algorithm>
#include <memory>

namespace cairn::benchmarks {
namespace {

constexpr std::size_t batch = 1'024;
constexpr std::size_t warm_up_bytes = std::size_t{100} << 20;

row against_plain_file(std::string key, std::string title, std::size_t products, double at_least_ratio) {
  return {
      std::move(key),
      std::move(title),
      "a plain file",
      "records/s",
      at_least(at_least_ratio),
      [=](const extent& size) -> measure_round {
        return [=](int) -> measured {
          bare_store records(size.scaled(products), size.scaled(warm_up_bytes));
          records.append(batch, 1);
          const auto bytes = records.bytes();
          plain_file plain;
          take_turns(
              size, [&](double seconds) { records.run(batch, seconds); },
              [&](double seconds) { plain.run(static_cast<std::size_t>(bytes), seconds); });
          return {records.records_per_second(), plain.bytes_per_second() / bytes * batch, {{"bytes a record", bytes / batch}}};
        };
      }};
}

/// The store is new at the beginning and closed at the end, so that the row counts all that it ever writes for
/// these records.
measured written_by_appends(const extent& size) {
  const auto before = written_bytes();
  double bytes = 0;
  {
    bare_store records(size.scaled(100'000), 0);
    records.append(batch, size.scaled(3'000));
    bytes = records.bytes();
  }
  return {written_bytes() - before, bytes};
}

measured written_by_commands(const extent& size) {
  const auto before = written_bytes();
  constexpr std::size_t commands = 3'000'000;
  {
    pipeline few(scaled({.products = 1'000, .in_flight = 1'000, .warm_up_bytes = commands * record_bytes}, size));
    few.run(0.001);
  }
  return {written_bytes() - before, static_cast<double>(size.scaled(commands) * record_bytes)};
}

row written_row(std::string key, std::string title, measured (*measure)(const extent&)) {
  return {std::move(key), std::move(title), "bytes of the records", "bytes", {}, [=](const extent& size) -> measure_round {
            return [=](int) { return measure(size); };
          }};
}

}  // namespace

std::vector<row> store_rows() {
  return {
      against_plain_file("bare-1k", "bare store, batches of 1,024 for 1,000 products", 1'000, 0.3),
      against_plain_file("bare-100k", "bare store, batches of 1,024 for 100,000 products", 100'000, 0.15),
      written_row("written-batches", "written to the disk in batches of 1,024", written_by_appends),
      written_row("written-commands", "written to the disk, 1,000 commands in flight", written_by_commands),
  };
}

}  // namespace cairn::benchmarks
