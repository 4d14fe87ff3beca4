#include "output.hpp"

#include "movements.hpp"

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace simulation {

namespace fs = std::filesystem;

output_file::output_file(fs::path path) : path_(std::move(path)) {
  std::error_code unknown;
  if (fs::is_directory(path_, unknown)) throw bad_input("cannot write " + path_.string() + ": it is a folder.");
  if (!fs::exists(path_, unknown) || fs::is_regular_file(path_, unknown)) part_ = path_.string() + ".part";
  file_ = std::fopen((part_.empty() ? path_ : part_).c_str(), "wb");
  if (!file_) fail(errno);
}

output_file::~output_file() {
  if (file_) std::fclose(file_);
  std::error_code ignored;
  if (!part_.empty()) fs::remove(part_, ignored);
}

void output_file::finish(std::string_view contents) {
  errno = 0;
  const bool written = std::fwrite(contents.data(), 1, contents.size(), file_) == contents.size() && std::fflush(file_) == 0;
  const auto reason = errno;
  std::fclose(std::exchange(file_, nullptr));
  if (!written) fail(reason);
  if (part_.empty()) return;
  std::error_code renamed;
  fs::rename(part_, path_, renamed);
  if (renamed) fail(renamed.value());
  part_.clear();
}

void output_file::fail(int reason) const {
  throw bad_input("cannot write " + path_.string() + ": " + std::strerror(reason) + ".");
}

}  // namespace simulation
