// The deadlines of all operations in flight, wherever each of them is. Knows nothing of CAF.
#pragma once

#include "operation.hpp"

#include <cairn/time.hpp>

#include <boost/intrusive/set.hpp>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace cairn::inline v1::actors {

/// An operation in the order of deadlines. Owned by the operation.
struct watched_deadline : boost::intrusive::set_base_hook<> {
  watched_deadline(operation& asked, deadline_watch& watch, timestamp at) : self(asked), by(watch), deadline(at) {}

  operation& self;
  deadline_watch& by;
  const timestamp deadline;

  bool operator<(const watched_deadline& other) const noexcept { return deadline < other.deadline; }
};

/// Tells whoever asked as soon as a deadline has passed, by the runtime's clock. Holds no share of an operation, and so keeps
/// nothing alive.
/// Thread safety: every member from any thread. It must outlive the completion of all that it watches.
class deadline_watch {
public:
  explicit deadline_watch(clock now) : now_(std::move(now)) {}
  ~deadline_watch() { stop(); }
  deadline_watch(const deadline_watch&) = delete;
  deadline_watch& operator=(const deadline_watch&) = delete;

  /// Watches an operation until it is completed. Does nothing if it has no deadline. One that brings a command id and comes with
  /// a deadline that has passed already is left to its aggregate, which knows whether it is a repeat.
  void add(operation& asked);
  /// For operations: it is completed.
  void remove(watched_deadline& known) noexcept;

  /// Completes all whose deadline has passed.
  void expire() noexcept;
  /// The first deadline. Nothing if there is none.
  std::optional<timestamp> next() const;

  /// Calls expire() on a thread of its own, in time, until stop(). The clock may jump: it is looked at again ten times a second.
  void start();
  void stop() noexcept;
  /// Whether the calling thread is the watch's own.
  bool runs_this_thread() const noexcept { return thread_.get_id() == std::this_thread::get_id(); }

private:
  void run() noexcept;

  const clock now_;
  mutable std::mutex mutex_;
  boost::intrusive::multiset<watched_deadline, boost::intrusive::constant_time_size<false>> deadlines_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace cairn::actors
