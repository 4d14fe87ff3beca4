#include <cairn/aggregate.hpp>

namespace cairn::inline v1::detail {

void throw_unknown_event(const record_view& record, std::string_view why) {
  throw error(errc::unknown_event, "event " + std::string(record.type) + " (schema version " +
                                       std::to_string(record.schema_version) + ") at version " +
                                       std::to_string(record.version.value) + " of " + to_string(record.stream) + ", position " +
                                       std::to_string(record.position.value) + ": " + std::string(why));
}

void throw_unreadable_version(const record_view& record, std::uint32_t current) {
  throw_unknown_event(record, "no way to read that schema version; this program writes version " + std::to_string(current) +
                                  (record.schema_version < current ? " and has no `upcast` for the event" : ""));
}

}  // namespace cairn::detail
