// A file that is there whole or not at all, and that is known to be writable before the work begins.
#pragma once

#include "output_buffer.hpp"

#include <filesystem>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string_view>

namespace command_line {

/// What is wrong with what the user gave, in a sentence that names the file and, where there is one, the line.
class bad_input : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

class output_file {
public:
  /// Makes `path`.unfinished-XXXXXX and removes those that killed programs left, or opens `path` itself if it is no ordinary file
  /// (a pipe, say). Waiting for its reader ends when the descriptor `wake` has something to read; -1: nothing ends it. Throws
  /// bad_input, with the reason.
  explicit output_file(std::filesystem::path path, int wake = -1);
  /// Removes the unfinished file if finish() was not called.
  ~output_file();
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;

  /// For what is too much to be held whole.
  std::ostream& stream() { return stream_; }
  /// Writes `last`, brings the file to the disk and gives it its name. Throws bad_input, with the reason.
  void finish(std::string_view last = {});
  const std::filesystem::path& path() const { return path_; }
  /// Whether the file itself is written, since it is no ordinary one.
  bool direct() const { return direct_; }

private:
  void remove_leftovers() const;
  bool make_unfinished(const std::filesystem::path& name);
  void close() noexcept;
  [[noreturn]] void fail(int reason) const;

  std::filesystem::path path_;
  bool direct_ = false;
  std::filesystem::path unfinished_;  // empty if there is none, or no more
  int file_ = -1;                     // an unfinished file is locked while it is open
  std::optional<output_buffer> buffer_;
  std::ostream stream_;
};

}  // namespace command_line
