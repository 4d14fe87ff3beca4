#include <cairn/chain_head.hpp>

#include "hex.hpp"

#include <cairn/error.hpp>

#include <algorithm>
#include <charconv>

namespace cairn::inline v1 {

std::string to_string(const chain_head& head) {
  return std::to_string(head.through.value) + ":" +
         detail::to_hex({reinterpret_cast<const char*>(head.hash.data()), head.hash.size()});
}

chain_head parse_chain_head(std::string_view text) {
  chain_head head;
  const char* const end = text.data() + text.size();
  const auto [colon, failed] = std::from_chars(text.data(), end, head.through.value);
  std::optional<std::string> hash;
  if (failed == std::errc{} && colon != end && *colon == ':') hash = detail::from_hex({colon + 1, end});
  if (!hash || hash->size() != head.hash.size()) {
    throw error(errc::invalid_argument, "'" + std::string(text.substr(0, 100)) +
                                            "' is not a head: that is a position, a colon and 64 hexadecimal digits (0-9, a-f)");
  }
  std::copy(hash->begin(), hash->end(), head.hash.begin());
  return head;
}

}  // namespace cairn
