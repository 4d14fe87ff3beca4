// The standing actors of one runtime, and how they are made: the journal, the snapshot writer, the readers, the directories.
//
// The aggregates come and go below the directories.
#pragma once

#include "append_inbox.hpp"
#include "context.hpp"
#include "reading_inbox.hpp"

#include <cairn/actors/messages.hpp>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace cairn::inline v1::actors {

/// Opens when it has been passed `count` times. Any thread.
class drain_gate {
public:
  explicit drain_gate(std::size_t count) : left_(count) {}

  void pass() {
    std::lock_guard lock(mutex_);
    if (--left_ == 0) open_.notify_all();
  }
  bool is_open() const {
    std::lock_guard lock(mutex_);
    return left_ == 0;
  }
  void wait() const {
    std::unique_lock lock(mutex_);
    open_.wait(lock, [this] { return left_ == 0; });
  }

private:
  mutable std::mutex mutex_;
  mutable std::condition_variable open_;
  std::size_t left_;
};

/// Handles of the standing actors. A test may put a probe in the place of any; of one that has an inbox, without that.
struct crew {
  caf::actor journal;  ///< none: the context has no store
  /// Where the journal takes appends from; none: each is a message to it.
  std::shared_ptr<append_inbox> appends;
  caf::actor snapshots;
  std::vector<caf::actor> recoverers;  ///< readers for recoveries alone, which no long look into the past keeps waiting
  std::vector<caf::actor> readers;     ///< for looks into the past
  std::vector<caf::actor> directories;
  /// What the recoverers and the readers take their work from; none: each piece is a message to one of them.
  std::shared_ptr<reading_inbox> recoveries, reads;

  const caf::actor& recoverer_for(std::size_t hash) const { return recoverers[hash % recoverers.size()]; }
  const caf::actor& reader_for(std::size_t hash) const { return readers[hash % readers.size()]; }
  const caf::actor& directory_for(std::size_t hash) const { return directories[hash % directories.size()]; }
};

/// Hands each of them to `visit`: those that ask before those that are asked.
template <class Visit>
void for_each_standing_actor(const crew& staff, Visit visit) {
  for (const auto* group : {&staff.directories, &staff.recoverers, &staff.readers}) {
    for (const auto& one : *group) visit(one);
  }
  if (staff.journal) visit(staff.journal);
  if (staff.snapshots) visit(staff.snapshots);
}

/// How the blocking actors run.
enum class threading {
  own,                    ///< journal, snapshot writer and readers each on a thread of its own, with inboxes
  scheduled,              ///< all on the system's scheduler, so that a test coordinator steps them; without inboxes, by message
  scheduled_with_inboxes  ///< the same with inboxes, on which all goes the way that it goes on threads
};

/// Makes the standing actors in `into`. `shared` and `into` must outlive them and stay where they are.
void spawn_crew(caf::actor_system& system, shared_context& shared, crew& into, threading how);

/// One aggregate without a directory, for tests and for those who keep their own.
caf::actor spawn_aggregate(caf::actor_system& system, shared_context& shared, const crew& colleagues, const aggregate_type& type,
                           std::string id);

/// The only writer of the store. Without an inbox it gets each append as a message.
caf::actor spawn_journal(caf::actor_system& system, shared_context& shared, std::shared_ptr<append_inbox> appends, threading how);
caf::actor spawn_snapshot_writer(caf::actor_system& system, shared_context& shared, threading how);
/// `inbox`: null, or the one in which the reader has this number.
caf::actor spawn_reader(caf::actor_system& system, shared_context& shared, threading how, std::shared_ptr<reading_inbox> inbox,
                        std::size_t number);
/// One of `directories` that share the aggregates between them.
caf::actor spawn_directory(caf::actor_system& system, shared_context& shared, const crew& colleagues, std::size_t directories);

/// Hands a look into the past to a reader.
void send_to_reader(const crew& staff, operation_ptr asked);

/// Sends the operations to their directories, in order, one message to each that has any of them: for an engine whose messages
/// can be held.
void send_to_directories(const crew& staff, std::vector<operation_ptr> asked);

/// Hands operations to their aggregates through the directories' tables, here and now instead of by message. Only where the
/// directories are those of spawn_crew(). Any thread; what one thread passes on keeps its order. No answer is given on this
/// thread as long as a deferred_answers lives on it.
void pass_through_directory(const crew& staff, operation_ptr asked);
/// What is made ready goes to `then`.
void pass_through_directories(const crew& staff, std::vector<operation_ptr> asked, caf::execution_unit& then);

/// Which aggregate an actor is; nothing for an actor of another kind. The names live as long as the actor.
std::optional<stream_view> aggregate_of(const caf::abstract_actor& actor);

}  // namespace cairn::actors
