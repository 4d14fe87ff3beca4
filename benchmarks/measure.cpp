#include "measure.hpp"

#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <system_error>

namespace cairn::benchmarks {
namespace {

volatile std::sig_atomic_t was_interrupted = 0;

}  // namespace

void watch_for_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { was_interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

void stop_if_interrupted() {
  if (was_interrupted != 0) throw interrupted{};
}

void pause_for(double seconds) {
  const auto start = steady::now();
  do {
    stop_if_interrupted();
    ::usleep(1'000);
  } while (seconds_since(start) < seconds);
}

double median_sync_seconds() {
  constexpr int writes = 400;
  constexpr std::size_t block = 4096;
  const temporary_folder folder;
  const auto name = (folder.path() / "blocks").string();
  const int file = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const std::string bytes(block, 'x');
  const auto write = [&](int place) {
    if (::pwrite(file, bytes.data(), block, static_cast<off_t>(block) * place) != static_cast<ssize_t>(block) ||
        ::fdatasync(file) != 0) {
      throw std::system_error(errno, std::generic_category(), name);
    }
  };
  for (int place = 0; place < writes; ++place) write(place);  // now it has its size
  std::vector<double> took;
  for (int place = 0; place < writes; ++place) {
    const auto start = steady::now();
    write(place);
    took.push_back(seconds_since(start));
  }
  ::close(file);
  return median(took);
}

}  // namespace cairn::benchmarks
