// A file that is there whole or not at all, and that is known to be writable before the work begins.
#pragma once

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

namespace simulation {

class output_file {
public:
  /// Makes `path`.part, or opens `path` itself where it is no ordinary file (a pipe, say). Throws bad_input, with the reason.
  explicit output_file(std::filesystem::path path);
  /// Takes the .part away where finish() has not been called.
  ~output_file();
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;

  /// Writes everything and gives the file its name. Throws bad_input, with the reason.
  void finish(std::string_view contents);
  const std::filesystem::path& path() const { return path_; }

private:
  [[noreturn]] void fail(int reason) const;

  std::filesystem::path path_;
  std::filesystem::path part_;  // empty: the file itself is written
  std::FILE* file_ = nullptr;
};

}  // namespace simulation
