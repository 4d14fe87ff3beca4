// A journal on a simulated disk: what was synced survives a crash, what was not is torn at any byte, and syncs, reads and saves
// fail as often as they are told to.
//
// The disk holds bytes; opening reads them back and cuts off what is not whole, as a real log does.
#pragma once

#include <cairn/journal.hpp>
#include <cairn/testkit/random.hpp>
#include <cairn/testkit/simulation.hpp>

#include <map>
#include <memory>
#include <string>

namespace cairn::testkit::detail {

/// What is left when a process dies.
struct simulated_disk {
  struct snapshot {
    std::string bytes;
    bool synced = true;
  };
  std::string log;
  std::map<stream_id, std::map<version, snapshot>> snapshots;
};

/// One thread only.
class simulated_store final : public journal, private snapshot_store {
public:
  /// Opens what is on the disk. All of them must outlive it.
  simulated_store(simulated_disk& disk, random& chance, const faults& rates, simulation_figures& figures);

  /// Set in the middle of an append: the process has died, and what the caller is told no longer matters.
  bool process_died() const noexcept { return died_; }
  /// Loses or tears what was not synced, as a crash does.
  void crash();
  /// From now on all goes well.
  void stop_failing() noexcept { failing_ = false; }

  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override;
  void read(stream_view stream, version_range range, const record_visitor& visit) const override;
  position read_all(position from, const record_visitor& visit) const override { return kept_->read_all(from, visit); }
  version highest(stream_view stream) const override { return kept_->highest(stream); }
  position last() const override { return kept_->last(); }
  snapshot_store& snapshots() override { return *this; }

private:
  void save(stream_view stream, version at, std::string_view bytes) override;
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override;
  void prune(stream_view stream, std::size_t keep) override;

  bool strikes(double share, const char* what) const;
  void store(atomic_append append, append_outcome& outcome);

  simulated_disk& disk_;
  random& chance_;
  const faults& rates_;
  simulation_figures& figures_;
  std::unique_ptr<journal> kept_;  // what the log holds
  bool failing_ = true;
  bool died_ = false;
};

}  // namespace cairn::testkit::detail
