// What the process that will be killed does, so that others can know it: every command follows from a seed.
//
// Both sides of the pipe include this: the load generator, and the parent that kills it and then looks at
// what it left.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/msgpack.hpp>

#include <climits>
#include <cstdint>
#include <msgpack.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::tests {

inline constexpr std::uint64_t clients = 128;
inline constexpr std::uint64_t ledgers = 50;

struct Added {
  static constexpr std::string_view type = "ADDED";
  std::uint64_t number = 0;
  MSGPACK_DEFINE_MAP(number)
};

struct Multiplied {
  static constexpr std::string_view type = "MULTIPLIED";
  std::uint64_t number = 0;
  MSGPACK_DEFINE_MAP(number)
};

using LedgerEvent = std::variant<Added, Multiplied>;

struct Enter {
  std::vector<LedgerEvent> events;
};

/// Its total tells the order of its events, since sums and products do not commute; and a decision has
/// several of them, so that half a decision would be seen.
struct Ledger {
  static constexpr std::string_view category = "ledger";
  using Event = LedgerEvent;

  std::uint64_t entries = 0;
  std::uint64_t total = 0;
  MSGPACK_DEFINE_MAP(entries, total)

  decision<Event> decide(const Enter& enter) const {
    if (enter.events.empty()) return reject("nothing_to_enter");
    return enter.events;
  }

  void evolve(const Added& event) noexcept {
    ++entries;
    total += event.number;
  }
  void evolve(const Multiplied& event) noexcept {
    ++entries;
    total *= event.number;
  }
};

/// One command of one client. A client sends its commands one after the other, each once the one before is
/// acknowledged.
struct planned_command {
  std::string ledger;
  std::string id;
  std::vector<LedgerEvent> events;  ///< at most four; none where the command will be rejected
};

/// The command number `sequence`, from 1, of a client.
inline planned_command plan(std::uint64_t seed, std::uint64_t client, std::uint64_t sequence) {
  // splitmix64, because the standard's engines are either slow to seed or alike for neighbouring seeds.
  auto next = [state = seed ^ (client << 40) ^ sequence]() mutable {
    auto number = state += 0x9e3779b97f4a7c15;
    number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9;
    number = (number ^ (number >> 27)) * 0x94d049bb133111eb;
    return number ^ (number >> 31);
  };
  planned_command planned{std::to_string(next() % ledgers), std::to_string(client) + ":" + std::to_string(sequence), {}};
  for (auto events = next() % 5; events > 0; --events) {
    if (next() % 2 == 0) {
      planned.events.push_back(Added{next()});
    } else {
      planned.events.push_back(Multiplied{next() | 1});  // an even factor would in time make every total 0
    }
  }
  return planned;
}

/// Whether a warning of the store is expected: the parent sometimes removes index and snapshots. A kill
/// damages nothing.
inline bool is_expected(std::string_view warning) { return warning.find("index and snapshots are missing") != warning.npos; }

/// What the load generator says on its standard output, each in one write, which a pipe takes as a whole or
/// not at all.
struct acknowledgement {
  std::uint64_t client = 0;
  std::uint64_t sequence = 0;  ///< 0: no command, the store is open
  std::uint64_t version = 0;   ///< of the ledger after the command
  std::uint32_t events = 0;
  std::uint32_t repeated = 0;
};
static_assert(sizeof(acknowledgement) <= PIPE_BUF);

}  // namespace cairn::tests
