// Follows the log's chain of hashes from chunk to chunk, as every walk through the log does.
#pragma once

#include "chunk.hpp"

#include <cairn/chain_head.hpp>

#include <string_view>

namespace cairn::inline v1::detail {

class chain {
public:
  /// Before the first record of the store with this id.
  explicit chain(std::string_view store_id);
  /// Behind the chunk that has this hash and ends before `next`.
  chain(position next, const digest& hash);

  /// The position that the next chunk must begin at.
  position next() const { return here_.next; }
  chain_head head() const;
  const digest& hash() const { return here_.hash; }

  /// Goes on behind `chunk`. Throws error(errc::corrupt_record) if it is not the next of the chain; the error names the records
  /// that are in doubt.
  void follow(const chunk_reader& chunk);

  /// Where the chain is, to go back to it.
  struct place {
    position before;  // where the last chunk begins; 0 if that is not known
    position next{1};
    digest hash;
  };
  const place& here() const { return here_; }
  void go_back(const place& earlier) { here_ = earlier; }

private:
  sha256 sha256_;
  place here_;
};

chain_head as_head(position through, const digest& hash);
digest as_digest(const chain_head& head);

}  // namespace cairn::detail
