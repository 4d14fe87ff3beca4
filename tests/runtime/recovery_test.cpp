// What is still there after a passivation, a restart and a crash, on a store on disk.
#include "product.hpp"
#include "temporary_folder.hpp"

#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <doctest/doctest.h>

#include <array>
#include <sys/wait.h>
#include <unistd.h>

namespace cairn::tests {
namespace {

using namespace stock;
using namespace std::chrono_literals;

void check_repeat(runtime& runtime, const char* where) {
  CAPTURE(where);
  const auto repeat = runtime.ask<Product>("1", AddStock{10}, {.command_id = "delivery 7"}, blocking);
  CHECK(repeat.repeated);
  CHECK(repeat.version == version{2});
  CHECK(runtime.state<Product>("1", blocking).state.count == 10);
}

}  // namespace

TEST_CASE("a repeated command is known after a snapshot, a passivation and a restart") {
  const temporary_folder folder;
  const auto options = [&] {
    return runtime_options{.journal = open_store(folder.path()),
                           .bounds = {.snapshot_every_events = 2, .live_aggregates_max = 1, .directories = 1}};
  };
  {
    runtime runtime(options());
    runtime.ask<Product>("1", Enrol{}, blocking).value();
    runtime.ask<Product>("1", AddStock{10}, {.command_id = "delivery 7"}, blocking).value();
    check_repeat(runtime, "after the snapshot");
    runtime.ask<Product>("2", Enrol{}, blocking).value();  // there is room for one
    check_repeat(runtime, "after passivation");
    CHECK(runtime.statistics().passivations >= 2);
  }
  runtime runtime(options());
  check_repeat(runtime, "after a restart");
}

TEST_CASE("a process that dies without a word loses nothing that it was answered") {
  const temporary_folder folder;
  constexpr int commands = 1'234;
  std::array<int, 2> pipe{};
  REQUIRE(::pipe(pipe.data()) == 0);
  const auto child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    // Nothing is closed, nothing flushed: the kernel takes the process away.
    runtime runtime{{.journal = open_store(folder.path())}};
    runtime.ask<Product>("1", Enrol{}, blocking).value();
    for (int command = 0; command < commands; ++command) {
      runtime.ask<Product>("1", AddStock{1}, {.command_id = std::to_string(command)}, blocking).value();
    }
    const char done = 'd';
    if (::write(pipe[1], &done, 1) != 1) ::_exit(1);
    ::kill(::getpid(), SIGKILL);
  }
  ::close(pipe[1]);
  char done = 0;
  CHECK(::read(pipe[0], &done, 1) == 1);
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  REQUIRE(WIFSIGNALED(status));

  runtime runtime{{.journal = open_store(folder.path())}};
  const auto found = runtime.state<Product>("1", blocking);
  CHECK(found.version == version{commands + 1});
  CHECK(found.state.count == commands);
  CHECK(runtime.statistics().snapshots_loaded == 1);
  CHECK(runtime.statistics().events_recovered < 500);
  const auto repeat = runtime.ask<Product>("1", AddStock{1}, {.command_id = std::to_string(commands - 1)}, blocking);
  CHECK(repeat.repeated);
}

TEST_CASE("a drained runtime starts again from snapshots alone") {
  const temporary_folder folder;
  {
    runtime runtime{{.journal = open_store(folder.path())}};
    for (int product = 0; product < 50; ++product) {
      runtime.ask<Product>(std::to_string(product), Enrol{product}, blocking).value();
      runtime.ask<Product>(std::to_string(product), AddStock{1}, blocking).value();
    }
    runtime.drain(blocking);
  }
  runtime runtime{{.journal = open_store(folder.path())}};
  for (int product = 0; product < 50; ++product) {
    CHECK(runtime.state<Product>(std::to_string(product), blocking).state.count == product + 1);
  }
  CHECK(runtime.statistics().snapshots_loaded == 50);
  CHECK(runtime.statistics().events_recovered == 0);
}

}  // namespace cairn::tests
