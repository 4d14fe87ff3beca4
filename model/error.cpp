#include <cairn/error.hpp>

namespace cairn {
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
    }
    return "unknown cairn error " + std::to_string(code);
  }
};

}  // namespace

const std::error_category& error_category() noexcept {
  static const auto& instance = *new category;  // a runtime of static storage duration may outlive any other static
  return instance;
}

}  // namespace cairn
