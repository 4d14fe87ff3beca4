#include "store.hpp"

#include "load.hpp"
#include "measure.hpp"
#include "product.hpp"

#include <cairn/rocksdb_journal.hpp>

#include <chrono>
#include <string_view>

namespace cairn::benchmarks {
namespace {

/// Appends of one event each, which the store takes with one sync.
class batch {
public:
  batch(journal& store, std::size_t size) : store_(store), frames_(size), additions_(size), appends_(size), outcomes_(size) {}

  void set(std::size_t place, stream_view stream, version current, std::string_view type, std::string_view payload) {
    unrecorded_event event;
    event.stream = stream;
    event.version = current + 1;
    event.type = type;
    event.recorded_at = system_now();
    event.payload = payload;
    frames_[place].clear();
    encode_frame(frames_[place], event);
    additions_[place] = {stream, current, 1, frames_[place]};
    appends_[place] = {&additions_[place], 1};
  }

  void append() { store_.append(appends_, outcomes_); }

private:
  journal& store_;
  std::vector<std::string> frames_;
  std::vector<addition> additions_;
  std::vector<atomic_append> appends_;
  std::vector<append_outcome> outcomes_;
};

std::vector<stream_id> streams_of(const std::vector<std::string>& ids) {
  std::vector<stream_id> streams;
  for (const auto& id : ids) streams.emplace_back(stock::Product::category, id);
  return streams;
}

}  // namespace

void append_histories(journal& store, const std::vector<std::string>& ids, std::size_t events) {
  std::string enrolled, added;
  codec::encode(enrolled, stock::Enrolled{});
  codec::encode(added, stock::StockAdded{1, reason});
  const auto streams = streams_of(ids);
  batch all(store, ids.size());
  for (std::size_t number = 0; number < events; ++number) {
    stop_if_interrupted();
    for (std::size_t product = 0; product < ids.size(); ++product) {
      const bool first = number == 0;
      all.set(product, streams[product], version{number}, first ? stock::Enrolled::type : stock::StockAdded::type,
              first ? enrolled : added);
    }
    all.append();
  }
}

double bare_append_rate(std::size_t products, std::size_t size, double seconds) {
  const temporary_folder folder;
  const auto store = rocksdb_journal(folder.path());
  const auto streams = streams_of(ids_of(products));
  std::vector<version> versions(products);
  std::string payload;
  codec::encode(payload, stock::StockAdded{1, reason});
  batch next(*store, size);
  number_generator numbers;
  std::uint64_t records = 0;
  steady::duration in_append{};
  const auto took = [&] { return std::chrono::duration<double>(in_append).count(); };
  while (took() < seconds) {
    stop_if_interrupted();
    for (std::size_t place = 0; place < size; ++place) {
      const auto product = numbers.below(products);
      next.set(place, streams[product], versions[product], stock::StockAdded::type, payload);
      versions[product] = versions[product] + 1;
    }
    const auto start = steady::now();
    next.append();
    in_append += steady::now() - start;
    records += size;
  }
  return static_cast<double>(records) / took();
}

}  // namespace cairn::benchmarks
