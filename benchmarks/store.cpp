#include "store.hpp"

#include "load.hpp"
#include "measure.hpp"
#include "product.hpp"

#include <cairn/rocksdb_journal.hpp>

#include <chrono>
#include <string_view>

namespace cairn::benchmarks {
namespace {

std::vector<stream_id> streams_of(const std::vector<std::string>& ids) {
  std::vector<stream_id> streams;
  for (const auto& id : ids) streams.emplace_back(stock::Product::category, id);
  return streams;
}

}  // namespace

record_batch::record_batch(journal& store, std::size_t size)
    : store_(store), frames_(size), additions_(size), appends_(size), outcomes_(size) {}

void record_batch::set(std::size_t place, stream_view stream, version current, std::string_view type, std::string_view payload) {
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

void record_batch::append() { store_.append(appends_, outcomes_); }

void append_histories(journal& store, const std::vector<std::string>& ids, std::size_t events) {
  std::string enrolled, added;
  codec::encode(enrolled, stock::Enrolled{});
  codec::encode(added, stock::StockAdded{1, reason});
  const auto streams = streams_of(ids);
  record_batch all(store, ids.size());
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

bare_store::bare_store(std::size_t products, std::size_t warm_up_bytes)
    : store_(rocksdb_journal(folder_.path())), streams_(streams_of(ids_of(products))), versions_(products) {
  codec::encode(payload_, stock::StockAdded{1, reason});
  constexpr std::size_t at_once = 1'000;
  record_batch next(*store_, at_once);
  for (std::size_t left = warm_up_bytes / record_bytes; left > at_once; left -= at_once) append_batch(next, at_once);
}

double bare_store::append_batch(record_batch& next, std::size_t size) {
  stop_if_interrupted();
  for (std::size_t place = 0; place < size; ++place) {
    const auto product = numbers_.below(streams_.size());
    next.set(place, streams_[product], versions_[product], stock::StockAdded::type, payload_);
    versions_[product] = versions_[product] + 1;
  }
  const auto start = steady::now();
  next.append();
  return seconds_since(start);
}

void bare_store::run(std::size_t size, double seconds) {
  record_batch next(*store_, size);
  for (double took = 0; took < seconds; records_ += size) {
    const auto lasted = append_batch(next, size);
    took += lasted;
    seconds_ += lasted;
  }
}

}  // namespace cairn::benchmarks
