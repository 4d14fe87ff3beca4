// A store as a test sees it from outside: its files, and the errors of those that open it.
#pragma once

#include "journal_conformance.hpp"

#include "../other_process.hpp"
#include "../temporary_folder.hpp"

#include "../../persistence/store/store_environment.hpp"

#include <cairn/maintenance.hpp>
#include <cairn/store.hpp>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::tests {

namespace fs = std::filesystem;

inline const store_options small{
    .durability = durability::buffered, .block_cache_mib = 8, .index_events_in_memory_max = 1'000'000};

inline store_options with_index_of(std::uint64_t events) {
  auto options = small;
  options.index_events_in_memory_max = events;
  return options;
}

/// A store whose log soon has many segments.
inline std::unique_ptr<store> open_with_tiny_segments(const fs::path& folder, const store_options& options = small) {
  auto environment = detail::usual_environment();
  environment.segment_bytes = 4096;
  environment.unprepared_bytes = 1024;
  return detail::open_embedded_store(folder, options, environment);
}

/// The error that `work` throws: its kind and what it says.
template <class Work>
std::pair<std::optional<errc>, std::string> failure_of(Work work) {
  try {
    work();
  } catch (const error& failure) { return {failure.kind(), failure.detail()}; }
  return {std::nullopt, "nothing was thrown"};
}

inline auto failure_of_opening(const fs::path& folder) {
  return failure_of([&] { open_store(folder, small); });
}

inline bool mentions(const std::string& text, std::string_view words) { return text.find(words) != std::string::npos; }

inline std::string contents(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void overwrite(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline void copy_store(const fs::path& from, const fs::path& to) {
  fs::remove_all(to);
  fs::copy(from, to, fs::copy_options::recursive);
}

inline std::size_t entries_of(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), {}));
}

inline fs::path first_segment(const fs::path& folder) { return folder / "log" / detail::segment_name(position{1}); }

/// Three aggregates take turns, one event a call: the n-th record is version (n - 1) / 3 + 1 of product n % 3.
inline void append_in_turns(journal& journal, std::uint64_t events, std::uint64_t from = 1) {
  for (std::uint64_t n = from; n <= events; ++n) {
    append(journal, {"product", std::to_string(n % 3)}, (n - 1) / 3, {"event " + std::to_string(n)});
  }
}

inline void check_turns(const journal& journal, std::uint64_t events) {
  CHECK(journal.last() == position{events});
  const auto all = read_all(journal);
  REQUIRE(all.size() == events);
  std::map<std::string, std::vector<seen>> by_id;
  for (std::uint64_t n = 1; n <= events; ++n) {
    const seen expected{n, {"product", std::to_string(n % 3)}, (n - 1) / 3 + 1, "event " + std::to_string(n)};
    CHECK(all[n - 1] == expected);
    by_id[expected.stream.id].push_back(expected);
  }
  for (const auto& [id, records] : by_id) {
    CHECK(read(journal, {"product", id}) == records);
    CHECK(journal.highest({"product", id}) == version{records.size()});
  }
}

}  // namespace cairn::tests
