// A disk that fails, is full, or lies: what a store, and the commands on their way to it, make of that.
#include "faulty_file_system.hpp"
#include "other_process.hpp"
#include "product.hpp"
#include "settings.hpp"
#include "temporary_folder.hpp"
#include "witness.hpp"

#include <cairn/rocksdb_journal.hpp>
#include <cairn/runtime.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <cstdlib>
#include <optional>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

namespace cairn::tests {
namespace {

namespace fs = std::filesystem;
using namespace stock;

/// What fails, and what every error that comes of it says.
struct failure_mode {
  fault what;
  const char* reason;
};

const std::array<failure_mode, 6> failures{{{{.what = fault::kind::write_error}, write_failed},
                                            {{.what = fault::kind::torn_write}, write_failed},
                                            {{.what = fault::kind::disk_full}, no_space},
                                            {{.what = fault::kind::sync_error}, sync_failed},
                                            {{.what = fault::kind::torn_write, .files = ".sst"}, write_failed},
                                            {{.what = fault::kind::disk_full, .files = ".sst"}, no_space}}};

/// The error that `work` throws.
template <class Work>
std::optional<error> failure_of(Work work) {
  try {
    work();
  } catch (const error& failure) { return failure; }
  return std::nullopt;
}

bool says(const std::optional<error>& failure, errc kind, std::string_view reason) {
  return failure && failure->kind() == kind && failure->detail().find(reason) != std::string::npos;
}

/// Appends until it fails, or for too long.
std::optional<error> append_until_it_fails(rocksdb_store& store, witness& told, std::mt19937_64& random, int calls_max = 1'000) {
  return failure_of([&] {
    for (int calls = 0; calls < calls_max; ++calls) told.append_some(store, random);
  });
}

/// Opens the store that a faulty disk left, on a sound one, and looks at it.
found_again look_again(const fs::path& folder, durability how, witness& told) {
  faulty_disk sound(folder);
  const auto store = open_on(sound, folder, small(how));
  const auto result = told.compare(*store);
  std::mt19937_64 random(usual_seed);
  told.append_some(*store, random);
  return result;
}

const char* name_of(durability how) { return how == durability::synced ? "synced" : "buffered"; }

}  // namespace

TEST_CASE("after a write or a sync that failed the store says why, takes nothing more until it is opened again, and reads on") {
  const auto seed = setting("CAIRN_TEST_SEED", usual_seed);
  std::mt19937_64 random(seed);
  std::uint64_t injected = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t lost = 0;
  std::uint64_t taken_afterwards = 0;
  for (auto rounds = std::max<std::uint64_t>(1, setting("CAIRN_TEST_ROUNDS", 50) / 10); rounds > 0; --rounds) {
    for (const auto how : {durability::synced, durability::buffered}) {
      for (auto [what, reason] : failures) {
        what.nth = 1 + random() % 4;
        CAPTURE(std::string(name_of(how)));
        CAPTURE(static_cast<int>(what.what));
        CAPTURE(what.files);
        CAPTURE(what.nth);
        const temporary_folder folder;
        const auto path = folder.path() / "store";
        witness told;
        {
          faulty_disk disk(path);
          auto store = open_on(disk, path, small(how));
          for (auto calls = random() % 20; calls > 0; --calls) told.append_some(*store, random);
          disk.inject(what);
          const auto failure = append_until_it_fails(*store, told, random);
          INFO("it said: ", failure ? failure->detail() : "nothing");
          CHECK(says(failure, errc::journal_unavailable, reason));
          CHECK(disk.struck());
          ++injected;

          // The disk is well again from here on, and later syncs would succeed. They would mean nothing.
          disk.free_space();
          const auto writes = disk.writes_since_struck();
          for (int more = 0; more < 3; ++more) {
            const auto refusal = failure_of([&] { told.append_some(*store, random); });
            taken_afterwards += !refusal;
            CHECK(says(refusal, errc::journal_unavailable, reason));
          }
          CHECK(read_all(*store).size() == told.acknowledged());
          // What a failed sync left undone is only seen where the power goes as well.
          const bool cut = how == durability::synced && random() % 2;
          if (cut) disk.cut_power();
          store.reset();
          if (what.files == ".log") CHECK(disk.writes_since_struck() == writes);
          if (cut) disk.leave(remains::synced_only, random);
        }
        acknowledged += told.acknowledged();
        const auto result = look_again(path, how, told);
        CHECK(result.lost == 0);
        CHECK(result.torn == 0);
        CHECK(result.wrong == 0);
        lost += result.lost;
      }
    }
  }
  CHECK(taken_afterwards == 0);
  show("disk faults: " + std::to_string(injected) + " writes and syncs failed; " + std::to_string(acknowledged) +
       " records acknowledged, " + std::to_string(lost) + " of them missing afterwards; " + std::to_string(taken_afterwards) +
       " appends taken after a failure; seed " + std::to_string(seed));
}

TEST_CASE(
    "after a sync of RocksDB's manifest that failed the store goes on, or says why not, and is whole when it is opened again") {
  // RocksDB begins a new manifest where it can, and then all is well again. It is not where what it was to note was a table of
  // the index: that it deletes, and may find the note.
  std::uint64_t stopped = 0;
  std::mt19937_64 random(usual_seed);
  for (std::uint64_t nth = 1; nth <= 24; ++nth) {
    CAPTURE(nth);
    const auto how = nth % 2 ? durability::synced : durability::buffered;
    const temporary_folder folder;
    const auto path = folder.path() / "store";
    witness told;
    {
      faulty_disk disk(path);
      const auto store = open_on(disk, path, small(how));
      disk.inject({.what = fault::kind::sync_error, .nth = 1 + nth / 2, .files = "MANIFEST"});
      const auto failure = append_until_it_fails(*store, told, random, 200);
      if (failure) CHECK(says(failure, errc::journal_unavailable, sync_failed));
      stopped += failure.has_value();
      CHECK(disk.struck());
    }
    const auto result = look_again(path, how, told);
    CHECK(result.lost == 0);
    CHECK(result.torn == 0);
    CHECK(result.wrong == 0);
  }
  CHECK(stopped > 0);
  show("disk faults: 24 syncs of the manifest failed, " + std::to_string(stopped) + " of which stopped the store");
}

// --- the runtime ---

TEST_CASE("each command in flight on a failing disk is answered truly: it is stored, or the journal is unavailable and why") {
  constexpr std::uint64_t products = 20;
  constexpr std::uint64_t commands = 25;  // of each product
  std::uint64_t acknowledged = 0;
  std::uint64_t refused = 0;
  std::uint64_t false_acknowledgements = 0;
  for (const auto how : {durability::synced, durability::buffered}) {
    for (auto [what, reason] : failures) {
      if (what.files != ".log" || (what.what == fault::kind::sync_error && how == durability::buffered)) continue;
      for (const std::uint64_t nth : {1, 2, 3}) {
        what.nth = nth;
        CAPTURE(std::string(name_of(how)));
        CAPTURE(static_cast<int>(what.what));
        CAPTURE(nth);
        const temporary_folder folder;
        const auto path = folder.path() / "store";
        std::map<std::string, std::uint64_t> stored;  // the version that was acknowledged last
        {
          faulty_disk disk(path);
          boost::asio::io_context handlers;
          {
            runtime runtime({.journal = open_on(disk, path, small(how, 100'000)),
                             .bounds = {.batch_appends_max = 100},
                             .on_warning = [](const std::string&) {}});
            for (std::uint64_t id = 0; id < products; ++id) runtime.ask<Product>(std::to_string(id), Enrol{});
            disk.inject(what);
            for (std::uint64_t number = 1; number <= commands; ++number) {
              for (std::uint64_t product = 0; product < products; ++product) {
                const auto id = std::to_string(product);
                // The n-th command adds n, so that each event says which command it is of.
                const auto told = [&, id, number](boost::system::error_code code, const answer<>& given) {
                  if (!code) {
                    ++acknowledged;
                    CHECK(given.version == version{number + 1});
                    stored[id] = std::max(stored[id], given.version.value);
                  } else {
                    ++refused;
                    CHECK(code == errc::journal_unavailable);
                    CHECK(given.detail.find(reason) != std::string::npos);
                  }
                };
                runtime.ask<Product>(id, AddStock(static_cast<Count>(number)), boost::asio::bind_executor(handlers, told));
              }
            }
            handlers.run();
            disk.free_space();
            for (std::uint64_t product = 0; product < products; ++product) {
              const auto id = std::to_string(product);
              CHECK(says(failure_of([&] { runtime.ask<Product>(id, AddStock(1)); }), errc::journal_unavailable, reason));
              CHECK(runtime.state<Product>(id).version.value == std::max<std::uint64_t>(stored[id], 1));
            }
            if (how == durability::synced) disk.cut_power();
          }
          std::mt19937_64 random(nth);
          if (how == durability::synced) disk.leave(remains::synced_only, random);
        }
        faulty_disk sound(path);
        runtime runtime({.journal = open_on(sound, path, small(how))});
        for (std::uint64_t product = 0; product < products; ++product) {
          const auto id = std::to_string(product);
          const auto events = runtime.history<Product>(id).events;
          CHECK(events.size() <= commands + 1);
          false_acknowledgements += events.size() < stored[id];
          for (std::size_t i = 1; i < events.size(); ++i) {
            CHECK(std::get<StockAdded>(events[i].event).count == static_cast<Count>(i));
          }
          CHECK(runtime.ask<Product>(id, AddStock(1)).version == version{events.size() + 1});
        }
      }
    }
  }
  CHECK(false_acknowledgements == 0);
  CHECK(refused > 0);
  show("disk faults, through the runtime: " + std::to_string(acknowledged) + " commands acknowledged, " +
       std::to_string(refused) + " told that the journal is unavailable; " + std::to_string(false_acknowledgements) +
       " false acknowledgements");
}

TEST_CASE("where the next write-ahead log cannot be prepared, the store goes on with an ordinary one") {
  std::mt19937_64 random(usual_seed);
  for (const auto what : {fault::kind::write_error, fault::kind::torn_write, fault::kind::sync_error}) {
    CAPTURE(static_cast<int>(what));
    const temporary_folder folder;
    const auto path = folder.path() / "store";
    const auto prepared = path / "log-being-prepared";
    witness told;
    {
      faulty_disk disk(path);
      auto store = open_on(disk, path, small(durability::synced, 100'000));
      disk.inject({.what = what, .files = prepared.filename().string()});
      // The fault strikes once, so the log after the next is prepared again.
      for (int calls = 0; !disk.struck() || !disk.has_prepared_log(); ++calls) {
        REQUIRE(calls < 10'000);
        told.append_some(*store, random);
      }
      store.reset();
      CHECK_FALSE(fs::exists(prepared));
      disk.leave(remains::everything, random);
    }
    std::ofstream(prepared) << "left by a process that was killed";
    faulty_disk disk(path);
    const auto store = open_on(disk, path, small(durability::synced));
    CHECK_FALSE(fs::exists(prepared));
    CHECK(told.compare(*store).lost == 0);
  }
}

// --- a disk that lies ---

TEST_CASE("a write that the disk lost without a word is damage where something was written behind it") {
  const temporary_folder folder;
  const auto path = folder.path() / "store";
  std::mt19937_64 random(usual_seed);
  for (std::uint64_t nth = 1; nth <= 10; ++nth) {
    CAPTURE(nth);
    fs::remove_all(path);
    witness told;
    {
      faulty_disk disk(path);
      // In one log: what is lost at the end of a log is not missed where the store has it in a table by then.
      auto store = open_on(disk, path, small(durability::synced, 100'000), 4 << 20);
      disk.inject({.what = fault::kind::lost_write, .nth = nth});
      while (!disk.struck()) told.append_some(*store, random);
      told.append_some(*store, random);
      disk.cut_power();
      store.reset();
      disk.leave(remains::everything, random);
    }
    faulty_disk disk(path);
    CHECK(says(failure_of([&] { open_on(disk, path, small(durability::synced)); }), errc::corrupt_record, "write-ahead log"));
  }
}

TEST_CASE(
    "a last write or sync that the disk lost looks like a torn tail, and only a noted head tells that records are missing") {
  std::mt19937_64 random(usual_seed);
  for (const auto what : {fault::kind::lost_write, fault::kind::lost_sync}) {
    CAPTURE(static_cast<int>(what));
    const temporary_folder folder;
    const auto path = folder.path() / "store";
    const stream_id product("product", "1");
    chain_head before;
    chain_head noted;
    {
      faulty_disk disk(path);
      auto store = open_on(disk, path, small(durability::synced, 100'000));
      append(*store, product, 0, {"there"});
      before = store->head();
      disk.inject({.what = what});
      CHECK(append(*store, product, 1, {"lost"}).stored);
      CHECK(disk.struck());
      noted = store->head();
      disk.cut_power();
      store.reset();
      disk.leave(what == fault::kind::lost_write ? remains::everything : remains::synced_only, random);
    }
    faulty_disk disk(path);
    const auto store = open_on(disk, path, small(durability::synced));
    CHECK(store->last() == position{1});
    CHECK(store->verify().head == before);
    CHECK(store->verify({.noted = before}).records == 1);
    CHECK(
        says(failure_of([&] { store->verify({.noted = noted}); }), errc::corrupt_record, "records that were stored are missing"));
  }
}

// --- a disk that is full ---

namespace {

constexpr int not_allowed = 77;

/// From now on what this process mounts is there for this process alone, and goes with it. Whether that is allowed.
bool may_mount() {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

bool mount_small_disk(const fs::path& folder) {
  fs::create_directory(folder);
  return mount("cairn", folder.c_str(), "tmpfs", 0, "size=4m") == 0;
}

}  // namespace

TEST_CASE("a disk that is really full fails the append with the reason, and with space again the store opens and goes on") {
  const temporary_folder folder;
  const auto code = run_in_another_process("(child) fills a small disk", folder.path());
  if (code == not_allowed) {
    show("disk full, for real: skipped, because this machine lets nobody mount a small disk");
    return;
  }
  CHECK(code == 0);
}

TEST_CASE("(child) fills a small disk" * doctest::skip()) {
  const auto folder = folder_of_this_process();
  if (!may_mount()) _exit(not_allowed);
  for (const auto how : {durability::synced, durability::buffered}) {
    CAPTURE(std::string(name_of(how)));
    const auto disk = folder / name_of(how);
    if (!mount_small_disk(disk)) _exit(not_allowed);
    const auto path = disk / "store";
    std::mt19937_64 random(usual_seed);
    witness told;
    {
      const auto store = detail::open_rocksdb_store(path, small(how), {.log_buffer_bytes = 64 << 10});
      CHECK(says(append_until_it_fails(*store, told, random), errc::journal_unavailable, "No space left"));
      CHECK(says(failure_of([&] { told.append_some(*store, random); }), errc::journal_unavailable, "No space left"));
      CHECK(read_all(*store).size() == told.acknowledged());
    }
    // Whether a store opens on a full disk is the disk's affair; that it says why is ours.
    const auto failure = failure_of([&] { rocksdb_journal(path, small(how)); });
    if (failure) CHECK(says(failure, errc::journal_unavailable, "No space left"));
    REQUIRE(mount("cairn", disk.c_str(), "tmpfs", MS_REMOUNT, "size=32m") == 0);
    const auto store = rocksdb_journal(path, small(how));
    const auto acknowledged = told.acknowledged();
    const auto result = told.compare(*store);
    CHECK(result.lost == 0);
    CHECK(result.torn == 0);
    CHECK(result.wrong == 0);
    for (int calls = 0; calls < 10; ++calls) told.append_some(*store, random);
    show(std::string("disk full, for real, ") + name_of(how) + ": " + std::to_string(acknowledged) +
         " records acknowledged on 4 MiB, " + std::to_string(result.lost) + " of them missing afterwards");
  }
}

}  // namespace cairn::tests
