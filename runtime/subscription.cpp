#include "log_tail.hpp"

#include "../actors/operation.hpp"
#include "../actors/require_range.hpp"

#include <cairn/journal.hpp>
#include <cairn/limits.hpp>
#include <cairn/subscription.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <thread>

namespace cairn::inline v1 {
namespace detail {
namespace {

/// Records that one turn of a reader looks at, so that others get theirs.
constexpr std::uint64_t records_per_turn_max = 10'000;
/// Records that pass by before an empty batch says how far the log was read.
constexpr std::uint64_t passed_by_max = 10'000;

constexpr actors::aggregate_type no_aggregate{nullptr, "subscription", 1, nullptr};

}  // namespace

/// How far a subscription is. Shared with its reads.
class subscription_cursor {
public:
  subscription_cursor(runtime_core& of, subscription_options&& chosen) : core(of), options(std::move(chosen)) {
    using actors::require_range;
    require_range<std::size_t>("subscription_options::batch_records_max", options.batch_records_max, 1, 100'000);
    require_range<std::size_t>("subscription_options::batch_bytes_max", options.batch_bytes_max, 1, std::size_t{1} << 30);
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

  /// Begins a call: sets `from` and `at` to the position and version behind which it reads. `cancels`: the number of
  /// cancellations that the caller has seen; nothing if that does not matter. Returns why it does not begin, or errc{}.
  errc begin(actors::operation& read, std::optional<std::uint64_t> cancels, position& from, cairn::version& at) {
    const std::lock_guard lock(mutex_);
    if (current_) return errc::invalid_argument;
    if (cancels && *cancels != cancels_) return errc::cancelled;
    current_ = &read;
    from = std::max(ready.through, passed_);
    at = std::max(version, passed_version_);
    return errc{};
  }
  /// The call is over, and its value is made.
  void end(actors::operation& read) noexcept {
    const std::lock_guard lock(mutex_);
    if (current_ == &read) current_ = nullptr;
  }
  void cancel() noexcept {
    actors::operation_ptr read;
    {
      const std::lock_guard lock(mutex_);
      ++cancels_;
      if (current_) read = current_->share_if_alive();
    }
    if (read) read->cancel(false);
  }
  std::uint64_t cancels() const noexcept {
    const std::lock_guard lock(mutex_);
    return cancels_;
  }

  /// Cancels, and returns when no reader calls the predicate any more, unless this thread does.
  void close() noexcept {
    cancel();
    if (!options.where || reading_thread_.load() == std::this_thread::get_id()) return;
    const std::lock_guard lock(reading_);
    options.where = nullptr;
  }
  /// Held by a reader, one at a time.
  class reading {
  public:
    explicit reading(subscription_cursor& of) : of_(of), lock_(of.reading_) { of_.reading_thread_ = std::this_thread::get_id(); }
    ~reading() { of_.reading_thread_ = std::thread::id(); }

  private:
    subscription_cursor& of_;
    std::lock_guard<std::mutex> lock_;
  };

  /// Notes that no record between the last one that was read and this position passes the filters.
  void pass_by(position to, cairn::version at) noexcept {
    const std::lock_guard lock(mutex_);
    passed_ = std::max(passed_, to);
    passed_version_ = std::max(passed_version_, at);
  }
  /// Where everything is delivered or passed by.
  position done() const noexcept {
    const std::lock_guard lock(mutex_);
    return next_ready == ready.size() ? std::max(through, passed_) : through;
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
  subscription_options options;

  // Used by the call in progress when it begins and when its value is made.
  position through;          // delivered, or passed by
  cairn::version version{};  // of one aggregate: its last event up to ready.through
  record_batch ready;        // read, and not delivered from `next_ready` on
  std::size_t next_ready = 0;

private:
  mutable std::mutex mutex_;
  actors::operation* current_ = nullptr;
  std::uint64_t cancels_ = 0;
  position passed_;
  cairn::version passed_version_;
  std::mutex reading_;
  std::atomic<std::thread::id> reading_thread_;
};

namespace {

/// One call of a subscription.
class subscription_read final : public actors::operation {
public:
  subscription_read(std::shared_ptr<subscription_cursor> cursor, bool one, std::optional<std::uint64_t> cancels)
      : operation(no_aggregate, {}), cursor_(std::move(cursor)), one_(one), cancels_(cancels) {}
  ~subscription_read() override { cursor_->end(*this); }

  void decide(const actors::hosted_state&, actors::draft&, actors::outcome&) override {}
  bool changes_nothing() const noexcept override { return true; }

  /// Returns whether a reader must read. Else it is completed.
  bool start() {
    auto& at = *cursor_;
    if (const auto refused = at.begin(*this, cancels_, batch_.through, version_); refused != errc{}) {
      complete(actors::outcome::failed(refused, refused == errc::cancelled ? "the subscription is cancelled"
                                                                           : "another call of this subscription is in progress"));
      return false;
    }
    if (at.next_ready == at.ready.size()) return true;
    complete(actors::outcome{});
    return false;
  }

  cairn::version read(journal& store, const actors::warn_function&) override {
    const subscription_cursor::reading one_at_a_time(*cursor_);
    if (completed()) return {};
    batch_.head = cursor_->core.head();
    const auto from = batch_.through;
    if (from >= batch_.head) return {};
    if (cursor_->options.id) {
      read_aggregate(store);
    } else if (batch_.head.value - from.value <= log_tail::records_max) {
      read_tail(store);
    } else {
      read_log(store);
    }
    if (batch_.empty()) {
      passed_by_ += batch_.through.value - from.value;
      cursor_->pass_by(batch_.through, version_);
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
    const over now{*this};
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
    const over now{*this};
    if (auto failure = failed<received_record>()) return std::move(*failure);
    take_what_was_read();
    received_record taken;
    taken.record = at.ready.records[at.next_ready++];
    taken.owner = at.ready.owner;
    at.through = at.next_ready == at.ready.size() ? at.ready.through : taken.record.position;
    return taken;
  }

private:
  /// Ends the call when its value is made.
  struct over {
    subscription_read& read;
    ~over() { read.cursor_->end(read); }
  };

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
    read_up_to_failure(part->records(), [&] {
      store.read_all(batch_.through + 1, [&](const record_view& record) {
        if (record.position > batch_.head || !take(record, *part)) return false;
        batch_.through = record.position;
        return ++seen < records_per_turn_max;
      });
    });
    hand_out(part->records(), part);
  }

  // By its own index: no record of another aggregate is read.
  void read_aggregate(const journal& store) {
    auto part = std::make_shared<log_part>();
    const stream_view stream{cursor_->options.category, *cursor_->options.id};
    bool ended = true;
    std::uint64_t seen = 0;
    const bool whole = read_up_to_failure(part->records(), [&] {
      store.read(stream, {version_ + 1, cairn::version::max(), records_per_turn_max}, [&](const record_view& record) {
        if (record.position > batch_.head) return false;
        ++seen;
        if (record.position > batch_.through && !take(record, *part)) return ended = false;
        version_ = record.version;
        batch_.through = std::max(batch_.through, record.position);
        return true;
      });
    });
    if (whole && ended && seen < records_per_turn_max) batch_.through = batch_.head;
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
    read_up_to_failure(passed->records, [&] {
      for (const auto& record : records) {
        if (cursor_->passes(record)) {
          if (!fits(passed->records.size(), bytes, record)) break;
          bytes += record.body.size();
          passed->records.push_back(record);
        }
        batch_.through = record.position;
      }
    });
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
  const std::optional<std::uint64_t> cancels_;
  bool finished_ = false;
  record_batch batch_;
  cairn::version version_;
  std::uint64_t passed_by_ = 0;  // records that did not pass
};

}  // namespace

actors::operation_ptr make_subscription_read(std::shared_ptr<subscription_cursor> cursor, bool one,
                                             std::optional<std::uint64_t> cancels) {
  return actors::operation_ptr(new subscription_read(std::move(cursor), one, cancels));
}
std::uint64_t cancels_of(const subscription_cursor& cursor) noexcept { return cursor.cancels(); }

record_batch take_batch(actors::operation& read) { return static_cast<subscription_read&>(read).take_batch(); }
received_record take_record(actors::operation& read) { return static_cast<subscription_read&>(read).take_record(); }

bool begin_subscription_read(actors::operation& read) { return static_cast<subscription_read&>(read).start(); }

}  // namespace detail

subscription::subscription(runtime& of, subscription_options options)
    : start_{&of.core_, &detail::runtime_core::start_subscription_read},
      cursor_(std::make_shared<detail::subscription_cursor>(of.core_, std::move(options))) {}

subscription& subscription::operator=(subscription&& other) noexcept {
  if (this == &other) return *this;
  if (cursor_) cursor_->close();
  start_ = other.start_;
  cursor_ = std::move(other.cursor_);
  return *this;
}

subscription::~subscription() {
  if (cursor_) cursor_->close();
}

void subscription::cancel() noexcept {
  if (cursor_) cursor_->cancel();
}

position subscription::through() const noexcept { return cursor_->done(); }

subscription runtime::subscribe(subscription_options options) { return subscription(*this, std::move(options)); }

}  // namespace cairn
