#include "page.hpp"

#include <algorithm>
#include <cmath>

namespace simulation {
namespace {

struct point {
  double x;
  double y;
};

struct series {
  std::string name;
  const char* color;  // a variable of the style sheet
  std::vector<point> points;
};

struct tick {
  double at;
  std::string label;
};

struct plot {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<tick> x_ticks;
  std::vector<series> lines;
  std::vector<std::string> hints;  // one for each point of the lines, shown under the mouse
};

constexpr const char* head = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>cairn: load simulation</title>
<style>
:root { --paper: #fcfcfb; --ink: #1b1b1a; --soft: #62625e; --rule: #e3e2de; --one: #2a78d6; --two: #d9601f; --good: #0b7a3b;
        --bad: #c22f2f; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #1a1a19; --ink: #f1f0ec; --soft: #a3a29b; --rule: #363633; --one: #5598e7; --two: #eb7f4b; --good: #47b877;
          --bad: #ef6f6f; }
}
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto;
       padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; }
h2 { font-size: 1.05rem; margin: 2rem 0 .25rem; }
p { margin: .25rem 0; color: var(--soft); }
p.good, p.bad { font-weight: 600; }
.good { color: var(--good); } .bad { color: var(--bad); }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--soft); }
svg .rule { stroke: var(--rule); } svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .hint { fill: transparent; } svg .hint:hover { fill: var(--soft); fill-opacity: .15; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid var(--rule); }
th { padding-top: 1.25rem; } td:last-child { font-variant-numeric: tabular-nums; }
td:first-child { color: var(--soft); width: 16rem; }
</style>
</head>
<body>
)";

constexpr double width = 860;
constexpr double height = 260;
constexpr double left = 64;
constexpr double right = width - 16;
constexpr double top = 28;
constexpr double bottom = height - 44;

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char character : text) {
    switch (character) {
    case '&': safe += "&amp;"; break;
    case '<': safe += "&lt;"; break;
    case '>': safe += "&gt;"; break;
    case '"': safe += "&quot;"; break;
    default: safe += character;
    }
  }
  return safe;
}

/// 1, 2 or 5 times a power of ten, so that about five steps reach `most`.
double nice_step(double most) {
  if (most <= 0) return 1;
  const auto rough = most / 5;
  const auto power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (rough <= factor * power) return factor * power;
  }
  return 10 * power;
}

std::string number(double value) {
  if (value >= 10'000) return grouped(static_cast<std::uint64_t>(value));
  return fixed(value, value == std::floor(value) ? 0 : value < 0.1 ? 2 : 1);
}

std::vector<tick> ticks_up_to(double most) {
  std::vector<tick> ticks;
  const auto step = nice_step(most);
  for (int count = 0; count * step <= most * 1.0001; ++count) ticks.push_back({count * step, number(count * step)});
  return ticks;
}

std::string text_at(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" + anchor + "\">" + escaped(text) +
         "</text>\n";
}

std::string drawn(const plot& about) {
  double x_max = 0;
  double y_max = 0;
  for (const auto& line : about.lines) {
    for (const auto& [x, y] : line.points) x_max = std::max(x_max, x), y_max = std::max(y_max, y);
  }
  if (x_max <= 0) return "";
  const auto step = nice_step(y_max);
  y_max = std::max(1.0, std::ceil(y_max / step)) * step;
  const auto across = [&](double x) { return left + x / x_max * (right - left); };
  const auto up = [&](double y) { return bottom - y / y_max * (bottom - top); };

  auto svg = "<h2>" + escaped(about.title) + "</h2>\n<svg viewBox=\"0 0 " + number(width) + " " + number(height) +
             "\" role=\"img\" aria-label=\"" + escaped(about.title) + "\">\n";
  for (const auto& [at, label] : ticks_up_to(y_max)) {
    svg += "<path class=\"rule\" d=\"M" + fixed(left, 1) + " " + fixed(up(at), 1) + "H" + fixed(right, 1) + "\"/>\n";
    svg += text_at(left - 8, up(at) + 4, "end", label);
  }
  for (const auto& [at, label] : about.x_ticks) {
    if (at <= x_max) svg += text_at(across(at), bottom + 18, across(at) > right - 24 ? "end" : "middle", label);
  }
  svg += text_at(4, top - 14, "start", about.y_label);
  svg += text_at(right, height - 6, "end", about.x_label);
  double legend = right;
  for (auto line = about.lines.rbegin(); line != about.lines.rend(); ++line) {
    const auto style = std::string(" style=\"stroke: var(") + line->color + ")\"";
    svg += "<path class=\"line\"" + style + " d=\"";
    for (std::size_t place = 0; place < line->points.size(); ++place) {
      svg += (place == 0 ? "M" : "L") + fixed(across(line->points[place].x), 1) + " " + fixed(up(line->points[place].y), 1);
    }
    svg += "\"/>\n";
    if (line->name.empty()) continue;
    svg += text_at(legend, top - 14, "end", line->name);
    svg += "<path class=\"line\"" + style + " d=\"M" + fixed(legend - 54, 1) + " " + fixed(top - 18, 1) + "h20\"/>\n";
    legend -= 80;
  }
  if (!about.lines.empty() && about.hints.size() == about.lines.front().points.size()) {
    double from = left;
    for (std::size_t place = 0; place < about.hints.size(); ++place) {
      const auto& points = about.lines.front().points;
      const auto to = place + 1 < points.size() ? across((points[place].x + points[place + 1].x) / 2) : right;
      svg += "<rect class=\"hint\" x=\"" + fixed(from, 1) + "\" y=\"" + fixed(top, 1) + "\" width=\"" + fixed(to - from, 1) +
             "\" height=\"" + fixed(bottom - top, 1) + "\"><title>" + escaped(about.hints[place]) + "</title></rect>\n";
      from = to;
    }
  }
  return svg + "</svg>\n";
}

double milliseconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

plot throughput(const report& about) {
  plot made{"Commands answered", "seconds since the start", "per second", ticks_up_to(about.seconds), {{"", "--one", {}}}, {}};
  for (const auto& one : about.timeline) {
    made.lines[0].points.push_back({(one.from + one.to) / 2, one.rate()});
    made.hints.push_back(fixed(one.to, 2) + " s: " + grouped(static_cast<std::uint64_t>(one.rate())) + " per second");
  }
  return made;
}

plot latency_over_time(const report& about) {
  plot made{"Time from command to answer",
            "seconds since the start",
            "milliseconds",
            ticks_up_to(about.seconds),
            {{"p50", "--one", {}}, {"p99", "--two", {}}},
            {}};
  for (const auto& one : about.timeline) {
    const auto p50 = one.latency.percentile(50);
    const auto p99 = one.latency.percentile(99);
    made.lines[0].points.push_back({(one.from + one.to) / 2, milliseconds(p50)});
    made.lines[1].points.push_back({(one.from + one.to) / 2, milliseconds(p99)});
    made.hints.push_back(fixed(one.to, 2) + " s: p50 " + as_time(p50) + ", p99 " + as_time(p99));
  }
  return made;
}

/// The slowest get the more room the rarer they are: a step to the right is ten times rarer.
plot latency_distribution(const report& about) {
  plot made{"Distribution of these times",
            "percent of the commands that were answered within this time",
            "milliseconds",
            {{0, "0 %"}, {1, "90 %"}, {2, "99 %"}, {3, "99.9 %"}, {4, "99.99 %"}, {5, "99.999 %"}},
            {{"", "--one", {}}},
            {}};
  const auto most = std::min(5.0, std::log10(static_cast<double>(std::max<std::uint64_t>(about.latency.count(), 10))));
  constexpr int steps = 120;
  for (int step = 0; step <= steps; ++step) {
    const auto nines = most * step / steps;
    const auto percent = 100 * (1 - std::pow(10, -nines));
    const auto value = about.latency.percentile(percent);
    made.lines[0].points.push_back({nines, milliseconds(value)});
    made.hints.push_back(fixed(percent, percent > 99 ? 3 : 1) + " %: " + as_time(value));
  }
  return made;
}

}  // namespace

std::string as_page(const report& about) {
  auto page = std::string(head) + "<h1>cairn: load simulation</h1>\n";
  page += "<p>" + escaped(about.title) + ": " + counted(about.movements, "movement") + " of " +
          counted(about.products, "product") + ", by " + counted(about.clients, "client") + " with up to " +
          counted(about.in_flight, "command") + " in flight" + in_batches(about) + ", " + escaped(about.durability) + ".</p>\n";
  page += std::string("<p class=\"") + (about.proved ? "good" : "bad") + "\">" + escaped(about.verdict) + "</p>\n";
  for (const auto& fault : about.faults) page += "<p class=\"bad\">" + escaped(fault) + "</p>\n";
  page += drawn(throughput(about)) + drawn(latency_over_time(about)) + drawn(latency_distribution(about));
  page += "<table>\n";
  for (const auto& [what, figure] : rows(about)) {
    if (figure.empty()) {
      page += "<tr><th colspan=\"2\">" + escaped(what) + "</th></tr>\n";
    } else {
      page += "<tr><td>" + escaped(what) + "</td><td>" + escaped(figure) + "</td></tr>\n";
    }
  }
  return page + "</table>\n</body>\n</html>\n";
}

}  // namespace simulation
