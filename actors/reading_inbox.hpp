// What waits for the readers: any of them that is idle takes the next, so that a slow one delays nobody else.
#pragma once

#include <cairn/actors/messages.hpp>

#include <caf/actor.hpp>

#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::inline v1::actors {

/// A recovery, and the aggregate that gets its result.
struct recovery_order {
  recovery_request request;
  caf::actor asker;
};

using reading = std::variant<recovery_order, operation_ptr>;

/// Any thread. Bounded by those who put: an aggregate waits for one recovery, and each look into the past is an operation in
/// flight, and a subscription has one read, besides those that were cancelled and wait to be passed over.
class reading_inbox {
public:
  /// For readers with the numbers from 0 on. All of them are idle.
  explicit reading_inbox(std::size_t readers) : idle_(readers) { std::iota(idle_.begin(), idle_.end(), std::size_t{0}); }

  /// Returns the number of an idle reader, which is so no longer: it must be told that there is something (read_next).
  std::optional<std::size_t> put(reading one) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(one));
    if (idle_.empty()) return std::nullopt;
    const auto reader = idle_.back();
    idle_.pop_back();
    return reader;
  }

  /// For the reader with this number, when it has been told. Nothing if nothing waits: then it is idle.
  std::optional<reading> take(std::size_t reader) {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      idle_.push_back(reader);
      return std::nullopt;
    }
    std::optional<reading> next(std::move(waiting_.front()));
    waiting_.pop_front();
    return next;
  }

private:
  std::mutex mutex_;
  std::deque<reading> waiting_;
  std::vector<std::size_t> idle_;
};

}  // namespace cairn::actors
