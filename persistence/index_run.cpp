#include "index_run.hpp"

#include <cairn/limits.hpp>

#include <cstring>

namespace cairn::detail {
namespace {

constexpr char marker_format = 2;
constexpr char older_marker_format = 1;

void append_varint(std::string& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
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

}  // namespace

bool is_storable(stream_view stream) {
  return !stream.category.empty() && stream.category.size() <= limits::category_bytes_max &&
         stream.id.size() <= limits::id_bytes_max;
}

std::string stream_prefix(stream_view stream) {
  std::string prefix;
  prefix.reserve(5 + stream.category.size() + stream.id.size() + version_suffix_bytes);
  prefix.push_back(static_cast<char>(stream.category.size()));
  prefix.append(stream.category);
  const auto length = __builtin_bswap32(static_cast<std::uint32_t>(stream.id.size()));
  prefix.append(reinterpret_cast<const char*>(&length), 4);
  prefix.append(stream.id);
  return prefix;
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

bool stream_less(stream_view left, stream_view right) {
  if (left.category.size() != right.category.size()) return left.category.size() < right.category.size();
  if (const int order = left.category.compare(right.category); order != 0) return order < 0;
  if (left.id.size() != right.id.size()) return left.id.size() < right.id.size();
  return left.id < right.id;
}

void encode_run(std::string& out, std::span<const place> places) {
  append_varint(out, places.size());
  std::uint64_t chunk = 0;
  for (const auto& place : places) {
    append_varint(out, place.chunk - chunk);
    out.push_back(static_cast<char>(place.slot));
    chunk = place.chunk;
  }
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
