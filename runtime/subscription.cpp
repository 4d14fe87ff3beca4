#include "log_tail.hpp"

#include "../actors/operation.hpp"

#include <cairn/journal.hpp>
#include <cairn/limits.hpp>
#include <cairn/subscription.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <mutex>

namespace cairn::inline v1 {
namespace detail {
namespace {

/// Records that one turn of a reader looks at, so that others get theirs.
constexpr std::uint64_t records_per_turn_max = 10'000;
/// Records that pass by before an empty batch says how far the log was read.
constexpr std::uint64_t passed_by_max = 10'000;

constexpr actors::aggregate_type no_aggregate{nullptr, "subscription", 1, nullptr};

class subscription_read;

void require_range(const char* name, std::size_t value, std::size_t most) {
  if (value >= 1 && value <= most) return;
  throw error(errc::invalid_argument, std::string("subscription_options::") + name + " is " + std::to_string(value) +
                                          ", and must be from 1 to " + std::to_string(most));
}

}  // namespace

/// How far a subscription is. Shared with its reads.
class subscription_cursor {
public:
  subscription_cursor(runtime_core& of, subscription_options&& chosen) : core(of), options(std::move(chosen)) {
    require_range("batch_records_max", options.batch_records_max, 100'000);
    require_range("batch_bytes_max", options.batch_bytes_max, std::size_t{1} << 30);
    if (options.id && options.category.empty()) {
      throw error(errc::invalid_argument, "subscription_options::id is set without a category");
    }
    if (const auto head = core.head(); options.after > head) {
      throw error(errc::invalid_argument, "subscription_options::after is " + std::to_string(options.after.value) +
                                              ", and the journal ends at position " + std::to_string(head.value) +
                                              ": the checkpoint is of another journal, or of a later state of this one");
    }
    through = options.after;
    ready.through = options.after;
  }

  /// False if another call is in progress.
  bool begin(actors::operation& read) {
    const std::lock_guard lock(mutex_);
    if (current_ && !current_->completed()) return false;
    current_ = &read;
    return true;
  }
  void end(actors::operation& read) noexcept {
    const std::lock_guard lock(mutex_);
    if (current_ == &read) current_ = nullptr;
  }
  void cancel() noexcept {
    actors::operation_ptr read;
    {
      const std::lock_guard lock(mutex_);
      if (current_) read = current_->share_if_alive();
    }
    if (read) read->cancel(false);
  }

  bool has_filters() const noexcept { return !options.category.empty() || !options.types.empty() || options.where; }

  bool passes(const record_view& record) const {
    if (!options.category.empty() && record.stream.category != options.category) return false;
    if (options.id && record.stream.id != *options.id) return false;
    if (!options.types.empty() && std::ranges::find(options.types, record.type) == options.types.end()) return false;
    if (!options.where) return true;
    try {
      return options.where(record);
    } catch (...) {
      throw error(errc::invalid_argument, "subscription_options::where threw at position " +
                                              std::to_string(record.position.value) + ": " +
                                              actors::current_failure(errc::invalid_argument).detail);
    }
  }

  runtime_core& core;
  const subscription_options options;

  // Used by the call in progress when it begins and when its value is made.
  position through;          // delivered, or passed by
  cairn::version version{};  // of one aggregate: its last event up to ready.through
  record_batch ready;        // read, and not delivered from `next_ready` on
  std::size_t next_ready = 0;

private:
  std::mutex mutex_;
  actors::operation* current_ = nullptr;
};

namespace {

/// One call of a subscription.
class subscription_read final : public actors::operation {
public:
  subscription_read(std::shared_ptr<subscription_cursor> cursor, bool one)
      : operation(no_aggregate, {}), cursor_(std::move(cursor)), one_(one) {}
  ~subscription_read() override { cursor_->end(*this); }

  void decide(const actors::hosted_state&, actors::draft&, actors::outcome&) override {}
  bool changes_nothing() const noexcept override { return true; }

  void start(actors::operation_ptr self) {
    auto& at = *cursor_;
    if (!at.begin(*this)) {
      return complete(actors::outcome::failed(errc::invalid_argument, "another call of this subscription is in progress"));
    }
    if (at.next_ready < at.ready.size()) return complete(std::move(self));
    batch_.through = at.ready.through;
    version_ = at.version;
    at.core.follow(std::move(self));
  }

  cairn::version read(journal& store, const actors::warn_function&) override {
    batch_.head = cursor_->core.head();
    const auto behind = batch_.head.value - std::min(batch_.head.value, batch_.through.value);
    if (behind == 0) return {};
    if (cursor_->options.id) {
      read_aggregate(store);
    } else if (behind <= log_tail::records_max) {
      read_tail(store);
    } else {
      read_log(store);
    }
    if (!batch_.empty() || (!one_ && passed_by_ >= passed_by_max)) finished_ = true;
    return {};
  }

  std::optional<position> waits_beyond() const noexcept override {
    if (finished_) return std::nullopt;
    return batch_.through;
  }

  record_batch take_batch() {
    auto& at = *cursor_;
    if (auto failure = failed<record_batch>()) return std::move(*failure);
    take_what_was_read();
    auto taken = std::move(at.ready);
    taken.records = taken.records.subspan(at.next_ready);
    at.ready = {};
    at.next_ready = 0;
    at.ready.through = at.through = taken.through;
    return taken;
  }

  received_record take_record() {
    auto& at = *cursor_;
    if (auto failure = failed<received_record>()) return std::move(*failure);
    take_what_was_read();
    received_record taken;
    taken.record = at.ready.records[at.next_ready++];
    taken.owner = at.ready.owner;
    at.through = at.next_ready == at.ready.size() ? at.ready.through : taken.record.position;
    return taken;
  }

private:
  template <class Value>
  std::optional<Value> failed() {
    auto& outcome = answer();
    if (outcome.code == errc{}) return std::nullopt;
    Value value;
    value.code = outcome.code;
    value.detail = std::move(outcome.text);
    return value;
  }

  void take_what_was_read() {
    if (!finished_) return;  // nothing was read: what the last batch has left is delivered
    cursor_->ready = std::move(batch_);
    cursor_->next_ready = 0;
    cursor_->version = version_;
  }

  // The records that pass the filters alone are copied.
  void read_log(const journal& store) {
    auto part = std::make_shared<log_part>();
    std::uint64_t seen = 0;
    store.read_all(batch_.through + 1, [&](const record_view& record) {
      if (record.position > batch_.head || !take(record, *part)) return false;
      batch_.through = record.position;
      return ++seen < records_per_turn_max;
    });
    passed_by_ += seen;
    hand_out(part->records(), part);
  }

  // By its own index: no record of another aggregate is read.
  void read_aggregate(const journal& store) {
    auto part = std::make_shared<log_part>();
    const stream_view stream{cursor_->options.category, *cursor_->options.id};
    bool has_room = true;
    std::uint64_t seen = 0;
    store.read(stream, {version_ + 1, cairn::version::max(), records_per_turn_max}, [&](const record_view& record) {
      if (record.position > batch_.head) return false;
      ++seen;
      if (record.position > batch_.through && !take(record, *part)) return has_room = false;
      version_ = record.version;
      batch_.through = std::max(batch_.through, record.position);
      return true;
    });
    passed_by_ += seen;
    if (has_room && seen < records_per_turn_max) batch_.through = batch_.head;
    hand_out(part->records(), part);
  }

  // All subscriptions that keep up share what one of them has read.
  void read_tail(const journal& store) {
    const auto part = cursor_->core.tail().from(batch_.through + 1, batch_.head, store);
    const auto begin = batch_.through.value + 1 - part->records().front().position.value;
    const auto records = std::span(part->records()).subspan(begin);
    if (cursor_->has_filters()) return take_some_of(records, part);
    std::size_t taken = 0, bytes = 0;
    while (taken < records.size() && fits(taken, bytes, records[taken])) bytes += records[taken++].body.size();
    batch_.through = records[taken - 1].position;
    hand_out(records.first(taken), part);
  }

  void take_some_of(std::span<const record_view> records, std::shared_ptr<const log_part> part) {
    struct some {
      std::vector<record_view> records;
      std::shared_ptr<const log_part> of;
    };
    auto passed = std::make_shared<some>();
    std::size_t bytes = 0;
    for (const auto& record : records) {
      if (cursor_->passes(record)) {
        if (!fits(passed->records.size(), bytes, record)) break;
        bytes += record.body.size();
        passed->records.push_back(record);
      }
      batch_.through = record.position;
      ++passed_by_;
    }
    passed->of = std::move(part);
    hand_out(passed->records, passed);
  }

  /// Adds the record to the part if it passes the filters. False if a batch has no room for it.
  bool take(const record_view& record, log_part& part) const {
    if (!cursor_->passes(record)) return true;
    if (!fits(part.records().size(), part.bytes(), record)) return false;
    part.add(record);
    return true;
  }

  /// Whether a batch of so many records and bytes has room for another record.
  bool fits(std::size_t records, std::size_t bytes, const record_view& another) const noexcept {
    const auto& options = cursor_->options;
    return records == 0 || (records < options.batch_records_max && bytes + another.body.size() <= options.batch_bytes_max);
  }

  void hand_out(std::span<const record_view> records, std::shared_ptr<const void> owner) {
    batch_.records = records;
    batch_.owner = std::move(owner);
  }

  const std::shared_ptr<subscription_cursor> cursor_;
  const bool one_;
  bool finished_ = false;
  record_batch batch_;
  cairn::version version_;
  std::uint64_t passed_by_ = 0;  // records that did not pass, about
};

}  // namespace

actors::operation_ptr make_subscription_read(std::shared_ptr<subscription_cursor> cursor, bool one) {
  return actors::operation_ptr(new subscription_read(std::move(cursor), one));
}

record_batch take_batch(actors::operation& read) { return static_cast<subscription_read&>(read).take_batch(); }
received_record take_record(actors::operation& read) { return static_cast<subscription_read&>(read).take_record(); }

void runtime_core::start_subscription_read(actors::operation_ptr read) {
  auto& one = static_cast<subscription_read&>(*read);
  one.start(std::move(read));
}

}  // namespace detail

subscription::subscription(runtime& of, subscription_options options)
    : start_{&of.core_, &detail::runtime_core::start_subscription_read},
      cursor_(std::make_shared<detail::subscription_cursor>(of.core_, std::move(options))) {}

subscription& subscription::operator=(subscription&& other) noexcept {
  cancel();
  start_ = other.start_;
  cursor_ = std::move(other.cursor_);
  return *this;
}

subscription::~subscription() { cancel(); }

void subscription::cancel() noexcept {
  if (cursor_) cursor_->cancel();
}

position subscription::through() const noexcept { return cursor_->through; }

subscription runtime::subscribe(subscription_options options) { return subscription(*this, std::move(options)); }

}  // namespace cairn
