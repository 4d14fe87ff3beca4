// Drains the living runtimes at exit().
//
// exit() destroys static objects while other threads still run: also those that a store needs (RocksDB has
// many), and with the last share of a static runtime the runtime itself. An exit_drain makes exit() drain its
// runtime before it destroys anything that was made before the runtime, the store's needs above all.
// Afterwards nothing of the runtime runs, and it does not matter when it is destroyed, or whether: it may be
// on a stack, or in a static pointer that is older than the store.
#pragma once

#include <functional>

namespace cairn::inline v1::detail {

/// One for each runtime whose actors have threads. Thread safety: exit() may be called on any thread, at any
/// time.
class exit_drain {
public:
  /// `drain` is called at most once, by exit(), on its thread. Throws std::bad_alloc.
  explicit exit_drain(std::function<void()> drain);
  ~exit_drain();
  exit_drain(const exit_drain&) = delete;
  exit_drain& operator=(const exit_drain&) = delete;

  /// Also drains all runtimes, older ones too, before exit() destroys what has been made until now.
  /// Throws std::bad_alloc.
  static void before_what_exists_now();

  /// Called when another thread than exit()'s begins to destroy the runtime. Waits where exit() drains it
  /// just now; afterwards exit() waits until this object is destroyed.
  void begin_destruction();

private:
  struct entry;
  class entries;
  entry* const entry_;
};

}  // namespace cairn::detail
