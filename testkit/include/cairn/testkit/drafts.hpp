// What a test writes to a journal and reads back from it, in a line each.
#pragma once

#include <cairn/command_options.hpp>
#include <cairn/journal.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cairn::inline v1::testkit {

/// One aggregate's part of an append, with the bytes that an addition points to.
struct draft {
  /// One event of type "ADD" for each payload. With a command id, an append of the same draft is a repeat.
  draft(stream_id the_stream, std::uint64_t the_expected, std::vector<std::string> the_payloads, std::string the_command_id = {})
      : stream(std::move(the_stream)), expected(the_expected), payloads(std::move(the_payloads)),
        command_id(std::move(the_command_id)) {
    command_options options;
    options.command_id = command_id;
    for (std::size_t i = 0; i < payloads.size(); ++i) {
      unrecorded_event event;
      event.stream = stream;
      event.version = expected + (i + 1);
      event.type = "ADD";
      event.index = static_cast<std::uint32_t>(i);
      event.count = static_cast<std::uint32_t>(payloads.size());
      event.options = &options;
      event.payload = payloads[i];
      encode_frame(frames, event);
    }
  }

  /// Lives as long as the draft.
  cairn::addition addition() const { return {stream, expected, static_cast<std::uint32_t>(payloads.size()), frames}; }

  stream_id stream;
  version expected;
  std::vector<std::string> payloads;
  std::string command_id;
  std::string frames;
};

/// Each inner list is one atomic append.
inline std::vector<append_outcome> append(journal& journal, const std::vector<std::vector<draft>>& appends) {
  std::vector<std::vector<addition>> additions;
  for (const auto& drafts : appends) {
    additions.emplace_back();
    for (const auto& draft : drafts) additions.back().push_back(draft.addition());
  }
  std::vector<atomic_append> spans(additions.begin(), additions.end());
  std::vector<append_outcome> outcomes(appends.size());
  journal.append(spans, outcomes);
  return outcomes;
}

/// One aggregate's events, in an append to themselves.
inline append_outcome append(journal& journal, stream_id stream, std::uint64_t expected, std::vector<std::string> payloads,
                             std::string command_id = {}) {
  return append(journal, {{draft(std::move(stream), expected, std::move(payloads), std::move(command_id))}}).at(0);
}

/// What a visitor saw of a record.
struct seen {
  std::uint64_t position;
  stream_id stream;
  std::uint64_t version;
  std::string payload;

  bool operator==(const seen&) const = default;
};

inline seen look(const record_view& record) {
  return {record.position.value, stream_id(record.stream), record.version.value, std::string(record.payload)};
}

inline std::vector<seen> read(const journal& journal, stream_view stream, version_range range = {}) {
  std::vector<seen> records;
  journal.read(stream, range, [&](const record_view& record) {
    records.push_back(look(record));
    return true;
  });
  return records;
}

inline std::vector<seen> read_all(const journal& journal, std::uint64_t from = 1) {
  std::vector<seen> records;
  journal.read_all(position{from}, [&](const record_view& record) {
    records.push_back(look(record));
    return true;
  });
  return records;
}

using numbers = std::vector<std::uint64_t>;

inline numbers versions(const std::vector<seen>& records) {
  numbers all;
  for (const auto& record : records) all.push_back(record.version);
  return all;
}

inline numbers versions(const journal& journal, stream_view stream, version_range range = {}) {
  return versions(read(journal, stream, range));
}

/// The payloads of the versions after `version`: each says its own number.
inline std::vector<std::string> numbers_as_text(std::uint64_t version, std::size_t count) {
  std::vector<std::string> payloads;
  for (std::size_t i = 1; i <= count; ++i) payloads.push_back(std::to_string(version + i));
  return payloads;
}

}  // namespace cairn::testkit
