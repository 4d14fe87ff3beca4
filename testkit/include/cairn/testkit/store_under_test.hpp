// How the conformance suite gets at a store, and what it is told that the store legitimately lacks.
#pragma once

#include <cairn/journal.hpp>

#include <functional>
#include <memory>

namespace cairn::inline v1::testkit {

/// A store just below the ends of its numbers, where four positions and two versions are left. Few stores can be filled so far
/// by appending, so this one is made by other means.
struct nearly_full_store {
  /// Opens it; the second time, what it kept from the first. Empty: the store cannot be brought there.
  std::function<std::unique_ptr<journal>()> open = {};
  /// The last position that the store can give. The last record stands at `top` - 4.
  position top = {};
  /// The aggregate of that record, which is its version version::max() - 3. No record before it is asked for.
  stream_id stream = {};
};

/// What the suite must know of a store. The flags are for what a journal may lack and still be one; each is true of a store that
/// lacks nothing, and what is left out for a flag's sake is said by name.
///
/// The suite's test case runs once for each of its cases. So the place where the store keeps its records (a folder, a schema) is
/// made in the test case, before the suite is called: then every case begins with an empty store.
struct store_under_test {
  /// Opens the store; the second time, what it kept from the first.
  std::function<std::unique_ptr<journal>()> open = {};
  /// False: records end with the journal object, as they do in memory.
  bool keeps_what_was_closed = true;
  /// False: a second opening is no error, because another opening finds another store (as in memory) or because the store
  /// keeps a second writer out when it writes (errc::fenced).
  bool locks_out_others = true;
  /// False: save() and prune() do nothing, and there never is a snapshot.
  bool keeps_snapshots = true;
  /// False: an append has one aggregate; more are refused with errc::invalid_argument.
  bool appends_over_aggregates = true;
  /// False: the repeat of an append is the version conflict that it would be without command ids.
  bool recognises_repeats = true;
  nearly_full_store nearly_full = {};
};

}  // namespace cairn::testkit
