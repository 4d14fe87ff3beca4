#include "index_run.hpp"

#include "../../model/varint.hpp"

#include <cairn/limits.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace cairn::inline v1::detail {
namespace {

constexpr char mark_format = 3;
constexpr std::size_t mark_bytes = 1 + 3 * 8 + 2 * 32;

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

std::string encode_mark(const index_mark& mark) {
  std::string value(1, mark_format);
  for (const auto number : {mark.through.value, mark.commit, mark.first.value}) {
    value.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  for (const auto* const hash : {&mark.hash, &mark.head}) value.append(hash->data(), hash->size());
  return value;
}

std::optional<index_mark> decode_mark(std::string_view value) {
  if (value.size() != mark_bytes || value[0] != mark_format) return std::nullopt;
  index_mark decoded;
  const auto* at = value.data() + 1;
  for (auto* const number : {&decoded.through.value, &decoded.commit, &decoded.first.value}) {
    std::memcpy(number, at, sizeof *number);
    at += sizeof *number;
  }
  for (auto* const hash : {&decoded.hash, &decoded.head}) {
    std::memcpy(hash->data(), at, hash->size());
    at += hash->size();
  }
  return decoded;
}

void for_each_pair(const generation& generation, const std::function<void(std::string_view, std::string_view)>& put) {
  const auto& states = generation.streams.states();
  const auto order = order_by_prefix(states);
  const auto sorted = generation.places_by(order);
  put(mark_key, encode_mark(generation.mark));
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
    put(key, encode_newest(version{state.version}));
    for (auto from = state.base; from < state.version; from += run.size()) {
      run.resize(std::min<std::uint64_t>(run_records_max, state.version - from));
      for (auto& place : run) place = next++->unpack();
      set_version(key, prefix_bytes, version{from + 1});
      value.clear();
      encode_run(value, run);
      put(key, value);
    }
  }
}

}  // namespace cairn::detail
