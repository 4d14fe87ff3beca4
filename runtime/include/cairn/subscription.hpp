// Subscriptions: the records of the journal in their order, first those that are there and then each as it becomes durable.
//
//     auto records = runtime.subscribe({.after = checkpoint, .category = "product"});
//     for (;;) {
//       const auto next = co_await records.next();
//       std::cout << next.record.type << " of " << next.record.stream.id << "\n";
//     }
//
// The journal's order has no gaps, so a position is a complete checkpoint: subscribe again after the last position that was
// processed, and nothing is missing and nothing comes twice.
#pragma once

#include <cairn/runtime.hpp>

#include <boost/asio/bind_executor.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace cairn::inline v1 {

/// Which records a subscription delivers.
struct subscription_options {
  position after{};                     ///< those behind this position, at most runtime::head(); 0: from the beginning
  std::string category = {};            ///< of this category; empty: of all
  std::optional<std::string> id = {};   ///< of this aggregate alone; needs a category
  std::vector<std::string> types = {};  ///< of these event types; empty: of all
  /// If set, those for which it returns true. Called on a thread of the runtime, for records that pass the other filters; must
  /// not block. If it throws, the call fails with errc::invalid_argument.
  std::function<bool(const record_view&)> where = {};
  std::size_t batch_records_max = 1'000;               ///< records in one batch. 1 to 100,000
  std::size_t batch_bytes_max = std::size_t{1} << 20;  ///< bytes of records in one batch, or one record. 1 to 2^30
};

/// Records in the order of the journal. Copies share the bytes.
struct record_batch {
  std::span<const record_view> records;  ///< live as long as this batch or a copy
  /// All records up to here are delivered or did not pass the filters: the checkpoint once this batch is processed.
  position through;
  /// The last durable record when the batch was read. `head - through` is the lag.
  position head;
  errc code{};         ///< errc{} unless the call failed
  std::string detail;  ///< why it failed

  bool failed() const noexcept { return code != errc{}; }
  bool empty() const noexcept { return records.empty(); }
  std::size_t size() const noexcept { return records.size(); }
  auto begin() const noexcept { return records.begin(); }
  auto end() const noexcept { return records.end(); }

  std::shared_ptr<const void> owner;  ///< of the records
};

/// One record. Copies share the bytes.
struct received_record {
  record_view record;  ///< its bytes live as long as this or a copy
  errc code{};         ///< errc{} unless the call failed
  std::string detail;  ///< why it failed

  bool failed() const noexcept { return code != errc{}; }

  std::shared_ptr<const void> owner;  ///< of the record's bytes
};

namespace detail {

class subscription_cursor;

/// `cancels`: the call fails with errc::cancelled if the subscription has been cancelled another number of times.
actors::operation_ptr make_subscription_read(std::shared_ptr<subscription_cursor> cursor, bool one,
                                             std::optional<std::uint64_t> cancels);
std::uint64_t cancels_of(const subscription_cursor& cursor) noexcept;
record_batch take_batch(actors::operation& read);
received_record take_record(actors::operation& read);

struct batch_of_records_maker {
  using value_type = record_batch;
  static value_type make(actors::operation& read) { return take_batch(read); }
};
struct record_maker {
  using value_type = received_record;
  static value_type make(actors::operation& read) { return take_record(read); }
};

}  // namespace detail

/// Delivers the records of a runtime's journal that pass its filters: each once, in order, only when it is durable.
///
/// Slow subscribers: a subscription keeps one batch in memory and reads from the journal when the caller asks for more. So it may
/// be slow without a bound, and commands do not wait for it. All subscriptions of a runtime and its reads of the past share
/// two threads.
///
/// Thread safety: one call at a time, and no other member meanwhile, except cancel(). A second call fails with
/// errc::invalid_argument. Lifetime: valid as long as the runtime.
///
/// Errors of next() and next_batch(): cancelled, draining (the runtime drains), journal_unavailable, corrupt_record,
/// unknown_format, fenced, abandoned, invalid_argument. Records before a damaged one are delivered. After an error the next
/// call goes on from the same position. If Asio's `next() || timer` drops a record because both are complete, it is not
/// delivered again.
class subscription {
public:
  subscription(runtime& of, subscription_options options);
  subscription(subscription&&) noexcept = default;
  subscription& operator=(subscription&&) noexcept;
  ~subscription();

  /// Completes with received_record once there is one.
  template <detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto next(T&&... token) {
    return detail::call<detail::record_maker>(start_, detail::make_subscription_read(cursor_, true, {}),
                                              std::forward<T>(token)...);
  }

  /// Completes with record_batch once there is a record, up to the bounds of a batch; it may have less than is durable. If
  /// 10,000 records do not pass the filters, it completes with an empty batch, so that `through` can be kept.
  template <detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto next_batch(T&&... token) {
    return detail::call<detail::batch_of_records_maker>(start_, detail::make_subscription_read(cursor_, false, {}),
                                                        std::forward<T>(token)...);
  }

  /// Calls `handler(const record_view&)` on `executor` for each record, or `handler(const record_batch&)` for each batch, until a
  /// call fails; then `end(errc, std::string)`, once. cancel() ends it, also from the handler, and so does the end of the
  /// subscription. A handler of batches gets empty ones, too. What a handler throws leaves the executor's run(), and the calls
  /// end without `end`.
  template <class Executor, class Handler, class End>
  void each(Executor executor, Handler handler, End end) {
    std::make_shared<each_record<Executor, Handler, End>>(*this, std::move(executor), std::move(handler), std::move(end))
        ->go_on();
  }

  /// Ends the call in progress with errc::cancelled. Any thread. The destructor does the same, and returns when the predicate
  /// of the options does not run any more.
  void cancel() noexcept;

  /// All records up to here are delivered or did not pass the filters. Not while each() runs.
  position through() const noexcept;

private:
  template <class Executor, class Handler, class End>
  class each_record : public std::enable_shared_from_this<each_record<Executor, Handler, End>> {
  public:
    each_record(const subscription& source, Executor executor, Handler handler, End end)
        : start_(source.start_), cursor_(source.cursor_), cancels_(detail::cancels_of(*cursor_)), executor_(std::move(executor)),
          handler_(std::move(handler)), end_(std::move(end)) {}

    void go_on() {
      auto take = [self = this->shared_from_this()](boost::system::error_code, const record_batch& batch) {
        if (batch.failed()) return self->end_(batch.code, batch.detail);
        if constexpr (std::invocable<Handler&, const record_batch&>) {
          self->handler_(batch);
        } else {
          for (const auto& record : batch) {
            if (detail::cancels_of(*self->cursor_) != self->cancels_) break;
            self->handler_(record);
          }
        }
        self->go_on();
      };
      detail::call<detail::batch_of_records_maker>(start_, detail::make_subscription_read(cursor_, false, cancels_),
                                                   boost::asio::bind_executor(executor_, std::move(take)));
    }

  private:
    const detail::submission start_;
    const std::shared_ptr<detail::subscription_cursor> cursor_;
    const std::uint64_t cancels_;  // another number means that the subscription was cancelled
    Executor executor_;
    Handler handler_;
    End end_;
  };

  detail::submission start_;
  std::shared_ptr<detail::subscription_cursor> cursor_;
};

/// Calls `target.on(event, record)` if `record` is of category `A::category` and `target` has such a member for the event.
/// Returns whether it called. Throws error(errc::unknown_event) if the event cannot be read.
template <Aggregate A, class Target>
bool apply_record(Target& target, const record_view& record) {
  if (record.stream.category != std::string_view(A::category)) return false;
  return detail::use_event<A>(record, [&](const auto& event) {
    if constexpr (requires { target.on(event, record); }) {
      target.on(event, record);
      return true;
    } else {
      return false;
    }
  });
}

}  // namespace cairn
