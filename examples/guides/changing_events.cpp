// What docs/changing_events.md shows: an account in three versions of a program, over the same journal.
#include <cairn/aggregate.hpp>
#include <cairn/memory_journal.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/runtime.hpp>

#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace first {

struct Deposit {
  std::int64_t euros = 0;
  MSGPACK_DEFINE_MAP(euros)
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

  cairn::decision<Event> decide(const Deposit& deposit) const { return Deposited{deposit.euros}; }
  void evolve(const Deposited& event) noexcept { euros += event.euros; }
};

}  // namespace first

// A field more, and another name for a field.
namespace second {

enum class Channel : std::uint8_t { counter = 0, transfer = 1, card = 2 };

struct Deposited {
  static constexpr std::string_view type = "DEPOSITED";
  std::int64_t whole_euros = 0;
  Channel channel = Channel::counter;  // of events that were stored before this field existed
  MSGPACK_DEFINE_MAP(MSGPACK_NVP("euros", whole_euros), channel)
};

struct Account {
  static constexpr std::string_view category = "account";
  static constexpr std::uint32_t schema_version = 2;
  using Event = std::variant<Deposited>;
  std::int64_t euros = 0;
  std::int64_t deposits = 0;
  MSGPACK_DEFINE_MAP(euros, deposits)

  cairn::decision<Event> decide(const first::Deposit& deposit) const { return Deposited{deposit.euros, Channel::transfer}; }
  void evolve(const Deposited& event) noexcept {
    euros += event.whole_euros;
    ++deposits;
  }
};

}  // namespace second

// Another meaning: cents.
namespace third {

struct Deposited {
  static constexpr std::string_view type = "DEPOSITED";
  static constexpr std::uint32_t schema_version = 2;
  std::int64_t cents = 0;
  second::Channel channel = second::Channel::counter;
  MSGPACK_DEFINE_MAP(cents, channel)

  static Deposited upcast(std::uint32_t, const msgpack::object& old) {  // from version 1, the only older one
    const auto before = old.as<second::Deposited>();
    return {100 * before.whole_euros, before.channel};
  }
};

}  // namespace third

// A codec written by hand: a line of text.
namespace text {

struct Renamed {
  static constexpr std::string_view type = "RENAMED";
  std::string name;
};

}  // namespace text

template <>
struct cairn::codec<text::Renamed> {
  static void encode(std::string& out, const text::Renamed& event) { out += event.name + "\n"; }
  static text::Renamed decode(std::string_view bytes) {
    if (!bytes.ends_with('\n')) throw error(errc::corrupt_record, "a name has no end of line");
    return {std::string(bytes.substr(0, bytes.size() - 1))};
  }
};

namespace third {

struct Account {
  static constexpr std::string_view category = "account";
  static constexpr std::uint32_t schema_version = 3;
  using Event = std::variant<Deposited, text::Renamed>;
  std::map<std::uint8_t, std::int64_t> cents_by_channel;
  std::string name;
  MSGPACK_DEFINE_MAP(cents_by_channel, name)

  cairn::decision<Event> decide(const first::Deposit& deposit) const {
    return Deposited{100 * deposit.euros, second::Channel::card};
  }
  void evolve(const Deposited& event) noexcept { cents_by_channel[static_cast<std::uint8_t>(event.channel)] += event.cents; }
  void evolve(const text::Renamed& event) noexcept { name = event.name; }
};

}  // namespace third

namespace {

cairn::runtime_options over(const std::shared_ptr<cairn::journal>& journal) {
  cairn::runtime_options options{.journal = journal};
  options.on_warning = [](const std::string& sentence) { std::cout << "warning: " + sentence + "\n"; };
  return options;
}

}  // namespace

int main() {
  const std::shared_ptr<cairn::journal> journal = cairn::memory_journal();
  {
    cairn::runtime runtime(over(journal));
    runtime.ask<first::Account>("1", first::Deposit{2}, cairn::blocking).value();
  }
  {
    cairn::runtime runtime(over(journal));
    runtime.ask<second::Account>("1", first::Deposit{5}, cairn::blocking).value();
  }
  cairn::runtime runtime(over(journal));
  runtime.ask<third::Account>("1", first::Deposit{1}, cairn::blocking).value();
  const auto account = runtime.state<third::Account>("1", cairn::blocking);
  for (const auto& [channel, cents] : account.state.cents_by_channel) {
    std::cout << "channel " << int(channel) << ": " << cents << " cents\n";
  }
}
