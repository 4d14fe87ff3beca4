// The parts of the actors that need no actor: the queue, the window of command ids.
#include "../../actors/answers_together.hpp"
#include "../../actors/command_window.hpp"
#include "../../actors/deadline_watch.hpp"
#include "../../actors/pending_answers.hpp"
#include "callback_operation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace cairn::tests {

using namespace actors;
namespace {

operation_ptr numbered(int number, std::vector<int>& told) {
  const auto complete = [number, &told](const operation_ptr& asked) {
    const auto code = asked->answer().code;
    told.push_back(code == errc::abandoned || code == errc::deadline_passed ? -number : number);
  };
  return make_operation(std::to_string(number), complete);
}

/// As the journal does it. Says whether the aggregate does not have to.
bool settled_by_journal(pending_answers& answers, std::uint64_t incarnation, std::uint32_t appends, version through) {
  const auto settled = answers.settle_for_journal(incarnation, appends, through);
  if (settled.handing_over) answers.handed_over();
  return !settled.by_aggregate;
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

TEST_CASE("what has expired gives up its place when its queue ends, though others have shares, and not while a lock is held") {
  struct counting final : doorkeeper {
    void leave() noexcept override { ++left; }
    int left = 0;
  } keeper;
  std::vector<int> told;
  const auto shared = numbered(1, told);
  const auto locked = numbered(2, told);
  for (const auto& one : {shared, locked}) {
    one->admitted_by = &keeper;
    one->expire();
  }
  CHECK(told == std::vector<int>{-1, -2});
  {
    operation_queue queue;
    queue.push(shared);
  }
  CHECK(keeper.left == 1);
  {
    const deferred_answers told_later;
    {
      operation_queue queue;
      queue.push(locked);
    }
    CHECK(keeper.left == 1);
  }
  CHECK(keeper.left == 2);
  CHECK(told.size() == 2);
}

TEST_CASE("an operation is answered once, whoever tries") {
  std::vector<int> told;
  const auto one = numbered(1, told);
  one->complete(outcome{});
  one->complete(outcome::failed(errc::overloaded, ""));
  CHECK(told == std::vector<int>{1});
}

TEST_CASE("an operation is told once, whether its answer or its deadline comes first, and on whichever threads") {
  deadline_watch watch([] { return timestamp{std::chrono::hours{1}}; });
  std::atomic<int> told = 0;
  const auto complete = [&](const operation_ptr& asked) {
    const auto code = asked->answer().code;
    if (code == errc{} || code == errc::deadline_passed || code == errc::timed_out) ++told;
  };
  constexpr int operations = 20'000;
  std::vector<operation_ptr> all;
  for (int number = 0; number < operations; ++number) {
    command_options options;
    options.deadline = timestamp{};  // has passed
    all.push_back(make_operation("1", complete, std::move(options)));
    watch.add(*all.back());
  }
  std::thread watching([&] { watch.expire(); });
  for (auto& one : all) {
    if (one->begin_decision()) operation::complete(std::exchange(one, {}));
  }
  watching.join();
  all.clear();
  CHECK(told == operations);
  CHECK_FALSE(watch.next());
}

TEST_CASE("a cancelled operation is completed once, and says whether it may be stored") {
  std::vector<errc> seen;
  const auto complete = [&](const operation_ptr& asked) { seen.push_back(asked->answer().code); };
  SUBCASE("that is not decided") {
    auto made = make_operation("1", complete);
    SUBCASE("if it is undecided") { CHECK(made->cancel(true)); }
    SUBCASE("in any case") { CHECK(made->cancel(false)); }
    CHECK(seen == std::vector{errc::cancelled});
    CHECK_FALSE(made->begin_decision());
    CHECK_FALSE(made->cancel(false));
    operation::complete(std::exchange(made, {}));
    CHECK(seen.size() == 1);
  }
  SUBCASE("whose command may have been carried out before") {
    auto made = make_operation("1", complete, {.command_id = "order-7"});
    CHECK(made->cancel(true));
    CHECK(seen == std::vector{errc::cancelled_in_doubt});
  }
  SUBCASE("that is decided") {
    auto made = make_operation("1", complete);
    REQUIRE(made->begin_decision());
    CHECK_FALSE(made->cancel(true));
    CHECK(seen.empty());
    CHECK(made->cancel(false));
    CHECK(seen == std::vector{errc::cancelled_in_doubt});
  }
  SUBCASE("whose deadline is watched") {
    deadline_watch watch(system_now);
    auto made = make_operation("1", complete, {.deadline = timestamp::max()});
    watch.add(*made);
    CHECK(made->cancel(false));
    CHECK_FALSE(watch.next());
  }
}

TEST_CASE("of an answer and a cancellation at the same moment one is given") {
  std::atomic<int> given{0};
  const auto complete = [&](const operation_ptr&) { ++given; };
  constexpr int operations = 20'000;
  std::vector<operation_ptr> all;
  for (int number = 0; number < operations; ++number) all.push_back(make_operation("1", complete));
  const auto shares = all;
  std::thread cancelling([&] {
    for (const auto& one : shares) one->cancel(one->hash() % 2 == 0);
  });
  for (auto& one : all) {
    if (one->begin_decision()) operation::complete(std::exchange(one, {}));
  }
  cancelling.join();
  all.clear();
  CHECK(given == operations);
}

TEST_CASE("a deadline keeps nothing alive, and is forgotten when the operation is completed or abandoned") {
  deadline_watch watch(system_now);
  std::vector<int> told;
  const auto complete = [&](const operation_ptr& asked) { told.push_back(static_cast<int>(asked->answer().code)); };
  const auto make = [&](timestamp deadline) {
    command_options options;
    options.deadline = deadline;
    auto made = make_operation("1", complete, std::move(options));
    watch.add(*made);
    return made;
  };
  const auto far = system_now() + std::chrono::hours{1};
  make(far);
  CHECK(told == std::vector<int>{static_cast<int>(errc::abandoned)});
  CHECK_FALSE(watch.next());
  const auto completed = make(far);
  CHECK(watch.next() == far);
  completed->complete(outcome{});
  CHECK_FALSE(watch.next());
  const auto near = make(system_now());
  watch.start();
  while (!near->completed()) std::this_thread::yield();
  watch.stop();
  CHECK(told.back() == static_cast<int>(errc::deadline_passed));
}

TEST_CASE("what becomes ready while the journal hands answers over is left to the aggregate") {
  std::vector<int> told;
  pending_answers answers;
  answers.hold(numbered(1, told), version{1});
  const auto settled = answers.settle_for_journal(1, 0, version{1});
  REQUIRE(settled.handing_over);
  answers.hold(numbered(2, told), version{1});  // a look, which is ready at once
  CHECK(told == std::vector<int>{1});
  CHECK(answers.handed_over());
  CHECK(told == std::vector<int>{1});
  answers.settle(0, {});
  CHECK(told == std::vector<int>{1, 2});
}

TEST_CASE("a decision that is refused gives large memory back") {
  std::string frames;
  const command_options options;
  draft refused(frames, {"product", "1"}, version{}, {}, options);
  refused.add("BIG", 1, std::string(std::size_t{8} << 20, 'x'), 0, 1, {});
  REQUIRE(frames.capacity() > std::size_t{8} << 20);
  refused.discard();
  CHECK(frames.empty());
  CHECK(frames.capacity() < std::size_t{64} << 10);
}

TEST_CASE("answers wait for their version, and the journal gives them whether or not the aggregate wants to know") {
  std::vector<int> told;
  pending_answers answers;
  answers.hold(numbered(1, told), version{1});
  REQUIRE(answers.begin_append(2));
  REQUIRE(answers.begin_append(2));
  CHECK(settled_by_journal(answers, 1, 1, version{1}));
  CHECK(told == std::vector<int>{1});
  answers.hold(numbered(4, told), version{1});  // durable already
  CHECK(told == std::vector<int>{1, 4});
  answers.hold(numbered(2, told), version{2});
  answers.hold(numbered(3, told), version{2});
  CHECK(told == std::vector<int>{1, 4});

  REQUIRE(answers.begin_append(2));
  CHECK_FALSE(answers.begin_append(2));  // and so wants the next result
  const auto settled = answers.settle_for_journal(1, 1, version{2});
  CHECK(settled.wanted);
  CHECK_FALSE(settled.by_aggregate);
  REQUIRE(settled.handing_over);
  answers.handed_over();
  CHECK(answers.durable() == version{2});
  CHECK(told == std::vector<int>{1, 4, 2, 3});
  answers.settle(0, version{2});  // the aggregate, which is told that it has been counted
  CHECK(answers.an_append_is_on_its_way());
  CHECK_FALSE(answers.all_done());
  answers.want_results(false);
  CHECK_FALSE(answers.settle_for_journal(1, 1, version{3}).wanted);
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
  answers.hold(make_operation("1", slow), version{1});
  answers.hold(numbered(2, told), version{2});
  REQUIRE(answers.begin_append(2));
  REQUIRE(answers.begin_append(2));
  std::thread journal([&] { answers.settle(1, version{1}); });
  begun.get_future().wait();
  SUBCASE("that of a command which stored nothing") {
    CHECK(settled_by_journal(answers, 1, 1, version{2}));
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

TEST_CASE("until the journal has handed over what it gathered, no answer of the aggregate overtakes") {
  std::vector<int> told;
  pending_answers answers;
  answers.hold(numbered(1, told), version{1});
  REQUIRE(answers.begin_append(2));
  REQUIRE(answers.begin_append(2));
  REQUIRE(answers.settle_for_journal(1, 1, version{1}).handing_over);
  answers.hold(numbered(2, told), version{1});  // of a command which stored nothing
  SUBCASE("that of a command which stored nothing") {}
  SUBCASE("those of the next commit") {
    answers.hold(numbered(3, told), version{2});
    CHECK_FALSE(answers.settle_for_journal(1, 1, version{2}).handing_over);
    answers.hold(numbered(4, told), version{2});
  }
  CHECK(told == std::vector<int>{1});
  const bool more = answers.durable() == version{2};
  CHECK(answers.handed_over());
  answers.settle(0, {});  // as the aggregate does then
  CHECK(told == (more ? std::vector<int>{1, 2, 3, 4} : std::vector<int>{1, 2}));
}

TEST_CASE("what ends while a lock is held is answered when that is gone, in order") {
  std::vector<int> told;
  {
    const deferred_answers outer;
    {
      const deferred_answers inner;
      deferred_answers::complete(numbered(1, told), outcome::failed(errc::draining, ""));
      numbered(2, told);  // nobody holds it any more
      auto answered = numbered(3, told);
      answered->complete(outcome{});
      deferred_answers::complete(answered, outcome{});  // once is enough
      CHECK(told == std::vector<int>{3});
    }
    CHECK(told == std::vector<int>{3});
  }
  CHECK(told == std::vector<int>{3, 1, -2});
  deferred_answers::complete(numbered(4, told), outcome{});  // nothing to wait for
  CHECK(told == std::vector<int>{3, 1, -2, 4});
}

TEST_CASE("answers that are given together are posted in groups, in their order, each to its own context") {
  using group = answers_together::group;
  struct context {
    std::vector<std::size_t> sizes;
    group all;
  };
  const auto post = [](void* where, group&& answers) {
    auto& to = *static_cast<context*>(where);
    to.sizes.push_back(answers.size());
    for (auto& one : answers) to.all.push_back(std::move(one));
  };
  const auto tell = [](operation_ptr asked, void*) { asked->complete(outcome{}); };
  std::vector<int> told;
  context one, other;
  std::vector<context> many(40);
  CHECK(answers_together::of_this_thread() == nullptr);
  {
    answers_together together;
    REQUIRE(answers_together::of_this_thread() == &together);
    for (int number = 0; number < 70; ++number) together.add(&one, post, {numbered(number, told), tell, nullptr});
    together.add(&other, post, {numbered(70, told), tell, nullptr});
    CHECK(one.sizes == std::vector<std::size_t>{32, 32});
    CHECK(other.sizes.empty());
    for (auto& next : many) together.add(&next, post, {numbered(0, told), tell, nullptr});
  }
  CHECK(answers_together::of_this_thread() == nullptr);
  CHECK(one.sizes == std::vector<std::size_t>{32, 32, 6});
  CHECK(other.sizes == std::vector<std::size_t>{1});
  for (const auto& next : many) CHECK(next.sizes == std::vector<std::size_t>{1});
  told.clear();
  for (auto& answer : one.all) answer.tell(std::move(answer.asked), answer.teller);
  REQUIRE(told.size() == 70);
  CHECK(std::is_sorted(told.begin(), told.end()));
}

TEST_CASE("what waits fails with its append, and results of the incarnation before are the aggregate's to take") {
  std::vector<int> told;
  pending_answers answers;
  answers.hold(numbered(1, told), version{1});
  REQUIRE(answers.begin_append(2));
  REQUIRE(answers.begin_append(2));
  answers.fail(outcome::failed(errc::abandoned, "the disk says no"), 2);
  CHECK(told == std::vector<int>{-1});
  CHECK_FALSE(settled_by_journal(answers, 1, 1, version{1}));
  answers.settle(2, {});
  answers.recovered_at(version{7});
  CHECK(answers.durable() == version{7});
  CHECK_FALSE(settled_by_journal(answers, 1, 1, version{8}));
  CHECK(settled_by_journal(answers, 2, 0, version{8}));
  answers.hold(numbered(2, told), version{9});
  answers.abandon();
  CHECK(told == std::vector<int>{-1, -2});
}

TEST_CASE("a command that was answered at its deadline does not stay when its append fails") {
  std::vector<int> told;
  pending_answers answers;
  auto first = numbered(1, told), second = numbered(2, told);
  answers.hold(first, version{1});
  answers.hold(second, version{2});
  REQUIRE(answers.begin_append(2));
  for (auto& one : {first, second}) one->expire();
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

}  // namespace cairn::tests
