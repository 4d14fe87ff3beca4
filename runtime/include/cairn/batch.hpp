// Many commands in one call.
//
// A batch is no transaction: each of its commands is decided, stored and answered by itself. Some may fail, and another
// caller's command may come between two of them. For all-or-nothing, return several events from one `decide`.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/command_options.hpp>

#include <concepts>
#include <string>
#include <variant>

namespace cairn::inline v1 {

/// A command and the aggregate that it is for. `Command` is a command of the aggregate's, or a std::variant of several that
/// answer with the same result.
template <class Command>
struct addressed {
  std::string id;
  Command command;
  command_options options = {};
};

namespace detail {

template <class A, class Variant>
struct alternatives;
template <class A, class First, class... Others>
struct alternatives<A, std::variant<First, Others...>> {
  static consteval void require() {
    require_command<A, First>();
    (require_command<A, Others>(), ...);
    using result_type = typename decltype(std::declval<const A&>().decide(std::declval<const First&>()))::result_type;
    static_assert((std::same_as<result_type,
                                typename decltype(std::declval<const A&>().decide(std::declval<const Others&>()))::result_type> &&
                   ...),
                  "cairn: the commands of a variant all answer with the same result; give the others a batch of their own");
  }
};

}  // namespace detail

/// Says in a sentence what is missing for `A` to take `Command`, or each alternative of it, in a batch.
template <class A, class Command>
consteval void require_batch_command() {
  if constexpr (detail::is_variant<Command>::value && !CommandOf<Command, A>) {
    detail::alternatives<A, Command>::require();
  } else {
    require_command<A, Command>();
  }
}

}  // namespace cairn
