// The compiled part of a simulation: the world that a seed makes, with clients that know commands by number only.
#pragma once

#include <cairn/answer.hpp>
#include <cairn/command_options.hpp>
#include <cairn/error.hpp>
#include <cairn/identity.hpp>
#include <cairn/journal.hpp>
#include <cairn/testkit/aggregate_model.hpp>
#include <cairn/testkit/random.hpp>
#include <cairn/testkit/simulation.hpp>
#include <cairn/time.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace boost::asio {
class io_context;
}
namespace cairn::inline v1 {
class runtime;
}

namespace cairn::inline v1::testkit::detail {

/// What one attempt was answered, with the types forgotten.
struct client_answer {
  errc code{};
  std::string detail = {};
  cairn::version version = {};
  std::uint32_t events = 0;
  bool repeated = false;
  std::optional<std::string> rejected;
  std::string result;  ///< msgpack
  std::string state;   ///< of a look, msgpack
};

/// One thing that a client wanted, with all its attempts. Times count the calls and returns of the run.
struct client_operation {
  enum class kind : std::uint8_t { command, look, look_back };

  kind is = kind::command;
  std::uint64_t client = 0;
  std::string aggregate;
  std::size_t command = 0;  ///< its number
  std::string command_id = {};
  expected_version expected = expected_version::any();
  version back_to = {};  ///< of a look back
  std::uint64_t attempts = 0;
  bool may_have_happened = false;                ///< the outcome of an attempt is unknown
  timestamp latest_deadline = timestamp::min();  ///< of all attempts; the end of time where one had none
  std::int64_t called = 0;
  std::optional<std::int64_t> returned = {};
  std::optional<client_answer> answer = {};  ///< none: unknown
};

/// A promise that a run has broken.
struct broken_promise {
  std::string what;
  std::int64_t moment = 0;  ///< the call or return at which it shows; 0: when it was found
};

using answer_function = std::function<void(client_answer)>;

/// An attempt that is on its way.
struct pending_attempt {
  answer_function answer;
  client_answer told = {};
};
/// Takes the part of an answer that has no type.
void take_answer(client_answer& told, answer<>&& given);
/// Calls the answer of a pending_attempt.
void answer_attempt(void* attempt);

/// What the world must know of an aggregate type and its commands.
class simulated_domain {
public:
  virtual ~simulated_domain() = default;

  virtual const aggregate_kind& aggregate() const = 0;
  /// Makes up a command, and gives its number.
  virtual std::size_t make_command(random& chance) = 0;
  virtual any_command command(std::size_t number) const = 0;
  /// Makes one attempt at `what`, and calls the answer of `attempt` on the context.
  virtual void attempt(cairn::runtime& runtime, const client_operation& what, command_options options,
                       boost::asio::io_context& run_on, std::shared_ptr<pending_attempt> attempt) = 0;
};

/// A command by its type, and behind that its value, where msgpack knows it.
std::string describe(const any_command& command);

/// Holds the history against the model of the domain's aggregate.
std::optional<broken_promise> check_history(const simulated_domain& domain, const std::vector<client_operation>& history,
                                            const journal& store);

/// The history for others to check.
std::string json_of_history(const simulated_domain& domain, const std::vector<client_operation>& history);

struct run_result {
  simulation_figures figures;
  std::string failure;  ///< empty: every promise was kept
  std::vector<client_operation> history;
  std::deque<std::string> trace;
};

/// One run. `domain` is used up by it.
run_result simulate_once(std::uint64_t seed, const faults& rates, simulated_domain& domain, bool tracing);

/// Runs the seeds, each with a domain of its own, until one fails.
simulation_report simulate_all(seeds which, const faults& rates,
                               const std::function<std::unique_ptr<simulated_domain>()>& make_domain);

}  // namespace cairn::testkit::detail
