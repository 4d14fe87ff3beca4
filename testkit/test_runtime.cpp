#include <cairn/testkit/caf_interop.hpp>
#include <cairn/testkit/test_runtime.hpp>

#include "stepped_engine.hpp"

#include <caf/send.hpp>

#include <algorithm>

namespace cairn::testkit {
namespace detail {

class test_runtime_access {
public:
  test_runtime_access(actors::settings bounds, std::shared_ptr<cairn::journal> inner)
      : store(std::make_shared<faulty_journal>(std::move(inner))), passivate_after(bounds.passivate_after) {
    // On any machine as many.
    if (bounds.recoveries_at_once_max == 0) bounds.recoveries_at_once_max = 2;
    runtime_options options;
    options.journal = store;
    options.bounds = bounds;
    options.clock = [this] { return now; };
    options.on_warning = [this](const std::string& sentence) { warnings.push_back(sentence); };
    runtime.emplace(std::move(options), [this](actors::engine_parts parts) {
      auto made = std::make_unique<stepped_engine>(std::move(parts), [this] { return step() || wait_for_timer(); });
      engine = made.get();
      return made;
    });
  }
  ~test_runtime_access() {
    engine->crash();  // so that the runtime's own end finds nobody to wait for
    runtime.reset();
  }

  bool step() {
    if (engine->ready() == 0) return run_handlers();
    engine->run(0);
    run_handlers();
    return true;
  }
  // Of what has been answered.
  bool run_handlers() {
    io.restart();
    return io.poll() > 0;
  }
  bool wait_for_timer() {
    const auto next = engine->next_timer();
    if (next) move_time(std::chrono::ceil<std::chrono::microseconds>(*next));
    return next.has_value();
  }
  void move_time(std::chrono::microseconds by) {
    now += by;
    engine->advance(by);
  }
  caf::actor require(const address& who, std::source_location where) {
    auto named = engine->handle(who);
    if (!named) fail(to_string(who) + " is not live; ask it something first, and run()", where);
    return named;
  }

  timestamp now{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
  std::vector<std::string> warnings;
  std::shared_ptr<faulty_journal> store;
  std::chrono::milliseconds passivate_after;
  boost::asio::io_context io;
  stepped_engine* engine = nullptr;
  std::optional<cairn::runtime> runtime;
};

}  // namespace detail

std::size_t tap::size() const noexcept { return state_->kept.size(); }

message tap::at(std::size_t place) const { return *detail::message_in(*state_->kept.at(place).element); }

message* tap::expect_kind(std::size_t kind, std::source_location where) {
  const auto wanted = std::string(name_of_kind(kind));
  if (empty()) {
    fail("expected " + wanted + " to " + to_string(state_->to) + ", and there is no message", where);
    return nullptr;
  }
  taken_ = at(0);
  if (taken_.index() != kind) {
    fail("expected " + wanted + " to " + to_string(state_->to) + ", and the next is " + describe(taken_), where);
    return nullptr;
  }
  auto& next = state_->kept.front();
  state_->last_sender = next.element->sender;
  state_->last_receiver = next.receiver;
  state_->kept.pop_front();
  return &taken_;
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

void tap::release(std::size_t place) {
  auto& kept = state_->kept;
  auto released = std::move(kept.at(place));
  kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(place));
  world_->engine->deliver(std::move(released));
}

void tap::release() {
  while (!empty()) release(0);
}

void tap::drop(std::size_t place) {
  static_cast<void>(state_->kept.at(place));
  state_->kept.erase(state_->kept.begin() + static_cast<std::ptrdiff_t>(place));
}

void tap::drop() { state_->kept.clear(); }

void tap::close() { state_->open = false; }

test_runtime::test_runtime(actors::settings bounds, std::shared_ptr<cairn::journal> journal)
    : self_(std::make_unique<detail::test_runtime_access>(bounds, std::move(journal))) {}

test_runtime::~test_runtime() = default;

cairn::runtime& test_runtime::runtime() noexcept { return *self_->runtime; }
boost::asio::io_context::executor_type test_runtime::executor() noexcept { return self_->io.get_executor(); }

bool test_runtime::step() { return self_->step(); }

bool test_runtime::step(const address& who) {
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
    const auto next = self_->engine->next_timer();
    const auto pause = std::min(left, next ? std::chrono::ceil<std::chrono::microseconds>(*next) : left);
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

void test_runtime::kill(const address& who, std::source_location where) {
  const auto named = self_->require(who, where);
  if (!named) return;
  caf::anon_send_exit(named, caf::exit_reason::kill);
  step(who);
}

tap test_runtime::intercept(address to, std::optional<std::size_t> kind, std::optional<std::chrono::microseconds> by) {
  auto state = std::make_shared<detail::tap_state>();
  state->to = std::move(to);
  state->kind = kind;
  state->by = by;
  self_->engine->add(state);
  return tap(*self_, std::move(state));
}

faulty_journal& test_runtime::journal() noexcept { return *self_->store; }
const std::vector<std::string>& test_runtime::warnings() const noexcept { return self_->warnings; }

caf::actor caf_interop::handle(test_runtime& world, const address& who) { return world.self_->engine->handle(who); }
caf::actor_system& caf_interop::system(test_runtime& world) { return world.self_->engine->system(); }
caf::scheduler::test_coordinator& caf_interop::scheduler(test_runtime& world) { return world.self_->engine->scheduler(); }

}  // namespace cairn::testkit
