// What the benchmarks write for programs: figures as JSON, and plots that plot.py draws.
#pragma once

#include <string>
#include <vector>

namespace cairn::benchmarks {

namespace json {

std::string quoted(const std::string& text);
/// Nine digits; null where it is not finite.
std::string number(double value);

}  // namespace json

std::string processor();
/// The machine as a JSON object.
std::string machine_json();

/// One point of a line, with its spread.
struct plot_point {
  double x = 0;
  double y = 0;
  double least = 0;
  double most = 0;
};

struct plot_line {
  std::string name;
  std::vector<plot_point> points;
};

struct plot {
  std::string title;
  std::string x_label;
  std::string y_label;
  bool x_logarithmic = false;
  std::vector<plot_line> lines;
};

/// What plot.py reads.
std::string plots_json(const std::string& title, const std::vector<plot>& plots);

}  // namespace cairn::benchmarks
