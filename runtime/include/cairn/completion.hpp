// How an answer gets to whoever asked: by Asio, through the handler's executor, or to a thread that waits.
#pragma once

#include <cairn/actors/answers_together.hpp>
#include <cairn/actors/operation.hpp>
#include <cairn/answer.hpp>
#include <cairn/error.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/system_executor.hpp>

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace cairn::detail {

inline boost::system::error_code as_asio_code(errc code) noexcept {
  return code == errc{} ? boost::system::error_code{} : make_asio_code(code);
}

/// Returns the io_context if the executor is its plain one, so that to post to the context is to post through the executor; null
/// for every other executor: a strand, a thread pool, one with an allocator or other properties.
inline boost::asio::io_context* io_context_of(const boost::asio::io_context::executor_type& executor) noexcept {
  return &executor.context();
}
/// The same for the executor inside. target<T>() of Boost 1.74 casts without a look at the type, so the look is here.
inline boost::asio::io_context* io_context_of(const boost::asio::any_io_executor& executor) noexcept {
  using plain = boost::asio::io_context::executor_type;
  if (executor.target_type() != typeid(plain)) return nullptr;
  return io_context_of(*executor.target<plain>());
}
template <class Executor>
boost::asio::io_context* io_context_of(const Executor&) noexcept {
  return nullptr;
}

/// Answers on their way to the handlers of one io_context. Runs them one after another; where one throws, or stops the context,
/// the others come back to its queue.
class posted_together {
public:
  posted_together(boost::asio::io_context& context, actors::answers_together::group&& answers)
      : context_(&context), answers_(std::move(answers)) {}

  void operator()() {
    const put_back rest{*this};
    do {
      auto& [asked, tell, teller] = answers_[told_++];
      tell(std::move(asked), teller);
    } while (told_ < answers_.size() && !context_->stopped());
  }

private:
  struct put_back {
    posted_together& all;
    ~put_back() {
      if (all.told_ < all.answers_.size()) boost::asio::post(*all.context_, std::move(all));
    }
  };

  boost::asio::io_context* context_;
  actors::answers_together::group answers_;
  std::size_t told_ = 0;
};

inline void post_together(void* context, actors::answers_together::group&& answers) {
  auto& where = *static_cast<boost::asio::io_context*>(context);
  const auto until_posted = boost::asio::make_work_guard(where);
  boost::asio::post(where, posted_together(where, std::move(answers)));
}

/// An executor, and outstanding work that keeps its context running. Not executor_work_guard: that of Boost 1.74 takes a strand
/// over any_io_executor for an executor of the older kind, and does not compile.
template <class Executor, bool = boost::asio::execution::is_executor<Executor>::value>
class outstanding_work {
public:
  explicit outstanding_work(const Executor& executor) : tracked_(track(executor)), executor_(executor) {}
  Executor get_executor() const noexcept { return executor_; }

private:
  static auto track(const Executor& executor) {
    return boost::asio::prefer(executor, boost::asio::execution::outstanding_work.tracked);
  }

  decltype(track(std::declval<const Executor&>())) tracked_;
  Executor executor_;  // last: a strand needs its context, which may end with the work
};
/// Executors of the older kind count their work by calls.
template <class Executor>
class outstanding_work<Executor, false> : public boost::asio::executor_work_guard<Executor> {
  using boost::asio::executor_work_guard<Executor>::executor_work_guard;
};

/// Asio destroys the context of handlers without an executor of their own at exit. Makes it if there is none yet, and lets every
/// runtime, also one that is older, be drained before. Throws std::bad_alloc.
void keep_system_context_until_drained();

/// A completion handler with the work that keeps its context running until it is called, and until whoever posts it has let go of
/// the context: the handler may have run, and run() have returned, before post() has.
template <class Handler>
class completion {
public:
  explicit completion(Handler handler) : handler_(std::move(handler)), work_(boost::asio::get_associated_executor(handler_)) {
    if constexpr (std::is_same_v<boost::asio::associated_executor_t<Handler>, boost::asio::system_executor>) {
      keep_system_context_until_drained();
    }
  }

  /// Posts the handler with its arguments. Of this and answer(), one is called, once.
  template <class... Value>
  void operator()(errc code, Value... value) {
    post_call([handler = std::move(handler_), code, ... value = std::move(value)]() mutable {
      std::move(handler)(as_asio_code(code), std::move(value)...);
    });
  }
  /// Posts the handler with what `make`, called before it and there, returns.
  template <class Make>
  void post_made(Make make) {
    post_call([handler = std::move(handler_), make = std::move(make)]() mutable { std::move(handler)(make()); });
  }

  /// Posts the handler with what `Make` makes of the operation, (errc, value), in which this completion lives.
  template <class Make>
  void answer(actors::operation_ptr asked, Make) {
    if (auto* together = actors::answers_together::of_this_thread()) {
      if (auto* context = io_context_of(work_.get_executor())) {
        return together->add(context, post_together, {std::move(asked), tell<Make>, this});
      }
      together->post_gathered();
    }
    const auto until_posted = work_;
    boost::asio::post(until_posted.get_executor(), posted_answer<Make>{std::move(asked), this});
  }

private:
  template <class Call>
  void post_call(Call call) {
    actors::answers_together::post_gathered();
    const auto until_posted = work_;
    const auto executor = until_posted.get_executor();
    auto with_work = [call = std::move(call), work = std::move(work_)]() mutable { call(); };
    boost::asio::post(executor, boost::asio::bind_executor(executor, std::move(with_work)));
  }

  // Carries the operation instead of the answer, and in the operation's own memory: nothing is copied or allocated on the way.
  template <class Make>
  struct posted_answer {
    actors::operation_ptr asked;
    completion* self;

    using allocator_type = actors::operation_allocator<void>;
    allocator_type get_allocator() const noexcept { return allocator_type(*asked); }

    void operator()() { tell<Make>(std::move(asked), self); }
  };

  template <class Make>
  static void tell(actors::operation_ptr asked, void* teller) {
    auto& self = *static_cast<completion*>(teller);
    auto handler = std::move(self.handler_);
    [[maybe_unused]] const auto work = std::move(self.work_);
    auto [code, value] = Make{}(*asked);
    asked = {};
    std::move(handler)(as_asio_code(code), std::move(value));
  }

  Handler handler_;
  outstanding_work<boost::asio::associated_executor_t<Handler>> work_;
};

/// Where a blocking call waits. Lives on the waiting thread's stack, so the wake-up happens under the lock. The waiting thread
/// makes the answer of the operation, and destroys that: whoever completes it, usually the journal, has other things to do.
template <class Value>
class blocking_slot {
public:
  using made = std::pair<errc, Value>;

  void set(errc code, Value&& value) {
    set([&] { value_.emplace(code, std::move(value)); });
  }
  void set(actors::operation_ptr asked, made (*make)(actors::operation&)) {
    set([&] {
      asked_ = std::move(asked);
      make_ = make;
    });
  }

  Value wait() {
    std::unique_lock lock(mutex_);
    is_set_.wait(lock, [this] { return value_ || asked_; });
    lock.unlock();
    if (asked_) value_.emplace(make_(*asked_));
    asked_ = {};
    auto& [code, value] = *value_;
    if (code != errc{}) throw error(code, value.detail);
    return std::move(value);
  }

private:
  template <class Put>
  void set(Put put) {
    actors::answers_together::post_gathered();
    std::lock_guard lock(mutex_);
    put();
    is_set_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable is_set_;
  std::optional<made> value_;  // what was read, or is made of
  actors::operation_ptr asked_;
  made (*make_)(actors::operation&) = nullptr;
};

/// The blocking form's handler: called where the answer is made, and wakes the thread that waits.
template <class Value>
struct blocking_completion {
  blocking_slot<Value>* slot;

  void operator()(errc code, Value value) { slot->set(code, std::move(value)); }

  template <class Make>
  void answer(actors::operation_ptr asked, Make) {
    slot->set(std::move(asked), [](actors::operation& answered) { return Make{}(answered); });
  }
};

}  // namespace cairn::detail
