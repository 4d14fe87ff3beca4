#include <cairn/error.hpp>

#include <string_view>

namespace cairn::inline v1 {
namespace {

class category final : public std::error_category {
public:
  const char* name() const noexcept override { return "cairn"; }

  std::string message(int code) const override {
    switch (static_cast<errc>(code)) {
    case errc::version_conflict: return "the aggregate is not at the expected version";
    case errc::overloaded: return "too many commands in flight; try again later";
    case errc::deadline_passed: return "the deadline passed before the command was decided; nothing was stored";
    case errc::timed_out: return "the deadline passed before it was known whether the command is stored";
    case errc::journal_unavailable: return "the journal cannot be written or read";
    case errc::corrupt_record: return "a stored record is damaged";
    case errc::unknown_event: return "a stored event cannot be read by this program";
    case errc::decide_failed: return "the aggregate's decision failed; nothing was stored";
    case errc::recovery_failed: return "the aggregate could not be recovered from the journal";
    case errc::draining: return "the runtime is draining and takes no more commands";
    case errc::abandoned: return "the actor that held the command is gone; whether it was stored is unknown";
    case errc::invalid_argument: return "an argument is outside its range";
    case errc::fenced: return "another writer has taken over the journal";
    case errc::store_in_use: return "the store is in use";
    case errc::unknown_format: return "the store has a format that this program does not know";
    case errc::corrupt_store: return "the store is damaged";
    case errc::command_id_reused: return "the command id belongs to another command; nothing was stored";
    case errc::cancelled: return "the call was cancelled before the command was decided; nothing was stored";
    case errc::cancelled_in_doubt: return "the call was cancelled before it was known whether the command is stored";
    }
    return "unknown cairn error " + std::to_string(code);
  }
};

class conditions final : public std::error_category {
public:
  const char* name() const noexcept override { return "cairn.condition"; }

  std::string message(int value) const override {
    switch (static_cast<condition>(value)) {
    case condition::not_stored: return "the command is certainly not stored";
    case condition::outcome_unknown: return "the command may be stored or not; a repeat with its id tells";
    case condition::worth_retrying: return "the same call may succeed later";
    }
    return "unknown cairn condition " + std::to_string(value);
  }

  // By name: a boost::system::error_code that became a std::error_code has another category object.
  bool equivalent(const std::error_code& code, int value) const noexcept override {
    return std::string_view(code.category().name()) == "cairn" &&
           holds(static_cast<condition>(value), static_cast<errc>(code.value()));
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const auto& instance = *new category;  // a runtime of static storage duration may outlive any other static
  return instance;
}

const std::error_category& condition_category() noexcept {
  static const auto& instance = *new conditions;
  return instance;
}

bool holds(condition what, errc code) noexcept {
  const auto is = [&](condition stored, bool retry) { return what == stored || (retry && what == condition::worth_retrying); };
  switch (code) {
  case errc::overloaded:
  case errc::recovery_failed: return is(condition::not_stored, true);
  case errc::version_conflict:
  case errc::deadline_passed:
  case errc::corrupt_record:
  case errc::unknown_event:
  case errc::decide_failed:
  case errc::draining:
  case errc::invalid_argument:
  case errc::fenced:
  case errc::store_in_use:
  case errc::unknown_format:
  case errc::corrupt_store:
  case errc::command_id_reused:
  case errc::cancelled: return is(condition::not_stored, false);
  case errc::timed_out:
  case errc::journal_unavailable:
  case errc::abandoned:
  case errc::cancelled_in_doubt: return is(condition::outcome_unknown, true);
  }
  return false;
}

bool operator==(const std::error_code& left, errc right) noexcept {
  return left.value() == static_cast<int>(right) && std::string_view(left.category().name()) == error_category().name();
}

bool operator==(const std::error_code& left, condition right) noexcept {
  return std::string_view(left.category().name()) == error_category().name() && holds(right, static_cast<errc>(left.value()));
}

}  // namespace cairn
