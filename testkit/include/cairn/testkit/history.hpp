// Histories of aggregates as JSON, for checkers and eyes outside of this program.
//
// One operation is one line (JSON Lines): a history can be written while it happens and is readable as far as it got, histories
// are joined with cat, and grep and diff work on them. The lines need no order, because each operation says when it was.
//
//     {"client":1,"aggregate":"7","call":10,"return":12,"input":I,"output":O}
//
//     I  {"command":"AddStock","data":D,"command_id":"c","expected":3,"retried":false}    expected: null for any
//        {"look":true}
//     O  {"accepted":{"version":4,"events":1,"repeated":false}}    {"rejected":{"reason":"r","version":3}}
//        {"conflict":{"stands":3}}    {"not_stored":"overloaded"}    {"seen":{"version":3,"state":D}}
//        null where the outcome is unknown; "return" is then null too
//     D  what the caller says of a command or a state: any JSON on one line
//
// Names stand in this order, without white space between: the same history is the same bytes.
#pragma once

#include <cairn/error.hpp>
#include <cairn/testkit/aggregate_model.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace cairn::inline v1::testkit {

/// `text` as a string of JSON, with its quotes; where it is not UTF-8, its bytes as {"base64":"…"}, so that two never become one.
std::string json_string(std::string_view text);

/// The enumerator's name, as it stands in cairn/error.hpp.
std::string_view name_of(errc code) noexcept;

namespace detail {

// The parts of a line. What only the caller knows is JSON already.

/// `name` and `data` are those of a command; `input` must be one.
std::string json_of_command(const input_view& input, std::string_view name, std::string_view data);
/// `state` is that of a look, where the output is one.
std::string json_of_output(const output_view& output, std::string_view state);
std::string json_of_operation(std::uint64_t client, std::string_view aggregate, const operation_moments& moments,
                              std::string_view input, std::string_view output);

}  // namespace detail

/// One operation as a line of JSON, with the line's end. `aggregate` is the aggregate's id. `format` says what only the caller
/// knows, and is called for each command and state that occurs:
///
///     std::string json_of(const T&) const        any JSON on one line
///     std::string_view name_of(const Command&) const
///
/// Throws what `format` throws.
template <Aggregate A, class... Commands, class Format>
std::string json_line(std::string_view aggregate,
                      const operation_record<std::variant<state_asked, command_asked<Commands...>>,
                                             std::variant<accepted, rejected, conflict, not_stored, seen_state<A>>>& operation,
                      const Format& format) {
  std::string input = R"({"look":true})";
  if (const auto* asked = std::get_if<command_asked<Commands...>>(&operation.input)) {
    input = std::visit(
        [&](const auto& command) {
          return detail::json_of_command(detail::view_of<A, Commands...>(operation.input), format.name_of(command),
                                         std::string(format.json_of(command)));
        },
        asked->command);
  }
  std::string output = "null";
  if (operation.output) {
    const auto* seen = std::get_if<seen_state<A>>(&*operation.output);
    output = detail::json_of_output(detail::view_of<A>(*operation.output),
                                    seen ? std::string(format.json_of(seen->state)) : std::string());
  }
  return detail::json_of_operation(operation.client, aggregate,
                                   {operation.called, operation.returned, operation.output.has_value()}, input, output);
}

/// The lines of all operations of one aggregate, in the order in which they are given. As json_line().
template <class Operations, class Format>
std::string json_lines(std::string_view aggregate, const Operations& operations, const Format& format) {
  std::string lines;
  for (const auto& operation : operations) lines += json_line(aggregate, operation, format);
  return lines;
}

}  // namespace cairn::testkit
