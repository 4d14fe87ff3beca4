#include "stepped_engine.hpp"

#include <caf/atom.hpp>
#include <caf/logger.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace cairn::inline v1::testkit::detail {
namespace {

template <std::size_t place = 0>
std::optional<std::size_t> kind_from(const caf::type_erased_tuple& content) {
  if constexpr (place == std::variant_size_v<message>) {
    return std::nullopt;
  } else {
    if (content.match_elements<std::variant_alternative_t<place, message>>()) return place;
    return kind_from<place + 1>(content);
  }
}

template <std::size_t place = 0>
message copy_of(std::size_t kind, const caf::type_erased_tuple& content) {
  if constexpr (place + 1 < std::variant_size_v<message>) {
    if (kind != place) return copy_of<place + 1>(kind, content);
  }
  return content.get_as<std::variant_alternative_t<place, message>>(0);
}

// A message that has passed the taps, or is past all of them: none looks at it again. Known by its type and not by its address,
// which another message may have once this one is gone.
class passed_element final : public caf::mailbox_element {
public:
  explicit passed_element(caf::mailbox_element_ptr&& inner)
      : caf::mailbox_element(caf::strong_actor_ptr(inner->sender), inner->mid, forwarding_stack(inner->stages)),
        inner_(std::move(inner)) {}

  caf::type_erased_tuple& content() override { return inner_->content(); }
  const caf::type_erased_tuple& content() const override { return std::as_const(*inner_).content(); }
  caf::message move_content_to_message() override { return inner_->move_content_to_message(); }
  caf::message copy_content_to_message() const override { return inner_->copy_content_to_message(); }

private:
  caf::mailbox_element_ptr inner_;
};

caf::mailbox_element_ptr passed(caf::mailbox_element_ptr&& element) {
  return caf::mailbox_element_ptr(new passed_element(std::move(element)));
}

bool has_ended(const caf::abstract_actor& actor) {
  return static_cast<const caf::monitorable_actor&>(actor).getf(caf::abstract_actor::is_terminated_flag);
}

// Null where there is none. By CAF's compiled function: what its headers do inline with an empty queue is flagged by sanitizers.
const caf::mailbox_element* next_in(caf::scheduled_actor& actor) { return actor.peek_at_next_mailbox_element(); }

caf::scheduler::test_coordinator& scheduler_of(caf::actor_system& system) {
  return dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler());
}

address::role role_of(std::string_view name) {
  if (name == "cairn.journal") return address::role::journal;
  if (name == "cairn.snapshots") return address::role::snapshot_writer;
  if (name == "cairn.reader") return address::role::reader;
  if (name == "cairn.directory") return address::role::directory;
  return address::role::aggregate;
}

}  // namespace

std::optional<std::size_t> kind_in(const caf::mailbox_element& element) { return kind_from(element.content()); }

std::optional<message> message_in(const caf::mailbox_element& element) {
  const auto kind = kind_in(element);
  return kind ? std::optional(copy_of(*kind, element.content())) : std::nullopt;
}

stepped_engine::config::config() {
  set("scheduler.policy", caf::atom("testing"));
  set("logger.file-verbosity", caf::atom("quiet"));
  set("logger.console-verbosity", caf::atom("quiet"));
}

stepped_engine::stepped_engine(actors::engine_parts parts, std::function<bool()> make_progress, actors::threading how)
    : shared_{std::move(parts.store), std::move(parts.now), std::move(parts.warn), actors::checked(parts.bounds), {}},
      make_progress_(std::move(make_progress)), how_(how),
      system_(config_,
              [this, &parts](caf::actor_system& system) {
                auto& scheduler = scheduler_of(system);
                // CAF takes the very beginning of time for "no timeout".
                scheduler.clock().current_time += std::chrono::hours{1};
                shared_.head.open(shared_.store ? shared_.store->last() : position{}, std::move(parts.resume_read));
                actors::spawn_crew(system, shared_, staff_, how_);
                while (scheduler.try_run_once()) {}
              }),
      scheduler_(scheduler_of(*system_)) {}

stepped_engine::~stepped_engine() {
  crash();
  // A test that spawned an actor on this thread has given it a reference to the system's logger, for which
  // the system would wait.
  auto& logger = system_->logger();
  if (caf::logger::current_logger() == &logger) caf::logger::set_current_actor_system(nullptr);
  constexpr std::size_t of_the_system = 2;  // its own and its thread's
  if (logger.get_reference_count() > of_the_system) {
    std::fprintf(stderr,
                 "cairn: a test_runtime was destroyed while another thread that had spawned a CAF actor in it was running; "
                 "end that thread first\n");
    std::abort();
  }
}

void stepped_engine::submit(actors::operation_ptr asked) {
  // Whoever hands it over may hold a lock that the answer needs.
  if (over_) return after_the_end_.push_back(std::move(asked));
  if (how_ == actors::threading::scheduled_with_inboxes) return actors::pass_through_directory(staff_, std::move(asked));
  const auto& directory = staff_.directory_for(asked->hash());
  caf::anon_send(directory, actors::perform{std::move(asked)});
}

void stepped_engine::submit_many(std::vector<actors::operation_ptr> asked) {
  if (!over_) return actors::send_to_directories(staff_, std::move(asked));
  for (auto& one : asked) after_the_end_.push_back(std::move(one));
}

void stepped_engine::read(actors::operation_ptr asked) {
  if (over_) return;
  actors::send_to_reader(staff_, std::move(asked));
}

void stepped_engine::drain(bool snapshot) {
  if (over_) return;
  if (!gate_) {  // else an earlier attempt got stuck, and goes on here
    gate_ = std::make_shared<actors::drain_gate>(staff_.directories.size());
    for (const auto& directory : staff_.directories) caf::anon_send(directory, actors::drain_directory{snapshot, gate_});
  }
  while (!gate_->is_open()) make_progress();
  crash();  // nothing is on its way any more
  shared_.head.close();
}

void stepped_engine::make_progress() {
  if (over_ || !make_progress_()) {
    throw stuck_drain("the call would wait for ever: a message that it needs is held, or was dropped");
  }
}

void stepped_engine::crash() {
  if (std::exchange(over_, true)) return;
  for (const auto& tap : std::exchange(taps_, {})) *tap = {.to = tap->to};
  actors::for_each_standing_actor(staff_, [](const caf::actor& one) { caf::anon_send_exit(one, caf::exit_reason::kill); });
  for (const auto& [id, known] : residents_) {
    if (const auto actor = caf::actor_cast<caf::strong_actor_ptr>(known.actor)) {
      caf::anon_send_exit(caf::actor_cast<caf::actor>(actor), caf::exit_reason::kill);
    }
  }
  // An exit overtakes everything else in a mailbox. What is only found now, because it had no turn yet, is killed as well.
  while (!scheduler_.jobs.empty()) {
    if (auto* actor = dynamic_cast<caf::scheduled_actor*>(scheduler_.jobs.front())) {
      caf::anon_send_exit(caf::actor_cast<caf::actor>(actor), caf::exit_reason::kill);
    }
    scheduler_.try_run_once();
  }
  staff_ = {};
  shared_.store.reset();
  scheduler_.clock().cancel_all();  // timers hold their actors
  residents_.clear();
  aggregates_.clear();
  // Those that come in while these go are kept as well.
  while (!after_the_end_.empty()) std::exchange(after_the_end_, {}).clear();
}

stepped_engine::resident& stepped_engine::resident_at(std::size_t place, caf::scheduled_actor*& actor) {
  actor = dynamic_cast<caf::scheduled_actor*>(scheduler_.jobs[place]);
  const auto [known, is_new] = residents_.try_emplace(actor->id());
  if (is_new) {
    known->second.is = role_of(actor->name());
    known->second.actor = caf::actor_cast<caf::weak_actor_ptr>(actor->ctrl());
    if (const auto stream = actors::aggregate_of(*actor)) {
      known->second.stream.emplace(*stream);
      aggregates_[stream_id(*stream)] = actor->id();
    }
  }
  return known->second;
}

stepped_engine::turn stepped_engine::look(std::size_t place) {
  caf::scheduled_actor* actor = nullptr;
  const auto& known = resident_at(place, actor);
  turn next{actor->id(), known.is, {}, nullptr};
  if (known.stream) next.stream = *known.stream;
  next.element = next_in(*actor);
  return next;
}

void stepped_engine::run(std::size_t place) {
  caf::scheduled_actor* actor = nullptr;
  const auto& known = resident_at(place, actor);
  const auto id = actor->id();
  auto& jobs = scheduler_.jobs;
  std::rotate(jobs.begin(), jobs.begin() + static_cast<std::ptrdiff_t>(place),
              jobs.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  // Where a tap has taken the only message, the actor finds its mailbox empty, and goes to sleep. What comes behind it is
  // another turn: the taps have not seen it yet.
  if (kept_by_a_tap(*actor, known) && next_in(*actor)) return;
  const bool within_another = std::exchange(in_turn_, true);
  scheduler_.try_run_once();
  in_turn_ = within_another;
  forget_if_gone(id);
}

bool stepped_engine::kept_by_a_tap(caf::scheduled_actor& actor, const resident& known) {
  const auto* element = next_in(actor);
  if (!element || dynamic_cast<const passed_element*>(element)) return false;
  const auto kind = kind_in(*element);
  if (!kind) return false;
  for (const auto& tap : taps_) {
    if (!tap->open || (tap->kind && *tap->kind != *kind) || !is_addressed(tap->to, actor, known)) continue;
    keep(*tap, actor, *element);
    return true;
  }
  return false;
}

void stepped_engine::keep(tap_state& tap, caf::scheduled_actor& actor, const caf::mailbox_element& next) {
  kept_message taken{nullptr, actor.ctrl()};
  if (next.is_high_priority()) {
    actor.get_urgent_queue().inc_deficit(1);
    taken.element = actor.get_urgent_queue().next();
  } else {
    taken.element = actor.get_normal_queue().take_front();
  }
  if (tap.by) {
    scheduler_.clock().schedule_message(scheduler_.clock().now() + *tap.by, taken.receiver, passed(std::move(taken.element)));
  } else {
    tap.kept.push_back(std::move(taken));
  }
}

bool stepped_engine::is_addressed(const address& to, const caf::scheduled_actor& actor, const resident& known) {
  if (to.is == address::role::aggregate) return known.stream == to.stream;
  const auto named = handle(to);
  return named && named.id() == actor.id();
}

void stepped_engine::forget_if_gone(caf::actor_id id) {
  const auto known = residents_.find(id);
  const auto actor = caf::actor_cast<caf::strong_actor_ptr>(known->second.actor);
  if (actor && !has_ended(*actor->get())) return;
  if (known->second.stream) {
    const auto named = aggregates_.find(*known->second.stream);
    if (named != aggregates_.end() && named->second == id) aggregates_.erase(named);
  }
  residents_.erase(known);
}

std::optional<std::chrono::nanoseconds> stepped_engine::next_timer() const {
  std::optional<std::chrono::nanoseconds> next;
  if (const auto deadline = deadlines_.next()) {
    // At most an hour: the time to a deadline may be more than a number holds.
    const auto now = shared_.now();
    next = std::clamp(*deadline, now, now + std::chrono::hours{1}) - now + std::chrono::microseconds{1};
  }
  const auto& schedule = scheduler_.clock().schedule();
  if (schedule.empty()) return next;
  const auto timer = schedule.begin()->first - scheduler_.clock().now();
  return next ? std::min(*next, timer) : timer;
}

bool stepped_engine::a_timer_matters() const {
  using clock = caf::detail::simple_actor_clock;
  const auto& schedule = scheduler_.clock().schedule();
  return std::any_of(schedule.begin(), schedule.end(), [](const auto& timer) {
    if (timer.second->subtype != clock::actor_msg_type) return true;
    const auto kind = kind_in(*static_cast<const clock::actor_msg&>(*timer.second).content);
    return kind != kind_of<actors::look_for_idle>();
  });
}

void stepped_engine::advance(std::chrono::nanoseconds by) {
  scheduler_.advance_time(by);
  deadlines_.expire();
}

caf::actor stepped_engine::handle(const address& who) {
  if (over_) return {};
  const auto hash = stream_hash{}(who.stream);
  switch (who.is) {
  case address::role::journal: return staff_.journal;
  case address::role::snapshot_writer: return staff_.snapshots;
  case address::role::recoverer: return staff_.recoverer_for(hash);
  case address::role::reader: return staff_.reader_for(hash);
  case address::role::directory: return staff_.directory_for(hash);
  case address::role::aggregate: break;
  }
  // One that was only just made has had no turn yet.
  for (std::size_t place = 0; place < ready(); ++place) look(place);
  const auto named = aggregates_.find(who.stream);
  if (named == aggregates_.end()) return {};
  // Who runs actors by CAF's own means lets them end unseen.
  const auto actor = caf::actor_cast<caf::strong_actor_ptr>(residents_.at(named->second).actor);
  if (!actor || has_ended(*actor->get())) return {};
  return caf::actor_cast<caf::actor>(actor);
}

bool stepped_engine::kill(const address& who) {
  const auto named = handle(who);
  if (named) caf::anon_send_exit(named, caf::exit_reason::kill);
  return static_cast<bool>(named);
}

std::vector<message> stepped_engine::mailbox(const address& who) {
  std::vector<message> waiting;
  const auto named = handle(who);
  for (auto* job : scheduler_.jobs) {
    auto* actor = dynamic_cast<caf::scheduled_actor*>(job);
    if (!named || actor->id() != named.id() || !next_in(*actor)) continue;
    const auto look_at = [&](const caf::mailbox_element& element) {
      if (auto one = message_in(element)) waiting.push_back(std::move(*one));
    };
    actor->get_urgent_queue().peek_all(look_at);
    actor->get_normal_queue().peek_all(look_at);
  }
  return waiting;
}

void stepped_engine::add(std::shared_ptr<tap_state> tap) {
  if (!over_) taps_.push_back(std::move(tap));  // else there is nothing for it to keep
}

void stepped_engine::deliver(kept_message&& kept) { kept.receiver->enqueue(passed(std::move(kept.element)), nullptr); }

}  // namespace cairn::testkit::detail
