// The runtime: commands to aggregates, and their states, pasts and histories, over one journal.
//
//     auto answer = co_await runtime.ask<Product>("1", AddStock{3});
//     if (!answer) std::cout << answer.rejected->code;
//
// Every call has these forms, by its last argument:
//   no token               an awaitable for co_await, which throws cairn::error if the call fails. A call that is neither
//                          awaited nor given a token does nothing, and the compiler warns
//   cairn::as_result       the same without the exception: the value says whether the call failed
//   cairn::blocking        blocks the thread; throws cairn::error
//   any token of Asio's    completes with (boost::system::error_code, value), on the handler's associated executor, with
//                          its associated allocator and cancellation slot. ask_many has no error_code, drain no value
#pragma once

#include <cairn/answer.hpp>
#include <cairn/batch.hpp>
#include <cairn/command_options.hpp>
#include <cairn/detail/completion.hpp>
#include <cairn/detail/operation.hpp>
#include <cairn/detail/typed_operation.hpp>
#include <cairn/journal.hpp>
#include <cairn/runtime_options.hpp>
#include <cairn/time.hpp>
#include <cairn/tokens.hpp>

// Boost 1.74's awaitable.hpp uses std::exchange without including it.
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/asio/detail/config.hpp>
#if defined(BOOST_ASIO_HAS_CO_AWAIT)
#include <boost/asio/use_awaitable.hpp>
#endif

#include <concepts>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace cairn::inline v1 {

/// The moment, in the business's own time, as of which a state is wanted: events count by occurred-at, if they have one.
struct as_occurred {
  timestamp at;
};

/// Whether drain() saves a snapshot of each live aggregate, so that the next start reads no events after it.
enum class drain_snapshots { yes, no };

namespace actors {
class engine;
struct engine_parts;
}  // namespace actors

namespace detail {

/// Makes the actors. The testkit's runs them step by step.
using engine_factory = std::function<std::unique_ptr<actors::engine>(actors::engine_parts&&)>;

class log_tail;

/// Names a version of Boost. Asio's types differ between versions: a program that is compiled with another Boost than the
/// library does not link, and the linker names this type.
template <int Version>
struct compiled_with_boost {};

/// The compiled part of the runtime. Thread safety: every member from any thread.
class runtime_core {
public:
  /// Without a factory the actors have threads of their own.
  runtime_core(runtime_options options, const engine_factory* make_engine, compiled_with_boost<BOOST_VERSION>);
  ~runtime_core();

  void submit(actors::operation_ptr asked);
  /// Submits the commands of a batch that make_batch() made.
  void submit_batch(actors::operation_ptr batch);
  void submit_read(actors::operation_ptr asked);
  /// Begins a call of a subscription.
  void start_subscription_read(actors::operation_ptr read);
  /// Lets a reader run operation::read() for a subscription, again after each record that it waits for.
  void follow(actors::operation_ptr read);
  /// Drains on a new thread, then completes `asked`; before it returns if the engine has no threads.
  void drain_with_snapshots(actors::operation_ptr asked);
  void drain_without_snapshots(actors::operation_ptr asked);
  void drain(drain_snapshots snapshots);

  /// Submits an operation and waits until it is completed. See `blocking`.
  actors::operation_ptr wait(actors::operation_ptr asked, void (runtime_core::*how)(actors::operation_ptr));

  runtime_statistics statistics() const noexcept;
  std::size_t in_flight() const noexcept;
  position head() const noexcept;
  /// What subscriptions that keep up share.
  log_tail& tail() noexcept;

private:
  struct implementation;
  void drain_in_background(drain_snapshots snapshots, actors::operation_ptr asked);

  std::unique_ptr<implementation> self_;
};

/// How an operation is submitted to a runtime.
struct submission {
  runtime_core* core;
  void (runtime_core::*how)(actors::operation_ptr);

  void operator()(actors::operation_ptr asked) const { (core->*how)(std::move(asked)); }
};

/// An operation that only carries a completion.
actors::operation_ptr make_signal();
/// An operation that completes when the last of `commands` has.
actors::operation_ptr make_batch(std::vector<actors::operation_ptr> commands);
/// The commands of a completed batch, in their order.
std::vector<actors::operation_ptr>& completed_in(actors::operation& batch) noexcept;

template <Aggregate A, class Command>
using answer_of = answer<actors::result_of<A, Command>>;

// The makers of values: see detail/completion.hpp.

/// Moves the outcome of a command into the answer, all but the typed result; returns the bytes of that if there are any.
template <class Result>
std::string take_outcome(actors::outcome& from, answer<Result>& into) {
  into.version = from.version;
  into.events = from.events;
  into.repeated = from.repeated;
  into.code = from.code;
  if (from.code != errc{}) {
    into.detail = std::move(from.text);
  } else if (from.rejected) {
    into.rejected.emplace(std::move(*from.rejected));
  }
  return std::move(from.text);
}

/// Notes that the first answer to a command id has another type than `decide` has now.
void set_other_result(errc& code, std::string& detail);

template <class Result>
struct answer_maker {
  using value_type = answer<Result>;
  static value_type make(actors::operation& asked) {
    value_type made;
    const auto bytes = take_outcome(asked.answer(), made);
    if constexpr (!std::is_void_v<Result>) {
      if (made.accepted()) {
        try {
          made.result = codec<Result>::decode(bytes);
        } catch (...) { set_other_result(made.code, made.detail); }
      }
    }
    return made;
  }
};

template <Aggregate A>
struct state_maker {
  using value_type = versioned<A>;
  static value_type make(actors::operation& asked) {
    auto& outcome = asked.answer();
    value_type made;
    made.version = outcome.version;
    made.code = outcome.code;
    if (made.failed()) {
      made.detail = std::move(outcome.text);
    } else {
      made.state = std::move(static_cast<actors::state_operation<A>&>(asked).seen);
    }
    return made;
  }
};

/// A read of a part of an aggregate's history.
template <Aggregate A>
class history_operation final : public actors::operation {
public:
  history_operation(std::string_view id, version_range range) : operation(actors::type_of<A>, id), range_(range) {}

  void decide(const actors::hosted_state&, actors::draft&, actors::outcome&) override {}
  bool changes_nothing() const noexcept override { return true; }
  cairn::version read(journal& store, const actors::warn_function&) override {
    actors::read_records(store, stream(), range_, [&](const record_view& record) {
      events.push_back({record.version, record.position, read_event<A>(record), record.recorded_at, record.occurred_at,
                        record.expected, std::string(record.command_id), std::string(record.correlation_id),
                        std::string(record.causation_id), std::string(record.principal), metadata_of(record)});
    });
    return {};
  }

  std::vector<recorded_event<A>> events;

private:
  version_range range_;
};

template <Aggregate A>
struct history_maker {
  using value_type = history_part<A>;
  static value_type make(actors::operation& asked) {
    auto& outcome = asked.answer();
    if (outcome.code != errc{}) return {{}, outcome.code, std::move(outcome.text)};
    return {std::move(static_cast<history_operation<A>&>(asked).events), {}, {}};
  }
};

template <class Result>
struct batch_maker {
  using value_type = std::vector<answer<Result>>;
  static value_type make(actors::operation& batch) {
    auto& completed = completed_in(batch);
    value_type answers;
    answers.reserve(completed.size());
    for (auto& one : completed) {
      answers.push_back(answer_maker<Result>::make(*one));
      one = {};
    }
    return answers;
  }
};

struct done_alone {
  using signature = void(boost::system::error_code);
  template <class Handler>
  static void call(Handler&& handler, actors::operation_ptr asked) {
    asked->destroy_completion();
    asked = {};
    std::move(handler)(boost::system::error_code());
  }
};

template <class T>
inline constexpr bool is_options = std::is_same_v<T, command_options> || std::is_same_v<T, call_options>;

/// A completion token of a call: anything but the call's own arguments.
template <class T>
concept Token = !is_options<std::remove_cvref_t<T>> && !std::is_same_v<std::remove_cvref_t<T>, drain_snapshots> &&
                !std::is_same_v<std::remove_cvref_t<T>, version_range>;

/// An operation before it is submitted. Only moved, so that an asio::deferred operation starts once.
struct unsubmitted {
  explicit unsubmitted(actors::operation_ptr&& one) noexcept : asked(std::move(one)) {}
  unsubmitted(unsubmitted&&) = default;

  actors::operation_ptr asked;
};

/// Starts a call once its handler is known.
template <class Way>
struct initiation {
  submission submit;
  template <class Handler>
  void operator()(Handler&& handler, unsubmitted one) const {
    handler_completion<std::remove_cvref_t<Handler>, Way>::attach(*one.asked, std::move(handler));
    submit(std::move(one.asked));
  }
};

template <class Way, class Token>
auto initiate(submission submit, actors::operation_ptr asked, Token&& token) {
  return boost::asio::async_initiate<Token, typename Way::signature>(initiation<Way>{submit}, token,
                                                                     unsubmitted(std::move(asked)));
}

#if defined(BOOST_ASIO_HAS_CO_AWAIT)
/// What an awaited call does if it fails.
enum class if_failed { throws, returns };

/// Returns `asked` once it is completed. Compiled once instead of in each program, as answered() is.
boost::asio::awaitable<actors::operation_ptr> completed(submission submit, actors::operation_ptr asked);
/// Returns the answer to a command without a typed result.
boost::asio::awaitable<answer<>> answered(submission submit, actors::operation_ptr asked, if_failed then);

/// Returns the value that `Maker` makes.
template <class Maker>
boost::asio::awaitable<typename Maker::value_type> made(submission submit, actors::operation_ptr asked,
                                                        [[maybe_unused]] if_failed then) {
  auto done = co_await completed(submit, std::move(asked));
  auto value = Maker::make(*done);
  done = {};
  if constexpr (requires { value.code; }) {
    if (then == if_failed::throws) throw_if_failed(value);
  }
  co_return value;
}

/// Starts a call whose value is awaited.
template <class Maker>
boost::asio::awaitable<typename Maker::value_type> await(submission submit, actors::operation_ptr asked, if_failed then) {
  if constexpr (std::is_same_v<Maker, answer_maker<void>>) {
    return answered(submit, std::move(asked), then);
  } else {
    return made<Maker>(submit, std::move(asked), then);
  }
}
#endif

/// The token of the testkit. It starts the call itself and makes the value from the operation, so that one compiled handler
/// serves all types of values.
struct operation_token {
  void (*start)(void* context, submission submit, actors::operation_ptr asked);
  void* context;
};

/// Starts a call with a token. `Maker` makes its value.
template <class Maker, class Token>
auto call(submission submit, actors::operation_ptr asked, Token&& token) {
  using token_type = std::remove_cvref_t<Token>;
  if constexpr (std::is_same_v<token_type, blocking_t>) {
    auto done = submit.core->wait(std::move(asked), submit.how);
    auto value = Maker::make(*done);
    done = {};
    if constexpr (requires { value.code; }) throw_if_failed(value);
    return value;
  } else if constexpr (std::is_same_v<token_type, as_result_t>) {
#if defined(BOOST_ASIO_HAS_CO_AWAIT)
    return await<Maker>(submit, std::move(asked), if_failed::returns);
#else
    static_assert(never<Token>, "cairn: as_result is for coroutines, and this compiler has none for Asio");
#endif
  } else if constexpr (std::is_same_v<token_type, operation_token>) {
    token.start(token.context, submit, std::move(asked));
  } else if constexpr (requires(typename Maker::value_type value) { value.code; }) {
    return initiate<with_code<Maker>>(submit, std::move(asked), std::forward<Token>(token));
  } else {
    return initiate<value_alone<Maker>>(submit, std::move(asked), std::forward<Token>(token));
  }
}

#if defined(BOOST_ASIO_HAS_CO_AWAIT)
/// Starts a call without a token.
template <class Maker>
auto call(submission submit, actors::operation_ptr asked) {
  return await<Maker>(submit, std::move(asked), if_failed::throws);
}
#else
template <class Maker>
void call(submission, actors::operation_ptr) {
  static_assert(never<Maker>, "cairn: this compiler has no coroutines for Asio: give the call a token");
}
#endif

template <class Token>
inline constexpr bool is_awaitable_token = std::is_same_v<Token, as_result_t>;
#if defined(BOOST_ASIO_HAS_CO_AWAIT)
template <class Executor>
inline constexpr bool is_awaitable_token<boost::asio::use_awaitable_t<Executor>> = true;
#endif
template <template <class...> class Adapter, class Token, class... Others>
inline constexpr bool is_awaitable_token<Adapter<Token, Others...>> = is_awaitable_token<Token>;  // bind_executor, ...

/// g++ before 13 destroys an aggregate made with braces twice if it is a temporary of a co_await expression. It does no
/// harm if that has no destructor. A named object that is moved looks the same to a template. docs/embedding.md names the
/// other expressions with co_await that these compilers translate wrongly, with and without cairn.
template <class Command, class... T>
consteval void require_survives_await() {
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
  using value = std::remove_cvref_t<Command>;
  constexpr bool temporary = !std::is_lvalue_reference_v<Command>;
  constexpr bool awaited = sizeof...(T) == 0 || (is_awaitable_token<std::remove_cvref_t<T>> || ...);
  static_assert(!(temporary && awaited && std::is_aggregate_v<value> && !std::is_trivially_destructible_v<value>),
                "cairn: g++ before 13 destroys a temporary `Command{...}` twice inside co_await if it owns memory, as a string "
                "does. Give it a name first and pass that without std::move, or give its type a constructor. Options can be "
                "written in braces alone");
#endif
}

}  // namespace detail

template <Aggregate A>
class aggregate_ref;
class subscription;
struct subscription_options;

/// Takes commands for any number of aggregates over one journal.
///
/// Thread safety: every member from any thread. Ownership: owns its actors and threads; neither copied nor
/// moved.
///
/// Errors of every call but drain(): invalid_argument, overloaded, draining, abandoned, cancelled, journal_unavailable,
/// corrupt_record, unknown_event. Each call names its others. docs/errors.md says what to do about each.
///
/// Executors: the execution context of a handler must live until its run() returns because no work is left: the runtime keeps
/// work outstanding there for as long as it uses the context. A context that is stopped or polled instead must outlive the
/// runtime. Moving a handler, an aggregate's result or its state must not throw: the exception could not be reported.
///
/// Cancellation: by the slot of a call's handler. `total` cancels a command only before it is decided; `partial` and `terminal`
/// also end the wait for its answer. The call completes with errc::cancelled (not stored) or, if the command is decided or has a
/// command id, with errc::cancelled_in_doubt. Each command of a batch is cancelled by itself; a drain cannot be cancelled.
///
/// Lifetime: any thread may create a runtime and any other may destroy it, whether the threads that created
/// or used it still run or not. The destructor drains. No call may be in progress; a call with a handler is
/// over when the handler is called, even if the function that started it has not returned yet. So a handler
/// or a coroutine may destroy the runtime that calls it.
///
/// The runtime's own threads cannot wait for their own end. They run decide, evolve, the clock, on_warning,
/// the journal, and any handler whose executor runs it where it is posted. On such a thread a blocking call
/// throws std::logic_error, and the destructor writes a sentence to stderr and aborts.
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
  /// Starts. Throws error(errc::invalid_argument), naming the option, its value and its range, and
  /// error(errc::store_in_use) if the journal belongs to another runtime.
  explicit runtime(runtime_options options) : core_(std::move(options), nullptr, {}) {}
  /// With other actors than those on threads: for the testkit.
  runtime(runtime_options options, const detail::engine_factory& make_engine) : core_(std::move(options), &make_engine, {}) {}

  runtime(const runtime&) = delete;
  runtime& operator=(const runtime&) = delete;

  /// The aggregate `A` with this id, whether it has events or not: `auto product = runtime.of<Product>("1");`. Valid as
  /// long as the runtime.
  template <class A>
  [[nodiscard]] aggregate_ref<A> of(aggregate_id id) {
    return {*this, std::string(std::string_view(id))};
  }

  /// Sends `command` to the aggregate `A` with `id`; completes with answer<Result> once its events are durable.
  ///
  /// Commands that one thread sends to one aggregate are decided in that order, and answered in the order of the
  /// decisions, as far as the executors of the handlers keep it. A command that is refused undecided, or answered at its
  /// deadline, may be answered earlier. Answers for one io_context come up to 32 in one of its handlers: a handler that
  /// blocks until another command is answered may block for ever. If one throws or stops the context, the others of its
  /// 32 come later than what was posted meanwhile.
  ///
  /// Further errors: version_conflict, deadline_passed, timed_out, cancelled_in_doubt, command_id_reused, decide_failed,
  /// recovery_failed, fenced.
  template <class A, class Command, detail::Token... T>
  requires(sizeof...(T) <= 1)
      [[nodiscard]] auto ask(aggregate_id id, Command&& command, const call_options& options, T&&... token) {
    return ask_boxed<A>(id, std::forward<Command>(command), actors::boxed(options), std::forward<T>(token)...);
  }
  /// With options that are moved.
  template <class A, class Command, std::same_as<command_options> Options, detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto ask(aggregate_id id, Command&& command, Options&& options, T&&... token) {
    detail::require_survives_await<Options, T...>();
    return ask_boxed<A>(id, std::forward<Command>(command), actors::boxed(std::move(options)), std::forward<T>(token)...);
  }
  template <class A, class Command, detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto ask(aggregate_id id, Command&& command, T&&... token) {
    return ask_boxed<A>(id, std::forward<Command>(command), {}, std::forward<T>(token)...);
  }

  /// Sends many commands in one call; completes once, when each has its outcome, with std::vector<answer<Result>>, in the
  /// order of the commands. Nothing fails as a whole: there is no error_code before the vector, and no form throws.
  ///
  /// Not atomic: each command is decided and answered by itself, as if it were sent alone. Those of one aggregate are
  /// decided in their order, and different aggregates in parallel. Events may be recorded as of the moment at which their
  /// aggregate took the batch, not each as of its own. Each command takes a place among those in flight, in order, and
  /// fails or waits without one, as its own options say; a batch may be larger than in_flight_max if its commands wait.
  ///
  /// Errors: each answer has its own, as of ask(). Throws std::bad_alloc if memory for the batch is short.
  template <class A, class Command, detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto ask_many(std::vector<addressed<Command>> commands, T&&... token) {
    require_batch_command<A, Command>();
    std::vector<actors::operation_ptr> operations;
    operations.reserve(commands.size());
    for (auto& [id, command, options] : commands) {
      operations.emplace_back(
          new actors::command_operation<A, Command>(id, std::move(command), actors::boxed(std::move(options))));
    }
    return detail::call<detail::batch_maker<actors::result_of<A, Command>>>(
        detail::submission{&core_, &detail::runtime_core::submit_batch}, detail::make_batch(std::move(operations)),
        std::forward<T>(token)...);
  }
  /// The same for one aggregate, with the default options.
  template <class A, class Command, detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto ask_many(aggregate_id id, std::vector<Command> commands, T&&... token) {
    std::vector<addressed<Command>> all;
    all.reserve(commands.size());
    for (auto& command : commands) all.push_back({std::string(std::string_view(id)), std::move(command)});
    return ask_many<A>(std::move(all), std::forward<T>(token)...);
  }

  /// Reads the present state, once all events that made it are durable; completes with versioned<A>. Further error:
  /// recovery_failed.
  template <class A, detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto state(aggregate_id id, T&&... token) {
    require_aggregate<A>();
    return detail::call<detail::state_maker<A>>(detail::submission{&core_, &detail::runtime_core::submit},
                                                actors::operation_ptr(new actors::state_operation<A>(id)),
                                                std::forward<T>(token)...);
  }

  /// Reads a past state by replay; completes with versioned<A>. `when` is a version (errc::invalid_argument if the
  /// aggregate has not reached it), a timestamp (all that was recorded up to and at that moment), or as_occurred (all that
  /// had happened by then in the business's own time). Before the first event it is the empty state at version 0. It reads
  /// the journal and needs no live aggregate, so recovery_failed cannot come.
  template <class A, class When, detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto state_at(aggregate_id id, When when, T&&... token) {
    require_aggregate<A>();
    return detail::call<detail::state_maker<A>>(detail::submission{&core_, &detail::runtime_core::submit_read},
                                                actors::operation_ptr(new actors::past_state_operation<A, When>(id, when)),
                                                std::forward<T>(token)...);
  }

  /// Reads the events in `range`, each with its record; completes with history_part<A>. All of them are held in memory:
  /// give a limit for a long history. Errors: those of every call.
  template <class A, detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto history(aggregate_id id, version_range range, T&&... token) {
    require_aggregate<A>();
    return detail::call<detail::history_maker<A>>(detail::submission{&core_, &detail::runtime_core::submit_read},
                                                  actors::operation_ptr(new detail::history_operation<A>(id, range)),
                                                  std::forward<T>(token)...);
  }
  template <class A, detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto history(aggregate_id id, T&&... token) {
    return history<A>(id, version_range{}, std::forward<T>(token)...);
  }

  /// Returns a subscription to the records of the journal: see cairn/subscription.hpp. Throws error(errc::invalid_argument) if an
  /// option is outside its range.
  [[nodiscard]] subscription subscribe(subscription_options options);

  /// The position of the last durable record; 0 if there is none. Once a command is answered, its events are not behind it.
  [[nodiscard]] position head() const noexcept { return core_.head(); }

  /// Admits nothing more (errc::draining), finishes what is in flight, saves snapshots as said, waits for outstanding
  /// appends and snapshot writes, and releases the journal. Completes with (error_code), never with an error. A second
  /// call waits for the first.
  template <detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto drain(drain_snapshots snapshots, T&&... token) {
    if constexpr ((std::is_same_v<std::remove_cvref_t<T>, blocking_t> || ...)) {
      core_.drain(snapshots);
    } else {
      const detail::submission begin{&core_, snapshots == drain_snapshots::yes ? &detail::runtime_core::drain_with_snapshots
                                                                               : &detail::runtime_core::drain_without_snapshots};
      if constexpr (sizeof...(T) == 1) {
        return detail::initiate<detail::done_alone>(begin, detail::make_signal(), std::forward<T>(token)...);
      } else {
#if defined(BOOST_ASIO_HAS_CO_AWAIT)
        return detail::initiate<detail::done_alone>(begin, detail::make_signal(), boost::asio::use_awaitable);
#else
        static_assert(sizeof...(T) == 1, "cairn: this compiler has no coroutines for Asio: give the call a token");
#endif
      }
    }
  }
  template <detail::Token... T>
  requires(sizeof...(T) <= 1) [[nodiscard]] auto drain(T&&... token) {
    return drain(drain_snapshots::yes, std::forward<T>(token)...);
  }

  /// The counts so far.
  [[nodiscard]] runtime_statistics statistics() const noexcept { return core_.statistics(); }
  /// Operations that are admitted and not finished. A cancelled or expired one counts until its aggregate has passed it.
  [[nodiscard]] std::size_t in_flight() const noexcept { return core_.in_flight(); }

private:
  friend class subscription;

  template <class A, class Command, class... T>
  auto ask_boxed(aggregate_id id, Command&& command, actors::boxed_options options, T&&... token) {
    using command_type = std::remove_cvref_t<Command>;
    require_command<A, command_type>();
    detail::require_survives_await<Command, T...>();
    return detail::call<detail::answer_maker<actors::result_of<A, command_type>>>(
        detail::submission{&core_, &detail::runtime_core::submit},
        actors::operation_ptr(
            new actors::command_operation<A, command_type>(id, std::forward<Command>(command), std::move(options))),
        std::forward<T>(token)...);
  }

  detail::runtime_core core_;
};

/// One aggregate of a runtime. A value: copies refer to the same aggregate. Valid as long as the runtime.
/// Thread safety: const members from any thread. Each call is that of the runtime without `A` and the id, with its errors.
template <Aggregate A>
class aggregate_ref {
public:
  aggregate_ref(cairn::runtime& runtime, std::string id) : runtime_(&runtime), id_(std::move(id)) {}

  const std::string& id() const noexcept { return id_; }

  template <class Command, detail::Token... T>
  [[nodiscard]] auto ask(Command&& command, const call_options& options, T&&... token) const {
    return runtime_->template ask<A>(id_, std::forward<Command>(command), options, std::forward<T>(token)...);
  }
  template <class Command, std::same_as<command_options> Options, detail::Token... T>
  [[nodiscard]] auto ask(Command&& command, Options&& options, T&&... token) const {
    return runtime_->template ask<A>(id_, std::forward<Command>(command), std::move(options), std::forward<T>(token)...);
  }
  template <class Command, detail::Token... T>
  [[nodiscard]] auto ask(Command&& command, T&&... token) const {
    return runtime_->template ask<A>(id_, std::forward<Command>(command), std::forward<T>(token)...);
  }
  template <class Command, detail::Token... T>
  [[nodiscard]] auto ask_many(std::vector<Command> commands, T&&... token) const {
    return runtime_->template ask_many<A>(id_, std::move(commands), std::forward<T>(token)...);
  }
  template <detail::Token... T>
  [[nodiscard]] auto state(T&&... token) const {
    return runtime_->template state<A>(id_, std::forward<T>(token)...);
  }
  template <class When, detail::Token... T>
  [[nodiscard]] auto state_at(When when, T&&... token) const {
    return runtime_->template state_at<A>(id_, when, std::forward<T>(token)...);
  }
  template <detail::Token... T>
  [[nodiscard]] auto history(version_range range, T&&... token) const {
    return runtime_->template history<A>(id_, range, std::forward<T>(token)...);
  }
  template <detail::Token... T>
  [[nodiscard]] auto history(T&&... token) const {
    return runtime_->template history<A>(id_, std::forward<T>(token)...);
  }

  /// Returns a subscription to this aggregate's records behind position `after`. Include <cairn/subscription.hpp> for it.
  template <class Options = subscription_options>
  [[nodiscard]] auto subscribe(position after = {}) const {
    return runtime_->subscribe(Options{.after = after, .category = std::string(A::category), .id = id_});
  }

private:
  cairn::runtime* runtime_;
  std::string id_;
};

}  // namespace cairn
