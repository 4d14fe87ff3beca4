// What one aggregate answers when operations come one at a time, made from its own decide and evolve: the model that a history of
// a running system is held against.
//
// Knows the aggregate's type and nothing of what runs it: no actor, no journal, no clock.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/codec.hpp>
#include <cairn/command_options.hpp>
#include <cairn/testkit/detail/first_answers.hpp>
#include <cairn/testkit/detail/through_bytes.hpp>
#include <cairn/testkit/linearizability.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

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

/// What an aggregate decided, with its types forgotten.
struct any_decision {
  bool failed = false;  ///< decide threw
  std::optional<std::string> rejected = {};
  std::string result = {};  ///< msgpack
  std::uint32_t events = 0;
};

/// Says whether the state behind a decision is wanted.
using wants_state = std::function<bool(const any_decision&)>;

/// An aggregate type with its type forgotten: what reports and the model need of its states.
struct aggregate_kind {
  std::string_view category;
  comparable_codec state;  ///< `comes_back` is null where a state has nothing to lose
  bool known_to_msgpack;
  std::shared_ptr<void> (*make)();  ///< the state before the first event
  any_value (*decode)(std::string_view bytes);
  bool (*equal)(const void* left, const void* right);
  void (*evolve)(void* state, const record_view& record);
};

/// A command type of an aggregate, with its type forgotten.
struct command_kind {
  const std::type_info* type;
  pack_function pack;  ///< null where msgpack does not know it
  /// Decides, and gives the state behind the events where it is wanted. Throws what the packing of a result throws.
  any_value (*decide)(const void* state, const void* command, any_decision& made, const wants_state& wanted);
  /// Whether decide throws, or decides events or a result that do not come back from their bytes.
  bool (*fails)(const void* state, const void* command);
  /// Whether two commands are certainly the same: by ==, or else by their msgpack, or else not at all.
  bool (*same)(const void* left, const void* right);
};

struct any_command {
  const command_kind* kind = nullptr;
  const void* command = nullptr;
};

// Views of inputs and outputs, which live as long as those.

struct input_view {
  any_command command = {};  ///< none: a look
  const std::string* command_id = nullptr;
  expected_version expected = expected_version::any();
  bool retried = false;
};

struct seen_view {
  const void* state;
  cairn::version version;
};

using output_view = std::variant<const accepted*, const rejected*, const conflict*, const not_stored*, seen_view>;

struct operation_view {
  operation_moments moments;
  input_view input;
  std::optional<output_view> output;
};

struct model_state {
  any_value value;
  version at;
  first_answers answers = {};
  std::size_t digest = 0;
};

/// The compiled part of aggregate_model, whose members say what these do.
class model_core {
public:
  explicit model_core(const aggregate_kind& kind) : kind_(&kind) {}

  /// For these operations only: remembers no id that only one of them has.
  void expect_only(std::span<const operation_view> history);

  model_state initial() const;
  std::optional<model_state> step(const model_state& state, const input_view& input, const output_view* output) const;
  bool equal(const model_state& left, const model_state& right) const;
  bool only_reads(const input_view& input, const output_view* output) const;
  bool hopeless(const model_state& state, const input_view& input, const output_view& output) const;
  bool interchangeable(const input_view& left, const input_view& right) const;

private:
  void set_digest(model_state& state) const;
  bool is_or_unknown(const output_view* output, const output_view& possible) const;
  bool decide_fails(const model_state& state, const input_view& input) const;
  bool remembers(const std::string& command_id) const;
  std::optional<model_state> decide(const model_state& state, const input_view& asked, const output_view* output) const;

  const aggregate_kind* kind_;
  std::optional<std::unordered_set<std::string>> repeated_ids_;  // without a value: every id counts
};

linearization check_operations(const aggregate_kind& kind, std::span<const operation_view> history, check_options options);

// --- the types to forget ---

template <Aggregate A>
const A& as_state(const void* state) {
  return *static_cast<const A*>(state);
}

template <Aggregate A>
inline constexpr aggregate_kind kind_of_aggregate{
    A::category,
    {&typeid(A), pack<A>, std::is_empty_v<A> ? nullptr : comes_back<A>},
    known_to_msgpack<A>,
    []() -> std::shared_ptr<void> { return std::make_shared<A>(); },
    [](std::string_view bytes) -> any_value { return std::make_shared<const A>(codec<A>::decode(bytes)); },
    [](const void* left, const void* right) { return as_state<A>(left) == as_state<A>(right); },
    [](void* state, const record_view& record) { cairn::evolve(*static_cast<A*>(state), read_event<A>(record)); }};

template <Aggregate A, class Decision>
any_value take_decision(const A& state, const Decision& decision, any_decision& made, const wants_state& wanted) {
  if (const auto* no = decision.rejected()) {
    made.rejected = no->code;
    return {};
  }
  if constexpr (!std::is_void_v<typename Decision::result_type>) cairn::detail::encode(made.result, decision.result());
  const auto events = decision.events();
  made.events = static_cast<std::uint32_t>(events.size());
  if (events.empty() || !wanted(made)) return {};
  auto next = std::make_shared<A>(state);
  for (const auto& event : events) evolve(*next, event);
  return next;
}

/// Reads back what a decision made. Throws where that is not possible.
template <Aggregate A, class Decision>
void read_back(const Decision& decision) {
  using result_type = typename Decision::result_type;
  if (decision.rejected()) return;
  if constexpr (!std::is_void_v<result_type>) codec<result_type>::decode(bytes_of(decision.result()));
  for (const auto& event : decision.events()) event_in<A>(frame_of<A>(event, 1));
}

template <Aggregate A, class Command>
any_value decide_command(const void* before, const void* command, any_decision& made, const wants_state& wanted) {
  const auto& state = as_state<A>(before);
  using decision_type = std::remove_cvref_t<decltype(state.decide(std::declval<const Command&>()))>;
  std::optional<decision_type> decision;
  try {
    decision.emplace(state.decide(*static_cast<const Command*>(command)));
  } catch (...) {
    made.failed = true;
    return {};
  }
  return take_decision<A, decision_type>(state, *decision, made, wanted);
}

/// Whatever it throws, the runtime answers errc::decide_failed.
template <Aggregate A, class Command>
bool decide_fails(const void* state, const void* command) {
  try {
    const auto decision = as_state<A>(state).decide(*static_cast<const Command*>(command));
    read_back<A, std::remove_cvref_t<decltype(decision)>>(decision);
    return false;
  } catch (...) { return true; }
}

template <class Command>
bool same_command([[maybe_unused]] const void* left, [[maybe_unused]] const void* right) {
  if constexpr (std::equality_comparable<Command>) {
    return *static_cast<const Command*>(left) == *static_cast<const Command*>(right);
  } else if constexpr (std::is_empty_v<Command>) {
    return true;
  } else if constexpr (cairn::detail::has_fields<Command>) {
    return bytes_of(*static_cast<const Command*>(left)) == bytes_of(*static_cast<const Command*>(right));
  } else {
    return false;
  }
}

template <class Command>
constexpr pack_function pack_of_command() {
  if constexpr (known_to_msgpack<Command>) {
    return pack<Command>;
  } else {
    return nullptr;
  }
}

template <Aggregate A, class Command>
inline constexpr command_kind kind_of_command{&typeid(Command), pack_of_command<Command>(), decide_command<A, Command>,
                                              decide_fails<A, Command>, same_command<Command>};

template <Aggregate A, class... Commands>
any_command as_any_command(const std::variant<Commands...>& command) {
  static constexpr const command_kind* kinds[] = {&kind_of_command<A, Commands>...};
  return {kinds[command.index()], std::visit([](const auto& one) -> const void* { return &one; }, command)};
}

template <Aggregate A, class... Commands>
input_view view_of(const aggregate_input<Commands...>& input) {
  const auto* asked = std::get_if<command_asked<Commands...>>(&input);
  if (!asked) return {};
  return {as_any_command<A>(asked->command), &asked->command_id, asked->expected, asked->retried};
}

template <Aggregate A>
output_view view_of(const aggregate_output<A>& output) {
  return std::visit(
      []<class Output>(const Output& one) -> output_view {
        if constexpr (std::is_same_v<Output, seen_state<A>>) {
          return seen_view{&one.state, one.version};
        } else {
          return &one;
        }
      },
      output);
}

template <Aggregate A, class... Commands>
std::vector<operation_view> views_of(std::span<const aggregate_operation<A, Commands...>> operations) {
  std::vector<operation_view> all;
  all.reserve(operations.size());
  for (const auto& one : operations) {
    all.push_back({{one.called, one.returned, one.output.has_value()}, view_of<A, Commands...>(one.input), std::nullopt});
    if (one.output) all.back().output = view_of<A>(*one.output);
  }
  return all;
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
    const A& value() const noexcept { return detail::as_state<A>(state_.value.get()); }
    version at() const noexcept { return state_.at; }
    bool operator==(const state_type& other) const { return core().equal(state_, other.state_); }

  private:
    friend class aggregate_model;
    explicit state_type(detail::model_state state) : state_(std::move(state)) {}

    static const detail::model_core& core() {
      static const detail::model_core one(detail::kind_of_aggregate<A>);
      return one;
    }

    detail::model_state state_;
  };

  /// Remembers the first answer to every command id.
  aggregate_model() = default;

  /// For this history only: remembers no id that only one of the operations has, because nobody asks for it again. Two orders of
  /// the same work then leave the same state more often, and less is tried.
  explicit aggregate_model(std::span<const operation> history) { core_.expect_only(detail::views_of<A, Commands...>(history)); }

  state_type initial() const { return state_type(core_.initial()); }

  /// In the runtime's order: a repeat gets the first answer, then the expected version counts, then the aggregate decides.
  std::optional<state_type> step(const state_type& state, const input_type& input, const output_type* output) const {
    const auto seen = view_of(output);
    auto next = core_.step(state.state_, view_of(input), seen ? &*seen : nullptr);
    return next ? std::optional(state_type(*std::move(next))) : std::nullopt;
  }

  std::size_t hash(const state_type& state) const noexcept { return state.state_.digest; }

  /// Only a command that was accepted with events may change anything, and not where it says itself that it is a repeat.
  bool only_reads(const input_type& input, const output_type* output) const {
    const auto seen = view_of(output);
    return core_.only_reads(view_of(input), seen ? &*seen : nullptr);
  }

  /// Versions only grow, and first answers stay.
  bool hopeless(const state_type& state, const input_type& input, const output_type& output) const {
    return core_.hopeless(state.state_, view_of(input), *view_of(&output));
  }

  /// Equal commands that expect the same version, and whose ids nobody asks for again.
  bool interchangeable(const input_type& left, const input_type& right) const {
    return core_.interchangeable(view_of(left), view_of(right));
  }

private:
  static detail::input_view view_of(const input_type& input) { return detail::view_of<A, Commands...>(input); }
  static std::optional<detail::output_view> view_of(const output_type* output) {
    return output ? std::optional(detail::view_of<A>(*output)) : std::nullopt;
  }

  detail::model_core core_{detail::kind_of_aggregate<A>};
};

/// Checks the history of one aggregate: all operations that anybody asked of it, since before its first event.
/// As check_linearizable().
template <Aggregate A, class... Commands>
linearization check_aggregate(std::type_identity_t<std::span<const aggregate_operation<A, Commands...>>> history,
                              check_options options = {}) {
  static_assert(std::equality_comparable<A> && (CommandOf<Commands, A> && ...));
  return detail::check_operations(detail::kind_of_aggregate<A>, detail::views_of<A, Commands...>(history), options);
}

}  // namespace cairn::testkit
