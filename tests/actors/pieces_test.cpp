// The parts of the actors that need no actor: the queue, the window of command ids.
#include <cairn/actors/command_window.hpp>
#include <cairn/actors/typed_operation.hpp>

#include "product.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace cairn::actors {
namespace {

operation_ptr numbered(int number, std::vector<int>& told) {
  const auto complete = [number, &told](const operation_ptr& asked) {
    told.push_back(asked->held.code == errc::abandoned ? -number : number);
  };
  return operation_ptr(new command_operation<stock::Product, stock::Enrol, decltype(complete)>(std::to_string(number),
                                                                                               stock::Enrol{}, {}, complete));
}

}  // namespace

TEST_CASE("operations leave a queue in the order in which they came, and those left in it are answered as abandoned") {
  std::vector<int> told;
  {
    operation_queue queue;
    for (int number = 1; number <= 4; ++number) queue.push(numbered(number, told));
    CHECK(queue.size() == 4);
    queue.pop()->complete({});
    queue.pop()->complete({});
    CHECK(told == std::vector<int>{1, 2});
  }
  CHECK(told == std::vector<int>{1, 2, -3, -4});
}

TEST_CASE("an operation is answered once, whoever tries") {
  std::vector<int> told;
  const auto one = numbered(1, told);
  one->complete({});
  one->complete(outcome::failed(errc::overloaded, ""));
  CHECK(told == std::vector<int>{1});
}

TEST_CASE("the window forgets the oldest id first, and one without capacity remembers nothing") {
  command_window window(3);
  for (int number = 1; number <= 5; ++number)
    window.remember(std::to_string(number), version(static_cast<std::uint64_t>(number)), 1, "r");
  CHECK(window.find("2") == nullptr);
  REQUIRE(window.find("3"));
  CHECK(window.find("3")->last == version{3});
  CHECK(window.find("") == nullptr);
  std::string order;
  window.for_each([&](const first_answer& answer) { order += answer.command_id; });
  CHECK(order == "345");
  window.remember("4", version{9}, 2, "again");
  CHECK(window.size() == 3);
  CHECK(window.find("4")->last == version{9});
  command_window none(0);
  none.remember("1", version{1}, 1, {});
  CHECK(none.size() == 0);
}

}  // namespace cairn::actors
