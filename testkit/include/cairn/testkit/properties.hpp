// What has to be true of an aggregate whatever is asked of it, tried with rapidcheck's random commands:
//
//     using Command = std::variant<Enrol, AddStock, RemoveStock>;
//     const auto count = rc::gen::inRange<Count>(-1, 100);
//     const auto commands = rc::gen::oneOf(rc::gen::map(count, [](Count n) -> Command { return Enrol{n}; }),
//                                          rc::gen::map(count, [](Count n) -> Command { return AddStock{n}; }),
//                                          rc::gen::map(count, [](Count n) -> Command { return RemoveStock{n}; }));
//     check_properties<Product>(commands, [](const Product& product) { return product.count >= 0; });
//
// The invariant is the user's. The others are those that the runtime stands on: a replay of the stored events gives the live
// state at every version; so does a snapshot of any version with the events behind it; and evolve takes any event in any state,
// because a history is what it is.
//
// Needs rapidcheck (librapidcheck-dev, and to be linked with it), which nothing else of cairn does. Failures are reported as
// failure.hpp says.
#pragma once

#include <cairn/msgpack.hpp>
#include <cairn/testkit/detail/last_words.hpp>
#include <cairn/testkit/detail/through_bytes.hpp>
#include <cairn/testkit/failure.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <rapidcheck.h>
#include <source_location>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace cairn::inline v1::testkit {

/// How much is tried. What is left out is rapidcheck's own: the environment variable RC_PARAMS, or else 100 sequences of
/// commands from a seed that differs each time.
struct property_options {
  std::optional<int> cases;
  std::optional<std::uint64_t> seed;
};

namespace detail {

/// One sequence of commands, and what becomes of an aggregate by it. Each check gives what is wrong, or an empty text.
template <Aggregate A, class Invariant>
class life {
public:
  explicit life(const Invariant& invariant) : invariant_(invariant) {}

  /// Lives through the commands, and then through the events in the order of `picks`, each of which stands for one of them.
  template <class Command>
  std::string flaw(const std::vector<Command>& commands, const std::vector<std::size_t>& picks) {
    const last_words if_evolve_throws([this] { return "evolve threw, and has to be noexcept" + text_; });
    try {
      std::string found;
      for (const auto& command : commands) {
        if (found.empty()) found = std::visit([this](const auto& one) { return lived(one); }, command);
      }
      if (found.empty()) found = replayed();
      if (found.empty()) found = started_from_snapshots();
      if (found.empty()) live_in_any_order(picks);
      return found.empty() ? found : found + text_;
    } catch (const std::exception& reason) { return std::string(doing_) + " threw: " + reason.what() + text_; }
  }

private:
  void tell(std::string_view word, const std::string& what) { text_ += "\n" + std::string(word) + " " + what; }

  template <class Command>
  std::string lived(const Command& command) {
    tell("when", shown_command(command));
    doing_ = "decide";
    const auto decision = states_.back().decide(command);
    if (const auto* no = decision.rejected()) tell("then", "rejected: " + no->code);
    for (const auto& event : decision.events()) happens(event);
    if (auto flaw = flaw_in_bytes(command, decision); !flaw.empty()) return flaw;
    doing_ = "the invariant";
    return std::invoke(invariant_, states_.back()) ? "" : "the invariant does not hold: " + shown(states_.back());
  }

  void happens(const typename A::Event& event) {
    tell("then", shown_event(event));
    doing_ = "storing the event";
    frames_.push_back(frame_of<A>(event, states_.size()));
    states_.push_back(states_.back());
    evolve(states_.back(), event);
  }

  template <class Command, class Decision>
  static std::string flaw_in_bytes(const Command& command, const Decision& decision) {
    std::string flaw;
    if constexpr (known_to_msgpack<Command>) flaw = codec_flaw(command);
    if constexpr (!std::is_void_v<typename Decision::result_type>) {
      if (flaw.empty() && !decision.rejected()) flaw = result_flaw(decision.result());
    }
    return flaw;
  }

  std::string replayed() {
    doing_ = "reading an event back";
    A state;
    for (const auto& frame : frames_) {
      events_.push_back(event_in<A>(frame));
      evolve(state, events_.back());
      const auto& live = states_[events_.size()];
      if (!(state == live)) {
        return listed("the replay to version " + std::to_string(events_.size()) + " is not as the live state",
                      differences_of(live, state));
      }
    }
    return {};
  }

  std::string started_from_snapshots() {
    doing_ = "reading a snapshot back";
    for (std::size_t version = 0; version < states_.size(); ++version) {
      auto state = codec<A>::decode(bytes_of(states_[version]));
      for (std::size_t next = version; next < events_.size(); ++next) evolve(state, events_[next]);
      if (!(state == states_.back())) {
        return listed("a snapshot of version " + std::to_string(version) + " and the events behind it are not as the replay",
                      differences_of(states_.back(), state));
      }
    }
    return {};
  }

  void live_in_any_order(const std::vector<std::size_t>& picks) {
    if (events_.empty()) return;
    text_ += "\nand the events in another order, where any may be missing or repeated:";
    A state;
    for (const auto pick : picks) {
      const auto& event = events_[pick % events_.size()];
      tell("then", shown_event(event));
      evolve(state, event);
    }
  }

  const Invariant& invariant_;
  std::vector<A> states_ = std::vector<A>(1);  // at each version, from 0
  std::vector<std::string> frames_;            // of each event, as it is stored
  std::vector<typename A::Event> events_;
  std::string text_;
  std::string_view doing_;
};

/// What rapidcheck found, as a text; empty where it found nothing.
inline std::string flaw_found(const rc::detail::TestResult& result, const rc::detail::TestParams& params) {
  if (result.is<rc::detail::SuccessResult>()) return {};
  if (!result.is<rc::detail::FailureResult>()) {
    std::ostringstream said;
    rc::detail::printResultMessage(result, said);
    return said.str();
  }
  const auto& found = result.get<rc::detail::FailureResult>();
  return found.description + "\nfound after " + std::to_string(found.numSuccess) + " sequences that were right, and shrunk; " +
         "repeat it with RC_PARAMS=\"seed=" + std::to_string(params.seed) + " max_success=" + std::to_string(params.maxSuccess) +
         "\"";
}

}  // namespace detail

/// Tries sequences of `commands` on a new aggregate, each from its beginning. The `invariant`, a `bool(const A&)`, is to hold
/// after each command, whether accepted or not. Reports the shortest sequence found for which a property does not hold, with
/// its events and the seed. Where evolve throws, which ends the program, what was tried is written to standard error.
template <class A, class... Commands, class Invariant>
void check_properties(const rc::Gen<std::variant<Commands...>>& commands, const Invariant& invariant,
                      property_options options = {}, std::source_location where = std::source_location::current()) {
  detail::require_testable<A>();
  (require_command<A, Commands>(), ...);
  static_assert(std::predicate<const Invariant&, const A&>, "cairn: an invariant is a `bool(const A&)`");
  auto params = rc::detail::configuration().testParams;
  params.maxSuccess = options.cases.value_or(params.maxSuccess);
  params.seed = options.seed.value_or(params.seed);

  const auto sequences = rc::gen::container<std::vector<std::variant<Commands...>>>(commands);
  const auto picks = rc::gen::container<std::vector<std::size_t>>(rc::gen::inRange<std::size_t>(0, 1'000));
  const auto property = [&] {
    const auto sequence = *sequences;
    return detail::life<A, Invariant>(invariant).flaw(sequence, *picks);
  };
  const auto result = rc::detail::checkTestable(property, rc::detail::TestMetadata{}, params);
  if (const auto flaw = detail::flaw_found(result, params); !flaw.empty()) fail(flaw, where);
}

}  // namespace cairn::testkit
