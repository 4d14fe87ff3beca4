#include "whole_log.hpp"

#include <utility>

namespace cairn::inline v1::detail {
namespace {

std::string_view view_of(const store_id& id) { return {id.data(), id.size()}; }

}  // namespace

whole_log::whole_log(const std::filesystem::path& path, completeness complete) : whole_log(path, complete, false) {}

// Whether the store is written is asked before its high-water mark is read, so that the mark is never ahead of the segments.
whole_log::whole_log(const std::filesystem::path& path, completeness complete, bool salvages)
    : store_(store_folder::open_for_reading(real_file_system(), path, complete)), salvages_(salvages),
      was_written_(store_.is_written()), chain_(view_of(store_.identity().id)) {
  std::optional<store_identity> identity = store_.identity();
  try {
    segments_ = std::make_unique<segment_files>(store_.log(), identity, salvages ? &problem_ : nullptr);
  } catch (const error& failure) { throw store_.damaged(failure); }
}

log_end whole_log::scan(chunk_visitor visit, std::function<void(const log_place&, const digest&)> passed) {
  return scan_from({}, chain_.hash(), std::move(visit), std::move(passed));
}

log_end whole_log::scan_from(const log_place& from, const digest& before, chunk_visitor visit,
                             std::function<void(const log_place&, const digest&)> passed) {
  chain_.go_back({{}, from.next, before});
  scan_request request;
  request.from = from;
  request.high_water = store_.high_water();
  request.ends_at_high_water = store_.ends_at_high_water();
  request.is_written = [this] { return is_written(); };
  request.visit = std::move(visit);
  request.salvages = salvages_;
  request.passed = std::move(passed);
  try {
    if (segments_->count() == 0 && !problem_.empty()) throw error(errc::corrupt_record, problem_);
    const auto end = scan_log(*segments_, chain_, request);
    if (!problem_.empty()) throw error(errc::corrupt_record, problem_);
    return end;
  } catch (const error& failure) { throw store_.damaged(failure); }
}

}  // namespace cairn::detail
