#include "simulated_store.hpp"

#include <cairn/memory_journal.hpp>

#include <cstring>
#include <vector>

namespace cairn::testkit::detail {
namespace {

// The log is one block for each atomic append: eight bytes of length, eight of checksum, then its additions.
constexpr std::size_t head_bytes = 16;

// FNV-1a: enough to tell a torn block from a whole one.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t sum = 0xcbf29ce484222325ULL;
  for (const char byte : bytes) sum = (sum ^ static_cast<unsigned char>(byte)) * 0x100000001b3ULL;
  return sum;
}

void put(std::string& out, std::uint64_t number) {
  char bytes[8];
  std::memcpy(bytes, &number, 8);
  out.append(bytes, 8);
}
void put(std::string& out, std::string_view text) {
  put(out, text.size());
  out += text;
}
std::uint64_t take_number(std::string_view& bytes) {
  std::uint64_t number = 0;
  std::memcpy(&number, bytes.data(), 8);
  bytes.remove_prefix(8);
  return number;
}
std::string_view take_text(std::string_view& bytes) {
  const auto size = take_number(bytes);
  const auto text = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return text;
}

std::string block_of(atomic_append append) {
  std::string body;
  for (const auto& addition : append) {
    put(body, addition.stream.category);
    put(body, addition.stream.id);
    put(body, addition.expected.value);
    put(body, addition.events);
    put(body, addition.frames);
  }
  std::string block;
  put(block, body.size());
  put(block, checksum(body));
  return block + body;
}

std::vector<addition> additions_in(std::string_view body) {
  std::vector<addition> additions;
  while (!body.empty()) {
    addition one;
    one.stream.category = take_text(body);
    one.stream.id = take_text(body);
    one.expected = version{take_number(body)};
    one.events = static_cast<std::uint32_t>(take_number(body));
    one.frames = take_text(body);
    additions.push_back(one);
  }
  return additions;
}

// The body of the next whole block; empty where there is none.
std::string_view take_block(std::string_view& log) {
  if (log.size() < head_bytes) return {};
  auto rest = log;
  const auto size = take_number(rest);
  const auto sum = take_number(rest);
  if (size > rest.size() || checksum(rest.substr(0, size)) != sum) return {};
  log = rest.substr(size);
  return rest.substr(0, size);
}

}  // namespace

simulated_store::simulated_store(simulated_disk& disk, random& chance, const faults& rates, simulation_figures& figures)
    : disk_(disk), chance_(chance), rates_(rates), figures_(figures), kept_(memory_journal()) {
  std::string_view log = disk_.log;
  for (auto body = take_block(log); !body.empty(); body = take_block(log)) {
    const auto additions = additions_in(body);
    const atomic_append whole = additions;
    append_outcome outcome;
    kept_->append({&whole, 1}, {&outcome, 1});
  }
  disk_.log.resize(disk_.log.size() - log.size());  // the torn tail
}

void simulated_store::crash() {
  for (auto& [stream, versions] : disk_.snapshots) {
    std::erase_if(versions, [&](const auto& one) { return !one.second.synced && chance_.chance(0.5); });
    for (auto& [at, kept] : versions) {
      if (!kept.synced && chance_.chance(0.5)) kept.bytes.resize(chance_.below(kept.bytes.size() + 1));
      kept.synced = true;
    }
  }
}

bool simulated_store::strikes(double share, const char* what) const {
  if (!failing_ || !chance_.chance(share)) return false;
  ++figures_.faults[what];
  return true;
}

void simulated_store::store(atomic_append append, append_outcome& outcome) {
  const auto before = kept_->last();
  kept_->append({&append, 1}, {&outcome, 1});
  if (outcome.stored && outcome.first > before) disk_.log += block_of(append);
}

void simulated_store::append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) {
  if (strikes(rates_.torn_write, "torn write")) {
    std::string blocks;
    for (const auto& append : appends) blocks += block_of(append);
    disk_.log += blocks.substr(0, chance_.below(blocks.size() + 1));
    died_ = true;
    throw error(errc::journal_unavailable, "the process has died in the middle of a write");
  }
  const bool fails = strikes(rates_.failed_sync, "failed sync");
  const auto stored = fails ? chance_.below(appends.size() + 1) : appends.size();
  for (std::size_t place = 0; place < stored; ++place) store(appends[place], outcomes[place]);
  if (fails) throw error(errc::journal_unavailable, "the sync failed, and what it was for may be stored or not");
}

void simulated_store::read(stream_view stream, version_range range, const record_visitor& visit) const {
  if (strikes(rates_.failed_read, "failed read")) throw error(errc::journal_unavailable, "the disk cannot be read");
  kept_->read(stream, range, visit);
}

void simulated_store::save(stream_view stream, version at, std::string_view bytes) {
  if (strikes(rates_.failed_save, "failed snapshot")) throw error(errc::journal_unavailable, "no room for snapshots");
  disk_.snapshots[stream_id(stream)][at] = {std::string(bytes), chance_.chance(0.5)};
}

void simulated_store::read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const {
  const auto found = disk_.snapshots.find(stream_id(stream));
  if (found == disk_.snapshots.end()) return;
  const auto there = found->second;
  for (auto next = there.upper_bound(at_most); next != there.begin();) {
    const auto& [at, kept] = *--next;
    auto bytes = kept.bytes;
    if (!bytes.empty() && strikes(rates_.damaged_snapshot, "damaged snapshot")) {
      bytes[chance_.below(bytes.size())] ^= static_cast<char>(1 + chance_.below(255));
    }
    if (!visit({at, bytes})) return;
  }
}

void simulated_store::prune(stream_view stream, std::size_t keep) {
  auto& versions = disk_.snapshots[stream_id(stream)];
  while (versions.size() > keep) versions.erase(versions.begin());
}

}  // namespace cairn::testkit::detail
