// The directory: finds an aggregate's actor by name, makes it when it is needed and ends it when it is not.
//
// Several directories share the aggregates by hash. All commands of one aggregate pass through one directory, one after another
// under its lock, which is why passivation loses nothing: the directory forwards up to the message that ends the actor, keeps
// what comes after, and hands it to the next incarnation. Whoever asks does that on its own thread, without a message to the
// directory; the directory is an actor for what it must be told: that an aggregate has ended, that time passes, the drain.
#include "aggregate_actor.hpp"
#include "crew.hpp"
#include "standing_actor.hpp"
#include "tsan.hpp"

#include <caf/send.hpp>

#include <algorithm>
#include <deque>
#include <list>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace cairn::inline v1::actors {
namespace {

constexpr std::size_t readers_of_the_past = 2;

// As spawn() with lazy_init does it. But spawn() gives the calling thread a share of the system's logger, for as long as the
// thread lives; the thread is the asker's here, and the system does not end before its logger has.
caf::actor make_aggregate(caf::actor_system& system, shared_context& shared, const crew& colleagues, const aggregate_type& type,
                          const std::string& id) {
  caf::actor_config config{system.dummy_execution_unit()};
  auto made = caf::make_actor<aggregate_actor, caf::actor>(system.next_actor_id(), system.node(), &system, config, shared,
                                                           colleagues, type, id);
  constexpr bool lazy = true, hidden = false;
  caf::actor_cast<aggregate_actor*>(made)->launch(config.host, lazy, hidden);
  return made;
}

class directory_actor final : public ordered_actor {
public:
  directory_actor(caf::actor_config& config, shared_context& shared, const crew& colleagues, std::size_t directories)
      : ordered_actor(config), shared_(shared), crew_(colleagues),
        live_max_(std::max<std::size_t>(1, shared.bounds.live_aggregates_max / directories)) {}

  ~directory_actor() override { happens_after(mailbox()); }

  const char* name() const override { return actor_name; }

  /// From any thread. Completes nothing on it while the lock is held. What is made ready goes to `then`, or to the scheduler.
  void forward(operation_ptr asked, caf::execution_unit* then) noexcept {
    locked(then, [&] { forward(std::move(asked)); });
  }
  void forward(std::vector<operation_ptr>&& all, caf::execution_unit* then) noexcept {
    locked(then, [&] { forward(std::move(all)); });
  }

  caf::behavior make_behavior() override {
    set_exception_handler(end_process);
    schedule_idle_check();
    return ordered({
        [this](perform& message) { forward(std::move(message.what), context()); },
        [this](perform_many& message) { forward(std::move(message.what), context()); },
        [this](const aggregate_ended& message) {
          locked(context(), [&] { take_end(*static_cast<entry*>(message.entry), message.settled); });
        },
        [this](const look_for_idle&) { end_idle(); },
        [this](const drain_directory& message) { locked(context(), [&] { drain(message); }); },
        [this](const finish&) { quit(); },
    });
  }

private:
  static constexpr auto actor_name = "cairn.directory";

  // An aggregate is idle after this many whole ticks without a command, so between one and one and a quarter times
  // passivate_after.
  static constexpr std::uint64_t ticks_until_idle = 4;

  enum class status : std::uint8_t {
    live,     // takes commands
    ending,   // has been told to end; commands for its next incarnation are kept
    waiting,  // has no actor: as many live as may, and one must end first
  };

  // A name whose hash is known already.
  struct hashed_stream {
    stream_view stream;
    std::size_t hash;
    operator stream_view() const noexcept { return stream; }
  };
  struct hash_once : stream_hash {
    using stream_hash::operator();
    std::size_t operator()(const hashed_stream& known) const noexcept { return known.hash; }
  };

  struct entry {
    const stream_id* stream = nullptr;  // the map's key
    const aggregate_type* type = nullptr;
    caf::actor actor;
    operation_queue kept;
    std::list<entry*>::iterator place;  // in by_use_, while live
    std::uint64_t used_epoch = 0;
    std::uint64_t used_tick = 0;
    status is = status::waiting;
  };

  // What ends meanwhile, in a dead actor's mailbox say, is told without the lock. What has no memory ends the process, whichever
  // thread it is on: an entry that is half made would keep its aggregate for ever.
  template <class Do>
  void locked(caf::execution_unit* then, Do what) noexcept {
    const deferred_answers told_later;
    const std::lock_guard lock(mutex_);
    then_ = then;
    try {
      what();
    } catch (...) { end_process_of(actor_name); }
  }

  template <class Message>
  void hand(const caf::actor& to, Message&& message) {
    to->enqueue(caf::make_mailbox_element(nullptr, caf::make_message_id(), {}, std::forward<Message>(message)), then_);
  }

  void forward(operation_ptr asked) {
    if (gate_) return refuse(std::move(asked));
    auto& known = entry_of(*asked);
    if (known.is == status::live) {
      touch(known);
      hand(known.actor, perform{std::move(asked)});
    } else {
      known.kept.push(std::move(asked));
    }
  }

  // What is for a live aggregate is kept only until all of the message has been sorted.
  void forward(std::vector<operation_ptr>&& all) {
    entry* known = nullptr;
    for (auto& asked : all) {
      if (gate_) {
        refuse(std::move(asked));
        continue;
      }
      if (!known || *known->stream != asked->stream()) known = &entry_of(*asked);
      if (known->is == status::live && known->kept.empty()) {
        touch(*known);
        reached_.push_back(known);
      }
      known->kept.push(std::move(asked));
    }
    for (auto* one : reached_) {
      if (one->is == status::live) hand_over_kept(*one);  // else what came after its end is for the next incarnation
    }
    reached_.clear();
  }

  void hand_over_kept(entry& to) {
    if (to.kept.empty()) return;
    if (to.kept.size() == 1) return hand(to.actor, perform{to.kept.pop()});
    perform_many all;
    all.what.reserve(to.kept.size());
    while (!to.kept.empty()) all.what.push_back(to.kept.pop());
    hand(to.actor, std::move(all));
  }

  static void refuse(operation_ptr asked) {
    const auto name = to_string(asked->stream());
    deferred_answers::complete(std::move(asked), outcome::failed(errc::draining, name));
  }

  // Where there is none it is made, and has an actor at once if there is room.
  entry& entry_of(const operation& asked) {
    auto found = entries_.find(hashed_stream{asked.stream(), asked.hash()});
    if (found == entries_.end()) {
      found = entries_.try_emplace(stream_id(asked.stream())).first;
      found->second.stream = &found->first;
      found->second.type = &asked.type();
      activate_or_wait(found->second);
    }
    return found->second;
  }

  // Keeps by_use_ in order of last use, but moves an entry at most once an epoch: a hot aggregate costs no list work.
  void touch(entry& used) {
    used.used_tick = tick_;
    if (used.used_epoch == epoch_) return;
    used.used_epoch = epoch_;
    by_use_.splice(by_use_.end(), by_use_, used.place);
    if (++moved_ > 64 + by_use_.size() / 8) {
      moved_ = 0;
      ++epoch_;
    }
  }

  void activate_or_wait(entry& needed) {
    if (actors_ < live_max_) return activate(needed);
    needed.is = status::waiting;
    waiting_.push_back(&needed);
    make_room();
  }

  // As many must be ending as are waiting: each end makes room for one.
  void make_room() {
    while (ending_ < waiting_.size() && !by_use_.empty()) end(*by_use_.front(), true);
  }

  void activate(entry& needed) {
    ++actors_;
    shared_.stats.live_aggregates.fetch_add(1, std::memory_order_relaxed);
    shared_.stats.activations.fetch_add(1, std::memory_order_relaxed);
    needed.is = status::live;
    needed.used_epoch = epoch_;
    needed.used_tick = tick_;
    needed.place = by_use_.insert(by_use_.end(), &needed);
    needed.actor = make_aggregate(home_system(), shared_, crew_, *needed.type, needed.stream->id);
    needed.actor->attach_functor([directory = caf::actor_cast<caf::actor>(this), ended = &needed](const caf::error& why) {
      caf::anon_send(directory, aggregate_ended{ended, !why});
    });
    hand_over_kept(needed);
  }

  void end(entry& chosen, bool snapshot) {
    by_use_.erase(chosen.place);
    chosen.is = status::ending;
    ++ending_;
    shared_.stats.passivations.fetch_add(1, std::memory_order_relaxed);
    hand_over_kept(chosen);
    hand(chosen.actor, passivate{snapshot});
  }

  // A few at a time, so that nobody who asks waits long for the lock.
  void end_idle() {
    constexpr std::size_t at_once = 64;
    locked(context(), [&] {
      ++tick_;
      ++epoch_;
    });
    for (bool more = true; more;) {
      locked(context(), [&] {
        for (auto left = at_once; left > 0 && more; --left) {
          more = !by_use_.empty() && tick_ - by_use_.front()->used_tick > ticks_until_idle;
          if (more) end(*by_use_.front(), true);
        }
      });
    }
    schedule_idle_check();
  }

  // The actor is gone: because it was told to, or because something killed it. Only here is an entry forgotten, and each actor
  // ends once, so the entry of a message still exists.
  void take_end(entry& ended, bool settled) {
    if (ended.is == status::live) {
      by_use_.erase(ended.place);
      ended.is = status::ending;
      ++ending_;
    }
    // Killed, perhaps while it was ending. Its appends may still be on their way, and its successor must not recover before they
    // are settled: the journal sends this message back behind them.
    if (!settled && crew_.journal) return send(crew_.journal, aggregate_ended{&ended, true});
    --actors_;
    --ending_;
    shared_.stats.live_aggregates.fetch_sub(1, std::memory_order_relaxed);
    ended.actor = nullptr;
    ended.is = status::waiting;
    if (ended.kept.empty()) {
      entries_.erase(*ended.stream);
    } else {
      waiting_.push_back(&ended);
    }
    while (!waiting_.empty() && actors_ < live_max_) {
      auto& next = *waiting_.front();
      waiting_.pop_front();
      activate(next);
    }
    make_room();
    pass_gate_if_empty();
  }

  void drain(const drain_directory& message) {
    gate_ = message.gate;
    const auto refuse_kept = [](entry& known) {
      while (!known.kept.empty()) refuse(known.kept.pop());
    };
    for (auto* never_made : std::exchange(waiting_, {})) {
      refuse_kept(*never_made);
      entries_.erase(*never_made->stream);
    }
    for (auto& [stream, known] : entries_) {
      refuse_kept(known);
      if (known.is == status::live) end(known, message.snapshot);
    }
    pass_gate_if_empty();
  }

  void pass_gate_if_empty() {
    if (gate_ && entries_.empty() && !std::exchange(passed_, true)) gate_->pass();
  }

  void schedule_idle_check() {
    const auto after = shared_.bounds.passivate_after;
    if (after.count() > 0) delayed_send(this, std::max(after / 4, std::chrono::milliseconds{1}), look_for_idle{});
  }

  shared_context& shared_;
  const crew& crew_;
  const std::size_t live_max_;
  std::mutex mutex_;  // for all below
  caf::execution_unit* then_ = nullptr;
  std::unordered_map<stream_id, entry, hash_once, stream_equal> entries_;
  std::list<entry*> by_use_;    // the live ones, least recently used first
  std::deque<entry*> waiting_;  // those without an actor, in order of arrival
  std::size_t actors_ = 0;      // live and ending
  std::size_t ending_ = 0;
  std::uint64_t tick_ = 0;  // quarters of passivate_after
  std::uint64_t epoch_ = 0;
  std::size_t moved_ = 0;        // in this epoch
  std::vector<entry*> reached_;  // by the message that is being sorted; kept for its memory
  std::shared_ptr<drain_gate> gate_;
  bool passed_ = false;
};

}  // namespace

caf::actor spawn_directory(caf::actor_system& system, shared_context& shared, const crew& colleagues, std::size_t directories) {
  return system.spawn<directory_actor>(shared, colleagues, directories);
}

namespace {

// Each directory with its part, in order.
template <class Hand>
void sort_by_directory(const crew& staff, std::vector<operation_ptr> asked, Hand hand) {
  std::vector<std::vector<operation_ptr>> sorted(staff.directories.size());
  for (auto& one : asked) sorted[one->hash() % sorted.size()].push_back(std::move(one));
  for (std::size_t place = 0; place < sorted.size(); ++place) {
    if (!sorted[place].empty()) hand(staff.directories[place], std::move(sorted[place]));
  }
}

}  // namespace

void send_to_reader(const crew& staff, operation_ptr asked) {
  if (!staff.reads) {
    const auto& reader = staff.reader_for(asked->hash());
    return caf::anon_send(reader, read_request{std::move(asked)});
  }
  if (const auto idle = staff.reads->put(std::move(asked))) caf::anon_send(staff.readers[*idle], read_next{});
}

void send_to_directories(const crew& staff, std::vector<operation_ptr> asked) {
  sort_by_directory(staff, std::move(asked), [](const caf::actor& directory, std::vector<operation_ptr>&& part) {
    caf::anon_send(directory, perform_many{std::move(part)});
  });
}

void pass_through_directory(const crew& staff, operation_ptr asked) {
  caf::actor_cast<directory_actor*>(staff.directory_for(asked->hash()))->forward(std::move(asked), nullptr);
}

void pass_through_directories(const crew& staff, std::vector<operation_ptr> asked, caf::execution_unit& then) {
  sort_by_directory(staff, std::move(asked), [&](const caf::actor& directory, std::vector<operation_ptr>&& part) {
    caf::actor_cast<directory_actor*>(directory)->forward(std::move(part), &then);
  });
}

caf::actor spawn_aggregate(caf::actor_system& system, shared_context& shared, const crew& colleagues, const aggregate_type& type,
                           std::string id) {
  return system.spawn<aggregate_actor>(shared, colleagues, type, std::move(id));
}

std::optional<stream_view> aggregate_of(const caf::abstract_actor& actor) {
  const auto* aggregate = dynamic_cast<const aggregate_actor*>(&actor);
  return aggregate ? std::optional(aggregate->stream()) : std::nullopt;
}

void spawn_crew(caf::actor_system& system, shared_context& shared, crew& into, threading how) {
  if (shared.store) {
    if (how != threading::scheduled) {
      into.appends = std::make_shared<append_inbox>();
      into.recoveries = std::make_shared<reading_inbox>(shared.bounds.recoveries_at_once_max);
      into.reads = std::make_shared<reading_inbox>(readers_of_the_past);
    }
    into.journal = spawn_journal(system, shared, into.appends, how);
    into.snapshots = spawn_snapshot_writer(system, shared, how);
    for (std::size_t made = 0; made < shared.bounds.recoveries_at_once_max; ++made) {
      into.recoverers.push_back(spawn_reader(system, shared, how, into.recoveries, made));
    }
    for (std::size_t made = 0; made < readers_of_the_past; ++made) {
      into.readers.push_back(spawn_reader(system, shared, how, into.reads, made));
    }
  }
  const auto directories = shared.bounds.directories;
  for (std::size_t made = 0; made < directories; ++made) {
    into.directories.push_back(spawn_directory(system, shared, into, directories));
  }
}

}  // namespace cairn::actors
