// What travels through the actors: operations, and the aggregate's state with its type forgotten.
//
// The compiled actors below know no aggregate type; the templates above know no actor. They meet here, and nowhere else.
// Knows nothing of CAF, so that runtime/ can include it.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/command_options.hpp>
#include <cairn/error.hpp>
#include <cairn/journal.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace cairn::actors {

/// One aggregate's state, its type forgotten. Used by one thread at a time.
class hosted_state {
public:
  virtual ~hosted_state() = default;

  /// Applies a recorded event. Throws error(errc::unknown_event); the state is then as before.
  virtual void replay(const record_view& record) = 0;

  /// Appends the state as msgpack.
  virtual void save(std::string& out) const = 0;

  /// Takes the state from save()'s bytes. Throws error(errc::corrupt_record).
  virtual void load(std::string_view bytes) = 0;
};

template <Aggregate A>
class hosted final : public hosted_state {
public:
  A value;

  void replay(const record_view& record) override { evolve(value, record); }
  void save(std::string& out) const override { codec::encode(out, value); }
  void load(std::string_view bytes) override { value = codec::decode<A>(bytes); }
};

/// What the actors must know of an aggregate type. One constant per type, made where the type is first used.
struct aggregate_type {
  const std::type_info* id;  ///< tells two C++ types apart that share a category by mistake
  std::string_view category;
  std::uint32_t schema_version;
  std::unique_ptr<hosted_state> (*make)();
};

template <Aggregate A>
inline constexpr aggregate_type type_of{&typeid(A), A::category, schema_version_of<A>(),
                                        []() -> std::unique_ptr<hosted_state> { return std::make_unique<hosted<A>>(); }};

/// What became of an operation. Either `code` is set, or it was answered by the domain.
struct outcome {
  errc code{};               ///< errc{} where the system did its part
  std::uint32_t events = 0;  ///< how many the command stored
  cairn::version version;    ///< after the command; with errc::version_conflict, the version that stands
  bool rejected = false;
  bool repeated = false;  ///< the first answer to this command id, again
  /// With a code: what and where. Where rejected: the reason. Else the command's typed result, msgpack.
  std::string text;

  static outcome failed(errc code, std::string detail) {
    outcome failure;
    failure.code = code;
    failure.text = std::move(detail);
    return failure;
  }
};

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

/// Returns a number other than 0 that is the same for the same bytes: XXH3-64.
std::uint64_t fingerprint_of(std::string_view bytes) noexcept;

/// Told after each event that an operation applies.
class evolve_observer {
public:
  virtual void evolved() = 0;

protected:
  ~evolve_observer() = default;
};

/// Who let an operation in, and wants to know when it has been answered.
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

/// What a command brings along, out of line: most bring nothing, and null stands for the defaults.
using boxed_options = std::unique_ptr<const command_options>;
extern const command_options& default_options;

inline boxed_options boxed(command_options options) {
  return options == default_options ? nullptr : std::make_unique<const command_options>(std::move(options));
}

class deadline_watch;
struct watched_deadline;

/// Something asked of one aggregate: a command, or a look at its state. Completed exactly once, at the latest when nobody holds
/// it any more (errc::abandoned). It holds a place among those in flight until it is completed; if its deadline completes it,
/// until it has left its queue.
///
/// Owned by reference counting (it rides in messages); used by one thread at a time. expire() alone may come from any other
/// thread meanwhile.
class operation {
public:
  operation(const aggregate_type& type, std::string id, boxed_options options);
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  const aggregate_type& type() const noexcept { return type_; }
  stream_view stream() const noexcept { return {type_.category, id_}; }
  std::size_t hash() const noexcept { return hash_; }
  const command_options& options() const noexcept { return options_ ? *options_ : default_options; }
  bool completed() const noexcept { return stage_.load(std::memory_order_acquire) == stage::completed; }

  /// To be called before decide(): from now on the command may be stored. False if it is completed already: it must not be
  /// decided then.
  bool begin_decision() noexcept {
    auto before = stage::waiting;
    return stage_.compare_exchange_strong(before, stage::decided, std::memory_order_acq_rel);
  }

  /// Asks the state what shall happen. Events go into `into`, and are kept, as they read back from their bytes, for evolve().
  /// A rejection or a result goes into `answer`. The state is not changed. Throws what decide or the codec throws.
  virtual void decide(const hosted_state& state, draft& into, outcome& answer) = 0;

  /// Returns a number that is the same for the same command: made of its type's name and its fields. 0 for a look.
  /// Throws what the command's own packing throws.
  virtual std::uint64_t fingerprint() const { return 0; }

  /// Applies the events that decide() kept, telling `observer` after each.
  virtual void evolve(hosted_state& state, evolve_observer& observer) noexcept = 0;

  /// Gives `held` to whoever asked. Where that was done before, nothing more happens.
  static void complete(operation_ptr asked) noexcept;
  /// The same with another answer.
  void complete(outcome&& answer) noexcept;

  /// Takes it out of the queue that it was in. One that has expired gives up its place, though others may have shares of it.
  static void abandon(operation_ptr asked) noexcept;

  /// Its deadline has passed: completes it, from any thread, with errc::deadline_passed if it surely is not carried out, and else
  /// with errc::timed_out. It keeps its place: it is still in somebody's queue, and must count until it leaves that.
  void expire() noexcept;

  /// Nothing if nobody has a share of it any more. The caller must know that it still exists.
  operation_ptr share_if_alive() noexcept;
  /// Notes who watches its deadline, once.
  watched_deadline& watch(deadline_watch& by, timestamp deadline);

  /// The answer, once it is completed.
  outcome& answer() noexcept;

private:
  enum class stage : std::uint8_t {
    waiting,    // not decided
    decided,    // and perhaps not durable yet
    completed,  // whoever asked is being told, or was
  };
  std::atomic<std::uint32_t> references_{0};
  std::atomic<stage> stage_ = stage::waiting;
  bool room_taken_ = false;

public:
  // What is used on the way back stands together: each line of memory that changes hands costs as much as a hundred instructions.

  /// The next operation in whichever list holds this one.
  operation* next = nullptr;
  /// Told once that the place is free. Null where nobody counts.
  doorkeeper* admitted_by = nullptr;
  /// The answer: while it waits for `after` to be durable, and when it is delivered, if the deadline did not pass before.
  version after;
  outcome held;

protected:
  virtual ~operation();
  /// Hands answer() to whoever asked. Called once, with this operation, which may be kept for as long as that takes.
  virtual void deliver(operation_ptr self) noexcept = 0;

private:
  template <class T>
  friend class operation_allocator;
  friend class operation_queue;
  friend void intrusive_ptr_add_ref(operation* one) noexcept;
  friend void intrusive_ptr_release(operation* one) noexcept;

  void end() noexcept;
  bool claim() noexcept { return stage_.exchange(stage::completed, std::memory_order_acq_rel) != stage::completed; }
  void leave() noexcept {
    if (auto* keeper = std::exchange(admitted_by, nullptr)) keeper->leave();
  }

  alignas(std::max_align_t) std::byte room_[128];  // for operation_allocator
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

/// Memory for what delivers an operation's answer (a handler on its way through an executor, say): the operation has room for one
/// such thing, so that answering allocates nothing. What is larger, or comes second, is allocated as usual. The operation must
/// live until all is deallocated.
template <class T>
class operation_allocator {
public:
  using value_type = T;

  explicit operation_allocator(operation& owner) noexcept : owner_(&owner) {}
  template <class Other>
  operation_allocator(const operation_allocator<Other>& other) noexcept : owner_(other.owner_) {}

  T* allocate(std::size_t count) {
    const auto bytes = count * sizeof(T);
    if (owner_->room_taken_ || bytes > sizeof owner_->room_ || alignof(T) > alignof(std::max_align_t)) {
      return std::allocator<T>().allocate(count);
    }
    owner_->room_taken_ = true;
    return reinterpret_cast<T*>(owner_->room_);
  }
  void deallocate(T* memory, std::size_t count) noexcept {
    if (reinterpret_cast<std::byte*>(memory) != owner_->room_) return std::allocator<T>().deallocate(memory, count);
    owner_->room_taken_ = false;
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

/// A read of the journal that needs no aggregate actor: a state of the past, a history.
class read_job {
public:
  virtual ~read_job() = default;

  /// Reads, and answers whoever asked. Runs on a reader's thread and may take as long as reading takes.
  virtual void run(journal& store) noexcept = 0;

  /// Answers whoever asked without reading. Of run() and refuse(), one is called, once.
  virtual void refuse(errc code, std::string detail) noexcept = 0;

  /// Told once, just before the answer is given. Null where nobody counts.
  doorkeeper* admitted_by = nullptr;
};

/// An exception as one of cairn's own: its kind, where it has one, else `otherwise`; and a sentence.
struct failure {
  errc code{};
  std::string detail;
};
/// Of the exception that is being handled.
failure current_failure(errc otherwise);

}  // namespace cairn::actors
