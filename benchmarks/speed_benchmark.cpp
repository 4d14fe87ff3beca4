// How fast cairn is: one table, in which every figure is a ratio to something that is measured in the same run.
//
// Both sides of a ratio take turns, again and again, so that a machine that changes its pace hits both; told are the median of
// the rounds and their spread. The rows stand in pipeline_rows.cpp, store_rows.cpp, recovery_rows.cpp and
// postgres_rows.cpp; here they are
// measured one after another and printed. Exit code 0 whether or not a goal is reached: this is no test.
#include "measure.hpp"
#include "report.hpp"
#include "rows.hpp"

#include "command_line/flags.hpp"
#include "command_line/output_file.hpp"
#include "command_line/terminal.hpp"
#include "command_line/text.hpp"

#include <cairn/time.hpp>

#include <cmath>
#include <cstdio>
#include <exception>
#include <linux/magic.h>
#include <optional>
#include <set>
#include <sys/vfs.h>
#include <thread>

namespace {

using namespace cairn::benchmarks;
using command_line::fixed;

struct round_figures {
  measured found;
  double round_trip_ns = 0;
};

struct row_figures {
  const row* about;
  std::vector<round_figures> rounds;
  std::string skipped;  ///< why there are none

  template <class Of>
  std::vector<double> each(Of of) const {
    std::vector<double> values;
    for (const auto& one : rounds) values.push_back(of(one));
    return values;
  }
  std::vector<double> ratios() const {
    return each([](const round_figures& one) { return one.found.ratio(); });
  }
  double round_trip_ns() const {
    return median(each([](const round_figures& one) { return one.round_trip_ns; }));
  }
  bool reached() const { return about->goal.reached(median(ratios())); }
};

// -- for people

/// Three digits are as many as such a machine can vouch for.
std::string short_number(double value) {
  if (value >= 999.5e3) return fixed(value / 1e6, 2) + " M";
  if (value >= 9'995) return fixed(value / 1e3, 0) + " k";
  return fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0);
}

std::string short_spread(const std::vector<double>& values) {
  return short_number(median(values)) + " (" + short_number(percentile(values, 0)) + " to " +
         short_number(percentile(values, 1)) + ")";
}

std::string padded(std::string text, std::size_t columns) {
  const auto width = command_line::width_of(text);
  if (width < columns) text.append(columns - width, ' ');
  return text;
}

std::string title_of(const row& about) { return about.title + " ÷ " + about.against; }

std::string goal_of(const row& about) {
  if (about.goal.which == goal::kind::none) return "";
  const auto bound = about.goal.bound;
  return (about.goal.which == goal::kind::at_least ? "at least " : "at most ") + fixed(bound, bound == std::floor(bound) ? 0 : 2);
}

class table {
public:
  explicit table(const std::vector<row>& rows) {
    for (const auto& one : rows) title_width_ = std::max(title_width_, command_line::width_of(title_of(one)));
    print("", "median (least to most)", "goal", "", "cores apart");
  }

  void add(const row_figures& figures) const {
    const auto& about = *figures.about;
    if (!figures.skipped.empty()) {
      print(title_of(about), "skipped: " + figures.skipped, "", "", "");
      return;
    }
    const auto ratios = figures.ratios();
    const auto middle = median(ratios);
    print(title_of(about), with_spread(ratios, middle < 9.995 ? "%.2f" : "%.0f"), goal_of(about),
          about.goal.which == goal::kind::none ? ""
          : figures.reached()                  ? "reached"
                                               : "not reached",
          fixed(figures.round_trip_ns(), 0) + " ns");
  }

private:
  void print(const std::string& title, const std::string& ratio, const std::string& wanted, const std::string& reached,
             const std::string& apart) const {
    auto line = padded(title, title_width_ + 2) + padded(ratio, 24) + padded(wanted, 15) + padded(reached, 13) + apart;
    line.erase(line.find_last_not_of(' ') + 1);
    std::printf("%s\n", line.c_str());
    std::fflush(stdout);
  }

  std::size_t title_width_ = 0;
};

void print_absolute(const std::vector<row_figures>& rows) {
  std::printf("\nWhat the ratios are made of, and how to get a row alone (--only NAME):\n");
  for (const auto& figures : rows) {
    if (figures.rounds.empty()) continue;
    const auto ours = figures.each([](const round_figures& one) { return one.found.ours; });
    const auto against = figures.each([](const round_figures& one) { return one.found.against; });
    auto line = padded(figures.about->key, 17) + short_spread(ours) + " ÷ " + short_spread(against) + " " + figures.about->unit;
    for (const auto& [name, first_value] : figures.rounds.front().found.besides) {
      std::vector<double> values;  // of the rounds that have it
      for (const auto& round : figures.rounds) {
        for (const auto& [other, value] : round.found.besides) {
          if (other == name) values.push_back(value);
        }
      }
      line += ", " + name + " " + short_number(median(values));
    }
    std::printf("%s\n", line.c_str());
  }
}

// -- for programs

std::string as_json(const std::vector<row_figures>& rows, const extent& size, cairn::timestamp began) {
  using json::number;
  using json::quoted;
  auto text = "{\"began\": " + quoted(cairn::to_string(began)) + ",\n \"machine\": " + machine_json() +
              ",\n \"seconds\": " + number(size.seconds) + ", \"quick\": " + (size.quick ? "true" : "false") + ",\n \"rows\": [";
  const char* between = "";
  for (const auto& figures : rows) {
    const auto& about = *figures.about;
    text += std::exchange(between, ",") + std::string("\n  {\"name\": ") + quoted(about.key) +
            ", \"title\": " + quoted(about.title) + ", \"against\": " + quoted(about.against) +
            ", \"unit\": " + quoted(about.unit);
    if (about.goal.which != goal::kind::none) {
      text += std::string(", \"") + (about.goal.which == goal::kind::at_least ? "at_least" : "at_most") +
              "\": " + number(about.goal.bound);
    }
    if (!figures.skipped.empty()) {
      text += ", \"skipped\": " + quoted(figures.skipped) + "}";
      continue;
    }
    const auto ratios = figures.ratios();
    text += ", \"median\": " + number(median(ratios)) + ", \"least\": " + number(percentile(ratios, 0)) +
            ", \"most\": " + number(percentile(ratios, 1)) + ", \"reached\": " + (figures.reached() ? "true" : "false") +
            ", \"rounds\": [";
    const char* between_rounds = "";
    for (const auto& one : figures.rounds) {
      text += std::exchange(between_rounds, ",") + std::string("\n    {\"ours\": ") + number(one.found.ours) +
              ", \"against\": " + number(one.found.against) + ", \"core_round_trip_ns\": " + number(one.round_trip_ns);
      text += ", \"besides\": {";
      const char* between_names = "";
      for (const auto& [name, value] : one.found.besides) {
        text += std::exchange(between_names, ", ") + quoted(name) + ": " + number(value);
      }
      text += "}}";
    }
    text += "]}";
  }
  return text + "\n]}\n";
}

// -- measuring

/// Where a sync costs nothing, half of the table means nothing.
bool is_in_memory(const std::filesystem::path& folder) {
  struct statfs about {};
  return ::statfs(folder.c_str(), &about) == 0 && about.f_type == TMPFS_MAGIC;
}

class progress {
public:
  progress(std::size_t rows, int rounds) : steps_(rows * static_cast<std::size_t>(rounds)), rounds_(rounds) {}

  void show(const row& about, int round) {
    const auto share = static_cast<double>(done_) / static_cast<double>(steps_);
    line_.show(command_line::bar(share, command_line::bar_max / 2) + " " + command_line::percent_of(share) + "  " +
               title_of(about) + ", round " + std::to_string(round + 1) + " of " + std::to_string(rounds_));
  }
  void step() { ++done_; }
  void skip_row() { done_ += static_cast<std::size_t>(rounds_); }
  void clear() { line_.clear(); }

private:
  const std::size_t steps_;
  const int rounds_;
  std::size_t done_ = 0;
  command_line::status_line line_;
};

row_figures measure(const row& about, const extent& size, int rounds, progress& watched) {
  row_figures figures{&about, {}, {}};
  watched.show(about, 0);
  measure_round next;
  try {
    next = about.prepare(size);
  } catch (const skipped& why) {
    figures.skipped = why.what();
    watched.skip_row();
    return figures;
  }
  for (int round = 0; round < rounds; ++round) {
    watched.show(about, round);
    const auto round_trip = core_round_trip_ns();
    figures.rounds.push_back({next(round), round_trip});
    watched.step();
  }
  return figures;
}

std::vector<row> all_rows() {
  auto rows = pipeline_rows();
  // The rows against PostgreSQL come last, so that its server runs beside no others.
  for (auto more : {store_rows, recovery_rows, postgres_rows}) {
    for (auto& one : more()) rows.push_back(std::move(one));
  }
  return rows;
}

std::string names_of(const std::vector<row>& rows) {
  std::string names;
  for (const auto& one : rows) names += (names.empty() ? "" : ", ") + one.key;
  return names;
}

/// The row that has this name, or all whose names begin so.
std::set<std::string> keys_of(const std::vector<row>& rows, const std::string& name) {
  std::set<std::string> keys;
  for (const auto& one : rows) {
    if (one.key == name) return {name};
    if (one.key.starts_with(name)) keys.insert(one.key);
  }
  if (keys.empty()) throw command_line::bad_input("there is no row '" + name + "'; there are " + names_of(rows));
  return keys;
}

int run_all(int argc, char** argv) {
  auto rows = all_rows();
  CLI::App app{"Measures cairn against itself with something left out, against the bare store and against PostgreSQL.\n"
               "Every figure is a ratio within this run: the median of the rounds, with the least and the most.",
               "scripts/benchmark speed"};
  app.formatter(std::make_shared<command_line::plain_help>());
  int rounds = 5;
  extent size;
  std::vector<std::string> only;
  std::string figures_path;
  app.add_option("--only", only,
                 "Measure these rows alone; where there is none of that name, all whose names begin so: " + names_of(rows))
      ->type_name("NAME…");
  app.add_option("--rounds", rounds, "How often both sides are measured, in turn")
      ->type_name("N")
      ->capture_default_str()
      ->check(command_line::from(1, 1'000));
  app.add_option("--seconds", size.seconds, "How long each measurement takes")
      ->type_name("N")
      ->capture_default_str()
      ->check(CLI::Range(0.05, 3'600.0).description(""));
  app.add_option("--json", figures_path, "Write every round's figures to this file")
      ->type_name("FILE")
      ->check(command_line::not_empty());
  app.add_flag("--quick", size.quick, "One short, small round of each: shows that it runs, and nothing of how fast");
  if (const auto end = command_line::ended_by_flags(app, app.get_name(), argc, argv)) return *end;
  if (size.quick) {
    rounds = 1;
    size.seconds = 0.1;
  }
  std::set<std::string> wanted;
  for (const auto& name : only) wanted.merge(keys_of(rows, name));
  std::erase_if(rows, [&](const row& one) { return !only.empty() && !wanted.contains(one.key); });
  std::optional<command_line::output_file> file;
  if (!figures_path.empty()) file.emplace(figures_path);

  const auto began = cairn::system_now();
  std::printf("%u cores, %s; the stores are in %s; %d round%s of %s s\n\n", std::thread::hardware_concurrency(),
              processor().c_str(), std::filesystem::temp_directory_path().c_str(), rounds, rounds == 1 ? "" : "s",
              json::number(size.seconds).c_str());
  if (is_in_memory(std::filesystem::temp_directory_path())) {
    std::printf("That folder is in memory, where nothing is ever durable: set TMPDIR to one on a disk.\n\n");
  }
  const table printed(rows);
  progress watched(rows.size(), rounds);
  std::vector<row_figures> figures;
  for (const auto& one : rows) {
    figures.push_back(measure(one, size, rounds, watched));
    watched.clear();
    printed.add(figures.back());
  }
  print_absolute(figures);
  if (size.quick) std::printf("\nA quick run says that everything runs; its figures mean nothing.\n");
  if (file) file->finish(as_json(figures, size, began));
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_benchmark("speed_benchmark", run_all, argc, argv); }
