#include "input_file.hpp"

#include "output_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace command_line {

input_file::input_file(const std::string& path, int wake) : file_(STDIN_FILENO), reader_(wake), stream_(nullptr) {
  const auto name = path.empty() ? "standard input" : path;
  if (!path.empty()) file_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat status {};
  if (file_ < 0 || fstat(file_, &status) != 0) throw bad_input("cannot read " + name + ": " + std::strerror(errno) + ".");
  if (S_ISDIR(status.st_mode)) {
    if (!path.empty()) close(file_);
    throw bad_input("cannot read " + name + ": it is a folder.");
  }
  if (S_ISREG(status.st_mode)) size_ = static_cast<std::uint64_t>(status.st_size);
  reader_.read_from(file_);
  stream_.rdbuf(&reader_);
}

input_file::~input_file() {
  if (file_ != STDIN_FILENO) close(file_);
}

double input_file::share() const {
  return std::clamp(static_cast<double>(reader_.bytes_read()) / static_cast<double>(std::max<std::uint64_t>(size_, 1)), 0.0, 1.0);
}

// The streams of the standard library begin a read anew that a signal has ended, and so would wait on for a silent input.
input_file::reader::int_type input_file::reader::underflow() {
  for (;;) {
    std::array<pollfd, 2> waiting{{{file_, POLLIN, 0}, {wake_, POLLIN, 0}}};
    if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) break;
    if (waiting[1].revents != 0) throw std::ios_base::failure("somebody stopped it");
    if (waiting[0].revents == 0) continue;
    const auto size = read(file_, buffer_.data(), buffer_.size());
    if (size < 0 && errno != EINTR && errno != EAGAIN) break;
    if (size == 0) return traits_type::eof();
    if (size < 0) continue;
    read_ += static_cast<std::uint64_t>(size);
    setg(buffer_.data(), buffer_.data(), buffer_.data() + size);
    return traits_type::to_int_type(buffer_[0]);
  }
  throw std::ios_base::failure("it cannot be read", std::error_code(errno, std::generic_category()));
}

}  // namespace command_line
