// The check itself: it finds nothing in a history that is right, and counts each thing that a crash must
// never do.
#include "history_check.hpp"
#include "workload.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace cairn::tests {
namespace {

constexpr std::uint64_t seed = 1;
constexpr std::uint64_t commands_each = 40;

/// Some clients' commands, carried out and answered as they should be.
struct history {
  std::vector<stored_event> events;
  told_by_client answers = told_by_client(3);

  history() {
    std::map<std::string, std::uint64_t> versions;
    for (std::uint64_t sequence = 1; sequence <= commands_each; ++sequence) {
      for (std::uint64_t client = 0; client < answers.size(); ++client) {
        const auto planned = plan(seed, client, sequence);
        auto& version = versions[planned.ledger];
        const auto count = static_cast<std::uint32_t>(planned.events.size());
        for (std::uint32_t index = 0; index < count; ++index) {
          const auto [type, number] = std::visit(
              []<class E>(const E& event) {
                return std::pair{std::string(E::type), event.number};
              },
              planned.events[index]);
          events.push_back({events.size() + 1, planned.ledger, ++version, index, count, planned.id, type, number});
        }
        answers[client].push_back({version, count});
      }
    }
  }

  /// The first event of a decision of `count` events that has been acknowledged.
  std::vector<stored_event>::iterator decision_of(std::uint32_t count) {
    return std::find_if(events.begin(), events.end(), [&](const stored_event& event) { return event.count == count; });
  }

  std::vector<bool> in_flight_stored() const {
    findings ignored;
    return check_history(seed, events, answers, ignored).in_flight_stored;
  }
  findings found() const {
    findings found;
    check_history(seed, events, answers, found);
    return found;
  }
};

std::string counts(const history& doctored) {
  const auto found = doctored.found();
  return "lost " + std::to_string(found.lost) + ", doubled " + std::to_string(found.doubled) + ", gaps " +
         std::to_string(found.gaps) + ", torn " + std::to_string(found.torn) + ", wrong " + std::to_string(found.wrong);
}

}  // namespace

TEST_CASE("nothing is wrong with a history that is as it was acknowledged") {
  const history whole;
  CHECK(whole.found().none());
  CHECK(whole.in_flight_stored() == std::vector<bool>(3, false));
}

TEST_CASE("a command in flight may be there or not") {
  history unfinished;
  for (auto& answers : unfinished.answers) answers.pop_back();
  CHECK(unfinished.found().none());
  const auto stored = unfinished.in_flight_stored();
  for (std::uint64_t client = 0; client < stored.size(); ++client) {
    CHECK(stored[client] == !plan(seed, client, commands_each).events.empty());
  }
}

TEST_CASE("an acknowledged command that is not there is lost") {
  history doctored;
  doctored.events.erase(doctored.decision_of(1));
  CHECK(counts(doctored) == "lost 1, doubled 0, gaps 2, torn 0, wrong 0");  // and leaves a gap in the positions and one in the
                                                                            // versions
}

TEST_CASE("a command that is there twice is doubled") {
  history doctored;
  auto again = *doctored.decision_of(1);
  again.position = doctored.events.size() + 1;
  again.version =
      1 + static_cast<std::uint64_t>(std::count_if(doctored.events.begin(), doctored.events.end(),
                                                   [&](const stored_event& one) { return one.ledger == again.ledger; }));
  doctored.events.push_back(again);
  CHECK(counts(doctored) == "lost 0, doubled 1, gaps 0, torn 0, wrong 0");
}

TEST_CASE("positions and versions that leave one out are a gap") {
  history doctored;
  for (auto event = doctored.decision_of(2); event != doctored.events.end(); ++event) ++event->position;
  CHECK(counts(doctored) == "lost 0, doubled 0, gaps 1, torn 0, wrong 0");
}

TEST_CASE("a part of a decision is torn, and the command is lost") {
  history doctored;
  SUBCASE("without its middle") {
    doctored.events.erase(doctored.decision_of(3) + 1);
    CHECK(counts(doctored) == "lost 1, doubled 0, gaps 2, torn 1, wrong 0");
  }
  SUBCASE("without its end, at the end of the history") {
    doctored.events.erase(doctored.decision_of(3) + 1, doctored.events.end());
    CHECK(doctored.found().torn == 1);
    CHECK(doctored.found().gaps == 0);
  }
}

TEST_CASE("an answer that the history does not bear out is wrong") {
  history doctored;
  auto& answers = doctored.answers[0];
  const auto accepted = std::find_if(answers.begin(), answers.end(), [](const told& one) { return one.events > 0; });
  SUBCASE("another version") { ++accepted->version; }
  SUBCASE("another number of events") { ++accepted->events; }
  SUBCASE("other contents") { ++doctored.events.front().number; }
  SUBCASE("commands that nobody has sent yet") { answers.clear(); }
  CHECK(doctored.found().wrong == 1);
}

}  // namespace cairn::tests
