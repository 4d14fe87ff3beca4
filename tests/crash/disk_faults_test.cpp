// A disk that fails, is full, or lies: how a store, and the commands on their way to it, answer that.
#include "../../persistence/log/io.hpp"
#include "machine.hpp"
#include "other_process.hpp"
#include "product.hpp"
#include "rocksdb_beside.hpp"
#include "settings.hpp"
#include "temporary_folder.hpp"
#include "witness.hpp"

#include <cairn/maintenance.hpp>
#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

namespace cairn::tests {
namespace {

namespace fs = std::filesystem;
using namespace stock;
using cairn::detail::io_status;
using testkit::detail::call;
using testkit::detail::false_success;
using testkit::detail::short_transfer;

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

std::string text_of(const std::optional<error>& failure) { return failure ? failure->what() : "no error"; }

// ----------------------------------------------------------------------------------------------------------
// Every call fails with every error

constexpr std::array results{-EIO, -ENOSPC, -EDQUOT, -EMFILE, -ENFILE, -ENOMEM, -EACCES, -EROFS, -EINTR, short_transfer};

bool has_no_effect(io_status result) { return result == -EINTR || result == short_transfer; }

/// Whether the call can have this result, by its manual page.
bool is_possible(call kind, io_status result) {
  const bool opens = kind == call::open || kind == call::open_folder || kind == call::list || kind == call::lock;
  const bool changes = kind != call::open_folder && kind != call::list && kind != call::read && kind != call::size;
  const bool by_name = kind != call::read && kind != call::write && kind != call::sync && kind != call::sync_folder &&
                       kind != call::size && kind != call::truncate;
  switch (result) {
  case -EMFILE:
  case -ENFILE: return opens;
  case -ENOSPC:
  case -EDQUOT: return changes;
  case -EROFS: return changes && by_name;
  case -EACCES: return by_name;
  case short_transfer: return kind == call::read || kind == call::write;
  default: return true;
  }
}

/// A call that fails.
struct call_fault {
  std::size_t place;  // of the call, from 0
  call kind;
  io_status result;
  bool lasts;  // also the later calls of its kind

  std::string name() const {
    const std::string how = result == short_transfer ? "is short" : std::strerror(-result);
    return "call " + std::to_string(place + 1) + " (kind " + std::to_string(static_cast<int>(kind)) + "): " + how +
           (lasts ? ", lasting" : "");
  }
};

struct fault_counts {
  std::uint64_t calls = 0;
  std::uint64_t failures = 0;
  std::uint64_t acknowledged = 0;
  comparison found;
  std::uint64_t as_damage = 0;   // reported as damage, or as another mistake of the user's
  std::uint64_t unreported = 0;  // neither thrown nor warned about
  std::uint64_t wrong_words = 0;
  std::uint64_t not_opened = 0;
  std::vector<std::string> problems;

  void problem(const std::string& where, const std::string& what) {
    if (problems.size() < 12) problems.push_back(where + ": " + what);
  }
  void add(const comparison& result, const std::string& where) {
    found += result;
    if (result.lost_synced + result.torn + result.wrong > 0) {
      problem(where, "lost " + std::to_string(result.lost_synced) + ", torn " + std::to_string(result.torn) + ", wrong " +
                         std::to_string(result.wrong));
    }
  }
  void check() const {
    for (const auto& one : problems) MESSAGE(one);
    CHECK(problems.empty());
    CHECK(found.lost_synced == 0);
    CHECK(found.torn == 0);
    CHECK(found.wrong == 0);
    CHECK(as_damage == 0);
    CHECK(unreported == 0);
    CHECK(wrong_words == 0);
    CHECK(not_opened == 0);
  }
  std::string text() const {
    return std::to_string(failures) + " failures (" + std::to_string(calls) + " calls × their errors, once and lasting); " +
           std::to_string(acknowledged) + " records acknowledged, " + std::to_string(found.lost_synced) + " lost, " +
           std::to_string(as_damage) + " failures reported as damage, " + std::to_string(unreported) + " not reported";
  }
};

/// What an error or a warning says of a fault.
void check_report(const call_fault& fault, const std::string& path, const std::optional<error>& failure,
                  const std::vector<std::string>& warnings, fault_counts& counts) {
  const auto where = fault.name() + ", " + path;
  std::string all = failure ? failure->detail() : "";
  for (const auto& warning : warnings) all += "\n" + warning;
  if (has_no_effect(fault.result)) {
    if (!all.empty()) {
      ++counts.wrong_words;
      counts.problem(where, "had an effect: " + all);
    }
    return;
  }
  // A program that may not open the folder above cannot have made the store's folder in it.
  if (fault.result == -EACCES && fault.kind == call::open_folder && all.empty()) return;
  if (failure && failure->kind() != errc::journal_unavailable) {
    ++counts.as_damage;
    counts.problem(where, failure->what());
  } else if (all.empty()) {
    ++counts.unreported;
    counts.problem(where, "was not reported");
  } else if (all.find(detail::reason_of(-fault.result)) == all.npos) {
    ++counts.wrong_words;
    counts.problem(where, "the report is: " + all);
  }
}

/// Appends. If that fails, the store takes nothing more and says why, and reads on.
void append_or_refuse(cairn::store& store, witness& appended, testkit::random& random, durability how, bool reads_work) {
  const auto failure = failure_of([&] { appended.append_some(store, random, how); });
  if (!failure) return;
  const auto again = failure_of([&] { appended.append_some(store, random, how); });
  CHECK_MESSAGE(again, "the store took an append after one had failed: ", failure->detail());
  if (again) CHECK(again->kind() == errc::journal_unavailable);
  if (reads_work) CHECK(read_all(store).size() == appended.acknowledged());
  throw *failure;
}

/// The run in which calls fail: a store is made, filled over several segments, read, closed, opened again,
/// and filled again.
template <class Open>
void faulty_run(Open open, witness& appended, durability how, bool reads_work, comparison& found,
                std::array<int, 2> appends_of_each = {6, 3}) {
  testkit::random random(usual_seed);
  for (const int appends : appends_of_each) {
    const auto store = open();
    found += appended.compare(*store);
    for (int calls = 0; calls < appends; ++calls) append_or_refuse(*store, appended, random, how, reads_work);
    read_all(*store);
    read(*store, {"product", "1"});
  }
}

/// A machine for the runs. All are alike up to the call that fails.
struct faulty_machine {
  faulty_machine() { machine.segment_bytes = 2048; }
  std::unique_ptr<cairn::store> open(durability how) { return machine.open(small(how, 10)); }
  tests::machine machine;
  witness appended{300};
};

struct known_call {
  call kind;
  std::string path;
};

template <class Run>
std::vector<known_call> calls_of(testkit::detail::fault_injector& faults, Run run) {
  std::vector<known_call> calls;
  faults.set_hook([&](call kind, const std::string& path) {
    calls.push_back({kind, path});
    return 0;
  });
  run();
  faults.set_hook({});
  return calls;
}

void inject(testkit::detail::fault_injector& faults, const call_fault& fault) {
  faults.set_hook([fault, count = std::make_shared<std::size_t>(0)](call kind, const std::string&) {
    const auto place = (*count)++;
    const bool strikes = place == fault.place || (fault.lasts && place > fault.place && kind == fault.kind);
    return strikes ? fault.result : 0;
  });
}

/// Runs with one fault. Then everything acknowledged is there: without the fault, after a power cut, and
/// after a power cut that comes later.
void run_with(const call_fault& fault, const std::string& path, durability how, fault_counts& counts) {
  faulty_machine one;
  auto& machine = one.machine;
  auto& appended = one.appended;
  testkit::random random(fault.place);
  inject(machine.faults(), fault);
  comparison during;
  const auto failure = failure_of([&] { faulty_run([&] { return one.open(how); }, appended, how, !fault.lasts, during); });
  machine.revive();
  ++counts.failures;
  counts.acknowledged += appended.acknowledged();
  const auto where = std::string(name_of(how)) + ", " + fault.name() + ", " + path;
  counts.add(during, where);
  check_report(fault, path, failure, machine.take_warnings(), counts);

  const auto disk = machine.disk().take_snapshot();
  const auto index = machine.index();
  const auto as_it_was = appended;
  const auto reopen = [&](const std::string& when, bool keeps_all) {
    try {
      const auto store = one.open(how);
      const auto result = appended.compare(*store);
      counts.add(result, where + when);
      if (keeps_all && result.lost > 0) counts.problem(where + when, "lost " + std::to_string(result.lost));
      for (int calls = 0; calls < 2; ++calls) appended.append_some(*store, random, how);
      // What an earlier failed sync left undone shows only after a power cut.
      machine.disk().cut_power(random, remains::nothing);
    } catch (const error& problem) {
      ++counts.not_opened;
      counts.problem(where + when, problem.what());
    }
  };
  reopen(", opened without the fault", true);
  reopen(", opened after a later power cut", how == durability::synced);
  machine.disk().restore(disk);
  machine.index() = index;
  appended = as_it_was;
  machine.disk().cut_power(random, fault.place % 2 == 0 ? remains::nothing : remains::sectors);
  reopen(", opened after a power cut", how == durability::synced);
  static_cast<void>(machine.take_warnings());
}

}  // namespace

TEST_CASE("each call in turn fails with each error that it can return: it is reported as that, and nothing "
          "acknowledged is lost") {
  for (const auto how : {durability::synced, durability::buffered}) {
    faulty_machine sound;
    comparison found;
    const auto calls =
        calls_of(sound.machine.faults(), [&] { faulty_run([&] { return sound.open(how); }, sound.appended, how, true, found); });
    fault_counts counts;
    counts.calls = calls.size();
    for (std::size_t place = 0; place < calls.size(); ++place) {
      for (const auto result : results) {
        if (!is_possible(calls[place].kind, result)) continue;
        run_with({place, calls[place].kind, result, false}, calls[place].path, how, counts);
        if (result != -EINTR) run_with({place, calls[place].kind, result, true}, calls[place].path, how, counts);
      }
    }
    counts.check();
    show(std::string("disk faults, ") + name_of(how) + ": " + counts.text());
  }
}

namespace {

/// The same on the operating system's files, with RocksDB beside.
struct faulty_real_store {
  std::unique_ptr<cairn::store> open(durability how, bool sound = false) {
    auto environment = detail::usual_environment();
    if (!sound) environment.files = &files;
    environment.segment_bytes = 4096;
    environment.threads = false;
    auto options = small(how, 20);
    options.warn = [this](const std::string& sentence) { warnings.push_back(sentence); };
    return detail::open_embedded_store(folder.path() / "store", options, environment);
  }
  temporary_folder folder{in_memory_if_possible()};
  testkit::detail::failing_file_system files{detail::real_file_system()};
  std::vector<std::string> warnings;
  witness appended{300};
};

}  // namespace

TEST_CASE("the same holds for the operating system's files, with index and snapshots in RocksDB") {
  fault_counts counts;
  std::size_t turn = 0;
  for (const auto how : {durability::synced, durability::buffered}) {
    faulty_real_store sound;
    comparison found;
    const auto calls = calls_of(sound.files.faults(), [&] {
      faulty_run([&] { return sound.open(how); }, sound.appended, how, true, found, {3, 2});
    });
    // With few rounds some of the calls fail, each with some of its errors: the next call with the next ones.
    const auto rounds = setting("CAIRN_TEST_ROUNDS", 50);
    for (std::size_t place = 0; place < calls.size(); place += 1 + 100 / rounds) {
      ++counts.calls;
      for (auto errors = 1 + rounds / 100; errors > 0;) {
        const auto result = results[turn++ % results.size()];
        if (!is_possible(calls[place].kind, result)) continue;
        --errors;
        const call_fault fault{place, calls[place].kind, result, result != -EINTR && turn % 2 == 0};
        const auto where = std::string("real files, ") + name_of(how) + ", " + fault.name() + ", " + calls[place].path;
        faulty_real_store store;
        inject(store.files.faults(), fault);
        comparison during;
        const auto failure = failure_of([&] {
          faulty_run([&] { return store.open(how); }, store.appended, how, !fault.lasts, during, {3, 2});
        });
        store.files.faults().set_hook({});
        ++counts.failures;
        counts.acknowledged += store.appended.acknowledged();
        counts.add(during, where);
        check_report(fault, calls[place].path, failure, store.warnings, counts);
        try {
          const auto again = store.open(how, true);
          const auto result_again = store.appended.compare(*again);
          counts.add(result_again, where);
          if (result_again.lost > 0) counts.problem(where, "lost " + std::to_string(result_again.lost));
          testkit::random random(place);
          store.appended.append_some(*again, random, how);
        } catch (const error& problem) {
          ++counts.not_opened;
          counts.problem(where, problem.what());
        }
      }
    }
  }
  counts.check();
  show("disk faults, real files: " + counts.text());
}

TEST_CASE("a failed write of the index stops the store, or does not, and the next opening finds everything") {
  std::uint64_t injected = 0;
  std::uint64_t stopped = 0;
  std::uint64_t lost = 0;
  testkit::random random(usual_seed);
  using kind = table_fault::kind;
  for (const auto how : {durability::synced, durability::buffered}) {
    for (const auto is : {kind::write_error, kind::disk_full, kind::sync_error}) {
      for (const std::string files : {"index-being-written", ".sst", "MANIFEST"}) {
        for (const std::uint64_t nth : {1, 2, 3}) {
          CAPTURE(std::string(name_of(how)));
          CAPTURE(static_cast<int>(is));
          CAPTURE(files);
          CAPTURE(nth);
          rocksdb_beside rocksdb;
          machine machine;
          rocksdb.attach_to(machine);
          machine.threads = true;
          witness appended(300);
          {
            const auto store = machine.open(small(how, 20));
            for (int calls = 0; calls < 5; ++calls) appended.append_some(*store, random, how);
            rocksdb.disk().inject({is, nth, files});
            const auto failure = failure_of([&] {
              for (int calls = 0; calls < 100; ++calls) appended.append_some(*store, random, how);
            });
            if (failure) CHECK(says(failure, errc::journal_unavailable, is == kind::disk_full ? "No space" : "Input/output"));
            stopped += failure.has_value();
            injected += rocksdb.disk().struck();
            CHECK(read_all(*store).size() == appended.acknowledged());
            rocksdb.disk().free_space();
          }
          rocksdb.leave(random, remains::everything);
          const auto store = machine.open(small(how));
          const auto found = appended.compare(*store);
          lost += found.lost;
          CHECK(found.lost + found.torn + found.wrong == 0);
          appended.append_some(*store, random, how);
        }
      }
    }
  }
  CHECK(injected > 0);
  show("disk faults, RocksDB's files: " + std::to_string(injected) + " writes and syncs failed, " + std::to_string(stopped) +
       " of them stopped the store; " + std::to_string(lost) + " acknowledged records lost");
}

TEST_CASE("if the next segment cannot be prepared, the store goes on with one that grows, and says so") {
  for (const auto kind : {call::open, call::write, call::sync, call::truncate}) {
    CAPTURE(static_cast<int>(kind));
    machine machine;
    machine.threads = true;
    testkit::random random(usual_seed);
    witness appended;
    std::atomic<bool> struck = false;
    const auto is_prepared = [&] {
      const auto files = machine.disk().files();
      const auto last = std::find_if(files.rbegin(), files.rend(), [](const auto& file) { return file.ends_with(".log"); });
      return last != files.rend() && machine.disk().contents(*last).size() >= machine.segment_bytes;
    };
    {
      const auto store = machine.open(small(durability::synced, 100'000));
      const auto writer = std::this_thread::get_id();
      machine.faults().set_hook([&](call made, const std::string& path) {
        const bool prepares = std::this_thread::get_id() != writer && path.ends_with("/next");
        return made == kind && prepares && !struck.exchange(true) ? -EIO : 0;
      });
      // The fault strikes once, so the segment after the next is prepared again.
      for (int calls = 0; !struck || !is_prepared(); ++calls) {
        REQUIRE(calls < 10'000);
        appended.append_some(*store, random, durability::synced);
      }
    }
    bool said = false;
    for (const auto& warning : machine.take_warnings()) {
      said = said || warning.find("cannot prepare the next segment") != warning.npos;
    }
    CHECK(said);
    machine.revive();
    machine.disk().overwrite("/data/store/log/next", "left by a process that was killed");
    const auto store = machine.open(small(durability::synced));
    const auto found = appended.compare(*store);
    CHECK(found.lost + found.torn + found.wrong == 0);
    for (const auto& file : machine.disk().files()) CHECK_FALSE(file.ends_with("/next"));
  }
}

// ----------------------------------------------------------------------------------------------------------
// The runtime

namespace {

/// What fails in the last segment of the log, and what each error that comes of it says.
struct failure_mode {
  const char* name;
  call kind;
  bool torn;
  io_status result;
};

constexpr std::array<failure_mode, 4> failures{{{"a write fails", call::write, false, -EIO},
                                                {"a write is torn", call::write, true, -EIO},
                                                {"the disk is full", call::write, true, -ENOSPC},
                                                {"a sync fails", call::sync, false, -EIO}}};

/// Strikes at the `nth` such call from now on. A full disk stays full.
void inject(machine& machine, const failure_mode& what, std::uint64_t nth) {
  machine.faults().set_hook(
      [what, nth, count = std::make_shared<std::atomic<std::uint64_t>>(0)](call kind, const std::string& path) {
        if (kind != what.kind || !path.ends_with(".log")) return 0;
        const auto number = ++*count;
        if (what.torn && number == nth) return short_transfer;
        const auto fails_at = what.torn ? nth + 1 : nth;
        const bool fails = number == fails_at || (what.result == -ENOSPC && number > fails_at);
        return fails ? what.result : 0;
      });
}

}  // namespace

TEST_CASE("each command in flight on a failing disk is answered truly: it is stored, or the journal is "
          "unavailable and why") {
  constexpr std::uint64_t products = 20;
  constexpr std::uint64_t commands = 25;  // of each product
  std::uint64_t acknowledged = 0;
  std::uint64_t refused = 0;
  std::uint64_t false_acknowledgements = 0;
  for (const auto how : {durability::synced, durability::buffered}) {
    for (const auto& what : failures) {
      if (what.kind == call::sync && how == durability::buffered) continue;
      for (const std::uint64_t nth : {1, 2, 3}) {
        CAPTURE(std::string(name_of(how)));
        CAPTURE(std::string(what.name));
        CAPTURE(nth);
        const auto reason = detail::reason_of(-what.result);
        const auto refused_before = refused;
        machine machine;
        machine.threads = true;
        machine.segment_bytes = std::uint64_t{1} << 20;
        std::map<std::string, std::uint64_t> stored;  // the version that was acknowledged last
        {
          boost::asio::io_context handlers;
          runtime runtime({.journal = machine.open(small(how, 100'000)),
                           .bounds = {.batch_appends_max = 100},
                           .on_warning = [](const std::string&) {}});
          for (std::uint64_t id = 0; id < products; ++id) runtime.ask<Product>(std::to_string(id), Enrol{}, blocking).value();
          inject(machine, what, nth);
          for (std::uint64_t number = 1; number <= commands; ++number) {
            for (std::uint64_t product = 0; product < products; ++product) {
              const auto id = std::to_string(product);
              // The n-th command adds n, so that each event says which command it is of.
              const auto take = [&, id, number](boost::system::error_code code, const answer<>& answer) {
                if (!code) {
                  ++acknowledged;
                  CHECK(answer.version == version{number + 1});
                  stored[id] = std::max(stored[id], answer.version.value);
                } else {
                  ++refused;
                  CHECK(code == errc::journal_unavailable);
                  CHECK(answer.detail.find(reason) != std::string::npos);
                }
              };
              runtime.ask<Product>(id, AddStock(static_cast<Count>(number)), boost::asio::bind_executor(handlers, take));
            }
          }
          handlers.run();
          machine.faults().set_hook({});  // the disk is well again, and the store still takes nothing
          for (std::uint64_t product = 0; product < products; ++product) {
            const auto id = std::to_string(product);
            if (refused == refused_before) continue;  // all was stored before the n-th call
            CHECK(says(failure_of([&] { runtime.ask<Product>(id, AddStock(1), blocking).value(); }), errc::journal_unavailable,
                       reason));
            // What became of an append that failed is unknown, and so is the state behind it.
            std::uint64_t version = 0;
            const auto failure = failure_of([&] { version = runtime.state<Product>(id, blocking).version.value; });
            if (failure) {
              CHECK(failure->detail().find(reason) != std::string::npos);
            } else {
              CHECK(version == std::max<std::uint64_t>(stored[id], 1));
            }
          }
          testkit::random random(nth);
          if (how == durability::synced) machine.disk().cut_power(random, remains::nothing);
        }
        runtime runtime({.journal = machine.open(small(how))});
        for (std::uint64_t product = 0; product < products; ++product) {
          const auto id = std::to_string(product);
          const auto events = runtime.history<Product>(id, blocking).events;
          CHECK(events.size() <= commands + 1);
          false_acknowledgements += events.size() < stored[id];
          for (std::size_t i = 1; i < events.size(); ++i) {
            CHECK(std::get<StockAdded>(events[i].event).count == static_cast<Count>(i));
          }
          CHECK(runtime.ask<Product>(id, AddStock(1), blocking).version == version{events.size() + 1});
        }
      }
    }
  }
  CHECK(false_acknowledgements == 0);
  CHECK(refused > 0);
  show("disk faults, through the runtime: " + std::to_string(acknowledged) + " commands acknowledged, " +
       std::to_string(refused) + " answered that the journal is unavailable; " + std::to_string(false_acknowledgements) +
       " false acknowledgements");
}

// ----------------------------------------------------------------------------------------------------------
// A disk that lies

namespace {

/// From now on the disk says that it has done such calls to segments, and does not do them: the first
/// `times`.
void lie(machine& machine, call kind, std::uint64_t times = std::numeric_limits<std::uint64_t>::max()) {
  machine.faults().set_hook([=, count = std::make_shared<std::uint64_t>(0)](call made, const std::string& path) {  // it is copied
    // A segment that was begun since it was opened is still known as `next`.
    const bool is_segment = path.ends_with(".log") || path.ends_with("/next");
    return made == kind && is_segment && (*count)++ < times ? false_success : 0;
  });
}

/// A store with one record and then, while the disk lies, more.
struct deceived_store {
  explicit deceived_store(std::uint64_t segment_bytes = machine::usual_segment_bytes) {
    machine.segment_bytes = segment_bytes;
    store = machine.open(small(durability::synced, 100'000));
    add(1);
    before = store->head();
  }
  void add(int appends) {
    for (; appends > 0; --appends) append(*store, {"product", "1"}, version++, {std::string(100, 'x')});
  }
  /// All that the disk said to be durable was not, but this remains.
  void cut_power(remains what = remains::nothing) {
    testkit::random random(usual_seed);
    machine.disk().cut_power(random, what);
    const auto index = machine.index();
    store.reset();
    machine.index() = index;  // what was only in memory is lost, too
    machine.revive();
  }
  std::optional<error> open_again() {
    return failure_of([&] { store = machine.open(small(durability::synced)); });
  }

  tests::machine machine;
  std::unique_ptr<cairn::store> store;
  chain_head before;
  std::uint64_t version = 0;
};

}  // namespace

TEST_CASE("a write that the disk lost without an error is damage if a later commit is there") {
  for (int later = 1; later <= 5; ++later) {
    CAPTURE(later);
    deceived_store deceived;
    lie(deceived.machine, call::write, 1);
    deceived.add(1 + later);
    deceived.cut_power();
    const auto failure = deceived.open_again();
    INFO(text_of(failure));
    REQUIRE(failure);
    CHECK(failure->kind() == errc::corrupt_record);
  }
}

TEST_CASE("syncs that the disk did not do are noticed if a later segment is there") {
  deceived_store deceived(1024);
  lie(deceived.machine, call::sync);
  deceived.add(20);
  deceived.cut_power();
  const auto failure = deceived.open_again();
  INFO(text_of(failure));
  CHECK(failure);
  if (failure) CHECK(failure->kind() == errc::corrupt_record);
}

TEST_CASE("syncs that the disk did not do are noticed if the store was closed, which notes how far the log "
          "reaches") {
  deceived_store deceived;
  lie(deceived.machine, call::sync);
  deceived.add(3);
  deceived.store.reset();
  deceived.cut_power();
  const auto failure = deceived.open_again();
  INFO(text_of(failure));
  CHECK(says(failure, errc::corrupt_record, "the log was durable up to position 4"));
}

TEST_CASE("last writes or syncs that the disk did not do look like an interrupted write, and only a noted "
          "head shows them") {
  for (const auto kind : {call::write, call::sync}) {
    CAPTURE(static_cast<int>(kind));
    deceived_store deceived;
    lie(deceived.machine, kind);
    deceived.add(2);
    const auto noted = deceived.store->head();
    deceived.cut_power(kind == call::write ? remains::everything : remains::nothing);
    const auto failure = deceived.open_again();
    INFO(text_of(failure));
    REQUIRE_FALSE(failure);
    CHECK(deceived.store->last() == position{1});
    const temporary_folder copy(in_memory_if_possible());
    deceived.machine.copy_to(copy.path() / "store");
    CHECK(verify_store(copy.path() / "store", {.noted = deceived.before}).records == 1);
    CHECK(says(failure_of([&] { verify_store(copy.path() / "store", {.noted = noted}); }), errc::corrupt_record,
               "records are missing: the history ends at position 1, and the noted head is at position 3"));
  }
}

// ----------------------------------------------------------------------------------------------------------
// A disk that is full

TEST_CASE("a disk that is full at any sector fails an append or the opening with the reason, and with space "
          "the store goes on") {
  std::uint64_t capacities = 0;
  fault_counts counts;
  for (const auto how : {durability::synced, durability::buffered}) {
    bool fits = false;
    for (std::uint64_t capacity = 0; !fits; capacity += testkit::detail::simulated_disk::sector_bytes) {
      const auto where = std::string(name_of(how)) + ", " + std::to_string(capacity) + " bytes";
      faulty_machine one;
      one.machine.disk().set_capacity(capacity);
      comparison during;
      const auto failure = failure_of([&] { faulty_run([&] { return one.open(how); }, one.appended, how, true, during); });
      fits = !failure;
      if (failure) check_report({0, call::write, -ENOSPC, true}, where, failure, one.machine.take_warnings(), counts);
      one.machine.disk().set_capacity(std::numeric_limits<std::uint64_t>::max());
      ++capacities;
      counts.acknowledged += one.appended.acknowledged();
      counts.add(during, where);
      testkit::random random(capacity);
      try {
        const auto store = one.open(how);
        const auto result = one.appended.compare(*store);
        counts.add(result, where);
        if (result.lost > 0) counts.problem(where, "lost " + std::to_string(result.lost));
        one.appended.append_some(*store, random, how);
      } catch (const error& problem) { counts.problem(where, problem.what()); }
    }
  }
  counts.check();
  show("disk full: at " + std::to_string(capacities) + " sizes; " + std::to_string(counts.acknowledged) +
       " records acknowledged, " + std::to_string(counts.found.lost) + " lost");
}

namespace {

constexpr int not_allowed = 77;

/// Makes later mounts visible to this process only; they end with it. Returns whether that is allowed.
bool may_mount() {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

bool mount_small_disk(const fs::path& folder) {
  fs::create_directory(folder);
  return mount("cairn", folder.c_str(), "tmpfs", 0, "size=4m") == 0;
}

}  // namespace

TEST_CASE("a disk that is really full fails the append with the reason, and with space again the store opens "
          "and goes on") {
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
    testkit::random random(usual_seed);
    witness appended;
    auto environment = detail::usual_environment();
    environment.segment_bytes = std::uint64_t{256} << 10;
    environment.unprepared_bytes = std::uint64_t{64} << 10;
    {
      const auto store = detail::open_embedded_store(path, small(how), environment);
      const auto failure = failure_of([&] {
        for (int calls = 0; calls < 10'000; ++calls) appended.append_some(*store, random, how);
      });
      INFO(text_of(failure));
      CHECK(says(failure, errc::journal_unavailable, detail::reason_of(ENOSPC)));
      const auto again = failure_of([&] { appended.append_some(*store, random, how); });
      CHECK(says(again, errc::journal_unavailable, detail::reason_of(ENOSPC)));
      CHECK(read_all(*store).size() == appended.acknowledged());
    }
    // A store may open on a full disk. If it does not, it says why.
    const auto failure = failure_of([&] { open_store(path, small(how)); });
    INFO(text_of(failure));
    if (failure) CHECK(says(failure, errc::journal_unavailable, detail::reason_of(ENOSPC)));
    REQUIRE(mount("cairn", disk.c_str(), "tmpfs", MS_REMOUNT, "size=256m") == 0);
    const auto acknowledged = appended.acknowledged();
    comparison found;
    {
      const auto store = open_store(path, small(how));
      found = appended.compare(*store);
      CHECK(found.lost + found.torn + found.wrong == 0);
      for (int calls = 0; calls < 10; ++calls) appended.append_some(*store, random, how);
    }
    CHECK(verify_store(path).records == appended.acknowledged());
    show(std::string("disk full, for real, ") + name_of(how) + ": " + std::to_string(acknowledged) +
         " records acknowledged on 4 MiB, " + std::to_string(found.lost) + " of them missing afterwards");
  }
}

}  // namespace cairn::tests
