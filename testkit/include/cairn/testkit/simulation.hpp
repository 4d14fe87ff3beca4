// What a seeded simulation of the whole runtime is told, and what it reports. simulate() itself is in
// <cairn/testkit/simulate.hpp>.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

namespace cairn::inline v1::testkit {

/// How often things go wrong, each as a share from 0 (never) to 1 (always). All stop when the clients have made
/// their last request, so that every open request must then be answered.
///
/// Faults of the disk strike calls of the file system below the store's log. After a failed append the store
/// takes no more until the process is restarted, which the simulated operator does some seconds later.
struct faults {
  /// Of syncs of files and folders: they fail with EIO. The unsynced changes of the file then count as clean: they
  /// can be read, later syncs omit them, and a power cut drops them.
  double failed_sync = 0.01;
  /// Of changes of files and folders: they fail with EIO or ENOSPC.
  double failed_write = 0.002;
  /// Of writes: the disk is full from then on, for up to half a minute.
  double full_disk = 0.001;
  /// Of changes of files and folders, and of syncs: the process dies before one, or in the middle of a write.
  double torn_write = 0.002;
  /// Of changes of files and folders, and of syncs: the power fails before one. The disk keeps what was synced, and
  /// of the rest nothing, everything, some sectors, or a prefix. A store that does not sync has a power cut in
  /// some seeds only, and its run ends with a check of the history that remains.
  double power_cut = 0.003;
  double failed_read = 0.003;  ///< of reads of files: EIO
  double failed_open = 0.001;  ///< of openings of files and folders: EMFILE, ENFILE, ENOMEM, EIO
  /// Of all calls: they are interrupted (EINTR), or transfer a part. This must have no effect.
  double interruption = 0.01;
  double failed_save = 0.1;         ///< of snapshots
  double damaged_snapshot = 0.05;   ///< of snapshots that are read
  double failed_index = 0.02;       ///< of writes to the stored index
  double lost_index = 0.05;         ///< of starts: the stored index is missing, or of an earlier moment
  double crash = 0.002;             ///< of messages: the process dies before it
  double restart = 0.001;           ///< of messages: the process is drained and started again
  double killed_aggregate = 0.003;  ///< of messages: an aggregate's actor dies
  double slow_disk = 0.02;          ///< of the disk's work: it takes up to seconds, not up to milliseconds
  double stalled_actor = 0.01;      ///< of messages: their actor gets no turn for up to a tenth of a second
  double clock_jump = 0.0005;       ///< of messages: the wall clock jumps by up to a minute, forward or back

  static faults none() { return {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}; }
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
