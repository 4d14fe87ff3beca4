// Writes what the fuzzers begin with: small inputs that the real encoders make, one folder for each fuzzer.
#include "../../actors/recovery.hpp"
#include "../../persistence/derived/index_run.hpp"
#include "../../persistence/log/commit_builder.hpp"
#include "../../persistence/maintenance/document_stream.hpp"

#include <cairn/aggregate.hpp>
#include <cairn/detail/typed_operation.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/record.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>

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
    options.principal = "anna";
    options.metadata = {{"shop", "north"}, {"", std::string(200, 'v')}};
  }
  std::string payload, out;
  cairn::detail::encode(payload, std::vector<int>{1, 2, 300});
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

/// A commit of two records, as a log of the fuzzer's store begins.
std::string commit(std::string_view one, std::string_view other) {
  const detail::store_id id{'f', 'u', 'z', 'z'};
  detail::sha256 hash;
  std::string bytes(detail::commit_header_bytes, '\0');
  detail::commit_builder builder;
  builder.begin(bytes, position{1}, hash({id.data(), id.size()}));
  builder.add(one);
  builder.add(other);
  builder.close_chunk();
  detail::commit_header header;
  header.chunk_bytes = static_cast<std::uint32_t>(bytes.size() - detail::commit_header_bytes);
  header.blanks = detail::append_blank_sectors(bytes, detail::segment_header_bytes);
  header.first = position{1};
  header.records = 2;
  detail::encode_commit_header(bytes.data(), header, detail::segment_header_bytes, id);
  return bytes;
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
  write("metadata", record.encoded_metadata);
  write("metadata", body.substr(static_cast<std::size_t>(record.command_id.data() - body.data()) - 1));

  actors::command_window commands(4);
  commands.remember("command-1", version{2}, 1, "result");
  actors::hosted<Counter> state;
  write("snapshot", actors::encode_snapshot(version{2}, timestamp{}, 1, state, commands));
  write("snapshot", actors::encode_snapshot(version{2}, timestamp{}, 9, state, actors::command_window(0)));

  std::string chunk;
  detail::chunk_writer writer;
  writer.begin(chunk, position{4711}, {});
  writer.add(std::string_view(plain).substr(4));
  writer.add(body);
  writer.finish();
  write("chunk", chunk);
  write("segment", commit(std::string_view(plain).substr(4), body));
  write("segment", commit(std::string_view(plain).substr(4), body).substr(0, 512));

  std::string run;
  const std::vector<detail::place> places{{1, 0}, {1, 1}, {300, 7}, {70'000, 254}};
  detail::encode_run(run, places);
  write("index", run);
  auto name = detail::stream_prefix({"product", "1"});
  detail::set_version(name, name.size(), version{12});
  write("index", name);
  write("index", detail::encode_mark({position{99}, 512, position{90}, {}}));
  return 0;
}
