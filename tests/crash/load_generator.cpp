// The process that is killed: clients in a closed loop over one store until SIGKILL, or work on a store from
// outside.
//
// Usage: crash_load_generator load FOLDER synced|buffered SEED
//        crash_load_generator backup STORE BACKUP
//        crash_load_generator restore BACKUP FOLDER
//        crash_load_generator import EXPORT FOLDER
// `load` reads the number of each client's next command from its standard input. It writes an acknowledgement
// for each answer to its standard output, after it has got the answer.
#include "../../persistence/store/store_environment.hpp"
#include "workload.hpp"

#include <cairn/maintenance.hpp>
#include <cairn/runtime.hpp>
#include <cairn/store.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <unistd.h>
#include <vector>

namespace cairn::tests {
namespace {

/// Ends the process without closing the store, as the kill does: what went wrong must stay unchanged.
[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "load generator: " << why << std::endl;
  std::_Exit(1);
}

void report(const acknowledgement& one) {
  if (::write(STDOUT_FILENO, &one, sizeof one) != sizeof one) give_up("the standard output is closed");
}

runtime_options options_over(const char* folder, std::string_view durability) {
  store_options store;
  store.durability = durability == "synced" ? durability::synced : durability::buffered;
  store.block_cache_mib = 8;
  store.warn = [](const std::string& warning) {
    if (!is_expected(warning)) give_up(warning);
  };
  // Small, so that the kill comes while the index is written, a segment begins, a snapshot is taken, or a
  // ledger is passivated.
  store.index_events_in_memory_max = 500;
  auto environment = detail::usual_environment();
  environment.segment_bytes = std::uint64_t{128} << 10;
  environment.unprepared_bytes = std::uint64_t{32} << 10;
  return {
      .journal = detail::open_embedded_store(folder, store, environment),
      .bounds = {.snapshot_every_events = 20, .deduplication_window_size = 1'000, .live_aggregates_max = 40, .directories = 2},
      .on_warning = give_up};
}

[[noreturn]] void load(const char* folder, std::string_view durability, std::uint64_t seed) {
  std::array<std::uint64_t, clients> next{};
  if (::read(STDIN_FILENO, next.data(), sizeof next) != sizeof next) give_up("the standard input ends early");
  runtime runtime(options_over(folder, durability));
  report({});

  boost::asio::io_context io{1};
  const auto work = boost::asio::make_work_guard(io);
  std::function<void(std::uint64_t)> send = [&](std::uint64_t client) {
    const auto sequence = next[client]++;
    auto planned = plan(seed, client, sequence);
    const auto acknowledge = [&, client, sequence](boost::system::error_code code, const answer<>& given) {
      if (code) give_up(code.message() + ": " + given.detail);
      report({client, sequence, given.version.value, given.events, given.repeated});
      send(client);
    };
    runtime.ask<Ledger>(planned.ledger, Enter{std::move(planned.events)}, command_options{.command_id = std::move(planned.id)},
                        boost::asio::bind_executor(io, acknowledge));
  };
  for (std::uint64_t client = 0; client < clients; ++client) send(client);
  io.run();
  give_up("there is always a command to wait for");
}

}  // namespace
}  // namespace cairn::tests

int main(int count, char** arguments) {
  using namespace cairn;
  using namespace cairn::tests;
  const std::vector<std::string> words(arguments + 1, arguments + count);
  try {
    if (words.size() == 4 && words[0] == "load") load(arguments[2], words[2], std::strtoull(arguments[4], nullptr, 10));
    if (words.size() != 3) give_up("wrong usage");
    if (words[0] == "backup") backup_store(words[1], words[2]);
    if (words[0] == "restore") restore_store(words[1], words[2]);
    if (words[0] == "import") {
      std::ifstream source(words[1], std::ios::binary);
      import_store(source, words[2]);
    }
  } catch (const std::exception& reason) { give_up(reason.what()); }
}
