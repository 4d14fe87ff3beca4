// The clients: many loops that each send a command (or a batch of them), wait for its answer, and send the next.
//
// The movements of one product are always sent by the same client and in their order, so what each product's stock must be at the
// end follows from the answers; the clients keep book of it, and by the book each answer must be the right one.
#pragma once

#include "histogram.hpp"
#include "proof.hpp"
#include "workload.hpp"

#include <cairn/runtime.hpp>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace simulation {

struct drive_options {
  std::size_t clients = 8;
  std::size_t in_flight = 4'000;  ///< commands sent and not answered, of all clients together
  /// Set behind each command id. A second run on the same store must give its commands other ids than the first: of ids that an
  /// aggregate has seen it keeps the last few only (runtime_options), so that some repeats would be recognised and others not.
  std::string run = {};
  std::size_t batch = 1;  ///< commands that are handed over in one call, at most; 1: each by itself
};

/// What became of the commands.
struct tally {
  std::uint64_t answered = 0;
  std::uint64_t accepted = 0;
  std::uint64_t failed = 0;  ///< not answered by the domain, but by an error
  std::map<std::string, std::uint64_t> rejected;
  std::vector<std::string> faults;  ///< the first few errors, and answers that cannot be right

  void add(const tally& other);
  std::uint64_t rejections() const;
};

/// Says what is wrong with the answer to a movement of `count` pieces, by what the product's books said before; nothing where it
/// is as it must be. `rejection` is the reason of a rejection, or null: accepted. A sale must be rejected, as insufficient_stock,
/// exactly when there is less; nothing else is ever rejected.
std::optional<std::string> wrong_answer(const standing& book, movement_kind kind, std::int64_t count,
                                        const std::string* rejection);

/// Plays a workload. Everything given to it must outlive it.
class driver {
public:
  /// `books` has a standing for each product of `work`, as found at the start; it is kept up with each accepted answer, and may
  /// be looked at once the driver has finished.
  driver(cairn::runtime& runtime, const workload& work, std::vector<standing>& books, const drive_options& options,
         const stop_flag& stop);
  ~driver();

  /// Begins to send. Each client stops at its last movement, at the first error, or when told to stop.
  void start();
  /// Waits until all commands are answered; false: not within `time`.
  bool finished_within(std::chrono::milliseconds time);

  /// How long the answers took so far, in nanoseconds. At any time, from any thread.
  histogram latency() const;
  /// After it has finished.
  tally result() const;
  double seconds() const;

private:
  class client;
  struct shared;
  struct worker;
  std::unique_ptr<shared> shared_;
  std::vector<std::unique_ptr<worker>> workers_;
  std::vector<std::unique_ptr<client>> clients_;
  std::vector<std::thread> threads_;
};

}  // namespace simulation
