#include "index.hpp"

#include "../log/io.hpp"
#include "index_run.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace cairn::inline v1::detail {
namespace {

/// How many aggregates are looked for in the storage at once.
constexpr std::size_t looked_for_at_once = 256;

}  // namespace

index::index(index_storage& storage, index_options options)
    : storage_(storage), options_(std::move(options)), mark_(storage.mark().value_or(index_mark{})) {
  is_stored_ = mark_.through > position{};
  previous_->places.reset();
  current_->mark = mark_;
  if (!options_.threads) return;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& failure) {
    throw error(errc::journal_unavailable, "cannot start a thread for the index: " + reason_of(failure.code().value()));
  }
}

index::~index() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !writing_; });
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  if (abandoned_) return;
  try {
    // In order, and none without the one before it: a mark vouches for all that is before it.
    if (previous_->places) write(*previous_);
    write(*current_);
  } catch (const std::exception&) {
    // The next opening reads the same records from the log.
  }
}

void index::clear() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !writing_; });
  storage_.clear();
  is_stored_ = false;
  mark_ = {};
  current_ = std::make_shared<generation>();
  previous_ = std::make_shared<generation>();
  previous_->places.reset();
}

void index::find(std::span<const named_stream> streams, std::vector<std::uint32_t>& found) {
  const auto& table = current_->streams;
  for (const auto& stream : streams) table.prefetch_slot(stream.hash);
  for (const auto& stream : streams) table.prefetch_state(stream.hash);
  for (const auto& stream : streams) table.prefetch_name(stream.hash);
  found.clear();
  unknown_.clear();
  for (const auto& [stream, hash] : streams) {
    auto here = table.find(stream, hash);
    if (here == stream_table::none) {
      if (const auto before = previous_->streams.find(stream, hash); before != stream_table::none) {
        here = insert({stream, hash}, previous_->streams[before].version);
      } else if (is_storable(stream)) {
        unknown_.push_back(found.size());
      } else {
        throw error(errc::invalid_argument, "an aggregate needs a category of 1 to 255 bytes and an id of at most 2^20 bytes");
      }
    }
    found.push_back(here);
  }
  for (std::span<const std::size_t> left(unknown_); !left.empty();
       left = left.subspan(std::min(left.size(), looked_for_at_once))) {
    const auto some = left.first(std::min(left.size(), looked_for_at_once));
    unknown_names_.clear();
    for (const auto at : some) unknown_names_.push_back(streams[at].name);
    storage_.newest_versions(unknown_names_, unknown_versions_);
    for (std::size_t i = 0; i < some.size(); ++i) {
      const auto& stream = streams[some[i]];
      const auto known = table.find(stream.name, stream.hash);  // if it was looked for twice
      found[some[i]] = known != stream_table::none ? known : insert(stream, unknown_versions_[i]);
    }
  }
}

std::uint32_t index::insert(const named_stream& stream, std::uint64_t base) {
  const std::lock_guard lock(mutex_);
  return current_->streams.insert(stream.name, stream.hash, base);
}

void index::unstage(std::uint32_t stream) {
  auto& state = current_->streams[stream];
  state.staged = state.version;
}

void index::publish(std::span<const staged_record> records, const index_mark& mark) {
  const std::lock_guard lock(mutex_);
  for (const auto& record : records) current_->push(record.stream, {mark.commit + record.chunk, record.slot});
  current_->mark = mark;
}

void index::restore(const record_view& record, place where) {
  const auto hash = stream_table::hash(record.stream);
  const std::lock_guard lock(mutex_);
  auto stream = current_->streams.find(record.stream, hash);
  if (stream == stream_table::none) {
    const auto before = previous_->streams.find(record.stream, hash);
    // What the storage has is not read for each aggregate, which would take long; verify_store() compares all of it.
    const auto unknown = is_stored_ ? record.version.value - 1 : 0;
    const auto base = before == stream_table::none ? unknown : previous_->streams[before].version;
    stream = current_->streams.insert(record.stream, hash, base);
  }
  auto& state = current_->streams[stream];
  if (record.version.value != state.version + 1) {
    throw error(errc::corrupt_record, "the record at position " + std::to_string(record.position.value) + " is version " +
                                          std::to_string(record.version.value) + " of " + to_string(record.stream) +
                                          ", which has " + std::to_string(state.version) + " events before it");
  }
  current_->push(stream, where);
  state.staged = state.version;
}

void index::restored(const index_mark& mark) {
  {
    const std::lock_guard lock(mutex_);
    current_->mark = mark;
  }
  make_room();
}

bool index::is_full(std::uint64_t times) const {
  return std::max<std::uint64_t>(current_->places->size(), current_->streams.size()) >= times * options_.events_max;
}

void index::make_room() {
  if (!is_full(1)) return;
  std::unique_lock lock(mutex_);
  if (writing_ && !is_full(2)) return;
  changed_.wait(lock, [this] { return !writing_; });
  if (previous_->places) {  // the last attempt failed
    begin_writing();
    if (!options_.threads) write_previous(lock);
    if (!is_full(2)) return;
    changed_.wait(lock, [this] { return !writing_; });
    if (previous_->places) throw error(errc::journal_unavailable, failure_);
  }
  is_stored_ = is_stored_ || previous_->mark.through > position{};  // what goes out of memory now was written
  previous_ = std::exchange(current_, std::make_shared<generation>());
  current_->mark = previous_->mark;
  begin_writing();
  if (!options_.threads) write_previous(lock);
}

void index::begin_writing() {
  writing_ = true;
  changed_.notify_all();
}

void index::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
}

void index::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return writing_ || stopping_; });
    if (!writing_) return;
    write_previous(lock);
  }
}

void index::write_previous(std::unique_lock<std::mutex>& lock) {
  const auto generation = previous_;
  const bool abandoned = abandoned_;
  lock.unlock();
  std::string failure;
  try {
    if (!abandoned) write(*generation);
  } catch (const error& reason) { failure = reason.detail(); } catch (const std::exception& reason) {
    failure = reason.what();
  }
  lock.lock();
  failure_ = failure;
  // Readers that look from now on find these places in the storage; those that looked before hold the list.
  if (failure_.empty() && !abandoned) generation->places.reset();
  writing_ = false;
  changed_.notify_all();
}

void index::write(const generation& generation) {
  if (generation.places->size() == 0) return;
  options_.sync_log();
  storage_.write(generation);
}

std::uint64_t index::stored_version(stream_view stream) const {
  std::vector<std::uint64_t> versions;
  storage_.newest_versions({&stream, 1}, versions);
  return versions.front();
}

index::view index::look_up(stream_view stream) const {
  view found;
  found.index_ = this;
  found.stream_ = stream;
  if (!is_storable(stream)) return found;
  const auto hash = stream_table::hash(stream);
  bool known = false;
  {
    const std::lock_guard lock(mutex_);
    for (const auto* generation : {current_.get(), previous_.get()}) {
      const auto number = generation->streams.find(stream, hash);
      if (number == stream_table::none) continue;
      const auto& state = generation->streams[number];
      if (!known) found.version_ = found.stored_ = state.version;
      known = true;
      if (state.last == place_list::none || !generation->places) continue;
      found.parts_.push_back({generation->places, state.last, state.base, state.version});
      found.stored_ = state.base;
    }
  }
  if (!known) found.version_ = found.stored_ = stored_version(stream);
  return found;
}

void index::view::collect(std::uint64_t from, std::uint64_t to, std::vector<place>& out) {
  if (from <= stored_) collect_from_storage(from, std::min(to, stored_), out);
  for (auto newer = parts_.rbegin(); newer != parts_.rend(); ++newer) {
    const auto first = std::max(from, newer->base + 1);
    const auto last = std::min(to, newer->version);
    if (first <= last) newer->places->collect(newer->tail, newer->version, first, last, out);
  }
}

void index::view::collect_from_storage(std::uint64_t from, std::uint64_t to, std::vector<place>& out) {
  if (!runs_) runs_ = index_->storage_.runs();
  const auto prefix = stream_prefix(stream_);
  auto key = prefix;
  set_version(key, prefix.size(), cairn::version{from});
  for (bool there = runs_->seek(key); from <= to; there = runs_->next()) {
    const auto first = (there ? version_of(runs_->key(), prefix) : std::nullopt).value_or(newest_key_version);
    if (first == newest_key_version || first.value > from) fail(from, "is not in the index");
    const auto size = run_size(runs_->value());
    if (!size || from - first.value >= *size) fail(from, size ? "is not in the index" : "is in a damaged run of the index");
    const auto last = std::min(to, first.value + *size - 1);
    if (!decode_run(runs_->value(), from - first.value, last - first.value, out)) {
      fail(from, "is in a damaged run of the index");
    }
    from = last + 1;
  }
}

void index::view::fail(std::uint64_t version, const std::string& what) const {
  index_->storage_.fail("version " + std::to_string(version) + " of " + to_string(stream_) + " " + what);
}

}  // namespace cairn::detail
