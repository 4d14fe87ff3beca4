// The log's chunks: any bytes, as they are and with their checksums made to fit.
#include "harness.hpp"

#include "../../persistence/log/checksum.hpp"
#include "../../persistence/log/chunk.hpp"

#include <cairn/record.hpp>

#include <cstring>
#include <string>

using namespace cairn;

namespace {

void walk(std::string_view value) {
  fuzz::decodes([&] {
    detail::chunk_reader chunk(value);
    fuzz::require(fuzz::within(chunk.previous(), value));
    std::uint32_t records = 0;
    for (; !chunk.done(); ++records) {
      const auto body = chunk.next();
      fuzz::require(fuzz::within(body, value));
      fuzz::decodes([&] { decode_record(chunk.first() + records, body); });
    }
    fuzz::require(records == chunk.count());
    for (std::uint32_t slot = records; slot-- > 0;) chunk.at(slot);
  });
  fuzz::decodes([&] { detail::chunk_reader(value).at(value.empty() ? 0 : static_cast<unsigned char>(value.back())); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string value(fuzz::text(data, size));
  walk(value);
  if (value.size() < detail::chunk_header_bytes) return 0;
  const auto put = [&](std::size_t at, std::uint64_t number) { std::memcpy(value.data() + at, &number, 8); };
  const auto sum = [&](std::size_t at, std::size_t bytes, std::uint64_t seed) {
    return detail::checksum(std::string_view(value).substr(at, bytes), seed);
  };
  std::uint64_t first = 0;
  std::memcpy(&first, value.data() + 5, 8);
  put(45, sum(0, 45, first));
  walk(value);
  for (std::size_t at = detail::chunk_header_bytes; at + 12 <= value.size(); ++first) {
    std::uint32_t length = 0;
    std::memcpy(&length, value.data() + at, 4);
    if (length > value.size() - at - 12) break;
    put(at + 4, sum(at + 12, length, first));
    at += 12 + length;
  }
  walk(value);
  return 0;
}
