// The real actors on CAF's test coordinator: no threads; whoever drives it says which actor takes its next message, and when.
//
// What runs on threads of its own in production (journal, snapshot writer, readers) is scheduled here like any other actor.
// Before an actor takes a message the taps see it, and may keep it.
#pragma once

#include "../actors/crew.hpp"
#include "../actors/deadline_watch.hpp"
#include "../actors/engine.hpp"
#include "../actors/system_thread.hpp"

#include <cairn/testkit/message.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/scheduled_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <vector>

namespace cairn::inline v1::testkit::detail {

/// A message that a tap has taken out of a mailbox, and where it was going.
struct kept_message {
  caf::mailbox_element_ptr element;
  caf::strong_actor_ptr receiver;
};

/// Takes messages out of mailboxes before their actors see them.
struct tap_state {
  address to = {};
  std::optional<std::size_t> kind = {};              // none: every message of cairn's
  std::optional<std::chrono::microseconds> by = {};  // delayed by so much instead of kept
  bool open = true;                                  // false: messages pass again
  std::deque<kept_message> kept = {};
  caf::strong_actor_ptr last_sender = {};  // of the message that was last taken from `kept`
  caf::strong_actor_ptr last_receiver = {};
};

/// Thrown by a drain that can never end.
class stuck_drain : public std::logic_error {
public:
  using std::logic_error::logic_error;
};

/// One thread at a time. Time stands still until advance(). A thread that spawns actors of its own in system() must have ended
/// when another thread destroys the engine; else the destructor says so and aborts, because CAF would wait for that thread.
class stepped_engine final : public actors::engine {
public:
  /// `make_progress` lets a drain go on: it runs something, or lets time pass, and says whether there was anything to do.
  /// With inboxes, commands, appends, readings and answers go the way that they go on threads, instead of each by message.
  stepped_engine(actors::engine_parts parts, std::function<bool()> make_progress,
                 actors::threading how = actors::threading::scheduled);
  ~stepped_engine() override;

  void watch(actors::operation& asked) override { deadlines_.add(asked); }
  void submit(actors::operation_ptr asked) override;
  void submit_many(std::vector<actors::operation_ptr> asked) override;
  void read(actors::operation_ptr asked) override;
  void drain(bool snapshot) override;
  const actors::counters& stats() const noexcept override { return shared_.stats; }
  position head() const noexcept override { return shared_.head.last(); }
  bool has_threads() const noexcept override { return false; }
  bool runs_this_thread() const noexcept override { return in_turn_; }
  void make_progress() override;

  /// As a process dies: nothing that was on its way arrives, nothing is answered by an actor any more.
  void crash();

  bool is_over() const noexcept { return over_; }

  /// How many actors have something to do.
  std::size_t ready() const { return scheduler_.jobs.size(); }
  /// What the n-th of them would do next, for those who choose. The element is null where it is no message of a mailbox.
  struct turn {
    caf::actor_id id = 0;
    address::role is = address::role::journal;
    std::optional<stream_view> stream;  // where it is an aggregate
    const caf::mailbox_element* element = nullptr;
  };
  turn look(std::size_t place);
  /// Lets it take one message; where a tap keeps that, it takes none.
  void run(std::size_t place);

  /// How long until the next timer of an actor, or the next deadline. None where there is none.
  std::optional<std::chrono::nanoseconds> next_timer() const;
  /// Whether a timer is set that could let a drain go on. The looks for idle aggregates come back for ever, and end nothing.
  bool a_timer_matters() const;
  /// Moves the actors' clock, puts the timers that have come due into their actors' mailboxes, and completes what has passed its
  /// deadline by the runtime's clock.
  void advance(std::chrono::nanoseconds by);

  /// Null where the aggregate is not live, and for everybody behind the end.
  caf::actor handle(const address& who);
  std::vector<message> mailbox(const address& who);
  /// Ends the actor when it next has a turn, before anything else in its mailbox. False where there is no such actor.
  bool kill(const address& who);
  void add(std::shared_ptr<tap_state> tap);
  /// Puts a kept message back into its receiver's mailbox, past all taps. It is lost where the receiver lives no more.
  static void deliver(kept_message&& kept);

  caf::actor_system& system() { return *system_; }
  caf::scheduler::test_coordinator& scheduler() { return scheduler_; }

private:
  struct config final : caf::actor_system_config {
    config();
  };
  struct resident {
    address::role is;
    std::optional<stream_id> stream;
    caf::weak_actor_ptr actor;
  };

  resident& resident_at(std::size_t place, caf::scheduled_actor*& actor);
  bool kept_by_a_tap(caf::scheduled_actor& actor, const resident& known);
  void keep(tap_state& tap, caf::scheduled_actor& actor, const caf::mailbox_element& next);
  bool is_addressed(const address& to, const caf::scheduled_actor& actor, const resident& known);
  void forget_if_gone(caf::actor_id id);

  actors::shared_context shared_;
  actors::deadline_watch deadlines_{shared_.now};
  std::function<bool()> make_progress_;
  const actors::threading how_;
  config config_;
  actors::crew staff_;
  actors::system_thread system_;
  caf::scheduler::test_coordinator& scheduler_;
  std::unordered_map<caf::actor_id, resident> residents_;
  std::map<stream_id, caf::actor_id> aggregates_;
  std::vector<std::shared_ptr<tap_state>> taps_;
  std::vector<actors::operation_ptr> after_the_end_;
  std::shared_ptr<actors::drain_gate> gate_;  // once a drain has begun
  bool over_ = false;
  bool in_turn_ = false;  // an actor is running
};

/// The message of cairn's that an element holds, if it holds one.
std::optional<message> message_in(const caf::mailbox_element& element);
std::optional<std::size_t> kind_in(const caf::mailbox_element& element);

}  // namespace cairn::testkit::detail
