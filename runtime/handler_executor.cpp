#include <cairn/detail/completion.hpp>

#include "../actors/answers_together.hpp"

#include <cairn/answer.hpp>

#include "exit_drain.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/execution.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/system_executor.hpp>

#include <typeinfo>

namespace cairn::inline v1::detail {
namespace {

namespace asio = boost::asio;

/// Answers on their way to the handlers of one io_context. Runs them one after another; if one throws, or stops the
/// context, the others come back to its queue.
class posted_together {
public:
  posted_together(asio::io_context& context, actors::answers_together::group&& answers)
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
      if (all.told_ < all.answers_.size()) asio::post(*all.context_, std::move(all));
    }
  };

  asio::io_context* context_;
  actors::answers_together::group answers_;
  std::size_t told_ = 0;
};

void post_together(void* context, actors::answers_together::group&& answers) {
  auto& where = *static_cast<asio::io_context*>(context);
  const auto until_posted = asio::make_work_guard(where);
  asio::post(where, posted_together(where, std::move(answers)));
}

/// One answer on its way to an executor. It carries the operation instead of the answer, so nothing is copied. An io_context
/// takes the memory for it from the operation; any_io_executor ignores the allocator.
struct posted_answer {
  actors::operation_ptr asked;
  tell_function tell;
  void* teller;

  using allocator_type = actors::operation_allocator<void>;
  allocator_type get_allocator() const noexcept { return allocator_type(*asked); }

  void operator()() { tell(std::move(asked), teller); }
};

/// Asio destroys the context of handlers without an executor of their own at exit. Makes it if there is none yet, and lets
/// every runtime, also an older one, be drained before. Throws std::bad_alloc.
void keep_system_context_until_drained() {
  static const bool done = [] {
    static_cast<void>(asio::query(asio::system_executor(), asio::execution::context));  // makes it
    exit_drain::before_what_exists_now();
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

void throw_if_failed(errc code, const std::string& detail, version current) {
  if (code != errc{}) throw_not_accepted(code, detail, current, {});
}

// target<T>() of Boost 1.74 casts without a look at the type, so the look is here.
asio::io_context* io_context_of(const asio::any_io_executor& executor) noexcept {
  using plain = asio::io_context::executor_type;
  if (executor.target_type() != typeid(plain)) return nullptr;
  return &executor.target<plain>()->context();
}

handler_executor::handler_executor(asio::any_io_executor executor) : context_(io_context_of(executor)) {
  if (context_) {
    context_->get_executor().on_work_started();
    return;
  }
  if (executor.target_type() == typeid(asio::system_executor)) keep_system_context_until_drained();
  executor_ = asio::prefer(std::move(executor), asio::execution::outstanding_work.tracked);
}

handler_executor::handler_executor(handler_executor&& other) noexcept
    : context_(std::exchange(other.context_, nullptr)), executor_(std::move(other.executor_)) {}

handler_executor::~handler_executor() {
  if (context_) context_->get_executor().on_work_finished();
}

void handler_executor::post(actors::operation_ptr asked, tell_function tell, void* teller) const {
  auto* const together = actors::answers_together::of_this_thread();
  if (context_ && together) return together->add(context_, post_together, {std::move(asked), tell, teller});
  if (together) together->post_gathered();
  if (context_) {
    auto& where = *context_;  // this object may be gone before post() returns
    const auto until_posted = asio::make_work_guard(where);
    asio::post(where, posted_answer{std::move(asked), tell, teller});
  } else {
    const auto until_posted = executor_;
    asio::post(until_posted, posted_answer{std::move(asked), tell, teller});
  }
}

void post_gathered() { actors::answers_together::post_gathered(); }

}  // namespace cairn::detail
