// The part of the index that is not on disk yet: one generation of it, from one write-behind to the next.
//
// A table says for each aggregate what its version is and where its newest record is listed; the list, which only grows, leads
// back from there. One thread writes. Readers look into the table under the journal's lock, and then walk the list without it.
#pragma once

#include <cairn/identity.hpp>

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace cairn::inline v1::detail {

/// Where a record is: the log address of its chunk, and its slot in it.
struct place {
  std::uint64_t chunk;
  std::uint8_t slot;
};

/// The same in eight bytes: the address times 256, plus the slot.
struct packed_place {
  std::uint64_t bits;

  place unpack() const { return {bits >> 8, static_cast<std::uint8_t>(bits)}; }
};

/// The records of one generation in the order of their positions, each linked to the one before it of the same aggregate.
/// A published entry never moves and never changes, so reading it needs no lock.
class place_list {
public:
  static constexpr std::uint32_t none = 0xffffffff;
  /// Every so many versions an entry is a stepping stone: walking back to an old version jumps from one to the next.
  static constexpr std::uint64_t stride = 64;

  struct entry {
    packed_place place;
    std::uint32_t previous;  // the entry of the version before, or none
    std::uint32_t stone;     // the entry of the last version before this that stride divides, or none
  };

  std::uint32_t size() const { return size_; }
  std::uint32_t push(place where, std::uint32_t previous, std::uint32_t stone);

  /// Appends the places of the versions `from` to `to` to `out`, oldest first. `tail` is the entry of version `tail_version`,
  /// and every version from `from` on is in this list.
  void collect(std::uint32_t tail, std::uint64_t tail_version, std::uint64_t from, std::uint64_t to,
               std::vector<place>& out) const;

  /// Puts the place of every entry into `out`, those of one aggregate together and in the order of their versions. `target` has
  /// a number for each entry. That of an aggregate's first entry says where in `out` its places begin; the others' are written.
  void distribute(std::span<std::uint32_t> target, std::span<packed_place> out) const;

private:
  static constexpr std::uint32_t first_block = 1024;

  // Block k holds first_block * 2^k entries, so that the list grows without moving what readers look at.
  static std::pair<std::size_t, std::size_t> locate(std::uint32_t index) {
    const std::uint64_t shifted = std::uint64_t{index} + first_block;
    const auto block = static_cast<std::size_t>(std::bit_width(shifted)) - 11;
    return {block, shifted - (std::uint64_t{first_block} << block)};
  }
  const entry& at(std::uint32_t index) const {
    const auto [block, offset] = locate(index);
    return blocks_[block][offset];
  }

  std::array<std::unique_ptr<entry[]>, 23> blocks_;
  std::uint32_t size_ = 0;
};

/// What a generation knows of one aggregate. One cache line: with many aggregates, nothing else of an append costs as much.
struct alignas(64) stream_state {
  const char* name;  // the category, then the id
  std::uint32_t id_bytes;
  std::uint8_t category_bytes;
  std::uint32_t first = place_list::none;  // the entry of version base + 1; none where the generation has no event of it
  std::uint32_t last = place_list::none;   // the entry of `version`; the same
  std::uint32_t stone = place_list::none;  // the newest stepping stone
  std::uint64_t base;                      // its version when the generation first met it
  std::uint64_t version;                   // that of its last durable event
  std::uint64_t staged;                    // with the events of the batch that is being written; for the writer alone

  std::uint64_t events() const { return version - base; }
  stream_view stream() const { return {{name, category_bytes}, {name + category_bytes, id_bytes}}; }
};

/// The aggregates of one generation by name.
class stream_table {
public:
  static constexpr std::uint32_t none = 0xffffffff;

  static std::uint64_t hash(stream_view stream);

  std::size_t size() const { return states_.size(); }
  /// Bring what find() will look at towards the processor. Called for many hashes in a row, one step after the other.
  void prefetch_slot(std::uint64_t hash) const;
  void prefetch_state(std::uint64_t hash) const;
  void prefetch_name(std::uint64_t hash) const;
  std::uint32_t find(stream_view stream, std::uint64_t hash) const;
  /// Adds an aggregate that find() does not know, at version `base`.
  std::uint32_t insert(stream_view stream, std::uint64_t hash, std::uint64_t base);

  stream_state& operator[](std::uint32_t index) { return states_[index]; }
  const stream_state& operator[](std::uint32_t index) const { return states_[index]; }
  const std::vector<stream_state>& states() const { return states_; }

private:
  struct slot {
    std::uint64_t hash;
    std::uint32_t index = none;
  };

  slot& free_slot(std::vector<slot>& slots, std::uint64_t hash) const;
  void grow();
  const char* keep(stream_view stream);

  std::vector<slot> slots_;
  std::vector<stream_state> states_;
  std::vector<std::unique_ptr<char[]>> names_;
  std::size_t names_left_ = 0;
};

/// How far an index goes, and the last commit in it: a walk through the log begins there, so that it also sees whether the log
/// still has what the index speaks of.
struct index_mark {
  position through;             ///< every record up to here is in the index, and no other; 0: none
  std::uint64_t commit = 0;     ///< the address of the commit that has it
  position first{1};            ///< the first record of that commit
  std::array<char, 32> hash{};  ///< of the chunk before it
  std::array<char, 32> head{};  ///< of its last chunk
};

/// One generation. `places` goes when the index on disk has it; the table stays a while, as a cache of versions.
struct generation {
  stream_table streams;
  std::shared_ptr<place_list> places = std::make_shared<place_list>();
  index_mark mark;  // every record up to it is in this generation or an earlier one

  /// The writer's, with the lock held: one more durable event.
  void push(std::uint32_t stream, place where);

  /// The places of all its records: those of one aggregate after those of another, as `order` has the aggregates' numbers, and
  /// each one's in the order of their versions. Takes twelve bytes a record, and gives four of them back.
  std::unique_ptr<packed_place[]> places_by(std::span<const std::uint32_t> order) const;
};

}  // namespace cairn::detail
