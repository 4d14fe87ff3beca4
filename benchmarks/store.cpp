#include "store.hpp"

#include "../persistence/store/store_environment.hpp"
#include "load.hpp"
#include "measure.hpp"
#include "product.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <string_view>
#include <system_error>

namespace cairn::benchmarks {
namespace {

std::vector<stream_id> streams_of(const std::vector<std::string>& ids) {
  std::vector<stream_id> streams;
  for (const auto& id : ids) streams.emplace_back(stock::Product::category, id);
  return streams;
}

}  // namespace

std::unique_ptr<store> open_unchained(const std::filesystem::path& folder) {
  auto environment = detail::usual_environment();
  environment.chained = false;
  return detail::open_embedded_store(folder, {}, environment);
}

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

std::size_t record_batch::bytes() const {
  std::size_t sum = 0;
  for (const auto& frame : frames_) sum += frame.size();
  return sum;
}

void append_histories(journal& store, const std::vector<std::string>& ids, std::size_t events) {
  std::string enrolled, added;
  cairn::detail::encode(enrolled, stock::Enrolled{});
  cairn::detail::encode(added, stock::StockAdded{1, reason});
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
    : store_(open_store(folder_.path())), streams_(streams_of(ids_of(products))), versions_(products) {
  cairn::detail::encode(payload_, stock::StockAdded{1, reason});
  constexpr std::size_t at_once = 1'000;
  record_batch next(*store_, at_once);
  for (std::size_t left = warm_up_bytes / record_bytes; left > at_once; left -= at_once) append_batch(next, at_once);
}

void bare_store::append(std::size_t batch, std::size_t batches) {
  record_batch next(*store_, batch);
  for (; batches > 0; --batches) {
    append_batch(next, batch);
    bytes_ += next.bytes();
  }
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
    bytes_ += next.bytes();
  }
}

plain_file::plain_file() {
  const auto name = (folder_.path() / "bytes").string();
  file_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0) throw std::system_error(errno, std::generic_category(), name);
}

plain_file::~plain_file() { ::close(file_); }

void plain_file::run(std::size_t bytes, double seconds) {
  const std::string batch(bytes, 'x');
  for (double took = 0; took < seconds; written_ += static_cast<double>(bytes)) {
    stop_if_interrupted();
    const auto start = steady::now();
    if (::write(file_, batch.data(), bytes) != static_cast<ssize_t>(bytes) || ::fdatasync(file_) != 0) {
      throw std::system_error(errno, std::generic_category(), "a plain file");
    }
    const auto lasted = seconds_since(start);
    took += lasted;
    seconds_ += lasted;
  }
}

}  // namespace cairn::benchmarks
