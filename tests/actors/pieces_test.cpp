// The parts of the actors that need no actor: the queue, the window of command ids.
#include <cairn/actors/command_window.hpp>
#include <cairn/actors/pending_answers.hpp>
#include <cairn/actors/typed_operation.hpp>

#include "product.hpp"

#include <doctest/doctest.h>

#include <future>
#include <string>
#include <thread>
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
    queue.pop()->complete(outcome{});
    queue.pop()->complete(outcome{});
    CHECK(told == std::vector<int>{1, 2});
  }
  CHECK(told == std::vector<int>{1, 2, -3, -4});
}

TEST_CASE("an operation is answered once, whoever tries") {
  std::vector<int> told;
  const auto one = numbered(1, told);
  one->complete(outcome{});
  one->complete(outcome::failed(errc::overloaded, ""));
  CHECK(told == std::vector<int>{1});
}

TEST_CASE("answers wait for their version, and the journal leaves to the aggregate what that wants to know") {
  std::vector<int> told;
  pending_answers answers;
  answers.hold(numbered(1, told), version{1});
  REQUIRE(answers.begin_append(2));
  REQUIRE(answers.begin_append(2));
  CHECK(answers.settle_unless_wanted(1, 1, version{1}));
  CHECK(told == std::vector<int>{1});
  answers.hold(numbered(4, told), version{1});  // durable already
  CHECK(told == std::vector<int>{1, 4});
  answers.hold(numbered(2, told), version{2});
  answers.hold(numbered(3, told), version{2});
  CHECK(told == std::vector<int>{1, 4});

  REQUIRE(answers.begin_append(2));
  CHECK_FALSE(answers.begin_append(2));  // and so wants the next result
  CHECK_FALSE(answers.settle_unless_wanted(1, 1, version{2}));
  CHECK(answers.durable() == version{1});
  answers.settle(1, version{2});
  CHECK(told == std::vector<int>{1, 4, 2, 3});
  CHECK(answers.an_append_is_on_its_way());
  CHECK_FALSE(answers.all_done());
  answers.want_results(false);
  CHECK(answers.settle_unless_wanted(1, 1, version{3}));
  CHECK(answers.all_done());
}

TEST_CASE("an answer that is ready does not overtake the one before it, which another thread is giving") {
  std::vector<int> told;
  std::promise<void> begun, go_on;
  pending_answers answers;
  const auto slow = [&](const operation_ptr&) {
    begun.set_value();
    go_on.get_future().wait();
    told.push_back(1);
  };
  answers.hold(operation_ptr(new command_operation<stock::Product, stock::Enrol, decltype(slow)>("1", stock::Enrol{}, {}, slow)),
               version{1});
  answers.hold(numbered(2, told), version{2});
  REQUIRE(answers.begin_append(2));
  REQUIRE(answers.begin_append(2));
  std::thread journal([&] { answers.settle(1, version{1}); });
  begun.get_future().wait();
  SUBCASE("that of a command which stored nothing") {
    CHECK(answers.settle_unless_wanted(1, 1, version{2}));
    answers.hold(numbered(3, told), version{2});
  }
  SUBCASE("those of the next commit") {
    answers.hold(numbered(3, told), version{3});
    answers.settle(1, version{3});
  }
  SUBCASE("those that fail") {
    answers.hold(numbered(3, told), version{3});
    answers.fail(outcome::failed(errc::journal_unavailable, "the disk says no"), 2);
  }
  CHECK(told.empty());
  go_on.set_value();
  answers.all_done();  // which an aggregate asks before its end
  CHECK(told == std::vector<int>{1, 2, 3});
  journal.join();
}

TEST_CASE("what waits fails with its append, and results of the incarnation before are the aggregate's to take") {
  std::vector<int> told;
  pending_answers answers;
  answers.hold(numbered(1, told), version{1});
  REQUIRE(answers.begin_append(2));
  REQUIRE(answers.begin_append(2));
  answers.fail(outcome::failed(errc::abandoned, "the disk says no"), 2);
  CHECK(told == std::vector<int>{-1});
  CHECK_FALSE(answers.settle_unless_wanted(1, 1, version{1}));
  answers.settle(2, {});
  answers.recovered_at(version{7});
  CHECK(answers.durable() == version{7});
  CHECK_FALSE(answers.settle_unless_wanted(1, 1, version{8}));
  CHECK(answers.settle_unless_wanted(2, 0, version{8}));
  answers.hold(numbered(2, told), version{9});
  answers.abandon();
  CHECK(told == std::vector<int>{-1, -2});
}

TEST_CASE("a command that was answered at its deadline does not stay when its append fails") {
  std::vector<int> told;
  pending_answers answers;
  answers.hold(numbered(1, told), version{1});
  answers.hold(numbered(2, told), version{2});
  REQUIRE(answers.begin_append(2));
  answers.for_each([](operation& one) { one.complete_early(outcome::failed(errc::abandoned, "the deadline passed")); });
  CHECK(told == std::vector<int>{-1, -2});
  answers.fail(outcome::failed(errc::journal_unavailable, "the disk says no"), 2);
  answers.settle(1, {});
  CHECK(answers.all_done());
  CHECK(told == std::vector<int>{-1, -2});
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
