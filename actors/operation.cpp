#include "operation.hpp"
#include "deadline_watch.hpp"
#include "recovery.hpp"

#include <cairn/limits.hpp>

#include <xxhash.h>

#include <algorithm>

namespace cairn::inline v1::actors {

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
  if (index + 1 == count) {
    event.result = result;
    event.fingerprint = fingerprint_;
  }
  event.payload = payload;
  encode_frame(frames_, event);
  if (bytes() > limits::decision_bytes_max) {
    throw error(errc::invalid_argument,
                "the events of one decision may have " + std::to_string(limits::decision_bytes_max) + " bytes together");
  }
  ++events_;
}

void draft::discard() {
  constexpr std::size_t kept_bytes_max = std::size_t{64} << 10;
  frames_.resize(before_);
  if (frames_.capacity() > kept_bytes_max) frames_.shrink_to_fit();
}

void add_event(draft& into, std::string_view type, std::uint32_t schema_version, std::string_view payload, std::uint32_t index,
               std::uint32_t count, std::string_view result) {
  into.add(type, schema_version, payload, index, count, result);
}

record_view written_event(stream_view stream, std::string_view type, std::uint32_t schema_version, std::string_view payload) {
  record_view written;
  written.stream = stream;
  written.type = type;
  written.schema_version = schema_version;
  written.payload = payload;
  return written;
}

void require_events(std::size_t count) {
  if (count <= limits::events_per_decision_max) return;
  throw error(errc::invalid_argument, "a decision has " + std::to_string(count) + " events, and may have " +
                                          std::to_string(limits::events_per_decision_max));
}

std::uint64_t fingerprint_of(std::string_view bytes) noexcept {
  return std::max<std::uint64_t>(1, XXH3_64bits(bytes.data(), bytes.size()));
}

namespace {

// Constant, and without a destructor that does anything: a runtime of static storage duration may be made
// before the variables of this source are initialised, and outlive them.
union default_command_options {
  constexpr default_command_options() : value() {}
  constexpr ~default_command_options() {}
  command_options value;
};
// Not every compiler takes its strings for constant; then it comes before what is initialised without a priority.
[[gnu::init_priority(101)]] const default_command_options defaults;

}  // namespace

constinit const command_options& default_options = defaults.value;

boxed_options boxed(const call_options& options) {
  return boxed(command_options{options.expected, std::string(options.command_id), std::string(options.correlation_id),
                               std::string(options.causation_id), std::string(options.principal), options.occurred_at,
                               options.deadline, options.metadata.copy(), options.when_full});
}

boxed_options boxed(command_options&& options) {
  return options == default_options ? nullptr : std::make_unique<const command_options>(std::move(options));
}

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
  asked->held = std::move(answer);
  if (deferred) {
    deferred->push(std::move(asked));
  } else {
    operation::complete(std::move(asked));
  }
}

operation::operation(const aggregate_type& type, std::string_view id, boxed_options options)
    : type_(type), id_(id), hash_(stream_hash{}({type.category, id_})), options_(std::move(options)) {}

operation::~operation() {
  leave();
  if (completion_) completion_->destroy(*this);
  delete watched_;
}

void operation::destroy_completion() noexcept {
  if (completion_) std::exchange(completion_, nullptr)->destroy(*this);
}

version operation::read(journal&, const warn_function&) { return {}; }

void operation::complete(operation_ptr asked) noexcept {
  const bool first = asked->claim();
  if (first && asked->watched_) asked->watched_->by.remove(*asked->watched_);
  asked->leave();  // before it is delivered: the handler may ask again at once
  if (!first) return;
  deliver(std::move(asked));
}

void operation::deliver(operation_ptr self) noexcept {
  if (auto* const by = self->completion_) by->deliver(std::move(self));
}

void operation::complete(outcome&& answer) noexcept {
  held = std::move(answer);
  complete(operation_ptr(this));
}

bool operation::complete_early(errc surely_not, errc in_doubt, bool only_undecided) noexcept {
  auto before = stage_.load(std::memory_order_acquire);
  do {
    if (before == stage::completed || (only_undecided && before == stage::decided)) return false;
  } while (!stage_.compare_exchange_weak(before, stage::completed, std::memory_order_acq_rel));
  // One that brings an id may be a repeat of a command that was carried out long ago.
  const bool certain = changes_nothing() || (before == stage::waiting && options().command_id.empty());
  expired_ = std::make_unique<outcome>(outcome::failed(certain ? surely_not : in_doubt, to_string(stream())));
  return true;
}

void operation::expire() noexcept {
  if (complete_early(errc::deadline_passed, errc::timed_out, false)) deliver(operation_ptr(this));
}

bool operation::cancel(bool only_undecided) noexcept {
  if (!complete_early(errc::cancelled, errc::cancelled_in_doubt, only_undecided)) return false;
  if (watched_) watched_->by.remove(*watched_);
  deliver(operation_ptr(this));
  return true;
}

outcome& operation::answer() noexcept { return expired_ ? *expired_ : held; }

operation_ptr operation::share_if_alive() noexcept {
  auto shares = references_.load(std::memory_order_relaxed);
  while (shares > 0) {
    if (references_.compare_exchange_weak(shares, shares + 1, std::memory_order_acquire)) return operation_ptr::adopt(this);
  }
  return {};
}

watched_deadline& operation::watch(deadline_watch& by, timestamp deadline) {
  watched_ = new watched_deadline(*this, by, deadline);
  return *watched_;
}

void operation::abandon(operation_ptr asked) noexcept {
  if (!asked->completed()) return;  // end() tells, unless somebody has a share
  if (deferred) {
    deferred->push(std::move(asked));  // its place is given up when the lock is gone
  } else {
    complete(std::move(asked));
  }
}

void operation::end() noexcept {
  const bool never_submitted = !completion_ && !admitted_by;
  if (completed() && admitted_by && deferred) {
    deferred->push(operation_ptr(this));
  } else if (completed() || never_submitted) {
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
