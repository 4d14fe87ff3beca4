// The position of the last durable record, and the reads that wait for a later one.
//
// The journal actor publishes each commit here before it gives out the commit's answers. A subscription reads up to the
// published position, and never beyond.
#pragma once

#include "operation.hpp"

#include <cairn/identity.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

namespace cairn::inline v1::actors {

/// Completes a subscription's read with errc::draining.
void end_subscription_read(operation_ptr read) noexcept;

/// Thread safety: publish() and resume_waiting() from one thread at a time, every other member from any thread.
class durable_head {
public:
  /// Before every other call. `last` is the position of the last durable record. `resume` submits a read again when there is
  /// more to read; it is called from any thread, without a lock.
  void open(position last, std::function<void(operation_ptr)> resume) {
    last_.store(last.value);
    resume_ = std::move(resume);
  }

  position last() const noexcept { return position{last_.load()}; }

  /// Says that every record up to `last` is durable.
  void publish(position last) noexcept { last_.store(last.value); }
  /// Resumes the reads that wait for what was published.
  void resume_waiting() noexcept;

  /// Resumes `read` as soon as there is a record behind `beyond`. While it waits it has no place among the operations in flight.
  /// A read that is completed already is let go.
  void wait_beyond(position beyond, operation_ptr read) noexcept;

  /// Completes the reads that wait, and all that come later, with errc::draining.
  void close() noexcept;

private:
  struct waiting_read {
    position beyond;
    operation_ptr read;
  };
  /// Takes out the reads for which there is more, and those that are completed.
  std::vector<operation_ptr> take_ready();
  void resume(std::vector<operation_ptr> ready) noexcept;

  std::function<void(operation_ptr)> resume_;
  std::atomic<std::uint64_t> last_{0};
  std::atomic<std::size_t> waiting_count_{0};
  std::mutex mutex_;
  /// One for each subscription that waits, and cancelled ones: at most as many as the others and a few, because all are
  /// looked through whenever their number has doubled.
  std::vector<waiting_read> waiting_;
  std::size_t look_through_at_ = few;
  static constexpr std::size_t few = 16;
  bool closed_ = false;
};

}  // namespace cairn::actors
