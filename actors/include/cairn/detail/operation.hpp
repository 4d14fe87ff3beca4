// An operation: one call of a runtime on its way through the actors, with the types of the aggregate and of the
// caller's handler erased. The compiled actors know no aggregate type, and the templates above know no actor.
//
// Not for users. Installed because the templates of <cairn/runtime.hpp> derive from these classes.
#pragma once

#include <cairn/command_options.hpp>
#include <cairn/decision.hpp>
#include <cairn/error.hpp>
#include <cairn/identity.hpp>
#include <cairn/time.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>

namespace cairn::inline v1 {

class journal;
struct record_view;
struct snapshot_view;
struct version_range;

namespace actors {

/// Called with a sentence for each non-fatal problem. From any thread.
using warn_function = std::function<void(const std::string&)>;

/// One aggregate's state, its type erased. Used by one thread at a time.
class hosted_state {
public:
  virtual ~hosted_state() = default;

  /// Applies a recorded event. Throws error(errc::unknown_event); the state is then as before.
  virtual void replay(const record_view& record) = 0;

  /// Appends the encoded state.
  virtual void save(std::string& out) const = 0;

  /// Replaces the state by the one that save() encoded. Throws error(errc::corrupt_record).
  virtual void load(std::string_view bytes) = 0;
};

/// What the actors need of an aggregate type. One constant per type.
struct aggregate_type {
  const std::type_info* id;  ///< tells two C++ types apart that share a category by mistake
  std::string_view category;
  std::uint32_t schema_version;
  std::unique_ptr<hosted_state> (*make)();
};

/// The outcome of an operation. Either `code` is set, or the aggregate has answered.
struct outcome {
  errc code{};                          ///< errc{} unless the call failed
  std::uint32_t events = 0;             ///< that the command stored
  cairn::version version;               ///< after the command; with errc::version_conflict, the current one
  std::unique_ptr<rejection> rejected;  ///< null unless decide refused the command. Rare, and each byte here counts
  bool repeated = false;                ///< the first answer to this command id, again
  /// With a code: the detail. Else the encoded typed result of the command.
  std::string text;

  static outcome failed(errc code, std::string detail) {
    outcome failure;
    failure.code = code;
    failure.text = std::move(detail);
    return failure;
  }
};

/// Appends an event to the events of a decision. `result` is stored with the last one.
/// Throws error(errc::invalid_argument) if the event or the whole decision is beyond its limit.
class draft;
void add_event(draft& into, std::string_view type, std::uint32_t schema_version, std::string_view payload, std::uint32_t index,
               std::uint32_t count, std::string_view result);
/// The record of such an event, as far as reading it back needs it.
record_view written_event(stream_view stream, std::string_view type, std::uint32_t schema_version, std::string_view payload);
/// Throws error(errc::invalid_argument) if a decision may not have so many events.
void require_events(std::size_t count);

/// Returns a number other than 0 that is the same for the same bytes: XXH3-64.
std::uint64_t fingerprint_of(std::string_view bytes) noexcept;

/// Is called after each event that an operation applies.
class evolve_observer {
public:
  virtual void evolved() = 0;

protected:
  ~evolve_observer() = default;
};

/// Admits operations, and is called when one has been answered.
class doorkeeper {
public:
  virtual void leave() noexcept = 0;

protected:
  ~doorkeeper() = default;
};

class operation;
void intrusive_ptr_add_ref(operation* one) noexcept;
void intrusive_ptr_release(operation* one) noexcept;

/// Owns a share of an operation. As small as the pointer; copies share.
class operation_ptr {
public:
  operation_ptr() = default;
  explicit operation_ptr(operation* one) noexcept : one_(one) {
    if (one_) intrusive_ptr_add_ref(one_);
  }
  operation_ptr(const operation_ptr& other) noexcept : operation_ptr(other.one_) {}
  operation_ptr(operation_ptr&& other) noexcept : one_(std::exchange(other.one_, nullptr)) {}
  operation_ptr& operator=(operation_ptr other) noexcept {
    std::swap(one_, other.one_);
    return *this;
  }
  ~operation_ptr() {
    if (one_) intrusive_ptr_release(one_);
  }

  operation* operator->() const noexcept { return one_; }
  operation& operator*() const noexcept { return *one_; }
  explicit operator bool() const noexcept { return one_ != nullptr; }

  /// Gives the share to a list; adopt() takes it back.
  operation* release() noexcept { return std::exchange(one_, nullptr); }
  static operation_ptr adopt(operation* one) noexcept {
    operation_ptr owner;
    owner.one_ = one;
    return owner;
  }

private:
  operation* one_ = nullptr;
};

/// The options of a command, out of line: most commands have none, and null stands for the defaults.
using boxed_options = std::unique_ptr<const command_options>;
extern const command_options& default_options;

/// Copies what the options refer to. Returns null for the defaults.
boxed_options boxed(const call_options& options);
boxed_options boxed(command_options&& options);

/// Delivers the answer of an operation to its caller. Lives in the operation.
class completion {
public:
  virtual ~completion() = default;
  /// Called once, from any thread, with the operation that holds this object.
  virtual void deliver(operation_ptr self) noexcept = 0;
  /// Destroys this object, and frees its memory if that is not the operation's.
  virtual void destroy(operation& owner) noexcept = 0;
};

class deadline_watch;
struct watched_deadline;

/// One call: a command, or a read of an aggregate's state or past. Completed exactly once, at the latest when its last
/// owner has gone (errc::abandoned). It holds a place among those in flight until it is completed; if its deadline
/// completes it, until it has left its queue.
///
/// Owned by reference counting; used by one thread at a time. expire() and cancel() alone may come from any other thread
/// meanwhile.
class operation {
public:
  operation(const aggregate_type& type, std::string_view id, boxed_options options = {});
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  const aggregate_type& type() const noexcept { return type_; }
  stream_view stream() const noexcept { return {type_.category, id_}; }
  std::size_t hash() const noexcept { return hash_; }
  const command_options& options() const noexcept { return options_ ? *options_ : default_options; }
  bool completed() const noexcept { return stage_.load(std::memory_order_acquire) == stage::completed; }

  /// Call before decide(): from now on the command may be stored. False if it is completed already: it must not be
  /// decided then.
  bool begin_decision() noexcept {
    auto before = stage::waiting;
    return stage_.compare_exchange_strong(before, stage::decided, std::memory_order_acq_rel);
  }

  /// Decides on the state. Events go into `into`, and are kept, as they read back from their bytes, for evolve(). A
  /// rejection or a result goes into `answer`. The state is not changed. Throws what decide or the codec throws.
  virtual void decide(const hosted_state& state, draft& into, outcome& answer) = 0;

  /// Returns a number that is the same for the same command: made of its type's name and its fields. 0 for a read.
  /// Throws what the command's codec throws.
  virtual std::uint64_t fingerprint() const { return 0; }

  /// Applies the events that decide() kept, and calls `observer` after each.
  virtual void evolve(hosted_state&, evolve_observer&) noexcept {}

  /// Reads the past from the journal, on a reader's thread; returns the version that was read. Throws cairn::error.
  virtual cairn::version read(journal& store, const warn_function& warn);
  /// After read(): the position behind which it waits for a record, to read again. Nothing if it is complete.
  virtual std::optional<position> waits_beyond() const noexcept { return std::nullopt; }

  /// Answers the caller with `held`. Does nothing if that was done before.
  static void complete(operation_ptr asked) noexcept;
  /// The same with another answer.
  void complete(outcome&& answer) noexcept;

  /// Takes it out of the queue that it was in. One that has expired gives up its place, though others may have shares of it.
  static void abandon(operation_ptr asked) noexcept;

  /// Its deadline has passed: completes it, from any thread, with errc::deadline_passed if it is certainly not carried out,
  /// and else with errc::timed_out. It keeps its place: it is still in a queue, and must count until it leaves that.
  void expire() noexcept;
  /// The same when the caller cancels the call, with errc::cancelled or errc::cancelled_in_doubt. If `only_undecided`, does
  /// nothing to a command that may be stored. Returns whether it was completed by this.
  virtual bool cancel(bool only_undecided) noexcept;
  /// Whether it is a read: then it is never in doubt.
  virtual bool changes_nothing() const noexcept { return false; }

  /// Empty if it has no owner any more. The caller must know that its memory still exists.
  operation_ptr share_if_alive() noexcept;
  /// Notes what watches its deadline, once.
  watched_deadline& watch(deadline_watch& by, timestamp deadline);

  /// The answer, once it is completed.
  outcome& answer() noexcept;

  /// Makes the completion, in this operation's own memory if it fits. Once, before the operation is submitted.
  template <class Completion, class... Arguments>
  void deliver_by(Arguments&&... arguments) {
    if constexpr (sizeof(Completion) <= room_bytes && alignof(Completion) <= alignof(std::max_align_t)) {
      completion_ = new (take_room(sizeof(Completion))) Completion(std::forward<Arguments>(arguments)...);
    } else {
      completion_ = new Completion(std::forward<Arguments>(arguments)...);
    }
  }
  void deliver_by(completion* allocated) noexcept { completion_ = allocated; }
  /// Frees the completion's memory before its end, once it has delivered.
  void destroy_completion() noexcept;

  static constexpr std::size_t room_bytes = 128;
  /// Takes memory that lives as long as this operation; null if there is not enough left. One thread at a time.
  void* take_room(std::size_t bytes) noexcept {
    bytes = (bytes + alignof(std::max_align_t) - 1) / alignof(std::max_align_t) * alignof(std::max_align_t);
    if (bytes > room_bytes - room_taken_) return nullptr;
    return room_ + std::exchange(room_taken_, static_cast<std::uint16_t>(room_taken_ + bytes));
  }
  bool has_room(const void* memory) const noexcept {
    const auto* const at = static_cast<const std::byte*>(memory);
    return !std::less<>()(at, room_) && std::less<>()(at, room_ + room_bytes);
  }

private:
  enum class stage : std::uint8_t {
    waiting,    // not decided
    decided,    // and perhaps not durable yet
    completed,  // its answer is on its way to the caller, or was given
  };
  std::atomic<std::uint32_t> references_{0};
  std::atomic<stage> stage_ = stage::waiting;
  std::uint16_t room_taken_ = 0;

public:
  // What is used on the way back is together: each cache line that changes hands costs as much as a hundred instructions.

  /// The next operation in the list that holds this one.
  operation* next = nullptr;
  /// Is called once when the place is free. Null if it has no place.
  doorkeeper* admitted_by = nullptr;
  /// The answer: while it waits for `after` to be durable, and when it is delivered, unless the deadline passed before.
  version after;
  outcome held;

protected:
  virtual ~operation();

private:
  friend class operation_queue;
  friend void intrusive_ptr_add_ref(operation* one) noexcept;
  friend void intrusive_ptr_release(operation* one) noexcept;

  void end() noexcept;
  static void deliver(operation_ptr self) noexcept;
  bool complete_early(errc surely_not, errc in_doubt, bool only_undecided) noexcept;
  bool claim() noexcept { return stage_.exchange(stage::completed, std::memory_order_acq_rel) != stage::completed; }
  void leave() noexcept {
    if (auto* keeper = std::exchange(admitted_by, nullptr)) keeper->leave();
  }

  completion* completion_ = nullptr;
  alignas(std::max_align_t) std::byte room_[room_bytes];
  const aggregate_type& type_;
  std::string id_;
  std::size_t hash_;
  boxed_options options_;
  watched_deadline* watched_ = nullptr;
  std::unique_ptr<outcome> expired_;  // written by the thread that completes it; `held` may be written by another meanwhile
};

inline void intrusive_ptr_add_ref(operation* one) noexcept { one->references_.fetch_add(1, std::memory_order_relaxed); }
inline void intrusive_ptr_release(operation* one) noexcept {
  if (one->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) one->end();
}

/// Memory for what delivers an operation's answer (a handler on its way through an executor, say): the operation's own
/// while it has room, else allocated as usual. The operation must live until all is deallocated.
template <class T>
class operation_allocator {
public:
  using value_type = T;

  explicit operation_allocator(operation& owner) noexcept : owner_(&owner) {}
  template <class Other>
  operation_allocator(const operation_allocator<Other>& other) noexcept : owner_(other.owner_) {}

  T* allocate(std::size_t count) {
    if constexpr (alignof(T) <= alignof(std::max_align_t)) {
      if (void* const room = owner_->take_room(count * sizeof(T))) return static_cast<T*>(room);
    }
    return std::allocator<T>().allocate(count);
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    if (!owner_->has_room(memory)) std::allocator<T>().deallocate(memory, count);
  }

  template <class Other>
  bool operator==(const operation_allocator<Other>& other) const noexcept {
    return owner_ == other.owner_;
  }

private:
  template <class Other>
  friend class operation_allocator;
  operation* owner_;
};

/// The end of a past: a version, or a time of recording.
using past_moment = std::variant<version, timestamp>;

/// A state of the past, read from the journal.
struct past_state {
  std::unique_ptr<hosted_state> state;
  cairn::version version;
};
/// As of a version (throws error(errc::invalid_argument) if the aggregate has not reached it) or of a time of recording.
past_state read_past(journal& store, const aggregate_type& type, stream_view stream, past_moment at, const warn_function& warn);
/// As of a time in the business: see cairn::as_occurred.
past_state read_as_occurred(const journal& store, const aggregate_type& type, stream_view stream, timestamp at);
/// Hands each record in the range to `visit`, in order of version.
void read_records(const journal& store, stream_view stream, const version_range& range,
                  const std::function<void(const record_view&)>& visit);

/// The state that a snapshot holds. Null if a recovery passes the snapshot over.
std::unique_ptr<hosted_state> state_in_snapshot(const snapshot_view& stored, const aggregate_type& type);
/// Whether two encoded states may be the same state: an unordered container encodes its elements in any order.
bool same_bytes_in_any_order(std::string_view one, std::string_view other);

/// An exception as one of cairn's own: its code, if it has one, else `otherwise`; and a sentence.
struct failure {
  errc code{};
  std::string detail;
};
/// Of the exception that is being handled.
failure current_failure(errc otherwise);

}  // namespace actors
}  // namespace cairn
