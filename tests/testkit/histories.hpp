// Random histories whose real order is known, and faults put into them; and a slow checker that nothing can be wrong with.
//
// Takes from the checker under test how a history is written down, and no more: what an aggregate answers is worked out here
// anew.
#pragma once

#include <cairn/msgpack.hpp>
#include <cairn/testkit/aggregate_model.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::tests {

/// What goes wrong once in a history.
enum class fault {
  none,
  version_off,     ///< an answer names the version before or after
  lost_update,     ///< something was accepted, and did not happen
  stale_look,      ///< a look sees what was no longer so when it was called
  double_effect,   ///< a command with an id takes effect twice
  seen_then_lost,  ///< a look sees what an unknown operation did, and then it did not
};
inline constexpr std::array faults{fault::version_off, fault::lost_update, fault::stale_look, fault::double_effect,
                                   fault::seen_then_lost};

inline const char* to_string(fault which) {
  switch (which) {
  case fault::none: return "none";
  case fault::version_off: return "version off";
  case fault::lost_update: return "lost update";
  case fault::stale_look: return "stale look";
  case fault::double_effect: return "double effect";
  case fault::seen_then_lost: return "seen, then lost";
  }
  return "?";
}

/// An aggregate as its clients know it, one operation after the other.
template <Aggregate A, class... Commands>
struct plain_aggregate {
  using input = testkit::aggregate_input<Commands...>;
  using output = testkit::aggregate_output<A>;

  A state{};
  cairn::version version;
  std::map<std::string, testkit::accepted> first_answers;

  bool operator==(const plain_aggregate&) const = default;

  output perform(const input& what) {
    if (std::holds_alternative<testkit::state_asked>(what)) return testkit::seen_state<A>{state, version};
    const auto& asked = std::get<testkit::command_asked<Commands...>>(what);
    if (const auto first = first_answers.find(asked.command_id); first != first_answers.end()) {
      auto again = first->second;
      again.repeated = true;
      return again;
    }
    if (asked.expected.required().value_or(version) != version) return testkit::conflict{version};
    return std::visit([&](const auto& command) { return decide(command, asked.command_id); }, asked.command);
  }

private:
  template <class Command>
  output decide(const Command& command, const std::string& command_id) {
    using decision_type = decltype(state.decide(command));
    std::optional<decision_type> made;
    try {
      made.emplace(state.decide(command));
    } catch (const std::exception&) { return testkit::not_stored{errc::decide_failed}; }
    const auto& decision = *made;
    if (decision.rejected()) return testkit::rejected{decision.rejected()->code, version};
    testkit::accepted answer;
    if constexpr (!std::is_void_v<typename decision_type::result_type>) cairn::detail::encode(answer.result, decision.result());
    for (const auto& event : decision.events()) {
      evolve(state, event);
      ++version.value;
      ++answer.events;
    }
    answer.version = version;
    if (answer.events > 0 && !command_id.empty()) first_answers.emplace(command_id, answer);
    return answer;
  }
};

/// The plain aggregate as a model, with nothing that would make a search shorter.
template <Aggregate A, class... Commands>
struct plain_model {
  using aggregate = plain_aggregate<A, Commands...>;
  using state_type = aggregate;
  using input_type = typename aggregate::input;
  using output_type = typename aggregate::output;

  state_type initial() const { return {}; }
  std::size_t hash(const state_type& state) const { return state.version.value; }
  std::optional<state_type> step(state_type state, const input_type& input, const output_type* told) const {
    const auto* nothing = told ? std::get_if<testkit::not_stored>(told) : nullptr;
    if (nothing && nothing->why != errc::decide_failed) return state;
    const auto before = state.version;
    auto output = state.perform(input);
    if (!told || *told == output) return state;
    // The answer to a later attempt, where an earlier one did it.
    const auto* asked = std::get_if<testkit::command_asked<Commands...>>(&input);
    auto* yes = std::get_if<testkit::accepted>(&output);
    if (!asked || !asked->retried || !yes || state.version == before) return std::nullopt;
    yes->repeated = true;
    return *told == output ? std::optional(std::move(state)) : std::nullopt;
  }
};

/// Whether any order explains the history: tries them all, remembers nothing, leaves nothing out.
template <testkit::LinearizableModel M>
class every_order {
public:
  using operation = testkit::operation_of<M>;
  every_order(const M& model, std::span<const operation> operations)
      : model_(model), operations_(operations), placed_(operations.size()) {}

  bool explains() { return explains_from(model_.initial()); }

private:
  bool explains_from(const typename M::state_type& state) {
    const auto open = [&](std::size_t place) { return !placed_[place] && operations_[place].known(); };
    bool all = true;
    for (std::size_t place = 0; place < operations_.size(); ++place) all = all && !open(place);
    if (all) return true;
    for (std::size_t place = 0; place < operations_.size(); ++place) {
      const auto& next = operations_[place];
      bool allowed = !placed_[place];
      for (std::size_t other = 0; other < operations_.size(); ++other) {
        allowed = allowed && !(open(other) && *operations_[other].returned < next.called);
      }
      if (!allowed) continue;
      const auto then = model_.step(state, next.input, next.output ? &*next.output : nullptr);
      if (!then) continue;
      placed_[place] = true;
      const bool found = explains_from(*then);
      placed_[place] = false;
      if (found) return true;
    }
    return false;
  }

  const M& model_;
  std::span<const operation> operations_;
  std::vector<bool> placed_;
};

/// Whether the operations of `order` can come one after the other like that, each once, with none before another that had
/// returned when it was called.
template <testkit::LinearizableModel M>
bool is_order(const M& model, std::span<const testkit::operation_of<M>> operations, const std::vector<std::size_t>& order) {
  std::vector<bool> placed(operations.size());
  auto state = std::optional(model.initial());
  for (const auto place : order) {
    const auto& next = operations[place];
    for (std::size_t other = 0; other < operations.size(); ++other) {
      const auto& open = operations[other];
      if (!placed[other] && open.known() && *open.returned < next.called) return false;
    }
    state = model.step(*state, next.input, next.output ? &*next.output : nullptr);
    if (!state || placed[place]) return false;
    placed[place] = true;
  }
  return true;
}

/// Whether all operations whose outcome is known are in the order.
template <class Operations>
bool is_whole(const Operations& operations, const std::vector<std::size_t>& order) {
  const auto known = std::ranges::count_if(operations, [](const auto& one) { return one.known(); });
  return known == std::ranges::count_if(order, [&](std::size_t place) { return operations[place].known(); });
}

/// How a random history looks. Shares are in percent.
struct history_shape {
  std::size_t operations = 6;
  std::size_t clients = 3;
  unsigned looks = 25;
  unsigned unknown = 15;
  unsigned retried = 20;
  unsigned repeats = 10;  ///< of an earlier command of the client, as an operation of its own
  unsigned expecting = 10;
  bool same_moments = true;  ///< several things may happen in one moment
  bool look_at_end = true;   ///< by somebody who comes when all others have gone
};

/// Makes histories of one aggregate, from a seed.
template <Aggregate A, class... Commands>
class history_maker {
  using aggregate = plain_aggregate<A, Commands...>;
  using command = std::variant<Commands...>;
  using asked = testkit::command_asked<Commands...>;

public:
  using operation = testkit::aggregate_operation<A, Commands...>;
  using history = std::vector<operation>;
  using random = std::mt19937_64;

  history_maker(history_shape shape, std::function<command(random&)> random_command)
      : shape_(shape), random_command_(std::move(random_command)) {}

  /// A history that the order of its effects explains; where `wanted` found its place in it, one with that fault.
  history make(std::uint64_t seed, fault wanted = fault::none) {
    random_.seed(seed);
    fault_ = wanted;
    faulty_ = false;
    fault_from_ = below(shape_.operations);
    history_.clear();
    loose_.clear();
    truth_ = {};
    past_ = {truth_};
    clients_.assign(shape_.clients, {});
    now_ = 0;
    answered_ = 0;
    while (history_.size() < shape_.operations || std::ranges::any_of(clients_, &client::busy)) move();
    if (shape_.look_at_end) look(1000);
    if (fault_ == fault::version_off) shift_a_version();
    return history_;
  }

  /// What the checker under test says of such a history.
  static testkit::linearization check(std::span<const operation> history, testkit::check_options options = {}) {
    return testkit::check_aggregate<A, Commands...>(history, options);
  }

  /// Whether the last history has the fault that it was made for.
  bool faulty() const { return faulty_; }

private:
  struct client {
    bool busy = false;
    std::size_t operation = 0;
    unsigned attempts = 0;
    std::uint64_t answered_when_called = 0;
    std::vector<asked> asked_before = {};
    std::uint64_t ids = 0;
  };

  std::size_t below(std::size_t limit) { return static_cast<std::size_t>(random_() % limit); }
  bool happens(unsigned percent) { return below(100) < percent; }
  void tick() { now_ += static_cast<std::int64_t>(shape_.same_moments ? below(3) : 1); }
  bool due(fault which) const { return fault_ == which && !faulty_ && history_.size() > fault_from_; }

  void move() {
    tick();
    if (!loose_.empty() && happens(20)) take_effect_late();
    const auto number = below(clients_.size());
    auto& one = clients_[number];
    if (!one.busy) {
      if (history_.size() < shape_.operations) call(number);
    } else if (!history_[one.operation].output) {
      take_effect(one);
    } else {
      give_back(one);
    }
  }

  void give_back(client& one) {
    auto& what = history_[one.operation];
    what.returned = now_;
    one.busy = false;
    if (const auto* yes = std::get_if<testkit::accepted>(&*what.output)) answered_ = std::max(answered_, yes->version.value);
  }

  void call(std::size_t number) {
    auto& one = clients_[number];
    operation next{number, now_, {}, testkit::state_asked{}, {}};
    one.attempts = 1;
    if (!happens(shape_.looks)) {
      auto what = new_command(number);
      if (what.retried) one.attempts = 2;
      next.input = std::move(what);
    }
    one.operation = history_.size();
    one.answered_when_called = answered_;
    history_.push_back(std::move(next));
    one.busy = !happens(shape_.unknown);
    if (!one.busy && happens(70)) loose_.push_back(one.operation);
  }

  asked new_command(std::size_t number) {
    auto& one = clients_[number];
    if (!one.asked_before.empty() && happens(shape_.repeats)) return one.asked_before[below(one.asked_before.size())];
    asked what{random_command_(random_)};
    if (happens(80)) what.command_id = std::to_string(number) + "-" + std::to_string(one.ids++);
    if (happens(shape_.expecting)) what.expected = expected_version::exactly(version{truth_.version.value + below(2)});
    what.retried = !what.command_id.empty() && happens(shape_.retried);
    if (!what.command_id.empty()) one.asked_before.push_back(what);
    return what;
  }

  void take_effect(client& one) {
    auto& what = history_[one.operation];
    if (one.attempts > 1) {
      --one.attempts;
      if (happens(60)) perform(what.input);  // and its answer is lost
      return;
    }
    if (!is_retried(what) && happens(3)) {
      what.output = testkit::not_stored{errc::overloaded};
      return;
    }
    what.output = answer(one, what.input);
  }

  static bool is_retried(const operation& what) {
    const auto* command = std::get_if<asked>(&what.input);
    return command && command->retried;
  }

  typename aggregate::output answer(const client& one, const typename aggregate::input& input) {
    const auto before = truth_;
    auto output = perform(input);
    const auto* yes = std::get_if<testkit::accepted>(&output);
    if (due(fault::lost_update) && yes && truth_.version > before.version) {
      truth_ = before;
      faulty_ = true;
    } else if (due(fault::double_effect) && yes && std::get<asked>(input).retried) {
      auto again = std::get<asked>(input);
      again.expected = expected_version::any();
      const auto between = truth_;
      truth_.first_answers.erase(again.command_id);
      perform(again);
      faulty_ = truth_.version > between.version;
      if (!faulty_) truth_ = between;
    } else if (due(fault::stale_look) && std::holds_alternative<testkit::state_asked>(input) && one.answered_when_called > 0) {
      const auto newer = [&](const aggregate& old) { return old.version.value >= one.answered_when_called; };
      const auto& old = *std::prev(std::ranges::find_if(past_, newer));
      faulty_ = true;
      return testkit::seen_state<A>{old.state, old.version};
    }
    return output;
  }

  typename aggregate::output perform(const typename aggregate::input& input) {
    auto output = truth_.perform(input);
    std::erase_if(past_, [&](const aggregate& old) { return old.version >= truth_.version; });
    past_.push_back(truth_);
    return output;
  }

  void take_effect_late() {
    const auto which = below(loose_.size());
    const auto before = truth_;
    perform(history_[loose_[which]].input);
    loose_.erase(loose_.begin() + static_cast<std::ptrdiff_t>(which));
    if (!due(fault::seen_then_lost) || truth_ == before) return;
    look(2000);
    truth_ = before;
    faulty_ = true;
  }

  /// A look of somebody else, at once.
  void look(std::uint64_t by) {
    ++now_;
    history_.push_back({by, now_, now_ + 1, testkit::state_asked{}, testkit::seen_state<A>{truth_.state, truth_.version}});
    now_ += 2;
  }

  void shift_a_version() {
    std::vector<testkit::accepted*> answers;
    for (auto& one : history_) {
      auto* yes = one.output ? std::get_if<testkit::accepted>(&*one.output) : nullptr;
      if (yes && yes->events > 0) answers.push_back(yes);
    }
    if (answers.empty()) return;
    auto& number = answers[below(answers.size())]->version.value;
    number += happens(50) ? 1 : -std::uint64_t{1};
    faulty_ = true;
  }

  history_shape shape_;
  std::function<command(random&)> random_command_;
  random random_;
  fault fault_ = fault::none;
  bool faulty_ = false;
  std::size_t fault_from_ = 0;
  history history_;
  std::vector<std::size_t> loose_;  // unknown operations that will take effect
  aggregate truth_;
  std::vector<aggregate> past_;  // what was true after each decision
  std::vector<client> clients_;
  std::int64_t now_ = 0;
  std::uint64_t answered_ = 0;  // the highest version in an answer that has returned
};

}  // namespace cairn::tests
