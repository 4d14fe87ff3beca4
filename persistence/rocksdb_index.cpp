#include "rocksdb_index.hpp"

#include "index_run.hpp"

#include <algorithm>
#include <rocksdb/sst_file_writer.h>
#include <utility>

namespace cairn::detail {

rocksdb_index::rocksdb_index(rocksdb_database& database, const rocksdb_options& options)
    : database_(database), events_max_(options.index_events_in_memory_max),
      sync_log_first_(options.durability == durability::buffered) {
  std::string value;
  const auto status = database_.db().Get(rocksdb::ReadOptions(), database_.index(), slice(marker_key), &value);
  if (status.IsNotFound()) {
    // Whatever is there without the marker is not of this store's making.
    database_.clear_index();
  } else {
    database_.check_index(status, "read how far the index goes");
    const auto found = decode_marker(value);
    if (!found) {
      throw error(errc::corrupt_store,
                  database_.folder() + ": the index does not say how far it goes." + what_to_do_about_the_index);
    }
    complete_through_ = found->through;
    older_form_ = found->older_form;
  }
  previous_->places.reset();
  thread_ = std::thread([this] { run(); });
}

rocksdb_index::~rocksdb_index() {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !writing_; });
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
  if (abandoned_) return;
  try {
    // In order, and none without the one before it: a marker vouches for all that is below it.
    if (previous_->places) write(*previous_);
    write(*current_);
  } catch (const std::exception&) {
    // Opening it again reads the same records from the log.
  }
}

void rocksdb_index::make_older_form_anew() {
  if (!std::exchange(older_form_, false)) return;
  database_.clear_index();
  complete_through_ = {};
}

void rocksdb_index::find(std::span<const named_stream> streams, std::vector<std::uint32_t>& found) {
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
  for (std::span<const std::size_t> left(unknown_); !left.empty(); left = left.subspan(std::min(left.size(), asked_at_once))) {
    const auto asked = left.first(std::min(left.size(), asked_at_once));
    read_versions(streams, asked);
    for (std::size_t i = 0; i < asked.size(); ++i) {
      const auto& stream = streams[asked[i]];
      const auto known = table.find(stream.name, stream.hash);  // where it was asked for twice
      found[asked[i]] = known != stream_table::none ? known : insert(stream, version_in(stream.name, statuses_[i], values_[i]));
      values_[i].Reset();  // it holds a block of the cache
    }
  }
}

std::uint32_t rocksdb_index::insert(const named_stream& stream, std::uint64_t base) {
  const std::lock_guard lock(mutex_);
  return current_->streams.insert(stream.name, stream.hash, base);
}

void rocksdb_index::read_versions(std::span<const named_stream> streams, std::span<const std::size_t> asked) {
  for (std::size_t i = 0; i < asked.size(); ++i) {
    keys_[i] = newest_key(streams[asked[i]].name);
    key_slices_[i] = keys_[i];
  }
  database_.db().MultiGet(rocksdb::ReadOptions(), database_.index(), asked.size(), key_slices_.data(), values_.data(),
                          statuses_.data());
}

void rocksdb_index::unstage(std::uint32_t stream) {
  auto& state = current_->streams[stream];
  state.staged = state.version;
}

void rocksdb_index::publish(position first, std::span<const staged_record> records) {
  const std::lock_guard lock(mutex_);
  for (const auto& record : records) {
    current_->push(record.stream, first, record.slot);
    first = first + 1;
  }
  current_->through = position{first.value - 1};
}

void rocksdb_index::restore(const record_view& record, std::uint8_t slot) {
  make_room();
  const auto hash = stream_table::hash(record.stream);
  const std::lock_guard lock(mutex_);
  auto stream = current_->streams.find(record.stream, hash);
  if (stream == stream_table::none) {
    const auto before = previous_->streams.find(record.stream, hash);
    const auto base = before == stream_table::none ? record.version.value - 1 : previous_->streams[before].version;
    stream = current_->streams.insert(record.stream, hash, base);
  }
  auto& state = current_->streams[stream];
  if (record.version.value != state.version + 1) {
    throw error(errc::corrupt_record, "the record at position " + std::to_string(record.position.value) + " is version " +
                                          std::to_string(record.version.value) + " of " + to_string(record.stream) +
                                          ", which has " + std::to_string(state.version) + " events before it");
  }
  current_->push(stream, record.position, slot);
  current_->through = record.position;
  state.staged = state.version;
}

bool rocksdb_index::full(std::uint64_t times) const {
  return std::max<std::uint64_t>(current_->places->size(), current_->streams.size()) >= times * events_max_;
}

void rocksdb_index::make_room() {
  if (!full(1)) return;
  std::unique_lock lock(mutex_);
  if (writing_ && !full(2)) return;
  changed_.wait(lock, [this] { return !writing_; });
  if (previous_->places) {  // the last attempt failed
    begin_writing_behind();
    if (!full(2)) return;
    changed_.wait(lock, [this] { return !writing_; });
    if (previous_->places) throw error(errc::journal_unavailable, failure_);
  }
  previous_ = std::exchange(current_, std::make_shared<generation>());
  begin_writing_behind();
}

void rocksdb_index::begin_writing_behind() {
  writing_ = true;
  changed_.notify_all();
}

void rocksdb_index::abandon() {
  const std::lock_guard lock(mutex_);
  abandoned_ = true;
}

void rocksdb_index::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return writing_ || stopping_; });
    if (!writing_) return;
    const auto generation = previous_;
    const bool abandoned = abandoned_;
    lock.unlock();
    std::string failure;
    try {
      if (!abandoned) write(*generation);
    } catch (const std::exception& reason) { failure = reason.what(); }
    lock.lock();
    failure_ = failure;
    // Readers that look from now on find these places on disk; those that looked before hold the list.
    if (failure_.empty() && !abandoned) generation->places.reset();
    writing_ = false;
    changed_.notify_all();
  }
}

// One sorted file for a generation, its marker inside, taken in whole or not at all: so runs never overlap, whatever happens.
void rocksdb_index::write(const generation& generation) const {
  if (generation.places->size() == 0) return;
  // After a failure opening tells what the manifest knows of the last file, and may need it as it is.
  const std::string doing = "write the index behind";
  database_.check_written({}, doing);
  // What the index says must be on the disk before the index says it. With synced appends it is.
  if (sync_log_first_) database_.sync_log();

  const auto& states = generation.streams.states();
  const auto order = order_by_prefix(states);
  const auto sorted = generation.places_by(order);

  const auto path = database_.index_file();
  rocksdb::SstFileWriter file(rocksdb::EnvOptions(), database_.index_file_options());
  database_.check(file.Open(path), doing);
  database_.check(file.Put(slice(marker_key), encode_marker(generation.through)), doing);
  const packed_place* next = sorted.get();
  std::vector<place> run;
  std::string key;
  std::string value;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (i + 16 < order.size()) __builtin_prefetch(&states[order[i + 16]]);
    if (i + 8 < order.size()) __builtin_prefetch(states[order[i + 8]].name);
    const auto& state = states[order[i]];
    if (state.events() == 0) continue;
    set_prefix(key, state.stream());
    const auto prefix_bytes = key.size();
    set_version(key, prefix_bytes, newest_key_version);
    database_.check(file.Put(key, encode_newest(version{state.version})), doing);
    for (auto from = state.base; from < state.version; from += run.size()) {
      run.resize(std::min<std::uint64_t>(run_records_max, state.version - from));
      for (auto& place : run) place = next++->unpack();
      set_version(key, prefix_bytes, version{from + 1});
      value.clear();
      encode_run(value, run);
      database_.check(file.Put(key, value), doing);
    }
  }
  database_.check(file.Finish(), doing);
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = true;
  ingest.write_global_seqno = false;
  database_.check(database_.db().IngestExternalFile(database_.index(), {path}, ingest), doing);
}

std::unique_ptr<rocksdb::Iterator> rocksdb_index::runs() const {
  return std::unique_ptr<rocksdb::Iterator>(database_.db().NewIterator(rocksdb::ReadOptions(), database_.index()));
}

std::uint64_t rocksdb_index::version_on_disk(stream_view stream) const {
  rocksdb::PinnableSlice value;
  const auto status = database_.db().Get(rocksdb::ReadOptions(), database_.index(), newest_key(stream), &value);
  return version_in(stream, status, value);
}

std::uint64_t rocksdb_index::version_in(stream_view stream, const rocksdb::Status& status,
                                        const rocksdb::PinnableSlice& value) const {
  if (status.IsNotFound()) return 0;
  database_.check_index(status, "read the index of " + to_string(stream));
  if (const auto newest = decode_newest(detail::view(value))) return newest->value;
  throw error(errc::corrupt_record, database_.folder() + ": the index has a damaged version of " + to_string(stream) + "." +
                                        what_to_do_about_the_index);
}

rocksdb_index::view rocksdb_index::look_up(stream_view stream) const {
  view found;
  found.index_ = this;
  found.stream_ = stream;
  if (!is_storable(stream)) return found;
  const auto hash = stream_table::hash(stream);
  bool known = false;
  {
    const std::lock_guard lock(mutex_);
    for (const auto* generation : {current_.get(), previous_.get()}) {
      const auto index = generation->streams.find(stream, hash);
      if (index == stream_table::none) continue;
      const auto& state = generation->streams[index];
      if (!known) found.version_ = found.on_disk_ = state.version;
      known = true;
      if (state.last == place_list::none || !generation->places) continue;
      found.parts_.push_back({generation->places, state.last, state.base, state.version});
      found.on_disk_ = state.base;
    }
  }
  if (!known) { found.version_ = found.on_disk_ = version_on_disk(stream); }
  return found;
}

void rocksdb_index::view::collect(std::uint64_t from, std::uint64_t to, std::vector<place>& out) {
  if (from <= on_disk_) collect_from_disk(from, std::min(to, on_disk_), out);
  for (auto held = parts_.rbegin(); held != parts_.rend(); ++held) {
    const auto first = std::max(from, held->base + 1);
    const auto last = std::min(to, held->version);
    if (first <= last) held->places->collect(held->tail, held->version, first, last, out);
  }
}

void rocksdb_index::view::collect_from_disk(std::uint64_t from, std::uint64_t to, std::vector<place>& out) {
  if (!runs_) runs_ = index_->runs();
  const auto prefix = stream_prefix(stream_);
  auto key = prefix;
  set_version(key, prefix.size(), cairn::version{from});
  runs_->SeekForPrev(key);
  while (from <= to) {
    if (!runs_->Valid()) {
      index_->database_.check_index(runs_->status(), "read the index of " + to_string(stream_));
      fail(from, "is not in the index");
    }
    const auto first = version_of(detail::view(runs_->key()), prefix);
    if (!first || *first == newest_key_version || first->value > from) fail(from, "is not in the index");
    const auto value = detail::view(runs_->value());
    const auto size = run_size(value);
    if (!size || from - first->value >= *size) fail(from, size ? "is not in the index" : "is in a damaged run of the index");
    const auto last = std::min(to, first->value + *size - 1);
    if (!decode_run(value, from - first->value, last - first->value, out)) fail(from, "is in a damaged run of the index");
    from = last + 1;
    if (from <= to) runs_->Next();
  }
}

void rocksdb_index::view::fail(std::uint64_t version, const std::string& what) const {
  throw error(errc::corrupt_record, index_->database_.folder() + ": version " + std::to_string(version) + " of " +
                                        to_string(stream_) + " " + what + "." + what_to_do_about_the_index);
}

}  // namespace cairn::detail
