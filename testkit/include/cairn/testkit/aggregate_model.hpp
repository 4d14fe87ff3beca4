// What one aggregate answers when operations come one at a time, made from its own decide and evolve: the model that a history of
// a running system is held against.
//
// Knows the aggregate's type and nothing of what runs it: no actor, no journal, no clock.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/codec.hpp>
#include <cairn/command_options.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/testkit/detail/first_answers.hpp>
#include <cairn/testkit/detail/through_bytes.hpp>
#include <cairn/testkit/linearizability.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>

namespace cairn::inline v1::testkit {

// -- what is asked

/// A command with what a client sent along.
template <class... Commands>
struct command_asked {
  std::variant<Commands...> command;
  /// Empty: none. Clients are taken to repeat an id only within the aggregate's window of ids: none is forgotten here.
  std::string command_id = {};
  expected_version expected = expected_version::any();
  /// The operation stands for several attempts with the one command id, from the first call to the last return: an earlier
  /// attempt may have done what the last one was told. A command without an id has one attempt. Where the last attempt says
  /// `not_stored` and an earlier one is in doubt, the outcome is unknown.
  bool retried = false;
};

/// A look at the present state.
struct state_asked {};

template <class... Commands>
using aggregate_input = std::variant<state_asked, command_asked<Commands...>>;

// -- what is answered

struct accepted {
  cairn::version version;  ///< of the aggregate after the command, also where this is a first answer given again
  std::uint32_t events = 0;
  bool repeated = false;
  std::string result = {};  ///< msgpack of what `decide` answered besides; empty where it answers nothing
  bool operator==(const accepted&) const = default;
};
struct rejected {
  std::string reason;
  cairn::version version;
  bool operator==(const rejected&) const = default;
};
/// The command expected another version. An operation that expected none never gets this.
struct conflict {
  version stands;
  bool operator==(const conflict&) const = default;
};
/// An error that says that certainly nothing happened: changes no state, and is possible in every one; errc::decide_failed only
/// where the aggregate's own decide fails. One that leaves it open is no
/// output: the outcome is unknown.
struct not_stored {
  errc why = errc::overloaded;
  bool operator==(const not_stored&) const = default;
};
template <Aggregate A>
struct seen_state {
  A state;
  cairn::version version;
  bool operator==(const seen_state&) const = default;
};

template <Aggregate A>
using aggregate_output = std::variant<accepted, rejected, conflict, not_stored, seen_state<A>>;

template <Aggregate A, class... Commands>
using aggregate_operation = operation_record<aggregate_input<Commands...>, aggregate_output<A>>;

namespace detail {

/// Whether two commands are certainly the same: by ==, or else by their msgpack, or else not at all.
template <class Command>
bool same_command(const Command& left, const Command& right) {
  if constexpr (std::equality_comparable<Command>) {
    return left == right;
  } else if constexpr (std::is_empty_v<Command>) {
    return true;
  } else if constexpr (cairn::detail::has_fields<Command>) {
    std::string bytes, others;
    cairn::detail::encode(bytes, left);
    cairn::detail::encode(others, right);
    return bytes == others;
  } else {
    return false;
  }
}

}  // namespace detail

/// The model of one aggregate: a copyable value; its const members may be called from many threads. `A` must have ==, and equal
/// states the same msgpack. For short searches among many unknown outcomes, commands should have == (or be msgpack).
/// What `decide` throws means that nothing happened (errc::decide_failed); what the packing of A throws passes through.
template <Aggregate A, class... Commands>
requires std::equality_comparable<A> &&(CommandOf<Commands, A>&&...) class aggregate_model {
public:
  using input_type = aggregate_input<Commands...>;
  using output_type = aggregate_output<A>;
  using operation = aggregate_operation<A, Commands...>;
  using command_type = command_asked<Commands...>;

  class state_type {
  public:
    const A& value() const noexcept { return value_; }
    version at() const noexcept { return at_; }
    bool operator==(const state_type& other) const {
      return digest_ == other.digest_ && at_ == other.at_ && value_ == other.value_ && answers_ == other.answers_;
    }

  private:
    friend class aggregate_model;

    void digest() {
      std::string bytes;
      cairn::detail::encode(bytes, value_);
      digest_ = detail::mix(std::hash<std::string>{}(bytes) + at_.value, answers_.digest());
    }

    A value_;
    version at_;
    detail::first_answers answers_;
    std::size_t digest_ = 0;
  };

  /// Remembers the first answer to every command id.
  aggregate_model() = default;

  /// For this history only: remembers no id that only one of the operations has, because nobody asks for it again. Two orders of
  /// the same work then leave the same state more often, and less is tried.
  explicit aggregate_model(std::span<const operation> history) : repeated_ids_(std::in_place) {
    std::unordered_map<std::string_view, std::size_t> uses;
    for (const auto& one : history) {
      const auto* asked = std::get_if<command_type>(&one.input);
      if (asked && !asked->command_id.empty() && ++uses[asked->command_id] == 2) repeated_ids_->insert(asked->command_id);
    }
  }

  state_type initial() const {
    state_type state;
    state.digest();
    return state;
  }

  /// In the runtime's order: a repeat gets the first answer, then the expected version counts, then the aggregate decides.
  std::optional<state_type> step(const state_type& state, const input_type& input, const output_type* output) const {
    const auto stays_if = [&](bool possible) { return possible ? std::optional(state) : std::nullopt; };
    if (const auto* nothing = output ? std::get_if<not_stored>(output) : nullptr) {
      return stays_if(nothing->why != errc::decide_failed || decide_fails(state, input));
    }
    const auto* asked = std::get_if<command_type>(&input);
    if (!asked) return stays_if(is_or_unknown(output, [&] { return seen_state<A>{state.value_, state.at_}; }));
    if (const auto* first = state.answers_.find(asked->command_id)) {
      return stays_if(is_or_unknown(output, [&] { return again(*first); }));
    }
    if (!asked->expected.admits(state.at_)) return stays_if(is_or_unknown(output, [&] { return conflict{state.at_}; }));
    if (output && hopeless(state, input, *output)) return std::nullopt;
    return std::visit([&](const auto& command) { return decide(state, *asked, command, output); }, asked->command);
  }

  std::size_t hash(const state_type& state) const noexcept { return state.digest_; }

  /// Only a command that was accepted with events may change anything, and not where it says itself that it is a repeat.
  bool only_reads(const input_type& input, const output_type* output) const {
    const auto* asked = std::get_if<command_type>(&input);
    if (!asked) return true;
    if (!output) return false;
    const auto* yes = std::get_if<accepted>(output);
    return !yes || yes->events == 0 || (yes->repeated && !asked->retried);
  }

  /// Versions only grow, and first answers stay.
  bool hopeless(const state_type& state, const input_type& input, const output_type& output) const {
    const auto* asked = std::get_if<command_type>(&input);
    if (const auto* first = asked ? state.answers_.find(asked->command_id) : nullptr) {
      return output != output_type(again(*first)) && !std::holds_alternative<not_stored>(output);
    }
    if (const auto* yes = std::get_if<accepted>(&output)) return yes->version < state.at_ + yes->events;
    if (const auto* no = std::get_if<rejected>(&output)) return no->version < state.at_;
    if (const auto* other = std::get_if<conflict>(&output)) return other->stands < state.at_;
    if (const auto* seen = std::get_if<seen_state<A>>(&output)) return seen->version < state.at_;
    return false;
  }

  /// Equal commands that expect the same version, and whose ids nobody asks for again.
  bool interchangeable(const input_type& left, const input_type& right) const {
    const auto* one = std::get_if<command_type>(&left);
    const auto* other = std::get_if<command_type>(&right);
    if (!one || !other) return !one && !other;
    if (one->command.index() != other->command.index() || one->expected.required() != other->expected.required() ||
        remembers(one->command_id) || remembers(other->command_id)) {
      return false;
    }
    return std::visit(
        [&]<class Command>(const Command& command) { return detail::same_command(command, std::get<Command>(other->command)); },
        one->command);
  }

private:
  /// Whether the aggregate throws at what is asked, or decides events or a result that do not come back from their bytes.
  bool decide_fails(const state_type& state, const input_type& input) const {
    const auto* asked = std::get_if<command_type>(&input);
    if (!asked || state.answers_.find(asked->command_id) || !asked->expected.admits(state.at_)) return false;
    try {
      std::visit(
          [&](const auto& command) {
            const auto decision = state.value_.decide(command);
            using result_type = typename std::remove_cvref_t<decltype(decision)>::result_type;
            if (decision.rejected()) return;
            if constexpr (!std::is_void_v<result_type>) codec<result_type>::decode(detail::bytes_of(decision.result()));
            for (const auto& event : decision.events()) detail::event_in<A>(detail::frame_of<A>(event, 1));
          },
          asked->command);
      return false;
    } catch (...) { return true; }  // whatever it is: the runtime answers errc::decide_failed
  }

  template <class Make>
  static bool is_or_unknown(const output_type* output, Make make) {
    return !output || *output == output_type(make());
  }

  static accepted again(const detail::first_answer& first) { return {first.last, first.events, true, first.result}; }

  bool remembers(const std::string& command_id) const {
    return !command_id.empty() && (!repeated_ids_ || repeated_ids_->contains(command_id));
  }

  template <class Command>
  std::optional<state_type> decide(const state_type& state, const command_type& asked, const Command& command,
                                   const output_type* output) const {
    using decision_type = std::remove_cvref_t<decltype(state.value_.decide(command))>;
    const auto stays_if = [&](bool possible) { return possible ? std::optional(state) : std::nullopt; };
    std::optional<decision_type> decision;
    try {
      decision.emplace(state.value_.decide(command));
    } catch (...) { return stays_if(!output); }  // errc::decide_failed, which is a not_stored
    if (const auto* no = decision->rejected()) {
      return stays_if(is_or_unknown(output, [&] { return rejected{no->code, state.at_}; }));
    }
    accepted answer{state.at_, 0, false, {}};
    if constexpr (!std::is_void_v<typename decision_type::result_type>) cairn::detail::encode(answer.result, decision->result());
    const auto events = std::as_const(*decision).events();
    if (events.empty()) return stays_if(is_or_unknown(output, [&] { return answer; }));

    answer.events = static_cast<std::uint32_t>(events.size());
    answer.version = state.at_ + answer.events;
    const auto* told = output ? std::get_if<accepted>(output) : nullptr;
    answer.repeated = told && told->repeated && asked.retried;  // an earlier attempt did it, the last one was told
    if (output && (!told || *told != answer)) return std::nullopt;
    state_type next = state;
    for (const auto& event : events) evolve(next.value_, event);
    next.at_ = answer.version;
    if (remembers(asked.command_id)) {
      next.answers_.remember({asked.command_id, answer.version, answer.events, std::move(answer.result)});
    }
    next.digest();
    return next;
  }

  std::optional<std::unordered_set<std::string>> repeated_ids_;  // without a value: every id counts
};

/// Checks the history of one aggregate: all operations that anybody asked of it, since before its first event.
/// As check_linearizable().
template <Aggregate A, class... Commands>
linearization check_aggregate(std::type_identity_t<std::span<const aggregate_operation<A, Commands...>>> history,
                              check_options options = {}) {
  const aggregate_model<A, Commands...> model(history);
  return check_linearizable(model, history, options);
}

}  // namespace cairn::testkit
