#include "output_buffer.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace command_line {

// A pipe that has room takes PIPE_BUF bytes without waiting. A write of more may wait, and a signal that comes just before it
// does not end it.
output_buffer::output_buffer(int file, int wake) : file_(file), wake_(wake), written_at_once_(PIPE_BUF) {
  struct stat status {};
  if (fstat(file_, &status) == 0 && S_ISREG(status.st_mode)) written_at_once_ = SSIZE_MAX;
  setp(buffer_.data(), buffer_.data() + buffer_.size());
}

output_buffer::~output_buffer() { hand_over(); }

output_buffer::int_type output_buffer::overflow(int_type next) {
  if (!hand_over()) return traits_type::eof();
  if (traits_type::eq_int_type(next, traits_type::eof())) return traits_type::not_eof(next);
  return sputc(traits_type::to_char_type(next));
}

std::streamsize output_buffer::xsputn(const char* bytes, std::streamsize size) {
  if (size <= epptr() - pptr()) {
    std::copy_n(bytes, size, pptr());
    pbump(static_cast<int>(size));
    return size;
  }
  const auto count = static_cast<std::size_t>(size);
  return hand_over() && write_all({bytes, count}) ? size : 0;
}

int output_buffer::sync() { return hand_over() ? 0 : -1; }

bool output_buffer::hand_over() {
  const std::string_view waiting(pbase(), static_cast<std::size_t>(pptr() - pbase()));
  setp(buffer_.data(), buffer_.data() + buffer_.size());
  return write_all(waiting);
}

// The streams of the standard library begin a write again that a signal has ended, and so wait on for a reader that does not
// read.
bool output_buffer::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    std::array<pollfd, 2> waiting{{{file_, POLLOUT, 0}, {wake_, POLLIN, 0}}};
    if (poll(waiting.data(), waiting.size(), -1) < 0) {
      if (errno != EINTR) return false;
      continue;
    }
    if (waiting[1].revents != 0) {
      errno = EINTR;
      return false;
    }
    const auto put = write(file_, bytes.data(), std::min(bytes.size(), written_at_once_));
    if (put < 0 && errno != EINTR && errno != EAGAIN) return false;
    if (put > 0) bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

}  // namespace command_line
