// Tests of an aggregate's rules, told as stories, without a runtime:
//
//     given<Product>(Enrolled{0}, StockAdded{3})
//         .when(RemoveStock{2})
//         .then(StockRemoved{2})
//         .then_state([](const Product& product) { return product.count == 1; })
//         .when(RemoveStock{2})
//         .then_rejected("insufficient_stock");
//
// A story also takes everything through its bytes and back, as the runtime will: the events as records, and the state (as a
// snapshot does), the result and the command through msgpack. What is not equal behind that fails the test, so that a field
// forgotten in a MSGPACK_DEFINE_MAP is found here. It is found where it does not happen to have its default value: give each
// field another one somewhere. A command that is not known to msgpack at all is decided as it is.
//
// Failures are reported as failure.hpp says, each with the whole story. For doctest, include <cairn/testkit/doctest.hpp> too.
#pragma once

#include <cairn/decision.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/testkit/detail/through_bytes.hpp>
#include <cairn/testkit/failure.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <source_location>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::inline v1::testkit {
namespace detail {

/// What a story says where it fails: a line of text for each event and command, and what is wrong so far.
class told_story {
public:
  void tell(std::string_view word, const std::string& what);

  /// Something that is wrong, but whose line in the test is not known yet.
  void note(std::string flaw);

  /// The same, of a decision with so many events.
  void note_events(std::size_t count);

  void report_flaws(std::source_location where);

  void fail(const std::string& what, std::source_location where) const;

  /// Fails with a line for each difference below the headline.
  void fail(const std::string& headline, const lines& differences, std::source_location where) const;

  void fail_answer(const std::string& expected, const std::string& actual, std::source_location where) const;

private:
  std::string text_;
  lines flaws_;
};

/// What a story has come to.
template <Aggregate A>
class story : public told_story {
public:
  using event_type = typename A::Event;

  const A& state() const noexcept { return state_; }

  /// The state goes on by an event, as it comes back from its record.
  void happens(const event_type& event) {
    auto stored = store<A>(event, ++version_);
    note(std::move(stored.flaw));
    evolve(state_, stored.event);
  }

  void expect_state(const A& expected, std::source_location where) const {
    if (state_ == expected) return;
    fail("the state is not as expected", differences_of(expected, state_), where);
  }

  void expect_state_where(bool is_expected, std::source_location where) const {
    if (!is_expected) fail("the state is not as expected: " + shown(state_), where);
  }

private:
  A state_;
  std::uint64_t version_ = 0;
};

std::string shown_rejection(const rejection& no);

/// Events, one behind the other, or "nothing".
std::string shown_events(std::span<const any_event> events);

template <class Event>
std::vector<any_event> forget_types(std::span<const Event> events) {
  std::vector<any_event> all;
  for (const auto& event : events) all.push_back(forget_type(event));
  return all;
}

/// Says of the first event that is not as expected how it differs; `place` is its place of `count`.
void fail_event(const told_story& story, std::size_t place, std::size_t count, const any_event& expected, const any_event& actual,
                std::source_location where);

template <Aggregate A, class Command>
auto go_on(story<A> before, const Command& command, std::source_location where);

}  // namespace detail

/// What came of a command, to be looked at. Lives for the one statement that tells the story.
template <Aggregate A, class Decision>
class outcome {
  using event_type = typename A::Event;
  using result_type = typename Decision::result_type;
  using expected_result = std::conditional_t<std::is_void_v<result_type>, std::monostate, result_type>;

public:
  template <class Command>
  outcome(detail::story<A> before, const Command& command, std::source_location where) : story_(std::move(before)), when_(where) {
    story_.tell("when", detail::shown_command(command));
    if constexpr (detail::known_to_msgpack<Command>) story_.note(detail::codec_flaw(command));
    decide(command);
    if (decision_) take_in(*decision_);
    story_.report_flaws(when_);
  }

  /// A story that ends with a command has expected nothing of it, and fails.
  ~outcome() noexcept(false) {
    if (std::uncaught_exceptions() == 0) require_a_look();
  }
  outcome(const outcome&) = delete;
  outcome& operator=(const outcome&) = delete;

  /// Exactly these events were decided, in this order.
  template <class... Events>
  requires(sizeof...(Events) > 0 &&
           (std::constructible_from<event_type, const Events&> && ...)) outcome& then(const Events&... expected) {
    const std::vector<event_type> all{event_type(expected)...};
    expect_events(all, when_);
    return *this;
  }

  /// The command was accepted, and nothing happened.
  outcome& then_nothing(std::source_location where = std::source_location::current()) {
    expect_events({}, where);
    return *this;
  }

  /// The command was refused, for this reason.
  outcome& then_rejected(std::string_view reason, std::source_location where = std::source_location::current()) {
    looked_at_ = true;
    if (!decision_) return *this;
    const auto* no = decision_->rejected();
    if (!no || no->code != reason) { story_.fail_answer("rejected: " + std::string(reason), answer(), where); }
    return *this;
  }

  /// The command was accepted with this result.
  outcome& then_result(const expected_result& expected,
                       std::source_location where = std::source_location::current()) requires(!std::is_void_v<result_type>) {
    looked_at_ = true;
    if (!decision_) return *this;
    if (decision_->rejected()) {
      story_.fail_answer("result " + detail::shown(expected), answer(), where);
    } else if (!(decision_->result() == expected)) {
      story_.fail("the result is not as expected", detail::differences_of(expected, decision_->result()), where);
    }
    return *this;
  }

  /// The aggregate now is in this state.
  outcome& then_state(const A& expected, std::source_location where = std::source_location::current()) {
    looked_at_ = true;
    story_.expect_state(expected, where);
    return *this;
  }

  /// The aggregate now is in a state of which this is true.
  template <std::predicate<const A&> Predicate>
  outcome& then_state(const Predicate& is_expected, std::source_location where = std::source_location::current()) {
    looked_at_ = true;
    story_.expect_state_where(std::invoke(is_expected, story_.state()), where);
    return *this;
  }

  /// The story goes on from the state that is reached.
  template <class Command>
  [[nodiscard]] auto when(const Command& command, std::source_location where = std::source_location::current()) {
    require_a_look();
    return detail::go_on(std::move(story_), command, where);
  }

private:
  template <class Command>
  void decide(const Command& command) {
    std::string thrown;
    try {
      decision_.emplace(story_.state().decide(command));
      return;
    } catch (const std::exception& reason) { thrown = reason.what(); } catch (...) {
      thrown = "something that is no std::exception";
    }
    looked_at_ = true;
    story_.fail("decide threw: " + thrown, when_);
  }

  void take_in(const Decision& decision) {
    const auto events = decision.events();
    if constexpr (!std::is_void_v<result_type>) {
      if (!decision.rejected()) story_.note(detail::result_flaw(decision.result()));
    }
    story_.note_events(events.size());
    for (const auto& event : events) story_.happens(event);
    story_.note(detail::codec_flaw(story_.state()));
    story_.tell("then", answer());
  }

  std::string answer() const {
    if (const auto* no = decision_->rejected()) return detail::shown_rejection(*no);
    auto all = shown_events(std::as_const(*decision_).events());
    if constexpr (!std::is_void_v<result_type>) all += " with result " + detail::shown(decision_->result());
    return all;
  }

  void expect_events(std::span<const event_type> expected, std::source_location where) {
    looked_at_ = true;
    if (!decision_) return;
    const auto actual = std::as_const(*decision_).events();
    if (decision_->rejected() || expected.size() != actual.size()) {
      story_.fail_answer(shown_events(expected), answer(), where);
      return;
    }
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (expected[i] == actual[i]) continue;
      detail::fail_event(story_, i, actual.size(), detail::forget_type(expected[i]), detail::forget_type(actual[i]), where);
    }
  }

  static std::string shown_events(std::span<const event_type> events) {
    return detail::shown_events(detail::forget_types(events));
  }

  void require_a_look() {
    if (!std::exchange(looked_at_, true)) story_.fail("nothing is expected of this command: a `then…` is missing", when_);
  }

  detail::story<A> story_;
  std::optional<Decision> decision_;  // empty where decide threw
  std::source_location when_;
  bool looked_at_ = false;
};

namespace detail {

template <Aggregate A, class Command>
auto go_on(story<A> before, const Command& command, std::source_location where) {
  require_command<A, Command>();
  using decision = std::remove_cvref_t<decltype(before.state().decide(command))>;
  return outcome<A, decision>(std::move(before), command, where);
}

}  // namespace detail

/// An aggregate to which something has happened, before the first command.
template <Aggregate A>
class beginning {
public:
  explicit beginning(std::span<const typename A::Event> events) {
    for (const auto& event : events) {
      story_.tell("given", detail::shown_event(event));
      story_.happens(event);
    }
    story_.note(detail::codec_flaw(story_.state()));
  }

  /// Asks the aggregate to decide a command. What is wrong with the given events is reported here as well.
  template <class Command>
  [[nodiscard]] auto when(const Command& command, std::source_location where = std::source_location::current()) {
    story_.report_flaws(where);
    return detail::go_on(std::move(story_), command, where);
  }

  /// The events make this state, or a state of which this is true.
  beginning& then_state(const A& expected, std::source_location where = std::source_location::current()) {
    story_.report_flaws(where);
    story_.expect_state(expected, where);
    return *this;
  }
  template <std::predicate<const A&> Predicate>
  beginning& then_state(const Predicate& is_expected, std::source_location where = std::source_location::current()) {
    story_.report_flaws(where);
    story_.expect_state_where(std::invoke(is_expected, story_.state()), where);
    return *this;
  }

private:
  detail::story<A> story_;
};

/// Begins a story: what has happened to the aggregate so far, oldest first.
template <class A, class... Events>
[[nodiscard]] auto given(const Events&... events) {
  detail::require_testable<A>();
  static_assert((std::constructible_from<typename A::Event, const Events&> && ...),
                "cairn: what is given are events of the aggregate");
  const std::vector<typename A::Event> all{typename A::Event(events)...};
  return beginning<A>(all);
}

}  // namespace cairn::testkit
