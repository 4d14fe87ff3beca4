#include <cairn/testkit/message.hpp>

#include "../actors/operation.hpp"
#include "../actors/recovery.hpp"

#include <array>

namespace cairn::inline v1::testkit {
namespace {

constexpr std::array<std::string_view, std::variant_size_v<message>> kinds{
    "perform",          "perform_many",    "append_request", "append_result",    "commit_now",      "read_next",
    "recovery_request", "recovery_result", "read_request",   "snapshot_request", "snapshot_result", "retry_recovery",
    "passivate",        "aggregate_ended", "look_for_idle",  "drain_directory",  "finish"};

std::string number(version at) { return std::to_string(at.value); }

std::string failed(errc code, const std::string& detail) { return make_error_code(code).message() + " (" + detail + ")"; }

struct details {
  std::string operator()(const actors::perform& one) const {
    if (!one.what) return "nothing";
    const auto& id = one.what->options().command_id;
    return to_string(one.what->stream()) + (id.empty() ? "" : ", command " + id);
  }
  std::string operator()(const actors::perform_many& all) const {
    if (all.what.empty()) return "nothing";
    const auto first = operator()(actors::perform{all.what.front()});
    return all.what.size() == 1 ? first : std::to_string(all.what.size()) + " operations, the first of " + first;
  }
  std::string operator()(const actors::append_request& one) const {
    return to_string(one.stream) + " versions " + number(one.expected + 1) + " to " + number(one.expected + one.events);
  }
  std::string operator()(const actors::append_result& one) const {
    return "durable through version " + number(one.durable_through) +
           (one.code == errc{} ? "" : ", then " + failed(one.code, one.detail));
  }
  std::string operator()(const actors::recovery_request& one) const { return to_string(one.stream); }
  std::string operator()(const actors::recovery_result& one) const {
    return one.aggregate ? "version " + number(one.aggregate->version) : failed(one.code, one.detail);
  }
  std::string operator()(const actors::snapshot_request& one) const {
    return to_string(one.stream) + " at version " + number(one.at);
  }
  std::string operator()(const actors::snapshot_result& one) const {
    return std::string(one.saved ? "saved" : "not saved") + " at version " + number(one.at);
  }
  std::string operator()(const actors::passivate& one) const { return one.snapshot ? "with a snapshot" : "without a snapshot"; }
  template <class Message>
  std::string operator()(const Message&) const {
    return {};
  }
};

}  // namespace

std::string_view name_of_kind(std::size_t kind) noexcept { return kinds[kind]; }

std::string describe(const message& what) {
  const auto more = std::visit(details{}, what);
  return std::string(name_of_kind(what.index())) + (more.empty() ? "" : ": " + more);
}

std::string to_string(const address& who) {
  const auto of = who.stream == stream_id{} ? "" : " of " + cairn::to_string(who.stream);
  switch (who.is) {
  case address::role::aggregate: return "aggregate " + cairn::to_string(who.stream);
  case address::role::journal: return "journal";
  case address::role::snapshot_writer: return "snapshot writer";
  case address::role::recoverer: return "recoverer" + of;
  case address::role::reader: return "reader" + of;
  case address::role::directory: return "directory" + of;
  }
  return {};
}

}  // namespace cairn::testkit
