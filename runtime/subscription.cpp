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
    seen_ = 0;
    if (cursor_->options.id) {
      read_aggregate(store);
    } else {
      read_log(store);
    }
    if (!lengths_.empty() || (!one_ && seen_ >= records_per_turn_max)) finish();
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
    taken.records.erase(taken.records.begin(), taken.records.begin() + static_cast<std::ptrdiff_t>(at.next_ready));
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
    taken.bytes = at.ready.bytes;
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

  void read_log(journal& store) {
    if (batch_.through >= batch_.head) return;
    store.read_all(batch_.through + 1, [this](const record_view& record) {
      if (record.position > batch_.head) return false;
      if (!take(record)) return false;
      batch_.through = record.position;
      return ++seen_ < records_per_turn_max;
    });
  }

  // By its own index: no record of another aggregate is read.
  void read_aggregate(journal& store) {
    if (batch_.through >= batch_.head) return;
    const stream_view stream{cursor_->options.category, *cursor_->options.id};
    bool all = true;
    store.read(stream, {version_ + 1, cairn::version::max(), records_per_turn_max}, [&](const record_view& record) {
      if (record.position > batch_.head) return false;
      ++seen_;
      if (record.position > batch_.through && !take(record)) return all = false;
      version_ = record.version;
      batch_.through = std::max(batch_.through, record.position);
      return true;
    });
    if (all && seen_ < records_per_turn_max) batch_.through = batch_.head;
  }

  /// Adds the record to the batch if it passes the filters. False if the batch has no room for it.
  bool take(const record_view& record) {
    const auto& options = cursor_->options;
    if (!cursor_->passes(record)) return true;
    if (lengths_.size() == options.batch_records_max ||
        (!lengths_.empty() && bytes_.size() + record.body.size() > options.batch_bytes_max)) {
      return false;
    }
    lengths_.push_back({record.position, record.body.size()});
    bytes_.insert(bytes_.end(), record.body.begin(), record.body.end());
    return true;
  }

  void finish() {
    auto bytes = std::make_shared<const std::vector<char>>(std::move(bytes_));
    const auto* body = bytes->data();
    batch_.records.reserve(lengths_.size());
    for (const auto& [where, length] : lengths_) {
      batch_.records.push_back(decode_record(where, {body, length}));
      body += length;
    }
    batch_.bytes = std::move(bytes);
    finished_ = true;
  }

  struct place {
    cairn::position position;
    std::size_t length;
  };

  const std::shared_ptr<subscription_cursor> cursor_;
  const bool one_;
  bool finished_ = false;
  record_batch batch_;
  cairn::version version_;
  std::uint64_t seen_ = 0;  // records in this turn
  std::vector<char> bytes_;
  std::vector<place> lengths_;
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
