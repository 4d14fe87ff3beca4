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

#include <cairn/runtime.hpp>
#include <cairn/testkit/aggregate_model.hpp>
#include <cairn/testkit/detail/receiver.hpp>
#include <cairn/testkit/detail/simulation_core.hpp>
#include <cairn/testkit/detail/through_bytes.hpp>
#include <cairn/testkit/random.hpp>
#include <cairn/testkit/simulation.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace cairn::inline v1::testkit {
namespace detail {

template <class Result>
void receive_answer(void* attempt, actors::operation& asked) {
  auto given = cairn::detail::answer_maker<Result>::make(asked);
  auto& told = static_cast<pending_attempt*>(attempt)->told;
  if constexpr (!std::is_void_v<Result>) told.result = bytes_of(given.result);
  take_answer(told,
              {given.version, given.events, given.repeated, std::move(given.rejected), given.code, std::move(given.detail)});
}

template <Aggregate A>
void receive_state(void* attempt, actors::operation& asked) {
  auto found = cairn::detail::state_maker<A>::make(asked);
  auto& told = static_cast<pending_attempt*>(attempt)->told;
  told.code = found.code;
  told.detail = std::move(found.detail);
  told.version = found.version;
  told.state = bytes_of(found.state);
}

template <Aggregate A, class Workload, class Commands>
class domain_of;

template <Aggregate A, class Workload, class... Commands>
class domain_of<A, Workload, std::variant<Commands...>> final : public simulated_domain {
public:
  explicit domain_of(const Workload& workload) : workload_(workload) { (require_command<A, Commands>(), ...); }

  const aggregate_kind& aggregate() const override { return kind_of_aggregate<A>; }

  std::size_t make_command(random& chance) override {
    commands_.push_back(workload_(chance));
    return commands_.size() - 1;
  }

  any_command command(std::size_t number) const override { return as_any_command<A>(commands_[number]); }

  void attempt(cairn::runtime& runtime, const client_operation& what, command_options options, boost::asio::io_context& run_on,
               std::shared_ptr<pending_attempt> attempt) override {
    receiver one{&run_on, std::move(attempt), receive_state<A>, answer_attempt};
    switch (what.is) {
    case client_operation::kind::look: return runtime.state<A>(what.aggregate, one.token());
    case client_operation::kind::look_back: return runtime.state_at<A>(what.aggregate, what.back_to, one.token());
    case client_operation::kind::command: break;
    }
    std::visit(
        [&]<class Command>(const Command& command) {
          one.take = receive_answer<actors::result_of<A, Command>>;
          runtime.ask<A>(what.aggregate, command, std::move(options), one.token());
        },
        commands_[what.command]);
  }

private:
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
  return detail::json_of_history(*domain, detail::simulate_once(seed, rates, *domain, false).history);
}

}  // namespace cairn::testkit
