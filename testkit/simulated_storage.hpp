// The machine below one simulated process: a disk that fails, and the embedded store on it.
//
// The real log runs here, on a disk in memory. Everything that outlives the process is here too: the files, the
// pairs of the index, and the snapshots. The seed decides which calls of the file system fail, where a write is
// torn, and when the power fails.
#pragma once

#include "failing_file_system.hpp"
#include "simulated_file_system.hpp"

#include "../persistence/derived/memory_derived.hpp"
#include "../persistence/store/store_environment.hpp"

#include <cairn/store.hpp>
#include <cairn/testkit/random.hpp>
#include <cairn/testkit/simulation.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cairn::inline v1::testkit::detail {

/// One thread only. At most one store at a time.
class simulated_storage final {
public:
  /// What the disk keeps of a snapshot.
  struct snapshot {
    std::string bytes;
    bool synced = true;
  };
  using generation_pairs = std::vector<std::pair<std::string, std::string>>;

  /// What the storage uses of its world.
  struct surroundings {
    random& chance;
    const faults& rates;
    simulation_figures& figures;
    clock now;                                           ///< the wall clock
    std::function<std::chrono::microseconds()> elapsed;  ///< the simulated time
    std::function<void(const std::string&)> trace;       ///< called with each fault and each warning
  };

  /// Draws the sizes of segments and index, and the durability.
  explicit simulated_storage(surroundings world);
  simulated_storage(const simulated_storage&) = delete;
  simulated_storage& operator=(const simulated_storage&) = delete;

  /// Starts a process: opens the store. The storage must outlive it. Throws what opening a store throws.
  std::shared_ptr<cairn::store> open();
  /// Whether the error of the last open() may be the effect of a fault, and not a mistake of the store.
  bool opening_was_disturbed() const { return disturbed_; }

  /// Ends the process: no call of the store has an effect any more. Its objects may be destroyed later.
  void end_process();
  /// Whether the process has ended, also by a fault: in the middle of a write, or because the power failed.
  bool process_ended() const { return ended_; }
  /// Whether the store has dropped an index in this process, because it did not fit the log.
  bool index_was_dropped() const { return index_was_dropped_; }
  /// Whether an acknowledged command may be lost: the power failed below a store that does not sync.
  bool may_have_lost() const { return may_have_lost_; }

  /// From now on nothing fails.
  void stop_failing();

  // For the store's parts, which are in the source.
  /// Whether a fault strikes now, which the figures then count.
  bool strikes(double share, const char* fault);
  /// The same of a fault that may make the store fail.
  bool fails(double share, const char* fault);
  void require_process() const;
  const faults& rates() const { return world_.rates; }
  random& chance() const { return world_.chance; }
  cairn::detail::index_pairs& index() { return index_; }
  void note_generation(generation_pairs pairs) { unsynced_generations_.push_back(std::move(pairs)); }
  void drop_index();
  std::map<stream_id, std::map<version, snapshot>>& snapshots() { return snapshots_; }

private:
  io_status admit(call kind);
  io_status fault_of(call kind);
  io_status kill_process();
  void cut_power();
  void fill_disk();
  void free_disk_when_due();
  void lose_unsynced();
  void lose_index();
  void clear_index();
  cairn::detail::store_id make_store_id();

  const surroundings world_;
  simulated_disk disk_;
  failing_file_system files_;
  store_options options_;
  cairn::detail::store_environment environment_;

  bool failing_ = true;
  bool power_fails_ = true;
  bool ended_ = true;
  bool ends_at_next_call_ = false;
  bool disturbed_ = false;
  bool may_have_lost_ = false;
  bool index_was_dropped_ = false;
  unsigned failed_openings_ = 0;  // in a row
  std::chrono::microseconds full_until_{-1};

  cairn::detail::index_pairs index_;
  cairn::detail::index_pairs durable_index_;
  std::vector<generation_pairs> unsynced_generations_;  // turn `durable_index_` into `index_`
  cairn::detail::index_pairs earlier_index_;
  std::map<stream_id, std::map<version, snapshot>> snapshots_;
};

}  // namespace cairn::testkit::detail
