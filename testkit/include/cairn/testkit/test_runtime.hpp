// The real runtime on one thread, stepped by a test: inject messages, hold or lose answers of the journal, let time pass.
//
//     testkit::test_runtime world;
//     auto enrolled = world.ask<Product>("1", Enrol{5});
//     auto answers = world.hold<actors::append_result>(testkit::aggregate<Product>("1"));
//     world.run();
//     CHECK_FALSE(enrolled.answered());        // it is stored, but nobody has told the aggregate
//     answers.release();
//     world.run();
//     CHECK(enrolled.accepted());
//
// The directories, aggregates, readers, snapshot writer and journal actor are those of production; only their scheduler (CAF's
// own test coordinator), the clock and the store are the test's. No CAF is needed to use this; who wants it finds the actors'
// handles in <cairn/testkit/caf_interop.hpp>.
#pragma once

#include <cairn/runtime.hpp>
#include <cairn/testkit/detail/receiver.hpp>
#include <cairn/testkit/failure.hpp>
#include <cairn/testkit/faulty_journal.hpp>
#include <cairn/testkit/message.hpp>

#include <boost/asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::inline v1::testkit {

namespace detail {
struct tap_state;
class test_runtime_access;

/// Reports a failure, and ends the test also where the reporter lets it go on: there is nothing to go on with.
[[noreturn]] void stop_test(const std::string& what, std::source_location where);
}  // namespace detail

/// What a call of the runtime has come to, or will. A handle; copies share.
/// `Value` is answer<…>, versioned<…>, history_part<…>, or a vector of answer<…>.
template <class Value>
class awaited {
public:
  bool answered() const noexcept { return state_->value.has_value(); }
  /// errc{} where the call succeeded, or has no answer yet.
  errc code() const noexcept { return state_->code; }
  bool failed_with(errc code) const noexcept { return answered() && state_->code == code; }
  /// What it was answered; fails the test where there is no answer yet.
  const Value& get(std::source_location where = std::source_location::current()) const {
    if (!answered()) detail::stop_test("no answer has come yet", where);
    return *state_->value;
  }
  /// The same. A failure names the line that asked: an operator cannot know where it is used.
  const Value* operator->() const { return &**this; }
  const Value& operator*() const {
    if (!answered()) detail::stop_test("no answer has come yet to what is asked here", state_->asked_at);
    return *state_->value;
  }

  /// Of a command: the domain took it.
  bool accepted() const noexcept requires requires(const Value& value) { value.rejected; }
  { return answered() && code() == errc{} && !state_->value->rejected; }
  /// Of a command: the domain said no, for this reason.
  bool rejected(std::string_view reason) const noexcept requires requires(const Value& value) { value.rejected; }
  { return answered() && code() == errc{} && state_->value->rejected && state_->value->rejected->code == reason; }

private:
  friend class test_runtime;
  struct state {
    std::source_location asked_at;
    errc code{};
    std::optional<Value> value = {};
  };
  explicit awaited(std::source_location asked_at) : state_(std::make_shared<state>(state{asked_at})) {}

  std::shared_ptr<state> state_;
};

/// Messages that were taken out of an actor's mailbox before it saw them, oldest first. A handle: copies share, and it goes on
/// without any. What it still keeps when its runtime ends is lost with that; it then stays empty. Of two taps for the same
/// message, the one that was made first has it. Messages of CAF's own (an actor's exit) pass every tap.
/// Holding messages can make an order that never is in production, where an actor's messages arrive as they were sent: to keep a
/// commit open, hold the journal's commit_now and not the append_requests before it.
class tap {
public:
  std::size_t size() const noexcept;
  bool empty() const noexcept { return size() == 0; }
  /// A copy of the n-th from 0, which stays. Fails the test where there are not so many, as do release() and drop().
  message at(std::size_t place, std::source_location where = std::source_location::current()) const;

  /// Takes the oldest, which must be a `Message`; fails the test where it is another or there is none.
  template <class Message>
  Message expect(std::source_location where = std::source_location::current()) {
    return std::get<Message>(take(kind_of<Message>(), where));
  }
  /// Takes the oldest where it is a `Message`.
  template <class Message>
  std::optional<Message> allow() {
    if (empty() || at(0).index() != kind_of<Message>()) return std::nullopt;
    return expect<Message>();
  }
  /// Fails the test where it keeps any.
  void expect_no_message(std::source_location where = std::source_location::current()) const;

  /// Answers whoever sent what expect() or allow() took last, in the name of the actor that it was for. Fails the test where
  /// nobody sent it.
  void reply(message with, std::source_location where = std::source_location::current());

  /// Lets the n-th go on to its actor, behind what waits there and past all taps.
  void release(std::size_t place, std::source_location where = std::source_location::current());
  /// Lets all go on, in order.
  void release();
  /// Loses the n-th.
  void drop(std::size_t place, std::source_location where = std::source_location::current());
  /// Loses all.
  void drop();
  /// Later messages pass again. What is kept stays kept.
  void close();

private:
  friend class test_runtime;
  explicit tap(std::shared_ptr<detail::tap_state> state) : state_(std::move(state)) {}
  message take(std::size_t kind, std::source_location where);
  void require(std::size_t place, std::source_location where) const;

  std::shared_ptr<detail::tap_state> state_;
};

/// One runtime and the world around it. One thread at a time, which may be another for each call and for the
/// destructor; immovable. Its end is a crash: nothing that is on its way arrives, and no handler runs any
/// more. A message that was taken out of it (by a tap, by mailbox()) may hold a call of the runtime, and must
/// not outlive it. If a handler or an aggregate that it runs destroys it, it aborts with a sentence.
class test_runtime {
public:
  /// Over `journal`, behind faults of which none is ordered yet. Where recoveries_at_once_max is 0, it is 2 on any machine.
  explicit test_runtime(runtime_bounds bounds = {}, std::shared_ptr<cairn::journal> journal = memory_journal());
  /// The same, with all that a runtime can be given: `test_runtime world({.in_flight_max = 1})`. Where it names no journal, over
  /// one in memory; its clock and its on_warning give way to the world's own.
  explicit test_runtime(runtime_options options);
  ~test_runtime();
  test_runtime(const test_runtime&) = delete;
  test_runtime& operator=(const test_runtime&) = delete;

  /// What the tested service holds. Its handlers must be bound to executor(), and run within run(), step() and advance(): one
  /// that is bound to nothing would run on a thread of Asio's. A blocking call steps the actors itself; drain() also lets time
  /// pass as far as it needs to. Both throw std::logic_error if they could never end, because a message that they need is held.
  /// A drain may then be tried again.
  cairn::runtime& runtime() noexcept;
  /// Runs what is posted to it when the actors are stepped. Asio's own timers on it know the real time only.
  boost::asio::io_context::executor_type executor() noexcept;

  // What is asked. None of these does anything before the actors are stepped.
  template <Aggregate A, class Command>
  auto ask(aggregate_id id, Command command, const call_options& options = {},
           std::source_location where = std::source_location::current()) {
    awaited<cairn::detail::answer_of<A, Command>> answer(where);
    runtime().template ask<A>(id, std::move(command), options,
                              into<cairn::detail::answer_maker<actors::result_of<A, Command>>>(answer).token());
    return answer;
  }
  template <Aggregate A, class Command>
  auto ask_many(std::vector<addressed<Command>> commands, std::source_location where = std::source_location::current()) {
    awaited<std::vector<cairn::detail::answer_of<A, Command>>> answers(where);
    runtime().template ask_many<A>(std::move(commands),
                                   into<cairn::detail::batch_maker<actors::result_of<A, Command>>>(answers).token());
    return answers;
  }
  template <Aggregate A, class Command>
  auto ask_many(aggregate_id id, std::vector<Command> commands, std::source_location where = std::source_location::current()) {
    awaited<std::vector<cairn::detail::answer_of<A, Command>>> answers(where);
    runtime().template ask_many<A>(id, std::move(commands),
                                   into<cairn::detail::batch_maker<actors::result_of<A, Command>>>(answers).token());
    return answers;
  }
  template <Aggregate A>
  auto state(aggregate_id id, std::source_location where = std::source_location::current()) {
    awaited<versioned<A>> seen(where);
    runtime().template state<A>(id, into<cairn::detail::state_maker<A>>(seen).token());
    return seen;
  }
  template <Aggregate A, class When>
  auto state_at(aggregate_id id, When when, std::source_location where = std::source_location::current()) {
    awaited<versioned<A>> seen(where);
    runtime().template state_at<A>(id, when, into<cairn::detail::state_maker<A>>(seen).token());
    return seen;
  }
  template <Aggregate A>
  auto history(aggregate_id id, version_range range = {}, std::source_location where = std::source_location::current()) {
    awaited<history_part<A>> seen(where);
    runtime().template history<A>(id, range, into<cairn::detail::history_maker<A>>(seen).token());
    return seen;
  }

  // Steps and time.
  /// Lets one actor take one message; false where nobody has any. The actor that has had messages for longest is next, and keeps
  /// its turn until it has none. A message that a tap keeps is a step as well. Before and behind it, handlers run.
  bool step();
  /// Lets `who` take its next message, before everybody else; false where it has none.
  bool step(const address& who);
  /// Until every mailbox is empty and every handler has run.
  void run();
  /// Lets time pass: timers ring at their moments, and between them everything runs until it is quiet.
  void advance(std::chrono::microseconds by);
  /// Lets as much time pass as passivates every aggregate that is asked nothing meanwhile. Does nothing where
  /// bounds.passivate_after is 0.
  void advance_until_idle();
  timestamp now() const noexcept;
  /// The wall clock's own jumps, forward or back; timers do not notice.
  void set_clock(timestamp now) noexcept;

  // The actors.
  bool is_live(const address& who);
  /// The messages that wait in a mailbox, next first.
  std::vector<message> mailbox(const address& who);
  /// Puts a message into a mailbox, as if an actor had sent it that wants no answer. Fails the test where the aggregate is not
  /// live.
  void inject(const address& who, message what, std::source_location where = std::source_location::current());
  /// The same, as if `from` had sent it, who gets the answer.
  void inject(const address& who, message what, const address& from,
              std::source_location where = std::source_location::current());
  /// The aggregate's actor dies at once, as by an error of its own; its messages are lost. Fails the test where it is not live.
  /// The others never die alone: for the end of the process, end the test_runtime, and make another over the same journal.
  void kill(const address& who, std::source_location where = std::source_location::current());

  /// Keeps every `Message` to `to` from now on, also where the aggregate is made later or anew.
  template <class Message>
  tap hold(address to) {
    return intercept(std::move(to), kind_of<Message>(), {});
  }
  /// Keeps every message to `to`: a recording probe in the actor's place.
  tap probe(address to) { return intercept(std::move(to), {}, {}); }
  /// Every `Message` to `to` arrives later by so much, of the time that advance() lets pass.
  template <class Message>
  tap delay(address to, std::chrono::microseconds by) {
    return intercept(std::move(to), kind_of<Message>(), by);
  }

  faulty_journal& journal() noexcept;
  /// What the runtime warned of, in order.
  const std::vector<std::string>& warnings() const noexcept;

private:
  friend struct caf_interop;

  template <class Maker>
  detail::receiver into(const awaited<typename Maker::value_type>& kept) {
    return receive(kept.state_, [](void* into, actors::operation& asked) {
      auto& state = *static_cast<typename awaited<typename Maker::value_type>::state*>(into);
      auto value = Maker::make(asked);
      if constexpr (requires { value.code; }) state.code = value.code;
      if (state.value) fail("answered twice", state.asked_at);
      state.value.emplace(std::move(value));
    });
  }
  detail::receiver receive(std::shared_ptr<void> into, void (*take)(void* into, actors::operation& asked));
  tap intercept(address to, std::optional<std::size_t> kind, std::optional<std::chrono::microseconds> by);

  std::unique_ptr<detail::test_runtime_access> self_;
};

}  // namespace cairn::testkit
