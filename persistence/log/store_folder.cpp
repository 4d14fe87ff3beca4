#include "store_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

namespace cairn::inline v1::detail {
namespace {

namespace fs = std::filesystem;

constexpr const char* identity_unfinished = "identity.new";

std::shared_ptr<folder> open_root(file_system& files, const fs::path& path) {
  std::shared_ptr<folder> opened;
  const auto status = uninterrupted([&] { return files.open_folder(path, opened); });
  if (status == -ENOENT) return nullptr;
  if (status < 0) fail_io(path.string(), "open the folder", -status);
  return opened;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The folder log/. nullptr if there is none, or a file has that name.
std::shared_ptr<folder> log_folder(folder& root) {
  std::shared_ptr<folder> opened;
  const auto status = uninterrupted([&] { return root.open_folder(log_name, opened); });
  if (status == -ENOENT || status == -ENOTDIR) return nullptr;
  if (status < 0) fail_io(path_in(root, log_name), "open the folder", -status);
  return opened;
}

/// Whether the folder has a segment, whose header has the store's identity. A creation that was interrupted may leave a shorter
/// file.
bool has_segment(folder& root) {
  const auto log = log_folder(root);
  if (!log) return false;
  for (const auto& name : names_in(*log)) {
    if (!position_in_name(name)) continue;
    const auto segment = open_file(*log, name, open_mode::read);
    const auto header = contents_of(*segment, path_in(*log, name), segment_header_bytes);
    if (header.find_first_not_of('\0') != header.npos) return true;
  }
  return false;
}

/// Whether the file `identity` is sound: another program's folder may have a file of that name.
bool has_identity(folder& root) {
  const auto opened = open_file_if_any(root, identity_name, open_mode::read);
  store_identity found;
  const auto problem =
      opened ? decode_identity(contents_of(*opened, path_in(root, identity_name), identity_bytes), found) : header_problem::blank;
  return problem == header_problem::none || problem == header_problem::too_new;
}

/// Whether a creation that was interrupted can have left these names. What is in log/ then is removed by the next one.
bool is_interrupted_creation(folder& root, const std::vector<std::string>& names) {
  const auto is_ours = [](const std::string& name) {
    return name == lock_name || name == log_name || name == high_water_name || name == identity_unfinished ||
           name == unfinished_name;
  };
  if (!std::all_of(names.begin(), names.end(), is_ours)) return false;
  if (!contains(names, log_name)) return true;
  const auto log = log_folder(root);
  const auto segments = log ? names_in(*log) : std::vector<std::string>{log_name};
  return std::all_of(segments.begin(), segments.end(), [](const auto& name) { return position_in_name(name).has_value(); });
}

folder_kind kind_of(folder& root) {
  const auto names = names_in(root);
  if (contains(names, identity_name) && has_identity(root)) return folder_kind::store;
  if (contains(names, "CURRENT")) return folder_kind::older_store;
  if (has_segment(root)) return folder_kind::store;  // its identity was removed or damaged, or did not reach the disk
  return is_interrupted_creation(root, names) ? folder_kind::empty : folder_kind::other;
}

[[noreturn]] void refuse(folder_kind kind, folder* root, const fs::path& path) {
  switch (kind) {
  case folder_kind::older_store:
    throw error(errc::unknown_format, path.string() +
                                          ": holds a RocksDB database: a store of format 1, or another program's. Export a "
                                          "store of format 1 with the version of cairn that wrote it, and import it here");
  case folder_kind::other: {
    const auto names = names_in(*root);
    throw error(errc::unknown_format,
                path.string() + ": is not a cairn store: it holds " + names.front() + "; choose another folder, or an empty one");
  }
  default: throw error(errc::invalid_argument, path.string() + ": there is no store here");
  }
}

void require_complete(folder& root, completeness complete) {
  if (complete == completeness::not_required || !open_file_if_any(root, unfinished_name, open_mode::read)) return;
  throw error(errc::unknown_format, root.path() + ": was left by an import or a restore that did not finish; delete it");
}

std::unique_ptr<file_lock> lock(folder& root) {
  std::unique_ptr<file_lock> lock;
  const auto status = uninterrupted([&] { return root.lock(lock_name, lock); });
  if (status == -EWOULDBLOCK) {
    throw error(errc::store_in_use,
                root.path() + ": the store is open in this or another process; close it there, or choose another folder");
  }
  if (status < 0) fail_io(path_in(root, lock_name), "lock", -status);
  return lock;
}

}  // namespace

folder_kind kind_of_folder(file_system& files, const fs::path& path) {
  const auto root = open_root(files, path);
  return root ? kind_of(*root) : folder_kind::missing;
}

void make_durable_folder(file_system& files, const fs::path& path) {
  const auto absolute = fs::absolute(path).lexically_normal();
  const auto folder_path = absolute.has_filename() ? absolute : absolute.parent_path();
  const auto above = folder_path.parent_path();
  if (!open_root(files, folder_path)) {
    if (above != folder_path && !open_root(files, above)) make_durable_folder(files, above);
    const auto status = uninterrupted([&] { return files.make_folder(folder_path); });
    if (status < 0 && status != -EEXIST) fail_io(folder_path.string(), "make the folder", -status);
  }
  if (above == folder_path) return;
  std::shared_ptr<folder> parent;
  const auto status = uninterrupted([&] { return files.open_folder(above, parent); });
  if (status == -EACCES) return;  // who may not read that folder cannot have made this one in it
  if (status < 0) fail_io(above.string(), "open the folder", -status);
  sync_names(*parent);
}

store_id random_store_id() {
  std::random_device random;
  store_id id;
  for (std::size_t at = 0; at < id.size(); at += sizeof(std::uint32_t)) {
    const auto some = static_cast<std::uint32_t>(random());
    std::memcpy(id.data() + at, &some, sizeof some);
  }
  return id;
}

store_folder::store_folder(std::shared_ptr<folder> root, std::unique_ptr<file_lock> held)
    : root_(std::move(root)), lock_(std::move(held)) {}

store_folder store_folder::open_for_reading(file_system& files, const fs::path& path, completeness complete) {
  auto root = open_root(files, path);
  const auto kind = root ? kind_of(*root) : folder_kind::missing;
  if (kind == folder_kind::store || kind == folder_kind::empty) require_complete(*root, complete);
  if (kind != folder_kind::store) refuse(kind, root.get(), path);
  store_folder opened(std::move(root), nullptr);
  opened.read_identity();
  opened.read_high_water();
  return opened;
}

store_folder store_folder::open_for_writing(file_system& files, const fs::path& path, timestamp now,
                                            const std::function<store_id()>& make_id, completeness complete) {
  auto root = open_root(files, path);
  if (root) {
    if (const auto kind = kind_of(*root); kind == folder_kind::older_store || kind == folder_kind::other) {
      refuse(kind, root.get(), path);
    }
    require_complete(*root, complete);
  }
  make_durable_folder(files, path);
  if (!root) root = open_root(files, path);
  if (!root) throw error(errc::journal_unavailable, path.string() + ": the folder was removed while it was opened");
  auto held = lock(*root);
  store_folder opened(std::move(root), std::move(held));
  if (kind_of(opened.root()) != folder_kind::store) {
    opened.create({.id = make_id(), .created = now});
  } else {
    opened.read_identity();
    opened.read_high_water();
    opened.sync_what_was_found();
    if (opened.identity_is_lost_) replace_file(opened.root(), identity_name, encode_identity(opened.identity()));
  }
  opened.high_water_file_ = open_file(opened.root(), high_water_name, open_mode::open_or_create);
  return opened;
}

store_folder store_folder::make(file_system& files, const fs::path& path, const store_identity& identity) {
  auto root = open_root(files, path);
  if (!root) throw error(errc::invalid_argument, path.string() + ": there is no such folder");
  if (const auto kind = kind_of(*root); kind != folder_kind::empty) {
    throw error(errc::invalid_argument, path.string() + ": the folder is not empty");
  }
  auto held = lock(*root);
  store_folder made(std::move(root), std::move(held));
  made.create(identity);
  made.high_water_file_ = open_file(made.root(), high_water_name, open_mode::open_or_create);
  return made;
}

// The identity comes last: it makes the folder a store.
void store_folder::create(const store_identity& identity) {
  identity_ = identity;
  log_ = open_folder(*root_, log_name, true);
  for (const auto& name : names_in(*log_)) remove_file(*log_, name);
  segment_header header;
  header.store = identity;
  sha256 hash;
  header.previous = hash({identity.id.data(), identity.id.size()});
  const auto name = segment_name(header.first);
  const auto segment = open_file(*log_, name, open_mode::create);
  write_fully(*segment, path_in(*log_, name), encode_segment_header(header), 0);
  sync_file(*segment, path_in(*log_, name));
  sync_names(*log_);
  {
    const auto mark = open_file(*root_, high_water_name, open_mode::open_or_create);
    write_fully(*mark, path_in(*root_, high_water_name), std::string(high_water_bytes, '\0'), 0);
    sync_file(*mark, path_in(*root_, high_water_name));
  }
  replace_file(*root_, identity_name, encode_identity(identity));
}

void store_folder::read_identity() {
  log_ = open_folder(*root_, log_name, false);
  if (!log_) throw error(errc::corrupt_store, path() + ": the folder log/ is missing." + what_to_do);
  const auto opened = open_file_if_any(*root_, identity_name, open_mode::read);
  if (opened) {
    const auto name = path_in(*root_, identity_name);
    store_identity found;
    switch (decode_identity(contents_of(*opened, name, identity_bytes), found)) {
    case header_problem::none: identity_ = found; return;
    case header_problem::too_new:
      throw error(errc::unknown_format, name + ": was written by a newer version of cairn; open the store with that version");
    case header_problem::blank:
    case header_problem::damaged: break;
    }
  }
  identity_is_lost_ = true;  // and each segment's header has it as well
  segment_files(log_, identity_);
  if (!identity_) throw error(errc::corrupt_store, path() + ": the store's identity is lost." + what_to_do);
}

// A process that died may have left names and bytes that are not durable. What is written from now on relies on them, the index
// too.
void store_folder::sync_what_was_found() {
  std::string last;
  for (const auto& name : names_in(*log_)) {
    if (position_in_name(name)) last = name;
  }
  if (!last.empty()) sync_file(*open_file(*log_, last, open_mode::read), path_in(*log_, last));
  sync_names(*log_);
  sync_names(*root_);
}

void store_folder::read_high_water() {
  const auto opened = open_file_if_any(*root_, high_water_name, open_mode::read);
  if (!opened) return;
  high_water_ = decode_high_water(contents_of(*opened, path_in(*root_, high_water_name), high_water_bytes));
  if (high_water_ && high_water_->store != identity_->id) high_water_.reset();
}

std::unique_ptr<segment_files> store_folder::open_segments() const {
  auto store = identity_;
  return std::make_unique<segment_files>(log_, store);
}

void store_folder::note_high_water(const high_water_mark& mark) {
  const auto name = path_in(*root_, high_water_name);
  write_fully(*high_water_file_, name, encode_high_water(mark), 0);
  sync_file(*high_water_file_, name);
}

bool store_folder::ends_at_high_water() const { return open_file_if_any(*root_, backing_up_name, open_mode::read) != nullptr; }

bool store_folder::is_written() const {
  if (lock_) return false;
  const auto status = uninterrupted([&] { return root_->is_locked(lock_name); });
  if (status < 0) fail_io(path_in(*root_, lock_name), "look at the lock", -status);
  return status == 1;
}

error store_folder::damaged(const error& failure) const {
  if (failure.kind() != errc::corrupt_record) return failure;
  const auto named = failure.detail().starts_with(path()) ? failure.detail() : path() + ": " + failure.detail();
  return {failure.kind(), named + "." + what_to_do};
}

}  // namespace cairn::detail
