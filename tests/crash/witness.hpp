// What a test appended to a store, in order, and how much of it was acknowledged: compared with the store
// when it is opened again.
#pragma once

#include "persistence/journal_conformance.hpp"

#include <cairn/store.hpp>
#include <cairn/testkit/random.hpp>

#include <algorithm>
#include <cstdint>
#include <doctest/doctest.h>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace cairn::tests {

constexpr std::uint64_t usual_seed = 20'250'101;

/// Little of everything, so that the index writes its generations often.
inline store_options small(durability how, std::uint64_t index_events = 60) {
  return {.durability = how, .block_cache_mib = 8, .index_events_in_memory_max = index_events};
}

inline const char* name_of(durability how) { return how == durability::synced ? "synced" : "buffered"; }

/// What the store has of that which was appended.
struct comparison {
  std::uint64_t lost = 0;         ///< acknowledged records that are missing
  std::uint64_t lost_synced = 0;  ///< of these, those that were certainly durable
  std::uint64_t torn = 0;         ///< appends of which a part is there
  std::uint64_t wrong = 0;        ///< records that are not what was appended at their position

  comparison& operator+=(const comparison& other) {
    lost += other.lost;
    lost_synced += other.lost_synced;
    torn += other.torn;
    wrong += other.wrong;
    return *this;
  }
};

class witness {
public:
  /// Payloads have at most so many bytes.
  explicit witness(std::size_t payload_bytes_max = 40'000) : payload_bytes_max_(payload_bytes_max) {}

  std::uint64_t acknowledged() const { return acknowledged_; }
  /// How many records were durable when the store was last opened, and with `synced` how many were
  /// acknowledged.
  std::uint64_t durable() const { return durable_; }

  /// Calls append() once, with one or more appends of one or more events of any size, and now and then a
  /// snapshot.
  void append_some(cairn::store& store, testkit::random& random, durability how = durability::buffered) {
    std::vector<std::vector<draft>> call(1 + random.below(3));
    for (auto& one : call) {
      auto id = random.below(9);
      for (auto additions = 1 + random.below(2); additions-- > 0;) {
        const stream_id stream("product", std::to_string(id++ % 9));
        auto& version = versions_[stream.id];
        std::vector<std::string> payloads;
        for (auto events = 1 + random.below(4); events-- > 0;) payloads.push_back(payload(random));
        one.emplace_back(stream, version, payloads);
        for (const auto& text : payloads) records_.push_back({records_.size() + 1, stream, ++version, text});
      }
      ends_.insert(records_.size());
    }
    // A conflicting one, which must leave nothing behind.
    const auto appends = call.size();
    if (random.below(8) == 0) call.push_back({draft({"product", "1"}, versions_["1"] + 1, {"conflict"})});
    const auto outcomes = append(store, call);
    for (std::size_t i = 0; i < outcomes.size(); ++i) CHECK(outcomes[i].stored == (i < appends));
    acknowledged_ = records_.size();
    if (how == durability::synced) durable_ = acknowledged_;
    if (random.below(4) == 0) save_snapshot(store, std::to_string(random.below(9)), random);
  }

  /// Goes back to a moment at which so many records were acknowledged, and so many were durable.
  void go_back(std::uint64_t acknowledged, std::uint64_t durable) {
    acknowledged_ = acknowledged;
    durable_ = durable;
  }

  /// Compares a store that was just opened with what was appended, and then goes on from what it has.
  comparison compare(const cairn::store& store) {
    comparison result;
    const auto found = read_all(store);
    for (std::size_t i = 0; i < found.size(); ++i) result.wrong += i >= records_.size() || found[i] != records_[i];
    result.lost = acknowledged_ - std::min<std::uint64_t>(acknowledged_, found.size());
    result.lost_synced = durable_ - std::min<std::uint64_t>(durable_, found.size());
    result.torn = ends_.contains(found.size()) ? 0 : 1;
    if (result.wrong > 0) return result;
    go_on_from(found);
    std::map<std::string, std::vector<seen>> of;
    for (const auto& record : records_) of[record.stream.id].push_back(record);
    bool same = store.last() == position{found.size()};
    for (int id = 0; id < 9; ++id) {
      const stream_id stream("product", std::to_string(id));
      same = same && read(store, stream) == of[stream.id];
      same = same && store.highest(stream) == version{of[stream.id].size()};
    }
    result.wrong += !same;
    return result;
  }

  /// Snapshots of versions that the log does not have. Later they would be taken for the state of other
  /// events.
  std::uint64_t snapshots_ahead(cairn::store& store) const {
    std::uint64_t ahead = 0;
    for (int id = 0; id < 9; ++id) {
      const stream_id stream("product", std::to_string(id));
      const auto snapshot = store.snapshots().latest(stream, version::max());
      ahead += snapshot && snapshot->version > store.highest(stream);
    }
    return ahead;
  }

private:
  std::string payload(testkit::random& random) const {
    const auto chance = random.below(40);
    const std::size_t size = chance == 0 ? 40'000 : chance < 4 ? 5'000 : 20 + random.below(200);
    std::string text(std::min(size, payload_bytes_max_), static_cast<char>('a' + random.below(26)));
    // Some of the long ones are mostly zeros, which look like what a disk leaves of a lost sector.
    if (chance % 2 == 0) std::fill(text.begin(), text.end(), '\0');
    for (std::size_t i = 0; i < 16; ++i) text[i] = static_cast<char>(random.below(256));
    return text;
  }

  void save_snapshot(cairn::store& store, const std::string& id, testkit::random& random) const {
    const stream_id stream("product", id);
    const auto newest = store.highest(stream);
    if (newest == version{0}) return;
    store.snapshots().save(stream, newest, payload(random));
    if (random.below(4) == 0) store.snapshots().prune(stream, 2);
  }

  void go_on_from(const std::vector<seen>& found) {
    records_ = found;
    acknowledged_ = durable_ = found.size();
    ends_.erase(ends_.upper_bound(found.size()), ends_.end());
    ends_.insert(found.size());
    versions_.clear();
    for (const auto& record : found) versions_[record.stream.id] = record.version;
  }

  std::size_t payload_bytes_max_;
  std::vector<seen> records_;        // the acknowledged ones, then those in flight
  std::set<std::uint64_t> ends_{0};  // the positions at which an append ends
  std::map<std::string, std::uint64_t> versions_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t durable_ = 0;
};

}  // namespace cairn::tests
