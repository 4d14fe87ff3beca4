// Takes the value of a call of the runtime, with its type forgotten: one compiled handler serves all calls.
#pragma once

#include <cairn/runtime.hpp>

#include <memory>

namespace boost::asio {
class io_context;
}

namespace cairn::inline v1::testkit::detail {

struct receiver {
  boost::asio::io_context* run_on;
  std::shared_ptr<void> into;
  /// Makes the value of the completed operation, on the context.
  void (*take)(void* into, actors::operation& asked);
  /// Called when the operation is gone; may be null.
  void (*taken)(void* into) = nullptr;

  /// The token of one call, which is started while this lives.
  cairn::detail::operation_token token() { return {start, this}; }

private:
  static void start(void* self, cairn::detail::submission submit, actors::operation_ptr asked);
};

}  // namespace cairn::testkit::detail
