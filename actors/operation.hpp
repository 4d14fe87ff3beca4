// Operations as the actors handle them: in queues, and with the frames of a decision.
#pragma once

#include <cairn/detail/operation.hpp>
#include <cairn/journal.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace cairn::inline v1::actors {

/// The frames that a decision becomes, and what is the same for all of them.
class draft {
public:
  /// Frames go behind what `frames` holds already. It, `options` and `stream` must live as long as the draft.
  draft(std::string& frames, stream_view stream, cairn::version current, timestamp recorded_at, const command_options& options)
      : frames_(frames), before_(frames.size()), stream_(stream), current_(current), recorded_at_(recorded_at),
        options_(options) {}

  /// What the command is known by on the last event's record, if it brought an id.
  void set_fingerprint(std::uint64_t fingerprint) noexcept { fingerprint_ = fingerprint; }

  /// Appends the frame of the next event. `result` belongs to the last one. Throws error(errc::invalid_argument) where the
  /// event or the whole decision is beyond its limit.
  void add(std::string_view type, std::uint32_t schema_version, std::string_view payload, std::uint32_t index,
           std::uint32_t count, std::string_view result);

  std::uint32_t events() const noexcept { return events_; }
  /// Of their frames.
  std::size_t bytes() const noexcept { return frames_.size() - before_; }

  /// Takes the frames out again, with the memory of large ones.
  void discard();

private:
  std::string& frames_;
  std::size_t before_;
  stream_view stream_;
  cairn::version current_;
  timestamp recorded_at_;
  const command_options& options_;
  std::uint64_t fingerprint_ = 0;
  std::uint32_t events_ = 0;
};

/// Operations in order of arrival, chained through themselves: an empty one costs nothing, and pushing allocates nothing.
class operation_queue {
public:
  operation_queue() = default;
  operation_queue(operation_queue&& other) noexcept
      : first_(std::exchange(other.first_, nullptr)), last_(std::exchange(other.last_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  operation_queue& operator=(operation_queue&& other) noexcept {
    std::swap(first_, other.first_);
    std::swap(last_, other.last_);
    std::swap(size_, other.size_);
    return *this;
  }
  /// Those that are left are answered as abandoned, or, where they are completed, give up their places.
  ~operation_queue() {
    while (!empty()) operation::abandon(pop());
  }

  bool empty() const noexcept { return first_ == nullptr; }
  std::size_t size() const noexcept { return size_; }
  operation& front() const noexcept { return *first_; }

  void push(operation_ptr one) noexcept {
    operation* added = one.release();
    added->next = nullptr;
    (last_ ? last_->next : first_) = added;
    last_ = added;
    ++size_;
  }

  operation_ptr pop() noexcept {
    operation* taken = first_;
    first_ = taken->next;
    if (!first_) last_ = nullptr;
    --size_;
    return operation_ptr::adopt(taken);
  }

  template <class Visit>
  void for_each(Visit visit) const {
    for (operation* one = first_; one; one = one->next) visit(*one);
  }

private:
  operation* first_ = nullptr;
  operation* last_ = nullptr;
  std::size_t size_ = 0;
};

/// While one lives, what is completed through it, and what ends undone on its thread, is not told yet: whoever is told may do
/// anything, and the thread holds a lock. Told when the outermost is gone, so it stands before the lock.
class deferred_answers {
public:
  deferred_answers() noexcept;
  ~deferred_answers();
  deferred_answers(const deferred_answers&) = delete;
  deferred_answers& operator=(const deferred_answers&) = delete;

  /// Completes `asked` with `answer`: at once where none lives on this thread.
  static void complete(operation_ptr asked, outcome&& answer) noexcept;

private:
  const bool outermost_;
  operation_queue waiting_;
};

}  // namespace cairn::actors
