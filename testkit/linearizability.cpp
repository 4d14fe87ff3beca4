#include <cairn/testkit/linearizability.hpp>

#include "hash_mix.hpp"

#include <cairn/error.hpp>

#include <algorithm>
#include <numeric>
#include <unordered_map>

namespace cairn::inline v1::testkit::detail {
namespace {

using bits = std::vector<std::uint64_t>;

bits bits_for(std::size_t count) { return bits((count + 63) / 64); }
bool has(const bits& set, std::size_t number) { return (set[number / 64] >> (number % 64) & 1) != 0; }
void flip(bits& set, std::size_t number) { set[number / 64] ^= std::uint64_t{1} << (number % 64); }
bool is_part_of(const bits& part, const bits& whole) {
  return std::equal(part.begin(), part.end(), whole.begin(), [](auto some, auto all) { return (some & ~all) == 0; });
}

/// Numbers in a given order, any of which can be taken out and, in the reverse order of taking, put back.
class shrinking_list {
public:
  explicit shrinking_list(const std::vector<std::size_t>& order)
      : next_(order.size() + 1, order.size()), before_(order.size() + 1, order.size()) {
    auto last = end();
    for (const auto number : order) {
      before_[number] = std::exchange(last, number);
      next_[before_[number]] = number;
    }
    before_[end()] = last;
  }

  std::size_t end() const { return next_.size() - 1; }
  std::size_t first() const { return next_[end()]; }
  std::size_t after(std::size_t number) const { return next_[number]; }
  void take_out(std::size_t number) {
    next_[before_[number]] = next_[number];
    before_[next_[number]] = before_[number];
  }
  void put_back(std::size_t number) { next_[before_[number]] = before_[next_[number]] = number; }

private:
  std::vector<std::size_t> next_;
  std::vector<std::size_t> before_;
};

/// The places of a history's known or unknown operations, by when they were called.
std::vector<std::size_t> by_call(std::span<const operation_moments> operations, bool known) {
  std::vector<std::size_t> places;
  for (std::size_t place = 0; place < operations.size(); ++place) {
    const auto& operation = operations[place];
    if (operation.returned.has_value() != operation.has_output) {
      throw error(errc::invalid_argument,
                  "operation " + std::to_string(place) + " has one of return and output without the other");
    }
    if (operation.returned && *operation.returned < operation.called) {
      throw error(errc::invalid_argument, "operation " + std::to_string(place) + " returned before it was called");
    }
    if (operation.returned.has_value() == known) places.push_back(place);
  }
  std::ranges::stable_sort(places, {}, [&](std::size_t place) { return operations[place].called; });
  return places;
}

class linearization_search {
  static constexpr auto nothing = static_cast<std::size_t>(-1);

  // Known operations are numbered by when they were called, and so are the unknown ones, apart from them.

  /// A state that can be reached with the same known operations, and the unknown ones that it takes.
  struct variant {
    any_value state;
    bits used;
    std::size_t from = nothing;  // the variant before its last unknown operation
    std::size_t last = nothing;
  };
  /// The way on after some known operations. Each may come next from each variant; the variants are found as they are needed,
  /// those with fewer unknown operations first.
  struct frame {
    std::size_t placed;                // the known operation that led here
    std::vector<std::size_t> choices;  // known operations that may come next
    std::vector<variant> variants;
    std::size_t current = 0;
    std::size_t tried = 0;  // of the choices, from the current variant
    bool settled = false;   // a read comes next from the current variant, and nothing else needs to be tried
  };
  struct configuration {
    bits placed;
    any_value state;
    std::size_t hash;
  };
  struct configuration_hash {
    std::size_t operator()(const configuration& one) const noexcept { return one.hash; }
  };
  struct same_configuration {
    const any_history* history;
    bool operator()(const configuration& one, const configuration& other) const {
      return one.hash == other.hash && one.placed == other.placed && history->equal(one.state.get(), other.state.get());
    }
  };

public:
  linearization_search(const any_history& history, std::span<const operation_moments> operations, check_options options)
      : history_(history), operations_(operations), options_(options), known_(by_call(operations, true)),
        unknown_(by_call(operations, false)), open_by_call_(numbers(known_.size())), open_by_return_(by_return()),
        placed_(bits_for(known_.size())), visited_(0, configuration_hash{}, same_configuration{&history}) {
    for (std::size_t number = 0; number < known_.size(); ++number) reads_.push_back(history_.only_reads(known_[number]));
    std::erase_if(unknown_, [this](std::size_t place) { return history_.only_reads(place); });
    for (std::size_t number = 0; number < unknown_.size(); ++number) twin_before_.push_back(find_twin_before(number));
  }

  linearization run() {
    push(nothing, choices_now(), history_.initial(), bits_for(unknown_.size()));
    while (!frames_.back().choices.empty()) {
      auto& top = frames_.back();
      if (steps_ >= options_.steps_max) return conclude(linearizability::undecided);
      if (top.current == top.variants.size()) {
        note(top.choices);
        if (frames_.size() == 1) return conclude(linearizability::not_linearizable);
        unplace(top.placed);
        frames_.pop_back();
      } else if (top.tried < top.choices.size()) {
        try_known(top);
      } else {
        if (!top.settled) try_unknown(top);
        ++top.current;
        top.tried = 0;
        top.settled = false;
      }
    }
    return {linearizability::linearizable, order(), {}, steps_};
  }

private:
  // -- the operations

  static std::vector<std::size_t> numbers(std::size_t count) {
    std::vector<std::size_t> all(count);
    std::iota(all.begin(), all.end(), std::size_t{0});
    return all;
  }

  const operation_moments& known(std::size_t number) const { return operations_[known_[number]]; }
  const operation_moments& unknown(std::size_t number) const { return operations_[unknown_[number]]; }

  std::vector<std::size_t> by_return() const {
    auto all = numbers(known_.size());
    std::ranges::stable_sort(all, {}, [this](std::size_t number) { return *known(number).returned; });
    return all;
  }

  std::size_t find_twin_before(std::size_t number) const {
    for (auto before = number; before-- > 0;) {
      if (history_.interchangeable(unknown_[before], unknown_[number])) return before;
    }
    return nothing;
  }

  any_value step(const any_value& from, std::size_t place) {
    ++steps_;
    return history_.step(from.get(), place);
  }

  // -- where the search stands

  void place(std::size_t number) {
    flip(placed_, number);
    open_by_call_.take_out(number);
    open_by_return_.take_out(number);
  }
  void unplace(std::size_t number) {
    open_by_return_.put_back(number);
    open_by_call_.put_back(number);
    flip(placed_, number);
  }

  /// Until when an operation must have been called to come next: the first return that is still to come.
  std::int64_t called_until() const { return *known(open_by_return_.first()).returned; }

  /// The known operations that may come next: reads first, then those that returned first. Empty where all are placed.
  std::vector<std::size_t> choices_now() const {
    std::vector<std::size_t> choices;
    for (auto number = open_by_call_.first(); number != open_by_call_.end(); number = open_by_call_.after(number)) {
      if (known(number).called > called_until()) break;
      choices.push_back(number);
    }
    std::ranges::stable_sort(choices, {},
                             [this](std::size_t number) { return std::pair(!reads_[number], *known(number).returned); });
    return choices;
  }

  std::vector<std::size_t> hopeless(const any_value& state, const std::vector<std::size_t>& choices) const {
    std::vector<std::size_t> found;
    for (const auto number : choices) {
      if (history_.hopeless(state.get(), known_[number])) found.push_back(number);
    }
    return found;
  }

  /// The placed known operations, short: nearly always all up to some number, and some of the next few.
  bits placed_key() const {
    const auto start = std::min(open_by_call_.first() / 64, placed_.size());
    bits key{start};
    key.insert(key.end(), placed_.begin() + static_cast<std::ptrdiff_t>(start), placed_.end());
    while (key.size() > 1 && key.back() == 0) key.pop_back();
    return key;
  }

  /// Whether the present known operations were never placed before with this state and no other unknown operations than these.
  /// Whatever follows with these unknown operations used up would follow with fewer of them used up.
  bool first_visit(const any_value& state, const bits& used) {
    configuration here{placed_key(), state, history_.hash(state.get())};
    for (const auto word : here.placed) here.hash = mix(here.hash, word);
    auto& visits = visited_[std::move(here)];
    if (std::ranges::any_of(visits, [&](const bits& before) { return is_part_of(before, used); })) return false;
    std::erase_if(visits, [&](const bits& before) { return is_part_of(used, before); });
    visits.push_back(used);
    return true;
  }

  // -- its moves

  void push(std::size_t placed, std::vector<std::size_t> choices, any_value state, bits used) {
    frames_.push_back({placed, std::move(choices), {}});
    frames_.back().variants.push_back({std::move(state), std::move(used)});
  }

  void try_known(frame& top) {
    const auto number = top.choices[top.tried++];
    const auto& from = top.variants[top.current];
    auto state = step(from.state, known_[number]);
    if (!state) return;
    if (reads_[number]) {
      // Any order that goes on from here goes on as well with this read first: it changes nothing for the others.
      top.settled = true;
      top.tried = top.choices.size();
    }
    place(number);
    auto choices = choices_now();
    const auto lost = hopeless(state, choices);
    if (!lost.empty()) note(lost, number);
    if (lost.empty() && first_visit(state, from.used)) {
      auto used = from.used;
      push(number, std::move(choices), std::move(state), std::move(used));
    } else {
      unplace(number);
    }
  }

  void try_unknown(frame& top) {
    for (std::size_t number = 0; number < unknown_.size(); ++number) {
      const auto& from = top.variants[top.current];
      if (unknown(number).called > called_until()) break;
      // Of interchangeable ones the first called comes first: it could stand wherever a later one can.
      if (has(from.used, number) || (twin_before_[number] != nothing && !has(from.used, twin_before_[number]))) continue;
      auto state = step(from.state, unknown_[number]);
      if (!state || history_.equal(state.get(), from.state.get()) || !hopeless(state, top.choices).empty()) continue;
      auto used = from.used;
      flip(used, number);
      if (first_visit(state, used)) top.variants.push_back({std::move(state), std::move(used), top.current, number});
    }
  }

  // -- what it tells

  /// Appends the unknown operations that lead to the current variant of a frame.
  void add_unknown(std::vector<std::size_t>& order, const frame& of) const {
    const auto start = static_cast<std::ptrdiff_t>(order.size());
    for (auto at = of.current; of.variants[at].last != nothing; at = of.variants[at].from) {
      order.push_back(unknown_[of.variants[at].last]);
    }
    std::reverse(order.begin() + start, order.end());
  }

  std::vector<std::size_t> order() const {
    std::vector<std::size_t> all;
    for (std::size_t depth = 0; depth + 1 < frames_.size(); ++depth) {
      add_unknown(all, frames_[depth]);
      all.push_back(known_[frames_[depth + 1].placed]);
    }
    return all;
  }

  /// Keeps the present order, with `more` at its end, if it is the longest so far; `blocked` says why it does not go on.
  void note(const std::vector<std::size_t>& blocked, std::size_t more = nothing) {
    const auto length = frames_.size() + (more == nothing ? 0 : 1);  // the root counts, so the first is always kept
    if (length <= longest_) return;
    longest_ = length;
    best_.order = order();
    if (more != nothing) {
      add_unknown(best_.order, frames_.back());
      best_.order.push_back(known_[more]);
    }
    best_.blocked.clear();
    for (const auto number : blocked) best_.blocked.push_back(known_[number]);
  }

  linearization conclude(linearizability verdict) {
    note(frames_.back().choices);
    best_.verdict = verdict;
    best_.steps = steps_;
    return std::move(best_);
  }

  const any_history& history_;
  std::span<const operation_moments> operations_;
  check_options options_;
  std::vector<std::size_t> known_;    // places in the history
  std::vector<std::size_t> unknown_;  // likewise, without those that only read: they explain nothing
  std::vector<bool> reads_;
  std::vector<std::size_t> twin_before_;  // of an unknown operation: the one called last before it that is interchangeable
  shrinking_list open_by_call_;           // known operations not yet placed
  shrinking_list open_by_return_;
  bits placed_;
  std::vector<frame> frames_;
  /// With which unknown operations a configuration was tried.
  std::unordered_map<configuration, std::vector<bits>, configuration_hash, same_configuration> visited_;
  std::uint64_t steps_ = 0;
  linearization best_;
  std::size_t longest_ = 0;
};

}  // namespace

linearization search_order(const any_history& history, std::span<const operation_moments> moments, check_options options) {
  return linearization_search(history, moments, options).run();
}

std::string client_and_moments(std::uint64_t client, std::int64_t called, std::optional<std::int64_t> returned) {
  return "  client " + std::to_string(client) + ", " + std::to_string(called) + " to " +
         (returned ? std::to_string(*returned) : "?") + ": ";
}

std::string explain_order(const linearization& found, std::size_t operations,
                          const std::function<std::string(std::size_t)>& line) {
  constexpr std::size_t shown_max = 12;
  const auto counted = std::to_string(found.order.size()) + " of " + std::to_string(operations) + " operations in order, " +
                       std::to_string(found.steps) + " steps";
  if (found) return "linearizable: " + counted + "\n";
  std::string text = (found.verdict == linearizability::undecided ? "undecided, given up: " : "not linearizable: ") + counted +
                     "; the longest order";
  const auto hidden = found.order.size() - std::min(found.order.size(), shown_max);
  text += hidden > 0 ? " ends with\n" : " is\n";
  for (auto place = hidden; place < found.order.size(); ++place) text += line(found.order[place]) + "\n";
  text += "and of these, none could be next, or one could never follow:\n";
  for (const auto place : found.blocked) text += line(place) + "\n";
  return text;
}

}  // namespace cairn::testkit::detail
