#include "load.hpp"
#include "measure.hpp"
#include "product.hpp"
#include "rows.hpp"
#include "store.hpp"

#include <cairn/folded_log.hpp>
#include <cairn/verified_log.hpp>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

namespace cairn::benchmarks {
namespace {

constexpr int readers = 2;

/// What all rounds of a row read: a store, opened anew after it was written, so that nothing of it is in memory only.
struct prepared_store {
  temporary_folder folder;
  std::vector<std::string> ids;
  std::shared_ptr<journal> store;

  explicit prepared_store(std::size_t products) : ids(ids_of(products)) {}
  void open(store_options options = {}) {
    store.reset();
    store = open_store(folder.path(), options);
  }
};

std::shared_ptr<prepared_store> with_histories(std::size_t products, std::size_t events, store_options options = {}) {
  auto made = std::make_shared<prepared_store>(products);
  made->open();
  append_histories(*made->store, made->ids, events);
  made->open(options);
  return made;
}

/// The same, with a snapshot of each product's newest version.
std::shared_ptr<prepared_store> with_histories_and_snapshots(std::size_t products, std::size_t events) {
  auto made = with_histories(products, events);
  {
    runtime runtime{{.journal = made->store, .in_flight_max = products}};
    look_at_all(runtime, made->ids);
    runtime.drain(drain_snapshots::yes, blocking);
  }
  made->open();
  return made;
}

/// As passivation leaves them: each product has a snapshot of its newest version.
std::shared_ptr<prepared_store> with_snapshots(std::size_t products) {
  auto made = std::make_shared<prepared_store>(products);
  made->open();
  {
    runtime runtime{{.journal = made->store, .in_flight_max = products}};
    enrol_all(runtime, made->ids);
    runtime.drain(drain_snapshots::yes, blocking);
  }
  made->open();
  return made;
}

double activations_per_second(const prepared_store& from) {
  runtime runtime{{.journal = from.store,
                   .in_flight_max = from.ids.size(),
                   .bounds = {.recovery_queue_max = from.ids.size(), .recoveries_at_once_max = readers}}};
  const auto start = steady::now();
  look_at_all(runtime, from.ids);
  const auto rate = static_cast<double>(from.ids.size()) / seconds_since(start);
  runtime.drain(drain_snapshots::no, blocking);
  return rate;
}

/// As many threads as the runtime has readers, each with its share of the products.
template <class Read>
double reads_per_second(const prepared_store& from, Read read) {
  const auto start = steady::now();
  std::vector<std::thread> threads;
  for (int thread = 0; thread < readers; ++thread) {
    threads.emplace_back([&, thread] {
      for (auto place = static_cast<std::size_t>(thread); place < from.ids.size(); place += readers) {
        read(stream_view{stock::Product::category, from.ids[place]});
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return static_cast<double>(from.ids.size()) / seconds_since(start);
}

/// A snapshot and whatever comes after it, as a recovery reads them.
void read_from_snapshot(journal& store, stream_view stream) {
  const auto snapshot = store.snapshots().latest(stream, version::max());
  if (!snapshot || store.highest(stream) != snapshot->version) std::abort();
  store.read(stream, {.from = snapshot->version + 1}, [](const record_view&) -> bool { std::abort(); });
}

void read_records(journal& store, stream_view stream) {
  store.read(stream, {}, [](const record_view&) { return true; });
}

row cold_row(std::string key, std::string title, std::string against, double wanted,
             std::function<std::shared_ptr<prepared_store>(const extent&)> make, void (*read)(journal&, stream_view)) {
  return {std::move(key),
          std::move(title),
          std::move(against),
          "products/s",
          at_least(wanted),
          [=](const extent& size) -> measure_round {
            const auto from = make(size);
            const auto bare = [=] { return reads_per_second(*from, [&](stream_view stream) { read(*from->store, stream); }); };
            bare();  // so that neither side is the first to read
            return [=](int round) -> measured {
              stop_if_interrupted();
              const auto [cold, direct] = in_turn(
                  round, [&] { return activations_per_second(*from); }, bare);
              return {cold, direct};
            };
          }};
}

template <class Log>
row fold_row(std::string key, std::string title) {
  return {std::move(key), std::move(title), "reading it", "records/s", at_least(0.5), [](const extent& size) -> measure_round {
            constexpr std::size_t products = 10'000;
            const auto from = with_histories_and_snapshots(size.scaled(products), 200);
            const auto rate_of = [=](auto walk) {
              const auto start = steady::now();
              walk();
              return static_cast<double>(from->store->last().value) / seconds_since(start);
            };
            const auto read = [=] {
              return rate_of([&] { from->store->read_all(position{1}, [](const record_view&) { return true; }); });
            };
            const auto fold = [=] { return rate_of([&] { Log().catch_up(*from->store); }); };
            read();  // so that neither side is the first
            return [=](int round) -> measured {
              stop_if_interrupted();
              const auto [folded, walked] = in_turn(round, fold, read);
              return {folded, walked};
            };
          }};
}

double resident_bytes() {
  long pages = 0;
  auto* file = std::fopen("/proc/self/statm", "r");
  if (!file || std::fscanf(file, "%*d %ld", &pages) != 1) throw std::runtime_error("/proc/self/statm cannot be read");
  std::fclose(file);
  return static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// What the heap has grown by per product, from before the first is live to when all are and nothing is asked any more. That is
/// the actor with its mailbox, the state, the directory's entry, and whatever else stays; the store keeps next to no cache.
row memory_row() {
  return {
      "memory", "memory of a live idle product", "1 KiB", "bytes", at_most(2), [](const extent& size) -> measure_round {
        const auto from = with_histories(size.scaled(200'000), 2, {.block_cache_mib = 1});
        return [=](int) -> measured {
          stop_if_interrupted();
          runtime runtime{
              {.journal = from->store,
               .in_flight_max = from->ids.size(),
               .bounds = {.recovery_queue_max = from->ids.size(), .live_aggregates_max = 2 * from->ids.size() + 100}}};
          release_free_memory();
          const auto heap = *heap_bytes();
          const auto resident = resident_bytes();
          look_at_all(runtime, from->ids);
          const auto products = static_cast<double>(runtime.statistics().live_aggregates);
          measured found{(*heap_bytes() - heap) / products, 1024, {{"bytes resident", (resident_bytes() - resident) / products}}};
          found.besides.emplace_back("live products", products);
          runtime.drain(drain_snapshots::no, blocking);
          return found;
        };
      }};
}

}  // namespace

std::vector<row> recovery_rows() {
  return {
      memory_row(),
      cold_row(
          "cold-snapshot", "activations/s from a snapshot alone", "bare reads", 0.4,
          [](const extent& size) { return with_snapshots(size.scaled(50'000)); }, read_from_snapshot),
      cold_row(
          "cold-tail", "activations/s with 250 events to read", "bare reads", 0.6,
          [](const extent& size) { return with_histories(size.scaled(4'000), 250); }, read_records),
      fold_row<folded_log<stock::Product>>("fold", "reading the log, folding every product"),
      fold_row<verified_log<stock::Product>>("verify", "the same, comparing every snapshot"),
  };
}

}  // namespace cairn::benchmarks
