// Follows the log's chain from chunk to chunk, as opening and verifying do.
#pragma once

#include "log_chunk.hpp"

#include <cairn/chain_head.hpp>

#include <string_view>

namespace cairn::detail {

class chain {
public:
  /// Before the first record of the store with this id.
  explicit chain(std::string_view store_id);

  /// The position that the next chunk must begin at.
  position next() const { return next_; }
  chain_head head() const;
  const digest& hash() const { return hash_; }

  /// Takes a chunk for granted: what is followed from here on comes after it.
  void begin_behind(std::string_view key, std::string_view value);
  /// Throws error(errc::corrupt_record) where `chunk` is not the next of the chain; says which records that puts in doubt.
  void require(const chunk_reader& chunk) const;
  /// Goes on behind a chunk that require() has let pass.
  void pass(std::string_view key, std::string_view value, position end);

private:
  sha256 sha256_;
  position before_;  // where the last chunk begins; 0 before the first
  position next_{1};
  digest hash_;
};

chain_head as_head(position through, const digest& hash);

}  // namespace cairn::detail
