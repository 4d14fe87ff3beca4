#include "measure.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <exception>
#include <fcntl.h>
#include <fstream>
#include <sched.h>
#include <span>
#include <stdexcept>
#include <string>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <system_error>

// tcmalloc's, where the program is linked with it.
extern "C" void MallocExtension_ReleaseFreeMemory() __attribute__((weak));
extern "C" int MallocExtension_GetNumericProperty(const char* property, std::size_t* value) __attribute__((weak));

namespace cairn::benchmarks {
namespace {

volatile std::sig_atomic_t was_interrupted = 0;

void watch_for_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { was_interrupted = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

bool is_interrupted() { return was_interrupted != 0; }

void stop_if_interrupted() {
  if (is_interrupted()) throw interrupted{};
}

void pause_for(double seconds) {
  const auto start = steady::now();
  do {
    stop_if_interrupted();
    ::usleep(1'000);
  } while (seconds_since(start) < seconds);
}

int run_benchmark(const char* name, int (*run_all)(int argc, char** argv), int argc, char** argv) {
  watch_for_interrupts();
  try {
    return run_all(argc, argv);
  } catch (const interrupted&) {
    std::fprintf(stderr, "%s: interrupted\n", name);
    return 130;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s: %s\n", name, failure.what());
    return 2;
  }
}

std::optional<double> heap_bytes() {
  std::size_t bytes = 0;
  if (!MallocExtension_GetNumericProperty || MallocExtension_GetNumericProperty("generic.current_allocated_bytes", &bytes) == 0) {
    return std::nullopt;
  }
  return static_cast<double>(bytes);
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double size = 0, resident = 0, of_files = 0;  // in pages
  file >> size >> resident >> of_files;
  return (resident - of_files) * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

double written_bytes() {
  const auto folder = std::filesystem::temp_directory_path().string();
  struct stat about {};
  const int opened = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0 || ::syncfs(opened) != 0 || ::fstat(opened, &about) != 0) {
    throw std::system_error(errno, std::generic_category(), folder);
  }
  ::close(opened);
  const auto name = "/sys/dev/block/" + std::to_string(major(about.st_dev)) + ":" + std::to_string(minor(about.st_dev)) + "/stat";
  std::ifstream file(name);
  double sectors = 0;  // the seventh number: of 512 bytes, written
  for (int number = 0; number < 7; ++number) file >> sectors;
  if (!file) throw std::runtime_error(folder + " is on no disk whose writes are counted: " + name + " cannot be read");
  constexpr double sector_bytes = 512;
  return sectors * sector_bytes;
}

void release_free_memory() {
  if (MallocExtension_ReleaseFreeMemory) MallocExtension_ReleaseFreeMemory();
}

namespace {

using period = standstills::period;

std::vector<period> common(const std::vector<period>& left, const std::vector<period>& right) {
  std::vector<period> both;
  for (auto one = left.begin(), other = right.begin(); one != left.end() && other != right.end();) {
    const period overlap{std::max(one->from, other->from), std::min(one->to, other->to)};
    if (overlap.from < overlap.to) both.push_back(overlap);
    one->to < other->to ? void(++one) : void(++other);
  }
  return both;
}

/// In order, with those that overlap made one.
std::vector<period> joined(std::vector<period> all) {
  std::sort(all.begin(), all.end(), [](const period& left, const period& right) { return left.from < right.from; });
  std::vector<period> apart;
  for (const auto& one : all) {
    if (apart.empty() || apart.back().to < one.from) {
      apart.push_back(one);
    } else {
      apart.back().to = std::max(apart.back().to, one.to);
    }
  }
  return apart;
}

}  // namespace

bool standstills::overlap(const std::vector<period>& periods, steady::time_point from, steady::time_point to) {
  const auto next = std::lower_bound(periods.begin(), periods.end(), from,
                                     [](const period& one, steady::time_point at) { return one.to < at; });
  return next != periods.end() && next->from <= to;
}

double standstills::seconds(const std::vector<period>& periods) {
  double sum = 0;
  for (const auto& one : periods) sum += std::chrono::duration<double>(one.to - one.from).count();
  return sum;
}

standstill_watch::standstill_watch() {
  cpu_set_t usable;
  CPU_ZERO(&usable);
  if (::sched_getaffinity(0, sizeof usable, &usable) != 0) permitted_.store(false);
  late_.resize(static_cast<std::size_t>(CPU_COUNT(&usable)));
  try {
    for (int core = 0; core < CPU_SETSIZE && threads_.size() < late_.size(); ++core) {
      if (!CPU_ISSET(core, &usable)) continue;
      threads_.emplace_back([this, core, &late = late_[threads_.size()]] { watch(core, late); });
    }
  } catch (const std::system_error&) {
    permitted_.store(false);  // no more threads
  }
}

standstill_watch::~standstill_watch() { end(); }

std::optional<standstills> standstill_watch::end() {
  ended_.store(true);
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  if (!permitted_ || late_.empty()) return std::nullopt;
  standstills found{.all = late_.front(), .any = {}};
  for (const auto& other : std::span(late_).subspan(1)) found.all = common(found.all, other);
  for (const auto& one : late_) found.any.insert(found.any.end(), one.begin(), one.end());
  found.any = joined(std::move(found.any));
  return found;
}

void standstill_watch::watch(int core, std::vector<period>& late) {
  constexpr std::chrono::milliseconds step{1};
  cpu_set_t alone;
  CPU_ZERO(&alone);
  CPU_SET(core, &alone);
  const sched_param priority{.sched_priority = 50};
  if (::sched_setaffinity(0, sizeof alone, &alone) != 0 || ::sched_setscheduler(0, SCHED_FIFO, &priority) != 0) {
    permitted_.store(false);
    return;
  }
  while (!ended_.load()) {
    const auto wanted = steady::now() + step;
    std::this_thread::sleep_until(wanted);
    if (const auto now = steady::now(); now > wanted + step) late.push_back({wanted, now});
  }
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
