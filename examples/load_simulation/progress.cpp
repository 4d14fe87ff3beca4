#include "progress.hpp"

#include "report.hpp"

#include <algorithm>
#include <cstdio>

namespace simulation {
namespace {

using clock = std::chrono::steady_clock;
using command_line::bar;
using command_line::bar_max;
using command_line::bar_min;
using command_line::percent_of;

constexpr double watched_seconds = 1;                      // what "at present" means
constexpr std::chrono::milliseconds between_updates{100};  // of the line on a terminal
constexpr std::chrono::seconds between_lines{10};          // elsewhere, at most; also each quarter has one

/// 1234 as "1.2k", 654321 as "654k".
std::string short_number(std::uint64_t number) {
  auto value = static_cast<double>(number);
  if (value < 999.5) return fixed(value, 0);
  const char* unit = "";
  for (const auto* next : {"k", "M", "G"}) {
    if (value < 999.5) break;
    value /= 1'000;
    unit = next;
  }
  return fixed(value, value < 9.95 ? 1 : 0) + unit;
}

std::string short_time(std::uint64_t nanoseconds) {
  auto text = as_time(nanoseconds);
  std::erase(text, ' ');
  return text;
}

/// The figures, the most telling ones first.
std::vector<std::string> figures(const sample& present, bool in_short) {
  const auto number = in_short ? short_number : grouped;
  const auto time = in_short ? short_time : as_time;
  std::vector<std::string> all{number(static_cast<std::uint64_t>(present.rate())) + "/s",
                               "p50 " + time(present.latency.percentile(50)), "p99 " + time(present.latency.percentile(99)),
                               "live " + number(present.live_aggregates)};
  if (present.commits > 0) {
    all.push_back("batch " + number(present.events / present.commits));
    all.push_back("sync " + time(present.commit_ns / present.commits));
  }
  return all;
}

std::string joined(const std::vector<std::string>& parts, const std::string& between) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : between) + part;
  return text;
}

sample together(const sample& first, const sample& second) {
  sample both = second;
  both.from = first.from;
  both.latency.add(first.latency);
  both.events += first.events;
  both.commits += first.commits;
  both.commit_ns += first.commit_ns;
  return both;
}

sample latest(const std::vector<sample>& samples) {
  if (samples.empty()) return {};
  auto recent = samples.back();
  for (auto one = samples.rbegin() + 1; one != samples.rend() && recent.to - one->from <= watched_seconds; ++one) {
    recent = together(*one, recent);
  }
  return recent;
}

}  // namespace

void timeline::take(double now, const histogram& latency, const cairn::runtime_statistics& counters) {
  sample one;
  one.from = samples_.empty() ? 0 : samples_.back().to;
  if (now - one.from < stretch_) return;
  one.to = now;
  one.latency = latency.since(latency_before_);
  const auto since = [](std::uint64_t& before, std::uint64_t value) { return value - std::exchange(before, value); };
  one.events = since(events_before_, counters.events);
  one.commits = since(commits_before_, counters.commits);
  one.commit_ns = since(commit_ns_before_, counters.commit_ns);
  one.live_aggregates = counters.live_aggregates;
  latency_before_ = latency;
  samples_.push_back(std::move(one));
  if (samples_.size() > samples_max) halve();
}

void timeline::halve() {
  std::vector<sample> fewer;
  for (std::size_t place = 0; place + 1 < samples_.size(); place += 2) {
    fewer.push_back(together(samples_[place], samples_[place + 1]));
  }
  if (samples_.size() % 2 == 1) fewer.push_back(samples_.back());
  samples_ = std::move(fewer);
  stretch_ *= 2;
}

std::string progress_line(double share, const sample& present, std::size_t columns) {
  for (const bool in_short : {false, true}) {
    const std::string between = in_short ? " " : "  ";
    auto text = percent_of(share) + between + joined(figures(present, in_short), between);
    // The percentage grows; the bar does not shrink for it.
    const auto taken = width_of(text) - width_of(percent_of(share)) + width_of("100 %") + between.size();
    if (columns < taken + bar_min) continue;
    const auto room = std::min(columns - taken, bar_max);
    return bar(share, room) + between + text;
  }
  auto parts = figures(present, true);
  parts.insert(parts.begin(), percent_of(share));
  while (parts.size() > 1 && width_of(joined(parts, " ")) > columns) parts.pop_back();
  return std::string(beginning_of(joined(parts, " "), columns));
}

progress::progress() : shown_(clock::now()) {}

void progress::doing(const std::string& what) {
  line_.show(std::string(beginning_of(what, command_line::status_line::columns() - 2)) + " …");
}

void progress::show(std::uint64_t answered, std::uint64_t all, const std::vector<sample>& samples) {
  if (all == 0 || samples.empty()) return;
  const auto now = clock::now();
  const auto quarter = answered * 4 / all;
  if (now - shown_ < between_updates || (!line_.watched() && quarter == quarter_ && now - shown_ < between_lines)) return;
  shown_ = now;
  quarter_ = quarter;

  const auto recent = latest(samples);
  const auto share = static_cast<double>(answered) / static_cast<double>(all);
  if (!line_.watched()) {
    std::fprintf(stderr, "%s  %s\n", percent_of(share).c_str(), joined(figures(recent, false), "  ").c_str());
    return;
  }
  line_.show(progress_line(share, recent, command_line::status_line::columns()));
}

}  // namespace simulation
