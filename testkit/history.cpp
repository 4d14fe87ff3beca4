#include <cairn/testkit/detail/json_text.hpp>
#include <cairn/testkit/history.hpp>
#include <cairn/utf8.hpp>

namespace cairn::inline v1::testkit {
namespace detail {
namespace {

std::string json_of(const accepted* output) {
  return R"({"accepted":{"version":)" + std::to_string(output->version.value) + R"(,"events":)" + std::to_string(output->events) +
         R"(,"repeated":)" + (output->repeated ? "true}}" : "false}}");
}
std::string json_of(const rejected* output) {
  return R"({"rejected":{"reason":)" + json_string(output->reason) + R"(,"version":)" + std::to_string(output->version.value) +
         "}}";
}
std::string json_of(const conflict* output) { return R"({"conflict":{"stands":)" + std::to_string(output->stands.value) + "}}"; }
std::string json_of(const not_stored* output) { return R"({"not_stored":)" + json_string(name_of(output->why)) + "}"; }

}  // namespace

std::string json_of_command(const input_view& input, std::string_view name, std::string_view data) {
  const auto expected = input.expected.required();
  return R"({"command":)" + json_string(name) + R"(,"data":)" + std::string(data) + R"(,"command_id":)" +
         json_string(*input.command_id) + R"(,"expected":)" + (expected ? std::to_string(expected->value) : "null") +
         R"(,"retried":)" + (input.retried ? "true}" : "false}");
}

std::string json_of_output(const output_view& output, std::string_view state) {
  return std::visit(
      [&]<class Output>(const Output& one) -> std::string {
        if constexpr (std::is_pointer_v<Output>) {
          return json_of(one);
        } else {
          return R"({"seen":{"version":)" + std::to_string(one.version.value) + R"(,"state":)" + std::string(state) + "}}";
        }
      },
      output);
}

std::string json_of_operation(std::uint64_t client, std::string_view aggregate, const operation_moments& moments,
                              std::string_view input, std::string_view output) {
  std::string line = R"({"client":)" + std::to_string(client) + R"(,"aggregate":)" + json_string(aggregate);
  line += R"(,"call":)" + std::to_string(moments.called);
  line += R"(,"return":)" + (moments.returned ? std::to_string(*moments.returned) : "null");
  line.append(R"(,"input":)").append(input).append(R"(,"output":)").append(output);
  return line + "}\n";
}

}  // namespace detail

std::string json_string(std::string_view text) { return is_utf8(text) ? detail::quoted_text(text) : detail::bytes_text(text); }

std::string_view name_of(errc code) noexcept {
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

}  // namespace cairn::testkit
