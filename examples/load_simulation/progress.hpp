// What can be seen while the simulation runs: samples over time for the report, and a line for whoever watches.
#pragma once

#include "histogram.hpp"

#include "command_line/terminal.hpp"

#include <cairn/runtime.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace simulation {

/// One stretch of the run.
struct sample {
  double from = 0;  ///< seconds since the start
  double to = 0;
  histogram latency;  ///< of the commands answered in it; in nanoseconds
  std::uint64_t events = 0;
  std::uint64_t commits = 0;
  std::uint64_t commit_ns = 0;
  std::uint64_t live_aggregates = 0;  ///< at its end

  double rate() const { return to > from ? static_cast<double>(latency.count()) / (to - from) : 0; }
};

/// The run in at most `samples_max` stretches of about the same length, however long it takes.
class timeline {
public:
  static constexpr std::size_t samples_max = 240;

  /// Takes what the counters say now, `now` seconds after the start.
  void take(double now, const histogram& latency, const cairn::runtime_statistics& counters);
  const std::vector<sample>& samples() const { return samples_; }

private:
  void halve();

  std::vector<sample> samples_;
  double stretch_ = 0.025;  // seconds
  histogram latency_before_;
  std::uint64_t events_before_ = 0;
  std::uint64_t commits_before_ = 0;
  std::uint64_t commit_ns_before_ = 0;
};

/// What is shown of a run of which `share`, 0 to 1, is done: how it goes at present, and as much of a bar as `columns` have room
/// for. Where they are few it says less, from the end, and never takes more.
std::string progress_line(double share, const sample& present, std::size_t columns);

/// Tells on standard error how far the program has come: on a terminal one line that is kept up to date, else a line now and
/// then.
class progress {
public:
  progress();

  /// What is being done, where there is no measure of it.
  void doing(const std::string& what);
  /// How many of `all` commands are answered, and how it goes at present.
  void show(std::uint64_t answered, std::uint64_t all, const std::vector<sample>& samples);
  /// Takes the line away.
  void clear() { line_.clear(); }

private:
  command_line::status_line line_;
  std::chrono::steady_clock::time_point shown_;
  std::uint64_t quarter_ = 0;
};

}  // namespace simulation
