// One line that vouches for a whole history: how far it goes, and the hash that covers every byte of it.
//
// docs/record_format.md, "The chain", says how the hash is made; docs/durability.md, what to do with it.
#pragma once

#include <cairn/identity.hpp>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::inline v1 {

/// Noted somewhere else than beside the store (a mail, a ledger, a public page), it shows later that the history has only grown.
struct chain_head {
  position through;                   ///< the last record that it covers; 0 for a store without records
  std::array<std::uint8_t, 32> hash;  ///< of the chunk that ends there; without records, of the store's id

  bool operator==(const chain_head&) const = default;
};

/// The position, a colon, and the hash as 64 hexadecimal digits: "4711:9f86d0…".
std::string to_string(const chain_head& head);

/// Reads what to_string() writes. Throws error(errc::invalid_argument) saying what it looks like.
chain_head parse_chain_head(std::string_view text);

}  // namespace cairn
