#include "chain.hpp"

#include <cairn/error.hpp>

#include <cstring>
#include <string>

namespace cairn::inline v1::detail {

chain_head as_head(position through, const digest& hash) {
  chain_head head;
  head.through = through;
  std::memcpy(head.hash.data(), hash.data(), hash.size());
  return head;
}

digest as_digest(const chain_head& head) {
  digest hash;
  std::memcpy(hash.data(), head.hash.data(), hash.size());
  return hash;
}

chain::chain(std::string_view store_id) : here_{{}, position{1}, sha256_(store_id)} {}

chain::chain(position next, const digest& hash) : here_{{}, next, hash} {}

chain_head chain::head() const { return as_head(position{here_.next.value - 1}, here_.hash); }

void chain::follow(const chunk_reader& chunk) {
  const auto where = std::to_string(here_.next.value);
  if (chunk.first() != here_.next) {
    throw error(errc::corrupt_record, chunk.first() > here_.next
                                          ? "the log has no record at position " + where + "; the next one is at position " +
                                                std::to_string(chunk.first().value)
                                          : "the log has two records for position " + std::to_string(chunk.first().value));
  }
  if (chunk.previous() != std::string_view(here_.hash.data(), here_.hash.size())) {
    const auto doubt = here_.next == position{1}    ? std::string("the store's id was changed")
                       : here_.before == position{} ? "records before it were changed"
                                                    : "the records at positions " + std::to_string(here_.before.value) + " to " +
                                                          std::to_string(here_.next.value - 1) + " were changed";
    throw error(errc::corrupt_record, "the chain breaks at position " + where + ": " + doubt + ", or the chunk there was");
  }
  here_.hash = hash_of(sha256_, chunk.first(), chunk.value());
  here_.before = chunk.first();
  here_.next = chunk.end();
}

}  // namespace cairn::detail
