// The journal: the ordered, durable, append-only history of every aggregate.
//
// This header is the contract, and every store passes the same conformance tests of it (testkit/).
// Bytes only: what an event means is the model's affair. No actor, no Asio, and no thread of its own is promised.
#pragma once

#include <cairn/error.hpp>
#include <cairn/record.hpp>
#include <cairn/snapshot_store.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <string_view>

namespace cairn::inline v1 {

/// What one decision adds to one aggregate. Owns nothing.
struct addition {
  stream_view stream;
  version expected;          ///< the version that the decision was made on; 0 for an aggregate without events
  std::uint32_t events = 0;  ///< how many frames follow; at least one
  std::string_view frames;   ///< encode_frame()'s output, one after another, with versions expected + 1, expected + 2, …
};

/// One decision: its additions become durable all together or not at all. Each names another aggregate (errc::invalid_argument
/// where one is named twice).
using atomic_append = std::span<const addition>;

/// What became of one atomic append.
struct append_outcome {
  bool stored = false;  ///< false: a version conflict; nothing of the append was stored
  position first;       ///< stored: the position of its first record (of the first time, for a repeat); the others follow
  version stands;       ///< not stored: the version that the first conflicting aggregate has
};

/// Which of an aggregate's events to read.
struct version_range {
  version from{1};
  version to = version::max();  ///< inclusive
  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();
};

/// Takes a record, and says whether to go on. The record's bytes live until it returns. It may itself ask the journal, and its
/// snapshots, for whatever can be read.
using record_visitor = std::function<bool(const record_view&)>;

/// Thread safety: append() from one thread at a time; every other member from any thread at any time, also while an append is
/// running. None waits for a sync, and none sees a record that is not durable by the store's setting.
/// Errors, thrown as cairn::error: errc::journal_unavailable (the store cannot read or write; the detail says why),
/// errc::corrupt_record (names aggregate, version and position), errc::fenced (another writer has taken over).
/// An exception of the visitor passes through.
class journal {
public:
  virtual ~journal() = default;

  /// Makes every append that its expected versions allow durable, in the order given, with one sync for all of them, and says
  /// in `outcomes` (as many as `appends`) what became of each. An append sees those before it in the same call.
  /// Where it throws, no outcome may be believed: each append may be stored or not until its aggregates are read again.
  ///
  /// A repeat is not stored again and gets the first time's outcome: an append of which every record stands in the journal
  /// already, byte for byte and one after the other. That goes by the command ids in the records: an append with a record that
  /// has none is never taken for a repeat, since two commands can look alike.
  /// Throws error(errc::invalid_argument) where an append names an aggregate twice, where frames are not what their addition
  /// says, and where a version would exceed version::max() - 1; nothing of the call is then stored.
  virtual void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) = 0;

  /// Hands the records of `stream` in `range`, in order of version, to `visit`. An unknown aggregate has none.
  virtual void read(stream_view stream, version_range range, const record_visitor& visit) const = 0;

  /// Hands all records from position `from` on, in order and without a gap, to `visit`, until it returns false or the end as
  /// it was at the call is reached. Returns the position to go on from.
  virtual position read_all(position from, const record_visitor& visit) const = 0;

  /// The version of the last event of `stream`; 0 where it has none.
  virtual version highest(stream_view stream) const = 0;

  /// The position of the last durable record; 0 where there is none.
  virtual position last() const = 0;

  /// Where the snapshots of these aggregates are kept. Lives as long as the journal.
  virtual snapshot_store& snapshots() = 0;

  /// Makes the caller the only writer, until release(). Returns false if there is one. A runtime does this, so that a second
  /// runtime over the same object is refused.
  bool claim() noexcept { return !claimed_.exchange(true); }
  void release() noexcept { claimed_ = false; }

private:
  std::atomic<bool> claimed_ = false;
};

}  // namespace cairn
