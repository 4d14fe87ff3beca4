// What a power cut may take: with `synced` nothing that was acknowledged, with `buffered` a suffix, and never a part of an append.
#include "../../persistence/store_environment.hpp"
#include "faulty_file_system.hpp"
#include "settings.hpp"
#include "temporary_folder.hpp"
#include "witness.hpp"

#include <array>
#include <functional>
#include <memory>
#include <optional>

namespace cairn::tests {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t usual_seed = 20'250'101;

constexpr std::array<std::pair<remains, const char*>, 6> modes{{{remains::synced_only, "synced only"},
                                                                {remains::newest_file, "newest file"},
                                                                {remains::torn, "torn"},
                                                                {remains::everything, "everything"},
                                                                {remains::zeros, "zeros"},
                                                                {remains::pages, "pages"}}};

/// Whether a file system that leaves this may make a store refuse to open, though nothing acknowledged is missing.
bool may_be_refused(remains what) { return what == remains::zeros || what == remains::pages; }

/// Little of everything, so that generations of the index, tables and write-ahead logs follow each other quickly.
rocksdb_options small(durability how, std::uint64_t index_events = 60) {
  return {.durability = how, .block_cache_mib = 8, .index_events_in_memory_max = index_events};
}

std::unique_ptr<rocksdb_store> open_on(faulty_disk& disk, const fs::path& folder, const rocksdb_options& options) {
  return detail::open_rocksdb_store(folder, options, {.env = disk.env(), .log_buffer_bytes = 64 << 10});
}

/// What many power cuts came to.
struct tally {
  std::map<std::string, std::uint64_t> cuts;
  std::uint64_t acknowledged = 0;
  std::uint64_t lost = 0;
  std::uint64_t torn = 0;
  std::uint64_t wrong = 0;
  std::uint64_t snapshots_ahead = 0;
  std::uint64_t refused = 0;

  std::string text() const {
    std::uint64_t all = 0;
    std::string by_mode;
    for (const auto& [mode, times] : cuts) {
      all += times;
      by_mode += (by_mode.empty() ? "" : ", ") + mode + " " + std::to_string(times);
    }
    return std::to_string(all) + " power cuts (" + by_mode + "); " + std::to_string(acknowledged) + " records acknowledged, " +
           std::to_string(lost) + " of them lost; " + std::to_string(torn) + " appends torn, " + std::to_string(wrong) +
           " records wrong, " + std::to_string(refused) + " stores refused";
  }
};

/// Stores from their making on, one after the other, with the power cut again and again.
class unlucky_store {
public:
  unlucky_store(durability how, std::mt19937_64& random, tally& counts) : how_(how), random_(random), counts_(counts) {}

  /// Opens the store, looks at what the last power cut left, works on it, and cuts the power on the way.
  void live() {
    const auto& [what, mode] = modes[random_() % modes.size()];
    CAPTURE(std::string(mode));
    faulty_disk disk(path());
    disk.cut_power_before(1 + random_() % (random_() % 2 ? 1'000 : 100));
    try {
      const auto store = open_on(disk, path(), small(how_, random_() % 2 ? 60 : 600));
      look(*store);
      for (auto calls = random_() % 150; calls > 0; --calls) {
        const auto acknowledged = told_.acknowledged();
        told_.append_some(*store, random_);
        counts_.acknowledged += told_.acknowledged() - acknowledged;
        if (calls % 16 == 0) noted_ = store->head();
      }
      if (random_() % 2) disk.cut_power();
    } catch (const error& failure) {
      CAPTURE(std::string(failure.what()));
      if (failure.kind() != errc::journal_unavailable) return refused(failure);
      CHECK(failure.detail().find(no_power) != std::string::npos);
      CHECK_FALSE(disk.has_power());
    }
    disk.leave(what, random_);
    may_be_refused_ = may_be_refused_ || may_be_refused(what);
    ++counts_.cuts[mode];
  }

  /// Looks at what is left in the end, and begins anew.
  void end() {
    try {
      look(*rocksdb_journal(path(), small(how_)));
    } catch (const error& failure) { return refused(failure); }
    begin_anew();
  }

private:
  void look(rocksdb_store& store) {
    const auto result = told_.compare(store, {.noted = how_ == durability::synced ? noted_ : std::nullopt});
    counts_.lost += result.lost;
    counts_.torn += result.torn;
    counts_.wrong += result.wrong;
    counts_.snapshots_ahead += told_.snapshots_ahead(store);
    noted_ = store.head();
    may_be_refused_ = false;
  }

  void refused(const error& failure) {
    CAPTURE(std::string(failure.what()));
    CHECK((failure.kind() == errc::corrupt_record || failure.kind() == errc::corrupt_store));
    CHECK(may_be_refused_);
    ++counts_.refused;
    begin_anew();
  }

  void begin_anew() {
    folder_ = std::make_unique<temporary_folder>();
    told_ = {};
    noted_.reset();
    may_be_refused_ = false;
  }

  fs::path path() const { return folder_->path() / "store"; }

  const durability how_;
  std::mt19937_64& random_;
  tally& counts_;
  std::unique_ptr<temporary_folder> folder_ = std::make_unique<temporary_folder>();
  witness told_;
  std::optional<chain_head> noted_;
  bool may_be_refused_ = false;
};

tally cut_at_random(durability how, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  tally counts;
  unlucky_store store(how, random, counts);
  for (auto cuts = 4 * setting("CAIRN_TEST_ROUNDS", 50); cuts > 0; --cuts) {
    store.live();
    if (random() % 10 == 0) store.end();
  }
  store.end();
  return counts;
}

}  // namespace

TEST_CASE("a power cut at any moment loses nothing that was acknowledged as synced") {
  const auto seed = setting("CAIRN_TEST_SEED", usual_seed);
  CAPTURE(seed);
  const auto counts = cut_at_random(durability::synced, seed);
  CHECK(counts.lost == 0);
  CHECK(counts.torn == 0);
  CHECK(counts.wrong == 0);
  CHECK(counts.snapshots_ahead == 0);
  show("power loss, synced: " + counts.text() + "; seed " + std::to_string(seed));
}

TEST_CASE("a power cut at any moment loses a suffix of what was acknowledged as buffered, and never a part of an append") {
  const auto seed = setting("CAIRN_TEST_SEED", usual_seed);
  CAPTURE(seed);
  const auto counts = cut_at_random(durability::buffered, seed);
  CHECK(counts.lost > 0);  // or else the disk forgets nothing, and the case above has shown nothing
  CHECK(counts.torn == 0);
  CHECK(counts.wrong == 0);
  CHECK(counts.snapshots_ahead == 0);
  show("power loss, buffered: " + counts.text() + "; seed " + std::to_string(seed));
}

}  // namespace cairn::tests
