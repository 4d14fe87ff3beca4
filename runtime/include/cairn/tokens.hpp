// The completion tokens of cairn's own. Every call of a runtime takes one as its last argument, or any of Asio's.
#pragma once

namespace cairn::inline v1 {

/// `runtime.ask<Product>("1", AddStock{3}, cairn::blocking)`: blocks the thread until the call has completed, and returns
/// its value. Throws cairn::error if the call failed, and std::logic_error on a thread of the runtime's own, which would
/// wait for itself. Never block a thread that runs handlers.
struct blocking_t {};
inline constexpr blocking_t blocking{};

/// `co_await runtime.ask<Product>("1", AddStock{3}, cairn::as_result)`: as without a token. A failure of the call is no
/// exception: the value says whether the call failed.
struct as_result_t {};
inline constexpr as_result_t as_result{};

}  // namespace cairn
