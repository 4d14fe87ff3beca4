// Parts of the log in memory, as subscriptions hand them out, and the latest parts, which subscriptions that keep up share.
#pragma once

#include <cairn/journal.hpp>
#include <cairn/record.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::inline v1::detail {

/// Records with their bytes. Immovable, because the records refer to the bytes.
class log_part {
public:
  log_part() = default;
  log_part(const log_part&) = delete;
  log_part& operator=(const log_part&) = delete;

  /// Copies a record with its bytes.
  void add(const record_view& record) {
    const auto size = record.body.size();
    if (size > room_) {
      room_ = std::max(size, block_bytes);
      blocks_.push_back(std::make_unique_for_overwrite<char[]>(room_));
      next_ = blocks_.back().get();
    }
    std::memcpy(next_, record.body.data(), size);
    records_.push_back(moved(record, next_));
    next_ += size;
    room_ -= size;
    bytes_ += size;
  }

  const std::vector<record_view>& records() const noexcept { return records_; }
  std::size_t bytes() const noexcept { return bytes_; }

private:
  static constexpr std::size_t block_bytes = 16 << 10;

  /// The record as it reads from a copy of its body.
  static record_view moved(record_view record, const char* copy) {
    const auto* const body = record.body.data();
    for (auto* view :
         {&record.stream.category, &record.stream.id, &record.type, &record.command_id, &record.correlation_id,
          &record.causation_id, &record.principal, &record.encoded_metadata, &record.result, &record.payload, &record.body}) {
      if (!view->empty()) *view = {copy + (view->data() - body), view->size()};
    }
    return record;
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* next_ = nullptr;
  std::size_t room_ = 0;
  std::size_t bytes_ = 0;
  std::vector<record_view> records_;
};

/// Calls `read`, which appends to `records`. If it throws after the first record, keeps what was read and returns false: the
/// next read begins at the failure, and throws.
template <class Read>
bool read_up_to_failure(const std::vector<record_view>& records, Read read) {
  try {
    read();
    return true;
  } catch (...) {
    if (records.empty()) throw;
    return false;
  }
}

/// The latest parts of the log, without gaps and not filtered. Thread safety: any thread.
class log_tail {
public:
  static constexpr std::size_t parts_max = 8;
  static constexpr std::size_t part_records_max = 1'000;
  static constexpr std::size_t part_bytes_max = std::size_t{256} << 10;
  /// A subscription that is no more than this behind reads by from().
  static constexpr std::uint64_t records_max = parts_max * part_records_max;

  /// Returns a part that has the record at `first`: one that is here, or else a new one that begins there and ends at `last` or
  /// before. `first` is at most `last`, and a durable position.
  std::shared_ptr<const log_part> from(position first, position last, const journal& store) {
    {
      const std::lock_guard lock(mutex_);
      for (const auto& one : parts_) {
        if (one && one->records().front().position <= first && first <= one->records().back().position) return one;
      }
    }
    auto part = std::make_shared<log_part>();
    read_up_to_failure(part->records(), [&] {
      store.read_all(first, [&](const record_view& record) {
        if (record.position > last) return false;
        part->add(record);
        return part->records().size() < part_records_max && part->bytes() < part_bytes_max;
      });
    });
    if (part->records().empty()) {
      throw error(errc::corrupt_record, "the journal hands out no record at position " + std::to_string(first.value));
    }
    std::shared_ptr<const log_part> replaced = part;  // destroyed without the lock
    const std::lock_guard lock(mutex_);
    std::swap(parts_[next_++ % parts_max], replaced);
    return part;
  }

private:
  std::mutex mutex_;
  std::array<std::shared_ptr<const log_part>, parts_max> parts_;  // null or with records
  std::size_t next_ = 0;
};

}  // namespace cairn::detail
