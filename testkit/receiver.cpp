#include <cairn/testkit/detail/receiver.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <utility>

namespace cairn::inline v1::testkit::detail {
namespace {

struct handler {
  std::shared_ptr<void> into;
  void (*take)(void* into, actors::operation& asked);
  void (*taken)(void* into);

  void operator()(actors::operation_ptr asked) const {
    take(into.get(), *asked);
    asked = {};
    if (taken) taken(into.get());
  }
};

}  // namespace

void receiver::start(void* self, cairn::detail::submission submit, actors::operation_ptr asked) {
  auto& one = *static_cast<receiver*>(self);
  cairn::detail::initiation<cairn::detail::operation_alone>{submit}(
      boost::asio::bind_executor(one.run_on->get_executor(), handler{std::move(one.into), one.take, one.taken}),
      cairn::detail::unsubmitted(std::move(asked)));
}

}  // namespace cairn::testkit::detail
