// What the tests of exports, backups and the command have in common: stores to work on, and ways to compare them.
#pragma once

#include "../temporary_folder.hpp"

#include "../../persistence/store/store_environment.hpp"

#include <cairn/maintenance.hpp>
#include <cairn/store.hpp>

#include <array>
#include <doctest/doctest.h>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace cairn::tests {

namespace fs = std::filesystem;

inline std::unique_ptr<cairn::store> open_store(const fs::path& folder, durability durability = durability::buffered) {
  return cairn::open_store(folder, {.durability = durability, .block_cache_mib = 8});
}

/// A store whose log soon has many segments.
inline std::unique_ptr<cairn::store> open_with_small_segments(const fs::path& folder, std::uint64_t segment_bytes = 64 << 10) {
  auto environment = detail::usual_environment();
  environment.segment_bytes = segment_bytes;
  environment.unprepared_bytes = segment_bytes / 4;
  return detail::open_embedded_store(folder, {.durability = durability::buffered, .block_cache_mib = 8}, environment);
}

/// An event with all that its record says.
struct event {
  stream_id stream{"product", "1"};
  std::string type = "ADD";
  std::string payload = "\x81\xa5"
                        "count\x03";
  command_options options = {};
  std::string result = {};
  std::uint32_t schema_version = 1;
  timestamp recorded_at{std::chrono::microseconds{1'795'512'600'000'000}};
};

inline std::string frame_of(const event& event, version number, std::uint32_t index = 0, std::uint32_t count = 1) {
  unrecorded_event encoded;
  encoded.stream = event.stream;
  encoded.version = number;
  encoded.type = event.type;
  encoded.schema_version = event.schema_version;
  encoded.recorded_at = event.recorded_at;
  encoded.index = index;
  encoded.count = count;
  encoded.options = &event.options;
  encoded.result = event.result;
  encoded.payload = event.payload;
  std::string frame;
  encode_frame(frame, encoded);
  return frame;
}

/// Appends one decision of ready frames. They must have the next versions of `stream`.
inline void append_frames(journal& store, stream_view stream, std::uint32_t events, std::string_view frames) {
  const std::array<addition, 1> additions{{{stream, store.highest(stream), events, frames}}};
  const std::array<atomic_append, 1> appends{additions};
  std::array<append_outcome, 1> outcomes;
  store.append(appends, outcomes);
  REQUIRE(outcomes[0].stored);
}

/// Appends each event as a decision of its own.
inline void append(journal& store, const std::vector<event>& events) {
  for (const auto& event : events) { append_frames(store, event.stream, 1, frame_of(event, store.highest(event.stream) + 1)); }
}

/// Decisions of one to five events of seven products, `events` in all or a few more.
inline void append_many(journal& store, std::uint64_t events) {
  for (std::uint64_t n = 1; store.last().value < events; ++n) {
    event one;
    one.stream.id = std::to_string(n % 7);
    one.options.command_id = "command " + std::to_string(n);
    const auto count = static_cast<std::uint32_t>(n % 5 + 1);
    std::string frames;
    for (std::uint32_t i = 0; i < count; ++i) frames += frame_of(one, store.highest(one.stream) + (i + 1), i, count);
    append_frames(store, one.stream, count, frames);
  }
}

/// Four records that show most of what an export can hold, in three chunks.
inline void append_few(journal& store) {
  event first;
  first.options.command_id = "enrol";
  first.options.metadata = {{"shop", "north"}};
  append(store, {first});
  append_frames(store, first.stream, 2, frame_of(first, version{2}, 0, 2) + frame_of(first, version{3}, 1, 2));
  event other;
  other.stream.id = "2\xff";
  other.result = "\x07";
  append(store, {other});
}

inline std::vector<std::string> bodies(const journal& store) {
  std::vector<std::string> all;
  store.read_all(position{1}, [&](const record_view& record) {
    all.emplace_back(record.body);
    return true;
  });
  return all;
}

inline std::string export_of(const fs::path& folder, export_format format = export_format::ndjson) {
  std::ostringstream out;
  export_store(folder, out, {.format = format, .progress = {}});
  return out.str();
}

inline chain_head import(const std::string& exported, const fs::path& folder) {
  std::istringstream in(exported);
  return import_store(in, folder);
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

inline std::string text_of(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + '\n';
  return text;
}

inline std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void overwrite(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::size_t entries_of(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

}  // namespace cairn::tests
