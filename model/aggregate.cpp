#include <cairn/aggregate.hpp>

namespace cairn::detail {

void throw_unknown_event(const record_view& record, std::string_view why) {
  throw error(errc::unknown_event, "event " + std::string(record.type) + " (schema version " +
                                       std::to_string(record.schema_version) + ") at version " +
                                       std::to_string(record.version.value) + " of " + to_string(record.stream) + ", position " +
                                       std::to_string(record.position.value) + ": " + std::string(why));
}

}  // namespace cairn::detail
