// What a crash and a power cut may take: with `synced` nothing that was acknowledged, with `buffered` a
// suffix, and never a part of an append. The store opens again after each, without a person's help.
//
// The log is the real one, on a simulated disk. The index is in memory, where it is durable at once: the
// worst case for an index that must not be ahead of the log. The last part has it in RocksDB, on a disk that
// loses its power at the same moment.
#include "machine.hpp"
#include "rocksdb_beside.hpp"
#include "settings.hpp"
#include "temporary_folder.hpp"
#include "witness.hpp"

#include <cairn/maintenance.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <set>

namespace cairn::tests {
namespace {

constexpr std::array all_remains{remains::nothing, remains::everything, remains::sectors, remains::prefix};

/// How a machine stops.
struct ending {
  std::optional<remains> power_cut;  ///< nothing: the process crashes, and the machine goes on

  std::string name() const { return power_cut ? name_of(*power_cut) : "crash"; }
  void happen(testkit::detail::simulated_disk& disk, testkit::random& chance) const {
    if (power_cut) {
      disk.cut_power(chance, *power_cut);
    } else {
      disk.crash_process();
    }
  }
};

/// What many stops came to.
struct tally {
  std::map<std::string, std::uint64_t> stops;
  std::uint64_t acknowledged = 0;
  comparison found;
  std::uint64_t lost_by_crash = 0;
  std::uint64_t snapshots_ahead = 0;
  std::uint64_t refused = 0;
  std::uint64_t prepared = 0;  // stops while the last segment had its space in advance
  std::uint64_t rebuilt = 0;   // index and snapshots
  std::vector<std::string> problems;

  void add(const comparison& result, bool only_crashed, const std::string& where) {
    found += result;
    if (only_crashed) lost_by_crash += result.lost;
    if (result.lost_synced + result.torn + result.wrong > 0 || (only_crashed && result.lost > 0)) {
      problem(where, "lost " + std::to_string(result.lost) + ", of these durable " + std::to_string(result.lost_synced) +
                         ", torn " + std::to_string(result.torn) + ", wrong " + std::to_string(result.wrong));
    }
  }
  void refusal(const std::string& where, const std::string& what) {
    ++refused;
    problem(where, what);
  }
  void problem(const std::string& where, const std::string& what) {
    if (problems.size() < 10) problems.push_back(where + ": " + what);
  }

  void check() const {
    for (const auto& one : problems) MESSAGE(one);
    CHECK(found.lost_synced == 0);
    CHECK(found.torn == 0);
    CHECK(found.wrong == 0);
    CHECK(lost_by_crash == 0);
    CHECK(snapshots_ahead == 0);
    CHECK(refused == 0);
    CHECK(problems.empty());
  }

  std::string text() const {
    std::uint64_t all = 0;
    std::string by_name;
    for (const auto& [name, times] : stops) {
      all += times;
      by_name += (by_name.empty() ? "" : ", ") + name + " " + std::to_string(times);
    }
    return std::to_string(all) + " stops (" + by_name + "); " + std::to_string(acknowledged) + " records acknowledged, " +
           std::to_string(found.lost) + " of them lost, " + std::to_string(found.lost_synced) + " of these durable; " +
           std::to_string(found.torn) + " appends torn, " + std::to_string(found.wrong) + " records wrong, " +
           std::to_string(refused) + " stores refused";
  }
};

// ----------------------------------------------------------------------------------------------------------
// Every call of a small run

/// The machine before one call.
struct moment {
  testkit::detail::simulated_disk::snapshot disk;
  detail::index_pairs index;
  std::uint64_t acknowledged;
  std::uint64_t durable;
};

/// Does `work`, and notes the moment before each of its calls, and the one after the last.
template <class Work>
std::vector<moment> moments_of(machine& machine, const witness& appended, Work work) {
  std::vector<moment> moments;
  const auto note = [&] {
    moments.push_back({machine.disk().take_snapshot(), machine.index(), appended.acknowledged(), appended.durable()});
  };
  machine.faults().set_hook([&](testkit::detail::call, const std::string&) {
    note();
    return 0;
  });
  work();
  machine.revive();
  note();
  return moments;
}

/// Opens the store after a stop, compares, goes on, and closes it.
void open_and_go_on(machine& machine, witness& appended, durability how, testkit::random& random, bool only_crashed,
                    const std::string& where, tally& counts) {
  const auto store = machine.open(small(how, 10));
  counts.add(appended.compare(*store), only_crashed, where);
  const auto before = appended.acknowledged();
  for (int calls = 0; calls < 2; ++calls) appended.append_some(*store, random, how);
  counts.acknowledged += appended.acknowledged() - before;
}

/// The same; then the log is whole, and the store opens once more.
void check_recovery(machine& machine, witness& appended, durability how, testkit::random& random, bool only_crashed,
                    const std::string& where, tally& counts) {
  try {
    open_and_go_on(machine, appended, how, random, only_crashed, where, counts);
    machine.check_log();
    const auto store = machine.open(small(how, 10));
    counts.add(appended.compare(*store), true, where + ", opened once more");
  } catch (const error& failure) { counts.refusal(where, failure.what()); }
}

/// Puts the machine into a state that `how` may leave of a moment. The index may be older, or lost.
void stop_at(machine& machine, const std::vector<moment>& moments, std::size_t place, const ending& how, testkit::random& chance,
             tally& counts) {
  const auto& at = moments[place];
  machine.disk().restore(at.disk);
  how.happen(machine.disk(), chance);
  const auto fate = chance.below(8);
  machine.index() = fate == 0 ? detail::index_pairs{} : fate == 1 ? moments[chance.below(place + 1)].index : at.index;
  ++counts.stops[how.name()];
}

/// A run that makes a store, fills several segments, closes it, and opens and fills it again.
void small_run(machine& machine, witness& appended, durability how, std::array<int, 2> appends) {
  testkit::random random(usual_seed);
  for (const auto calls : appends) {
    const auto store = machine.open(small(how, 10));
    appended.compare(*store);
    for (int call = 0; call < calls; ++call) appended.append_some(*store, random, how);
  }
}

/// The endings of each moment; those by chance several times.
std::vector<ending> endings(std::uint64_t draws) {
  std::vector<ending> all{{std::nullopt}, {remains::nothing}, {remains::everything}};
  for (std::uint64_t draw = 0; draw < draws; ++draw) {
    all.push_back({remains::sectors});
    all.push_back({remains::prefix});
  }
  return all;
}

/// Stops the small run before each call. Returns the number of calls.
std::size_t stop_before_each_call(durability how, testkit::random& random, tally& counts) {
  machine machine;
  witness appended(5'000);
  const auto moments = moments_of(machine, appended, [&] { small_run(machine, appended, how, {10, 5}); });
  counts.acknowledged += appended.acknowledged();
  for (std::size_t place = 0; place < moments.size(); ++place) {
    for (const auto& ending : endings(2 + setting("CAIRN_TEST_ROUNDS", 50) / 25)) {
      auto after = appended;
      after.go_back(moments[place].acknowledged, moments[place].durable);
      stop_at(machine, moments, place, ending, random, counts);
      const auto where = std::string(name_of(how)) + ", before call " + std::to_string(place + 1) + ", " + ending.name();
      check_recovery(machine, after, how, random, !ending.power_cut, where, counts);
    }
  }
  return moments.size() - 1;
}

/// Stops the small run, and then the recovery from that, before each call of the recovery.
void stop_twice(durability how, testkit::random& random, tally& counts) {
  machine machine;
  machine.segment_bytes = 2048;
  witness appended(300);
  const auto moments = moments_of(machine, appended, [&] { small_run(machine, appended, how, {6, 3}); });
  const auto stride = std::max<std::uint64_t>(1, 400 / setting("CAIRN_TEST_ROUNDS", 50));
  for (auto place = random.below(stride); place < moments.size(); place += stride) {
    for (const auto& first : {ending{std::nullopt}, ending{remains::sectors}, ending{remains::prefix}}) {
      auto after_first = appended;
      after_first.go_back(moments[place].acknowledged, moments[place].durable);
      stop_at(machine, moments, place, first, random, counts);
      const auto where = std::string(name_of(how)) + ", before call " + std::to_string(place + 1) + ", " + first.name();
      std::vector<moment> inner;
      try {
        inner = moments_of(machine, after_first,
                           [&] { open_and_go_on(machine, after_first, how, random, !first.power_cut, where, counts); });
      } catch (const error& failure) {
        machine.revive();
        counts.refusal(where, failure.what());
        continue;
      }
      for (std::size_t second = 0; second < inner.size(); ++second) {
        for (const auto& last : {ending{remains::nothing}, ending{random.pick(all_remains)}}) {
          auto after = after_first;
          after.go_back(inner[second].acknowledged, inner[second].durable);
          stop_at(machine, inner, second, last, random, counts);
          check_recovery(machine, after, how, random, false,
                         where + ", then before call " + std::to_string(second + 1) + ", " + last.name(), counts);
        }
      }
    }
  }
}

}  // namespace

TEST_CASE("a stop before each call of a small run leaves a store that opens, has every durable record, and "
          "goes on") {
  const auto seed = setting("CAIRN_TEST_SEED", usual_seed);
  testkit::random random(seed);
  for (const auto how : {durability::synced, durability::buffered}) {
    tally counts;
    const auto calls = stop_before_each_call(how, random, counts);
    counts.check();
    show(std::string("power loss, ") + name_of(how) + ", before each of " + std::to_string(calls) + " calls: " + counts.text() +
         "; seed " + std::to_string(seed));
  }
}

TEST_CASE("a second stop, before each call of the recovery from the first, loses nothing more") {
  const auto seed = setting("CAIRN_TEST_SEED", usual_seed);
  testkit::random random(seed);
  for (const auto how : {durability::synced, durability::buffered}) {
    tally counts;
    stop_twice(how, random, counts);
    counts.check();
    show(std::string("power loss, ") + name_of(how) + ", during recovery too: " + counts.text() + "; seed " +
         std::to_string(seed));
  }
}

// ----------------------------------------------------------------------------------------------------------
// Long runs, stopped again and again

namespace {

/// Stores from their making on, one after the other, stopped again and again.
class unlucky_store {
public:
  enum class derived { in_memory, in_rocksdb };

  unlucky_store(durability how, bool threads, derived where, testkit::random& random, tally& counts)
      : how_(how), threads_(threads), derived_(where), random_(random), chance_(random.below(1'000'000)), counts_(counts) {
    begin_another();
  }

  /// Opens the store, compares it, works on it, and is stopped on the way.
  void live() {
    next_ = {random_.below(4) == 0 ? std::nullopt : std::optional(random_.pick(all_remains))};
    machine_->stop_before(1 + random_.below(random_.below(2) == 0 ? 500 : 60), [this] { stop(); });
    if (rocksdb_) rocksdb_->cut_power_before(random_.below(2) == 0 ? 1 + random_.below(400) : 0);
    std::unique_ptr<cairn::store> store;
    try {
      store = machine_->open(small(how_, random_.below(2) == 0 ? 60 : 600));
      compare(*store);
      for (auto calls = random_.below(100); calls > 0 && (!rocksdb_ || rocksdb_->has_power()); --calls) {
        const auto acknowledged = appended_.acknowledged();
        appended_.append_some(*store, random_, how_);
        counts_.acknowledged += appended_.acknowledged() - acknowledged;
        if (how_ == durability::synced) noted_ = store->head();
      }
    } catch (const error& failure) {
      const bool expected = failure.kind() == errc::journal_unavailable && (machine_->is_stopped() || !has_power());
      if (!expected) return refused(failure);
    }
    if (!machine_->is_stopped() && (!has_power() || random_.below(2) == 0)) {
      machine_->stop_now();
      stop();
    }
    store.reset();
    go_on(machine_->is_stopped());
  }

  /// Looks at the last store, and begins another.
  void end() {
    if (rocksdb_) rocksdb_->cut_power_before(0);
    try {
      {
        const auto store = machine_->open(small(how_));
        compare(*store);
        noted_ = store->head();
      }
      const temporary_folder copy(in_memory_if_possible());
      machine_->copy_to(copy.path() / "store");
      CHECK(verify_store(copy.path() / "store", {.noted = noted_}).records == appended_.acknowledged());
    } catch (const error& failure) { return refused(failure); }
    begin_another();
  }

private:
  bool has_power() const { return !rocksdb_ || rocksdb_->has_power(); }

  void compare(cairn::store& store) {
    for (const auto& warning : machine_->take_warnings()) counts_.rebuilt += warning.find("made again") != warning.npos;
    counts_.add(appended_.compare(store), only_crashed_, name_of(how_));
    counts_.snapshots_ahead += appended_.snapshots_ahead(store);
    if (how_ == durability::buffered || !noted_) noted_ = store.head();
    only_crashed_ = true;
  }

  // On any thread of the store.
  void stop() {
    if (has_prepared_segment()) ++counts_.prepared;
    next_.happen(machine_->disk(), chance_);
    if (rocksdb_) rocksdb_->cut_power();
  }

  void go_on(bool stopped) {
    machine_->revive();
    if (rocksdb_) rocksdb_->leave(chance_, stopped && next_.power_cut ? *next_.power_cut : remains::everything);
    if (stopped) {
      ++counts_.stops[next_.name()];
      only_crashed_ = only_crashed_ && !next_.power_cut;
    }
    const auto fate = random_.below(10);
    if (fate == 0) machine_->index().clear();
    if (fate == 1) machine_->index() = older_index_;
    if (fate == 2) older_index_ = machine_->index();
    try {
      if (!machine_->disk().files().empty() && random_.below(4) == 0) machine_->check_log();
    } catch (const error& failure) {
      // No store yet.
      if (failure.kind() != errc::invalid_argument) return refused(failure);
    }
  }

  bool has_prepared_segment() const {
    std::string last;
    for (const auto& file : machine_->disk().files()) {
      if (file.ends_with(".log")) last = file;
    }
    return !last.empty() && machine_->disk().contents(last).size() >= machine_->segment_bytes;
  }

  void refused(const error& failure) {
    counts_.refusal(name_of(how_), failure.what());
    begin_another();
  }

  void begin_another() {
    machine_ = std::make_unique<machine>();
    machine_->threads = threads_;
    machine_->segment_bytes = random_.below(2) == 0 ? machine::usual_segment_bytes : 8 * machine::usual_segment_bytes;
    rocksdb_.reset();
    if (derived_ == derived::in_rocksdb) {
      rocksdb_ = std::make_unique<rocksdb_beside>();
      rocksdb_->attach_to(*machine_);
    }
    appended_ = witness();
    noted_.reset();
    older_index_.clear();
    only_crashed_ = true;
  }

  const durability how_;
  const bool threads_;
  const derived derived_;
  testkit::random& random_;
  testkit::random chance_;  // for stop()
  tally& counts_;
  ending next_{};
  std::unique_ptr<rocksdb_beside> rocksdb_;
  std::unique_ptr<machine> machine_;
  witness appended_;
  std::optional<chain_head> noted_;
  detail::index_pairs older_index_;
  bool only_crashed_ = true;  // since the store was last compared
};

tally stop_at_random(durability how, bool threads, unlucky_store::derived where, std::uint64_t lives, std::uint64_t seed) {
  testkit::random random(seed);
  tally counts;
  unlucky_store store(how, threads, where, random, counts);
  for (; lives > 0; --lives) {
    store.live();
    if (random.below(10) == 0) store.end();
  }
  store.end();
  return counts;
}

}  // namespace

TEST_CASE("a store that is stopped at random moments, again and again, loses nothing that was durable") {
  const auto seed = setting("CAIRN_TEST_SEED", usual_seed);
  const auto lives = 20 * setting("CAIRN_TEST_ROUNDS", 50);
  for (const auto how : {durability::synced, durability::buffered}) {
    for (const bool threads : {false, true}) {
      const auto counts = stop_at_random(how, threads, unlucky_store::derived::in_memory, lives, seed);
      counts.check();
      // Otherwise the disk forgets nothing, and the case has shown nothing.
      if (how == durability::buffered) CHECK(counts.found.lost > 0);
      if (how == durability::synced && threads) CHECK(counts.prepared > 0);
      show(std::string("power loss, ") + name_of(how) + (threads ? ", with threads, " : ", ") + counts.text() + "; " +
           std::to_string(counts.prepared) + " stops with a prepared segment; seed " + std::to_string(seed));
    }
  }
}

TEST_CASE("a power cut that takes unsynced parts of RocksDB's files and of the log leaves a store that opens "
          "and is right") {
  const auto seed = setting("CAIRN_TEST_SEED", usual_seed);
  const auto lives = 2 * setting("CAIRN_TEST_ROUNDS", 50);
  for (const auto how : {durability::synced, durability::buffered}) {
    const auto counts = stop_at_random(how, true, unlucky_store::derived::in_rocksdb, lives, seed);
    counts.check();
    show(std::string("power loss, ") + name_of(how) + ", index and snapshots in RocksDB: " + counts.text() + ", " +
         std::to_string(counts.snapshots_ahead) + " snapshots ahead of the log, " + std::to_string(counts.rebuilt) +
         " indexes made again; seed " + std::to_string(seed));
  }
}

TEST_CASE("the disk of these tests really forgets: a buffered store does not keep the promise of a synced one") {
  for (const auto how : {durability::synced, durability::buffered}) {
    machine machine;
    testkit::random random(usual_seed);
    witness appended(200);
    auto store = machine.open(small(how, 100'000));
    for (int calls = 0; calls < 3; ++calls) appended.append_some(*store, random, how);
    machine.disk().cut_power(random, remains::nothing);
    store.reset();
    const auto lost = appended.compare(*machine.open(small(how))).lost;
    CHECK((lost > 0) == (how == durability::buffered));
  }
}

}  // namespace cairn::tests
