#include "segment_files.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace cairn::inline v1::detail {
namespace {

constexpr std::size_t open_files_max = 16;
/// How far apart in a segment the noted places are, at least.
constexpr std::uint64_t noted_bytes = std::uint64_t{64} << 10;

}  // namespace

segment_files::segment_files(std::shared_ptr<folder> log, std::optional<store_identity>& store, std::string* problem)
    : log_(std::move(log)) {
  try {
    read_headers(store);
  } catch (const error& failure) {
    if (!problem) throw;
    *problem = failure.detail();
  }
  if (store) store_ = store->id;
}

void segment_files::read_headers(std::optional<store_identity>& store) const {
  for (const auto& name : names_in(*log_)) {
    const auto first = position_in_name(name);
    if (!first || (!segments_.empty() && *first <= segments_.back().header.first)) continue;
    const auto header = read_header(*first, store);
    const auto number = segments_.empty() ? 1 : segments_.back().header.number + 1;
    if (header.number != number) {
      const auto missing =
          number == 1 ? std::string("the first segment") : "the segment after " + segment_name(segments_.back().header.first);
      throw error(errc::corrupt_record, log_->path() + ": " + missing + " is missing; the next one is " + name);
    }
    if (number == 1 && (header.first != position{1} || header.base != 0)) {
      throw error(errc::corrupt_record, path_in(*log_, name) + ": is not the first segment, as it says");
    }
    if (number > 1 && header.base <= segments_.back().header.base) {
      throw error(errc::corrupt_record, path_in(*log_, name) + ": does not begin behind the segment before");
    }
    segments_.push_back({header, {}});
  }
}

segment_header segment_files::read_header(position first, std::optional<store_identity>& store) const {
  const auto name = segment_name(first);
  const auto path = path_in(*log_, name);
  const auto opened = open_file(*log_, name, open_mode::read);
  segment_header header;
  const auto problem = decode_segment_header(contents_of(*opened, path, segment_header_bytes), header);
  if (problem == header_problem::too_new) {
    throw error(errc::unknown_format, path + ": was written by a newer version of cairn; open it with that version");
  }
  if (problem != header_problem::none) throw error(errc::corrupt_record, path + ": has a damaged header");
  if (header.first != first) {
    throw error(errc::corrupt_record, path + ": begins at position " + std::to_string(header.first.value) +
                                          " by its header; it has another segment's name");
  }
  if (!store) store = header.store;
  if (header.store.id != store->id || header.store.partition != store->partition || header.store.created != store->created) {
    throw error(errc::corrupt_record, path + ": belongs to another store");
  }
  return header;
}

std::size_t segment_files::count() const {
  const std::lock_guard lock(mutex_);
  return segments_.size();
}

segment_header segment_files::header(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  return segments_.at(index).header;
}

std::size_t segment_files::index_of(std::uint64_t address) const {
  const auto above = std::upper_bound(segments_.begin(), segments_.end(), address,
                                      [](std::uint64_t value, const segment& one) { return value < one.header.base; });
  return static_cast<std::size_t>(std::max<std::ptrdiff_t>(above - segments_.begin(), 1)) - 1;
}

std::size_t segment_files::at_address(std::uint64_t address) const {
  const std::lock_guard lock(mutex_);
  return index_of(address);
}

std::size_t segment_files::at_position(position where) const {
  const std::lock_guard lock(mutex_);
  const auto above = std::upper_bound(segments_.begin(), segments_.end(), where,
                                      [](position value, const segment& one) { return value < one.header.first; });
  return static_cast<std::size_t>(std::max<std::ptrdiff_t>(above - segments_.begin(), 1)) - 1;
}

std::shared_ptr<file> segment_files::open(std::size_t index) const {
  const std::lock_guard lock(mutex_);
  return open_locked(index);
}

segment_files::opened_segment segment_files::open_at(std::uint64_t address) const {
  const std::lock_guard lock(mutex_);
  const auto index = index_of(address);
  const bool is_last = index + 1 == segments_.size();
  return {open_locked(index), segments_.at(index).header.base,
          is_last ? std::numeric_limits<std::uint64_t>::max() : segments_[index + 1].header.base};
}

std::string segment_files::describe(std::uint64_t address) const {
  const auto index = at_address(address);
  return path_of(index) + ", offset " + std::to_string(address - header(index).base);
}

std::shared_ptr<file> segment_files::open_locked(std::size_t index) const {
  ++uses_;
  for (auto& known : open_) {
    if (known.index != index) continue;
    known.used = uses_;
    return known.opened;
  }
  const auto name = segment_name(segments_.at(index).header.first);
  std::shared_ptr<file> opened = open_file_if_any(*log_, name, open_mode::read);
  if (!opened) throw error(errc::corrupt_record, path_in(*log_, name) + ": the segment is missing");
  if (open_.size() == open_files_max) {
    open_.erase(std::min_element(open_.begin(), open_.end(),
                                 [](const cached_file& left, const cached_file& right) { return left.used < right.used; }));
  }
  open_.push_back({index, opened, uses_});
  return opened;
}

void segment_files::add(const segment_header& header) {
  const std::lock_guard lock(mutex_);
  segments_.push_back({header, {}});
}

bool segment_files::refresh() const {
  const std::lock_guard lock(mutex_);
  const auto before = segments_.size();
  std::optional<store_identity> store = segments_.empty() ? std::nullopt : std::optional(segments_.front().header.store);
  read_headers(store);
  return segments_.size() > before;
}

log_place segment_files::near(position where) const {
  const auto index = at_position(where);
  const std::lock_guard lock(mutex_);
  const auto& [header, noted] = segments_[index];
  const auto above = std::upper_bound(noted.begin(), noted.end(), where,
                                      [](position value, const log_place& place) { return value < place.next; });
  if (above != noted.begin()) return *std::prev(above);
  return {header.base + segment_header_bytes, header.first};
}

void segment_files::note(const log_place& place) const {
  const auto index = at_address(place.address);
  const std::lock_guard lock(mutex_);
  auto& noted = segments_[index].noted;
  const auto above = std::upper_bound(noted.begin(), noted.end(), place.address,
                                      [](std::uint64_t value, const log_place& known) { return value < known.address; });
  const auto before = above == noted.begin() ? segments_[index].header.base : std::prev(above)->address;
  if (place.address < before + noted_bytes || (above != noted.end() && above->address < place.address + noted_bytes)) return;
  noted.insert(above, place);
}

std::string_view chunk_fetcher::fetch(std::uint64_t address) {
  if (!from_.opened || address < from_.base || address >= from_.end) from_ = files_.open_at(address);
  const auto read = [&](std::size_t at, std::size_t bytes) {
    static const std::string what = "the log";
    return read_fully(*from_.opened, what, buffer_.data() + at, bytes, address - from_.base + at);
  };
  buffer_.resize(chunk_length_bytes + chunk_bytes_max);
  auto got = read(0, buffer_.size());
  std::uint32_t length = 0;
  if (got >= chunk_length_bytes) std::memcpy(&length, buffer_.data(), chunk_length_bytes);
  if (length < chunk_header_bytes || length > commit_bytes_max) {
    throw error(errc::corrupt_record, files_.describe(address) + ": there is no chunk");
  }
  const auto wanted = chunk_length_bytes + std::size_t{length};
  if (wanted > buffer_.size()) {
    buffer_.resize(wanted);
    got += read(got, wanted - got);
  }
  if (wanted > got) throw error(errc::corrupt_record, files_.describe(address) + ": the file ends within the chunk");
  return std::string_view(buffer_).substr(chunk_length_bytes, length);
}

}  // namespace cairn::detail
