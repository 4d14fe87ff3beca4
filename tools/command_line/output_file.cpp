#include "output_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace command_line {

namespace fs = std::filesystem;

output_file::output_file(fs::path path) : path_(std::move(path)) {
  std::error_code unknown;
  if (fs::is_directory(path_, unknown)) throw bad_input("cannot write " + path_.string() + ": it is a folder.");
  direct_ = fs::exists(path_, unknown) && !fs::is_regular_file(path_, unknown);
  if (!direct_) make_part();
  errno = 0;
  stream_.open(direct_ ? path_ : part_, std::ios::binary | std::ios::trunc);
  if (stream_) return;
  const int reason = errno;
  fs::remove(part_, unknown);
  fail(reason);
}

// Under a name that is nobody's yet: a file of the user's may be called .part, and another export be on its way to the same name.
void output_file::make_part() {
  static constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::random_device random;
  int made = -1;
  do {
    auto name = path_.string() + ".part-";
    for (int i = 0; i < 6; ++i) name += letters[random() % letters.size()];
    made = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (made < 0 && errno != EEXIST) fail(errno);
    if (made >= 0) part_ = name;
  } while (made < 0);
  close(made);
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
  // Otherwise a power cut could leave the name with nothing behind it.
  const int written = open(part_.c_str(), O_RDONLY | O_CLOEXEC);
  const bool synced = written >= 0 && fsync(written) == 0;
  const int reason = errno;
  if (written >= 0) close(written);
  if (!synced) fail(reason);
  std::error_code renamed;
  fs::rename(part_, path_, renamed);
  if (renamed) fail(renamed.value());
  part_.clear();
}

void output_file::fail(int reason) const {
  throw bad_input("cannot write " + path_.string() + ": " + std::strerror(reason) + ".");
}

}  // namespace command_line
