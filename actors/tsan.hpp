// Says to the thread sanitizer how CAF orders the actors' work. CAF's library is not instrumented, so the sanitizer does not see
// that its mailboxes order a sender before the receiver, and an actor's turn before its next one. Only that is said here: what
// cairn shares by its own locks and atomics, the sanitizer judges by itself.
//
// Without the sanitizer everything here is empty.
#pragma once

#include <caf/event_based_actor.hpp>

#if defined(__SANITIZE_THREAD__)
#define CAIRN_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CAIRN_TSAN 1
#endif
#endif

#if CAIRN_TSAN
#include <sanitizer/tsan_interface.h>

#include <cstddef>
#include <utility>
#endif

namespace cairn::inline v1::actors {

class ordered_actor;

#if CAIRN_TSAN

/// What this thread has done so far happens before what another does after it calls happens_after() with the same address.
inline void happens_before(const void* at) noexcept { __tsan_release(const_cast<void*>(at)); }
inline void happens_after(const void* at) noexcept { __tsan_acquire(const_cast<void*>(at)); }

/// While one lives, its thread handles a message of `actor`: after all that was sent to it, and after its turns before.
class turn_of {
public:
  explicit turn_of(const ordered_actor* actor) noexcept : actor_(actor) { happens_after(actor_); }
  ~turn_of() { happens_before(actor_); }
  turn_of(const turn_of&) = delete;
  turn_of& operator=(const turn_of&) = delete;

private:
  const ordered_actor* const actor_;
};

/// An actor that says so of its own messages. The base of all of cairn's. Whoever gives up the last share ends it, so the
/// destructor of each begins with happens_after(mailbox()).
class ordered_actor : public caf::event_based_actor {
public:
  using caf::event_based_actor::enqueue;
  using caf::event_based_actor::event_based_actor;

  void enqueue(caf::mailbox_element_ptr message, caf::execution_unit* then) override {
    happens_before(this);
    caf::event_based_actor::enqueue(std::move(message), then);
  }

  resume_result resume(caf::execution_unit* on, std::size_t messages_max) override {
    happens_after(this);
    const auto result = caf::event_based_actor::resume(on, messages_max);
    happens_before(this);  // its end, if it has ended; whoever runs it still has a share
    return result;
  }

  // What lies in the mailbox at the end is destroyed here.
  bool cleanup(caf::error&& why, caf::execution_unit* on) override {
    happens_after(this);
    return caf::event_based_actor::cleanup(std::move(why), on);
  }

  // By whoever has run it.
  void intrusive_ptr_release_impl() override {
    happens_before(this);
    caf::event_based_actor::intrusive_ptr_release_impl();
  }

protected:
  const ordered_actor* mailbox() const noexcept { return this; }
  /// The same behavior, each message of which is a turn of this actor.
  caf::behavior ordered(caf::behavior inner) const {
    return caf::behavior::impl_ptr(caf::make_counted<ordered_behavior>(this, inner.as_behavior_impl()));
  }

private:
  class ordered_behavior final : public caf::detail::behavior_impl {
  public:
    ordered_behavior(const ordered_actor* actor, caf::behavior::impl_ptr inner) : actor_(actor), inner_(std::move(inner)) {}

    using caf::detail::behavior_impl::invoke;
    caf::match_case::result invoke(caf::detail::invoke_result_visitor& answer, caf::type_erased_tuple& message) override {
      const turn_of turn(actor_);
      return inner_->invoke(answer, message);
    }

  private:
    const ordered_actor* const actor_;
    const caf::behavior::impl_ptr inner_;
  };
};

#else

inline void happens_before(const void*) noexcept {}
inline void happens_after(const void*) noexcept {}

struct turn_of {
  explicit turn_of(const ordered_actor*) noexcept {}
};

class ordered_actor : public caf::event_based_actor {
public:
  using caf::event_based_actor::event_based_actor;

protected:
  const ordered_actor* mailbox() const noexcept { return this; }
  static caf::behavior ordered(caf::behavior inner) noexcept { return inner; }
};

#endif

}  // namespace cairn::actors
