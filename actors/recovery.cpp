#include "recovery.hpp"

#include <cairn/msgpack.hpp>

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace cairn::inline v1::actors {
namespace {

constexpr std::uint8_t snapshot_format = 2;

// One entry of the command window as a snapshot holds it.
struct stored_answer {
  std::string command_id;
  std::uint64_t last = 0;
  std::uint32_t events = 0;
  std::string result;
  std::uint64_t fingerprint = 0;
  MSGPACK_DEFINE_ARRAY(command_id, last, events, result, fingerprint)
};

std::string checksum_of(std::string_view bytes) {
  const std::uint64_t sum = XXH3_64bits(bytes.data(), bytes.size());
  std::string eight(8, '\0');
  std::memcpy(eight.data(), &sum, 8);
  return eight;
}

void append_fixed(std::string& out, std::uint64_t value) {
  char bytes[8];
  std::memcpy(bytes, &value, 8);
  out.append(bytes, 8);
}

std::uint64_t take_fixed(std::string_view& bytes) {
  if (bytes.size() < 8) throw error(errc::corrupt_record, "a snapshot is cut short");
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), 8);
  bytes.remove_prefix(8);
  return value;
}

// Takes what a snapshot holds into a fresh aggregate. Says why where it cannot; `into` is then good for nothing.
std::string take_snapshot(const snapshot_view& stored, version head, const aggregate_type& type, recovered& into) {
  try {
    const auto content = decode_snapshot(stored.bytes);
    if (content.version != stored.version) return "it says that it is of version " + std::to_string(content.version.value);
    if (content.version > head) return "the journal ends at version " + std::to_string(head.value);
    if (content.schema_version != type.schema_version) {
      return "its schema version is " + std::to_string(content.schema_version) + ", this program's is " +
             std::to_string(type.schema_version);
    }
    for (const auto& answer : codec<std::vector<stored_answer>>::decode(content.commands)) {
      into.commands.remember(answer.command_id, version{answer.last}, answer.events, answer.result, answer.fingerprint);
    }
    into.state->load(content.state);
    std::string again;
    into.state->save(again);
    // Unpacking is lenient: a field that was renamed would come back empty without a word.
    if (!same_bytes_in_any_order(again, content.state)) {
      return "it does not read back as it was written, so the state's type has changed without a new schema_version";
    }
    into.version = into.snapshot = content.version;
    into.recorded_at = content.recorded_at;
    return {};
  } catch (...) {
    // Whatever the bytes or the user's own unpacking do: a snapshot is an optimisation.
    return current_failure(errc::corrupt_record).detail;
  }
}

// Goes from the newest snapshot within the bounds to older ones, until one can be used or none is left.
void load_snapshot(journal& store, const aggregate_type& type, stream_view stream, const warn_function& warn,
                   recovery_bounds bounds, recovered& into) {
  const auto use = [&](const snapshot_view& stored) {
    // Asked after the snapshot was read: only what is durable is ever saved, so the head cannot be behind by mere bad timing.
    auto [found, why_not] = read_snapshot(stored, store.highest(stream), type, into.commands.capacity());
    if (!why_not.empty()) {
      warn("the snapshot of " + to_string(stream) + " at version " + std::to_string(stored.version.value) +
           " is passed over: " + why_not);
      return true;
    }
    if (found.recorded_at > bounds.recorded_at) return true;
    into = std::move(found);
    return false;
  };
  try {
    store.snapshots().read_newest_first(stream, bounds.version, use);
  } catch (const error& failure) {
    // Also where the head cannot be asked for. Where the events cannot be read either, reading them says so.
    warn("no snapshot of " + to_string(stream) + " can be used, so all of its events are read: " + failure.detail());
  }
}

}  // namespace

bool same_bytes_in_any_order(std::string_view one, std::string_view other) {
  std::array<std::int64_t, 256> balance{};
  for (const char byte : one) ++balance[static_cast<unsigned char>(byte)];
  for (const char byte : other) --balance[static_cast<unsigned char>(byte)];
  return std::all_of(balance.begin(), balance.end(), [](std::int64_t left) { return left == 0; });
}

snapshot_reading read_snapshot(const snapshot_view& stored, version head, const aggregate_type& type,
                               std::size_t deduplication_window_size) {
  snapshot_reading reading{{type.make(), {}, {}, command_window(deduplication_window_size), {}, 0}, {}};
  reading.why_not = take_snapshot(stored, head, type, reading.aggregate);
  return reading;
}

std::unique_ptr<hosted_state> state_in_snapshot(const snapshot_view& stored, const aggregate_type& type) {
  auto [aggregate, why_not] = read_snapshot(stored, stored.version, type, 0);
  return why_not.empty() ? std::move(aggregate.state) : nullptr;
}

std::string encode_snapshot(version at, timestamp recorded_at, std::uint32_t schema_version, const hosted_state& state,
                            const command_window& commands) {
  std::string body;
  body.push_back(static_cast<char>(snapshot_format));
  append_fixed(body, at.value);
  append_fixed(body, static_cast<std::uint64_t>(recorded_at.time_since_epoch().count()));
  append_fixed(body, schema_version);
  std::string saved;
  state.save(saved);
  append_fixed(body, saved.size());
  body += saved;
  std::vector<stored_answer> answers;
  answers.reserve(commands.size());
  commands.for_each([&](const first_answer& answer) {
    answers.push_back({answer.command_id, answer.last.value, answer.events, answer.result, answer.fingerprint});
  });
  codec<std::vector<stored_answer>>::encode(body, answers);
  return checksum_of(body) + body;
}

snapshot_content decode_snapshot(std::string_view bytes) {
  if (bytes.size() < 9 || checksum_of(bytes.substr(8)) != bytes.substr(0, 8)) {
    throw error(errc::corrupt_record, "a snapshot fails its checksum");
  }
  if (bytes[8] != snapshot_format) throw error(errc::corrupt_record, "a snapshot has an unknown format");
  bytes.remove_prefix(9);
  snapshot_content content;
  content.version = version{take_fixed(bytes)};
  content.recorded_at = timestamp{std::chrono::microseconds{static_cast<std::int64_t>(take_fixed(bytes))}};
  content.schema_version = static_cast<std::uint32_t>(take_fixed(bytes));
  const auto size = take_fixed(bytes);
  if (size > bytes.size()) throw error(errc::corrupt_record, "a snapshot is cut short");
  content.state = bytes.substr(0, size);
  content.commands = bytes.substr(size);
  return content;
}

recovered recover(journal& store, const aggregate_type& type, stream_view stream, std::size_t deduplication_window_size,
                  const warn_function& warn, recovery_bounds bounds) {
  recovered aggregate{type.make(), {}, {}, command_window(deduplication_window_size), {}, 0};
  load_snapshot(store, type, stream, warn, bounds, aggregate);
  if (aggregate.version == bounds.version) return aggregate;
  store.read(stream, {aggregate.version + 1, bounds.version}, [&](const record_view& record) {
    if (record.recorded_at > bounds.recorded_at) return false;
    if (record.version != aggregate.version + 1) {
      throw error(errc::corrupt_record, to_string(stream) + ": version " + std::to_string(record.version.value) +
                                            " follows version " + std::to_string(aggregate.version.value) + ", position " +
                                            std::to_string(record.position.value));
    }
    aggregate.state->replay(record);
    aggregate.commands.replay(record);
    aggregate.version = record.version;
    aggregate.recorded_at = record.recorded_at;
    ++aggregate.events_read;
    return true;
  });
  return aggregate;
}

recovered recover_as_occurred(const journal& store, const aggregate_type& type, stream_view stream, timestamp at) {
  recovered aggregate{type.make(), {}, {}, command_window(0), {}, 0};
  store.read(stream, {}, [&](const record_view& record) {
    ++aggregate.events_read;
    if (record.occurred_at.value_or(record.recorded_at) > at) return true;
    aggregate.state->replay(record);
    aggregate.version = record.version;
    aggregate.recorded_at = record.recorded_at;
    return true;
  });
  return aggregate;
}

past_state read_past(journal& store, const aggregate_type& type, stream_view stream, past_moment at, const warn_function& warn) {
  recovery_bounds bounds;
  const auto* const number = std::get_if<version>(&at);
  if (number) {
    bounds.version = *number;
  } else {
    bounds.recorded_at = std::get<timestamp>(at);
  }
  auto found = recover(store, type, stream, 0, warn, bounds);
  if (number && found.version < *number) {
    throw error(errc::invalid_argument, to_string(stream) + " is at version " + std::to_string(found.version.value) +
                                            "; there is no version " + std::to_string(number->value) + " yet");
  }
  return {std::move(found.state), found.version};
}

past_state read_as_occurred(const journal& store, const aggregate_type& type, stream_view stream, timestamp at) {
  auto found = recover_as_occurred(store, type, stream, at);
  return {std::move(found.state), found.version};
}

void read_records(const journal& store, stream_view stream, const version_range& range,
                  const std::function<void(const record_view&)>& visit) {
  store.read(stream, range, [&](const record_view& record) {
    visit(record);
    return true;
  });
}

}  // namespace cairn::actors
