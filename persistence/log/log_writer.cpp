#include "log_writer.hpp"

#include <chrono>
#include <system_error>
#include <utility>

namespace cairn::inline v1::detail {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds idle_after{50};
/// The next segment is written in such pieces, with a pause behind each, so that commits wait for the disk as little as possible.
constexpr std::uint64_t piece_bytes = std::uint64_t{256} << 10;
constexpr std::uint64_t synced_pieces = 8;
constexpr microseconds pause{400};
constexpr std::uint64_t rewritten_bytes_max = std::uint64_t{1} << 20;  // at once

struct address_range {
  std::uint64_t from;
  std::uint64_t to;
};

/// The commits at the end of the log that neither a later header nor the high-water mark, which is `marked`, calls
/// durable. Empty if the log is damaged, or if a newer program wrote it.
address_range unproved_commits(const segment_files& files, position marked) {
  const auto segment = files.header(files.count() - 1);
  auto from = segment.base;
  try {
    commit_reader reader(files, {segment.base + segment_header_bytes, segment.first});
    for (stored_commit commit; reader.look(commit) == commit_reader::finding::commit;) {
      if (commit.header.durable + 1 == commit.header.first) from = commit.address;
      reader.pass(commit);
      if (commit.header.end() <= marked + 1) from = reader.here().address;
    }
    return {from, reader.here().address};
  } catch (const error& failure) {
    if (failure.kind() == errc::journal_unavailable) throw;
    return {};
  }
}

/// Writes bytes of a segment again as they are, and syncs them.
void rewrite(const store_folder& store, const segment_header& segment, const address_range& range) {
  const auto name = segment_name(segment.first);
  const auto path = path_in(*store.log(), name);
  const auto opened = open_file(*store.log(), name, open_mode::write);
  std::string bytes;
  for (auto at = range.from; at < range.to; at += bytes.size()) {
    bytes.resize(std::min(range.to - at, rewritten_bytes_max));
    bytes.resize(read_fully(*opened, path, bytes.data(), bytes.size(), at - segment.base));
    if (bytes.empty()) break;  // the file ends here
    write_fully(*opened, path, bytes, at - segment.base);
  }
  sync_file(*opened, path);
}

}  // namespace

void make_end_durable(const store_folder& store, const segment_files& files) {
  const auto last = files.count() - 1;
  const auto segment = files.header(last);
  const auto marked = store.high_water() ? store.high_water()->through : position{};
  // The mark that the segment before is finished ends in the sector before this segment.
  if (last > 0 && marked < segment.first) {
    const auto before = files.header(last - 1);
    const auto mark = segment.base - sector_bytes - commit_header_bytes;  // or a little behind
    rewrite(store, before, {std::max(mark, before.base), segment.base});
  }
  const auto unproved = unproved_commits(files, marked);
  if (unproved.from < unproved.to) rewrite(store, segment, unproved);
}

log_writer::log_writer(store_folder& store, segment_files& files, const log_end& end, const digest& head,
                       log_writer_options options)
    : store_(store), files_(files), options_(std::move(options)), segment_(files.header(files.count() - 1)), place_(end.place),
      head_(head), durable_(end.place.next.value - 1) {
  auto& log = *store_.log();
  if (open_file_if_any(log, next_segment_name, open_mode::read)) remove_file(log, next_segment_name);
  path_ = path_in(log, segment_name(segment_.first));
  opened_ = open_file(log, segment_name(segment_.first), open_mode::write);
  if (end.torn) drop_torn();
  for (const auto& place : end.unmarked) {
    const auto before = files_.header(files_.at_address(place.address));
    const auto name = segment_name(before.first);
    mark_finished(*open_file(log, name, open_mode::write), path_in(log, name), before.base, place);
  }
  // What a process left behind that died is not durable yet.
  sync_file(*opened_, path_);
  has_space_ = size_of(*opened_, path_) > place_.address - segment_.base + options_.unprepared_bytes;
  segment_file_ = opened_;
  filled_ = place_.address - segment_.base;
  reached_ = {durable_, head_};
  if (const auto& mark = store_.high_water()) noted_ = {mark->through, mark->hash};
  if (!options_.threads) return;
  try {
    background_ = std::thread([this] { run(); });
  } catch (const std::system_error& failure) {
    throw error(errc::journal_unavailable, store_.path() + ": cannot start a thread: " + reason_of(failure.code().value()));
  }
}

log_writer::~log_writer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (background_.joinable()) background_.join();
  try {
    if (!failed_) note_high_water();
    prepared_.reset();
    if (open_file_if_any(*store_.log(), next_segment_name, open_mode::read)) remove_file(*store_.log(), next_segment_name);
  } catch (const std::exception& failure) { options_.warn(failure.what()); }
}

// Before anything is written behind it. Bytes beyond the end of a file count as zeros.
void log_writer::drop_torn() {
  const auto size = place_.address - segment_.base;
  const auto status = uninterrupted([&] { return opened_->truncate(size); });
  if (status < 0) fail_io(path_, "cut off an interrupted commit", -status);
  sync_file(*opened_, path_);
}

void log_writer::mark_finished(file& segment, const std::string& path, std::uint64_t base, const log_place& end) {
  commit_header mark;
  mark.is = commit_header::kind::end_of_segment;
  mark.first = end.next;
  mark.durable = position{end.next.value - 1};
  mark.partition = segment_.store.partition;
  std::string bytes(commit_header_bytes, '\0');
  encode_commit_header(bytes.data(), mark, end.address, files_.store());
  write_fully(segment, path, bytes, end.address - base);
  sync_file(segment, path);
}

std::string& log_writer::begin() {
  buffer_.resize(commit_header_bytes);
  return buffer_;
}

std::uint64_t log_writer::commit(std::uint32_t records, const digest& head) {
  if (failed_) throw error(errc::journal_unavailable, "an earlier commit failed; open the store again");
  failed_ = true;  // until it has succeeded
  require_no_failure();
  if (!is_room_for(buffer_.size() + buffer_.size() / 32)) begin_segment();
  commit_header header;
  header.chunk_bytes = static_cast<std::uint32_t>(buffer_.size() - commit_header_bytes);
  header.blanks = append_blank_sectors(buffer_, place_.address);
  header.first = place_.next;
  header.durable = durable_;
  header.records = records;
  header.partition = segment_.store.partition;
  const auto address = place_.address;
  encode_commit_header(buffer_.data(), header, address, files_.store());
  write_fully(*opened_, path_, buffer_, address - segment_.base);
  if (options_.synced) sync_file(*opened_, path_);
  files_.note(place_);
  place_ = {next_commit_at(address + buffer_.size()), place_.next + records};
  head_ = head;
  if (options_.synced) durable_ = position{place_.next.value - 1};
  publish();
  failed_ = false;
  return address;
}

void log_writer::require_no_failure() const {
  const std::lock_guard lock(mutex_);
  if (!background_failure_.empty()) throw error(errc::journal_unavailable, background_failure_);
}

// A failed sync is reported once, and a later one says nothing of what that did not write.
void log_writer::sync_committed() {
  const std::lock_guard syncing(sync_mutex_);
  require_no_failure();
  std::unique_lock lock(mutex_);
  const auto segment = segment_file_;  // those before it are durable
  const auto through = reached_.through;
  lock.unlock();
  try {
    sync_file(*segment, store_.path());
  } catch (const error& failure) {
    lock.lock();
    background_failure_ = failure.detail();
    throw;
  }
  lock.lock();
  synced_through_ = through;
}

bool log_writer::is_room_for(std::uint64_t bytes) const {
  const auto used = place_.address - segment_.base;
  if (used == segment_header_bytes) return true;  // a commit that is larger than a segment has one to itself
  if (used + bytes + commit_header_bytes > options_.segment_bytes) return false;
  return has_space_ || !next_is_ready_;
}

// The order matters: the mark that a segment is finished promises that the next one exists.
void log_writer::begin_segment() {
  auto& log = *store_.log();
  if (!options_.synced) sync_committed();
  durable_ = position{place_.next.value - 1};
  auto next = take_next_segment();
  segment_header header;
  header.store = segment_.store;
  header.number = segment_.number + 1;
  header.first = place_.next;
  header.base = next_segment_at(place_.address + commit_header_bytes);
  header.epoch = segment_.epoch;
  header.previous = head_;
  const auto next_path = path_in(log, next_segment_name);
  write_fully(*next, next_path, encode_segment_header(header), 0);
  sync_file(*next, next_path);
  has_space_ = size_of(*next, next_path) >= options_.segment_bytes;
  rename_file(log, next_segment_name, segment_name(header.first));
  sync_names(log);
  mark_finished(*opened_, path_, segment_.base, place_);
  files_.add(header);
  segment_ = header;
  path_ = path_in(log, segment_name(header.first));
  opened_ = std::move(next);
  place_.address = header.base + segment_header_bytes;
  const std::lock_guard lock(mutex_);
  segment_file_ = opened_;
  filled_ = segment_header_bytes;
}

std::unique_ptr<file> log_writer::take_next_segment() {
  std::unique_lock lock(mutex_);
  if (preparation_ == preparation::wanted) {  // as far as it has come
    is_needed_now_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return preparation_ != preparation::wanted; });
    is_needed_now_ = false;
  }
  preparation_ = preparation::none;
  next_is_ready_ = false;
  if (prepared_) return std::move(prepared_);
  lock.unlock();
  auto next = open_file(*store_.log(), next_segment_name, open_mode::open_or_create);
  const auto status = uninterrupted([&] { return next->truncate(0); });
  if (status < 0) fail_io(path_in(*store_.log(), next_segment_name), "truncate", -status);
  return next;
}

void log_writer::publish() {
  const std::lock_guard lock(mutex_);
  reached_ = {position{place_.next.value - 1}, head_};
  durable_ = std::max(durable_, synced_through_);
  filled_ = place_.address - segment_.base;
  const auto enough = has_space_ ? options_.segment_bytes / 2 : options_.unprepared_bytes;
  const bool wanted = options_.synced && options_.threads && preparation_ == preparation::none && filled_ > enough;
  if (wanted) preparation_ = preparation::wanted;
  if (wanted || asleep_) changed_.notify_all();
}

void log_writer::note_high_water() {
  std::unique_lock lock(mutex_);
  if (reached_.through == noted_.through) return;
  const auto mark = reached_;
  lock.unlock();
  if (!options_.synced) sync_committed();
  store_.note_high_water({store_.identity().id, mark.through, mark.hash});
  lock.lock();
  noted_ = mark;
}

void log_writer::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (preparation_ == preparation::wanted) {
      prepare_next_segment(lock);
    } else {
      note_when_idle(lock);
    }
  }
  if (preparation_ == preparation::wanted) preparation_ = preparation::none;
}

void log_writer::note_when_idle(std::unique_lock<std::mutex>& lock) {
  const auto is_called = [this] { return stopping_ || preparation_ == preparation::wanted; };
  const auto seen = reached_.through;
  if (seen == noted_.through) {
    asleep_ = true;
    changed_.wait(lock, [&] { return is_called() || reached_.through != seen; });
    asleep_ = false;
    return;
  }
  if (changed_.wait_for(lock, idle_after, is_called) || reached_.through != seen) return;
  lock.unlock();
  std::string failure;
  try {
    note_high_water();
  } catch (const error& reason) {
    failure = reason.detail();
    options_.warn("cannot note how far the log reaches: " + failure);
  }
  lock.lock();
  if (failure.empty()) return;
  noted_.through = seen;  // not again before there is more
  if (!options_.synced) background_failure_ = failure;
}

void log_writer::prepare_next_segment(std::unique_lock<std::mutex>& lock) {
  std::unique_ptr<file> next;
  try {
    lock.unlock();
    next = open_file(*store_.log(), next_segment_name, open_mode::open_or_create);
    const auto status = uninterrupted([&] { return next->truncate(0); });
    if (status < 0) fail_io(path_in(*store_.log(), next_segment_name), "truncate", -status);
    lock.lock();
    fill_with_zeros(*next, lock);
    preparation_ = preparation::ready;
  } catch (const error& reason) {
    // The store goes on without: then its segments grow.
    options_.warn("cannot prepare the next segment of the log: " + reason.detail());
    if (!lock.owns_lock()) lock.lock();
    preparation_ = preparation::impossible;
  }
  prepared_ = std::move(next);
  next_is_ready_ = preparation_ == preparation::ready;
  changed_.notify_all();
}

void log_writer::fill_with_zeros(file& next, std::unique_lock<std::mutex>& lock) {
  static const std::string zeros(piece_bytes, '\0');
  const auto path = path_in(*store_.log(), next_segment_name);
  const auto is_stopped = [this] { return stopping_ || is_needed_now_; };
  std::uint64_t pieces = 0;
  for (std::uint64_t at = 0; at < options_.segment_bytes && !is_stopped(); at += piece_bytes) {
    const bool is_late = filled_ > options_.segment_bytes / 8 * 7;
    lock.unlock();
    write_fully(next, path, std::string_view(zeros).substr(0, std::min(piece_bytes, options_.segment_bytes - at)), at);
    if (++pieces % synced_pieces == 0) sync_file(next, path);
    lock.lock();
    if (!is_late) changed_.wait_for(lock, pause, is_stopped);
  }
  lock.unlock();
  sync_file(next, path);
  lock.lock();
}

}  // namespace cairn::detail
