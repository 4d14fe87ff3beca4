// A process under load is killed at random moments, again and again on the same store, and nothing that it
// acknowledged is lost.
//
// The parent reads the pipe to which the process writes its acknowledgements, as a user would get them.
#include "../../actors/recovery.hpp"
#include "../../persistence/store/store_environment.hpp"
#include "history_check.hpp"
#include "settings.hpp"
#include "temporary_folder.hpp"
#include "workload.hpp"

#include <cairn/maintenance.hpp>
#include <cairn/runtime.hpp>
#include <cairn/store.hpp>
#include <cairn/testkit/drafts.hpp>

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iomanip>
#include <poll.h>
#include <random>
#include <span>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <unistd.h>

namespace cairn::tests {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using moment = std::chrono::steady_clock::time_point;

/// A store has a history of so many kills; then another begins, because each check reads all of it.
constexpr std::uint64_t rounds_per_store_max = 200;
/// Without an answer for so long the process counts as stuck.
constexpr std::chrono::seconds patience{60};

class pipe_of_two {
public:
  pipe_of_two() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
  }
  ~pipe_of_two() {
    close(0);
    close(1);
  }
  pipe_of_two(const pipe_of_two&) = delete;
  pipe_of_two& operator=(const pipe_of_two&) = delete;

  int reading() const { return ends_[0]; }
  int writing() const { return ends_[1]; }
  void close_writing() { close(1); }

private:
  void close(std::size_t end) {
    if (ends_[end] >= 0) ::close(std::exchange(ends_[end], -1));
  }
  std::array<int, 2> ends_{};
};

/// The load generator as a process.
class load_process {
public:
  explicit load_process(std::vector<std::string> words, std::span<const std::uint64_t> input = {}) {
    pipe_of_two in;
    // It fits into the pipe, so the process may read it later.
    const auto bytes = static_cast<ssize_t>(input.size_bytes());
    if (::write(in.writing(), input.data(), input.size_bytes()) != bytes) throw std::runtime_error("a pipe takes nothing");
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in.reading(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, output_.writing(), STDOUT_FILENO);
    words.insert(words.begin(), CRASH_LOAD_GENERATOR);
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const int failed = ::posix_spawn(&id_, arguments[0], &files, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed) throw std::runtime_error("cannot start " + words[0] + ": " + std::strerror(failed));
    output_.close_writing();
  }
  ~load_process() { kill(); }
  load_process(const load_process&) = delete;
  load_process& operator=(const load_process&) = delete;

  /// Waits until `deadline` for acknowledgements. Returns those since the last call; none if the time is
  /// over, or if the process has ended and all were read.
  std::vector<acknowledgement> read_acknowledgements(moment deadline) {
    const auto left = deadline - std::chrono::steady_clock::now();
    if (left < 0ns) return {};
    const timespec timeout{left / 1s, (left % 1s).count()};
    pollfd readable{output_.reading(), POLLIN, 0};
    if (::ppoll(&readable, 1, &timeout, nullptr) <= 0) return {};
    std::vector<acknowledgement> all(1'024);
    const auto size = ::read(output_.reading(), all.data(), all.size() * sizeof(acknowledgement));
    if (size < 0 || size % sizeof(acknowledgement) != 0) throw std::runtime_error("half an acknowledgement");
    all.resize(static_cast<std::size_t>(size) / sizeof(acknowledgement));
    return all;
  }

  /// Kills it. Returns false if it had ended by itself.
  bool kill() {
    if (id_ == 0) return true;
    ::kill(id_, SIGKILL);
    const int status = wait();
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
  }

  /// Waits until it ends. Returns its status, as waitpid() gives it.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(id_, 0), &status, 0);
    return status;
  }

private:
  pid_t id_ = 0;
  pipe_of_two output_;
};

struct totals {
  std::uint64_t kills = 0;
  std::uint64_t while_opening = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t repeated = 0;
  std::uint64_t events = 0;
  std::uint64_t states = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t segments = 0;
  std::uint64_t without_index = 0;
};

std::string table(const totals& sum, const findings& found, std::uint64_t seed) {
  const std::vector<std::pair<const char*, std::uint64_t>> columns{{"kills", sum.kills},
                                                                   {"while opening", sum.while_opening},
                                                                   {"acknowledged", sum.acknowledged},
                                                                   {"repeats", sum.repeated},
                                                                   {"events", sum.events},
                                                                   {"states", sum.states},
                                                                   {"snapshots", sum.snapshots},
                                                                   {"segments", sum.segments},
                                                                   {"no index", sum.without_index},
                                                                   {"lost", found.lost},
                                                                   {"doubled", found.doubled},
                                                                   {"gaps", found.gaps},
                                                                   {"torn", found.torn},
                                                                   {"wrong", found.wrong},
                                                                   {"seed", seed}};
  std::ostringstream names, figures;
  for (const auto& [name, figure] : columns) {
    const auto text = std::to_string(figure);
    const auto width = static_cast<int>(std::max(text.size(), std::strlen(name))) + 2;
    names << std::setw(width) << name;
    figures << std::setw(width) << text;
  }
  return names.str() + "\n" + figures.str();
}

std::map<std::string, std::uint64_t> numbers_of(std::string_view packed) {
  return msgpack::unpack(packed.data(), packed.size()).get().as<std::map<std::string, std::uint64_t>>();
}

std::vector<stored_event> all_events(const journal& store) {
  std::vector<stored_event> events;
  store.read_all(position{1}, [&](const record_view& record) {
    events.push_back({record.position.value, std::string(record.stream.id), record.version.value, record.index, record.count,
                      std::string(record.command_id), std::string(record.type), numbers_of(record.payload).at("number")});
    return true;
  });
  return events;
}

/// One store with the history of its clients. The checks run on a copy, so that what a kill left stays
/// unchanged.
class store_under_fire {
public:
  store_under_fire(const fs::path& folder, std::uint64_t seed, totals& sum, findings& found)
      : store_(folder / "store"), copy_(folder / "copy"), seed_(seed), sum_(sum), found_(found) {
    fs::create_directory(store_);  // the first kill may come before the process makes it
  }

  /// Lets the clients continue, and kills them at a random moment.
  void load_and_kill(std::mt19937_64& dice) {
    for (std::uint64_t client = 0; client < clients; ++client) first_[client] = told_[client].size() + 1;
    open_ = false;
    const auto durability = dice() % 2 == 0 ? durability::synced : durability::buffered;
    // Half of the kills come early, most of these while the store is being opened; the others under load, at
    // a random time.
    const bool early = dice() % 2 == 0;
    const auto enough = sum_.acknowledged + (early ? 0 : dice() % 2'000);
    const std::chrono::microseconds time(dice() % (early ? 40'000 : 5'000));
    // Without an index opening reads the whole log, and writes the index.
    if (dice() % 8 == 0 && fs::remove_all(store_ / "derived") > 0) ++sum_.without_index;
    load_process process(
        {"load", store_.string(), durability == durability::synced ? "synced" : "buffered", std::to_string(seed_)}, first_);
    while (sum_.acknowledged < enough) {
      if (take(process.read_acknowledgements(std::chrono::steady_clock::now() + patience))) continue;
      add(&findings::wrong, "the process is stuck, or dead");
      break;
    }
    const auto deadline = std::chrono::steady_clock::now() + time;
    while (take(process.read_acknowledgements(deadline))) {}
    if (!process.kill()) add(&findings::wrong, "the process has ended by itself");
    // What it wrote before the kill is still in the pipe.
    while (take(process.read_acknowledgements(moment::max()))) {}
    ++sum_.kills;
    sum_.while_opening += !open_;
  }

  /// `close_cleanly`: the next process finds a store that was closed, rather than what the kill left.
  void check(bool close_cleanly) {
    fs::copy(store_, copy_, fs::copy_options::recursive);
    check_copy();
    check_chain();
    if (!found_.none()) return;
    if (close_cleanly) {
      fs::remove_all(store_);
      fs::rename(copy_, store_);
    } else {
      fs::remove_all(copy_);
    }
  }

private:
  void add(std::uint64_t findings::*kind, std::string sentence) { found_.add(kind, std::move(sentence)); }

  /// False where there was nothing to take.
  bool take(const std::vector<acknowledgement>& heard) {
    for (const auto& one : heard) {
      if (one.sequence == 0) {
        open_ = true;
        continue;
      }
      auto& answers = told_.at(one.client);
      answers.push_back({one.version, one.events});
      const auto command = "command " + std::to_string(one.client) + ":" + std::to_string(one.sequence);
      if (one.sequence != answers.size()) add(&findings::wrong, command + " was acknowledged out of turn");
      const bool was_stored = one.sequence == first_[one.client] && in_flight_stored_[one.client];
      if (was_stored != (one.repeated != 0)) {
        add(&findings::wrong, command + (was_stored ? " was carried out again" : " was taken for a repeat"));
      }
      ++sum_.acknowledged;
      sum_.repeated += one.repeated;
    }
    return !heard.empty();
  }

  void check_copy() {
    store_options options{.block_cache_mib = 8};
    options.warn = [this](const std::string& warning) {
      if (!is_expected(warning)) add(&findings::wrong, warning);
    };
    const std::shared_ptr<cairn::store> store = open_store(copy_, options);
    const auto events = all_events(*store);
    auto checked = check_history(seed_, events, told_, found_);
    in_flight_stored_ = std::move(checked.in_flight_stored);
    check_states(store, checked);
    check_snapshots(*store, checked);
    sum_.events += events.size() - events_;
    events_ = events.size();
  }

  // The head that was noted after the kill before must still be on the way to this one. That of an empty
  // store says nothing: if the kill came before the store had its id, this copy has another one than the next
  // process will make.
  void check_chain() {
    const auto verified = verify_store(copy_, {.noted = noted_});
    if (verified.records != events_ || verified.indexed != events_) {
      add(&findings::wrong, "the store has " + std::to_string(events_) + " events, and another number of them is verified");
    }
    if (events_ > 0) noted_ = verified.head;
    std::uint64_t segments = 0;
    for (const auto& file : fs::directory_iterator(copy_ / "log")) segments += file.path().extension() == ".log";
    sum_.segments += segments - std::min(segments, segments_);
    segments_ = segments;
  }

  void check_states(const std::shared_ptr<cairn::store>& store, const checked_history& checked) {
    runtime runtime{{.journal = store}};
    for (const auto& [ledger, states] : checked.ledgers) {
      const auto seen = runtime.state<Ledger>(ledger, blocking);
      if (seen.version.value + 1 != states.size() || folded{seen.state.entries, seen.state.total} != states.back()) {
        add(&findings::wrong, "the runtime has another state of ledger " + ledger + " than its events make");
      }
      ++sum_.states;
    }
    runtime.drain(drain_snapshots::no, blocking);
  }

  void check_snapshots(journal& store, const checked_history& checked) {
    for (const auto& [ledger, states] : checked.ledgers) {
      store.snapshots().read_newest_first({Ledger::category, ledger}, version::max(), [&](const snapshot_view& kept) {
        const auto content = actors::decode_snapshot(kept.bytes);
        auto numbers = numbers_of(content.state);
        const auto at = kept.version.value;
        if (content.version.value != at || at >= states.size() ||
            folded{numbers.at("entries"), numbers.at("total")} != states[at]) {
          add(&findings::wrong,
              "the snapshot of ledger " + ledger + " at version " + std::to_string(at) + " is not what its events make");
        }
        ++sum_.snapshots;
        return true;
      });
    }
  }

  const fs::path store_, copy_;
  const std::uint64_t seed_;
  totals& sum_;
  findings& found_;

  told_by_client told_ = told_by_client(clients);
  std::vector<bool> in_flight_stored_ = std::vector<bool>(clients);
  std::array<std::uint64_t, clients> first_{};  // of each client in this round
  std::optional<chain_head> noted_;
  std::uint64_t events_ = 0;
  std::uint64_t segments_ = 0;
  bool open_ = false;
};

}  // namespace

TEST_CASE("a process that is killed again and again loses, doubles and tears nothing that it acknowledged") {
  const auto seed = setting("CAIRN_TEST_SEED", std::random_device{}());
  const auto rounds = setting("CAIRN_TEST_ROUNDS", 100);
  std::mt19937_64 dice(seed);
  totals sum;
  findings found;
  while (sum.kills < rounds && found.none()) {
    temporary_folder folder;
    try {
      store_under_fire store(folder.path(), dice(), sum, found);
      for (std::uint64_t round = 0; round < rounds_per_store_max && sum.kills < rounds && found.none(); ++round) {
        store.load_and_kill(dice);
        store.check(dice() % 2 == 0);
      }
    } catch (const std::exception& reason) {
      // Above all: the store does not open again, or its chain does not go through the head that was noted.
      found.add(&findings::wrong, reason.what());
    }
    if (!found.none()) {
      folder.keep();
      show("The store as the kill left it: " + (folder.path() / "store").string());
      show("To try again: scripts/test crash --rounds " + std::to_string(sum.kills) + " --seed " + std::to_string(seed));
    }
  }
  show(table(sum, found, seed));
  const auto shown = std::min<std::size_t>(found.sentences.size(), 20);
  for (std::size_t one = 0; one < shown; ++one) MESSAGE(found.sentences[one]);
  CHECK(found.none());
  CHECK(sum.kills == rounds);
  // Kills before anything is acknowledged show little.
  if (rounds >= 20) {
    CHECK(sum.acknowledged > 100 * rounds);
    CHECK(sum.snapshots > 0);
    CHECK(sum.segments > 0);
    CHECK(sum.without_index > 0);
    CHECK(sum.kills - sum.while_opening >= rounds / 4);
  }
}

// ----------------------------------------------------------------------------------------------------------
// Backups, restores and imports

namespace {

/// A store that grows, and what is made of it.
class maintained_store {
public:
  explicit maintained_store(const fs::path& folder)
      : store_(folder / "store"), backup_(folder / "backup"), export_(folder / "export"), copy_(folder / "copy") {}

  const fs::path& copy() const { return copy_; }

  std::vector<std::string> words_of(const std::string& work) const {
    if (work == "backup") return {work, store_.string(), backup_.string()};
    return {work, (work == "restore" ? backup_ : export_).string(), copy_.string()};
  }

  void grow() {
    auto environment = detail::usual_environment();
    environment.segment_bytes = std::uint64_t{64} << 10;
    const store_options options{.durability = durability::buffered, .block_cache_mib = 8};
    const auto store = detail::open_embedded_store(store_, options, environment);
    for (int appends = 0; appends < 100; ++appends) {
      testkit::append(*store, {"product", "1"}, version_, {std::string(3'000, 'x'), std::string(10, 'y')});
      version_ += 2;
    }
    head_ = store->head();
  }

  /// After a backup was killed: the folder has at least what the last whole backup had, and the next backup
  /// completes it.
  void check_backup() {
    if (backed_up_) CHECK(verify_store(backup_, {.noted = backed_up_}).head.through <= head_.through);
    CHECK(backup_store(store_, backup_).head == head_);
    CHECK(verify_store(backup_).head == head_);
    backed_up_ = head_;
  }

  void write_export() {
    std::ofstream out(export_, std::ios::binary | std::ios::trunc);
    export_store(store_, out);
  }

  /// After a restore or an import was killed: the store is there as a whole or not at all, the next one
  /// completes it, and nothing else is left.
  void check_copy(const std::string& work) {
    if (fs::exists(copy_)) {
      CHECK(verify_store(copy_).head == head_);
      fs::remove_all(copy_);
    }
    if (work == "restore") {
      CHECK(restore_store(backup_, copy_) == head_);
    } else {
      std::ifstream source(export_, std::ios::binary);
      CHECK(import_store(source, copy_) == head_);
    }
    CHECK(verify_store(copy_).head == head_);
    fs::remove_all(copy_);
    for (const auto& entry : fs::directory_iterator(copy_.parent_path())) {
      const auto name = entry.path().filename().string();
      CHECK_MESSAGE((name == "store" || name == "backup" || name == "export"), name, " is left");
    }
  }

private:
  const fs::path store_, backup_, export_, copy_;
  std::uint64_t version_ = 0;
  chain_head head_{};
  std::optional<chain_head> backed_up_;
};

}  // namespace

TEST_CASE("a backup, a restore or an import that is killed is completed by the next one, which leaves "
          "nothing else behind") {
  const auto seed = setting("CAIRN_TEST_SEED", std::random_device{}());
  CAPTURE(seed);
  std::mt19937_64 dice(seed);
  const temporary_folder folder(in_memory_if_possible());
  maintained_store store(folder.path());
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>> kills;  // and how many of them came too late
  std::map<std::string, std::chrono::nanoseconds> durations;             // when it is not killed
  const auto begun = [] { return std::chrono::steady_clock::now(); };
  for (auto rounds = std::max<std::uint64_t>(3, setting("CAIRN_TEST_ROUNDS", 100) / 10); rounds > 0; --rounds) {
    store.grow();
    for (const std::string work : {"backup", "restore", "import"}) {
      CAPTURE(work);
      if (work == "import") store.write_export();
      if (!durations.contains(work)) {
        const auto begin = begun();
        CHECK(load_process(store.words_of(work)).wait() == 0);
        durations[work] = begun() - begin;
        fs::remove_all(store.copy());
        if (work == "backup") store.check_backup();
        continue;
      }
      load_process process(store.words_of(work));
      const auto wait = std::chrono::nanoseconds(dice() % static_cast<std::uint64_t>(durations[work].count()));
      process.read_acknowledgements(begun() + wait);
      auto& [killed, late] = kills[work];
      ++killed;
      late += !process.kill();
      work == "backup" ? store.check_backup() : store.check_copy(work);
    }
  }
  std::string text;
  for (const auto& [work, times] : kills) {
    text += (text.empty() ? "" : ", ") + work + " " + std::to_string(times.first) + " (" + std::to_string(times.second) +
            " too late)";
  }
  show("kills of work from outside: " + text + "; seed " + std::to_string(seed));
}

}  // namespace cairn::tests
