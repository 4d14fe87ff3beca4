#include "command_window.hpp"

namespace cairn::inline v1::actors {

const first_answer* command_window::find(std::string_view command_id) const noexcept {
  if (command_id.empty() || answers_.empty()) return nullptr;
  const auto hash = std::hash<std::string_view>{}(command_id);
  for (std::size_t place = 0; place < hashes_.size(); ++place) {
    if (hashes_[place] == hash && answers_[place].command_id == command_id) return &answers_[place];
  }
  return nullptr;
}

void command_window::remember(std::string_view command_id, version last, std::uint32_t events, std::string_view result,
                              std::uint64_t fingerprint) {
  if (command_id.empty() || capacity_ == 0) return;
  first_answer answer{std::string(command_id), last, events, std::string(result), fingerprint};
  if (const auto* known = find(command_id)) {
    answers_[static_cast<std::size_t>(known - answers_.data())] = std::move(answer);
    return;
  }
  const auto hash = std::hash<std::string_view>{}(command_id);
  if (answers_.size() < capacity_) {
    answers_.push_back(std::move(answer));
    hashes_.push_back(hash);
  } else {
    answers_[oldest_] = std::move(answer);
    hashes_[oldest_] = hash;
    oldest_ = (oldest_ + 1) % capacity_;
  }
}

void command_window::replay(const record_view& record) {
  // The last record of a decision says all of it; where only its first part was read, the rest will follow.
  if (record.index + 1 < record.count) return;
  remember(record.command_id, record.version, record.count, record.result, record.fingerprint);
}

}  // namespace cairn::actors
