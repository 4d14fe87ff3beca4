// Writes to a file descriptor until somebody no longer wants to wait for its reader.
#pragma once

#include <array>
#include <cstddef>
#include <streambuf>
#include <string_view>

namespace command_line {

class output_buffer : public std::streambuf {
public:
  /// Writes to `file`, which it does not close. Waiting for room ends when the descriptor `wake` has something to read; the
  /// stream is bad then, as after a write that fails, and errno has the reason. -1: nothing ends it.
  output_buffer(int file, int wake);
  /// Writes what is still here, as far as it can.
  ~output_buffer() override;
  output_buffer(const output_buffer&) = delete;
  output_buffer& operator=(const output_buffer&) = delete;

protected:
  int_type overflow(int_type next) override;
  std::streamsize xsputn(const char* bytes, std::streamsize size) override;
  int sync() override;

private:
  bool hand_over();
  bool write_all(std::string_view bytes);

  const int file_;
  const int wake_;
  std::size_t written_at_once_;
  std::array<char, 1 << 16> buffer_;
};

}  // namespace command_line
