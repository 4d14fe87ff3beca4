#include <cairn/testkit/caf_interop.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include "stepped_engine.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace cairn::inline v1::testkit {
namespace detail {

void stop_test(const std::string& what, std::source_location where) {
  fail(what, where);
  throw failure(what, where);
}

class test_runtime_access {
public:
  explicit test_runtime_access(runtime_options options)
      : store(std::make_shared<faulty_journal>(options.journal ? std::move(options.journal) : memory_journal())),
        passivate_after(options.bounds.passivate_after) {
    // On any machine as many.
    if (options.bounds.recoveries_at_once_max == 0) options.bounds.recoveries_at_once_max = 2;
    options.journal = store;
    options.clock = [this] { return now; };
    options.on_warning = [this](const std::string& sentence) { warnings.push_back(sentence); };
    runtime.emplace(std::move(options), [this](actors::engine_parts parts) {
      auto made = std::make_unique<stepped_engine>(std::move(parts), [this] { return step() || wait_for_timer(); });
      engine = made.get();
      return made;
    });
  }
  ~test_runtime_access() {
    if (running_handlers || engine->runs_this_thread()) {
      std::fprintf(stderr,
                   "cairn: a test_runtime was destroyed by a handler or an aggregate that it was running; destroy it after "
                   "run(), step() or advance() has returned\n");
      std::abort();
    }
    engine->crash();  // so that the runtime's own end finds nobody to wait for
    if (runtime->in_flight() > 0) {
      std::fprintf(stderr, "a message that was taken out of a test_runtime outlives it, and with it a call that it still owes\n");
      std::abort();
    }
    runtime.reset();
  }

  bool step() {
    const bool handled = run_handlers();
    if (engine->ready() == 0) return handled;
    engine->run(0);
    run_handlers();
    return true;
  }
  // Of what has been answered, and what was posted. A handler may step the world in turn, and its context is not stopped then.
  bool run_handlers() {
    if (io.stopped()) io.restart();
    const handlers_run outermost{running_handlers, std::exchange(running_handlers, true)};
    return io.poll() > 0;
  }
  bool wait_for_timer() {
    if (!engine->a_timer_matters()) return false;
    move_time(until_timer());
    return true;
  }
  // The end of time where no timer is set.
  std::chrono::microseconds until_timer() const {
    const auto next = engine->next_timer();
    return next ? std::chrono::ceil<std::chrono::microseconds>(*next) : std::chrono::microseconds::max();
  }
  void move_time(std::chrono::microseconds by) {
    now += by;
    engine->advance(by);
  }
  caf::actor require(const address& who, std::source_location where) {
    auto named = engine->handle(who);
    const bool may_come = who.is == address::role::aggregate && !engine->is_over();
    if (!named) fail(to_string(who) + " is not live" + (may_come ? "; ask it something first, and run()" : " any more"), where);
    return named;
  }

  struct handlers_run {
    bool& running;
    bool before;
    ~handlers_run() { running = before; }
  };

  timestamp now{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
  std::vector<std::string> warnings;
  std::shared_ptr<faulty_journal> store;
  std::chrono::milliseconds passivate_after;
  boost::asio::io_context io;
  bool running_handlers = false;
  stepped_engine* engine = nullptr;
  std::optional<cairn::runtime> runtime;
};

}  // namespace detail

std::size_t tap::size() const noexcept { return state_->kept.size(); }

void tap::require(std::size_t place, std::source_location where) const {
  if (place < size()) return;
  detail::stop_test("there is no message " + std::to_string(place) + " to " + to_string(state_->to) + ": the tap keeps " +
                        std::to_string(size()),
                    where);
}

message tap::at(std::size_t place, std::source_location where) const {
  require(place, where);
  return *detail::message_in(*state_->kept[place].element);
}

message tap::take(std::size_t kind, std::source_location where) {
  const auto expected = "expected " + std::string(name_of_kind(kind)) + " to " + to_string(state_->to);
  if (empty()) detail::stop_test(expected + ", and there is no message", where);
  auto taken = at(0);
  if (taken.index() != kind) detail::stop_test(expected + ", and the next is " + describe(taken), where);
  auto& next = state_->kept.front();
  state_->last_sender = next.element->sender;
  state_->last_receiver = next.receiver;
  state_->kept.pop_front();
  return taken;
}

void tap::expect_no_message(std::source_location where) const {
  if (!empty()) fail("expected no message to " + to_string(state_->to) + ", and the next is " + describe(at(0)), where);
}

void tap::reply(message with, std::source_location where) {
  if (!state_->last_sender) return fail("nobody waits for a reply: no message with a sender was taken", where);
  const auto as = caf::actor_cast<caf::actor>(state_->last_receiver);
  const auto to = caf::actor_cast<caf::actor>(state_->last_sender);
  std::visit([&](auto& one) { caf::send_as(as, to, std::move(one)); }, with);
}

void tap::release(std::size_t place, std::source_location where) {
  require(place, where);
  auto& kept = state_->kept;
  auto released = std::move(kept[place]);
  kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(place));
  detail::stepped_engine::deliver(std::move(released));
}

void tap::release() {
  while (!empty()) release(0);
}

void tap::drop(std::size_t place, std::source_location where) {
  require(place, where);
  state_->kept.erase(state_->kept.begin() + static_cast<std::ptrdiff_t>(place));
}

void tap::drop() { std::exchange(state_->kept, {}).clear(); }

void tap::close() { state_->open = false; }

test_runtime::test_runtime(runtime_bounds bounds, std::shared_ptr<cairn::journal> journal)
    : test_runtime(runtime_options{.journal = std::move(journal), .bounds = bounds}) {}

test_runtime::test_runtime(runtime_options options) : self_(std::make_unique<detail::test_runtime_access>(std::move(options))) {}

test_runtime::~test_runtime() = default;

cairn::runtime& test_runtime::runtime() noexcept { return *self_->runtime; }
boost::asio::io_context::executor_type test_runtime::executor() noexcept { return self_->io.get_executor(); }
detail::receiver test_runtime::receive(std::shared_ptr<void> into, void (*take)(void* into, actors::operation& asked)) {
  return {&self_->io, std::move(into), take};
}

bool test_runtime::step() { return self_->step(); }

bool test_runtime::step(const address& who) {
  self_->run_handlers();
  auto& engine = *self_->engine;
  const auto named = engine.handle(who);
  for (std::size_t place = 0; named && place < engine.ready(); ++place) {
    if (engine.look(place).id != named.id()) continue;
    engine.run(place);
    self_->run_handlers();
    return true;
  }
  return false;
}

void test_runtime::run() {
  while (step()) {}
}

void test_runtime::advance(std::chrono::microseconds by) {
  run();
  for (auto left = by; left.count() > 0;) {
    const auto pause = std::min(left, self_->until_timer());
    self_->move_time(pause);
    left -= pause;
    run();
  }
}

void test_runtime::advance_until_idle() { advance(self_->passivate_after * 3 / 2); }

timestamp test_runtime::now() const noexcept { return self_->now; }
void test_runtime::set_clock(timestamp now) noexcept { self_->now = now; }

bool test_runtime::is_live(const address& who) { return static_cast<bool>(self_->engine->handle(who)); }

std::vector<message> test_runtime::mailbox(const address& who) { return self_->engine->mailbox(who); }

void test_runtime::inject(const address& who, message what, std::source_location where) {
  const auto named = self_->require(who, where);
  if (named) std::visit([&](auto& one) { caf::anon_send(named, std::move(one)); }, what);
}

void test_runtime::inject(const address& who, message what, const address& from, std::source_location where) {
  const auto sender = self_->require(from, where);
  const auto named = self_->require(who, where);
  if (sender && named) std::visit([&](auto& one) { caf::send_as(sender, named, std::move(one)); }, what);
}

void test_runtime::kill(const address& who, std::source_location where) {
  if (who.is != address::role::aggregate) {
    return fail("the " + to_string(who) + " never dies alone: end the test_runtime, and make another over its journal", where);
  }
  if (!self_->require(who, where)) return;
  self_->engine->kill(who);
  step(who);
}

tap test_runtime::intercept(address to, std::optional<std::size_t> kind, std::optional<std::chrono::microseconds> by) {
  auto state = std::make_shared<detail::tap_state>();
  state->to = std::move(to);
  state->kind = kind;
  if (by) state->by = std::max(*by, std::chrono::microseconds{0});
  self_->engine->add(state);
  return tap(std::move(state));
}

faulty_journal& test_runtime::journal() noexcept { return *self_->store; }
const std::vector<std::string>& test_runtime::warnings() const noexcept { return self_->warnings; }

caf::actor caf_interop::handle(test_runtime& world, const address& who) { return world.self_->engine->handle(who); }
caf::actor_system& caf_interop::system(test_runtime& world) { return world.self_->engine->system(); }
caf::scheduler::test_coordinator& caf_interop::scheduler(test_runtime& world) { return world.self_->engine->scheduler(); }

}  // namespace cairn::testkit
