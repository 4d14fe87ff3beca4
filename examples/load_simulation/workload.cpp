// The synthetic day. The shop keeps its own books of the stock, as a shop does, to know when to order more.
#include "workload.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <queue>
#include <random>

namespace simulation {
namespace {

using std::chrono::microseconds;

constexpr cairn::timestamp midnight = std::chrono::sys_days{std::chrono::year{2024} / std::chrono::November / 29};
constexpr microseconds hour = std::chrono::hours{1};
constexpr std::size_t minutes_in_day = 24 * 60;

// How busy each hour is, in any unit.
constexpr std::array<double, 24> busy{2, 1, 1, 1, 1, 2, 4, 6, 8, 10, 11, 12, 13, 12, 11, 10, 10, 11, 13, 16, 18, 16, 10, 5};

// A crowd comes for one product and stays for some minutes.
struct offer {
  std::size_t from_minute;
  std::size_t to_minute;
  std::uint32_t product;
};

constexpr std::size_t offers_a_day = 4;
constexpr double crowd = 3;             // times the usual rate
constexpr double share_of_offer = 0.2;  // of the lines sold while it lasts
constexpr double share_returned = 0.04;
constexpr double another_line = 0.6;   // the chance that an order goes on
constexpr double another_piece = 0.7;  // the same for the pieces of a line
constexpr double hours_of_stock = 12;  // kept of each product; half of it is when more is ordered

// The standard's distributions differ between libraries; these few lines do not.
class dice {
public:
  explicit dice(std::uint64_t seed) : random_(seed) {}

  double unit() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  bool chance(double likely) { return unit() < likely; }
  std::uint64_t below(std::uint64_t end) { return static_cast<std::uint64_t>(unit() * static_cast<double>(end)); }
  std::int64_t one_or_more(double another) {
    std::int64_t count = 1;
    while (count < 100 && chance(another)) ++count;
    return count;
  }

private:
  std::mt19937_64 random_;
};

/// Picks an index with a likelihood in proportion to its weight.
class weighted {
public:
  explicit weighted(std::vector<double> weights) : sums_(std::move(weights)) {
    double sum = 0;
    for (auto& weight : sums_) weight = sum += weight;
  }
  /// `at` from 0 to 1, to the index and how far into it.
  std::pair<std::size_t, double> find(double at) const {
    const auto wanted = at * sums_.back();
    const auto place = static_cast<std::size_t>(std::upper_bound(sums_.begin(), sums_.end() - 1, wanted) - sums_.begin());
    const auto before = place == 0 ? 0 : sums_[place - 1];
    return {place, (wanted - before) / (sums_[place] - before)};
  }

private:
  std::vector<double> sums_;
};

struct delivery {
  cairn::timestamp at;
  std::uint32_t product;
  std::int64_t count;
  auto operator<=>(const delivery&) const = default;
};

std::string numbered(char kind, std::uint64_t number, std::size_t digits) {
  auto text = std::to_string(number);
  return kind + std::string(digits - std::min(digits, text.size()), '0') + text;
}

}  // namespace

const char* name_of(movement_kind kind) {
  switch (kind) {
  case movement_kind::opening: return "opening";
  case movement_kind::sold: return "sold";
  case movement_kind::returned: return "returned";
  case movement_kind::delivered: return "delivered";
  }
  return "";
}

void workload::open_with(const std::vector<std::int64_t>& counts, cairn::timestamp at) {
  const auto order = static_cast<std::uint32_t>(orders.size());
  orders.emplace_back("opening");
  std::vector<movement> openings;
  openings.reserve(counts.size() + movements.size());
  for (std::uint32_t product = 0; product < counts.size(); ++product) {
    openings.push_back({at, counts[product], product, order, product + 1, movement_kind::opening});
  }
  openings.insert(openings.end(), movements.begin(), movements.end());
  movements = std::move(openings);
}

workload synthetic_day(const day_options& options, const stop_flag& stop) {
  workload day;
  day.title = "a synthetic day";
  dice random(options.seed);

  std::vector<double> popularity;
  for (std::uint32_t rank = 1; rank <= options.products && !stop; ++rank) {
    day.products.push_back(numbered('P', rank, 6));
    popularity.push_back(1.0 / rank);
  }
  if (stop) return day;
  // So that the best seller is not always the first.
  for (auto left = popularity.size(); left > 1; --left) std::swap(popularity[left - 1], popularity[random.below(left)]);
  const weighted buyers_pick(popularity);

  std::vector<offer> offers;
  std::vector<double> rate;
  for (std::size_t minute = 0; minute < minutes_in_day; ++minute) rate.push_back(busy[minute / 60]);
  for (std::size_t made = 0; made < offers_a_day; ++made) {
    const auto from = 8 * 60 + random.below(13 * 60);
    const auto to = from + 5 + random.below(15);
    offers.push_back({from, to, static_cast<std::uint32_t>(random.below(options.products))});
    for (auto minute = from; minute < to; ++minute) rate[minute] = busy[minute / 60] * crowd;
  }
  const weighted moments(rate);

  // The shop's books: what it believes to have, and what it keeps of each product.
  double sum = 0;
  for (const auto part : popularity) sum += part;
  const auto pieces_a_day = static_cast<double>(options.commands) / (1 - another_piece);
  std::vector<std::int64_t> kept;
  for (const auto part : popularity) {
    kept.push_back(20 + static_cast<std::int64_t>(pieces_a_day * part / sum * hours_of_stock / 24));
  }
  auto stock = kept;
  std::vector<bool> ordered(options.products);
  std::priority_queue<delivery, std::vector<delivery>, std::greater<>> deliveries;

  day.movements.reserve(options.commands + options.products);
  const auto new_order = [&](char kind) {
    day.orders.push_back(numbered(kind, day.orders.size() + 1, 7));
    return static_cast<std::uint32_t>(day.orders.size() - 1);
  };
  const auto full = [&] { return day.movements.size() >= options.commands; };
  while (!full()) {
    if (stop) return day;
    const auto [minute, within] = moments.find(static_cast<double>(day.movements.size()) / static_cast<double>(options.commands));
    const auto now = midnight + microseconds(static_cast<std::int64_t>((static_cast<double>(minute) + within) * 60e6));

    for (; !full() && !deliveries.empty() && deliveries.top().at <= now; deliveries.pop()) {
      const auto& due = deliveries.top();
      day.movements.push_back({now, due.count, due.product, new_order('D'), 1, movement_kind::delivered});
      stock[due.product] += due.count;
      ordered[due.product] = false;
    }
    if (full()) break;

    const bool back = random.chance(share_returned);
    const auto order = new_order(back ? 'R' : 'S');
    const auto lines = static_cast<std::uint32_t>(random.one_or_more(another_line));
    const auto on_offer = std::find_if(offers.begin(), offers.end(), [minute = minute](const offer& one) {
      return minute >= one.from_minute && minute < one.to_minute;
    });
    for (std::uint32_t line = 1; line <= lines && !full(); ++line) {
      const auto product = on_offer != offers.end() && random.chance(share_of_offer)
                               ? on_offer->product
                               : static_cast<std::uint32_t>(buyers_pick.find(random.unit()).first);
      const auto count = random.one_or_more(another_piece);
      day.movements.push_back({now, count, product, order, line, back ? movement_kind::returned : movement_kind::sold});
      if (back) {
        stock[product] += count;
      } else if (count <= stock[product]) {
        stock[product] -= count;
      }
      if (stock[product] < kept[product] / 2 && !ordered[product]) {
        ordered[product] = true;
        const auto arrives =
            now + hour + microseconds(static_cast<std::int64_t>(random.unit() * 3 * static_cast<double>(hour.count())));
        deliveries.push({arrives, product, kept[product]});
      }
    }
  }
  day.open_with(kept, midnight);
  return day;
}

}  // namespace simulation
