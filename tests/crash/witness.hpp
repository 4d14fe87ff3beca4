// Stores on a faulty disk, and what a test appended to them, in order, and how much of it was acknowledged: held against the
// store when it comes back.
#pragma once

#include "../../persistence/store_environment.hpp"
#include "faulty_file_system.hpp"
#include "persistence/journal_conformance.hpp"

#include <cairn/rocksdb_journal.hpp>

#include <algorithm>
#include <cstdint>
#include <doctest/doctest.h>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace cairn::tests {

constexpr std::uint64_t usual_seed = 20'250'101;

/// Little of everything, so that generations of the index, tables and write-ahead logs follow each other quickly.
inline rocksdb_options small(durability how, std::uint64_t index_events = 60) {
  return {.durability = how, .block_cache_mib = 8, .index_events_in_memory_max = index_events};
}

inline std::unique_ptr<rocksdb_store> open_on(faulty_disk& disk, const std::filesystem::path& folder,
                                              const rocksdb_options& options, std::size_t log_buffer_bytes = 64 << 10) {
  return detail::open_rocksdb_store(folder, options, {.env = disk.env(), .log_buffer_bytes = log_buffer_bytes});
}

/// What the store has of that which was appended.
struct found_again {
  std::uint64_t lost = 0;   ///< records that were acknowledged and are not there
  std::uint64_t torn = 0;   ///< appends that are there in part
  std::uint64_t wrong = 0;  ///< records that are not what was appended at their position
};

class witness {
public:
  std::uint64_t acknowledged() const { return acknowledged_; }

  /// Calls append() once, with one or more appends of one or more events of any size, and now and then a snapshot.
  void append_some(rocksdb_store& store, std::mt19937_64& random) {
    std::vector<std::vector<draft>> call(1 + random() % 3);
    for (auto& one : call) {
      auto id = random() % 9;
      for (auto additions = 1 + random() % 2; additions-- > 0;) {
        const stream_id stream("product", std::to_string(id++ % 9));
        auto& stands = versions_[stream.id];
        std::vector<std::string> payloads;
        for (auto events = 1 + random() % 4; events-- > 0;) payloads.push_back(payload(random));
        one.emplace_back(stream, stands, payloads);
        for (const auto& text : payloads) records_.push_back({records_.size() + 1, stream, ++stands, text});
      }
      ends_.insert(records_.size());
    }
    // A refused one, which must leave nothing behind.
    const auto appends = call.size();
    if (random() % 8 == 0) call.push_back({draft({"product", "1"}, versions_["1"] + 1, {"refused"})});
    const auto outcomes = append(store, call);
    for (std::size_t i = 0; i < outcomes.size(); ++i) CHECK(outcomes[i].stored == (i < appends));
    acknowledged_ = records_.size();
    if (random() % 4 == 0) save_snapshot(store, std::to_string(random() % 9), random);
  }

  /// Holds the store against what was appended, and then goes on from what it has.
  found_again compare(const rocksdb_store& store, const verify_options& options = {}) {
    found_again result;
    const auto found = read_all(store);
    for (std::size_t i = 0; i < found.size(); ++i) result.wrong += i >= records_.size() || found[i] != records_[i];
    result.lost = acknowledged_ - std::min<std::uint64_t>(acknowledged_, found.size());
    result.torn = ends_.contains(found.size()) ? 0 : 1;
    if (result.wrong > 0) return result;
    go_on_from(found);
    CHECK(store.last() == position{found.size()});
    CHECK(store.verify(options).records == found.size());
    std::map<std::string, std::vector<seen>> of;
    for (const auto& record : records_) of[record.stream.id].push_back(record);
    for (int id = 0; id < 9; ++id) {
      const stream_id stream("product", std::to_string(id));
      CHECK(read(store, stream) == of[stream.id]);
      CHECK(store.highest(stream) == version{of[stream.id].size()});
    }
    return result;
  }

  /// A snapshot of what is not in the log would one day be taken for the state of other events.
  std::uint64_t snapshots_ahead(rocksdb_store& store) const {
    std::uint64_t ahead = 0;
    for (int id = 0; id < 9; ++id) {
      const stream_id stream("product", std::to_string(id));
      const auto snapshot = store.snapshots().latest(stream, version::max());
      ahead += snapshot && snapshot->version > store.highest(stream);
    }
    return ahead;
  }

private:
  static std::string payload(std::mt19937_64& random) {
    const auto chance = random() % 40;
    const std::size_t size = chance == 0 ? 40'000 : chance < 4 ? 5'000 : 20 + random() % 200;
    std::string text(size, static_cast<char>('a' + random() % 26));
    for (std::size_t i = 0; i < 16; ++i) text[i] = static_cast<char>(random());
    return text;
  }

  void save_snapshot(rocksdb_store& store, const std::string& id, std::mt19937_64& random) const {
    const stream_id stream("product", id);
    const auto stands = store.highest(stream);
    if (stands == version{0}) return;
    store.snapshots().save(stream, stands, payload(random));
    if (random() % 4 == 0) store.snapshots().prune(stream, 2);
  }

  void go_on_from(const std::vector<seen>& found) {
    records_ = found;
    acknowledged_ = found.size();
    ends_.erase(ends_.upper_bound(found.size()), ends_.end());
    ends_.insert(found.size());
    versions_.clear();
    for (const auto& record : found) versions_[record.stream.id] = record.version;
  }

  std::vector<seen> records_;        // acknowledged, and then what was on its way
  std::set<std::uint64_t> ends_{0};  // the positions at which an append ends
  std::map<std::string, std::uint64_t> versions_;
  std::uint64_t acknowledged_ = 0;
};

}  // namespace cairn::tests
