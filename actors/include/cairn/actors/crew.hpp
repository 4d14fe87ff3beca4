// The standing actors of one runtime, and how they are made: the journal, the snapshot writer, the readers, the directories.
//
// The aggregates come and go below the directories.
#pragma once

#include <cairn/actors/context.hpp>
#include <cairn/actors/messages.hpp>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

namespace cairn::actors {

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

/// Handles of the standing actors. A test may put a probe in the place of any.
struct crew {
  caf::actor journal;  ///< none: the context has no store
  caf::actor snapshots;
  std::vector<caf::actor> recoverers;  ///< readers for recoveries alone, which no long look into the past keeps waiting
  std::vector<caf::actor> readers;     ///< for looks into the past
  std::vector<caf::actor> directories;

  const caf::actor& recoverer_for(std::size_t hash) const { return recoverers[hash % recoverers.size()]; }
  const caf::actor& reader_for(std::size_t hash) const { return readers[hash % readers.size()]; }
  const caf::actor& directory_for(std::size_t hash) const { return directories[hash % directories.size()]; }
};

/// How the blocking actors run.
enum class threading {
  own,        ///< journal, snapshot writer and readers each on a thread of its own
  scheduled,  ///< all on the system's scheduler, so that a test coordinator steps them
};

/// Makes the standing actors in `into`. `shared` and `into` must outlive them and stay where they are.
void spawn_crew(caf::actor_system& system, shared_context& shared, crew& into, threading how);

/// One aggregate without a directory, for tests and for those who keep their own.
caf::actor spawn_aggregate(caf::actor_system& system, shared_context& shared, const crew& colleagues, const aggregate_type& type,
                           std::string id);

/// The only writer of the store.
caf::actor spawn_journal(caf::actor_system& system, shared_context& shared, threading how);
caf::actor spawn_snapshot_writer(caf::actor_system& system, shared_context& shared, threading how);
caf::actor spawn_reader(caf::actor_system& system, shared_context& shared, threading how);
/// One of `directories` that share the aggregates between them.
caf::actor spawn_directory(caf::actor_system& system, shared_context& shared, const crew& colleagues, std::size_t directories);

}  // namespace cairn::actors
