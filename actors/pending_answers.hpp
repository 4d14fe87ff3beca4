// The answers of one aggregate that wait for the disk.
#pragma once

#include "operation.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace cairn::inline v1::actors {

struct append_result;

/// What the aggregate has decided and must not say yet: each answer waits until the version that it has seen is durable.
///
/// Shared by the aggregate and the journal, so that the journal can answer right after its commit: usually nothing else is left
/// to do, and the aggregate need not wake for it. Where it wants to go on from there itself (it has more to send, say), it says
/// so with want_results(), and gets a message.
///
/// Thread safety: every member from any thread. The lock is this aggregate's alone; who leaves it answered early may let in
/// another command meanwhile, and so take the runtime's and a directory's lock, in that order.
class pending_answers {
public:
  virtual ~pending_answers() = default;

  /// Sends the aggregate what became of appends that came without a sender. Nobody gets it where the aggregate is gone, or where
  /// there is none, as here.
  virtual void send_result(append_result&&) const {}

  /// Everything up to here is durable.
  version durable() const noexcept { return version{durable_.load(std::memory_order_acquire)}; }

  /// Keeps `asked`, whose answer is in `held`, until `after`, which never falls, is durable; answers at once where it is. Answers
  /// are given in the order in which they were held, whichever threads give them.
  void hold(operation_ptr asked, version after);

  /// Before an append is sent: counts it, where fewer than `most` are on their way. Where not, the results are wanted from now
  /// on, as one of them is the moment to try again.
  bool begin_append(std::uint32_t most);

  /// `appends` of them have been answered, and everything up to `through` is durable: answers all that waited for that.
  void settle(std::uint32_t appends, version through);

  /// The same for the journal, which gathers the answers of many aggregates and then hands them over.
  struct settled {
    bool by_aggregate = false;  ///< nothing has been done: the appends are of another incarnation than the present one
    bool handing_over = false;  ///< until the journal says handed_over(), nobody else gives answers here: they would overtake
    bool wanted = false;        ///< the aggregate wants to know
  };
  settled settle_for_journal(std::uint64_t incarnation, std::uint32_t appends, version through);
  /// Returns whether more has become ready meanwhile. It is the aggregate's to answer, which must get a result for that.
  bool handed_over();

  /// Asks for this object's memory ahead of its use: another core has changed it, and the waits for several overlap.
  void prefetch() const noexcept {
    constexpr std::size_t line = 64;
    const auto* first = reinterpret_cast<const char*>(this);
    for (std::size_t at = 0; at < sizeof *this; at += line) __builtin_prefetch(first + at);
    __builtin_prefetch(first + sizeof *this - 1);
  }

  /// Whether the aggregate gets the results of its appends from now on. Where none is on its way, none will come.
  void want_results(bool wanted);

  bool an_append_is_on_its_way() const;
  /// Nothing waits, and no append is on its way. Where another thread is giving answers, waits until it has.
  bool all_done() const;

  /// Fails all that wait with a copy of `failure`. The next incarnation begins, and wants the results of the last one's appends.
  void fail(const outcome& failure, std::uint64_t next_incarnation);

  /// The present incarnation has read what the journal has.
  void recovered_at(version durable);

  /// Nobody is left to decide anything: those that wait are told so by their end.
  void abandon();

private:
  operation_queue take_ready();
  void answer_ready(std::unique_lock<std::mutex>& lock);
  bool note_result(std::uint32_t appends, version through);  // whether more is durable now

  mutable std::mutex mutex_;
  operation_queue waiting_;
  std::atomic<std::uint64_t> durable_{0};  // written under the lock
  std::uint64_t incarnation_ = 1;          // of the aggregate, changes with every recovery
  std::uint32_t appends_in_flight_ = 0;
  bool results_wanted_ = false;
  bool answering_ = false;  // a thread is giving answers
};

}  // namespace cairn::actors
