// What a command costs as the number of products grows, and as their histories do.
//
// The points take turns: every round measures each of them once, so that a machine that changes its pace hits all.
#include "load.hpp"
#include "measure.hpp"
#include "report.hpp"

#include "command_line/flags.hpp"
#include "command_line/output_file.hpp"
#include "command_line/terminal.hpp"
#include "command_line/text.hpp"

#include <algorithm>
#include <cstdio>
#include <optional>

namespace {

using namespace cairn::benchmarks;
using command_line::counted;

/// One place of a line: how large, and what every round found.
struct point {
  double x;
  load what;
  std::string label;
  std::vector<double> cpu_us = {};
  std::vector<double> thousands_per_second = {};
};

std::vector<point> by_products(bool quick) {
  std::vector<point> points;
  for (std::size_t products = 1; products <= (quick ? 100u : 1'000'000u); products *= 10) {
    points.push_back({static_cast<double>(products),
                      {.products = products, .in_flight = quick ? 100u : 10'000u},
                      counted(products, "product")});
  }
  return points;
}

std::vector<point> by_history(bool quick) {
  std::vector<point> points;
  const auto lengths = quick ? std::vector<std::size_t>{10, 100} : std::vector<std::size_t>{10, 100, 1'000, 10'000, 100'000};
  for (const auto events : lengths) {
    points.push_back({static_cast<double>(events),
                      {.products = 10, .in_flight = quick ? 100u : 1'000u, .history_events = events},
                      "10 products with " + counted(events, "event") + " each"});
  }
  return points;
}

plot_line line_of(const std::vector<point>& points, std::vector<double> point::*of) {
  plot_line line;
  for (const auto& one : points) {
    const auto& values = one.*of;
    line.points.push_back({one.x, median(values), percentile(values, 0), percentile(values, 1)});
  }
  return line;
}

int run_all(int argc, char** argv) {
  CLI::App app{"Measures what a command costs with 1 to 1,000,000 live products, and after 10 to 100,000 events of each.",
               "scripts/benchmark growth"};
  app.formatter(std::make_shared<command_line::plain_help>());
  int rounds = 5;
  bool quick = false;
  std::string path;
  app.add_option("--rounds", rounds, "How often each point is measured, in turn")
      ->type_name("N")
      ->capture_default_str()
      ->check(command_line::from(1, 1'000));
  app.add_option("--json", path, "Write the figures to this file, for scripts/benchmark plot")
      ->type_name("FILE")
      ->check(command_line::not_empty());
  app.add_flag("--quick", quick, "One short, small round: shows that it runs, and nothing of how fast");
  if (const auto end = command_line::ended_by_flags(app, app.get_name(), argc, argv)) return *end;
  if (quick) rounds = 1;
  std::optional<command_line::output_file> file;
  if (!path.empty()) file.emplace(path);

  auto products = by_products(quick);
  auto histories = by_history(quick);
  command_line::status_line watched;
  for (int round = 0; round < rounds; ++round) {
    for (auto* points : {&products, &histories}) {
      for (auto& one : *points) {
        watched.show("round " + std::to_string(round + 1) + " of " + std::to_string(rounds) + ", " + one.label);
        if (quick) one.what.warm_up_bytes = 0;
        const auto figures = run(one.what, quick ? 0.1 : 1);
        one.cpu_us.push_back(figures.cpu_us_per_command);
        one.thousands_per_second.push_back(figures.commands_per_second / 1e3);
      }
    }
  }
  watched.clear();
  std::printf("%u cores, %s, %.0f ns apart; %s\n\n", std::thread::hardware_concurrency(), processor().c_str(),
              core_round_trip_ns(), counted(static_cast<std::uint64_t>(rounds), "round").c_str());
  for (const auto* points : {&products, &histories}) {
    for (const auto& one : *points) {
      std::printf("%-40s %s µs of processor a command, %s k commands/s\n", one.label.c_str(),
                  with_spread(one.cpu_us, "%.2f").c_str(), with_spread(one.thousands_per_second, "%.0f").c_str());
    }
  }
  if (quick) std::printf("\nA quick run says that everything runs; its figures mean nothing.\n");
  if (file) {
    const auto live = "live products (" + counted(products.front().what.in_flight, "command") + " in flight)";
    const auto cost = "µs of processor a command";
    const auto rate = "thousand commands a second";
    file->finish(plots_json("What a command costs as a store grows: median, least and most of " +
                                counted(static_cast<std::uint64_t>(rounds), "round"),
                            {{"Cost and number of products", live, cost, true, {line_of(products, &point::cpu_us)}},
                             {"Rate and number of products", live, rate, true, {line_of(products, &point::thousands_per_second)}},
                             {"Cost and length of history",
                              "events that each of 10 products has already",
                              cost,
                              true,
                              {line_of(histories, &point::cpu_us)}}}));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_benchmark("growth_benchmark", run_all, argc, argv); }
