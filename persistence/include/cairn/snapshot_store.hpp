// Snapshots: an aggregate's state at a version, as bytes, so that recovery need not walk from the first event.
//
// Always an optimisation. What the bytes mean, and whether they are sound, is the caller's affair.
#pragma once

#include <cairn/identity.hpp>

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::inline v1 {

struct stored_snapshot {
  cairn::version version;
  std::string bytes;
};

/// A snapshot as it stands in its store. Owns nothing.
struct snapshot_view {
  cairn::version version;
  std::string_view bytes;
};

/// Takes a snapshot, whose bytes live until it returns, and says whether to go on. It may use the store meanwhile, also save and
/// prune: later calls see that.
using snapshot_visitor = std::function<bool(const snapshot_view&)>;

/// Thread safety: every member from any thread, at any time.
/// Errors: error(errc::journal_unavailable) if the store cannot read or write, error(errc::corrupt_store) if a stored snapshot is
/// damaged. An exception of the visitor passes through.
class snapshot_store {
public:
  virtual ~snapshot_store() = default;

  /// Keeps `bytes` as the snapshot of `stream` at `at`, in place of an earlier one of that version.
  virtual void save(stream_view stream, version at, std::string_view bytes) = 0;

  /// Hands the snapshots of `stream` whose version is at most `at_most`, as they are at the call, to `visit`, the newest first.
  /// May throw after some were handed out.
  virtual void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const = 0;

  /// The newest of those, copied; nothing where there is none.
  std::optional<stored_snapshot> latest(stream_view stream, version at_most) const {
    std::optional<stored_snapshot> found;
    read_newest_first(stream, at_most, [&](const snapshot_view& newest) {
      found = {newest.version, std::string(newest.bytes)};
      return false;
    });
    return found;
  }

  /// Deletes all but the newest `keep` snapshots of `stream`.
  virtual void prune(stream_view stream, std::size_t keep) = 0;
};

}  // namespace cairn
