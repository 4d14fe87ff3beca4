#include "proof.hpp"

#include "product.hpp"

#include <cairn/verified_log.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <chrono>
#include <msgpack.hpp>
#include <optional>

namespace simulation {
namespace {

namespace asio = boost::asio;
using clock = std::chrono::steady_clock;

constexpr std::size_t told_max = 10;               // of each kind of fault
constexpr std::size_t recoveries_max = 1'000;      // asked for at a time
constexpr std::uint64_t step_records = 1'000'000;  // folded by the domain before the stop flag is looked at again

double seconds_since(clock::time_point start) { return std::chrono::duration<double>(clock::now() - start).count(); }

void tell(std::vector<std::string>& faults, std::string fault) {
  if (faults.size() < told_max) faults.push_back(std::move(fault));
}

std::string text_of(const standing& one) { return std::to_string(one.count) + " (version " + std::to_string(one.version) + ")"; }

/// What a payload, a msgpack map, has under "count"; nothing where it is not such a map.
std::optional<std::int64_t> count_in(std::string_view payload) {
  const auto handle = msgpack::unpack(payload.data(), payload.size());
  const auto& map = handle.get();
  if (map.type != msgpack::type::MAP) return std::nullopt;
  for (const auto& [key, value] : map.via.map) {
    if (key.type == msgpack::type::STR && std::string_view(key.via.str.ptr, key.via.str.size) == "count") {
      return value.as<std::int64_t>();
    }
  }
  return std::nullopt;
}

}  // namespace

log_reading fold_log(const cairn::journal& store, const stop_flag& stop) {
  const auto start = clock::now();
  log_reading log;
  std::unordered_map<cairn::stream_id, std::uint64_t, cairn::stream_hash, cairn::stream_equal> others;
  std::string id;
  store.read_all(cairn::position{1}, [&](const cairn::record_view& record) {
    const auto fault = [&](const std::string& what) {
      tell(log.faults,
           "position " + std::to_string(record.position.value) + ", " + cairn::to_string(record.stream) + ": " + what);
    };
    if (record.position.value != ++log.records) {
      fault("position " + std::to_string(log.records) + " was to come first");
      log.records = record.position.value;
    }
    const bool product = record.stream.category == stock::Product::category;
    id.assign(record.stream.id);
    auto* one = product ? &log.products[id] : nullptr;
    auto& version = product ? one->version : others[cairn::stream_id(record.stream)];
    if (record.version.value != ++version) {
      fault("version " + std::to_string(record.version.value) + " stands where " + std::to_string(version) + " was to come");
      version = record.version.value;
    }
    if (!product) return !stop;
    try {
      const auto count = count_in(record.payload);
      const auto sign = record.type == "DELETE" ? -1 : record.type == "ADD" || record.type == "ENROLL" ? 1 : 0;
      if (count && sign != 0) {
        one->count += sign * *count;
      } else {
        fault("an event of type " + std::string(record.type) + " that says nothing of a count");
      }
    } catch (const std::exception& reason) { fault(std::string("the payload cannot be read: ") + reason.what()); }
    return !stop;
  });
  log.seconds = seconds_since(start);
  return log;
}

domain_reading fold_by_domain(cairn::journal& store, const std::vector<std::string>& ids, const stop_flag& stop) {
  const auto start = clock::now();
  domain_reading all;
  cairn::verified_log<stock::Product> log;
  const auto last = store.last();
  for (cairn::position next; next < last && !stop;) {
    try {
      log.catch_up(store, next + step_records);
      next = next + step_records;
    } catch (const cairn::error& failed) {
      tell(all.faults, std::string("the log folded by the domain's own code: ") + failed.what());
      if (failed.kind() != cairn::errc::corrupt_store) break;  // else one snapshot is wrong, and the log goes on
    }
  }
  all.records = log.states().through().value;
  all.snapshots = log.compared();
  all.snapshots_passed_over = log.passed_over();
  all.seconds = seconds_since(start);
  for (const auto& id : ids) {
    const auto* const found = log.states().find(id);
    all.products.push_back(found ? standing{found->state.count, found->version.value} : standing{});
  }
  return all;
}

recovery recover_all(cairn::runtime& runtime, const std::vector<std::string>& ids, const stop_flag& stop) {
  const auto start = clock::now();
  const auto before = runtime.statistics();
  recovery all;
  all.products.resize(ids.size());
  asio::io_context io(1);
  std::size_t next = 0;
  std::function<void()> ask_next = [&] {
    if (next == ids.size() || stop) return;
    const auto asked = next++;
    runtime.state<stock::Product>(
        ids[asked],
        asio::bind_executor(io, [&, asked](boost::system::error_code failed, const cairn::versioned<stock::Product>& found) {
          if (failed) tell(all.faults, ids[asked] + " could not be recovered: " + failed.message() + ": " + found.detail);
          all.products[asked] = {found.state.count, found.version.value};
          ask_next();
        }));
  };
  for (std::size_t asked = 0; asked < recoveries_max; ++asked) ask_next();
  io.run();
  all.seconds = seconds_since(start);
  const auto after = runtime.statistics();
  all.events_read = after.events_recovered - before.events_recovered;
  all.snapshots_loaded = after.snapshots_loaded - before.snapshots_loaded;
  return all;
}

std::vector<std::string> differences(const std::vector<std::string>& ids, const std::string& whose,
                                     const std::vector<standing>& expected, const std::string& other,
                                     const std::vector<standing>& found) {
  std::vector<std::string> told;
  std::size_t more = 0;
  for (std::size_t place = 0; place < ids.size(); ++place) {
    if (expected[place] == found[place]) continue;
    if (told.size() == told_max) {
      ++more;
    } else {
      told.push_back("product " + ids[place] + ": " + whose + ": " + text_of(expected[place]) + ", " + other + ": " +
                     text_of(found[place]));
    }
  }
  if (more > 0) told.push_back("and " + std::to_string(more) + " more");
  return told;
}

std::vector<standing> in_order(const log_reading& log, const std::vector<std::string>& ids) {
  std::vector<standing> all;
  all.reserve(ids.size());
  for (const auto& id : ids) {
    const auto place = log.products.find(id);
    all.push_back(place == log.products.end() ? standing{} : place->second);
  }
  return all;
}

}  // namespace simulation
