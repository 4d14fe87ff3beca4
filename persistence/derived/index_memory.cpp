#include "index_memory.hpp"

#include <algorithm>
#include <cstring>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace cairn::inline v1::detail {
namespace {

constexpr std::size_t name_block_bytes = 1 << 16;

}  // namespace

std::uint32_t place_list::push(place where, std::uint32_t previous, std::uint32_t stone) {
  const auto [block, offset] = locate(size_);
  if (!blocks_[block]) blocks_[block] = std::make_unique_for_overwrite<entry[]>(std::size_t{first_block} << block);
  blocks_[block][offset] = {{where.chunk << 8 | where.slot}, previous, stone};
  return size_++;
}

void place_list::collect(std::uint32_t tail, std::uint64_t tail_version, std::uint64_t from, std::uint64_t to,
                         std::vector<place>& out) const {
  auto version = tail_version;
  while (version > to) {
    const auto& here = at(tail);
    const auto stone_version = (version - 1) / stride * stride;
    const bool jump = here.stone != none && stone_version >= to;
    tail = jump ? here.stone : here.previous;
    version = jump ? stone_version : version - 1;
  }
  const auto start = out.size();
  out.resize(start + (to - from + 1));
  for (auto place = out.rbegin(); version >= from; --version, ++place) {
    const auto& here = at(tail);
    *place = here.place.unpack();
    tail = here.previous;
  }
}

void place_list::distribute(std::span<std::uint32_t> target, std::span<packed_place> out) const {
  std::uint32_t index = 0;
  for (std::size_t block = 0; index < size_; ++block) {
    const auto entries = std::min<std::uint64_t>(size_ - index, std::uint64_t{first_block} << block);
    for (const auto& here : std::span(blocks_[block].get(), entries)) {
      if (here.previous != none) target[index] = target[here.previous] + 1;
      out[target[index]] = here.place;
      ++index;
    }
  }
}

std::uint64_t stream_table::hash(stream_view stream) {
  const auto seed = XXH3_64bits(stream.category.data(), stream.category.size());
  return XXH3_64bits_withSeed(stream.id.data(), stream.id.size(), seed);
}

void stream_table::prefetch_slot(std::uint64_t hash) const {
  if (!slots_.empty()) __builtin_prefetch(&slots_[hash & (slots_.size() - 1)]);
}

void stream_table::prefetch_state(std::uint64_t hash) const {
  if (slots_.empty()) return;
  const auto index = slots_[hash & (slots_.size() - 1)].index;
  if (index != none) __builtin_prefetch(&states_[index]);
}

void stream_table::prefetch_name(std::uint64_t hash) const {
  if (slots_.empty()) return;
  const auto index = slots_[hash & (slots_.size() - 1)].index;
  if (index != none) __builtin_prefetch(states_[index].name);
}

std::uint32_t stream_table::find(stream_view stream, std::uint64_t hash) const {
  if (slots_.empty()) return none;
  const auto mask = slots_.size() - 1;
  for (auto at = hash & mask; slots_[at].index != none; at = (at + 1) & mask) {
    if (slots_[at].hash == hash && states_[slots_[at].index].stream() == stream) return slots_[at].index;
  }
  return none;
}

std::uint32_t stream_table::insert(stream_view stream, std::uint64_t hash, std::uint64_t base) {
  if (2 * (states_.size() + 1) > slots_.size()) grow();
  const auto index = static_cast<std::uint32_t>(states_.size());
  states_.push_back({.name = keep(stream),
                     .id_bytes = static_cast<std::uint32_t>(stream.id.size()),
                     .category_bytes = static_cast<std::uint8_t>(stream.category.size()),
                     .base = base,
                     .version = base,
                     .staged = base});
  free_slot(slots_, hash) = {hash, index};
  return index;
}

stream_table::slot& stream_table::free_slot(std::vector<slot>& slots, std::uint64_t hash) const {
  const auto mask = slots.size() - 1;
  auto at = hash & mask;
  while (slots[at].index != none) at = (at + 1) & mask;
  return slots[at];
}

void stream_table::grow() {
  std::vector<slot> larger(std::max<std::size_t>(1024, slots_.size() * 2));
  for (const auto& taken : slots_) {
    if (taken.index != none) free_slot(larger, taken.hash) = taken;
  }
  slots_.swap(larger);
}

const char* stream_table::keep(stream_view stream) {
  const auto bytes = stream.category.size() + stream.id.size();
  if (bytes > names_left_) {
    names_left_ = std::max(bytes, name_block_bytes);
    names_.push_back(std::make_unique_for_overwrite<char[]>(names_left_));
  }
  // A block is filled from its end, so that what is left says where.
  names_left_ -= bytes;
  char* const name = names_.back().get() + names_left_;
  std::memcpy(name, stream.category.data(), stream.category.size());
  if (!stream.id.empty()) std::memcpy(name + stream.category.size(), stream.id.data(), stream.id.size());
  return name;
}

void generation::push(std::uint32_t stream, place where) {
  auto& state = streams[stream];
  state.last = places->push(where, state.last, state.stone);
  if (state.first == place_list::none) state.first = state.last;
  if (++state.version % place_list::stride == 0) state.stone = state.last;
}

std::unique_ptr<packed_place[]> generation::places_by(std::span<const std::uint32_t> order) const {
  // Walking each aggregate's list would be a cache miss for every record. This goes through the list once, and what it looks
  // back at was met as many records ago as there are aggregates in use.
  const std::size_t size = places->size();
  const auto target = std::make_unique_for_overwrite<std::uint32_t[]>(size);
  std::uint32_t next = 0;
  for (const auto index : order) {
    const auto& state = streams[index];
    if (state.events() == 0) continue;
    target[state.first] = next;
    next += static_cast<std::uint32_t>(state.events());
  }
  auto out = std::make_unique_for_overwrite<packed_place[]>(size);
  places->distribute({target.get(), size}, {out.get(), size});
  return out;
}

}  // namespace cairn::detail
