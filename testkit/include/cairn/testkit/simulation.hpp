// What a seeded simulation of the whole runtime is told, and what it reports. simulate() itself is in
// <cairn/testkit/simulate.hpp>.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

namespace cairn::testkit {

/// How often things go wrong, each as a share from 0 (never) to 1 (always). All stop once the clients have asked all they want,
/// so that what is still open must then be answered.
struct faults {
  double failed_sync = 0.02;        ///< of group commits: the error says so, and a part of the commit is stored or none
  double torn_write = 0.005;        ///< of group commits: the process dies in the middle of one
  double failed_read = 0.03;        ///< of recoveries and looks into the past
  double failed_save = 0.1;         ///< of snapshots
  double damaged_snapshot = 0.05;   ///< of snapshots that are read
  double crash = 0.002;             ///< of messages: the process dies before it
  double restart = 0.001;           ///< of messages: the process is drained and started again
  double killed_aggregate = 0.003;  ///< of messages: an aggregate's actor dies
  double slow_disk = 0.02;          ///< of what the disk does: it takes up to seconds instead of up to milliseconds
  double stalled_actor = 0.01;      ///< of messages: their actor gets no turn for up to a tenth of a second
  double clock_jump = 0.0005;       ///< of messages: the wall clock jumps by up to a minute, forward or back

  static faults none() { return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}; }
};

/// Which runs to make: one for each of `count` seeds from `first` on. The environment's CAIRN_SIMULATION_FIRST and
/// CAIRN_SIMULATION_SEEDS go before what the program says, so that a seed can be replayed without a change.
struct seeds {
  std::uint64_t first = 1;
  std::uint64_t count = 20;
};

/// What runs have done, added up.
struct simulation_figures {
  std::uint64_t runs = 0;
  std::uint64_t operations = 0;                  ///< that clients began
  std::uint64_t attempts = 0;                    ///< of them, with retries
  std::uint64_t messages = 0;                    ///< that actors took
  std::uint64_t records = 0;                     ///< in the journals at the end
  std::map<std::string, std::uint64_t> faults;   ///< that struck, by what they were
  std::map<std::string, std::uint64_t> answers;  ///< that attempts got, by what they said
  std::uint64_t unknown = 0;                     ///< operations whose outcome no client ever learned
  std::chrono::microseconds simulated{0};

  simulation_figures& operator+=(const simulation_figures& more);
  /// Three lines: how much, what went wrong, what clients were told.
  std::string text() const;
};

/// A run that broke a promise.
struct simulation_failure {
  std::uint64_t seed = 0;
  std::string what;  ///< which promise, and how
  /// Every message, call, answer and fault of the run in order, a line each, up to where the broken promise shows. Of a very long
  /// one the end.
  std::deque<std::string> trace;
  std::string replay;  ///< the command that makes exactly this run again
};

struct simulation_report {
  simulation_figures figures;
  std::optional<simulation_failure> failure;  ///< of the first seed that had one; no further seed was tried
  bool passed() const noexcept { return !failure; }
  /// The figures; and of a failure the promise, the end of the trace and the command.
  std::string text() const;
};

}  // namespace cairn::testkit
