// The index's keys, runs and mark.
#include "harness.hpp"

#include "../../persistence/derived/index_run.hpp"

#include <string>
#include <vector>

using namespace cairn;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = fuzz::text(data, size);
  if (const auto stream = detail::stream_of(input)) {
    fuzz::require(fuzz::within(stream->category, input) && fuzz::within(stream->id, input));
    const auto prefix = detail::stream_prefix(*stream);
    const auto number = detail::version_of(input, prefix);
    fuzz::require(number.has_value());
    auto key = prefix;
    detail::set_version(key, prefix.size(), *number);
    fuzz::require(key == input);
  }
  // Each number has one encoding, so what is read is written again as it was.
  if (const auto mark = detail::decode_mark(input)) fuzz::require(detail::encode_mark(*mark) == input);
  if (const auto newest = detail::decode_newest(input)) fuzz::require(detail::encode_newest(*newest) == input);
  std::vector<detail::place> places;
  if (const auto count = detail::run_size(input)) {
    fuzz::require(*count <= detail::run_records_max);
    if (detail::decode_run(input, 0, *count - 1, places)) {
      fuzz::require(places.size() == *count);
      std::string again;
      detail::encode_run(again, places);
      std::vector<detail::place> same;
      fuzz::require(detail::decode_run(again, 0, *count - 1, same));
      for (std::size_t i = 0; i < same.size(); ++i) {
        fuzz::require(same[i].chunk == places[i].chunk && same[i].slot == places[i].slot);
      }
    }
  }
  places.clear();
  fuzz::require(!detail::decode_run(input, 0, detail::run_records_max * 2, places) || places.size() > detail::run_records_max);
  return 0;
}
