// Commands for the runtime of cairn, as clients give them, and how fast the answers come.
#pragma once

#include "measure.hpp"
#include "trace.hpp"

#include <cairn/journal.hpp>
#include <cairn/runtime.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn::benchmarks {

/// Pads an event to a record of about 100 bytes, the size that everything is quoted for.
extern const std::string reason;
/// What the store then writes for it, about.
inline constexpr std::size_t record_bytes = 150;

/// What the runtime keeps its events in.
enum class storing {
  chained,    ///< the embedded store, synced
  unchained,  ///< the same without the hash chain
  nothing,    ///< no journal: an aggregate acknowledges its own events at once
};

enum class client {
  callbacks,
  callbacks_and_looks,  ///< callbacks, and every other asks for the state instead
  coroutines,
  batches_for_one,   ///< ask_many, 64 commands for one product
  batches_for_many,  ///< ask_many, each of 64 commands for the next product
};

/// A closed loop: so many commands are always in flight, and whoever gets an answer asks again.
struct load {
  std::size_t products = 1'000;
  std::size_t in_flight = 1'000;
  storing into = storing::chained;
  std::uint64_t snapshot_every_events = 500;
  std::size_t history_events = 0;  ///< that each product has before, each in another place of the log
  double zipf = 0;                 ///< the exponent: product n is asked 1 / n^zipf as often as the first; 0: all alike
  client by = client::callbacks;
  bool with_ids = false;  ///< callbacks, one thread: each command brings its id, correlation and causation id, and who
  int client_threads = 1;
  int subscribers = 0;       ///< that follow the journal while it is measured, and keep up
  int slow_subscribers = 0;  ///< that take one record every millisecond
  /// Of events that are stored before anything is measured, so that the store is as it is after its first seconds: with tables,
  /// and its write-ahead log made ready before it is written.
  std::size_t warm_up_bytes = std::size_t{100} << 20;
};

struct load_figures {
  double commands_per_second = 0;
  double cpu_us_per_command = 0;  ///< of all threads, the client's as well
  double mean_batch = 0;          ///< records in a group commit
  double snapshots = 0;           ///< saved in the time that was measured
  double delivered = 0;           ///< records to each subscriber that keeps up, for each command
  double lag = 0;                 ///< records that the slowest of these was behind at the end of a run, at most
  /// Of that time, the share in which the machine stood still; nothing where that cannot be watched.
  std::optional<double> standstill_share;
};

/// How long answers took, in seconds from the moment when a command was due.
struct latencies {
  std::vector<double> all;
  std::vector<double> undisturbed;  ///< of commands during which no core stood still; all, if that cannot be watched
  std::vector<part_times> watched;  ///< of one command in 64
  /// Of the whole run, its first quarter included: the share of the time in which all cores stood still at once, and in which
  /// one did. Nothing if that cannot be watched.
  std::optional<double> standstill_share;
  std::optional<double> core_standstill_share;
};

/// A runtime with live products, whose clients are there while they are measured and gone in between.
class pipeline {
public:
  explicit pipeline(const load& what);
  /// In a store that is there already and holds these products, instead of an empty one. They are made live.
  pipeline(const load& what, std::shared_ptr<journal> store, std::vector<std::string> ids);
  ~pipeline();
  pipeline(const pipeline&) = delete;
  pipeline& operator=(const pipeline&) = delete;

  /// The first time, lets the clients run until warm_up_bytes are stored. Then lets them run for a quarter of `seconds`, and
  /// measures them for `seconds`. Waits until all have their answers. Returns the commands a second.
  double run(double seconds);
  /// How long answers take while so many commands a second are asked for at an even pace. Of `seconds`, after a quarter of it as
  /// above.
  latencies latencies_at(double commands_per_second, double seconds);
  /// The same, while the clients of `others` ask the first of these products, as many as it says.
  latencies latencies_beside(const load& others, double commands_per_second, double seconds);
  /// Of all runs together.
  load_figures figures() const;

private:
  class product_order;
  class closed_loop;
  class open_loop;
  class followers;

  pipeline(const load& what, std::unique_ptr<temporary_folder> folder, std::shared_ptr<journal> store,
           std::vector<std::string> ids);
  void warm_up();

  const load what_;
  const std::unique_ptr<temporary_folder> folder_;  // of a store of its own
  const std::vector<std::string> ids_;
  const std::unique_ptr<product_order> order_;
  const std::shared_ptr<watching_journal> journal_;
  runtime runtime_;
  bool warm_ = false;
  double commands_ = 0;
  double seconds_ = 0;
  double cpu_seconds_ = 0;
  std::optional<double> standstill_seconds_ = 0;
  std::uint64_t commits_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t snapshots_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t lag_ = 0;
};

/// One run of such a pipeline alone.
load_figures run(const load& what, double seconds);

/// "0", "1", … as ids of products.
std::vector<std::string> ids_of(std::size_t products);

/// Gives each product its first event, and makes it live.
void enrol_all(runtime& runtime, const std::vector<std::string>& ids);

/// Asks for the state of every product at once, and waits until all are answered. They have been enrolled, and as many operations
/// may be in flight.
void look_at_all(runtime& runtime, const std::vector<std::string>& ids);

/// Ends the program: a benchmark of commands that fail measures nothing.
void require_success(const boost::system::error_code& failed, const answer<>& answer);

}  // namespace cairn::benchmarks
