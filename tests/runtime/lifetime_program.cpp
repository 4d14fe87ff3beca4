// A runtime that lives until its process exits, or that one of its own threads destroys. lifetime_test.cpp
// runs this program once for each way, because exit() and abort() end a process.
#include "product.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <latch>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace stock;

std::shared_ptr<cairn::journal> journal_in(std::string_view folder) {
  if (folder == "memory") return cairn::memory_journal();
  return cairn::open_store(std::string(folder));
}

struct inline_executor {
  asio::execution_context* owner;
  asio::execution_context& context() const noexcept { return *owner; }
  void on_work_started() const noexcept {}
  void on_work_finished() const noexcept {}
  template <class Function, class Allocator>
  void dispatch(Function function, const Allocator&) const {
    function();
  }
  template <class Function, class Allocator>
  void post(Function function, const Allocator&) const {
    function();
  }
  template <class Function, class Allocator>
  void defer(Function function, const Allocator&) const {
    function();
  }
  bool operator==(const inline_executor& other) const noexcept { return owner == other.owner; }
  bool operator!=(const inline_executor& other) const noexcept { return owner != other.owner; }
};

std::unique_ptr<cairn::runtime> in_pointer;

// Made before main(), where the program's first argument says so.
std::string_view first_argument() {
  static char line[64];
  auto* file = std::fopen("/proc/self/cmdline", "r");
  const auto size = std::fread(line, 1, sizeof line - 1, file);
  std::fclose(file);
  const std::string_view all(line, size);
  return all.substr(all.find('\0') + 1).data();
}
struct maybe_runtime {
  std::unique_ptr<cairn::runtime> made;
  maybe_runtime() {
    if (first_argument() != "namespace") return;
    made = std::make_unique<cairn::runtime>(cairn::runtime_options{.journal = cairn::memory_journal()});
    made->ask<Product>("before main", Enrol{1}, cairn::blocking).value();
  }
} before_main;

cairn::runtime& in_function(std::string_view folder) {
  static cairn::runtime runtime{{.journal = journal_in(folder)}};
  return runtime;
}

cairn::runtime& static_runtime(std::string_view storage, std::string_view folder) {
  if (storage == "namespace") return *before_main.made;
  if (storage == "function") return in_function(folder);
  in_pointer = std::make_unique<cairn::runtime>(cairn::runtime_options{.journal = journal_in(folder)});
  return *in_pointer;
}

void use(cairn::runtime& runtime, std::string_view commands) {
  if (commands == "none") return;
  // A folder may have them from the program before.
  for (int id = 0; id < 20; ++id) static_cast<void>(runtime.ask<Product>(std::to_string(id), Enrol{1}, cairn::blocking));
  if (commands == "answered") return;
  std::vector<cairn::addressed<AddStock>> batch;
  for (int id = 0; id < 1'000; ++id) {
    runtime.ask<Product>(std::to_string(id), AddStock{1}, [](boost::system::error_code, const cairn::answer<>&) {});
    batch.push_back({std::to_string(id), AddStock{1}});
  }
  runtime.ask_many<Product>(std::move(batch), [](std::vector<cairn::answer<>>) {});
}

int exit_with(cairn::runtime& runtime, std::string_view end, std::string_view commands) {
  use(runtime, commands);
  if (end == "return") return 0;
  if (end == "other_thread") {
    std::thread([] { std::exit(0); }).join();
  } else if (end == "asking_thread") {  // main() has not used the runtime since
    std::thread([&] {
      use(runtime, commands);
      std::exit(0);
    }).join();
  } else if (end == "handler") {
    asio::io_context io;
    runtime.ask<Product>("last", Enrol{1},
                         asio::bind_executor(io, [](boost::system::error_code, const cairn::answer<>&) { std::exit(0); }));
    io.run();
  }
  return 1;
}

int exit_with(std::string_view storage, std::string_view end, std::string_view commands, std::string_view folder) {
  if (storage == "stack") {
    cairn::runtime runtime{{.journal = journal_in(folder)}};
    return exit_with(runtime, end, commands);
  }
  if (storage == "destroyed_meanwhile") {
    auto* const runtime = new cairn::runtime{{.journal = journal_in(folder)}};
    use(*runtime, commands);
    static std::latch begins{1};
    std::thread([runtime] {
      begins.count_down();
      delete runtime;
    }).detach();
    begins.wait();
    return 0;
  }
  return exit_with(static_runtime(storage, folder), end, commands);
}

std::unique_ptr<cairn::runtime> refused;

struct Destroy {};
struct Exit {};
struct Destroyed {
  static constexpr std::string_view type = "DESTROYED";
  int count = 0;
  MSGPACK_DEFINE_MAP(count)
};
struct Destroyer {
  static constexpr std::string_view category = "destroyer";
  using Event = std::variant<Destroyed>;
  int count = 0;
  MSGPACK_DEFINE_MAP(count)
  cairn::decision<Event> decide(const Destroy&) const {
    refused.reset();
    return Destroyed{};
  }
  cairn::decision<Event> decide(const Exit&) const { std::exit(0); }
  void evolve(const Destroyed&) noexcept { ++count; }
};

// Each way ends with abort(): `refused` is static.
void destroy_on_own_thread(std::string_view way) {
  asio::io_context io;
  refused = std::make_unique<cairn::runtime>(cairn::runtime_options{.journal = cairn::memory_journal()});
  if (way == "decide") refused->ask<Destroyer>("1", Destroy{}, cairn::blocking).value();
  if (way == "exit") refused->ask<Destroyer>("1", Exit{}, cairn::blocking).value();
  if (way == "handler") {
    refused->ask<Product>("1", Enrol{1}, asio::bind_executor(inline_executor{&io}, [](auto&&...) { refused.reset(); }));
  }
  if (way == "read") {
    refused->history<Product>("1", {}, asio::bind_executor(inline_executor{&io}, [](auto&&...) { refused.reset(); }));
  }
  std::thread([] {
    for (;;) std::this_thread::yield();
  }).join();
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + 1, argv + argc);
  if (arguments.size() == 2 && arguments[0] == "refused") destroy_on_own_thread(arguments[1]);
  if (arguments.size() == 4) return exit_with(arguments[0], arguments[1], arguments[2], arguments[3]);
  return 2;
}
