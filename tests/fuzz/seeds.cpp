// Writes what the fuzzers begin with: small inputs that the real encoders make, one folder for each fuzzer.
#include "../../persistence/document_stream.hpp"
#include "../../persistence/index_run.hpp"
#include "../../persistence/log_chunk.hpp"

#include <cairn/actors/recovery.hpp>
#include <cairn/aggregate.hpp>
#include <cairn/record.hpp>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <xxhash.h>

using namespace cairn;

namespace {

std::filesystem::path root;

void write(const std::string& fuzzer, std::string_view bytes) {
  static int made = 0;
  std::filesystem::create_directories(root / fuzzer);
  std::ofstream(root / fuzzer / ("seed-" + std::to_string(made++)), std::ios::binary)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

struct Counter {
  static constexpr std::string_view category = "counter";
  struct Added {
    static constexpr std::string_view type = "ADD";
  };
  using Event = std::variant<Added>;
  std::int64_t count = 7;
  std::string name = "seven";
  std::vector<std::string> notes{"one", "two"};
  MSGPACK_DEFINE_MAP(count, name, notes)
  void evolve(const Added&) noexcept { ++count; }
};

std::string frame(bool everything) {
  command_options options;
  if (everything) {
    options.expected = expected_version::exactly(version{299});
    options.occurred_at = timestamp{std::chrono::microseconds{1'234'567}};
    options.command_id = "command-1";
    options.correlation_id = "order-9";
    options.causation_id = "command-0";
    options.who = "anna";
    options.keys = {{"shop", "north"}, {"", std::string(200, 'v')}};
  }
  std::string payload, out;
  codec::encode(payload, std::vector<int>{1, 2, 300});
  unrecorded_event event;
  event.stream = {"product", everything ? std::string_view("\0\xff id", 5) : std::string_view("1")};
  event.version = version{everything ? 300u : 1u};
  event.type = "ADD";
  event.schema_version = everything ? 2 : 1;
  event.index = everything ? 1 : 0;
  event.count = everything ? 3 : 1;
  event.options = &options;
  event.result = everything ? std::string_view("\x07", 1) : std::string_view();
  event.payload = payload;
  encode_frame(out, event);
  return out;
}

// RocksDB's log format, for one record.
std::string log_record(std::string_view payload) {
  std::string out(7, '\0');
  out[4] = static_cast<char>(payload.size() & 0xff);
  out[5] = static_cast<char>(payload.size() >> 8);
  out[6] = 1;
  return out.append(payload);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_seeds FOLDER\n");
    return 2;
  }
  root = argv[1];
  const auto plain = frame(false);
  const auto full = frame(true);
  for (const auto format : {export_format::ndjson, export_format::msgpack}) {
    std::string documents;
    for (const auto& one : {plain, full}) {
      const auto shown = decode_record(position{1}, std::string_view(one).substr(4));
      detail::append_document(documents, detail::document_of(shown, position{1}, format), format);
      write("export", std::string_view(one).substr(4));
    }
    write("export", documents);
  }
  for (const auto& one : {plain, full}) {
    write("record", one);
    write("record", std::string_view(one).substr(4));
  }
  write("record", plain + full);

  auto frames = std::string_view(full);
  std::string_view body;
  next_frame(frames, body);
  const auto record = decode_record(position{1}, body);
  write("metadata", record.encoded_keys);
  write("metadata", body.substr(static_cast<std::size_t>(record.command_id.data() - body.data()) - 1));

  actors::command_window commands(4);
  commands.remember("command-1", version{2}, 1, "result");
  actors::hosted<Counter> state;
  write("snapshot", actors::encode_snapshot(version{2}, timestamp{}, 1, state, commands));
  write("snapshot", actors::encode_snapshot(version{2}, timestamp{}, 9, state, actors::command_window(0)));

  detail::chunk_writer chunk;
  chunk.begin(position{4711}, {});
  chunk.add(std::string_view(plain).substr(4));
  chunk.add(body);
  const auto key = detail::log_key(position{4711});
  write("chunk", std::string(key.begin(), key.end()) + std::string(chunk.finish()));

  std::string run;
  const std::vector<detail::place> places{{1, 0}, {1, 1}, {300, 7}, {70'000, 254}};
  detail::encode_run(run, places);
  write("index", run);
  auto name = detail::stream_prefix({"product", "1"});
  detail::set_version(name, name.size(), version{12});
  write("index", name);
  write("index", detail::encode_marker(position{99}));

  write("write_ahead_log", log_record("0123456789abcdef") + log_record(std::string(300, 'x')) + std::string(40, '\0'));
  return 0;
}
