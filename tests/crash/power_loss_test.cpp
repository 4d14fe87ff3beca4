// What a power cut may take: with `synced` nothing that was acknowledged, with `buffered` a suffix, and never a part of an
// append.
#include "faulty_file_system.hpp"
#include "settings.hpp"
#include "temporary_folder.hpp"
#include "witness.hpp"

#include <cairn/journal_export.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>

namespace cairn::tests {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::pair<remains, const char*>, 6> modes{{{remains::synced_only, "synced only"},
                                                                {remains::newest_file, "newest file"},
                                                                {remains::torn, "torn"},
                                                                {remains::everything, "everything"},
                                                                {remains::zeros, "zeros"},
                                                                {remains::pages, "pages"}}};

/// Whether a file system that leaves this may make a store refuse to open, though nothing acknowledged is missing.
bool may_be_refused(remains what) { return what == remains::zeros || what == remains::pages; }

/// What many power cuts came to.
struct tally {
  std::map<std::string, std::uint64_t> cuts;
  std::uint64_t acknowledged = 0;
  std::uint64_t lost = 0;
  std::uint64_t torn = 0;
  std::uint64_t wrong = 0;
  std::uint64_t snapshots_ahead = 0;
  std::uint64_t refused = 0;
  std::uint64_t unreadable = 0;    // of those, also for export --intact
  std::uint64_t lost_sectors = 0;  // cuts that took sectors of a log which had its space before it was written

  std::string text() const {
    std::uint64_t all = 0;
    std::string by_mode;
    for (const auto& [mode, times] : cuts) {
      all += times;
      by_mode += (by_mode.empty() ? "" : ", ") + mode + " " + std::to_string(times);
    }
    return std::to_string(all) + " power cuts (" + by_mode + "), " + std::to_string(lost_sectors) + " through a prepared log; " +
           std::to_string(acknowledged) + " records acknowledged, " + std::to_string(lost) + " of them lost; " +
           std::to_string(torn) + " appends torn, " + std::to_string(wrong) + " records wrong, " + std::to_string(refused) +
           " stores refused, " + std::to_string(unreadable) + " of them with an unreadable manifest";
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
    counts_.lost_sectors += disk.lost_sectors();
    may_be_refused_ = may_be_refused_ || may_be_refused(what);
    ++counts_.cuts[mode];
  }

  /// Looks at what is left in the end, and begins anew.
  void end() {
    try {
      faulty_disk sound(path());
      look(*open_on(sound, path(), small(how_)));
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
    // What a person is told to do then: save what comes before the damage. Nothing that was synced is behind it.
    // Only where RocksDB's own manifest was hit can nothing be read, and a backup is all there is.
    try {
      std::ostringstream saved;
      const auto through = export_intact_records(path(), saved).head.through.value;
      if (how_ == durability::synced) counts_.lost += told_.acknowledged() - std::min(told_.acknowledged(), through);
    } catch (const error& unreadable) {
      const std::string why = unreadable.what();
      CAPTURE(why);
      // Or the power went while the store was being made: there is nothing in it that could be saved.
      if (told_.acknowledged() == 0 && why.find("is not a cairn store") != std::string::npos) return begin_anew();
      CHECK(why.find("MANIFEST") != std::string::npos);
      ++counts_.unreadable;
    }
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
  for (auto cuts = 3 * setting("CAIRN_TEST_ROUNDS", 50); cuts > 0; --cuts) {
    store.live();
    if (random() % 10 == 0) store.end();
  }
  store.end();
  return counts;
}

/// The same work every time: a store is made, written and closed, and opened and written again.
void do_the_same_work(faulty_disk& disk, const fs::path& folder, durability how, witness& told) {
  std::mt19937_64 random(usual_seed);
  for (const auto calls : {20, 8}) {
    const auto store = open_on(disk, folder, small(how, 30));
    for (int call = 0; call < calls; ++call) told.append_some(*store, random);
  }
}

/// Cuts the power of that work before its operation `number`, and looks at what is left.
found_again cut_the_same_work(durability how, std::uint64_t number, remains what, tally& counts) {
  const temporary_folder folder;
  const auto path = folder.path() / "store";
  std::mt19937_64 random(number);
  witness told;
  {
    faulty_disk disk(path);
    disk.cut_power_before(number);
    try {
      do_the_same_work(disk, path, how, told);
      disk.cut_power();  // sooner, because the threads of RocksDB did the work in fewer operations
    } catch (const error& failure) {
      CAPTURE(std::string(failure.what()));
      CHECK(failure.kind() == errc::journal_unavailable);
    }
    disk.leave(what, random);
    counts.lost_sectors += disk.lost_sectors();
  }
  counts.acknowledged += told.acknowledged();
  faulty_disk disk(path);
  const auto store = open_on(disk, path, small(how));
  const auto result = told.compare(*store);
  told.append_some(*store, random);
  return result;
}

std::uint64_t operations_of_the_same_work(durability how) {
  const temporary_folder folder;
  faulty_disk disk(folder.path() / "store");
  witness told;
  do_the_same_work(disk, folder.path() / "store", how, told);
  return disk.operations();
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

TEST_CASE("a power cut while a log is written over that had its space before loses nothing, and is never taken for damage") {
  const auto seed = setting("CAIRN_TEST_SEED", usual_seed);
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  tally counts;
  auto folder = std::make_unique<temporary_folder>();
  witness told;
  const auto cuts = 3 * setting("CAIRN_TEST_ROUNDS", 50);
  constexpr std::uint64_t lost_sectors_wanted = 5;
  for (std::uint64_t cut = 0; cut < cuts || (counts.lost_sectors < lost_sectors_wanted && cut < 20 * cuts); ++cut) {
    CAPTURE(cut);
    if (cut % 8 == 0) {
      folder = std::make_unique<temporary_folder>();
      told = {};
    }
    const auto path = folder->path() / "store";
    const auto& [what, mode] = modes[cut % 4];  // those that spare the other files
    faulty_disk disk(path);
    try {
      const auto store = open_on(disk, path, small(durability::synced));
      const auto result = told.compare(*store);
      counts.lost += result.lost;
      counts.torn += result.torn;
      counts.wrong += result.wrong;
      counts.snapshots_ahead += told.snapshots_ahead(*store);
      for (int calls = 0; !disk.has_prepared_log(); ++calls) {
        REQUIRE(calls < 10'000);
        told.append_some(*store, random);
      }
      counts.acknowledged -= told.acknowledged();
      disk.cut_power_before(disk.operations() + 1 + random() % 40);
      for (;;) told.append_some(*store, random);
    } catch (const error& failure) {
      CAPTURE(std::string(failure.what()));
      REQUIRE(failure.kind() == errc::journal_unavailable);
    }
    counts.acknowledged += told.acknowledged();
    disk.leave(what, random);
    counts.lost_sectors += disk.lost_sectors();
    ++counts.cuts[mode];
  }
  CHECK(counts.lost == 0);
  CHECK(counts.torn == 0);
  CHECK(counts.wrong == 0);
  CHECK(counts.snapshots_ahead == 0);
  CHECK(counts.lost_sectors >= lost_sectors_wanted);
  show("power loss, prepared logs: " + counts.text() + "; seed " + std::to_string(seed));
}

TEST_CASE("a power cut before each single operation of a store's life leaves a store that opens and is right") {
  const auto cuts_max = 4 * setting("CAIRN_TEST_ROUNDS", 50);
  for (const auto how : {durability::synced, durability::buffered}) {
    const std::string name = how == durability::synced ? "synced" : "buffered";
    CAPTURE(name);
    const auto operations = operations_of_the_same_work(how);
    const auto stride = operations / (cuts_max + 1) + 1;
    tally counts;
    for (std::uint64_t number = 1; number <= operations; number += stride) {
      const auto& [what, mode] = modes[number / stride % 4];
      CAPTURE(number);
      CAPTURE(std::string(mode));
      const auto result = cut_the_same_work(how, number, what, counts);
      if (how == durability::synced) CHECK(result.lost == 0);
      CHECK(result.torn == 0);
      CHECK(result.wrong == 0);
      ++counts.cuts[mode];
      counts.lost += result.lost;
    }
    show("power loss, " + name + ", before every " + (stride > 1 ? std::to_string(stride) + ". of " : "one of ") +
         std::to_string(operations) + " operations: " + counts.text());
  }
}

TEST_CASE("the disk of these tests really forgets: a buffered store does not keep the promise of a synced one") {
  for (const auto how : {durability::synced, durability::buffered}) {
    const temporary_folder folder;
    const auto path = folder.path() / "store";
    std::mt19937_64 random(usual_seed);
    witness told;
    {
      faulty_disk disk(path);
      auto store = open_on(disk, path, small(how, 100'000));
      for (int calls = 0; calls < 10; ++calls) told.append_some(*store, random);
      disk.cut_power();
      store.reset();
      disk.leave(remains::synced_only, random);
    }
    faulty_disk disk(path);
    const auto lost = told.compare(*open_on(disk, path, small(how))).lost;
    CHECK((lost > 0) == (how == durability::buffered));
  }
}

}  // namespace cairn::tests
