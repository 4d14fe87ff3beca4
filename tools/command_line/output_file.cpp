#include "output_file.hpp"

#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

namespace command_line {

namespace fs = std::filesystem;

output_file::output_file(fs::path path) : path_(std::move(path)) {
  std::error_code unknown;
  if (fs::is_directory(path_, unknown)) throw bad_input("cannot write " + path_.string() + ": it is a folder.");
  if (!fs::exists(path_, unknown) || fs::is_regular_file(path_, unknown)) part_ = path_.string() + ".part";
  errno = 0;
  stream_.open(part_.empty() ? path_ : part_, std::ios::binary | std::ios::trunc);
  if (!stream_) fail(errno);
}

output_file::~output_file() {
  stream_.close();
  std::error_code ignored;
  if (!part_.empty()) fs::remove(part_, ignored);
}

void output_file::finish(std::string_view last) {
  errno = 0;
  stream_.write(last.data(), static_cast<std::streamsize>(last.size()));
  stream_.close();
  if (!stream_) fail(errno);
  if (part_.empty()) return;
  std::error_code renamed;
  fs::rename(part_, path_, renamed);
  if (renamed) fail(renamed.value());
  part_.clear();
}

void output_file::fail(int reason) const {
  throw bad_input("cannot write " + path_.string() + ": " + std::strerror(reason) + ".");
}

}  // namespace command_line
