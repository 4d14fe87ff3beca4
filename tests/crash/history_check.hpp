// Holds a whole history against what its clients were told: what is lost, what is there twice, where there
// are gaps.
//
// Knows how the events came about (workload.hpp) and nothing of the runtime or a store; it folds them by
// itself.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cairn::tests {

/// One record, as far as it matters here.
struct stored_event {
  std::uint64_t position = 0;
  std::string ledger;
  std::uint64_t version = 0;
  std::uint32_t index = 0;
  std::uint32_t count = 1;
  std::string command_id;
  std::string type;
  std::uint64_t number = 0;
};

/// What a client was told of one of its commands.
struct told {
  std::uint64_t version = 0;
  std::uint32_t events = 0;  ///< 0: rejected
};

/// By client; the answer to command number n is in place n - 1.
using told_by_client = std::vector<std::vector<told>>;

/// What is wrong, counted by what it means to a user, and in sentences.
struct findings {
  std::uint64_t lost = 0;     ///< acknowledged commands that are not there, or not as a whole
  std::uint64_t doubled = 0;  ///< commands that are there once more than they should
  std::uint64_t gaps = 0;     ///< places where a position or a ledger's version is not the one after the one before
  std::uint64_t torn = 0;     ///< parts of decisions without the rest
  std::uint64_t wrong = 0;    ///< whatever else is not as it was acknowledged, or not what the events make
  std::vector<std::string> sentences;

  void add(std::uint64_t findings::*kind, std::string sentence);
  bool none() const { return sentences.empty(); }
};

/// A ledger's state, as this check folds it.
struct folded {
  std::uint64_t entries = 0;
  std::uint64_t total = 0;
  bool operator==(const folded&) const = default;
};

struct checked_history {
  /// Each ledger's state by version, from 0 on.
  std::map<std::string, std::vector<folded>> ledgers;
  /// Of each client, whether the one command that it may have had in flight is there.
  std::vector<bool> in_flight_stored;
};

/// `events` are all there are, in the order in which they are stored. What is wrong is added to `found`.
checked_history check_history(std::uint64_t seed, const std::vector<stored_event>& events, const told_by_client& acknowledged,
                              findings& found);

}  // namespace cairn::tests
