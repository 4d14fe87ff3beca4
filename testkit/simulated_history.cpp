// What a simulation says of its history: whether the model explains it, and if not, why.
#include <cairn/answer.hpp>
#include <cairn/codec.hpp>
#include <cairn/testkit/detail/json_text.hpp>
#include <cairn/testkit/detail/simulation_core.hpp>
#include <cairn/testkit/history.hpp>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

namespace cairn::inline v1::testkit::detail {
namespace {

using outputs = std::variant<accepted, rejected, conflict, not_stored, seen_view>;

/// An operation with all that its view refers to but the command.
struct told_operation {
  const client_operation* what;
  any_value state = {};  // of a look
  std::optional<outputs> output = {};
};

std::string packed(const aggregate_kind& kind, const void* state) { return bytes_of(state, kind.state.pack); }

lines differences_of_states(const aggregate_kind& kind, const void* expected, const void* actual) {
  return differences_of(*kind.state.type, packed(kind, expected), packed(kind, actual));
}

std::string flaw_of_state(const aggregate_kind& kind, const void* state) {
  return kind.state.comes_back ? codec_flaw(state, kind.state) : std::string();
}

/// The operations of one aggregate, with their views.
class operations_of_aggregate {
public:
  explicit operations_of_aggregate(const simulated_domain& domain) : domain_(domain), kind_(domain.aggregate()) {}

  void add(const client_operation& what) {
    auto& told = operations_.emplace_back(told_operation{&what});
    if (what.answer) set_output(told, *what.answer);
    operation_view view{{what.called, what.returned, what.answer.has_value()}, {}, std::nullopt};
    if (what.is == client_operation::kind::command) {
      view.input = {domain_.command(what.command), &what.command_id, what.expected, what.may_have_happened};
    }
    if (told.output) view.output = view_of(*told.output);
    views_.push_back(view);
  }

  linearization check() const { return check_operations(kind_, views_, {}); }

  std::string json(std::size_t place) const {
    const auto& view = views_[place];
    std::string input = R"({"look":true})";
    if (view.input.command.kind) input = json_of_asked(view.input);
    std::string output = "null";
    if (view.output) {
      const auto* seen = std::get_if<seen_view>(&*view.output);
      output = json_of_output(*view.output, seen ? json_of_state(seen->state) : std::string());
    }
    const auto& what = *operations_[place].what;
    return json_of_operation(what.client, what.aggregate, view.moments, input, output);
  }

  broken_promise why_not(const std::string& aggregate, const linearization& found) const {
    const bool undecided = found.verdict == linearizability::undecided;
    std::string why = cairn::to_string(stream_view{kind_.category, aggregate}) +
                      (undecided ? ": whether its history is linearizable was not found out in " + std::to_string(found.steps) +
                                       " steps, for too many outcomes are unknown; with rarer faults it would be"
                                 : ": its history is not linearizable");
    constexpr std::size_t shown_max = 12;
    const auto list = [&](const char* headline, const std::vector<std::size_t>& places, std::size_t from) {
      why += headline;
      for (std::size_t place = from; place < places.size(); ++place) {
        why += "\n  " + json(places[place]);
        why.pop_back();
      }
    };
    const auto& order = found.order;
    list("\nthe longest order that explains it ends with", order, order.size() - std::min(order.size(), shown_max));
    list("\nand none of these can come next:", found.blocked, 0);
    for (const auto& line : unexplained_states(found)) why += "\n" + line;
    std::int64_t first_return = 0;
    for (const auto place : found.blocked) {
      const auto returned = views_[place].moments.returned.value_or(0);
      if (returned > 0 && (first_return == 0 || returned < first_return)) first_return = returned;
    }
    return {why, first_return};
  }

private:
  void set_output(told_operation& told, const client_answer& answer) const {
    if (answer.code == errc::version_conflict) {
      told.output = conflict{answer.version};
    } else if (answer.code != errc{}) {
      told.output = not_stored{answer.code};
    } else if (told.what->is == client_operation::kind::look) {
      told.state = kind_.decode(answer.state);
      told.output = seen_view{told.state.get(), answer.version};
    } else if (answer.rejected) {
      told.output = rejected{*answer.rejected, answer.version};
    } else {
      told.output = accepted{answer.version, answer.events, answer.repeated, answer.result};
    }
  }

  static output_view view_of(const outputs& output) {
    return std::visit(
        []<class Output>(const Output& one) -> output_view {
          if constexpr (std::is_same_v<Output, seen_view>) {
            return one;
          } else {
            return &one;
          }
        },
        output);
  }

  static std::string json_of_asked(const input_view& input) {
    const auto& [kind, command] = input.command;
    const auto name = name_of_type(*kind->type);
    const auto data = kind->pack ? json_text(std::string_view(bytes_of(command, kind->pack))) : "null";
    return json_of_command(input, name.substr(name.rfind(':') + 1), data);
  }

  std::string json_of_state(const void* state) const {
    return kind_.known_to_msgpack ? json_text(std::string_view(packed(kind_, state))) : "null";
  }

  /// Compares the states along the longest order with those that clients saw at the same version, and with their own bytes. A
  /// state may look right in the report and still be another one by operator==.
  lines unexplained_states(const linearization& found) const {
    model_core model(kind_);
    model.expect_only(views_);
    auto state = model.initial();
    std::map<version, any_value> states{{state.at, state.value}};
    for (const auto place : found.order) {
      const auto& one = views_[place];
      auto next = model.step(state, one.input, one.output ? &*one.output : nullptr);
      if (!next) return {};
      state = *std::move(next);
      states.insert_or_assign(state.at, state.value);
    }
    lines all;
    for (const auto place : found.blocked) {
      const auto& output = views_[place].output;
      const auto* seen = output ? std::get_if<seen_view>(&*output) : nullptr;
      const auto made = seen ? states.find(seen->version) : states.end();
      if (made == states.end() || kind_.equal(made->second.get(), seen->state)) continue;
      all.push_back(listed("the state that client " + std::to_string(operations_[place].what->client) + " saw at version " +
                               std::to_string(seen->version.value) + " is not the one that the events make",
                           differences_of_states(kind_, made->second.get(), seen->state)));
    }
    if (auto flaw = flaw_of_state(kind_, state.value.get()); all.empty() && !flaw.empty()) all.push_back(std::move(flaw));
    return all;
  }

  const simulated_domain& domain_;
  const aggregate_kind& kind_;
  std::deque<told_operation> operations_;  // the views refer into it
  std::vector<operation_view> views_;
};

std::optional<broken_promise> check_look_back(const aggregate_kind& kind, const client_operation& what, const journal& store) {
  const auto state = kind.make();
  version reached;
  const stream_view stream{kind.category, what.aggregate};
  store.read(stream, {version{1}, what.back_to}, [&](const record_view& record) {
    kind.evolve(state.get(), record);
    reached = record.version;
    return true;
  });
  const auto shown = kind.decode(what.answer->state);
  if (reached == what.back_to && kind.equal(shown.get(), state.get())) return std::nullopt;
  auto why = cairn::to_string(stream) + " at version " + std::to_string(what.back_to.value) + " was shown as " +
             json_text(std::string_view(what.answer->state)) + ", and the journal's records make it " +
             json_text(std::string_view(packed(kind, state.get())));
  if (reached != what.back_to) {
    why += " at version " + std::to_string(reached.value);
  } else {
    why = listed(why, differences_of_states(kind, state.get(), shown.get()));
  }
  return broken_promise{why, what.returned.value_or(0)};
}

}  // namespace

std::string describe(const any_command& command) {
  const auto name = name_of_type(*command.kind->type);
  return command.kind->pack ? name + " " + shown(command.command, command.kind->pack) : name;
}

std::optional<broken_promise> check_history(const simulated_domain& domain, const std::vector<client_operation>& history,
                                            const journal& store) {
  std::map<std::string, operations_of_aggregate> by_aggregate;
  for (const auto& what : history) {
    if (what.is != client_operation::kind::look_back) by_aggregate.try_emplace(what.aggregate, domain).first->second.add(what);
  }
  for (const auto& [aggregate, operations] : by_aggregate) {
    const auto found = operations.check();
    if (found.verdict != linearizability::linearizable) return operations.why_not(aggregate, found);
  }
  for (const auto& what : history) {
    if (what.is == client_operation::kind::look_back && what.answer && what.answer->code == errc{}) {
      if (auto wrong = check_look_back(domain.aggregate(), what, store)) return wrong;
    }
  }
  return std::nullopt;
}

std::string json_of_history(const simulated_domain& domain, const std::vector<client_operation>& history) {
  std::string all;
  for (const auto& what : history) {
    if (what.is == client_operation::kind::look_back) continue;
    operations_of_aggregate one(domain);
    one.add(what);
    all += one.json(0);
  }
  return all;
}

void take_answer(client_answer& told, answer<>&& given) {
  told.code = given.code;
  told.detail = std::move(given.detail);
  told.version = given.version;
  told.events = given.events;
  told.repeated = given.repeated;
  if (given.rejected) told.rejected = std::move(given.rejected->code);
}

void answer_attempt(void* attempt) {
  auto& one = *static_cast<pending_attempt*>(attempt);
  one.answer(std::move(one.told));
}

}  // namespace cairn::testkit::detail
