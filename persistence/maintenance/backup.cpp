// Backups: a second folder whose log follows the store's. A history only grows, so a backup is brought up to date by what was
// appended since; a chain of hashes shows that it is the same history.
#include <cairn/maintenance.hpp>

#include "../derived/rocksdb_derived.hpp"
#include "new_folder.hpp"
#include "whole_log.hpp"

#include <cairn/error.hpp>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <optional>
#include <string>

namespace cairn::inline v1 {
namespace {

namespace fs = std::filesystem;
using detail::log_place;

constexpr std::size_t copied_at_once = std::size_t{1} << 20;
/// A segment that is being copied.
constexpr const char* unfinished_copy = "copying";

/// Where a log ends, and its last commit.
struct extent {
  log_place end;
  log_place last_commit;
  detail::digest before_last{};  ///< the hash of the chunk before that commit
  chain_head head;
};

/// Reads a log from a commit on, in front of which the chain has the hash `before`. `passed` is called behind each commit.
extent read_log(
    detail::whole_log& log, const log_place& from, const detail::digest& before, detail::progress_report& progress,
    const std::function<void()>& passed = [] {}) {
  extent found{from, from, before, {}};
  const auto end = log.scan_from(
      from, before, [&](detail::chunk_reader& chunk, std::uint64_t) { progress.add(chunk.count()); },
      [&](const log_place& commit, const detail::digest& hash) {
        found.last_commit = commit;
        found.before_last = hash;
        passed();
      });
  found.end = end.place;
  found.head = log.chain().head();
  return found;
}

/// Whether the copy of a finished segment may be a second name of the same file.
enum class sharing { allowed, forbidden };

/// A folder that receives segments.
class log_copy {
public:
  log_copy(detail::folder& from, detail::folder& into, sharing shares) : from_(from), into_(into), shares_(shares) {
    remove_unfinished();
  }

  std::uint64_t copied() const { return copied_; }

  /// A finished segment: by a second name, if both folders are on one file system that has such. Replaces what the copy has of
  /// it, so that only extend() writes to a file of the copy, and never to one that is shared.
  void copy_finished(position first) {
    const auto name = detail::segment_name(first);
    const bool shared =
        shares_ == sharing::allowed && detail::uninterrupted([&] { return from_.link(name, into_, unfinished_copy); }) == 0;
    if (!shared) return copy_new(first, size_of(*open_file(from_, name, detail::open_mode::read), detail::path_in(from_, name)));
    rename_file(into_, unfinished_copy, name);
    remove_unfinished();  // a file's own second name does not replace the first
  }

  /// The first `bytes` of a segment that the copy does not have.
  void copy_new(position first, std::uint64_t bytes) {
    {
      const auto written = open_file(into_, unfinished_copy, detail::open_mode::create);
      copy_bytes(first, *written, detail::path_in(into_, unfinished_copy), 0, bytes);
    }
    rename_file(into_, unfinished_copy, detail::segment_name(first));
  }

  /// What the last segment of the copy lacks.
  void extend(position first, std::uint64_t from, std::uint64_t to) {
    const auto name = detail::segment_name(first);
    const auto written = open_file(into_, name, detail::open_mode::write);
    const auto cut = detail::uninterrupted([&] { return written->truncate(from); });
    if (cut < 0) detail::fail_io(detail::path_in(into_, name), "truncate", -cut);
    copy_bytes(first, *written, detail::path_in(into_, name), from, to);
  }

private:
  void remove_unfinished() {
    if (open_file_if_any(into_, unfinished_copy, detail::open_mode::read)) remove_file(into_, unfinished_copy);
  }

  void copy_bytes(position first, detail::file& written, const std::string& path, std::uint64_t from, std::uint64_t to) {
    const auto name = detail::segment_name(first);
    const auto read = open_file(from_, name, detail::open_mode::read);
    std::string buffer;
    for (auto at = from; at < to; at += buffer.size()) {
      buffer.resize(std::min<std::uint64_t>(copied_at_once, to - at));
      buffer.resize(detail::read_fully(*read, detail::path_in(from_, name), buffer.data(), buffer.size(), at));
      if (buffer.empty()) break;  // what is beyond the end of a file counts as zeros
      detail::write_fully(written, path, buffer, at);
      copied_ += buffer.size();
    }
    detail::sync_file(written, path);
  }

  detail::folder& from_;
  detail::folder& into_;
  const sharing shares_;
  std::uint64_t copied_ = 0;
};

/// Copies the segments of `source` up to `end`, of which the copy has those before `from`, a place in its last one.
void copy_log(const detail::segment_files& source, const log_place& end, const std::optional<log_place>& from, log_copy& copy) {
  const auto last = source.at_address(end.address);
  const auto begin = from ? source.at_address(from->address) : 0;
  for (auto index = begin; index < last; ++index) copy.copy_finished(source.header(index).first);
  const auto header = source.header(last);
  if (!from || begin < last) {
    copy.copy_new(header.first, end.address - header.base);
  } else if (end.address > from->address) {
    copy.extend(header.first, from->address - header.base, end.address - header.base);
  }
}

void finish(detail::store_folder& copy, const extent& reached) {
  sync_names(*copy.log());
  copy.note_high_water({copy.identity().id, reached.head.through, detail::as_digest(reached.head)});
  sync_names(copy.root());
}

/// The backup, locked, and how far it goes. Makes it if it is missing.
class backup_folder {
public:
  backup_folder(const fs::path& path, const detail::store_identity& store, detail::progress_report& progress)
      : folder_(open(path, store)) {
    detail::whole_log log(path);
    if (log.store().identity().id != store.id) {
      throw error(errc::invalid_argument, path.string() + ": holds the backup of another store; choose another folder");
    }
    reached_ = read_log(log, {}, log.chain().hash(), progress);
    last_segment_ = log.segments().header(log.segments().at_address(reached_.end.address)).first;
  }

  detail::store_folder& folder() { return folder_; }
  const extent& reached() const { return reached_; }

  /// Notes how far the backup is whole, and that it is so no further until end_update(). Removes what an interrupted update left.
  void begin_update() {
    finish(folder_, reached_);
    open_file(folder_.root(), detail::backing_up_name, detail::open_mode::open_or_create);
    sync_names(folder_.root());
    for (const auto& name : names_in(*folder_.log())) {
      const auto first = detail::position_in_name(name);
      if (first && *first > last_segment_) remove_file(*folder_.log(), name);
    }
  }
  void end_update() {
    remove_file(folder_.root(), detail::backing_up_name);
    sync_names(folder_.root());
  }

private:
  static detail::store_folder open(const fs::path& path, const detail::store_identity& store) {
    auto& files = detail::real_file_system();
    return detail::store_folder::open_for_writing(files, path, store.created, [&] { return store.id; });
  }

  detail::store_folder folder_;
  extent reached_;
  position last_segment_;
};

}  // namespace

backup_result backup_store(const fs::path& folder, const fs::path& backup, const progress_function& tell) {
  detail::whole_log source(folder);
  if (std::error_code missing; fs::equivalent(folder, backup, missing)) {
    throw error(errc::invalid_argument, backup.string() + ": is the store itself; choose another folder for its backup");
  }
  detail::progress_report progress(tell, 2 * source.known_end().value);
  backup_folder existing(backup, source.store().identity(), progress);
  const auto& reached = existing.reached();
  const auto other_history = [&](const std::string& why) {
    return error(errc::invalid_argument, backup.string() + ": the store does not continue the history of this backup: " + why +
                                             ". Choose another folder for this store");
  };
  const auto has_others = [&] {
    return other_history("it has other records from position " + std::to_string(reached.last_commit.next.value) +
                         " on, or the same in other places, as after an import");
  };
  extent now;
  bool continues = reached.end.next == position{1};
  try {
    now = read_log(source, reached.last_commit, reached.before_last, progress,
                   [&] { continues = continues || source.chain().head() == reached.head; });
  } catch (const error& failure) {
    if (failure.kind() != errc::corrupt_record) throw;
    // Either the store is damaged, which reading all of it shows, or it is another history.
    detail::whole_log again(folder);
    read_log(again, {}, again.chain().hash(), progress);
    throw has_others();
  }
  if (now.end.next < reached.end.next) {
    throw other_history("it ends before position " + std::to_string(reached.head.through.value) + ", to which the backup goes");
  }
  if (!continues) throw has_others();
  existing.begin_update();
  log_copy copy(*source.store().log(), *existing.folder().log(), sharing::allowed);
  copy_log(source.segments(), now.end, reached.end, copy);
  finish(existing.folder(), now);
  detail::whole_log written(backup);
  const auto checked = read_log(written, reached.last_commit, reached.before_last, progress);
  if (checked.head != now.head) {
    throw error(errc::corrupt_record, backup.string() + ": the backup was not written as it was read; choose another disk");
  }
  existing.end_update();
  progress.end();
  return {checked.head, copy.copied()};
}

chain_head restore_store(const fs::path& backup, const fs::path& folder, const progress_function& tell) {
  detail::whole_log source(backup);
  detail::new_folder place(folder, "restore");
  detail::progress_report progress(tell, source.known_end().value);
  const auto all = read_log(source, {}, source.chain().hash(), progress);
  {
    auto made = detail::store_folder::make(detail::real_file_system(), place.path(), source.store().identity());
    remove_file(*made.log(), detail::segment_name(position{1}));
    // Not by second names: the store may get another owner than the backup.
    log_copy copy(*source.store().log(), *made.log(), sharing::forbidden);
    copy_log(source.segments(), all.end, std::nullopt, copy);
    finish(made, all);
  }
  detail::whole_log written(place.path(), detail::completeness::not_required);
  if (read_log(written, {}, written.chain().hash(), progress).head != all.head) {
    throw error(errc::corrupt_record, folder.string() + ": the store was not written as it was read");
  }
  progress.end();
  place.become_target();
  return all.head;
}

void rebuild_store(const fs::path& folder) {
  auto& files = detail::real_file_system();
  if (detail::kind_of_folder(files, folder) != detail::folder_kind::store) {
    detail::store_folder::open_for_reading(files, folder);  // throws what it is instead
  }
  const auto store = detail::store_folder::open_for_writing(files, folder, system_now(), detail::random_store_id);
  try {
    store.open_segments();  // fails if there is nothing to make an index of
  } catch (const error& failure) { throw store.damaged(failure); }
  detail::remove_derived(store);
}

}  // namespace cairn
