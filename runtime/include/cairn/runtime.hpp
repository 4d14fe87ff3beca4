// What an application holds: one runtime over one journal. Ask, look, look back, drain.
//
// Every call comes in two forms: with any Asio completion token (a callback, use_awaitable, use_future, …), whose handler is
// called through its associated executor with (boost::system::error_code, result); and without one, for plain threads, which
// blocks and throws cairn::error. Never block one of the threads that run your handlers.
#pragma once

#include <cairn/actors/engine.hpp>
#include <cairn/actors/typed_operation.hpp>
#include <cairn/answer.hpp>
#include <cairn/batch.hpp>
#include <cairn/command_options.hpp>
#include <cairn/completion.hpp>
#include <cairn/journal.hpp>
#include <cairn/time.hpp>

// Boost 1.74's awaitable.hpp uses std::exchange without including it.
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace cairn {

struct runtime_options {
  /// Where events and snapshots are kept. Shared with the runtime until it has drained.
  std::shared_ptr<cairn::journal> journal = {};
  /// Operations taken in and not answered yet, reads included. At least 1. Past it: errc::overloaded, or waiting, as the
  /// command chose.
  std::size_t in_flight_max = 100'000;
  /// Commands that wait for a place. Past it: errc::overloaded.
  std::size_t waiting_max = 100'000;
  /// The bounds of the actors; the runtime's constructor says in a sentence which of them is out of its range.
  actors::settings bounds = {};
  cairn::clock clock = system_now;
  /// Told of what went wrong and was survived (a failed recovery, a damaged snapshot). From any thread; must not block. What it
  /// throws goes to stderr.
  actors::warn_function on_warning = warn_on_stderr;

  static void warn_on_stderr(const std::string& sentence);
};

/// The moment, in the business's own time, as of which a state is wanted: events count by occurred-at, where they have one.
struct as_occurred {
  timestamp at;
};

/// Whether drain() leaves a snapshot of each live aggregate, so that the next start reads no events after it.
enum class drain_snapshots { yes, no };

namespace detail {

class runtime_core;

/// The compiled part of the runtime. Thread safety: every member from any thread.
class runtime_core {
public:
  runtime_core(runtime_options options, const actors::engine_factory& make_engine);
  ~runtime_core();

  void submit(actors::operation_ptr asked);
  void submit_many(std::vector<actors::operation_ptr> asked);
  void submit_read(const stream_id& stream, std::shared_ptr<actors::read_job> job);
  void drain(drain_snapshots snapshots);
  /// Drains on a thread of its own, then calls `done` there; before it returns where the engine has no threads.
  void drain_in_background(drain_snapshots snapshots, std::function<void()> done);
  const actors::warn_function& warn() const noexcept;
  const actors::counters& stats() const noexcept;
  std::size_t in_flight() const noexcept;

private:
  struct implementation;
  std::unique_ptr<implementation> self_;
};

template <Aggregate A, class Command>
using answer_of = answer<typename actors::decision_of<A, Command>::result_type>;
template <Aggregate A, class Command>
using batched_answer_of = batched_answer<typename actors::decision_of<A, Command>::result_type>;

template <class Command>
std::vector<addressed<Command>> addressed_to(std::string_view id, std::vector<Command>&& commands) {
  std::vector<addressed<Command>> all;
  all.reserve(commands.size());
  for (auto& command : commands) all.push_back({std::string(id), std::move(command)});
  return all;
}

/// What became of a command, as its asker is told.
template <class Result>
struct make_answer {
  std::pair<errc, answer<Result>> operator()(actors::operation& asked) const {
    auto& told = asked.answer();
    std::pair<errc, answer<Result>> made;
    auto& given = made.second;
    given.version = told.version;
    given.events = told.events;
    given.repeated = told.repeated;
    if (told.rejected) given.rejected.emplace(rejection{std::move(told.text)});
    if constexpr (!std::is_void_v<Result>) {
      if (told.code == errc{} && !told.rejected) {
        try {
          given.result = codec::decode<Result>(told.text);
        } catch (...) {
          // A fresh result has been read back before. The first answer to this command id had another type.
          told.code = errc::invalid_argument;
          told.text = "this command id was first used by a command with another result: " +
                      actors::current_failure(errc::invalid_argument).detail;
        }
      }
    }
    if (told.code != errc{}) given.detail = std::move(told.text);
    made.first = told.code;
    return made;
  }
};

/// What a look has seen, as its asker is told.
template <Aggregate A>
struct make_versioned {
  std::pair<errc, versioned<A>> operator()(actors::operation& asked) const {
    auto& look = static_cast<actors::look_operation<A>&>(asked);
    auto& told = look.answer();
    if (told.code != errc{}) return {told.code, versioned<A>{{}, told.version, std::move(told.text)}};
    return {errc{}, versioned<A>{std::move(look.seen), told.version, {}}};
  }
};

using operations = std::vector<actors::operation_ptr>;

/// The operations of a batch that are completed, in the order of its commands. Hands all of them over once the last is, and is
/// gone with that: each is completed exactly once, so nobody needs to own it meanwhile. What is answered is told where they are
/// taken (answers_of): whoever completes them, usually the journal, has other things to do, and their memory is another core's.
/// Complete: `void(operations&&)`.
template <class Complete>
class batch_in_flight {
public:
  batch_in_flight(std::size_t commands, Complete complete)
      : left_(commands), completed_(commands), complete_(std::move(complete)) {}

  /// What completes the operation at `place`. From any thread.
  struct slot {
    batch_in_flight* batch;
    std::size_t place;
    void operator()(actors::operation_ptr asked) { batch->set(place, std::move(asked)); }
  };

private:
  void set(std::size_t place, actors::operation_ptr asked) {
    completed_[place] = std::move(asked);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    const std::unique_ptr<batch_in_flight> done(this);
    complete_(std::move(completed_));
  }

  std::atomic<std::size_t> left_;
  operations completed_;
  Complete complete_;
};

template <class Result>
std::vector<batched_answer<Result>> answers_of(operations&& completed) {
  std::vector<batched_answer<Result>> answers;
  answers.reserve(completed.size());
  for (auto& asked : completed) {
    auto [code, answer] = make_answer<Result>{}(*asked);
    answers.push_back({as_asio_code(code), std::move(answer)});
    asked = {};
  }
  return answers;
}

/// A read of the journal, on a reader's thread. `Read` makes the value, or throws.
template <class Value, class Read, class Complete>
class journal_read final : public actors::read_job {
public:
  journal_read(Read read, Complete complete) : read_(std::move(read)), complete_(std::move(complete)) {}
  ~journal_read() override {
    if (complete_) refuse(errc::abandoned, {});
  }

  void run(journal& store) noexcept override {
    std::optional<Value> value;
    actors::failure failed;
    try {
      value.emplace(read_(store));
    } catch (...) { failed = actors::current_failure(errc::journal_unavailable); }
    if (value) {
      finish(errc{}, std::move(*value));
    } else {
      refuse(failed.code, std::move(failed.detail));
    }
  }

  void refuse(errc code, std::string detail) noexcept override {
    Value value;
    value.detail = std::move(detail);
    finish(code, std::move(value));
  }

private:
  void finish(errc code, Value&& value) noexcept {
    auto complete = *std::exchange(complete_, std::nullopt);
    if (auto* keeper = std::exchange(admitted_by, nullptr)) keeper->leave();
    complete(code, std::move(value));
  }

  Read read_;
  std::optional<Complete> complete_;
};

template <Aggregate A>
versioned<A> past_state(journal& store, const stream_id& stream, version at, const actors::warn_function& warn) {
  const auto found = actors::recover(store, actors::type_of<A>, stream, 0, warn, {at, timestamp::max()});
  if (found.version < at) {
    throw error(errc::invalid_argument, to_string(stream) + " is at version " + std::to_string(found.version.value) +
                                            "; there is no version " + std::to_string(at.value) + " yet");
  }
  return {static_cast<const actors::hosted<A>&>(*found.state).value, found.version, {}};
}

template <Aggregate A>
versioned<A> past_state(journal& store, const stream_id& stream, timestamp at, const actors::warn_function& warn) {
  const auto found = actors::recover(store, actors::type_of<A>, stream, 0, warn, {version::max(), at});
  return {static_cast<const actors::hosted<A>&>(*found.state).value, found.version, {}};
}

template <Aggregate A>
versioned<A> past_state(journal& store, const stream_id& stream, as_occurred by, const actors::warn_function&) {
  const auto found = actors::recover_as_occurred(store, actors::type_of<A>, stream, by.at);
  return {static_cast<const actors::hosted<A>&>(*found.state).value, found.version, {}};
}

template <Aggregate A>
history_part<A> read_history(journal& store, const stream_id& stream, version_range range) {
  history_part<A> part;
  store.read(stream, range, [&](const record_view& record) {
    part.events.push_back({record.version, record.position, read_event<A>(record), record.recorded_at, record.occurred_at,
                           record.expected, std::string(record.command_id), std::string(record.correlation_id),
                           std::string(record.causation_id), std::string(record.who), metadata_keys(record)});
    return true;
  });
  return part;
}

template <class Token>
inline constexpr bool is_awaitable_token = false;
template <class Executor>
inline constexpr bool is_awaitable_token<boost::asio::use_awaitable_t<Executor>> = true;
template <class Token>
inline constexpr bool is_awaitable_token<boost::asio::redirect_error_t<Token>> = is_awaitable_token<Token>;
template <class Token, class Executor>
inline constexpr bool is_awaitable_token<boost::asio::executor_binder<Token, Executor>> = is_awaitable_token<Token>;

/// g++ before 13 destroys a brace-made temporary that owns memory twice, when it stands inside a co_await expression. Such a
/// temporary is an aggregate passed as an rvalue, and is refused here with a sentence instead.
template <class Argument, class Token>
consteval void require_survives_await() {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
  constexpr bool temporary = !std::is_lvalue_reference_v<Argument>;
  using value = std::remove_cvref_t<Argument>;
  static_assert(
      !(temporary && std::is_aggregate_v<value> && !std::is_trivially_copyable_v<value> && is_awaitable_token<Token>),
      "cairn: this compiler miscompiles a brace-made temporary that owns memory (a string, say) inside co_await; give it "
      "a name first, `Command command{...}; co_await runtime.ask<A>(id, command, ...)`, or give its type a constructor");
#endif
}

}  // namespace detail

/// Takes commands for any number of aggregates over one journal.
///
/// Thread safety: every member from any thread. Ownership: owns its actors and threads; neither copied nor
/// moved. Errors of every call: those of cairn::errc, as documented there. The execution context of a handler
/// must live until its run() returns because no work is left: the runtime keeps work outstanding there for as
/// long as it uses the context. A context that is stopped or polled instead must outlive the runtime. A handler, an aggregate's
/// result and an aggregate's state must be movable without throwing: there is nobody to tell.
///
/// Lifetime: any thread may create a runtime and any other may destroy it, whether the threads that created
/// or used it still run or not. The destructor drains. No call may be in progress; a call with a handler is
/// over when the handler is called, even if the function that started it has not returned yet. So a handler
/// or a coroutine may destroy the runtime that calls it.
///
/// The runtime's own threads cannot wait for their own end. They run decide, evolve, the clock, on_warning,
/// the journal, and any handler whose executor runs it where it is posted. On such a thread drain() without a
/// token throws std::logic_error, and the destructor writes a sentence to stderr and aborts.
///
/// Exit: exit(), and the return from main, drain each living runtime, newest first, before they destroy
/// static objects that were made before that runtime. A runtime may be static, on the stack of another thread
/// or never destroyed. Called by exit() on a runtime's own thread, the drain is skipped with a sentence to
/// stderr. Threads that use a static runtime should end before exit(): their calls fail with errc::draining,
/// and after its destruction they must not call it.
///
/// Fork: the child has none of the threads. It must not use or destroy the runtime, and its exit() does not
/// drain.
class runtime {
public:
  /// Starts. Throws error(errc::invalid_argument), naming the option, its value and its range. The actors have threads of their
  /// own, unless another engine is given: the testkit's steps them by hand.
  explicit runtime(runtime_options options, const actors::engine_factory& make_engine = actors::threaded_engine)
      : core_(std::move(options), make_engine) {}

  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  /// Asks the aggregate `A` with `id` to carry out `command`; completes with (error_code, answer) once what it did is durable.
  /// What one thread asks of one aggregate is decided in that order, and what was decided is answered in the order of the
  /// decisions, as far as the executors of the handlers keep it. Only what is refused undecided, or told at its deadline, comes
  /// sooner. Answers for one io_context come up to 32 in one of its handlers: one that waits inside for the answer of another
  /// command may wait for ever, and where one throws or stops the context, the others of its 32 come later than what was posted
  /// meanwhile.
  template <class A, class Command, class Options, class Token>
  requires std::same_as<std::remove_cvref_t<Options>, command_options>
  auto ask(std::string_view id, Command&& command, Options&& options, Token&& token) {
    using command_type = std::remove_cvref_t<Command>;
    require_command<A, command_type>();
    detail::require_survives_await<Command, std::remove_cvref_t<Token>>();
    detail::require_survives_await<Options, std::remove_cvref_t<Token>>();
    return initiate<A, command_type>(id, std::forward<Command>(command), actors::boxed(std::forward<Options>(options)),
                                     std::forward<Token>(token));
  }
  template <class A, class Command, class Token>
  requires(!std::same_as<std::remove_cvref_t<Token>, command_options>) auto ask(std::string_view id, Command&& command,
                                                                                Token&& token) {
    using command_type = std::remove_cvref_t<Command>;
    require_command<A, command_type>();
    detail::require_survives_await<Command, std::remove_cvref_t<Token>>();
    return initiate<A, command_type>(id, std::forward<Command>(command), {}, std::forward<Token>(token));
  }
  /// The same, blocking. Throws cairn::error.
  template <class A, class Command>
  auto ask(std::string_view id, Command command, command_options options = {}) {
    require_command<A, Command>();
    detail::blocking_slot<detail::answer_of<A, Command>> slot;
    submit<A>(std::string(id), std::move(command), actors::boxed(std::move(options)), detail::blocking_completion{&slot});
    return slot.wait();
  }

  /// Hands over many commands in one call; completes once, when each has its outcome, with (std::vector<batched_answer<Result>>),
  /// in the order of the commands. Nothing fails as a whole, so there is no error_code before the vector, and use_awaitable does
  /// not throw: each element has a code of its own.
  ///
  /// Not atomic: each command is decided and answered by itself, as if it were asked alone. Those of one aggregate are
  /// carried out in their order, and different aggregates in parallel. Events may be recorded as of the moment at which their
  /// aggregate took the batch, not each as of its own. Each command takes a place among those in flight, in order, and
  /// where there is none is refused or waits as its own options say; a batch may be larger than in_flight_max if its commands
  /// wait. g++ before 13 takes no brace-made vector inside co_await ("array used as initializer"): give it a name, and move it.
  template <class A, class Command, class Token>
  auto ask_many(std::vector<addressed<Command>> commands, Token&& token) {
    require_batch_command<A, Command>();
    using result_type = typename actors::decision_of<A, Command>::result_type;
    return boost::asio::async_initiate<Token, void(std::vector<batched_answer<result_type>>)>(
        [this](auto handler, std::vector<addressed<Command>> what) {
          submit_many<A>(std::move(what), [done = detail::completion(std::move(handler))](detail::operations&& all) mutable {
            done.post_made([all = std::move(all)]() mutable { return detail::answers_of<result_type>(std::move(all)); });
          });
        },
        token, std::move(commands));
  }
  /// The same for one aggregate, with the default options.
  template <class A, class Command, class Token>
  auto ask_many(std::string_view id, std::vector<Command> commands, Token&& token) {
    return ask_many<A>(detail::addressed_to(id, std::move(commands)), std::forward<Token>(token));
  }
  /// The same, blocking. Throws nothing of its own.
  template <class A, class Command>
  auto ask_many(std::vector<addressed<Command>> commands) {
    require_batch_command<A, Command>();
    std::promise<detail::operations> promise;
    auto completed = promise.get_future();
    submit_many<A>(std::move(commands), [promise = std::move(promise)](detail::operations&& all) mutable {
      actors::answers_together::post_gathered();
      promise.set_value(std::move(all));
    });
    return detail::answers_of<typename actors::decision_of<A, Command>::result_type>(completed.get());
  }
  template <class A, class Command>
  auto ask_many(std::string_view id, std::vector<Command> commands) {
    return ask_many<A>(detail::addressed_to(id, std::move(commands)));
  }

  /// The present state, once all that made it is durable; completes with (error_code, versioned<A>).
  template <class A, class Token>
  auto state(std::string_view id, Token&& token) {
    require_aggregate<A>();
    return boost::asio::async_initiate<Token, void(boost::system::error_code, versioned<A>)>(
        [this](auto handler, std::string of) { look<A>(std::move(of), detail::completion(std::move(handler))); }, token,
        std::string(id));
  }
  template <class A>
  versioned<A> state(std::string_view id) {
    require_aggregate<A>();
    detail::blocking_slot<versioned<A>> slot;
    look<A>(std::string(id), detail::blocking_completion{&slot});
    return slot.wait();
  }

  /// The state as it was, by replay. `when` is a version (errc::invalid_argument where the aggregate has not come so far), a
  /// timestamp (all that was recorded up to and at that moment), or as_occurred (all that had happened by then in the
  /// business's own time). Before the first event it is the empty state at version 0.
  template <class A, class When, class Token>
  auto state_at(std::string_view id, When when, Token&& token) {
    require_aggregate<A>();
    return boost::asio::async_initiate<Token, void(boost::system::error_code, versioned<A>)>(
        [this, when](auto handler, std::string of) { look_back<A>(std::move(of), when, detail::completion(std::move(handler))); },
        token, std::string(id));
  }
  template <class A, class When>
  versioned<A> state_at(std::string_view id, When when) {
    require_aggregate<A>();
    detail::blocking_slot<versioned<A>> slot;
    look_back<A>(std::string(id), when, detail::blocking_completion{&slot});
    return slot.wait();
  }

  /// The events in `range`, each with its record; completes with (error_code, history_part<A>). All of them are held in memory:
  /// give a limit for a long history.
  template <class A, class Token>
  auto history(std::string_view id, version_range range, Token&& token) {
    require_aggregate<A>();
    return boost::asio::async_initiate<Token, void(boost::system::error_code, history_part<A>)>(
        [this, range](auto handler, std::string of) { tell<A>(std::move(of), range, detail::completion(std::move(handler))); },
        token, std::string(id));
  }
  template <class A>
  history_part<A> history(std::string_view id, version_range range = {}) {
    require_aggregate<A>();
    detail::blocking_slot<history_part<A>> slot;
    tell<A>(std::string(id), range, detail::blocking_completion{&slot});
    return slot.wait();
  }

  /// Takes nothing more in (errc::draining), finishes what is in flight, leaves snapshots as said, waits for outstanding appends
  /// and snapshot writes, and lets go of the journal. Completes with (error_code), never with an error. A second call waits for
  /// the first.
  template <class Token>
  requires(!std::same_as<std::remove_cvref_t<Token>, drain_snapshots>) auto drain(
      Token&& token, drain_snapshots snapshots = drain_snapshots::yes) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code)>(
        [this, snapshots](auto handler) {
          auto done = std::make_shared<detail::completion<decltype(handler)>>(std::move(handler));
          core_.drain_in_background(snapshots, [done] { (*done)(errc{}); });
        },
        token);
  }
  void drain(drain_snapshots snapshots = drain_snapshots::yes) { core_.drain(snapshots); }

  /// What has happened so far, by count.
  const actors::counters& statistics() const noexcept { return core_.stats(); }
  /// Operations taken in and not answered yet.
  std::size_t in_flight() const noexcept { return core_.in_flight(); }

private:
  template <class A, class Command, class Token>
  auto initiate(std::string_view id, auto&& command, actors::boxed_options options, Token&& token) {
    return boost::asio::async_initiate<Token, void(boost::system::error_code, detail::answer_of<A, Command>)>(
        [this](auto handler, std::string to, Command what, actors::boxed_options how) {
          submit<A>(std::move(to), std::move(what), std::move(how), detail::completion(std::move(handler)));
        },
        token, std::string(id), std::forward<decltype(command)>(command), std::move(options));
  }

  template <class A, class Command, class Complete>
  void submit(std::string id, Command command, actors::boxed_options options, Complete complete) {
    using result_type = typename actors::decision_of<A, Command>::result_type;
    auto done = [complete = std::move(complete)](actors::operation_ptr asked) mutable {
      complete.answer(std::move(asked), detail::make_answer<result_type>{});
    };
    core_.submit(actors::operation_ptr(new actors::command_operation<A, Command, decltype(done)>(
        std::move(id), std::move(command), std::move(options), std::move(done))));
  }

  template <class A, class Command, class Complete>
  void submit_many(std::vector<addressed<Command>> commands, Complete complete) {
    using batch_type = detail::batch_in_flight<Complete>;
    if (commands.empty()) return complete({});
    auto batch = std::make_unique<batch_type>(commands.size(), std::move(complete));
    detail::operations operations;  // behind the batch: where one cannot be made, the others go before it
    operations.reserve(commands.size());
    for (auto& [id, command, options] : commands) {
      operations.emplace_back(new actors::command_operation<A, Command, typename batch_type::slot>(
          std::move(id), std::move(command), actors::boxed(std::move(options)), {batch.get(), operations.size()}));
    }
    batch.release();
    core_.submit_many(std::move(operations));
  }

  template <class A, class Complete>
  void look(std::string id, Complete complete) {
    auto done = [complete = std::move(complete)](actors::operation_ptr asked) mutable {
      complete.answer(std::move(asked), detail::make_versioned<A>{});
    };
    core_.submit(actors::operation_ptr(new actors::completing_look<A, decltype(done)>(std::move(id), std::move(done))));
  }

  template <class A, class When, class Complete>
  void look_back(std::string id, When when, Complete complete) {
    stream_id stream(A::category, id);
    read<versioned<A>>(
        stream, [stream, when, warn = core_.warn()](journal& store) { return detail::past_state<A>(store, stream, when, warn); },
        std::move(complete));
  }

  template <class A, class Complete>
  void tell(std::string id, version_range range, Complete complete) {
    stream_id stream(A::category, id);
    read<history_part<A>>(
        stream, [stream, range](journal& store) { return detail::read_history<A>(store, stream, range); }, std::move(complete));
  }

  template <class Value, class Read, class Complete>
  void read(const stream_id& stream, Read how, Complete complete) {
    core_.submit_read(stream, std::make_shared<detail::journal_read<Value, Read, Complete>>(std::move(how), std::move(complete)));
  }

  detail::runtime_core core_;
};

}  // namespace cairn
