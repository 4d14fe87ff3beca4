// A segment of the log: any bytes behind its header, as they are, and with the headers of commits and chunks made to fit.
#include "harness.hpp"

#include "../../persistence/log/checksum.hpp"
#include "../../persistence/log/log_scan.hpp"
#include "../../testkit/simulated_file_system.hpp"

#include <cstring>
#include <optional>
#include <string>

using namespace cairn;

namespace {

const detail::store_id id{'f', 'u', 'z', 'z'};

detail::chain before_the_first() { return detail::chain({id.data(), id.size()}); }

/// Scans a log of one segment. Returns where it ends, or nothing if the scan refuses it.
std::optional<detail::log_end> scan(const std::string& segment) {
  testkit::detail::simulated_disk disk;
  disk.make_folder("/log");
  const auto path = "/log/" + detail::segment_name(position{1});
  disk.overwrite(path, segment);
  std::shared_ptr<detail::folder> log;
  disk.open_folder("/log", log);
  std::optional<detail::log_end> end;
  fuzz::decodes([&] {
    std::optional<detail::store_identity> store;
    const detail::segment_files files(log, store);
    auto chain = before_the_first();
    position next{1};
    detail::scan_request request;
    request.visit = [&](detail::chunk_reader& chunk, std::uint64_t) {
      fuzz::require(chunk.first() == next);
      while (!chunk.done()) chunk.next();
      next = chunk.end();
    };
    end = detail::scan_log(files, chain, request);
    fuzz::require(end->place.next == next && chain.next() == next);
  });
  return end;
}

void put(std::string& bytes, std::size_t at, std::uint64_t number) {
  if (at + sizeof number <= bytes.size()) std::memcpy(bytes.data() + at, &number, sizeof number);
}

/// Makes the checksums of the first commit's header and of its chunks' headers right.
void seal(std::string& segment) {
  constexpr std::size_t at = detail::segment_header_bytes;
  if (segment.size() < at + detail::commit_header_bytes) return;
  std::memcpy(segment.data() + at, "comm", 4);
  std::uint64_t seed = 0;
  std::memcpy(&seed, id.data(), sizeof seed);
  put(segment, at + 56, detail::checksum(std::string_view(segment).substr(at, 56), seed + at));
  for (auto chunk = at + detail::commit_header_bytes; chunk + 4 + detail::chunk_header_bytes <= segment.size();) {
    std::uint32_t length = 0;
    std::memcpy(&length, segment.data() + chunk, sizeof length);
    std::uint64_t first = 0;
    std::memcpy(&first, segment.data() + chunk + 4 + 5, sizeof first);
    put(segment, chunk + 4 + 45, detail::checksum(std::string_view(segment).substr(chunk + 4, 45), first));
    if (length > segment.size()) break;
    chunk += 4 + std::max<std::size_t>(length, detail::chunk_header_bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  detail::segment_header header;
  header.store.id = id;
  header.previous = before_the_first().hash();
  auto segment = detail::encode_segment_header(header).append(fuzz::text(data, size));
  for (const bool sealed : {false, true}) {
    if (sealed) seal(segment);
    const auto end = scan(segment);
    if (!end) continue;
    fuzz::require(end->place.address <= detail::next_commit_at(segment.size()));
    if (!end->torn) continue;
    // What is left when the rest is cut off is sound.
    const auto again = scan(segment.substr(0, end->place.address));
    fuzz::require(again && !again->torn && again->place.next == end->place.next);
  }
  return 0;
}
