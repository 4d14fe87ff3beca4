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

#include <cairn/testkit/aggregate_model.hpp>
#include <cairn/testkit/detail/json_text.hpp>
#include <cairn/utf8.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace cairn::inline v1::testkit {

/// `text` as a string of JSON, with its quotes; where it is not UTF-8, its bytes as {"base64":"…"}, so that two never become one.
inline std::string json_string(std::string_view text) {
  return is_utf8(text) ? detail::quoted_text(text) : detail::bytes_text(text);
}

/// The enumerator's name, as it stands in cairn/error.hpp.
inline std::string_view name_of(errc code) noexcept {
  switch (code) {
  case errc::version_conflict: return "version_conflict";
  case errc::overloaded: return "overloaded";
  case errc::deadline_passed: return "deadline_passed";
  case errc::timed_out: return "timed_out";
  case errc::journal_unavailable: return "journal_unavailable";
  case errc::corrupt_record: return "corrupt_record";
  case errc::unknown_event: return "unknown_event";
  case errc::decide_failed: return "decide_failed";
  case errc::recovery_failed: return "recovery_failed";
  case errc::draining: return "draining";
  case errc::abandoned: return "abandoned";
  case errc::invalid_argument: return "invalid_argument";
  case errc::fenced: return "fenced";
  case errc::store_in_use: return "store_in_use";
  case errc::unknown_format: return "unknown_format";
  case errc::corrupt_store: return "corrupt_store";
  case errc::command_id_reused: return "command_id_reused";
  case errc::cancelled: return "cancelled";
  case errc::cancelled_in_doubt: return "cancelled_in_doubt";
  }
  return "unknown";
}

namespace detail {

template <class... Commands, class Format>
std::string json_of_input(const aggregate_input<Commands...>& input, const Format& format) {
  const auto* asked = std::get_if<command_asked<Commands...>>(&input);
  if (!asked) return R"({"look":true})";
  const auto expected = asked->expected.required();
  return std::visit(
      [&](const auto& command) {
        return R"({"command":)" + json_string(format.name_of(command)) + R"(,"data":)" + std::string(format.json_of(command)) +
               R"(,"command_id":)" + json_string(asked->command_id) + R"(,"expected":)" +
               (expected ? std::to_string(expected->value) : "null") + R"(,"retried":)" + (asked->retried ? "true}" : "false}");
      },
      asked->command);
}

template <class Format>
std::string json_of_output(const accepted& output, const Format&) {
  return R"({"accepted":{"version":)" + std::to_string(output.version.value) + R"(,"events":)" + std::to_string(output.events) +
         R"(,"repeated":)" + (output.repeated ? "true}}" : "false}}");
}
template <class Format>
std::string json_of_output(const rejected& output, const Format&) {
  return R"({"rejected":{"reason":)" + json_string(output.reason) + R"(,"version":)" + std::to_string(output.version.value) +
         "}}";
}
template <class Format>
std::string json_of_output(const conflict& output, const Format&) {
  return R"({"conflict":{"stands":)" + std::to_string(output.stands.value) + "}}";
}
template <class Format>
std::string json_of_output(const not_stored& output, const Format&) {
  return R"({"not_stored":)" + json_string(testkit::name_of(output.why)) + "}";
}
template <Aggregate A, class Format>
std::string json_of_output(const seen_state<A>& output, const Format& format) {
  return R"({"seen":{"version":)" + std::to_string(output.version.value) + R"(,"state":)" +
         std::string(format.json_of(output.state)) + "}}";
}

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
  std::string line = R"({"client":)" + std::to_string(operation.client) + R"(,"aggregate":)" + json_string(aggregate);
  line += R"(,"call":)" + std::to_string(operation.called);
  line += R"(,"return":)" + (operation.returned ? std::to_string(*operation.returned) : "null");
  line += R"(,"input":)" + detail::json_of_input<Commands...>(operation.input, format);
  line += R"(,"output":)";
  if (operation.output) {
    line += std::visit([&](const auto& output) { return detail::json_of_output(output, format); }, *operation.output);
  } else {
    line += "null";
  }
  return line + "}\n";
}

/// The lines of all operations of one aggregate, in the order in which they are given. As json_line().
template <class Operations, class Format>
std::string json_lines(std::string_view aggregate, const Operations& operations, const Format& format) {
  std::string lines;
  for (const auto& operation : operations) lines += json_line(aggregate, operation, format);
  return lines;
}

}  // namespace cairn::testkit
