#include <cairn/actors/operation.hpp>
#include <cairn/limits.hpp>

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
  if (frames_.size() - before_ > limits::decision_bytes_max) {
    throw error(errc::invalid_argument,
                "the events of one decision may have " + std::to_string(limits::decision_bytes_max) + " bytes together");
  }
  ++events_;
}

namespace {

// Constant, and without a destructor that does anything: a runtime of static storage duration may be made
// before the variables of this source are initialised, and outlive them.
union default_command_options {
  constexpr default_command_options() : value() {}
  constexpr ~default_command_options() {}
  command_options value;
};
constinit const default_command_options defaults;

}  // namespace

constinit const command_options& default_options = defaults.value;

namespace {

thread_local operation_queue* deferred = nullptr;  // of the outermost deferred_answers

}  // namespace

deferred_answers::deferred_answers() noexcept : outermost_(deferred == nullptr) {
  if (outermost_) deferred = &waiting_;
}

deferred_answers::~deferred_answers() {
  if (!outermost_) return;
  // What ends meanwhile joins the queue: whoever leaves lets in others, and these may end as well.
  while (!waiting_.empty()) operation::complete(waiting_.pop());
  deferred = nullptr;
}

void deferred_answers::complete(operation_ptr asked, outcome&& answer) noexcept {
  if (asked->completed()) return;
  asked->held = std::move(answer);
  if (deferred) {
    deferred->push(std::move(asked));
  } else {
    operation::complete(std::move(asked));
  }
}

operation::operation(const aggregate_type& type, std::string id, boxed_options options)
    : type_(type), id_(std::move(id)), hash_(stream_hash{}({type.category, id_})), options_(std::move(options)) {}

void operation::complete(operation_ptr asked) noexcept {
  if (std::exchange(asked->completed_, true)) return;
  asked->leave();  // first: the handler may ask again at once
  auto* const self = &*asked;
  self->deliver(std::move(asked));
}

void operation::complete(outcome&& answer) noexcept {
  if (completed_) return;
  held = std::move(answer);
  complete(operation_ptr(this));
}

void operation::complete_early(outcome&& answer) noexcept {
  if (std::exchange(completed_, true)) return;
  held = std::move(answer);
  deliver(operation_ptr(this));
}

void operation::end() noexcept {
  if (completed_) {
    delete this;
  } else {
    deferred_answers::complete(operation_ptr(this), outcome::failed(errc::abandoned, to_string(stream())));
  }
}

failure current_failure(errc otherwise) {
  try {
    throw;
  } catch (const error& reason) { return {reason.kind(), reason.detail()}; } catch (const std::exception& reason) {
    return {otherwise, reason.what()};
  } catch (...) { return {otherwise, "an exception that is no std::exception"}; }
}

}  // namespace cairn::actors
