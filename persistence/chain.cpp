#include "chain.hpp"

#include <cairn/error.hpp>

#include <cstring>
#include <string>

namespace cairn::detail {

chain_head as_head(position through, const digest& hash) {
  chain_head head;
  head.through = through;
  std::memcpy(head.hash.data(), hash.data(), hash.size());
  return head;
}

chain::chain(std::string_view store_id) : hash_(sha256_(store_id)) {}

chain_head chain::head() const { return as_head(position{next_.value - 1}, hash_); }

void chain::begin_behind(std::string_view key, std::string_view value) { pass(key, value, chunk_reader(key, value).end()); }

void chain::require(const chunk_reader& chunk) const {
  if (chunk.first() != next_) {
    throw error(errc::corrupt_record, chunk.first() > next_
                                          ? "the log has no record at position " + std::to_string(next_.value) +
                                                "; the next one there is has position " + std::to_string(chunk.first().value)
                                          : "the log has two records for position " + std::to_string(chunk.first().value));
  }
  if (chunk.previous() != std::string_view(hash_.data(), hash_.size())) {
    const auto doubted = before_ == position{} ? std::string("the store's id is not the one that it was written under")
                                               : "the records at positions " + std::to_string(before_.value) + " to " +
                                                     std::to_string(next_.value - 1) + " are not those that it was written after";
    throw error(errc::corrupt_record, "the chain breaks at position " + std::to_string(next_.value) + ": " + doubted +
                                          ", or it was put there later itself");
  }
}

void chain::pass(std::string_view key, std::string_view value, position end) {
  hash_ = sha256_(key, value);
  before_ = from_log_key(key);
  next_ = end;
}

}  // namespace cairn::detail
