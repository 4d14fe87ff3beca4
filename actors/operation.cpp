#include <cairn/actors/operation.hpp>

namespace cairn::actors {

void draft::add(std::string_view type, std::uint32_t schema_version, std::string_view payload, std::uint32_t index,
                std::uint32_t count, std::string_view result) {
  unrecorded_event event;
  event.stream = stream_;
  event.version = current_ + events_ + 1;
  event.type = type;
  event.schema_version = schema_version;
  event.recorded_at = recorded_at_;
  event.index = index;
  event.count = count;
  event.options = &options_;
  if (index + 1 == count) event.result = result;
  event.payload = payload;
  encode_frame(frames_, event);
  ++events_;
}

operation::operation(const aggregate_type& type, std::string id, command_options options)
    : type_(type), id_(std::move(id)), hash_(stream_hash{}({type.category, id_})), options_(std::move(options)) {}

void operation::complete(outcome&& result) noexcept {
  if (std::exchange(completed_, true)) return;
  if (admitted_by) admitted_by->leave();
  deliver(std::move(result));
}

void operation::complete_abandoned() noexcept {
  if (!completed_) complete(outcome::failed(errc::abandoned, to_string(stream())));
}

}  // namespace cairn::actors
