#include "progress.hpp"

#include "report.hpp"

#include <algorithm>
#include <cstdio>
#include <sys/ioctl.h>
#include <unistd.h>

namespace simulation {
namespace {

using clock = std::chrono::steady_clock;

constexpr double watched_seconds = 1;                      // what "at present" means
constexpr std::chrono::milliseconds between_updates{100};  // of the line on a terminal
constexpr std::chrono::seconds between_lines{10};          // elsewhere, at most; also each quarter has one

std::size_t columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
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

void timeline::take(double now, const histogram& latency, const cairn::actors::counters& counters) {
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

progress::progress() : terminal_(isatty(STDERR_FILENO) != 0), shown_(clock::now()) {}

progress::~progress() { clear(); }

void progress::doing(const std::string& what) {
  if (!terminal_) return;
  std::fprintf(stderr, "\r\033[K%s …", what.c_str());
  dirty_ = true;
}

void progress::show(std::uint64_t answered, std::uint64_t all, const std::vector<sample>& samples) {
  if (all == 0 || samples.empty()) return;
  const auto now = clock::now();
  const auto quarter = answered * 4 / all;
  if (now - shown_ < between_updates || (!terminal_ && quarter == quarter_ && now - shown_ < between_lines)) return;
  shown_ = now;
  quarter_ = quarter;

  const auto recent = latest(samples);
  const auto share = static_cast<double>(answered) / static_cast<double>(all);
  auto text = grouped(static_cast<std::uint64_t>(recent.rate())) + "/s  p50 " + as_time(recent.latency.percentile(50)) +
              "  p99 " + as_time(recent.latency.percentile(99)) + "  live " + grouped(recent.live_aggregates);
  if (recent.commits > 0) {
    text += "  batch " + grouped(recent.events / recent.commits) + "  sync " + as_time(recent.commit_ns / recent.commits);
  }
  const auto percent = std::to_string(static_cast<int>(share * 100)) + " %  ";
  if (!terminal_) {
    std::fprintf(stderr, "%s%s\n", percent.c_str(), text.c_str());
    return;
  }
  std::string bar;
  const auto width = columns();
  const auto taken = text.size() + percent.size() + 3;
  if (width > taken + 10) {
    const auto room = std::min<std::size_t>(width - taken - 1, 40);
    const auto full = static_cast<std::size_t>(share * static_cast<double>(room));
    for (std::size_t place = 0; place < room; ++place) bar += place < full ? "█" : "░";
    bar += "  ";
  } else if (width < taken) {
    text.resize(width > percent.size() + 1 ? width - percent.size() - 1 : 0);
  }
  std::fprintf(stderr, "\r\033[K%s%s%s", bar.c_str(), percent.c_str(), text.c_str());
  dirty_ = true;
}

void progress::clear() {
  if (std::exchange(dirty_, false)) std::fputs("\r\033[K", stderr);
}

}  // namespace simulation
