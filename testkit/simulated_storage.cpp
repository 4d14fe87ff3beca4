#include "simulated_storage.hpp"

#include "../persistence/derived/index_run.hpp"

#include <array>
#include <cerrno>
#include <limits>
#include <utility>

namespace cairn::inline v1::testkit::detail {
namespace {

using std::chrono::microseconds;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;

using cairn::detail::derived_data;
using cairn::detail::generation;
using cairn::detail::index_mark;
using cairn::detail::index_storage;
using cairn::detail::run_cursor;

constexpr const char* store_path = "/store";
constexpr std::uint64_t segment_bytes_min = std::uint64_t{2} << 10;
constexpr unsigned segment_doublings_max = 5;
/// After so many failed openings in a row, one goes well: no share of faults keeps a store closed for ever.
constexpr unsigned failed_openings_max = 8;

/// The index in memory, whose newest generations a crash may take. It writes nothing for a process that has
/// ended.
class simulated_index final : public index_storage {
public:
  explicit simulated_index(simulated_storage& machine)
      : machine_(machine), pairs_(cairn::detail::memory_index_storage(machine.index())) {}

  std::optional<index_mark> mark() const override { return pairs_->mark(); }
  void clear() override {
    machine_.require_process();
    machine_.drop_index();
  }
  void write(const generation& written) override {
    machine_.require_process();
    if (machine_.fails(machine_.rates().failed_index, "failed index")) {
      throw error(errc::journal_unavailable, "no room for the index");
    }
    simulated_storage::generation_pairs pairs;
    cairn::detail::for_each_pair(written, [&](std::string_view key, std::string_view value) {
      pairs.emplace_back(key, value);
      machine_.index().insert_or_assign(pairs.back().first, pairs.back().second);
    });
    machine_.note_generation(std::move(pairs));
  }
  void newest_versions(std::span<const stream_view> streams, std::vector<std::uint64_t>& versions) const override {
    pairs_->newest_versions(streams, versions);
  }
  std::unique_ptr<run_cursor> runs() const override { return pairs_->runs(); }
  [[noreturn]] void fail(const std::string& what) const override { throw error(errc::corrupt_store, "the index: " + what); }

private:
  simulated_storage& machine_;
  const std::unique_ptr<index_storage> pairs_;
};

/// Snapshots that cannot be saved, are damaged when they are read, or are torn by a crash.
class simulated_snapshots final : public snapshot_store {
public:
  explicit simulated_snapshots(simulated_storage& machine) : machine_(machine) {}

  void save(stream_view stream, version at, std::string_view bytes) override {
    machine_.require_process();
    if (machine_.strikes(machine_.rates().failed_save, "failed snapshot")) {
      throw error(errc::journal_unavailable, "no room for snapshots");
    }
    machine_.snapshots()[stream_id(stream)][at] = {std::string(bytes), machine_.chance().chance(0.5)};
  }
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    const auto found = machine_.snapshots().find(stream_id(stream));
    if (found == machine_.snapshots().end()) return;
    const auto there = found->second;
    for (auto next = there.upper_bound(at_most); next != there.begin();) {
      const auto& [at, kept] = *--next;
      auto bytes = kept.bytes;
      if (!bytes.empty() && machine_.strikes(machine_.rates().damaged_snapshot, "damaged snapshot")) {
        bytes[machine_.chance().below(bytes.size())] ^= static_cast<char>(1 + machine_.chance().below(255));
      }
      if (!visit({at, bytes})) return;
    }
  }
  void prune(stream_view stream, std::size_t keep) override {
    machine_.require_process();
    auto& versions = machine_.snapshots()[stream_id(stream)];
    while (versions.size() > keep) versions.erase(versions.begin());
  }

private:
  simulated_storage& machine_;
};

class simulated_derived final : public derived_data {
public:
  explicit simulated_derived(simulated_storage& machine) : index_(machine), snapshots_(machine) {}
  index_storage& index() override { return index_; }
  snapshot_store& snapshots() override { return snapshots_; }
  void flush() override {}
  void check() const override {}

private:
  simulated_index index_;
  simulated_snapshots snapshots_;
};

/// Whether a call changes files or folders.
bool is_change(call kind) {
  switch (kind) {
  case call::make_folder:
  case call::rename:
  case call::remove:
  case call::link:
  case call::sync_folder:
  case call::write:
  case call::sync:
  case call::truncate: return true;
  default: return false;
  }
}

}  // namespace

simulated_storage::simulated_storage(surroundings world) : world_(std::move(world)), files_(disk_) {
  auto& chance = world_.chance;
  const bool synced = chance.chance(0.75);
  options_.durability = synced ? durability::synced : durability::buffered;
  // Without syncs a power cut takes what was acknowledged, so most of those stores have none.
  power_fails_ = synced || chance.chance(0.4);
  options_.index_events_in_memory_max = chance.chance(0.3) ? 1'000'000 : std::uint64_t{1} << chance.below(8);
  options_.warn = [this](const std::string& sentence) { world_.trace("the store warns: " + sentence); };
  environment_.files = &files_;
  environment_.open_derived = [this](const cairn::detail::store_folder&, const store_options&) {
    return std::make_unique<simulated_derived>(*this);
  };
  environment_.segment_bytes = segment_bytes_min << chance.below(segment_doublings_max + 1);
  environment_.unprepared_bytes = environment_.segment_bytes >> chance.below(4);
  environment_.threads = false;
  environment_.now = world_.now;
  environment_.make_id = [this] { return make_store_id(); };
  environment_.progress_clock = [this] { return std::chrono::steady_clock::time_point(world_.elapsed()); };
  files_.faults().set_hook([this](call kind, const std::string&) { return admit(kind); });
}

cairn::detail::store_id simulated_storage::make_store_id() {
  cairn::detail::store_id id;
  for (auto& byte : id) byte = static_cast<char>(world_.chance.below(256));
  return id;
}

std::shared_ptr<cairn::store> simulated_storage::open() {
  ended_ = ends_at_next_call_ = index_was_dropped_ = false;
  if (strikes(world_.rates.lost_index, "lost index")) lose_index();
  if (world_.chance.chance(0.2)) earlier_index_ = index_;
  disturbed_ = full_until_ >= 0us;
  const bool failing = std::exchange(failing_, failing_ && failed_openings_ < failed_openings_max);
  ++failed_openings_;
  try {
    std::shared_ptr<cairn::store> opened = cairn::detail::open_embedded_store(store_path, options_, environment_);
    failing_ = failing;
    failed_openings_ = 0;
    return opened;
  } catch (...) {
    failing_ = failing;
    throw;
  }
}

void simulated_storage::end_process() {
  if (!ended_) kill_process();
  lose_unsynced();
}

void simulated_storage::stop_failing() {
  failing_ = false;
  full_until_ = -1us;
  disk_.set_capacity(std::numeric_limits<std::uint64_t>::max());
}

bool simulated_storage::strikes(double share, const char* fault) {
  if (!failing_ || !world_.chance.chance(share)) return false;
  ++world_.figures.faults[fault];
  world_.trace(std::string("fault: ") + fault);
  return true;
}

bool simulated_storage::fails(double share, const char* fault) {
  const bool struck = strikes(share, fault);
  disturbed_ = disturbed_ || struck;
  return struck;
}

void simulated_storage::require_process() const {
  if (ended_) throw error(errc::journal_unavailable, "the process has ended");
}

// ----------------------------------------------------------------------------------------------------------
// Calls of the file system

io_status simulated_storage::admit(call kind) {
  if (ended_) return -EIO;
  if (ends_at_next_call_) return kill_process();
  free_disk_when_due();
  return fault_of(kind);
}

io_status simulated_storage::fault_of(call kind) {
  const auto& rates = world_.rates;
  auto& chance = world_.chance;
  if (is_change(kind) && power_fails_ && fails(rates.power_cut, "power cut")) {
    cut_power();
    return -EIO;
  }
  if (is_change(kind) && fails(rates.torn_write, "torn write")) {
    if (kind != call::write) return kill_process();
    ends_at_next_call_ = true;
    return short_write;
  }
  switch (kind) {
  case call::write:
    if (fails(rates.full_disk, "full disk")) fill_disk();
    if (fails(rates.failed_write, "failed write")) return chance.chance(0.5) ? -EIO : -ENOSPC;
    break;
  case call::make_folder:
  case call::rename:
  case call::remove:
  case call::truncate:
    if (fails(rates.failed_write, "failed write")) return chance.chance(0.5) ? -EIO : -ENOSPC;
    break;
  case call::sync:
  case call::sync_folder:
    if (fails(rates.failed_sync, "failed sync")) return -EIO;
    break;
  case call::open:
  case call::open_folder:
  case call::list:
  case call::lock:
    if (fails(rates.failed_open, "failed open")) {
      constexpr std::array reasons{-EMFILE, -ENFILE, -ENOMEM, -EIO};
      return chance.pick(reasons);
    }
    break;
  case call::read:
    if (fails(rates.failed_read, "failed read")) return -EIO;
    break;
  default: break;
  }
  if (!strikes(rates.interruption, "interruption")) return 0;
  if (kind == call::read && chance.chance(0.5)) return short_transfer;
  if (kind == call::write && chance.chance(0.5)) return short_write;
  return -EINTR;
}

/// Returns the result of the call that the process did not live to make.
io_status simulated_storage::kill_process() {
  ended_ = true;
  disk_.crash_process();
  return -EIO;
}

void simulated_storage::cut_power() {
  constexpr std::array modes{remains::nothing, remains::everything, remains::sectors, remains::prefix};
  ended_ = true;
  disk_.cut_power(world_.chance, world_.chance.pick(modes));
  may_have_lost_ = may_have_lost_ || options_.durability == durability::buffered;
}

void simulated_storage::fill_disk() {
  disk_.set_capacity(disk_.allocated_bytes() + world_.chance.below(8) * simulated_disk::sector_bytes);
  full_until_ = world_.elapsed() + world_.chance.duration(10ms, 30s);
}

void simulated_storage::free_disk_when_due() {
  if (full_until_ < 0us || world_.elapsed() < full_until_) return;
  full_until_ = -1us;
  disk_.set_capacity(std::numeric_limits<std::uint64_t>::max());
}

// ----------------------------------------------------------------------------------------------------------
// What a crash takes from index and snapshots

void simulated_storage::lose_unsynced() {
  auto& chance = world_.chance;
  // Generations are kept in order: each relies on those before it.
  const auto written = unsynced_generations_.size();
  const auto kept = chance.chance(0.5) ? written : chance.below(written + 1);
  for (std::size_t place = 0; place < kept; ++place) {
    for (auto& [key, value] : unsynced_generations_[place]) { durable_index_.insert_or_assign(key, std::move(value)); }
  }
  if (kept < written) index_ = durable_index_;
  unsynced_generations_.clear();
  for (auto& [stream, versions] : snapshots_) {
    std::erase_if(versions, [&](const auto& one) { return !one.second.synced && chance.chance(0.5); });
    for (auto& [at, kept_snapshot] : versions) {
      auto& [bytes, synced] = kept_snapshot;
      if (!synced && chance.chance(0.5)) bytes.resize(chance.below(bytes.size() + 1));
      synced = true;
    }
  }
}

void simulated_storage::clear_index() {
  index_.clear();
  durable_index_.clear();
  unsynced_generations_.clear();
}

void simulated_storage::drop_index() {
  index_was_dropped_ = true;
  clear_index();
}

void simulated_storage::lose_index() {
  auto earlier = world_.chance.chance(0.5) ? earlier_index_ : cairn::detail::index_pairs{};
  clear_index();
  index_ = durable_index_ = std::move(earlier);
}

}  // namespace cairn::testkit::detail
