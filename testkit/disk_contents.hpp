// The files and folders of a simulated disk. Each has a current and a durable state.
//
// The unsynced changes of a file or a folder turn its durable state into the current one. A sync applies all
// of them to the durable state, a power cut some. This file knows no handles, locks or threads.
#pragma once

#include "simulated_file_system.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace cairn::inline v1::testkit::detail {

using cairn::detail::io_count;
using cairn::detail::io_status;
using cairn::detail::open_mode;

// ----------------------------------------------------------------------------------------------------------
// Files

inline constexpr std::uint64_t sector_bytes = simulated_disk::sector_bytes;
inline constexpr auto unlimited = std::numeric_limits<std::uint64_t>::max();

using sector = std::array<char, sector_bytes>;

/// The part of a transfer that is in one sector.
struct sector_part {
  sector_part(std::uint64_t offset, std::size_t bytes_left)
      : index(offset / sector_bytes), begin(offset % sector_bytes), bytes(std::min(bytes_left, sector_bytes - begin)) {}

  std::uint64_t index;
  std::size_t begin;
  std::size_t bytes;
};

/// The bytes of a file. Missing sectors are holes and read as zeros. The bytes beyond the size are zeros.
struct image {
  sector at(std::uint64_t index) const {
    const auto found = sectors.find(index);
    return found == sectors.end() ? sector{} : *found->second;
  }
  std::size_t read(char* to, std::size_t bytes, std::uint64_t offset) const {
    if (offset >= size) return 0;
    bytes = std::min<std::uint64_t>(bytes, size - offset);
    for (std::size_t done = 0; done < bytes;) {
      const sector_part part(offset + done, bytes - done);
      std::memcpy(to + done, at(part.index).data() + part.begin, part.bytes);
      done += part.bytes;
    }
    return bytes;
  }
  void truncate(std::uint64_t to) {
    sectors.erase(sectors.lower_bound((to + sector_bytes - 1) / sector_bytes), sectors.end());
    if (const auto last = sectors.find(to / sector_bytes); last != sectors.end()) {
      auto shortened = *last->second;
      std::fill(shortened.begin() + static_cast<std::ptrdiff_t>(to % sector_bytes), shortened.end(), '\0');
      last->second = std::make_shared<const sector>(shortened);
    }
    size = to;
  }

  std::uint64_t size = 0;
  std::map<std::uint64_t, std::shared_ptr<const sector>> sectors = {};
};

/// A truncation, or what a write did to one sector.
struct file_change {
  void apply(image& to) const {
    if (!content) return to.truncate(size);
    to.sectors[index] = content;
    to.size = std::max(to.size, size);
  }
  /// Whether this change would be undone if `older` were applied after it.
  bool supersedes(const file_change& older) const { return content ? older.index == index : older.index >= size / sector_bytes; }

  std::uint64_t size;  // after a truncation: exact; after a write: the least that includes the sector's bytes
  std::uint64_t index = 0;
  std::shared_ptr<const sector> content = {};  // nullptr: a truncation
  bool clean = false;                          // whether syncs omit it, because one failed
};

class file_node {
public:
  const image& now() const { return now_; }

  io_count write(std::string_view bytes, std::uint64_t offset, std::uint64_t free_sectors) {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const sector_part part(offset + done, bytes.size() - done);
      if (!now_.sectors.contains(part.index) && free_sectors-- == 0) break;
      auto content = now_.at(part.index);
      std::memcpy(content.data() + part.begin, bytes.data() + done, part.bytes);
      done += part.bytes;
      const auto size = std::min(std::max(now_.size, offset + done), (part.index + 1) * sector_bytes);
      add({size, part.index, std::make_shared<const sector>(content)});
    }
    return done == 0 && !bytes.empty() ? -ENOSPC : static_cast<io_count>(done);
  }
  void truncate(std::uint64_t size) { add({size}); }
  void sync() {
    std::vector<file_change> clean;
    for (const auto& change : changes_) {
      if (change.clean) {
        clean.push_back(change);
        continue;
      }
      change.apply(durable_);
      std::erase_if(clean, [&](const file_change& older) { return change.supersedes(older); });
    }
    changes_ = std::move(clean);
  }
  /// Makes later syncs omit the writes so far. Truncations stay dirty: they change the inode, not its pages.
  void mark_clean() {
    for (auto& change : changes_) change.clean = change.content != nullptr;
  }
  void cut_power(random& chance, remains mode) {
    constexpr std::array shares{0.1, 0.5, 0.9};
    const auto share = mode == remains::sectors ? chance.pick(shares) : 0;
    auto first = mode == remains::everything ? changes_.size() : 0;
    if (mode == remains::prefix) first = chance.below(changes_.size() + 1);
    for (std::size_t place = 0; place < changes_.size(); ++place) {
      if (place < first || chance.chance(share)) changes_[place].apply(durable_);
    }
    if (durable_.size < now_.size && chance.chance(share)) durable_.size = now_.size;
    now_ = durable_;
    changes_.clear();
  }

private:
  void add(const file_change& change) {
    change.apply(now_);
    changes_.push_back(change);
  }

  image now_;
  image durable_;
  std::vector<file_change> changes_;  // turn `durable_` into `now_`
};

// ----------------------------------------------------------------------------------------------------------
// Folders

/// Names a file or a folder. A file may have several names, a folder has one.
using inode = std::uint64_t;
inline constexpr inode none = 0;
inline constexpr inode root = 1;

using names = std::map<std::string, inode>;

/// Removes a name, adds one, or does both.
struct name_change {
  void apply(names& to) const {
    if (!removed.empty()) to.erase(removed);
    if (!added.empty()) to[added] = node;
  }

  std::string removed;
  std::string added;
  inode node = none;
};

class folder_node {
public:
  const names& now() const { return now_; }
  inode find(const std::string& name) const {
    const auto found = now_.find(name);
    return found == now_.end() ? none : found->second;
  }
  /// Whether the folder has lost its name. It is empty then, and stays so.
  bool is_removed() const { return removed_; }
  void set_removed() { removed_ = true; }

  void change(const name_change& next) {
    next.apply(now_);
    changes_.push_back(next);
  }
  void sync() {
    durable_ = now_;
    changes_.clear();
  }
  void cut_power(random& chance, remains mode) {
    auto first = mode == remains::everything ? changes_.size() : 0;
    if (mode == remains::sectors || mode == remains::prefix) first = chance.below(changes_.size() + 1);
    for (std::size_t place = 0; place < first; ++place) changes_[place].apply(durable_);
    now_ = durable_;
    changes_.clear();
    removed_ = false;
  }
  /// Calls `visit` with each inode in the folder; if `cut`, also with those that a power cut may bring back.
  template <class Visit>
  void for_each(bool cut, Visit visit) const {
    for (const auto& [name, node] : now_) visit(node);
    if (!cut) return;
    for (const auto& [name, node] : durable_) visit(node);
    for (const auto& change : changes_) {
      if (change.node != none) visit(change.node);
    }
  }

private:
  names now_;
  names durable_;
  std::vector<name_change> changes_;  // turn `durable_` into `now_`
  bool removed_ = false;
};

// ----------------------------------------------------------------------------------------------------------
// The tree. Calls return 0 or an inode, or a negated errno as Linux does.

class disk_contents {
public:
  /// nullptr if the inode is none or that of a folder.
  file_node* file(inode node) { return find_in(files_, node); }
  /// nullptr if the inode is none or that of a file.
  folder_node* folder(inode node) { return find_in(folders_, node); }

  io_count find(const std::filesystem::path& path) {
    auto at = root;
    for (const auto& name : path.lexically_normal().relative_path()) {
      if (name.empty() || name == ".") continue;
      const auto* const here = folder(at);
      if (!here) return -ENOTDIR;
      at = here->find(name.string());
      if (at == none) return -ENOENT;
    }
    return static_cast<io_count>(at);
  }
  io_count find_folder(const std::filesystem::path& path) {
    const auto found = find(path);
    return found < 0 || folder(static_cast<inode>(found)) ? found : -ENOTDIR;
  }
  io_count open(folder_node& in, const std::string& name, open_mode mode) {
    const auto found = in.find(name);
    if (found != none && mode == open_mode::create) return -EEXIST;
    if (found != none) return folder(found) ? -EISDIR : static_cast<io_count>(found);
    if (mode == open_mode::read || mode == open_mode::write || in.is_removed()) return -ENOENT;
    files_.try_emplace(next_);
    in.change({{}, name, next_});
    return static_cast<io_count>(next_++);
  }
  io_status make_folder(folder_node& in, const std::string& name) {
    if (in.find(name) != none) return -EEXIST;
    if (in.is_removed()) return -ENOENT;
    folders_.try_emplace(next_);
    in.change({{}, name, next_++});
    return 0;
  }
  io_status rename(folder_node& in, const std::string& from, const std::string& to) {
    const auto moved = in.find(from);
    const auto replaced = in.find(to);
    if (moved == none) return -ENOENT;
    if (moved == replaced) return 0;
    auto* const old = folder(replaced);
    if (file(moved) && old) return -EISDIR;
    if (folder(moved) && file(replaced)) return -ENOTDIR;
    if (old && !old->now().empty()) return -ENOTEMPTY;
    if (old) old->set_removed();
    in.change({from, to, moved});
    return 0;
  }
  io_status remove(folder_node& in, const std::string& name) {
    const auto removed = in.find(name);
    if (removed == none) return -ENOENT;
    if (folder(removed)) return -EISDIR;
    in.change({name, {}, none});
    return 0;
  }
  io_status link(folder_node& in, const std::string& name, folder_node& into, const std::string& as) {
    const auto linked = in.find(name);
    if (linked == none) return -ENOENT;
    if (into.find(as) != none) return -EEXIST;
    if (into.is_removed()) return -ENOENT;
    if (folder(linked)) return -EPERM;
    into.change({{}, as, linked});
    return 0;
  }

  /// The paths of all files below `in`, each with `path` before it.
  std::vector<std::string> paths(inode in = root, const std::string& path = {}) {
    std::vector<std::string> found;
    for (const auto& [name, node] : folder(in)->now()) {
      auto below = folder(node) ? paths(node, path + "/" + name) : std::vector{path + "/" + name};
      std::move(below.begin(), below.end(), std::back_inserter(found));
    }
    return found;
  }
  std::uint64_t allocated_sectors(const std::set<inode>& open) const {
    const auto used = reachable(open, false);
    std::uint64_t sectors = 0;
    for (const auto& [node, one] : files_) {
      if (used.contains(node)) sectors += one.now().sectors.size();
    }
    return sectors;
  }
  void cut_power(random& chance, remains mode) {
    for (auto& [node, one] : files_) one.cut_power(chance, mode);
    for (auto& [node, one] : folders_) one.cut_power(chance, mode);
  }
  /// Drops what is not open and has no name, now or after any power cut.
  void drop_unreachable(const std::set<inode>& open) {
    const auto kept = reachable(open, true);
    std::erase_if(files_, [&](const auto& one) { return !kept.contains(one.first); });
    std::erase_if(folders_, [&](const auto& one) { return !kept.contains(one.first); });
  }

private:
  template <class Node>
  static Node* find_in(std::map<inode, Node>& nodes, inode node) {
    const auto found = nodes.find(node);
    return found == nodes.end() ? nullptr : &found->second;
  }
  /// The inodes that are open or have a name; if `cut`, also those that may have one after a power cut.
  std::set<inode> reachable(std::set<inode> found, bool cut) const {
    found.insert(root);
    std::vector<inode> unvisited(found.begin(), found.end());
    while (!unvisited.empty()) {
      const auto here = folders_.find(unvisited.back());
      unvisited.pop_back();
      if (here == folders_.end()) continue;
      here->second.for_each(cut, [&](inode node) {
        if (found.insert(node).second) unvisited.push_back(node);
      });
    }
    return found;
  }

  std::map<inode, file_node> files_;
  std::map<inode, folder_node> folders_ = {{root, {}}};
  inode next_ = root + 1;
};

}  // namespace cairn::testkit::detail
