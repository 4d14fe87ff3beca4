// How an answer reaches its caller: through the handler's executor, or by waking a thread that waits.
//
// Not for users. Installed because <cairn/runtime.hpp> needs it. What depends on no handler is compiled.
#pragma once

#include <cairn/detail/operation.hpp>
#include <cairn/error.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>
#include <boost/version.hpp>
#if BOOST_VERSION >= 107700
#include <boost/asio/associated_cancellation_slot.hpp>
#endif

#include <memory>
#include <type_traits>
#include <utility>

namespace boost::asio {
class io_context;
}

namespace cairn::inline v1::detail {

/// Throws the error of a call that failed.
void throw_if_failed(errc code, const std::string& detail, version current);
template <class Value>
void throw_if_failed(const Value& value) {
  if constexpr (requires { value.version; }) {
    throw_if_failed(value.code, value.detail, value.version);
  } else {
    throw_if_failed(value.code, value.detail, version());
  }
}

/// Returns the io_context if the executor is its plain one, so that to post to the context is to post through the
/// executor; null for every other executor: a strand, a thread pool, one with an allocator or other properties.
boost::asio::io_context* io_context_of(const boost::asio::any_io_executor& executor) noexcept;

/// Calls the handler with the answer of `asked`, on the handler's executor.
using tell_function = void (*)(actors::operation_ptr asked, void* teller);

/// The executor of a handler, with outstanding work that keeps its context running. The work ends when the handler has
/// returned and the thread that posted it has left the context: run() may return before post() has.
class handler_executor {
public:
  explicit handler_executor(boost::asio::any_io_executor executor);
  handler_executor(handler_executor&& other) noexcept;
  handler_executor& operator=(handler_executor&&) = delete;
  ~handler_executor();

  /// Posts `tell(asked, teller)`. Answers for one io_context that one thread gives in a row are posted together.
  void post(actors::operation_ptr asked, tell_function tell, void* teller) const;

private:
  boost::asio::io_context* context_;  // null: any executor_; else its work is counted by hand
  boost::asio::any_io_executor executor_;
};

/// Posts what was gathered on this thread, so that an answer that goes another way does not overtake.
void post_gathered();

/// The same for an executor of the older kind, which any_io_executor cannot hold.
template <class Executor>
class handler_executor_of {
public:
  explicit handler_executor_of(const Executor& executor) : work_(executor) {}

  void post(actors::operation_ptr asked, tell_function tell, void* teller) const {
    post_gathered();
    const auto until_posted = work_;
    boost::asio::post(until_posted.get_executor(),
                      [asked = std::move(asked), tell, teller]() mutable { tell(std::move(asked), teller); });
  }

private:
  boost::asio::executor_work_guard<Executor> work_;
};

template <class Executor>
using handler_executor_for = std::conditional_t<std::is_convertible_v<Executor, boost::asio::any_io_executor>, handler_executor,
                                                handler_executor_of<Executor>>;

#if BOOST_VERSION >= 107700
/// Cancels an operation: `total` only while it is certainly not decided, `partial` and `terminal` in any case. It does not
/// own the operation: an owner in the slot would keep an abandoned operation alive, so its handler would never be called.
struct canceller {
  actors::operation* asked;
  void operator()(boost::asio::cancellation_type type) const noexcept {
    using kinds = boost::asio::cancellation_type;
    if (const auto share = asked->share_if_alive()) share->cancel((type & (kinds::terminal | kinds::partial)) == kinds::none);
  }
};
#endif

/// A handler and its associated executor, allocator and cancellation slot. `Way::call(handler, operation)` makes the
/// answer and calls the handler.
template <class Handler, class Way>
class handler_completion final : public actors::completion {
public:
  explicit handler_completion(Handler&& handler)
      : executor_(boost::asio::get_associated_executor(handler)), allocator_(allocator_for(handler)),
        handler_(std::move(handler)) {}
#if BOOST_VERSION >= 107700
  ~handler_completion() override {
    if (!told_) clear_slot(handler_);
  }
#endif

  void deliver(actors::operation_ptr self) noexcept override { executor_.post(std::move(self), tell, this); }

  void destroy(actors::operation& owner) noexcept override {
    if constexpr (own_allocator) {
      auto allocator = allocator_;
      std::destroy_at(this);
      std::allocator_traits<allocator_type>::deallocate(allocator, this, 1);
    } else if (owner.has_room(this)) {
      std::destroy_at(this);
    } else {
      delete this;
    }
  }

  /// Makes the completion of `asked`, with the handler's allocator if it has one.
  static void attach(actors::operation& asked, Handler&& handler) {
#if BOOST_VERSION >= 107700
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) slot.template emplace<canceller>(canceller{&asked});
#endif
    if constexpr (own_allocator) {
      auto allocator = allocator_for(handler);
      auto* const memory = std::allocator_traits<allocator_type>::allocate(allocator, 1);
      asked.deliver_by(new (memory) handler_completion(std::move(handler)));
    } else {
      asked.deliver_by<handler_completion>(std::move(handler));
    }
  }

private:
  using associated_allocator = boost::asio::associated_allocator_t<Handler>;
  using allocator_type = typename std::allocator_traits<associated_allocator>::template rebind_alloc<handler_completion>;
  static constexpr bool own_allocator = !std::is_same_v<allocator_type, std::allocator<handler_completion>>;
  static allocator_type allocator_for(const Handler& handler) {
    return allocator_type(boost::asio::get_associated_allocator(handler));
  }

  static void tell(actors::operation_ptr asked, void* teller) {
    auto& self = *static_cast<handler_completion*>(teller);
    auto handler = std::move(self.handler_);
    [[maybe_unused]] const auto work = std::move(self.executor_);
#if BOOST_VERSION >= 107700
    self.told_ = true;
    clear_slot(handler);
#endif
    Way::call(std::move(handler), std::move(asked));
  }

#if BOOST_VERSION >= 107700
  /// The canceller must not outlive the operation.
  static void clear_slot(const Handler& handler) {
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) slot.clear();
  }
  bool told_ = false;
#endif

  handler_executor_for<boost::asio::associated_executor_t<Handler>> executor_;
  [[no_unique_address]] allocator_type allocator_;
  Handler handler_;
};

// The ways in which a call completes. `Maker::make(operation)` makes the value, which has a code.

/// handler(error_code, value): the form of Asio's completion tokens.
template <class Maker>
struct with_code {
  using signature = void(boost::system::error_code, typename Maker::value_type);
  template <class Handler>
  static void call(Handler&& handler, actors::operation_ptr asked) {
    auto value = Maker::make(*asked);
    asked->destroy_completion();
    asked = {};
    const auto code = make_asio_code(value.code);
    std::move(handler)(code, std::move(value));
  }
};

/// handler(operation): for handlers that make the value themselves.
struct operation_alone {
  using signature = void(actors::operation_ptr);
  template <class Handler>
  static void call(Handler&& handler, actors::operation_ptr asked) {
    asked->destroy_completion();
    std::move(handler)(std::move(asked));
  }
};

/// handler(value): nothing fails as a whole, or the value says how.
template <class Maker>
struct value_alone {
  using signature = void(typename Maker::value_type);
  template <class Handler>
  static void call(Handler&& handler, actors::operation_ptr asked) {
    auto value = Maker::make(*asked);
    asked->destroy_completion();
    asked = {};
    std::move(handler)(std::move(value));
  }
};

}  // namespace cairn::detail
