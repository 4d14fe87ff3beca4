// A file, or standard input, that is read until it ends or until somebody no longer wants to wait for it.
#pragma once

#include <array>
#include <cstdint>
#include <istream>
#include <streambuf>
#include <string>

namespace command_line {

class input_file {
public:
  /// Standard input where `path` is empty. Waiting for bytes ends when the descriptor `wake` has something to read; the stream is
  /// bad then, as after a read that fails. Throws bad_input, with the reason.
  input_file(const std::string& path, int wake);
  ~input_file();
  input_file(const input_file&) = delete;
  input_file& operator=(const input_file&) = delete;

  std::istream& stream() { return stream_; }
  /// Whether it is known how long it is, so that share() means something.
  bool has_size() const { return size_ > 0; }
  /// How much of it has been read, 0 to 1.
  double share() const;

private:
  class reader : public std::streambuf {
  public:
    explicit reader(int wake) : wake_(wake) {}
    void read_from(int file) { file_ = file; }
    std::uint64_t bytes_read() const { return read_; }

  protected:
    int_type underflow() override;

  private:
    const int wake_;
    int file_ = -1;
    std::uint64_t read_ = 0;
    std::array<char, 1 << 16> buffer_;
  };

  int file_;
  std::uint64_t size_ = 0;
  reader reader_;
  std::istream stream_;
};

}  // namespace command_line
