// Whether what concurrent clients saw can be explained by some order of their operations, one after the other.
//
// The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", 1993) with Lowe's memory of the configurations
// that were tried ("Testing for linearizability", 2017): a configuration is the set of operations placed so far and the state
// that they leave, and none is tried twice. Three things are added, each of which needs a word of the model:
// operations that only read come first where they can; orders that make some operation impossible for good are left at once; and
// of unknown operations no more are used than another order with the same state needed.
//
// Knows nothing of aggregates, actors or time: see aggregate_model.hpp for the model of an aggregate.
#pragma once

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

namespace cairn::inline v1::testkit {

/// One operation of a history: who asked what of the object, what came of it, and between which moments.
template <class Input, class Output>
struct operation_record {
  std::uint64_t client = 0;
  /// In any unit: moments are only compared. Two that are equal say nothing about order: an operation that was called in the
  /// moment in which another returned counts as concurrent with it, also where both are of one client. A recorder that knows
  /// more gives distinct numbers, such as those of its own events.
  std::int64_t called = 0;
  /// This and `output` are both empty where the outcome is unknown: the operation may have taken effect at any time after
  /// `called`, or never.
  std::optional<std::int64_t> returned;
  Input input;
  std::optional<Output> output;

  bool known() const noexcept { return returned.has_value(); }
};

/// What the object does when operations come one at a time. Besides what is required here, a model may have, to make the search
/// shorter:
///
///     bool only_reads(const input_type&, const output_type* /*null: unknown*/) const
///         promises that where step() takes these two at all, in any state, it leaves the state as it is
///     bool hopeless(const state_type&, const input_type&, const output_type&) const
///         promises that no steps from this state on can lead to one where step() takes these two
///     bool interchangeable(const input_type&, const input_type&) const
///         promises that step() without an output does the same with either, in any state; an equivalence. Where it is absent,
///         inputs that are equal by == are interchangeable.
template <class M>
concept LinearizableModel = std::copyable<typename M::state_type> && std::equality_comparable<typename M::state_type> &&
    requires(const M& model, const typename M::state_type& state, const typename M::input_type& input,
             const typename M::output_type* output) {
  { model.initial() } -> std::same_as<typename M::state_type>;
  /// The state after the operation; nothing where `output` cannot come of it in `state`. Where `output` is null it is unknown
  /// and the state is the one after the operation took effect.
  { model.step(state, input, output) } -> std::same_as<std::optional<typename M::state_type>>;
  { model.hash(state) } -> std::convertible_to<std::size_t>;
};

template <LinearizableModel M>
using operation_of = operation_record<typename M::input_type, typename M::output_type>;

enum class linearizability {
  linearizable,
  not_linearizable,
  undecided,  ///< the search was given up after check_options::steps_max steps
};

struct check_options {
  /// How often the model may be asked for a step before the search gives up. What the search remembers grows with it: up to one
  /// state and some hundred bytes for each step.
  std::uint64_t steps_max = 2'000'000;
};

/// What a search came to. Operations are named by their place in the history.
struct linearization {
  linearizability verdict = linearizability::undecided;
  /// An order that explains the history; where none was found, the longest that was. Unknown operations are in it only where
  /// something after them needs their effect.
  std::vector<std::size_t> order;
  /// Where no order was found: one of these had to come next, or had to be possible later, and none of them was.
  std::vector<std::size_t> blocked;
  std::uint64_t steps = 0;

  explicit operator bool() const noexcept { return verdict == linearizability::linearizable; }
};

namespace detail {

/// A value whose type is forgotten: of a model's state, or of an aggregate's. Null where there is none.
using any_value = std::shared_ptr<const void>;

/// When an operation was, and whether it has an output.
struct operation_moments {
  std::int64_t called;
  std::optional<std::int64_t> returned;
  bool has_output;
};

/// A history beside its model, with their types forgotten. An operation is named by its place in the history.
/// The members are those of the model: see LinearizableModel.
class any_history {
public:
  virtual ~any_history() = default;

  virtual any_value initial() const = 0;
  virtual any_value step(const void* state, std::size_t place) const = 0;
  virtual bool equal(const void* left, const void* right) const = 0;
  virtual std::size_t hash(const void* state) const = 0;
  virtual bool only_reads(std::size_t place) const = 0;
  virtual bool hopeless(const void* state, std::size_t place) const = 0;
  virtual bool interchangeable(std::size_t left, std::size_t right) const = 0;
};

/// As check_linearizable(), of a history with an operation for each of `moments`.
linearization search_order(const any_history& history, std::span<const operation_moments> moments, check_options options);

/// As explain(), of so many operations, where `line` describes the one at a place.
std::string explain_order(const linearization& found, std::size_t operations,
                          const std::function<std::string(std::size_t)>& line);
/// A line of it: "  client 1, 3 to 5: ".
std::string client_and_moments(std::uint64_t client, std::int64_t called, std::optional<std::int64_t> returned);

template <class Input, class Output>
std::vector<operation_moments> moments_of(std::span<const operation_record<Input, Output>> operations) {
  std::vector<operation_moments> all;
  all.reserve(operations.size());
  for (const auto& one : operations) all.push_back({one.called, one.returned, one.output.has_value()});
  return all;
}

template <LinearizableModel M>
class history_of final : public any_history {
  using state_type = typename M::state_type;
  using operation = operation_of<M>;

public:
  history_of(const M& model, std::span<const operation> operations) : model_(model), operations_(operations) {}

  any_value initial() const override { return std::make_shared<const state_type>(model_.initial()); }
  any_value step(const void* state, std::size_t place) const override {
    const auto& one = operations_[place];
    auto next = model_.step(as_state(state), one.input, output_of(one));
    return next ? std::make_shared<const state_type>(*std::move(next)) : any_value();
  }
  bool equal(const void* left, const void* right) const override { return as_state(left) == as_state(right); }
  std::size_t hash(const void* state) const override { return static_cast<std::size_t>(model_.hash(as_state(state))); }

  bool only_reads(std::size_t place) const override {
    const auto& one = operations_[place];
    if constexpr (requires { model_.only_reads(one.input, output_of(one)); }) {
      return model_.only_reads(one.input, output_of(one));
    } else {
      return false;
    }
  }

  bool hopeless(const void* state, std::size_t place) const override {
    const auto& one = operations_[place];
    if constexpr (requires { model_.hopeless(as_state(state), one.input, *one.output); }) {
      return model_.hopeless(as_state(state), one.input, *one.output);
    } else {
      return false;
    }
  }

  bool interchangeable(std::size_t left, std::size_t right) const override {
    const auto& one = operations_[left].input;
    const auto& other = operations_[right].input;
    if constexpr (requires { model_.interchangeable(one, other); }) {
      return model_.interchangeable(one, other);
    } else if constexpr (std::equality_comparable<typename M::input_type>) {
      return one == other;
    } else {
      return false;
    }
  }

private:
  static const state_type& as_state(const void* state) { return *static_cast<const state_type*>(state); }
  static const typename M::output_type* output_of(const operation& one) { return one.output ? &*one.output : nullptr; }

  const M& model_;
  std::span<const operation> operations_;
};

}  // namespace detail

/// Looks for an order of `operations` (in any order in the span) in which every known one gives its output, any unknown ones have
/// taken effect, and none comes before another that had returned when it was called. The same history gives the same answer, step
/// for step. The problem is NP-complete: steps_max bounds what a history that is hard to refuse can cost.
/// Throws error(errc::invalid_argument) where an operation has a return without an output or the other way round, or returned
/// before it was called; and what the model throws. Many threads may check at once, also with one model if its members allow it.
template <LinearizableModel M>
linearization check_linearizable(const M& model, std::span<const operation_of<M>> operations, check_options options = {}) {
  return detail::search_order(detail::history_of<M>(model, operations), detail::moments_of(operations), options);
}

/// What was found, for people: where no order was found, the end of the longest one and what could not follow, a line each.
/// `describe(operation)` gives the text of an operation's input and output.
template <class Operations, class Describe>
std::string explain(const linearization& found, const Operations& operations, Describe describe) {
  return detail::explain_order(found, operations.size(), [&](std::size_t place) {
    const auto& one = operations[place];
    return detail::client_and_moments(one.client, one.called, one.returned) + std::string(describe(one));
  });
}

}  // namespace cairn::testkit
