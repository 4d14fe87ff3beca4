#include "history_check.hpp"

#include "workload.hpp"

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_map>

namespace cairn::tests {
namespace {

using decision_events = std::span<const stored_event>;
using decisions_by_command = std::unordered_map<std::string_view, std::vector<decision_events>>;

std::string to_string(const stored_event& event) {
  return "ledger " + event.ledger + ", version " + std::to_string(event.version) + ", position " +
         std::to_string(event.position) + ", command " + event.command_id;
}

// The model that the aggregate is held against.
folded after(const folded& before, const stored_event& event) {
  return {before.entries + 1, event.type == "ADDED" ? before.total + event.number : before.total * event.number};
}

std::map<std::string, std::vector<folded>> fold(const std::vector<stored_event>& events, findings& found) {
  std::map<std::string, std::vector<folded>> states;
  for (std::uint64_t ledger = 0; ledger < ledgers; ++ledger) states[std::to_string(ledger)] = {folded{}};
  std::unordered_map<std::string, std::uint64_t> versions;
  std::uint64_t position = 0;
  for (const auto& event : events) {
    auto& version = versions[event.ledger];
    if (event.position != position + 1) found.add(&findings::gaps, "the positions have a gap before " + to_string(event));
    if (event.version != version + 1) found.add(&findings::gaps, "the versions have a gap before " + to_string(event));
    position = event.position;
    version = event.version;
    auto& of_ledger = states.try_emplace(event.ledger, 1).first->second;
    of_ledger.push_back(after(of_ledger.back(), event));
  }
  return states;
}

bool is_whole(decision_events events) {
  for (std::size_t place = 0; place < events.size(); ++place) {
    if (events[place].index != place || events[place].ledger != events[0].ledger) return false;
  }
  return events.size() == events[0].count;
}

decisions_by_command whole_decisions(const std::vector<stored_event>& events, findings& found) {
  decisions_by_command decisions;
  for (auto first = events.begin(); first != events.end();) {
    const auto last = std::find_if(first + 1, events.end(), [&](const stored_event& event) {
      return event.index == 0 || event.command_id != first->command_id;
    });
    const decision_events one(first, last);
    if (is_whole(one)) {
      decisions[first->command_id].push_back(one);
    } else {
      found.add(&findings::torn, "a decision is not whole: " + to_string(*first));
    }
    first = last;
  }
  return decisions;
}

bool as_planned(const planned_command& planned, decision_events stored) {
  return stored[0].ledger == planned.ledger &&
         std::equal(stored.begin(), stored.end(), planned.events.begin(), planned.events.end(),
                    [](const stored_event& is, const LedgerEvent& should) {
                      return std::visit([&](const auto& event) { return is.type == event.type && is.number == event.number; },
                                        should);
                    });
}

// `answer` is null for a command that may have been in flight.
void check_command(const planned_command& planned, const std::vector<decision_events>& stored, const told* answer,
                   findings& found) {
  const auto command = "command " + planned.id + " of ledger " + planned.ledger;
  for (std::size_t times = 1; times < stored.size(); ++times) {
    found.add(&findings::doubled, command + " is there again: " + to_string(stored[times][0]));
  }
  if (!stored.empty() && !as_planned(planned, stored[0])) found.add(&findings::wrong, command + " has other events");
  if (!answer) return;
  if (answer->events != planned.events.size()) {
    found.add(&findings::wrong, command + " was acknowledged with " + std::to_string(answer->events) + " events");
  }
  if (stored.empty() && !planned.events.empty()) {
    found.add(&findings::lost, command + ", acknowledged at version " + std::to_string(answer->version) + ", is not there");
  }
  if (!stored.empty() && stored[0].back().version != answer->version) {
    found.add(&findings::wrong, command + " was acknowledged at version " + std::to_string(answer->version) + ", and ends at " +
                                    to_string(stored[0].back()));
  }
}

}  // namespace

void findings::add(std::uint64_t findings::*kind, std::string sentence) {
  ++(this->*kind);
  sentences.push_back(std::move(sentence));
}

checked_history check_history(std::uint64_t seed, const std::vector<stored_event>& events, const told_by_client& acknowledged,
                              findings& found) {
  checked_history checked{fold(events, found), {}};
  const auto decisions = whole_decisions(events, found);
  std::size_t sent = 0;
  for (std::uint64_t client = 0; client < acknowledged.size(); ++client) {
    const auto& answers = acknowledged[client];
    for (std::uint64_t sequence = 1; sequence <= answers.size() + 1; ++sequence) {
      const auto planned = plan(seed, client, sequence);
      const auto stored = decisions.find(planned.id);
      const bool is_stored = stored != decisions.end();
      const bool in_flight = sequence > answers.size();
      sent += is_stored;
      check_command(planned, is_stored ? stored->second : std::vector<decision_events>{},
                    in_flight ? nullptr : &answers[sequence - 1], found);
      if (in_flight) checked.in_flight_stored.push_back(is_stored);
    }
  }
  if (sent != decisions.size()) {
    found.add(&findings::wrong, std::to_string(decisions.size() - sent) + " commands are there that nobody sent");
  }
  return checked;
}

}  // namespace cairn::tests
