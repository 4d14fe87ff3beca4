// Tells a progress_function how work comes on, without asking the clock for every record.
#pragma once

#include <cairn/progress_function.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <utility>

namespace cairn::inline v1::detail {

class progress_report {
public:
  using clock = std::function<std::chrono::steady_clock::time_point()>;

  progress_report(const progress_function& tell, std::uint64_t of, clock now = std::chrono::steady_clock::now)
      : tell_(tell), of_(of), now_(std::move(now)), tell_at_(now_() + first_pause) {}

  void add(std::uint64_t records) {
    done_ += records;
    if (!tell_ || done_ < look_at_) return;
    look_at_ = done_ + records_between_looks;
    const auto now = now_();
    if (now < tell_at_) return;
    tell_at_ = now + pause;
    tell_(done_, of_);
    told_ = true;
  }

  /// The last word, where there was a first.
  void end() {
    if (told_) tell_(done_, of_);
  }

private:
  static constexpr std::uint64_t records_between_looks = 2048;
  static constexpr std::chrono::milliseconds first_pause{1000};
  static constexpr std::chrono::milliseconds pause{200};

  const progress_function& tell_;
  std::uint64_t of_;
  std::uint64_t done_ = 0;
  std::uint64_t look_at_ = records_between_looks;
  bool told_ = false;
  clock now_;
  std::chrono::steady_clock::time_point tell_at_;
};

}  // namespace cairn::detail
