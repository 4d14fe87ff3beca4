// The parts that need no input: the histogram, the made-up day, the stretches of time, the page and the figures.
#include "load_simulation/page.hpp"
#include "load_simulation/workload.hpp"

#include <algorithm>
#include <doctest/doctest.h>
#include <random>
#include <set>

namespace simulation {
namespace {

TEST_CASE("every percentile is within one percent of the one of the sorted values") {
  std::mt19937_64 random(1);
  std::lognormal_distribution<double> nanoseconds(13, 2.5);
  histogram counted;
  std::vector<std::uint64_t> sorted;
  for (int number = 0; number < 100'000; ++number) {
    sorted.push_back(static_cast<std::uint64_t>(nanoseconds(random)));
    counted.record(sorted.back());
  }
  std::sort(sorted.begin(), sorted.end());
  CHECK(counted.count() == sorted.size());
  CHECK(counted.max() == sorted.back());
  CHECK(counted.percentile(100) == sorted.back());
  for (double percent = 0.1; percent < 100; percent += 0.1) {
    const auto exact = sorted[static_cast<std::size_t>(std::ceil(percent / 100 * 100'000 - 1e-6)) - 1];
    const auto told = counted.percentile(percent);
    REQUIRE(told >= exact);
    REQUIRE(static_cast<double>(told) <= static_cast<double>(exact) * 1.01 + 1);
  }
}

TEST_CASE("small values are exact, and values beyond the range count as its end") {
  histogram counted;
  for (std::uint64_t value = 0; value < 256; ++value) counted.record(value);
  CHECK(counted.percentile(50) == 127);
  counted.record(histogram::most + 1'000);
  CHECK(counted.max() == histogram::most);
  CHECK(histogram().percentile(99) == 0);
}

TEST_CASE("histograms add up, and what came since an earlier state can be told") {
  histogram first;
  histogram second;
  first.record(10);
  second.record(1'000'000);
  auto both = first;
  both.add(second);
  CHECK(both.count() == 2);
  CHECK(both.max() == 1'000'000);
  const auto since = both.since(first);
  CHECK(since.count() == 1);
  CHECK(since.percentile(50) >= 1'000'000);
}

TEST_CASE("the same seed makes the same day, and another seed another") {
  const auto first = synthetic_day({100, 20'000, 7});
  const auto again = synthetic_day({100, 20'000, 7});
  const auto other = synthetic_day({100, 20'000, 8});
  CHECK(first.products == again.products);
  CHECK(first.orders == again.orders);
  CHECK(first.movements == again.movements);
  CHECK(first.movements != other.movements);
}

TEST_CASE("a day has as many movements as were asked for, in order of time, after an opening of each product") {
  for (const auto& [products, commands] : {std::pair{1U, 1ULL}, {1U, 5'000ULL}, {3'000U, 50'000ULL}, {500U, 3ULL}}) {
    const auto day = synthetic_day({products, commands, 1});
    REQUIRE(day.movements.size() == products + commands);
    std::set<std::pair<std::uint32_t, std::uint32_t>> ids;
    for (std::size_t place = 0; place < day.movements.size(); ++place) {
      const auto& one = day.movements[place];
      REQUIRE((one.kind == movement_kind::opening) == (place < products));
      REQUIRE((place == 0 || day.movements[place - 1].occurred_at <= one.occurred_at));
      REQUIRE(one.count > 0);
      REQUIRE(ids.emplace(one.order, one.line).second);
    }
    CHECK(day.movements.back().occurred_at - day.movements.front().occurred_at <= std::chrono::hours{24});
  }
}

TEST_CASE("a day is uneven in time and between products, and has every kind of movement") {
  const auto day = synthetic_day({1'000, 200'000, 3});
  std::vector<std::uint64_t> of_product(1'000);
  std::vector<std::uint64_t> of_hour(24);
  std::map<movement_kind, std::uint64_t> of_kind;
  for (const auto& one : day.movements) {
    ++of_product[one.product];
    ++of_kind[one.kind];
    const auto since_midnight = one.occurred_at - day.movements.front().occurred_at;
    ++of_hour[static_cast<std::size_t>(std::min<std::int64_t>(23, since_midnight / std::chrono::hours{1}))];
  }
  std::sort(of_product.begin(), of_product.end());
  CHECK(of_product.back() > 100 * of_product.front());
  CHECK(of_hour[20] > 5 * of_hour[3]);
  CHECK(of_kind.size() == 4);
  CHECK(of_kind[movement_kind::returned] > 2'000);
}

TEST_CASE("a run of any length is told in a bounded number of stretches that leave nothing out") {
  timeline samples;
  histogram latency;
  cairn::runtime_statistics counters;
  for (int step = 1; step <= 100'000; ++step) {
    latency.record(static_cast<std::uint64_t>(step));
    counters.events += 2;
    samples.take(step * 0.03, latency, counters);
  }
  CHECK(samples.samples().size() <= timeline::samples_max);
  CHECK(samples.samples().size() >= timeline::samples_max / 4);
  std::uint64_t answered = 0;
  double until = 0;
  for (const auto& one : samples.samples()) {
    CHECK(one.from == until);
    until = one.to;
    answered += one.latency.count();
    CHECK(one.events == 2 * one.latency.count());
  }
  CHECK(answered > 99'000);
}

TEST_CASE("the line on a terminal has a bar at 80 columns, and never takes more than there are") {
  sample busy;
  busy.to = 1;
  for (int number = 0; number < 654'321; ++number) busy.latency.record(number % 50 == 0 ? 12'345'678 : 9'876'543);
  busy.commits = 456;
  busy.events = busy.commits * 1'234;
  busy.commit_ns = busy.commits * 1'876'543;
  busy.live_aggregates = 1'234'567;
  const auto cells = [](const std::string& text) {
    std::size_t count = 0;
    for (const auto* cell : {"█", "░"}) {
      for (auto at = text.find(cell); at != std::string::npos; at = text.find(cell, at + 1)) ++count;
    }
    return count;
  };
  for (const auto share : {0.0, 0.5, 1.0}) {
    const auto line = progress_line(share, busy, 79);
    CHECK_MESSAGE(cells(line) >= 10, line);
    for (const auto* figure : {" %", "654k/s", "p50 9.9", "p99 12.3ms", "live 1.2M", "batch 1.2k", "sync 1.88ms"}) {
      CHECK_MESSAGE(line.find(figure) != std::string::npos, line << ": " << figure);
    }
    for (std::size_t columns = 1; columns < 200; ++columns) CHECK(width_of(progress_line(share, busy, columns)) <= columns);
  }
  CHECK(progress_line(0.5, busy, 150).find("654,321/s  p50 9.9") != std::string::npos);
}

TEST_CASE("a text is cut between characters") {
  CHECK(beginning_of("870 µs", 5) == "870 µ");
  CHECK(beginning_of("870 µs", 4) == "870 ");
  CHECK(beginning_of("870 µs", 6) == "870 µs");
  CHECK(beginning_of("870 µs", 60) == "870 µs");
  CHECK(beginning_of("", 0) == "");
}

TEST_CASE("a day that nobody waits for any more is given up") {
  const stop_flag at_once{true};
  CHECK(synthetic_day({100, 20'000, 7}, at_once).movements.empty());
}

TEST_CASE("figures are written for people") {
  CHECK(counted(0, "event") == "0 events");
  CHECK(counted(1, "event") == "1 event");
  CHECK(counted(1'234, "event") == "1,234 events");
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1'234'567) == "1,234,567");
  CHECK(as_time(0) == "0 µs");
  CHECK(as_time(870'400) == "870 µs");
  CHECK(as_time(1'234'567) == "1.23 ms");
  CHECK(as_time(999'600'000) == "1.00 s");
  CHECK(as_time(12'345'678'901) == "12.3 s");
}

TEST_CASE("page and JSON keep what they quote from breaking out of its place") {
  report about;
  about.title = "a <b>\"day\" & \\night\n";
  about.faults = {"</p><script>"};
  const auto page = as_page(about);
  CHECK(page.find("a &lt;b&gt;&quot;day&quot; &amp; \\night") != std::string::npos);
  CHECK(page.find("<script>") == std::string::npos);
  CHECK(as_json(about).find("\"title\": \"a <b>\\\"day\\\" & \\\\night\\u000a\"") != std::string::npos);
}

}  // namespace
}  // namespace simulation
