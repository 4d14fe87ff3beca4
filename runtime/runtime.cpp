// The compiled part of the runtime: who may come in, who must wait, and when everybody has left.
#include "../actors/engine.hpp"
#include "../actors/operation.hpp"

#include <cairn/limits.hpp>
#include <cairn/runtime.hpp>

#include "exit_drain.hpp"
#include "log_tail.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

namespace cairn::inline v1 {
void runtime_options::warn_on_stderr(const std::string& sentence) { std::fprintf(stderr, "cairn: %s\n", sentence.c_str()); }

namespace detail {

/// Returns whether a reader must read for it. Else it is completed.
bool begin_subscription_read(actors::operation& read);

// The number of operations in flight is one atomic. The mutex is for what is rare: those that wait for a place, and the drain
// that waits for the last to leave. Whoever leaves looks for waiters after giving up its place, and whoever waits looks for a
// place after saying that it waits, so that one of the two sees the other (both sequentially consistent). As long as somebody
// waits nobody overtakes: those that wait are handed on under the mutex, in order, before the flag is taken back.
struct runtime_core::implementation final : actors::doorkeeper {
  implementation(runtime_options&& options, const engine_factory* make_engine)
      : in_flight_max(options.in_flight_max), waiting_max(options.waiting_max),
        engine(made(make_engine, {std::move(options.journal), std::move(options.clock), std::move(options.on_warning),
                                  options.bounds, [this](actors::operation_ptr read) { follow(std::move(read)); }})) {}

  static std::unique_ptr<actors::engine> made(const engine_factory* make_engine, actors::engine_parts&& parts) {
    return make_engine ? (*make_engine)(std::move(parts)) : actors::threaded_engine(std::move(parts));
  }

  bool take_place() noexcept {
    auto taken = in_flight.load();
    while (taken < in_flight_max) {
      if (in_flight.compare_exchange_weak(taken, taken + 1)) return true;
    }
    return false;
  }

  bool enter() noexcept { return !somebody_waits.load() && take_place(); }

  // Lets a reader read for a subscription. Such a read takes no place from commands, and a drain waits for it.
  void follow(actors::operation_ptr read) {
    take_place_for(*read);
    hand_to_reader(std::move(read));
  }
  void take_place_for(actors::operation& read) {
    following.count.fetch_add(1);
    read.admitted_by = &following;
  }
  void hand_to_reader(actors::operation_ptr read) {
    // A drain that began meanwhile either waits for this place to be given up, or is seen here.
    if (closed.load()) return actors::end_subscription_read(std::move(read));
    engine->read(std::move(read));
  }

  void leave() noexcept override {
    in_flight.fetch_sub(1);
    if (somebody_waits.load()) admit_waiting();
  }

  // Whether it has a place now, and is for the engine. Else it has been refused, and is completed, or has to wait().
  bool admit(actors::operation& asked) {
    const auto refuse = [&](errc code, std::string why) {
      asked.complete(actors::outcome::failed(code, std::move(why)));
      return false;
    };
    if (closed.load()) return refuse(errc::draining, to_string(asked.stream()));
    if (asked.stream().id.size() > limits::id_bytes_max) {
      return refuse(errc::invalid_argument, "the aggregate's id has " + std::to_string(asked.stream().id.size()) +
                                                " bytes, and may have " + std::to_string(limits::id_bytes_max));
    }
    if (enter()) {
      asked.admitted_by = this;
      // A drain that began meanwhile either waits for this place to be given up, or is seen here.
      return !closed.load() || refuse(errc::draining, to_string(asked.stream()));
    }
    if (asked.options().when_full == when_full::fail) {
      return refuse(errc::overloaded, std::to_string(in_flight_max) + " operations are in flight");
    }
    return false;
  }

  // Only operations that have a place keep a drain from ending the engine's actors. Where none has one, the engine may be at its
  // end already, and is not called.
  void submit_admitted(std::vector<actors::operation_ptr> admitted) {
    if (!admitted.empty()) engine->submit_many(std::move(admitted));
  }

  void wait(actors::operation_ptr asked) {
    {
      const actors::deferred_answers told_later;
      const std::lock_guard lock(mutex);
      if (!closed && waiting.size() < waiting_max) {
        waiting.push(std::move(asked));
        somebody_waits = true;
        // In the same critical section: as soon as it ends, the command may be answered, and its handler may
        // destroy the runtime.
        admit_waiting_locked();
        return;
      }
    }
    asked->complete(
        closed ? actors::outcome::failed(errc::draining, to_string(asked->stream()))
               : actors::outcome::failed(errc::overloaded, std::to_string(waiting_max) + " commands wait for a place already"));
  }

  void admit_waiting() noexcept {
    const actors::deferred_answers told_later;
    const std::lock_guard lock(mutex);
    admit_waiting_locked();
  }

  // Lets in as many of those that wait as have a place, and wakes the drain when nobody is left.
  void admit_waiting_locked() noexcept {
    while (!waiting.empty() && take_place()) {
      auto next = waiting.pop();
      next->admitted_by = this;
      engine->submit(std::move(next));
    }
    somebody_waits = drain_waits || !waiting.empty();
    if (all_left_locked()) nobody_in_flight.notify_all();
  }

  bool all_left_locked() const { return waiting.empty() && in_flight.load() == 0 && following.count.load() == 0; }

  // The reads of subscriptions, each as long as it reads.
  struct reading_subscriptions final : actors::doorkeeper {
    explicit reading_subscriptions(implementation& all) : of(all) {}
    void leave() noexcept override {
      count.fetch_sub(1);
      if (of.somebody_waits.load()) of.admit_waiting();
    }
    implementation& of;
    std::atomic<std::size_t> count{0};
  };

  const std::size_t in_flight_max;
  const std::size_t waiting_max;
  std::atomic<std::size_t> in_flight{0};
  reading_subscriptions following{*this};
  log_tail tail;
  std::atomic<bool> somebody_waits{false};  // for a place, or for the last to leave
  std::atomic<bool> closed{false};
  std::mutex mutex;
  actors::operation_queue waiting;
  bool drain_waits = false;
  std::condition_variable nobody_in_flight;
  std::recursive_mutex drain_mutex;  // without threads, a handler that runs during a drain may drain as well
  std::vector<std::thread> drainers;
  std::optional<exit_drain> at_exit;       // exit() waits for the engine's end
  std::unique_ptr<actors::engine> engine;  // last: its operations leave through the members above
};

namespace {

/// What runs meanwhile (a recovery, a look into the past) does not fail because the warning does.
actors::warn_function harmless(actors::warn_function warn) {
  return [warn = std::move(warn)](const std::string& sentence) noexcept {
    try {
      warn(sentence);
    } catch (...) { std::fprintf(stderr, "cairn: the warning function threw on: %s\n", sentence.c_str()); }
  };
}

/// The journal for one runtime alone, until the last share is gone.
std::shared_ptr<journal> claimed(std::shared_ptr<journal> shared) {
  if (!shared->claim()) {
    throw error(
        errc::store_in_use,
        "runtime_options::journal belongs to another runtime, which must be drained first; open another store for this one");
  }
  auto* const claimed = shared.get();
  return {claimed, [owner = std::move(shared)](journal* mine) mutable {
            mine->release();
            owner.reset();
          }};
}

constexpr auto on_own_thread =
    "on a thread of this runtime, and would wait for itself. Such a thread runs decide, evolve, the clock, on_warning, the "
    "journal, and a handler whose executor runs it where it is posted. Use another thread, a handler of an io_context for "
    "example.";

}  // namespace

runtime_core::runtime_core(runtime_options options, const engine_factory* make_engine, compiled_with_boost<BOOST_VERSION>) {
  if (!options.journal) {
    throw error(errc::invalid_argument, "runtime_options::journal is empty; give it a journal, for example open_store(folder)");
  }
  if (options.in_flight_max == 0) throw error(errc::invalid_argument, "in_flight_max is 0, and must be at least 1");
  if (!options.clock) throw error(errc::invalid_argument, "runtime_options::clock is empty");
  if (!options.on_warning) options.on_warning = runtime_options::warn_on_stderr;
  options.on_warning = harmless(std::move(options.on_warning));
  options.journal = claimed(std::move(options.journal));
  self_ = std::make_unique<implementation>(std::move(options), make_engine);
  if (!self_->engine->has_threads()) return;
  self_->at_exit.emplace([this] {
    if (self_->engine->runs_this_thread()) {
      std::fprintf(stderr, "cairn: exit() was called %s The runtime is not drained.\n", on_own_thread);
    } else {
      drain(drain_snapshots::yes);
    }
  });
}

runtime_core::~runtime_core() {
  if (self_->engine->runs_this_thread()) {
    std::fprintf(stderr, "cairn: ~runtime() was called %s\n", on_own_thread);
    std::abort();
  }
  if (self_->at_exit) self_->at_exit->begin_destruction();
  drain(drain_snapshots::yes);
  std::unique_lock lock(self_->mutex);
  auto drainers = std::move(self_->drainers);
  lock.unlock();
  for (auto& drainer : drainers) {
    // An executor may run the drain's handler where it is posted: on the drainer, which does nothing more
    // after that.
    if (drainer.get_id() == std::this_thread::get_id()) {
      drainer.detach();
    } else {
      drainer.join();
    }
  }
}

void runtime_core::submit(actors::operation_ptr asked) {
  self_->engine->watch(*asked);
  if (self_->admit(*asked)) {
    self_->engine->submit(std::move(asked));
  } else if (!asked->completed()) {
    self_->wait(std::move(asked));
  }
}

namespace {

/// Is completed, and never submitted.
class carrier : public actors::operation {
public:
  carrier() : operation(none, {}) {}
  void decide(const actors::hosted_state&, actors::draft&, actors::outcome&) override {}
  bool cancel(bool) noexcept override { return false; }  // what it stands for cannot be cancelled

private:
  static constexpr actors::aggregate_type none{nullptr, "", 1, nullptr};
};

class batch_operation final : public carrier {
public:
  explicit batch_operation(std::vector<actors::operation_ptr> all) : commands(std::move(all)), left_(commands.size()) {}

  void set(std::size_t place, actors::operation_ptr asked) {
    commands[place] = std::move(asked);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) complete(std::move(self));
  }

  /// Cancels the commands that are not completed; the batch completes when the last of them has.
  bool cancel(bool only_undecided) noexcept override {
    for (auto* const one : in_flight) {
      if (const auto share = one->share_if_alive()) share->cancel(only_undecided);
    }
    return false;
  }

  /// Until the batch is submitted, and each again when it is completed.
  std::vector<actors::operation_ptr> commands;
  /// The same once they are submitted. Each exists until the batch is completed, because `commands` has it then.
  std::vector<actors::operation*> in_flight;
  actors::operation_ptr self;  // until the batch is completed

private:
  std::atomic<std::size_t> left_;
};

/// What completes the operation at `place` of a batch.
class batch_slot final : public actors::completion {
public:
  batch_slot(batch_operation& batch, std::size_t place) : batch_(batch), place_(place) {}
  void deliver(actors::operation_ptr asked) noexcept override { batch_.set(place_, std::move(asked)); }
  void destroy(actors::operation&) noexcept override {}  // in the operation's memory, and trivial

private:
  batch_operation& batch_;
  std::size_t place_;
};

/// A thread that waits for an operation. Shared with the operation's completion: an exception may end the wait before.
class waiting_thread {
public:
  class waker final : public actors::completion {
  public:
    explicit waker(std::shared_ptr<waiting_thread> thread) : thread_(std::move(thread)) {}
    void deliver(actors::operation_ptr asked) noexcept override {
      post_gathered();
      const auto thread = thread_;  // with the operation this object goes
      const std::lock_guard lock(thread->mutex_);
      if (thread->has_left_) return;
      thread->completed_ = std::move(asked);
      thread->is_set_.notify_one();
    }
    void destroy(actors::operation&) noexcept override { std::destroy_at(this); }  // in the operation's memory

  private:
    std::shared_ptr<waiting_thread> thread_;
  };

  bool is_set() {
    const std::lock_guard lock(mutex_);
    return static_cast<bool>(completed_);
  }
  actors::operation_ptr wait() {
    std::unique_lock lock(mutex_);
    is_set_.wait(lock, [this] { return static_cast<bool>(completed_); });
    return std::move(completed_);
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    has_left_ = true;
  }

private:
  std::mutex mutex_;
  std::condition_variable is_set_;
  actors::operation_ptr completed_;
  bool has_left_ = false;
};

}  // namespace

actors::operation_ptr make_signal() { return actors::operation_ptr(new carrier); }
actors::operation_ptr make_batch(std::vector<actors::operation_ptr> commands) {
  return actors::operation_ptr(new batch_operation(std::move(commands)));
}
std::vector<actors::operation_ptr>& completed_in(actors::operation& batch) noexcept {
  return static_cast<batch_operation&>(batch).commands;
}

void set_other_result(errc& code, std::string& detail) {
  // A fresh result has been read back before.
  code = errc::invalid_argument;
  detail = "this command id was first used by a command with another result: " +
           actors::current_failure(errc::invalid_argument).detail;
}

void runtime_core::submit_batch(actors::operation_ptr batch) {
  auto& all = static_cast<batch_operation&>(*batch);
  if (all.commands.empty()) return actors::operation::complete(std::move(batch));
  std::vector<actors::operation_ptr> asked(all.commands.size());
  all.in_flight.reserve(asked.size());
  asked.swap(all.commands);
  for (std::size_t place = 0; place < asked.size(); ++place) {
    asked[place]->deliver_by<batch_slot>(all, place);
    all.in_flight.push_back(&*asked[place]);
  }
  all.self = std::move(batch);
  std::vector<actors::operation_ptr> admitted;
  admitted.reserve(asked.size());
  for (auto& one : asked) {
    self_->engine->watch(*one);
    if (self_->admit(*one)) {
      admitted.push_back(std::move(one));
    } else if (!one->completed()) {
      // One that waits may be let in by another thread at once, and must not overtake those that came before it.
      self_->submit_admitted(std::exchange(admitted, {}));
      self_->wait(std::move(one));
    }
  }
  // Else the last one waited, and may be answered: then this runtime may be gone.
  if (!admitted.empty()) self_->engine->submit_many(std::move(admitted));
}

void runtime_core::submit_read(actors::operation_ptr asked) {
  auto& self = *self_;
  const auto refuse = [&](errc code, std::string why) { asked->complete(actors::outcome::failed(code, std::move(why))); };
  if (self.closed.load()) return refuse(errc::draining, to_string(asked->stream()));
  if (!self.enter()) return refuse(errc::overloaded, std::to_string(self.in_flight_max) + " operations are in flight");
  asked->admitted_by = &self;
  // A drain that began meanwhile either waits for this place to be given up, or is seen here.
  if (self.closed.load()) return refuse(errc::draining, to_string(asked->stream()));
  self.engine->read(std::move(asked));
}

actors::operation_ptr runtime_core::wait(actors::operation_ptr asked, void (runtime_core::*how)(actors::operation_ptr)) {
  auto& engine = *self_->engine;
  if (engine.runs_this_thread()) throw std::logic_error(std::string("cairn: a blocking call was made ") + on_own_thread);
  const auto thread = std::make_shared<waiting_thread>();
  asked->deliver_by<waiting_thread::waker>(thread);
  (this->*how)(std::move(asked));
  try {
    while (!engine.has_threads() && !thread->is_set()) engine.make_progress();
  } catch (...) {
    thread->leave();  // the operation may complete later, and then has no caller
    throw;
  }
  return thread->wait();
}

void runtime_core::drain(drain_snapshots snapshots) {
  auto& self = *self_;
  if (self.engine->runs_this_thread()) throw std::logic_error(std::string("cairn: drain() was called ") + on_own_thread);
  self.closed = true;
  std::lock_guard one_at_a_time(self.drain_mutex);
  {
    std::unique_lock lock(self.mutex);
    self.drain_waits = true;
    self.somebody_waits = true;
    const auto all_left = [&] { return self.all_left_locked(); };
    while (!self.engine->has_threads() && !all_left()) {
      lock.unlock();
      self.engine->make_progress();
      lock.lock();
    }
    self.nobody_in_flight.wait(lock, all_left);
    self.drain_waits = false;
    self.somebody_waits = false;
  }
  self.engine->drain(snapshots == drain_snapshots::yes);
}

void runtime_core::drain_with_snapshots(actors::operation_ptr asked) {
  drain_in_background(drain_snapshots::yes, std::move(asked));
}
void runtime_core::drain_without_snapshots(actors::operation_ptr asked) {
  drain_in_background(drain_snapshots::no, std::move(asked));
}
void runtime_core::drain_in_background(drain_snapshots snapshots, actors::operation_ptr asked) {
  if (!self_->engine->has_threads()) {
    drain(snapshots);
    return actors::operation::complete(std::move(asked));
  }
  std::lock_guard lock(self_->mutex);
  self_->drainers.emplace_back([this, snapshots, asked = std::move(asked)]() mutable {
    drain(snapshots);
    actors::operation::complete(std::move(asked));
  });
}

void runtime_core::start_subscription_read(actors::operation_ptr read) {
  self_->take_place_for(*read);  // as long as it has that, the runtime lives
  if (begin_subscription_read(*read)) self_->hand_to_reader(std::move(read));
}

position runtime_core::head() const noexcept { return self_->engine->head(); }
log_tail& runtime_core::tail() noexcept { return self_->tail; }

runtime_statistics runtime_core::statistics() const noexcept {
  const auto& counts = self_->engine->stats();
  return {
      counts.commits,          counts.events,           counts.failed_commits,  counts.commit_ns,        counts.last_commit_ns,
      counts.live_aggregates,  counts.activations,      counts.passivations,    counts.recoveries,       counts.failed_recoveries,
      counts.events_recovered, counts.snapshots_loaded, counts.snapshots_saved, counts.failed_snapshots, counts.skipped_snapshots,
      self_->in_flight.load()};
}
std::size_t runtime_core::in_flight() const noexcept { return self_->in_flight.load(); }

#if defined(BOOST_ASIO_HAS_CO_AWAIT)
namespace {

/// handler(exception, answer): the coroutine gets the answer, or cairn::error.
struct answer_or_exception {
  using signature = void(std::exception_ptr, answer<>);
  template <class Handler>
  static void call(Handler&& handler, actors::operation_ptr asked) {
    auto value = answer_maker<void>::make(*asked);
    asked->destroy_completion();
    asked = {};
    std::exception_ptr failure;
    try {
      throw_if_failed(value);
    } catch (...) { failure = std::current_exception(); }
    std::move(handler)(std::move(failure), std::move(value));
  }
};

}  // namespace

boost::asio::awaitable<actors::operation_ptr> completed(submission submit, actors::operation_ptr asked) {
  return initiate<operation_alone>(submit, std::move(asked), boost::asio::use_awaitable);
}

boost::asio::awaitable<answer<>> answered(submission submit, actors::operation_ptr asked, if_failed then) {
  // Not a coroutine: its frame would be a cost of every command that is awaited.
  if (then == if_failed::throws) return initiate<answer_or_exception>(submit, std::move(asked), boost::asio::use_awaitable);
  return initiate<value_alone<answer_maker<void>>>(submit, std::move(asked), boost::asio::use_awaitable);
}
#endif

}  // namespace detail

}  // namespace cairn
