// What every store demands of an append before it looks at versions.
#pragma once

#include <cairn/journal.hpp>

#include <string>

namespace cairn::inline v1::detail {

/// No record has this position or a later one.
inline constexpr std::uint64_t positions_end = std::uint64_t{1} << 56;

/// Throws error(errc::invalid_argument) where an append names one aggregate twice: which of the two would come first? And where
/// an aggregate would get more versions than there are.
inline void require_sound(atomic_append append) {
  for (std::size_t one = 0; one < append.size(); ++one) {
    for (std::size_t other = 0; other < one; ++other) {
      if (append[one].stream == append[other].stream) {
        throw error(errc::invalid_argument, "one append names " + to_string(append[one].stream) + " twice");
      }
    }
    if (append[one].expected.value >= version::max().value - append[one].events) {
      throw error(errc::invalid_argument, "the versions of " + to_string(append[one].stream) + " are used up");
    }
  }
}

/// Throws error(errc::journal_unavailable) where a store that ends at `last` has no positions for `records` more.
inline void require_positions(position last, std::uint64_t records) {
  if (records >= positions_end - last.value) throw error(errc::journal_unavailable, "the journal's positions are used up");
}

/// Hands the addition's frames, one by one, to `take(body, record)`; the record's position says nothing. Throws
/// error(errc::invalid_argument) where they are not what the addition says: such records could never be read again.
template <class Take>
void for_each_frame(const addition& addition, Take take) {
  const auto refuse = [&](const std::string& what) {
    return error(errc::invalid_argument, "the frames of " + to_string(addition.stream) + " " + what);
  };
  auto frames = addition.frames;
  std::string_view body;
  std::uint32_t count = 0;
  const auto next = [&](record_view& record) {
    try {
      if (!next_frame(frames, body)) return false;
      record = decode_record(position{}, body);
      return true;
    } catch (const error& failure) { throw refuse("cannot be read: " + failure.detail()); }
  };
  for (record_view record; next(record);) {
    if (record.stream != addition.stream || record.version != addition.expected + ++count) {
      throw refuse("do not follow its version");
    }
    take(body, record);
  }
  if (count == 0 || count != addition.events) throw refuse("are not as many as its events");
}

}  // namespace cairn::detail
