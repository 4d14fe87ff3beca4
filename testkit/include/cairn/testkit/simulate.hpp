// The whole runtime, simulated from a seed: clients, processes that crash, disks that fail, time; and every promise checked.
//
//     TEST_CASE("a product keeps its promises, whatever fails") {
//       const auto report = testkit::simulate<Product>([](testkit::random& random) -> std::variant<Enrol, AddStock, RemoveStock>
//       {
//         switch (random.below(4)) {
//         case 0: return Enrol{random.between(0, 9)};
//         case 1: return RemoveStock{random.between(1, 5)};
//         default: return AddStock{random.between(1, 5)};
//         }
//       });
//       CHECK_MESSAGE(report.passed(), report.text());
//     }
//
// Each seed is one run, on one thread: some clients send some hundred commands to some aggregates through the real runtime, look
// at states, present and past, and repeat what got no answer under the same command id. The seed decides the order of messages,
// all latencies, what fails and when. Then it is checked that
// - the history of each aggregate is linearizable: there is an order of its operations, each between its call and its return, in
//   which the aggregate's own decide and evolve give the answers that clients got;
// - what was acknowledged is in the journal, once; versions and positions have no gaps; what was refused is not there;
// - readers of the global order saw each record once, in order, and none that was later lost;
// - repeats got the first answer;
// - once nothing fails any more, all is answered.
#pragma once

#include <cairn/msgpack.hpp>
#include <cairn/runtime.hpp>
#include <cairn/testkit/aggregate_model.hpp>
#include <cairn/testkit/detail/json_text.hpp>
#include <cairn/testkit/detail/simulation_core.hpp>
#include <cairn/testkit/detail/through_bytes.hpp>
#include <cairn/testkit/detail/type_name.hpp>
#include <cairn/testkit/history.hpp>
#include <cairn/testkit/random.hpp>
#include <cairn/testkit/simulation.hpp>

#include <boost/asio/bind_executor.hpp>

#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::inline v1::testkit {
namespace detail {

/// How histories show commands and states.
struct history_format {
  template <class T>
  std::string json_of(const T& value) const {
    if constexpr (known_to_msgpack<T>) {
      return detail::json_of(value);
    } else {
      return "null";
    }
  }
  /// Without its namespaces.
  template <class Command>
  std::string name_of(const Command&) const {
    const auto name = type_name<Command>();
    return name.substr(name.rfind(':') + 1);
  }
};

template <Aggregate A, class Workload, class Commands>
class domain_of;

template <Aggregate A, class Workload, class... Commands>
class domain_of<A, Workload, std::variant<Commands...>> final : public simulated_domain {
  using operation = aggregate_operation<A, Commands...>;

public:
  explicit domain_of(const Workload& workload) : workload_(workload) { (require_command<A, Commands>(), ...); }

  std::string_view category() const override { return A::category; }

  std::size_t make_command(random& chance) override {
    commands_.push_back(workload_(chance));
    return commands_.size() - 1;
  }

  std::string describe(std::size_t command) const override {
    return std::visit([](const auto& one) { return shown_command(one); }, commands_[command]);
  }

  void attempt(cairn::runtime& runtime, const client_operation& what, command_options options, executor run_on,
               answer_function answer) override {
    const auto seen = [answer](boost::system::error_code code, versioned<A> found) {
      client_answer told;
      told.code = static_cast<errc>(code.value());
      told.detail = std::move(found.detail);
      told.version = found.version;
      told.state = bytes_of(found.state);
      answer(std::move(told));
    };
    switch (what.is) {
    case client_operation::kind::look: return runtime.state<A>(what.aggregate, boost::asio::bind_executor(run_on, seen));
    case client_operation::kind::look_back:
      return runtime.state_at<A>(what.aggregate, what.back_to, boost::asio::bind_executor(run_on, seen));
    case client_operation::kind::command: break;
    }
    std::visit(
        [&](const auto& command) {
          runtime.ask<A>(what.aggregate, command, std::move(options),
                         boost::asio::bind_executor(run_on, [answer](boost::system::error_code code, auto given) {
                           answer(told_by(code, std::move(given)));
                         }));
        },
        commands_[what.command]);
  }

  std::optional<broken_promise> check(const std::vector<client_operation>& history, const journal& store) const override {
    for (const auto& [aggregate, operations] : by_aggregate(history)) {
      const auto found = check_aggregate<A, Commands...>(operations);
      if (found.verdict != linearizability::linearizable) return why_not(aggregate, operations, found);
    }
    for (const auto& what : history) {
      if (what.is == client_operation::kind::look_back && what.answer && what.answer->code == errc{}) {
        if (auto wrong = check_look_back(what, store)) return wrong;
      }
    }
    return std::nullopt;
  }

  std::string json(const std::vector<client_operation>& history) const override {
    std::string all;
    for (const auto& what : history) {
      if (what.is != client_operation::kind::look_back) {
        all += json_line<A, Commands...>(what.aggregate, as_operation(what), history_format{});
      }
    }
    return all;
  }

private:
  template <class Result>
  static client_answer told_by(boost::system::error_code code, answer<Result> given) {
    client_answer told;
    told.code = static_cast<errc>(code.value());
    told.detail = std::move(given.detail);
    told.version = given.version;
    told.events = given.events;
    told.repeated = given.repeated;
    if (given.rejected) told.rejected = std::move(given.rejected->code);
    if constexpr (!std::is_void_v<Result>) told.result = bytes_of(given.result);
    return told;
  }

  operation as_operation(const client_operation& what) const {
    operation made{what.client, what.called, what.returned, state_asked{}, std::nullopt};
    if (what.is == client_operation::kind::command) {
      made.input = command_asked<Commands...>{commands_[what.command], what.command_id, what.expected, what.may_have_happened};
    }
    if (what.answer) made.output = as_output(what, *what.answer);
    return made;
  }

  static aggregate_output<A> as_output(const client_operation& what, const client_answer& told) {
    if (told.code == errc::version_conflict) return conflict{told.version};
    if (told.code != errc{}) return not_stored{told.code};
    if (what.is == client_operation::kind::look) return seen_state<A>{codec<A>::decode(told.state), told.version};
    if (told.rejected) return rejected{*told.rejected, told.version};
    return accepted{told.version, told.events, told.repeated, told.result};
  }

  std::map<std::string, std::vector<operation>> by_aggregate(const std::vector<client_operation>& history) const {
    std::map<std::string, std::vector<operation>> all;
    for (const auto& what : history) {
      if (what.is != client_operation::kind::look_back) all[what.aggregate].push_back(as_operation(what));
    }
    return all;
  }

  static broken_promise why_not(const std::string& aggregate, const std::vector<operation>& operations,
                                const linearization& found) {
    const bool undecided = found.verdict == linearizability::undecided;
    std::string why = cairn::to_string(stream_view{A::category, aggregate}) +
                      (undecided ? ": whether its history is linearizable was not found out in " + std::to_string(found.steps) +
                                       " steps, for too many outcomes are unknown; with rarer faults it would be"
                                 : ": its history is not linearizable");
    constexpr std::size_t shown_max = 12;
    const auto list = [&](const char* headline, const std::vector<std::size_t>& places, std::size_t from) {
      why += headline;
      for (std::size_t place = from; place < places.size(); ++place) {
        why += "\n  " + json_line<A, Commands...>(aggregate, operations[places[place]], history_format{});
        why.pop_back();
      }
    };
    const auto& order = found.order;
    list("\nthe longest order that explains it ends with", order, order.size() - std::min(order.size(), shown_max));
    list("\nand none of these can come next:", found.blocked, 0);
    for (const auto& line : unexplained_states(operations, found)) why += "\n" + line;
    std::int64_t first_return = 0;
    for (const auto place : found.blocked) {
      const auto returned = operations[place].returned.value_or(0);
      if (returned > 0 && (first_return == 0 || returned < first_return)) first_return = returned;
    }
    return {why, first_return};
  }

  /// Compares the states along the longest order with those that clients saw at the same version, and with their own bytes. A
  /// state may look right in the report and still be another one by operator==.
  static lines unexplained_states(const std::vector<operation>& operations, const linearization& found) {
    const aggregate_model<A, Commands...> model(operations);
    auto state = model.initial();
    std::map<version, A> states{{state.at(), state.value()}};
    for (const auto place : found.order) {
      const auto& one = operations[place];
      auto next = model.step(state, one.input, one.output ? &*one.output : nullptr);
      if (!next) return {};
      state = *std::move(next);
      states.insert_or_assign(state.at(), state.value());
    }
    lines all;
    for (const auto place : found.blocked) {
      const auto& output = operations[place].output;
      const auto* seen = output ? std::get_if<seen_state<A>>(&*output) : nullptr;
      const auto made = seen ? states.find(seen->version) : states.end();
      if (made == states.end() || made->second == seen->state) continue;
      all.push_back(listed("the state that client " + std::to_string(operations[place].client) + " saw at version " +
                               std::to_string(seen->version.value) + " is not the one that the events make",
                           differences_of(made->second, seen->state)));
    }
    if (auto flaw = codec_flaw(state.value()); all.empty() && !flaw.empty()) all.push_back(std::move(flaw));
    return all;
  }

  static std::optional<broken_promise> check_look_back(const client_operation& what, const journal& store) {
    A state;
    version reached;
    const stream_view stream{A::category, what.aggregate};
    store.read(stream, {version{1}, what.back_to}, [&](const record_view& record) {
      evolve(state, read_event<A>(record));
      reached = record.version;
      return true;
    });
    const auto shown = codec<A>::decode(what.answer->state);
    if (reached == what.back_to && shown == state) return std::nullopt;
    auto why = cairn::to_string(stream) + " at version " + std::to_string(what.back_to.value) + " was shown as " +
               json_text(std::string_view(what.answer->state)) + ", and the journal's records make it " + json_of(state);
    if (reached != what.back_to) {
      why += " at version " + std::to_string(reached.value);
    } else {
      why = listed(why, differences_of(state, shown));
    }
    return broken_promise{why, what.returned.value_or(0)};
  }

  Workload workload_;
  std::vector<std::variant<Commands...>> commands_;
};

template <Aggregate A, class Workload>
std::unique_ptr<simulated_domain> make_domain(const Workload& workload) {
  require_testable<A>();
  using commands = std::remove_cvref_t<std::invoke_result_t<Workload&, random&>>;
  static_assert(
      cairn::detail::is_variant<commands>::value,
      "cairn: a workload is called with a cairn::testkit::random&, and gives a std::variant of the aggregate's commands");
  return std::make_unique<domain_of<A, Workload, commands>>(workload);
}

}  // namespace detail

/// Makes a run of each seed, as far as none fails, and says what they did. `workload` makes up one command after the other from
/// the randomness that it is given, and from nothing else: `std::variant<Commands...> operator()(random&)`; each run has a copy.
/// `A` must have ==, and equal results of commands equal msgpack (so no unordered containers in them). One thread; some ten
/// milliseconds a run. Throws error(errc::invalid_argument) where a fault's share is not from 0 to 1, and where there is no seed:
/// of `which`, or of the environment's (see seeds).
template <Aggregate A, class Workload>
simulation_report simulate(Workload workload, const faults& rates = {}, seeds which = {}) {
  return detail::simulate_all(which, rates, [&] { return detail::make_domain<A>(workload); });
}

/// The history of one run as lines of JSON (<cairn/testkit/history.hpp>), whether its promises were kept or not: the same for the
/// same seed, byte for byte.
template <Aggregate A, class Workload>
std::string simulated_history(Workload workload, std::uint64_t seed, const faults& rates = {}) {
  const auto domain = detail::make_domain<A>(workload);
  return domain->json(detail::simulate_once(seed, rates, *domain, false).history);
}

}  // namespace cairn::testkit
