#include "output_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <string>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace command_line {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view suffix = ".unfinished-";
constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyz0123456789";
constexpr std::size_t suffix_letters = 6;

/// A name that no other file has, most likely: another export may be on its way to the same one.
fs::path unfinished_name(const fs::path& path) {
  auto name = path.string().append(suffix);
  std::random_device random;
  for (std::size_t i = 0; i < suffix_letters; ++i) name += letters[random() % letters.size()];
  return name;
}

bool is_unfinished_name(std::string_view name, const std::string& of) {
  const auto size = of.size() + suffix.size();
  return name.size() == size + suffix_letters && name.starts_with(of) && name.substr(of.size()).starts_with(suffix) &&
         name.substr(size).find_first_not_of(letters) == name.npos;
}

bool is_named(int file) {
  struct stat status {};
  return fstat(file, &status) == 0 && status.st_nlink > 0;
}

}  // namespace

output_file::output_file(fs::path path, int wake) : path_(std::move(path)), stream_(nullptr) {
  std::error_code unknown;
  if (fs::is_directory(path_, unknown)) throw bad_input("cannot write " + path_.string() + ": it is a folder.");
  direct_ = fs::exists(path_, unknown) && !fs::is_regular_file(path_, unknown);
  if (direct_) {
    file_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (file_ < 0) fail(errno);
  } else {
    remove_leftovers();
    while (!make_unfinished(unfinished_name(path_))) continue;
  }
  stream_.rdbuf(&buffer_.emplace(file_, wake));
}

// A file whose maker lives is locked.
void output_file::remove_leftovers() const {
  const auto above = path_.has_parent_path() ? path_.parent_path() : fs::path(".");
  std::error_code unreadable;
  for (const auto& entry : fs::directory_iterator(above, unreadable)) {
    if (!is_unfinished_name(entry.path().filename().string(), path_.filename().string())) continue;
    const int file = open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) continue;
    std::error_code ignored;
    if (flock(file, LOCK_EX | LOCK_NB) == 0) fs::remove(entry.path(), ignored);
    ::close(file);
  }
}

/// False if another file has the name, or another program took this one for a leftover before it was locked.
bool output_file::make_unfinished(const fs::path& name) {
  file_ = open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (file_ < 0 && errno != EEXIST) fail(errno);
  if (file_ < 0) return false;
  if ((flock(file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) || !is_named(file_)) {
    close();
    return false;
  }
  unfinished_ = name;
  return true;
}

output_file::~output_file() {
  // The name first: who finds the file unlocked takes it for a leftover.
  std::error_code ignored;
  if (!unfinished_.empty()) fs::remove(unfinished_, ignored);
  stream_.rdbuf(nullptr);
  buffer_.reset();
  close();
}

void output_file::close() noexcept {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
}

void output_file::finish(std::string_view last) {
  errno = 0;
  stream_.write(last.data(), static_cast<std::streamsize>(last.size()));
  stream_.flush();
  if (!stream_) fail(errno);
  if (unfinished_.empty()) return;
  // Otherwise a power cut could leave the name with nothing behind it.
  if (fsync(file_) != 0) fail(errno);
  std::error_code renamed;
  fs::rename(unfinished_, path_, renamed);
  if (renamed) fail(renamed.value());
  unfinished_.clear();
}

void output_file::fail(int reason) const {
  throw bad_input("cannot write " + path_.string() + ": " + std::strerror(reason) + ".");
}

}  // namespace command_line
