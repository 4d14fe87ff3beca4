// Snapshots: an aggregate's state at a version, as bytes, so that recovery need not walk from the first event.
//
// Always an optimisation. What the bytes mean, and whether they are sound, is the caller's affair.
#pragma once

#include <cairn/identity.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace cairn {

struct stored_snapshot {
  cairn::version version;
  std::string bytes;
};

/// Thread safety: every member from any thread, at any time.
/// Errors: error(errc::journal_unavailable) where the store cannot read or write.
class snapshot_store {
public:
  virtual ~snapshot_store() = default;

  /// Keeps `bytes` as the snapshot of `stream` at `at`, in place of an earlier one of that version.
  virtual void save(stream_view stream, version at, std::string_view bytes) = 0;

  /// The newest snapshot of `stream` whose version is at most `at_most`.
  virtual std::optional<stored_snapshot> latest(stream_view stream, version at_most) const = 0;

  /// Deletes all but the newest `keep` snapshots of `stream`.
  virtual void prune(stream_view stream, std::size_t keep) = 0;
};

}  // namespace cairn
