// A store that outlives its program: events of older schemas, snapshots that no longer fit, types that nobody knows.
//
// The same account in three generations of a program, each of which finds what the ones before it have written.
#include "../../actors/recovery.hpp"
#include "temporary_folder.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <doctest/doctest.h>

#include <cstring>
#include <mutex>
#include <vector>
#include <xxhash.h>

namespace cairn::tests {
namespace {

// Amounts in whole euros, as somebody once thought would do.
namespace first {

struct Deposit {
  std::int64_t euros = 0;
};
struct Deposited {
  static constexpr std::string_view type = "DEPOSITED";
  std::int64_t euros = 0;
  MSGPACK_DEFINE_MAP(euros)
};
struct Account {
  static constexpr std::string_view category = "account";
  using Event = std::variant<Deposited>;
  std::int64_t euros = 0;
  MSGPACK_DEFINE_MAP(euros)
  decision<Event> decide(const Deposit& deposit) const { return Deposited{deposit.euros}; }
  void evolve(const Deposited& event) noexcept { euros += event.euros; }
};

}  // namespace first

// Cents.
namespace second {

struct Deposit {
  std::int64_t cents = 0;
};
struct Deposited {
  static constexpr std::string_view type = "DEPOSITED";
  static constexpr std::uint32_t schema_version = 2;
  std::int64_t cents = 0;
  MSGPACK_DEFINE_MAP(cents)
  static Deposited upcast(std::uint32_t, const msgpack::object& old) {
    return {100 * old.as<std::map<std::string, std::int64_t>>().at("euros")};
  }
};
struct Account {
  static constexpr std::string_view category = "account";
  static constexpr std::uint32_t schema_version = 2;
  using Event = std::variant<Deposited>;
  std::int64_t cents = 0;
  MSGPACK_DEFINE_MAP(cents)
  decision<Event> decide(const Deposit& deposit) const { return Deposited{deposit.cents}; }
  void evolve(const Deposited& event) noexcept { cents += event.cents; }
};

}  // namespace second

// Currencies. What is older than them was in euros.
namespace third {

struct Deposit {
  std::int64_t cents = 0;
  std::string currency;
};
struct Deposited {
  static constexpr std::string_view type = "DEPOSITED";
  static constexpr std::uint32_t schema_version = 3;
  std::int64_t cents = 0;
  std::string currency;
  MSGPACK_DEFINE_MAP(cents, currency)
  // One step after the other, so that each generation only has to know the one before it.
  static Deposited upcast(std::uint32_t from, const msgpack::object& old) {
    const auto before = from < 2 ? second::Deposited::upcast(from, old) : old.as<second::Deposited>();
    return {before.cents, "EUR"};
  }
};
struct Renamed {
  static constexpr std::string_view type = "RENAMED";
  std::string name;
  MSGPACK_DEFINE_MAP(name)
};
struct Rename {
  std::string name;
};
struct Account {
  static constexpr std::string_view category = "account";
  static constexpr std::uint32_t schema_version = 3;
  using Event = std::variant<Deposited, Renamed>;
  std::map<std::string, std::int64_t> cents;
  std::string name;
  MSGPACK_DEFINE_MAP(cents, name)
  decision<Event> decide(const Deposit& deposit) const { return Deposited{deposit.cents, deposit.currency}; }
  decision<Event> decide(const Rename& rename) const { return Renamed{rename.name}; }
  void evolve(const Deposited& event) noexcept { cents[event.currency] += event.cents; }
  void evolve(const Renamed& event) noexcept { name = event.name; }
};

}  // namespace third

/// A runtime over a store on disk that remembers what it was warned of.
struct program {
  explicit program(const std::filesystem::path& folder) : store(open_store(folder)), application(options()) {}

  runtime_options options() {
    runtime_options options{.journal = store};
    options.bounds.snapshot_every_events = 10;
    options.on_warning = [this](const std::string& warning) {
      const std::lock_guard lock(mutex);
      warnings.push_back(warning);
    };
    return options;
  }
  bool warned_of(std::string_view words) {
    const std::lock_guard lock(mutex);
    for (const auto& warning : warnings) {
      if (warning.find(words) != std::string::npos) return true;
    }
    return false;
  }

  std::mutex mutex;
  std::vector<std::string> warnings;
  std::shared_ptr<journal> store;
  runtime application;
};

const stream_id account("account", "1");

}  // namespace

TEST_CASE("events of two older schemas, and snapshots of neither, make the state of today") {
  const temporary_folder folder;
  {
    program program(folder.path());
    for (int i = 0; i < 25; ++i) program.application.ask<first::Account>("1", first::Deposit{2}, blocking).value();
    program.application.drain(blocking);  // leaves a snapshot at version 25, of the first schema
  }
  {
    program program(folder.path());
    CHECK(program.application.state<second::Account>("1", blocking).state.cents == 5'000);
    CHECK(program.warned_of(
        "the snapshot of account/1 at version 25 is passed over: its schema version is 1, this program's is 2"));
    for (int i = 0; i < 12; ++i) program.application.ask<second::Account>("1", second::Deposit{5}, blocking).value();
    program.application.drain(blocking);
  }
  program program(folder.path());
  program.application.ask<third::Account>("1", third::Deposit{7, "USD"}, blocking).value();
  const auto now = program.application.state<third::Account>("1", blocking);
  CHECK(now.version == version{38});
  CHECK(now.state.cents == std::map<std::string, std::int64_t>{{"EUR", 5'060}, {"USD", 7}});
  CHECK(program.warned_of("at version 37 is passed over: its schema version is 2, this program's is 3"));
  CHECK(program.application.state_at<third::Account>("1", version{26}, blocking).state.cents.at("EUR") == 5'005);
}

TEST_CASE("an event that this program does not know is an error with its name, its aggregate and its position") {
  const temporary_folder folder;
  {
    program program(folder.path());
    program.application.ask<third::Account>("0", third::Deposit{1, "EUR"}, blocking).value();
    program.application.ask<third::Account>("1", third::Rename{"savings"}, blocking).value();
    program.application.ask<third::Account>("2", third::Deposit{1, "EUR"}, blocking).value();
  }
  program program(folder.path());
  const auto failure_of = [](auto work) -> std::pair<errc, std::string> {
    try {
      work();
    } catch (const error& failure) { return {failure.kind(), failure.what()}; }
    return {};
  };
  const auto names = [](const std::string& text, std::initializer_list<std::string_view> words) {
    CAPTURE(text);
    for (const auto word : words) CHECK(text.find(word) != std::string::npos);
  };
  const auto [of_state, state_says] =
      failure_of([&] { static_cast<void>(program.application.state_at<second::Account>("1", version{1}, blocking)); });
  CHECK(of_state == errc::unknown_event);
  names(state_says, {"RENAMED", "account/1", "position 2"});
  // A newer schema of a known event is one that nobody here can read either.
  const auto [of_schema, schema_says] =
      failure_of([&] { static_cast<void>(program.application.state_at<second::Account>("2", version{1}, blocking)); });
  CHECK(of_schema == errc::unknown_event);
  names(schema_says, {"DEPOSITED", "account/2", "position 3", "version 3"});
  // A command is told as well, and the other aggregates live on.
  const auto [of_command, command_says] =
      failure_of([&] { program.application.ask<second::Account>("1", second::Deposit{1}, blocking).value(); });
  CHECK((of_command == errc::unknown_event || of_command == errc::recovery_failed));
  names(command_says, {"RENAMED", "account/1", "position 2"});
  CHECK(program.application.ask<second::Account>("3", second::Deposit{1}, blocking).version == version{1});
}

TEST_CASE("a snapshot that nobody can use costs a warning, and the state is right") {
  const temporary_folder folder;
  {
    program program(folder.path());
    for (int i = 0; i < 5; ++i) program.application.ask<first::Account>("1", first::Deposit{2}, blocking).value();
    program.application.drain(drain_snapshots::no, blocking);
  }
  program program(folder.path());
  auto& snapshots = program.store->snapshots();
  std::string says;
  SUBCASE("of a version that the journal has not reached, as where a store was restored from an older backup") {
    actors::hosted<first::Account> state;
    state.value.euros = 1'000;
    snapshots.save(account, version{80}, actors::encode_snapshot(version{80}, timestamp{}, 1, state, actors::command_window(8)));
    says = "at version 80 is passed over: the journal ends at version 5";
  }
  SUBCASE("of a format that this program does not know") {
    actors::hosted<first::Account> state;
    auto bytes = actors::encode_snapshot(version{4}, timestamp{}, 1, state, actors::command_window(8));
    bytes[8] = 3;
    const std::uint64_t sum = XXH3_64bits(bytes.data() + 8, bytes.size() - 8);
    std::memcpy(bytes.data(), &sum, 8);
    snapshots.save(account, version{4}, bytes);
    says = "at version 4 is passed over: a snapshot has an unknown format";
  }
  SUBCASE("that is none") {
    snapshots.save(account, version{4}, "made by something else altogether");
    says = "at version 4 is passed over: a snapshot fails its checksum";
  }
  SUBCASE("of a state whose fields were renamed without a new schema version") {
    actors::hosted<third::Account> state;
    state.value.name = "of another type";
    auto bytes = actors::encode_snapshot(version{4}, timestamp{}, 1, state, actors::command_window(8));
    snapshots.save(account, version{4}, bytes);
    says = "at version 4 is passed over: it does not read back as it was written";
  }
  const auto now = program.application.state<first::Account>("1", blocking);
  CHECK(now.version == version{5});
  CHECK(now.state.euros == 10);
  CHECK(program.warned_of("the snapshot of account/1 " + says));
}

}  // namespace cairn::tests
