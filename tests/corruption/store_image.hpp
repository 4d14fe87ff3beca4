// The files of a store in memory, so that a test can damage any of them, and stores for tests to damage.
#pragma once

#include "../temporary_folder.hpp"

#include "../../persistence/derived/memory_derived.hpp"
#include "../../persistence/log/log_scan.hpp"
#include "../../persistence/store/store_environment.hpp"

#include <cairn/maintenance.hpp>
#include <cairn/memory_journal.hpp>
#include <cairn/store.hpp>
#include <cairn/testkit/drafts.hpp>

#include <algorithm>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace cairn::tests {

namespace fs = std::filesystem;

using testkit::append;
using testkit::draft;
using testkit::numbers_as_text;
using testkit::read;
using testkit::read_all;
using testkit::seen;

inline bool mentions(const std::string& text, std::string_view words) { return text.find(words) != std::string::npos; }

/// The error that `work` throws: its kind and its detail.
template <class Work>
std::pair<std::optional<errc>, std::string> failure_of(Work work) {
  try {
    work();
  } catch (const error& failure) { return {failure.kind(), failure.detail()}; }
  return {std::nullopt, "nothing was thrown"};
}

// --- files ---

inline std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// Replaces a file. A second name of the old one, as backups have them, keeps the old bytes.
inline void overwrite(const fs::path& file, std::string_view bytes) {
  fs::remove(file);
  std::ofstream(file, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline void flip(std::string& bytes, std::uint64_t bit) {
  bytes.at(bit / 8) = static_cast<char>(bytes.at(bit / 8) ^ (1 << bit % 8));
}

/// Files by their paths in the store's folder.
using store_image = std::map<std::string, std::string>;

inline store_image image_of(const fs::path& folder) {
  store_image image;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) image[fs::relative(entry.path(), folder).string()] = contents(entry.path());
  }
  return image;
}

/// The part of an image in one of its folders.
inline store_image part_of(const store_image& image, std::string_view folder) {
  store_image part;
  for (const auto& [name, bytes] : image) {
    if (name.starts_with(folder)) part[name] = bytes;
  }
  return part;
}

/// `image` with its files in `folder` replaced by those of `other`.
inline store_image with_folder_of(store_image image, std::string_view folder, const store_image& other) {
  std::erase_if(image, [&](const auto& file) { return file.first.starts_with(folder); });
  image.merge(part_of(other, folder));
  return image;
}

/// The path of the last segment.
inline std::string last_segment(const store_image& image) { return part_of(image, "log/").rbegin()->first; }

/// A folder that holds one store after another. In memory if the system has a folder there, because many
/// stores come and go.
class store_folder_for_images {
public:
  store_folder_for_images() : path_(path() / "store") {}
  ~store_folder_for_images() {
    std::error_code ignored;
    fs::remove_all(path_.parent_path(), ignored);
  }
  store_folder_for_images(const store_folder_for_images&) = delete;
  store_folder_for_images& operator=(const store_folder_for_images&) = delete;

  const fs::path& store() const { return path_; }
  /// Another folder beside the store, which may not exist.
  fs::path beside(const std::string& name) const { return path_.parent_path() / name; }

  /// Makes the store's files these.
  void put(const store_image& image) {
    if (changed_) current_ = fs::exists(path_) ? image_of(path_) : store_image{};
    changed_ = false;
    for (const auto& [name, bytes] : current_) {
      if (!image.contains(name)) fs::remove(path_ / name);
    }
    for (const auto* folder : {"log", "derived"}) {
      const bool wanted = !part_of(image, folder).empty();
      if (wanted) fs::create_directories(path_ / folder);
      if (!wanted && fs::exists(path_ / folder)) fs::remove_all(path_ / folder);
    }
    for (const auto& [name, bytes] : image) {
      const auto known = current_.find(name);
      if (known == current_.end() || known->second != bytes) overwrite(path_ / name, bytes);
    }
    current_ = image;
  }
  /// Says that something else than put() may have changed files.
  void note_change() { changed_ = true; }

private:
  static fs::path path() {
    const fs::path in_memory = "/dev/shm";
    const auto parent = access(in_memory.c_str(), W_OK) == 0 ? in_memory : fs::temp_directory_path();
    auto name = (parent / "cairn-test-XXXXXX").string();
    if (!mkdtemp(name.data())) throw std::runtime_error("cannot make " + name);
    return name;
  }

  const fs::path path_;
  store_image current_;
  bool changed_ = true;
};

// --- stores ---

/// Index and snapshots in memory. The index outlives the store in `pairs`, as files would.
class derived_in_memory final : public detail::derived_data {
public:
  explicit derived_in_memory(std::shared_ptr<detail::index_pairs> pairs)
      : pairs_(std::move(pairs)), index_(detail::memory_index_storage(*pairs_)), snapshots_(memory_journal()) {}
  detail::index_storage& index() override { return *index_; }
  snapshot_store& snapshots() override { return snapshots_->snapshots(); }
  void flush() override {}
  void check() const override {}

private:
  std::shared_ptr<detail::index_pairs> pairs_;
  std::unique_ptr<detail::index_storage> index_;
  std::unique_ptr<journal> snapshots_;
};

/// Segments of so many bytes, and nothing in the background.
inline constexpr std::uint64_t small_segment_bytes = 2048;

inline detail::store_id id_of_test_stores(char last = '0') {
  detail::store_id id;
  id.fill('i');
  id.back() = last;
  return id;
}

inline detail::store_environment in_small_segments(detail::store_environment environment) {
  environment.segment_bytes = small_segment_bytes;
  environment.unprepared_bytes = small_segment_bytes;
  environment.threads = false;
  environment.make_id = [] { return id_of_test_stores(); };
  environment.now = [] { return timestamp{}; };
  return environment;
}

/// A store with its log alone on the disk. `pairs` holds its index.
inline detail::store_environment log_only(std::shared_ptr<detail::index_pairs> pairs = std::make_shared<detail::index_pairs>()) {
  detail::store_environment environment;
  environment.open_derived = [pairs](const detail::store_folder&, const store_options&) -> std::unique_ptr<detail::derived_data> {
    return std::make_unique<derived_in_memory>(pairs);
  };
  return in_small_segments(std::move(environment));
}

inline store_options small_options(cairn::durability durability = cairn::durability::synced) {
  store_options options;
  options.durability = durability;
  options.block_cache_mib = 1;
  return options;
}

inline std::unique_ptr<store> open_log(const fs::path& folder, const detail::store_environment& environment = log_only(),
                                       const store_options& options = small_options()) {
  return detail::open_embedded_store(folder, options, environment);
}

// --- commits ---

/// Where a commit is.
struct found_commit {
  std::string file;
  std::uint64_t offset;
  std::uint64_t bytes;
  position first;
  std::uint32_t records;
};

/// All commits of a store's log, and where it ends.
inline std::vector<found_commit> commits_in(const fs::path& folder) {
  const auto store = detail::store_folder::open_for_reading(detail::real_file_system(), folder);
  const auto segments = store.open_segments();
  detail::commit_reader reader(*segments, {});
  std::vector<found_commit> commits;
  detail::stored_commit found;
  while (reader.look(found) == detail::commit_reader::finding::commit) {
    const auto header = segments->header(segments->at_address(found.address));
    commits.push_back({"log/" + detail::segment_name(header.first), found.address - header.base, found.header.bytes(),
                       found.header.first, found.header.records});
    reader.pass(found);
  }
  return commits;
}

/// The part of a commit that is in its sector `number`, from 0: offset in the file, and bytes.
inline std::pair<std::uint64_t, std::uint64_t> sector_of(const found_commit& commit, std::uint64_t number) {
  const auto begin = commit.offset / detail::sector_bytes * detail::sector_bytes + number * detail::sector_bytes;
  const auto from = std::max(begin, commit.offset);
  return {from, std::min(begin + detail::sector_bytes, commit.offset + commit.bytes) - from};
}

inline std::uint64_t sectors_of(const found_commit& commit) {
  return (commit.offset + commit.bytes - 1) / detail::sector_bytes - commit.offset / detail::sector_bytes + 1;
}

/// The image after a write of the commit in which the sectors of `missing`, a bit each, did not reach the
/// disk.
inline store_image without_sectors(store_image image, const found_commit& commit, std::uint64_t missing) {
  auto& bytes = image.at(commit.file);
  for (std::uint64_t number = 0; number < sectors_of(commit); ++number) {
    if ((missing >> number & 1) == 0) continue;
    const auto [from, size] = sector_of(commit, number);
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(from), size, '\0');
  }
  return image;
}

}  // namespace cairn::tests
