// A journal that does what another one does, but for what it is told to fail. Counts what it is asked.
#pragma once

#include <cairn/error.hpp>
#include <cairn/journal.hpp>
#include <cairn/memory_journal.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace cairn::inline v1::testkit {

/// What a faulty_journal was asked so far, whether it did it or not.
struct journal_counts {
  std::uint64_t appends = 0;         ///< calls of append(): group commits
  std::uint64_t reads = 0;           ///< calls of read(): recoveries and looks into the past
  std::uint64_t events_read = 0;     ///< records that those handed out
  std::uint64_t snapshot_reads = 0;  ///< calls of read_newest_first()
  std::vector<std::size_t> batches;  ///< how many appends each group commit had
  std::vector<std::uint64_t> saved;  ///< the version of each snapshot that was saved
};

/// Thread safety: as the journal that it stands before, and its own members from any thread. Orders to fail are carried out in
/// the order given, each once for each time asked.
class faulty_journal final : public journal, private snapshot_store {
public:
  explicit faulty_journal(std::shared_ptr<journal> inner = memory_journal());

  /// The next append() throws and stores nothing.
  void fail_next_append(errc code = errc::journal_unavailable, std::string detail = "the disk says no", int times = 1);
  /// The next append() stores what it is given, and throws: whether it is there turns out when it is read again.
  void fail_next_sync(errc code = errc::journal_unavailable, std::string detail = "the sync says no", int times = 1);
  /// The next snapshot is not saved.
  void fail_next_save(errc code = errc::journal_unavailable, std::string detail = "no room for snapshots", int times = 1);
  /// The `nth` read() from now throws; 1 is the next. So do those after it, as many `times` in all.
  void fail_read(std::uint64_t nth = 1, errc code = errc::journal_unavailable, std::string detail = "the disk cannot be read",
                 int times = 1);

  journal_counts counts() const;

  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override;
  void read(stream_view stream, version_range range, const record_visitor& visit) const override;
  position read_all(position from, const record_visitor& visit) const override { return inner_->read_all(from, visit); }
  version highest(stream_view stream) const override { return inner_->highest(stream); }
  position last() const override { return inner_->last(); }
  snapshot_store& snapshots() override { return *this; }

private:
  struct order {
    std::uint64_t at = 0;  // which read; for the others: the next
    errc code;
    std::string detail;
    bool stores = false;
  };

  void save(stream_view stream, version at, std::string_view bytes) override;
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override;
  void prune(stream_view stream, std::size_t keep) override { inner_->snapshots().prune(stream, keep); }

  const std::shared_ptr<journal> inner_;
  mutable std::mutex mutex_;  // of what follows
  mutable journal_counts counts_;
  std::deque<order> appends_;
  std::deque<order> saves_;
  mutable std::vector<order> reads_;
};

}  // namespace cairn::testkit
