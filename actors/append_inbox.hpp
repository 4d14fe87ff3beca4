// What aggregates hand to the journal without a message for each append.
#pragma once

#include <cairn/actors/messages.hpp>

#include <mutex>
#include <utility>
#include <vector>

namespace cairn::inline v1::actors {

/// Requests for a journal actor that has a thread of its own. They lie side by side in memory, where a mailbox is a list that
/// leads from one core's memory to the next piece of it. Bounded by those who put: an aggregate has two on their way at most, and
/// none without a command in flight. Any thread.
class append_inbox {
public:
  /// True where it was empty: then nobody else tells the journal (commit_now) that there is something.
  bool put(append_request&& one) {
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(one));
    return waiting_.size() == 1;
  }

  /// All of them, in order. `into` is empty; its memory is used for those that come next.
  void take(std::vector<append_request>& into) {
    const std::lock_guard lock(mutex_);
    std::swap(into, waiting_);
  }

private:
  std::mutex mutex_;
  std::vector<append_request> waiting_;
};

}  // namespace cairn::actors
