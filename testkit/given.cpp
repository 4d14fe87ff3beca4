#include <cairn/limits.hpp>
#include <cairn/testkit/given.hpp>

namespace cairn::inline v1::testkit::detail {

void told_story::tell(std::string_view word, const std::string& what) { text_ += "\n" + std::string(word) + " " + what; }

void told_story::note(std::string flaw) {
  if (!flaw.empty()) flaws_.push_back(std::move(flaw));
}

void told_story::note_events(std::size_t count) {
  if (count <= limits::events_per_decision_max) return;
  note("a decision has " + std::to_string(count) + " events, and may have " + std::to_string(limits::events_per_decision_max));
}

void told_story::report_flaws(std::source_location where) {
  for (const auto& flaw : std::exchange(flaws_, {})) fail(flaw, where);
}

void told_story::fail(const std::string& what, std::source_location where) const { testkit::fail(what + text_, where); }

void told_story::fail(const std::string& headline, const lines& differences, std::source_location where) const {
  fail(listed(headline, differences), where);
}

void told_story::fail_answer(const std::string& expected, const std::string& actual, std::source_location where) const {
  fail("the answer is not as expected\n  expected " + expected + "\n  actual " + actual, where);
}

std::string shown_rejection(const rejection& no) { return "rejected: " + no.code; }

std::string shown_events(std::span<const any_event> events) {
  std::string all;
  for (const auto& event : events) all += (all.empty() ? "" : ", ") + shown_event(event);
  return all.empty() ? "nothing" : all;
}

void fail_event(const told_story& story, std::size_t place, std::size_t count, const any_event& expected, const any_event& actual,
                std::source_location where) {
  const auto which = count == 1 ? "the event" : "event " + std::to_string(place + 1);
  story.fail(which + " is not as expected", differences_of_events(expected, actual), where);
}

}  // namespace cairn::testkit::detail
