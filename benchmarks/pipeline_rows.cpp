#include "load.hpp"
#include "rows.hpp"
#include "store.hpp"

#include <algorithm>

namespace cairn::benchmarks {

load scaled(load what, const extent& size) {
  what.products = what.products == 1 ? 1 : size.scaled(what.products);
  what.in_flight = size.scaled(what.in_flight);
  what.warm_up_bytes = size.scaled(what.warm_up_bytes);
  return what;
}

namespace {

/// Two loads, in turn.
row compared(std::string key, std::string title, load ours, std::string against, load theirs, goal wanted) {
  return {std::move(key), std::move(title), std::move(against), "commands/s", wanted, [=](const extent& size) -> measure_round {
            return [=](int) -> measured {
              pipeline our_side(scaled(ours, size));
              pipeline their_side(scaled(theirs, size));
              take_turns(
                  size, [&](double seconds) { our_side.run(seconds); }, [&](double seconds) { their_side.run(seconds); });
              const auto one = our_side.figures();
              const auto other = their_side.figures();
              measured found{one.commands_per_second, other.commands_per_second};
              found.besides = {{"µs CPU a command", one.cpu_us_per_command},
                               {"against", other.cpu_us_per_command},
                               {"records a commit", one.mean_batch}};
              if (one.standstill_share && other.standstill_share) {
                found.besides.emplace_back("% of the time stood still", 100 * *one.standstill_share);
                found.besides.emplace_back("% of the other side's", 100 * *other.standstill_share);
              }
              if (ours.subscribers > 0) {
                found.besides.emplace_back("records delivered to each for a command", one.delivered);
                found.besides.emplace_back("records behind at most", one.lag);
              }
              if (ours.snapshot_every_events != theirs.snapshot_every_events) {
                found.besides.emplace_back("snapshots", one.snapshots);
              }
              return found;
            };
          }};
}

row against_no_journal(std::string key, std::string title, load what, double at_least_ratio) {
  auto without = what;
  without.into = storing::nothing;
  return compared(std::move(key), std::move(title), what, "no journal", without, at_least(at_least_ratio));
}

row against_bare_store(std::string key, std::string title, load what) {
  return {key + "-store", std::move(title), "bare store", "records/s", {}, [=](const extent& size) -> measure_round {
            return [=](int) -> measured {
              const auto ours = scaled(what, size);
              pipeline commands(ours);
              bare_store records(ours.products, ours.warm_up_bytes);
              take_turns(
                  size, [&](double seconds) { commands.run(seconds); },
                  [&](double seconds) {
                    records.run(std::max<std::size_t>(1, static_cast<std::size_t>(commands.figures().mean_batch)), seconds);
                  });
              const auto figures = commands.figures();
              return {figures.commands_per_second, records.records_per_second(), {{"records a commit", figures.mean_batch}}};
            };
          }};
}

/// The median, where the slowest 1 % of the commands were and for how long on average, and how far the machine is to blame.
void tell(measured& found, const latencies& of, const std::string& there) {
  found.besides.emplace_back("µs median" + there, 1e6 * median(of.all));
  const auto means = means_of_slowest(of.watched, 0.01);
  for (std::size_t part = 0; part < parts; ++part) {
    found.besides.emplace_back("µs of the slowest 1 % in " + std::string(part_names[part]) + there, 1e6 * means[part]);
  }
  if (!of.standstill_share) return;
  found.besides.emplace_back("µs p99 while no core stood still" + there, 1e6 * percentile(of.undisturbed, 0.99));
  found.besides.emplace_back("% of the time a core stood still" + there, 100 * *of.core_standstill_share);
  found.besides.emplace_back("% of the time all stood still" + there, 100 * *of.standstill_share);
}

row latency_at(std::string key, std::string title, double commands_per_second) {
  return {std::move(key), std::move(title), "median sync", "µs", {}, [=](const extent& size) -> measure_round {
            return [=](int) -> measured {
              pipeline alone(scaled({.products = 1'000, .in_flight = 1'000}, size));
              const auto sync = median_sync_seconds();
              alone.run(size.seconds / 4);  // makes it warm
              const auto cpu = cpu_seconds();
              const auto found =
                  alone.latencies_at(size.quick ? commands_per_second / 100 : commands_per_second, 5 * size.seconds);
              const auto commands = 1.25 * static_cast<double>(found.all.size());  // with the first quarter
              measured told{1e6 * percentile(found.all, 0.99), 1e6 * sync, {}};
              told.besides = {{"µs CPU a command", 1e6 * (cpu_seconds() - cpu) / commands}};
              tell(told, found, "");
              return told;
            };
          }};
}

measured fairness_round(const extent& size) {
  pipeline products(scaled({.products = 1'000, .in_flight = 1'000}, size));
  const auto commands_per_second = size.quick ? 100 : 10'000;
  const auto p99_beside = [&](std::size_t asked, double seconds, std::vector<double>& into) {
    const load others{.products = asked, .in_flight = 256, .by = client::callbacks_and_looks};
    const auto found = products.latencies_beside(scaled(others, size), commands_per_second, seconds);
    into.insert(into.end(), found.all.begin(), found.all.end());
  };
  std::vector<double> beside_one, beside_many;
  take_turns(
      size, [&](double seconds) { p99_beside(1, seconds, beside_one); },
      [&](double seconds) { p99_beside(1'000, seconds, beside_many); });
  measured found{1e6 * percentile(beside_one, 0.99), 1e6 * percentile(beside_many, 0.99), {}};
  found.besides = {{"µs median", 1e6 * median(beside_one)}, {"against", 1e6 * median(beside_many)}};
  return found;
}

measured latency_round(const extent& size) {
  pipeline alone(scaled({.products = 1'000, .in_flight = 1'000}, size));
  const auto highest = alone.run(size.seconds);
  const auto sync = median_sync_seconds();
  // So long that what is done in the background, now and then, falls into it.
  const auto at_half = alone.latencies_at(highest / 2, 10 * size.seconds);
  const auto at_quarter = alone.latencies_at(highest / 4, 10 * size.seconds);
  measured found{1e6 * percentile(at_half.all, 0.99), 1e6 * sync, {{"commands/s", highest / 2}}};
  tell(found, at_half, "");
  found.besides.emplace_back("µs p99 at a quarter of the rate", 1e6 * percentile(at_quarter.all, 0.99));
  tell(found, at_quarter, " there");
  return found;
}

}  // namespace

std::vector<row> pipeline_rows() {
  const load few{.products = 1'000, .in_flight = 1'000};
  const load deep{.products = 1'000, .in_flight = 10'000};
  const load many{.products = 100'000, .in_flight = 10'000};
  const load hot{.products = 1, .in_flight = 1'000};
  const auto with = [](load what, auto change) {
    change(what);
    return what;
  };
  const auto few_title = "1,000 products, 1,000 in flight";
  const auto deep_title = "1,000 products, 10,000 in flight";
  const auto many_title = "100,000 products, 10,000 in flight";
  const auto hot_title = "one product, 1,000 in flight";
  const auto bringing_ids = with(deep, [](load& what) { what.with_ids = true; });
  const load long_histories{.products = 100, .in_flight = 10'000};
  const auto on_threads = [&](const std::string& key, int threads) {
    const auto callbacks = with(deep, [=](load& what) { what.client_threads = threads; });
    const auto coroutines = with(callbacks, [](load& what) { what.by = client::coroutines; });
    const auto title = "use_awaitable, " + std::string(threads == 1 ? "1 client thread" : "4 client threads");
    return compared(key, title, coroutines, "callbacks", callbacks, at_least(0.6));
  };
  const auto batches = [&](std::string key, std::string title, client by, double at_least_ratio) {
    return compared(std::move(key), std::move(title), with(deep, [=](load& what) { what.by = by; }), "single asks", deep,
                    at_least(at_least_ratio));
  };
  return {
      against_no_journal("1k-1k", few_title, few, 0.55),
      against_no_journal("1k-10k", deep_title, deep, 0.72),
      against_no_journal("100k-10k", many_title, many, 0.84),
      against_no_journal("hot", hot_title, hot, 0.73),
      against_bare_store("1k-1k", few_title, few),
      against_bare_store("1k-10k", deep_title, deep),
      against_bare_store("100k-10k", many_title, many),
      against_bare_store("hot", hot_title, hot),
      compared("zipf", "Zipf 1.0 over 100,000 products", with(many, [](load& what) { what.zipf = 1; }), "uniform", many,
               at_least(1.0)),
      {"p99", "99th percentile at half the rate", "median sync", "µs", at_most(50),
       [](const extent& size) -> measure_round { return [=](int) { return latency_round(size); }; }},
      latency_at("p99-100k", "99th percentile at 100,000 commands/s", 100'000),
      latency_at("p99-200k", "99th percentile at 200,000 commands/s", 200'000),
      {"p99-hot", "99th percentile beside 256 in flight for one product", "for a thousand", "µs", at_most(2),
       [](const extent& size) -> measure_round { return [=](int) { return fairness_round(size); }; }},
      compared("snapshots", "snapshots every 500 events", long_histories, "without",
               with(long_histories, [](load& what) { what.snapshot_every_events = 0; }), at_least(0.97)),
      compared("chain", "with the hash chain", deep, "without", with(deep, [](load& what) { what.into = storing::unchained; }),
               at_least(0.93)),
      compared("ids", "commands that bring ids and who", bringing_ids, "bringing none", deep, {}),
      against_no_journal("ids-10k", "commands that bring ids and who", bringing_ids, 0.5),
      on_threads("awaitable-4", 4),
      on_threads("awaitable-1", 1),
      batches("many-one", "ask_many, 64 for one product", client::batches_for_one, 2.5),
      compared("subscribers", "four subscribers that keep up and a slow one",
               with(deep,
                    [](load& what) {
                      what.subscribers = 4;
                      what.slow_subscribers = 1;
                    }),
               "none", deep, at_least(0.97)),
      batches("many-each", "ask_many, 64 for different products", client::batches_for_many, 1.2),
  };
}

}  // namespace cairn::benchmarks
