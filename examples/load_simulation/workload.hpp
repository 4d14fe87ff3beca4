// What is to be played: the movements of a shop's stock, made up here or read from a file (movements.hpp).
//
// Plain values; what becomes of them is the driver's affair.
#pragma once

#include "stop_flag.hpp"

#include <cairn/time.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace simulation {

enum class movement_kind : std::uint8_t {
  opening,    ///< the stock that is there at the start
  sold,       ///< leaves
  returned,   ///< comes back
  delivered,  ///< comes in
};

/// "sold", "returned" and so on: the reason that the event will carry.
const char* name_of(movement_kind kind);

/// One command to be. Kept small: a hundred million of them must fit into memory.
struct movement {
  cairn::timestamp occurred_at;
  std::int64_t count = 0;     ///< how many pieces; never negative, the kind says which way
  std::uint32_t product = 0;  ///< in workload::products
  std::uint32_t order = 0;    ///< in workload::orders
  std::uint32_t line = 0;     ///< within the order, or within the file; order and line together are unique
  movement_kind kind = movement_kind::sold;

  bool operator==(const movement&) const = default;
};

struct workload {
  std::string title;                  ///< "a synthetic day", or the file's name
  std::vector<std::string> products;  ///< their ids
  std::vector<std::string> orders;    ///< their numbers: the correlation ids of the commands
  std::vector<movement> movements;    ///< in the order in which they happened; each product's opening stock comes first
  std::uint64_t skipped = 0;          ///< lines of the file that move nothing

  /// Puts an opening of `counts` pieces, one number for each product, before everything else.
  void open_with(const std::vector<std::int64_t>& counts, cairn::timestamp at);
};

inline constexpr std::size_t movements_max = 100'000'000;

struct day_options {
  std::uint32_t products = 3'000;
  std::uint64_t commands = 4'000'000;  ///< beside the openings
  std::uint64_t seed = 1;
};

/// A day of a web shop that never closes: few products sell most (Zipf), the evening is busier than the night, now and then
/// an offer draws a crowd to one product, some goods come back, and what runs low is ordered and delivered some hours later, at
/// times too late. The same options always give the same day; only when told to stop it gives a part of it, which is not to be
/// played.
workload synthetic_day(const day_options& options, const stop_flag& stop = never_stopped);

}  // namespace simulation
