#include "report.hpp"

#include <cairn/time.hpp>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <sys/utsname.h>
#include <thread>
#include <utility>

namespace cairn::benchmarks {

std::string json::quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char character : text) {
    if (character == '"' || character == '\\') quoted += '\\';
    if (static_cast<unsigned char>(character) >= 0x20) quoted += character;
  }
  return quoted + "\"";
}

std::string json::number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return std::isfinite(value) ? text : "null";
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

std::string machine_json() {
  utsname system{};
  ::uname(&system);
  return "{\"processor\": " + json::quoted(processor()) + ", \"cores\": " + std::to_string(std::thread::hardware_concurrency()) +
         ", \"system\": " + json::quoted(std::string(system.sysname) + " " + system.release) + "}";
}

std::string plots_json(const std::string& title, const std::vector<plot>& plots) {
  using json::number;
  using json::quoted;
  auto text = "{\"title\": " + quoted(title) + ",\n \"written\": " + quoted(to_string(system_now())) +
              ",\n \"machine\": " + machine_json() + ",\n \"plots\": [";
  const char* between_plots = "";
  for (const auto& one : plots) {
    text += std::exchange(between_plots, ",") + std::string("\n  {\"title\": ") + quoted(one.title) +
            ", \"x\": " + quoted(one.x_label) + ", \"y\": " + quoted(one.y_label) +
            ", \"x_logarithmic\": " + (one.x_logarithmic ? "true" : "false") + ", \"lines\": [";
    const char* between_lines = "";
    for (const auto& line : one.lines) {
      text += std::exchange(between_lines, ",") + std::string("\n    {\"name\": ") + quoted(line.name) + ", \"points\": [";
      const char* between_points = "";
      for (const auto& at : line.points) {
        text += std::exchange(between_points, ", ") + std::string("[") + number(at.x) + ", " + number(at.y) + ", " +
                number(at.least) + ", " + number(at.most) + "]";
      }
      text += "]}";
    }
    text += "]}";
  }
  return text + "\n]}\n";
}

}  // namespace cairn::benchmarks
