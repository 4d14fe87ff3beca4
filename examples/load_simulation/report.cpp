#include "report.hpp"

#include <algorithm>
#include <cstdio>

namespace simulation {
namespace {

std::string per_second(std::uint64_t count, double seconds) {
  return seconds > 0 ? grouped(static_cast<std::uint64_t>(static_cast<double>(count) / seconds)) + "/s" : "-";
}

std::string seconds_text(double seconds) { return as_time(static_cast<std::uint64_t>(seconds * 1e9)); }

std::string quotient(std::uint64_t all, std::uint64_t parts, int digits) {
  return parts == 0 ? "-" : fixed(static_cast<double>(all) / static_cast<double>(parts), digits);
}

std::string percentile_name(double percent) { return "p" + fixed(percent, percent == static_cast<int>(percent) ? 0 : 1); }

std::string json_text(std::string_view text) {
  std::string quoted = "\"";
  for (const char character : text) {
    if (character == '"' || character == '\\') {
      quoted += {'\\', character};
    } else if (static_cast<unsigned char>(character) < 0x20) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", static_cast<unsigned>(character));
      quoted += escaped;
    } else {
      quoted += character;
    }
  }
  return quoted + '"';
}

/// Writes an object, member by member.
class json_object {
public:
  json_object& add(std::string_view name, std::string value) {
    text_ += (text_.empty() ? "{" : ", ") + json_text(name) + ": " + std::move(value);
    return *this;
  }
  json_object& add(std::string_view name, std::uint64_t value) { return add(name, std::to_string(value)); }
  json_object& add(std::string_view name, double value) { return add(name, fixed(value, 6)); }
  std::string done() const { return text_.empty() ? "{}" : text_ + "}"; }

private:
  std::string text_;
};

std::string json_array(const std::vector<std::string>& values) {
  std::string text;
  for (const auto& value : values) text += (text.empty() ? "" : ", ") + value;
  return "[" + text + "]";
}

}  // namespace

std::vector<row> rows(const report& about) {
  const auto& commands = about.commands;
  std::vector<row> all;
  const auto add = [&](std::string what, std::string figure) { all.emplace_back(std::move(what), std::move(figure)); };

  add("Commands", "");
  add("answered", grouped(commands.answered) + " in " + seconds_text(about.seconds));
  add("rate", per_second(commands.answered, about.seconds));
  add("accepted", grouped(commands.accepted));
  for (const auto& [reason, times] : commands.rejected) add("rejected: " + reason, grouped(times));
  if (commands.failed > 0) add("failed", grouped(commands.failed));

  add("Time from command to answer", "");
  for (const auto percent : percentiles) add(percentile_name(percent), as_time(about.latency.percentile(percent)));
  add("longest", as_time(about.latency.max()));

  add("Store", "");
  add("events written", grouped(about.events));
  add("group commits", grouped(about.commits) + ", of " + quotient(about.events, about.commits, 0) + " events on average");
  add("time of a commit",
      about.commits == 0 ? "-" : as_time(about.commit_ns / about.commits) + " on average, " + about.durability);
  add("snapshots written",
      grouped(about.snapshots) + (about.failed_snapshots > 0 ? ", and " + grouped(about.failed_snapshots) + " failed" : ""));
  if (about.passivations > 0) add("actors put to rest meanwhile", grouped(about.passivations));
  if (const auto& counts = about.events_per_product; !counts.empty()) {
    add("events of a product",
        grouped(counts.front()) + " to " + grouped(counts.back()) + ", median " + grouped(counts[counts.size() / 2]));
  }
  if (about.store_bytes > 0) add("size on disk", fixed(static_cast<double>(about.store_bytes) / 1e6, 1) + " MB");

  if (!about.cold.products.empty()) {
    add("Closed, and opened again", "");
    add("finishing and closing", seconds_text(about.drain_seconds));
    add("opening the store", seconds_text(about.open_seconds));
    const auto folding = [&](std::string how, const auto& read) {
      add(std::move(how),
          counted(read.records, "event") + " in " + seconds_text(read.seconds) + ", " + per_second(read.records, read.seconds));
    };
    folding("folding the log by hand", about.log);
    folding("folding it by the domain", about.domain);
    const auto unusable = about.domain.snapshots_passed_over;
    add("and comparing with it", counted(about.domain.snapshots, "snapshot") +
                                     (unusable > 0 ? ", and " + grouped(unusable) + " that cannot be used" : ""));
    add("recovering every product", grouped(about.cold.products.size()) + " in " + seconds_text(about.cold.seconds) + ", " +
                                        per_second(about.cold.products.size(), about.cold.seconds));
    add("which read", counted(about.cold.snapshots_loaded, "snapshot") + " and " + counted(about.cold.events_read, "event"));
  }
  return all;
}

std::string in_batches(const report& about) { return about.batch > 1 ? " in batches of " + grouped(about.batch) : ""; }

std::string as_text(const report& about) {
  std::string text;
  for (const auto& [what, figure] : rows(about)) {
    if (figure.empty()) {
      text += "\n" + what + "\n";
    } else {
      text += "  " + what + std::string(30 - std::min<std::size_t>(width_of(what), 29), ' ') + figure + "\n";
    }
  }
  return text;
}

std::string as_json(const report& about) {
  json_object rejected;
  for (const auto& [reason, times] : about.commands.rejected) rejected.add(reason, times);
  json_object latency;
  for (const auto percent : percentiles) latency.add(percentile_name(percent), about.latency.percentile(percent));
  latency.add("max", about.latency.max());
  json_object per_product;
  if (const auto& counts = about.events_per_product; !counts.empty()) {
    per_product.add("min", counts.front()).add("median", counts[counts.size() / 2]).add("max", counts.back());
  }
  std::vector<std::string> samples;
  for (const auto& one : about.timeline) {
    samples.push_back(json_object()
                          .add("from_s", one.from)
                          .add("to_s", one.to)
                          .add("answered", one.latency.count())
                          .add("p50_ns", one.latency.percentile(50))
                          .add("p99_ns", one.latency.percentile(99))
                          .add("events", one.events)
                          .add("commits", one.commits)
                          .add("commit_ns", one.commit_ns)
                          .add("live_aggregates", one.live_aggregates)
                          .done());
  }
  std::vector<std::string> faults;
  for (const auto& fault : about.faults) faults.push_back(json_text(fault));
  return json_object()
             .add("title", json_text(about.title))
             .add("products", about.products)
             .add("openings", about.openings)
             .add("movements", about.movements)
             .add("skipped", about.skipped)
             .add("clients", about.clients)
             .add("in_flight", about.in_flight)
             .add("batch", about.batch)
             .add("durability", json_text(about.durability))
             .add("snapshot_every", about.snapshot_every)
             .add("answered", about.commands.answered)
             .add("accepted", about.commands.accepted)
             .add("rejected", rejected.done())
             .add("failed", about.commands.failed)
             .add("seconds", about.seconds)
             .add("latency_ns", latency.done())
             .add("events_before", about.events_before)
             .add("events", about.events)
             .add("commits", about.commits)
             .add("commit_ns", about.commit_ns)
             .add("snapshots", about.snapshots)
             .add("failed_snapshots", about.failed_snapshots)
             .add("passivations", about.passivations)
             .add("events_per_product", per_product.done())
             .add("store_bytes", about.store_bytes)
             .add("drain_seconds", about.drain_seconds)
             .add("open_seconds", about.open_seconds)
             .add("log_events", about.log.records)
             .add("log_seconds", about.log.seconds)
             .add("domain_events", about.domain.records)
             .add("domain_seconds", about.domain.seconds)
             .add("domain_snapshots", about.domain.snapshots)
             .add("recovered_products", static_cast<std::uint64_t>(about.cold.products.size()))
             .add("recovery_seconds", about.cold.seconds)
             .add("recovery_snapshots", about.cold.snapshots_loaded)
             .add("recovery_events", about.cold.events_read)
             .add("proved", std::string(about.proved ? "true" : "false"))
             .add("verdict", json_text(about.verdict))
             .add("faults", json_array(faults))
             .add("timeline", json_array(samples))
             .done() +
         "\n";
}

}  // namespace simulation
