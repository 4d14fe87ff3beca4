// What a row of the table is: a ratio of two things that are measured in turn.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cairn::benchmarks {

/// What one round found.
struct measured {
  double ours = 0;
  double against = 0;
  /// What else is worth telling: what it is, and how much.
  std::vector<std::pair<std::string, double>> besides = {};

  double ratio() const { return ours / against; }
};

struct goal {
  enum class kind { at_least, at_most, none } which = kind::none;
  double bound = 0;

  bool reached(double ratio) const { return which == kind::none || (which == kind::at_least ? ratio >= bound : ratio <= bound); }
};
inline goal at_least(double bound) { return {goal::kind::at_least, bound}; }
inline goal at_most(double bound) { return {goal::kind::at_most, bound}; }

/// How long and how large.
struct extent {
  double seconds = 1;  ///< of each measurement
  bool quick = false;  ///< only show that it runs

  /// How often the sides take turns within a round, where both can be there at once.
  int turns() const { return quick ? 1 : 4; }
  std::size_t scaled(std::size_t number) const { return quick ? (number + 99) / 100 : number; }
};

/// What a row needs is not here; says what, and how to get it.
class skipped : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// Measures both sides. Rounds count from 0: what is measured once in a round swaps places from one to the next.
using measure_round = std::function<measured(int round)>;

struct row {
  std::string key;
  std::string title;    ///< what is measured
  std::string against;  ///< and what with
  std::string unit;     ///< of both
  cairn::benchmarks::goal goal;
  /// Makes ready whatever all rounds share; it goes with the function that is returned. Throws skipped.
  std::function<measure_round(const extent&)> prepare;
};

/// Measures two things, the first one first in even rounds and last in odd ones. For what cannot stop and go on.
template <class First, class Second>
auto in_turn(int round, First first, Second second) {
  using first_type = decltype(first());
  using second_type = decltype(second());
  std::pair<first_type, second_type> both;
  if (round % 2 == 0) both.first = first();
  both.second = second();
  if (round % 2 != 0) both.first = first();
  return both;
}

/// Lets two things that are there at once run in turn, each for a part of the time of a measurement: the first one, then twice
/// the second, twice the first, and so on.
template <class First, class Second>
void take_turns(const extent& size, First first, Second second) {
  const auto seconds = size.seconds / size.turns();
  for (int turn = 0; turn < size.turns(); ++turn) {
    if (turn % 2 == 0) first(seconds);
    second(seconds);
    if (turn % 2 != 0) first(seconds);
  }
}

struct load;
/// What a quick run takes of it.
load scaled(load what, const extent& size);

/// Commands to durable answers, through the runtime.
std::vector<row> pipeline_rows();
/// What comes back from the store, and what stays in memory.
std::vector<row> recovery_rows();
/// The bare store against a plain file, and what it writes to the disk.
std::vector<row> store_rows();
/// Commands against the UPDATE of a table.
std::vector<row> postgres_rows();

}  // namespace cairn::benchmarks
