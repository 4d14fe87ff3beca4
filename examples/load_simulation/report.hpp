// What the simulation has to say at the end, as text for people and as JSON for programs; page.hpp makes a page of it.
#pragma once

#include "driver.hpp"
#include "progress.hpp"
#include "proof.hpp"

#include "command_line/text.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace simulation {

using command_line::as_time;
using command_line::beginning_of;
using command_line::counted;
using command_line::fixed;
using command_line::grouped;
using command_line::width_of;

struct report {
  // What was asked for.
  std::string title;
  std::uint64_t products = 0;
  std::uint64_t openings = 0;
  std::uint64_t movements = 0;
  std::uint64_t skipped = 0;
  std::size_t clients = 0;
  std::size_t in_flight = 0;
  std::size_t batch = 1;
  std::string durability;
  std::uint64_t snapshot_every = 0;

  // The run.
  tally commands;
  double seconds = 0;
  histogram latency;  // nanoseconds
  std::vector<sample> timeline;
  std::uint64_t events = 0;
  std::uint64_t commits = 0;
  std::uint64_t commit_ns = 0;
  std::uint64_t snapshots = 0;
  std::uint64_t passivations = 0;
  std::uint64_t failed_snapshots = 0;
  double drain_seconds = 0;

  // The proof.
  std::uint64_t events_before = 0;  // that an earlier run had left
  std::vector<std::uint64_t> events_per_product;
  double open_seconds = 0;
  log_reading log;
  domain_reading domain;
  recovery cold;
  std::uint64_t store_bytes = 0;
  std::vector<std::string> faults;
  std::string verdict;
  bool proved = false;
};

/// What one line of the report says: what it is about, and the figure. An empty figure makes it a heading.
using row = std::pair<std::string, std::string>;

std::vector<row> rows(const report& about);
/// " in batches of 64", or nothing where each command was sent by itself.
std::string in_batches(const report& about);
std::string as_text(const report& about);
std::string as_json(const report& about);

/// The percentiles that every report gives.
inline constexpr double percentiles[] = {50, 90, 99, 99.9};

}  // namespace simulation
