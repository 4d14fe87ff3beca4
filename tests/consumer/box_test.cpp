// A user's tests of the box at all three levels, built against the installed package and without a test framework: what is not
// as expected is an exception, which ends the program.
#include "box.hpp"

#include <cairn/testkit/given.hpp>
#include <cairn/testkit/simulate.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include <iostream>

#ifdef DOCTEST_LIBRARY_INCLUDED
#error "the testkit brings doctest along, although nobody asked for it"
#endif

using namespace cairn::testkit;

void a_box_is_opened_before_anything_is_added() {
  given<Box>().when(Add{3}).then_rejected("closed").when(Open{}).then(Opened{}).when(Add{3}).then(Added{3});
}

void an_answer_waits_for_the_journal() {
  test_runtime world;
  const auto opened = world.ask<Box>("a", Open{});
  auto acknowledgements = world.hold<cairn::actors::append_result>(aggregate<Box>("a"));
  world.run();
  if (opened.answered()) fail("the answer did not wait");
  acknowledgements.release();
  world.run();
  if (!opened.accepted()) fail("the box is not open");
}

void a_box_keeps_its_promises_whatever_fails() {
  const auto report = simulate<Box>([](cairn::testkit::random& random) -> std::variant<Open, Add> {
    if (random.chance(0.2)) return Open{};
    return Add{static_cast<int>(random.between(1, 5))};
  });
  if (!report.passed()) fail(report.text());
}

int main() {
  try {
    a_box_is_opened_before_anything_is_added();
    an_answer_waits_for_the_journal();
    a_box_keeps_its_promises_whatever_fails();
  } catch (const failure& failed) {
    std::cerr << failed.what() << "\n";
    return 1;
  }
}
