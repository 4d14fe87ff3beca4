// Decides which calls of a file system fail, and how: the n-th call, or calls that a hook picks.
//
// failing_file_system makes the calls. This file only counts them.
#pragma once

#include "../persistence/log/file_system.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cairn::inline v1::testkit::detail {

using cairn::detail::io_status;

/// The kinds of calls. folder::is_locked() counts as `lock`.
enum class call {
  open,
  open_folder,
  make_folder,
  list,
  rename,
  remove,
  link,
  sync_folder,
  lock,
  read,
  write,
  sync,
  size,
  truncate,
};

/// The result of a fault that makes a read or a write transfer half of its bytes. Other calls, and transfers
/// of one byte, go ahead unchanged.
inline constexpr io_status short_transfer = 1;
/// The result of a fault that makes a write end where a sector does, in its first half. Systems copy whole pages,
/// so this is how a write is cut by the death of its process. A write within one sector, and every other call, goes
/// ahead unchanged.
inline constexpr io_status short_write = 3;
/// The result of a fault that makes a call report success and do nothing. Calls that return more than a
/// status (open, open_folder, list, lock, read, size) go ahead unchanged.
inline constexpr io_status false_success = 2;

struct fault {
  std::optional<call> kind = {};  ///< none: any kind
  std::uint64_t nth = 1;          ///< which call of that kind fails, from now on; 1 is the next one
  io_status result = -EIO;        ///< a negated errno, short_transfer, short_write or false_success
  bool lasts = false;             ///< whether all later calls of that kind fail too
};

/// A call that a fault struck.
struct strike {
  call kind;
  std::string path;
};

/// Runs before each call. Returns 0 if the call goes ahead, or a result as in fault::result. The injector
/// holds no lock meanwhile, so the hook may use the disk. Several threads may run it at once.
using fault_hook = std::function<io_status(call kind, const std::string& path)>;

/// Thread safety: every member from any thread at any time.
class fault_injector {
public:
  /// Adds a fault. If several strike one call, the earliest added decides.
  void fail(const fault& added) {
    const std::lock_guard lock(mutex_);
    faults_.push_back({added, 0});
  }
  /// Replaces the hook; an empty one removes it. Faults go before the hook.
  void set_hook(fault_hook hook) {
    const std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
  }
  /// Removes the faults and forgets first_strike(). The hook stays.
  void clear_faults() {
    const std::lock_guard lock(mutex_);
    faults_.clear();
    first_strike_.reset();
  }
  /// The number of calls so far, including those that failed.
  std::uint64_t calls() const {
    const std::lock_guard lock(mutex_);
    return calls_;
  }
  /// The first call that a fault struck since clear_faults(), or none. Disregards the hook.
  std::optional<strike> first_strike() const {
    const std::lock_guard lock(mutex_);
    return first_strike_;
  }

  /// Counts a call before it is made. `bytes` is the size of a transfer. Returns 0 if the call goes ahead, or
  /// a result as in fault::result.
  io_status admit(call kind, const std::string& path, std::size_t bytes = 0) {
    fault_hook hook;
    {
      const std::lock_guard lock(mutex_);
      ++calls_;
      if (const auto result = count(kind, path, bytes)) return result;
      hook = hook_;
    }
    const auto result = hook ? hook(kind, path) : 0;
    return is_possible(result, kind, bytes) ? result : 0;
  }

private:
  struct counted_fault {
    fault description;
    std::uint64_t calls;
  };

  static bool can_lie(call kind) {
    switch (kind) {
    case call::open:
    case call::open_folder:
    case call::list:
    case call::lock:
    case call::read:
    case call::size: return false;
    default: return true;
    }
  }
  static bool is_possible(io_status result, call kind, std::size_t bytes) {
    if (result == short_transfer) return (kind == call::read || kind == call::write) && bytes > 1;
    if (result == short_write) return kind == call::write;
    return result < 0 || (result == false_success && can_lie(kind));
  }

  io_status count(call kind, const std::string& path, std::size_t bytes) {
    io_status result = 0;
    for (auto& [description, calls] : faults_) {
      if (description.kind.value_or(kind) != kind) continue;
      ++calls;
      const bool strikes = calls == description.nth || (description.lasts && calls > description.nth);
      if (result == 0 && strikes && is_possible(description.result, kind, bytes)) result = description.result;
    }
    if (result != 0 && !first_strike_) first_strike_ = strike{kind, path};
    return result;
  }

  mutable std::mutex mutex_;
  std::uint64_t calls_ = 0;
  std::vector<counted_fault> faults_;
  fault_hook hook_;
  std::optional<strike> first_strike_;
};

/// The part of a simulated file that failing_file_system uses to fail a sync as Linux does: the pages count
/// as clean afterwards, although the disk lacks them.
class unsynced_pages {
public:
  /// Makes later syncs omit the pages that are unsynced now.
  virtual void mark_clean() = 0;

protected:
  ~unsynced_pages() = default;
};

}  // namespace cairn::testkit::detail
