// The log's chunks: any bytes under any key, as they are and with their checksums made to fit.
#include "harness.hpp"

#include "../../persistence/log_chunk.hpp"

#include <cairn/record.hpp>

#include <cstring>
#include <string>
#include <xxhash.h>

using namespace cairn;

namespace {

void walk(std::string_view key, std::string_view value) {
  fuzz::decodes([&] {
    detail::chunk_reader chunk(key, value);
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
  fuzz::decodes([&] { detail::chunk_reader(key, value).at(value.empty() ? 0 : static_cast<unsigned char>(value.back())); });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 8) {
    walk(fuzz::text(data, size), {});
    return 0;
  }
  const auto key = fuzz::text(data, 8);
  std::string value(fuzz::text(data + 8, size - 8));
  walk(key, value);
  if (value.size() < detail::chunk_header_bytes) return 0;
  const auto put = [&](std::size_t at, std::uint64_t number) { std::memcpy(value.data() + at, &number, 8); };
  const auto first = detail::from_log_key(key);
  put(5, first.value);
  put(45, XXH3_64bits_withSeed(value.data(), 45, first.value));
  walk(key, value);
  auto where = first;
  for (std::size_t at = detail::chunk_header_bytes; at + 12 <= value.size(); where = where + 1) {
    std::uint32_t length = 0;
    std::memcpy(&length, value.data() + at, 4);
    if (length > value.size() - at - 12) break;
    put(at + 4, XXH3_64bits_withSeed(value.data() + at + 12, length, where.value));
    at += 12 + length;
  }
  walk(key, value);
  return 0;
}
