#include <cairn/testkit/aggregate_model.hpp>

#include "hash_mix.hpp"

#include <unordered_map>

namespace cairn::inline v1::testkit::detail {
namespace {

template <class Output>
const Output* get(const output_view* output) {
  const auto* found = output ? std::get_if<const Output*>(output) : nullptr;
  return found ? *found : nullptr;
}

accepted again(const first_answer& first) { return {first.last, first.events, true, first.result}; }

const first_answer* first_answer_to(const model_state& state, const input_view& input) {
  return input.command.kind ? state.answers.find(*input.command_id) : nullptr;
}

class model_history final : public any_history {
public:
  model_history(const model_core& core, std::span<const operation_view> history) : core_(core), history_(history) {}

  any_value initial() const override { return std::make_shared<const model_state>(core_.initial()); }
  any_value step(const void* state, std::size_t place) const override {
    auto next = core_.step(at(state), history_[place].input, output_of(place));
    return next ? std::make_shared<const model_state>(*std::move(next)) : any_value();
  }
  bool equal(const void* left, const void* right) const override { return core_.equal(at(left), at(right)); }
  std::size_t hash(const void* state) const override { return at(state).digest; }
  bool only_reads(std::size_t place) const override { return core_.only_reads(history_[place].input, output_of(place)); }
  bool hopeless(const void* state, std::size_t place) const override {
    return core_.hopeless(at(state), history_[place].input, *history_[place].output);
  }
  bool interchangeable(std::size_t left, std::size_t right) const override {
    return core_.interchangeable(history_[left].input, history_[right].input);
  }

private:
  static const model_state& at(const void* state) { return *static_cast<const model_state*>(state); }
  const output_view* output_of(std::size_t place) const {
    const auto& output = history_[place].output;
    return output ? &*output : nullptr;
  }

  const model_core& core_;
  std::span<const operation_view> history_;
};

}  // namespace

void model_core::expect_only(std::span<const operation_view> history) {
  repeated_ids_.emplace();
  std::unordered_map<std::string_view, std::size_t> uses;
  for (const auto& one : history) {
    if (!one.input.command.kind || one.input.command_id->empty()) continue;
    if (++uses[*one.input.command_id] == 2) repeated_ids_->insert(*one.input.command_id);
  }
}

model_state model_core::initial() const {
  model_state state{kind_->make(), {}};
  set_digest(state);
  return state;
}

void model_core::set_digest(model_state& state) const {
  const auto bytes = bytes_of(state.value.get(), kind_->state.pack);
  state.digest = mix(std::hash<std::string>{}(bytes) + state.at.value, state.answers.digest());
}

bool model_core::equal(const model_state& left, const model_state& right) const {
  return left.digest == right.digest && left.at == right.at && kind_->equal(left.value.get(), right.value.get()) &&
         left.answers == right.answers;
}

bool model_core::is_or_unknown(const output_view* output, const output_view& possible) const {
  if (!output) return true;
  if (output->index() != possible.index()) return false;
  return std::visit(
      [&]<class Output>(const Output& one) {
        const auto& other = std::get<Output>(possible);
        if constexpr (std::is_pointer_v<Output>) {
          return *one == *other;
        } else {
          return one.version == other.version && kind_->equal(one.state, other.state);
        }
      },
      *output);
}

std::optional<model_state> model_core::step(const model_state& state, const input_view& input, const output_view* output) const {
  const auto stays_if = [&](bool is_possible) { return is_possible ? std::optional(state) : std::nullopt; };
  if (const auto* nothing = get<not_stored>(output)) {
    return stays_if(nothing->why != errc::decide_failed || decide_fails(state, input));
  }
  if (!input.command.kind) return stays_if(is_or_unknown(output, seen_view{state.value.get(), state.at}));
  if (const auto* first = first_answer_to(state, input)) {
    const auto answer = again(*first);
    return stays_if(is_or_unknown(output, &answer));
  }
  if (!input.expected.admits(state.at)) {
    const conflict other{state.at};
    return stays_if(is_or_unknown(output, &other));
  }
  if (output && hopeless(state, input, *output)) return std::nullopt;
  return decide(state, input, output);
}

bool model_core::only_reads(const input_view& input, const output_view* output) const {
  if (!input.command.kind) return true;
  if (!output) return false;
  const auto* yes = get<accepted>(output);
  return !yes || yes->events == 0 || (yes->repeated && !input.retried);
}

bool model_core::hopeless(const model_state& state, const input_view& input, const output_view& output) const {
  if (const auto* first = first_answer_to(state, input)) {
    const auto answer = again(*first);
    return !is_or_unknown(&output, &answer) && !get<not_stored>(&output);
  }
  if (const auto* yes = get<accepted>(&output)) return yes->version < state.at + yes->events;
  if (const auto* no = get<rejected>(&output)) return no->version < state.at;
  if (const auto* other = get<conflict>(&output)) return other->stands < state.at;
  if (const auto* seen = std::get_if<seen_view>(&output)) return seen->version < state.at;
  return false;
}

bool model_core::interchangeable(const input_view& left, const input_view& right) const {
  if (!left.command.kind || !right.command.kind) return !left.command.kind && !right.command.kind;
  if (left.command.kind != right.command.kind || left.expected.required() != right.expected.required() ||
      remembers(*left.command_id) || remembers(*right.command_id)) {
    return false;
  }
  return left.command.kind->same(left.command.command, right.command.command);
}

bool model_core::decide_fails(const model_state& state, const input_view& input) const {
  if (!input.command.kind || first_answer_to(state, input) || !input.expected.admits(state.at)) return false;
  return input.command.kind->fails(state.value.get(), input.command.command);
}

bool model_core::remembers(const std::string& command_id) const {
  return !command_id.empty() && (!repeated_ids_ || repeated_ids_->contains(command_id));
}

std::optional<model_state> model_core::decide(const model_state& state, const input_view& asked,
                                              const output_view* output) const {
  const auto stays_if = [&](bool is_possible) { return is_possible ? std::optional(state) : std::nullopt; };
  accepted answer{state.at, 0, false, {}};
  const auto* told = get<accepted>(output);
  const auto is_wanted = [&](const any_decision& made) {
    answer.events = made.events;
    answer.version = state.at + made.events;
    answer.repeated = told && told->repeated && asked.retried;  // an earlier attempt did it, the last one was told
    answer.result = made.result;
    return !output || (told && *told == answer);
  };
  any_decision made;
  auto value = asked.command.kind->decide(state.value.get(), asked.command.command, made, std::ref(is_wanted));
  if (made.failed) return stays_if(!output);  // errc::decide_failed, which is a not_stored
  if (made.rejected) {
    const rejected no{*std::move(made.rejected), state.at};
    return stays_if(is_or_unknown(output, &no));
  }
  if (made.events == 0) {
    answer.result = std::move(made.result);
    return stays_if(is_or_unknown(output, &answer));
  }
  if (!value) return std::nullopt;
  model_state next{std::move(value), answer.version, state.answers};
  if (remembers(*asked.command_id)) {
    next.answers.remember({*asked.command_id, answer.version, answer.events, std::move(answer.result)});
  }
  set_digest(next);
  return next;
}

linearization check_operations(const aggregate_kind& kind, std::span<const operation_view> history, check_options options) {
  model_core core(kind);
  core.expect_only(history);
  std::vector<operation_moments> moments;
  moments.reserve(history.size());
  for (const auto& one : history) moments.push_back(one.moments);
  return search_order(model_history(core, history), moments, options);
}

}  // namespace cairn::testkit::detail
