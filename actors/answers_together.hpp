// Answers that travel together.
//
// To hand one answer to an execution context takes a lock, and often a system call that wakes somebody; after a group commit
// there are hundreds of them. Knows nothing of Asio or CAF: who posts, and where to, comes as a function and an address.
#pragma once

#include "operation.hpp"

#include <cstddef>
#include <vector>

namespace cairn::inline v1::actors {

/// While one lives, answers of its thread may be added to it. Those for one execution context are posted as one: as soon as there
/// are `group_max`, and the rest at its end. One at a time on a thread.
class answers_together {
public:
  static constexpr std::size_t group_max = 32;  // so that several threads of one context have something to do each

  /// One answer: `tell(asked, teller)` calls the handler.
  struct answer {
    operation_ptr asked;
    void (*tell)(operation_ptr asked, void* teller);
    void* teller;
  };
  using group = std::vector<answer>;
  using post_group = void (*)(void* context, group&& answers);

  answers_together() noexcept;
  ~answers_together();
  answers_together(const answers_together&) = delete;
  answers_together& operator=(const answers_together&) = delete;

  /// Null where none lives on this thread.
  static answers_together* of_this_thread() noexcept;

  void add(void* context, post_group post, answer&& one);

  /// Posts what has been gathered on this thread, if anything has. Before an answer goes another way, or it would overtake.
  static void post_gathered();

private:
  static constexpr std::size_t contexts_max = 16;  // more of them are posted earlier

  struct gathered {
    void* context;
    post_group post;
    group answers;
  };
  void post_all();

  std::vector<gathered> groups_;
};

}  // namespace cairn::actors
