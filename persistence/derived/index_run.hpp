// The keys and values of the index on disk, and the keys of the snapshots, which sort alike.
//
// docs/record_format.md, "The index" and "Snapshots", is the grammar. Knows bytes; knows nothing of RocksDB.
#pragma once

#include "index_memory.hpp"

#include <cairn/identity.hpp>

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::inline v1::detail {

/// Longer histories are cut into runs of this many records, so that a read from the middle decodes little.
inline constexpr std::size_t run_records_max = 1024;

/// Whether an aggregate can have this name at all.
bool is_storable(stream_view stream);

/// What all keys of one aggregate start with, and no key of another.
std::string stream_prefix(stream_view stream);
/// Makes `key` that. Without the price of a new text for each of many.
void set_prefix(std::string& key, stream_view stream);

/// Makes `key`, which holds a stream_prefix() and perhaps a version, the key of `number`.
void set_version(std::string& key, std::size_t prefix_bytes, version number);

inline constexpr std::size_t version_suffix_bytes = 8;

/// The aggregate that `key` is one of. Nothing where it is no such key. The name lives as long as the key.
std::optional<stream_view> stream_of(std::string_view key);

/// The version that ends `key`, where the key is one of the aggregate with this prefix.
std::optional<version> version_of(std::string_view key, std::string_view prefix);

/// The numbers of these aggregates, which have different names, in the order of their prefixes.
std::vector<std::uint32_t> order_by_prefix(std::span<const stream_state> streams);

/// Appends the value of a run to `out`.
void encode_run(std::string& out, std::span<const place> places);

/// How many records a run has. Nothing where the value is damaged.
std::optional<std::uint64_t> run_size(std::string_view value);

/// Appends the places `from` to `to` (counted from 0, inclusive) of a run to `out`. False where the value is damaged.
bool decode_run(std::string_view value, std::uint64_t from, std::uint64_t to, std::vector<place>& out);

/// An aggregate's newest version stands at its key of this version, which no record has and which sorts before its runs: what one
/// Get finds without looking further than where it stands last.
inline constexpr version newest_key_version{0};
std::string newest_key(stream_view stream);
std::string encode_newest(version newest);
std::optional<version> decode_newest(std::string_view value);

/// The key of the mark, which sorts before every run.
inline constexpr std::string_view mark_key{"\0", 1};
std::string encode_mark(const index_mark& mark);
/// Nothing if the value is damaged.
std::optional<index_mark> decode_mark(std::string_view value);

/// Hands the pairs of a generation to `put(key, value)`, in the order of their keys: the mark, and each aggregate's newest
/// version and runs. The views live until `put` returns.
void for_each_pair(const generation& generation, const std::function<void(std::string_view, std::string_view)>& put);

}  // namespace cairn::detail
