// The process that is killed: clients in a closed loop over one store, until SIGKILL.
//
// Usage: crash_load_generator FOLDER synced|buffered SEED. Reads the number of each client's next command from its standard
// input, and writes an acknowledgement for each answer that it has got, and only then, to its standard output.
#include "workload.hpp"

#include <cairn/rocksdb_journal.hpp>
#include <cairn/runtime.hpp>

#include <boost/asio/io_context.hpp>

#include <array>
#include <cstdlib>
#include <iostream>
#include <unistd.h>

namespace cairn::tests {
namespace {

/// Ends the process without a word to the store, as the kill would: what went wrong must stay as it is.
[[noreturn]] void give_up(const std::string& why) {
  std::cerr << "load generator: " << why << std::endl;
  std::_Exit(1);
}

void say(const acknowledgement& one) {
  if (::write(STDOUT_FILENO, &one, sizeof one) != sizeof one) give_up("nobody listens");
}

runtime_options options_over(const char* folder, std::string_view durability) {
  rocksdb_options store;
  store.durability = durability == "synced" ? durability::synced : durability::buffered;
  store.block_cache_mib = 8;
  // Small, so that the kill finds the index being written, snapshots being taken, and ledgers on their way out and in again.
  store.index_events_in_memory_max = 500;
  return {.journal = rocksdb_journal(folder, store),
          .bounds = {.snapshot_every_events = 20, .command_ids_kept = 1'000, .live_aggregates_max = 40, .directories = 2},
          .on_warning = give_up};
}

[[noreturn]] void run(const char* folder, std::string_view durability, std::uint64_t seed) {
  std::array<std::uint64_t, clients> next{};
  if (::read(STDIN_FILENO, next.data(), sizeof next) != sizeof next) give_up("nobody says where to go on");
  runtime runtime(options_over(folder, durability));
  say({});

  boost::asio::io_context io{1};
  const auto work = boost::asio::make_work_guard(io);
  std::function<void(std::uint64_t)> send = [&](std::uint64_t client) {
    const auto sequence = next[client]++;
    auto planned = plan(seed, client, sequence);
    const auto acknowledge = [&, client, sequence](boost::system::error_code code, const answer<>& given) {
      if (code) give_up(code.message() + ": " + given.detail);
      say({client, sequence, given.version.value, given.events, given.repeated});
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
  using namespace cairn::tests;
  if (count != 4) give_up("FOLDER synced|buffered SEED");
  try {
    run(arguments[1], arguments[2], std::strtoull(arguments[3], nullptr, 10));
  } catch (const std::exception& reason) { give_up(reason.what()); }
}
