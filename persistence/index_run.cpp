#include "index_run.hpp"

#include <cairn/limits.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace cairn::detail {
namespace {

constexpr char marker_format = 2;
constexpr char older_marker_format = 1;

constexpr std::size_t varint_bytes_max = 10;

// Writes it to where there is room for varint_bytes_max, and returns its end.
char* write_varint(char* to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) *to++ = static_cast<char>(value | 0x80);
  *to++ = static_cast<char>(value);
  return to;
}

void append_varint(std::string& out, std::uint64_t value) {
  std::array<char, varint_bytes_max> bytes;
  out.append(bytes.data(), write_varint(bytes.data(), value));
}

bool take_varint(std::string_view& bytes, std::uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(bytes.front());
    bytes.remove_prefix(1);
    value |= std::uint64_t{byte & 0x7fU} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Eight bytes of a stream's prefix from `depth` on, as a number that is ordered as they are. Past its end they are 0.
std::uint64_t prefix_at(stream_view stream, std::size_t depth) {
  std::array<char, 8> bytes{};
  std::size_t taken = 0;
  const auto take = [&](const void* part, std::size_t size) {
    const auto skipped = std::min(depth, size);
    const auto some = std::min(size - skipped, bytes.size() - taken);
    if (some > 0) std::memcpy(bytes.data() + taken, static_cast<const char*>(part) + skipped, some);
    depth -= skipped;
    taken += some;
  };
  const auto category_bytes = static_cast<char>(stream.category.size());
  take(&category_bytes, 1);
  take(stream.category.data(), stream.category.size());
  const auto length = __builtin_bswap32(static_cast<std::uint32_t>(stream.id.size()));
  take(&length, 4);
  take(stream.id.data(), stream.id.size());
  return __builtin_bswap64(std::bit_cast<std::uint64_t>(bytes));
}

struct sorted_stream {
  std::uint64_t head;  // eight bytes of its prefix
  std::uint32_t index;
};

// Names lie scattered in memory, and comparing them would look at each one many times. So they are looked at in the order in
// which they came, and sorted by the first eight bytes in which not all are equal; only what is equal in these too is looked at
// again. It comes to an end because no prefix is the beginning of another.
void sort_by_prefix(std::span<const stream_state> streams, std::span<sorted_stream> some, std::size_t depth) {
  if (some.size() < 2) return;
  for (std::size_t common = 8; common > 0; depth += common) {
    std::uint64_t differing = 0;
    for (auto& stream : some) {
      stream.head = prefix_at(streams[stream.index].stream(), depth);
      differing |= stream.head ^ some.front().head;
    }
    common = static_cast<std::size_t>(std::countl_zero(differing)) / 8;
  }
  std::sort(some.begin(), some.end(), [](const auto& left, const auto& right) { return left.head < right.head; });
  for (auto from = some.begin(); from != some.end();) {
    const auto to = std::find_if(from, some.end(), [&](const auto& stream) { return stream.head != from->head; });
    sort_by_prefix(streams, {from, to}, depth + 8);
    from = to;
  }
}

}  // namespace

bool is_storable(stream_view stream) {
  return !stream.category.empty() && stream.category.size() <= limits::category_bytes_max &&
         stream.id.size() <= limits::id_bytes_max;
}

std::string stream_prefix(stream_view stream) {
  std::string prefix;
  prefix.reserve(5 + stream.category.size() + stream.id.size() + version_suffix_bytes);
  set_prefix(prefix, stream);
  return prefix;
}

void set_prefix(std::string& key, stream_view stream) {
  key.clear();
  key.push_back(static_cast<char>(stream.category.size()));
  key.append(stream.category);
  const auto length = __builtin_bswap32(static_cast<std::uint32_t>(stream.id.size()));
  key.append(reinterpret_cast<const char*>(&length), 4);
  key.append(stream.id);
}

void set_version(std::string& key, std::size_t prefix_bytes, version number) {
  const auto suffix = __builtin_bswap64(number.value);
  key.resize(prefix_bytes + version_suffix_bytes);
  std::memcpy(key.data() + prefix_bytes, &suffix, version_suffix_bytes);
}

std::optional<stream_view> stream_of(std::string_view key) {
  const auto category_bytes = key.empty() ? 0 : static_cast<std::size_t>(static_cast<unsigned char>(key.front()));
  if (category_bytes == 0 || key.size() < 1 + category_bytes + 4 + version_suffix_bytes) return std::nullopt;
  std::uint32_t length = 0;
  std::memcpy(&length, key.data() + 1 + category_bytes, 4);
  length = __builtin_bswap32(length);
  if (length != key.size() - 1 - category_bytes - 4 - version_suffix_bytes) return std::nullopt;
  return stream_view{key.substr(1, category_bytes), key.substr(1 + category_bytes + 4, length)};
}

std::optional<version> version_of(std::string_view key, std::string_view prefix) {
  if (key.size() != prefix.size() + version_suffix_bytes || !key.starts_with(prefix)) return std::nullopt;
  std::uint64_t suffix = 0;
  std::memcpy(&suffix, key.data() + prefix.size(), version_suffix_bytes);
  return version{__builtin_bswap64(suffix)};
}

std::vector<std::uint32_t> order_by_prefix(std::span<const stream_state> streams) {
  std::vector<sorted_stream> sorted(streams.size());
  for (std::uint32_t i = 0; i < sorted.size(); ++i) sorted[i].index = i;
  sort_by_prefix(streams, sorted, 0);
  std::vector<std::uint32_t> order(sorted.size());
  std::transform(sorted.begin(), sorted.end(), order.begin(), [](const sorted_stream& stream) { return stream.index; });
  return order;
}

void encode_run(std::string& out, std::span<const place> places) {
  const auto start = out.size();
  out.resize(start + varint_bytes_max + places.size() * (varint_bytes_max + 1));
  char* end = write_varint(out.data() + start, places.size());
  std::uint64_t chunk = 0;
  for (const auto& place : places) {
    end = write_varint(end, place.chunk - chunk);
    *end++ = static_cast<char>(place.slot);
    chunk = place.chunk;
  }
  out.resize(static_cast<std::size_t>(end - out.data()));
}

std::optional<std::uint64_t> run_size(std::string_view value) {
  std::uint64_t count = 0;
  if (!take_varint(value, count) || count == 0 || count > run_records_max) return std::nullopt;
  return count;
}

bool decode_run(std::string_view value, std::uint64_t from, std::uint64_t to, std::vector<place>& out) {
  std::uint64_t count = 0;
  if (!take_varint(value, count) || to >= count) return false;
  std::uint64_t chunk = 0;
  for (std::uint64_t i = 0; i <= to; ++i) {
    std::uint64_t delta = 0;
    if (!take_varint(value, delta) || value.empty()) return false;
    chunk += delta;
    if (i >= from) out.push_back({chunk, static_cast<std::uint8_t>(value.front())});
    value.remove_prefix(1);
  }
  return true;
}

std::string newest_key(stream_view stream) {
  auto key = stream_prefix(stream);
  set_version(key, key.size(), newest_key_version);
  return key;
}

std::string encode_newest(version newest) {
  std::string value;
  append_varint(value, newest.value);
  return value;
}

std::optional<version> decode_newest(std::string_view value) {
  std::uint64_t newest = 0;
  if (!take_varint(value, newest) || !value.empty()) return std::nullopt;
  return version{newest};
}

std::string encode_marker(position through) {
  std::string value(1, marker_format);
  value.append(reinterpret_cast<const char*>(&through.value), 8);
  return value;
}

std::optional<marker> decode_marker(std::string_view value) {
  if (value.size() != 9 || (value[0] != marker_format && value[0] != older_marker_format)) return std::nullopt;
  marker decoded;
  std::memcpy(&decoded.through.value, value.data() + 1, 8);
  decoded.older_form = value[0] == older_marker_format;
  return decoded;
}

}  // namespace cairn::detail
