// The log of a store, read from its first record to its last without opening the store: what verify, export and backup have in
// common.
#pragma once

#include "../log/chain.hpp"
#include "../log/log_scan.hpp"
#include "../log/progress_report.hpp"
#include "../log/store_folder.hpp"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

namespace cairn::inline v1::detail {

/// Thread safety: one thread at a time.
class whole_log {
public:
  /// Opens the folder for reading.
  explicit whole_log(const std::filesystem::path& path, completeness complete = completeness::required);
  /// Opens it so that damage ends the scan, and does not keep the log from being opened.
  static whole_log salvaging(const std::filesystem::path& path) { return whole_log(path, completeness::required, true); }

  const store_folder& store() const { return store_; }
  const segment_files& segments() const { return *segments_; }
  /// Behind the last chunk that was visited.
  const detail::chain& chain() const { return chain_; }
  /// Whether a program had the store open when this was made, or has now.
  bool is_written() const { return was_written_ || store_.is_written(); }
  /// The log's last position, as far as it is known without reading; 0 if it is not.
  position known_end() const { return store_.high_water() ? store_.high_water()->through : position{}; }

  /// Visits every chunk, with the chain behind the one before. Throws what scan_log() throws, with the folder's name.
  log_end scan(chunk_visitor visit, std::function<void(const log_place&, const digest&)> passed = {});
  /// The same from a commit on, behind a chunk with this hash.
  log_end scan_from(const log_place& from, const digest& before, chunk_visitor visit,
                    std::function<void(const log_place&, const digest&)> passed = {});

private:
  whole_log(const std::filesystem::path& path, completeness complete, bool salvages);

  store_folder store_;
  const bool salvages_;
  const bool was_written_;
  std::string problem_;
  std::unique_ptr<segment_files> segments_;
  detail::chain chain_;
};

}  // namespace cairn::detail
