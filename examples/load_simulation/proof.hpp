// The proof: what the store holds, found out in ways that have as little as possible in common, and compared.
//
// The log is read and folded here by hand, without the domain's own code; it is folded by that code, all products at once, and
// every snapshot compared with it; the runtime recovers each product from its snapshot and its last events; the clients kept
// books of the answers that they got. All must agree, product by product.
#pragma once

#include "stop_flag.hpp"

#include <cairn/runtime.hpp>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace simulation {

/// Where a product stands. Version 0: nothing has happened to it.
struct standing {
  std::int64_t count = 0;
  std::uint64_t version = 0;
  bool operator==(const standing&) const = default;
};

struct log_reading {
  std::unordered_map<std::string, standing> products;
  std::uint64_t records = 0;
  std::vector<std::string> faults;  ///< gaps, and events that cannot be understood; the first few
  double seconds = 0;
};

/// Reads the whole log, checks that positions have no gap and versions none within an aggregate, and adds up the products.
/// Throws cairn::error where the store cannot be read.
log_reading fold_log(const cairn::journal& store, const stop_flag& stop);

struct domain_reading {
  std::vector<standing> products;
  std::vector<std::string> faults;  ///< what kept the log from being folded to its end, and snapshots that contradict it
  std::uint64_t records = 0;
  std::uint64_t snapshots = 0;  ///< whose state is what the events before them make
  std::uint64_t snapshots_passed_over = 0;
  double seconds = 0;
};

/// Reads the log once more, lets the domain's own code fold it and compares every snapshot on the way. Tells where the products
/// of `ids` stand then, in their order.
domain_reading fold_by_domain(cairn::journal& store, const std::vector<std::string>& ids, const stop_flag& stop);

struct recovery {
  std::vector<standing> products;
  std::vector<std::string> faults;  ///< products that could not be recovered; the first few
  double seconds = 0;
  std::uint64_t events_read = 0;  ///< after snapshots, or from the beginning
  std::uint64_t snapshots_loaded = 0;
};

/// Asks the runtime for the state of every product, many at a time.
recovery recover_all(cairn::runtime& runtime, const std::vector<std::string>& ids, const stop_flag& stop);

/// Says for each of the first few products where `expected` and `found` differ, and how many more there are. Empty: they agree.
/// Both are in the order of `ids`; `whose` and `other` name them in the sentence.
std::vector<std::string> differences(const std::vector<std::string>& ids, const std::string& whose,
                                     const std::vector<standing>& expected, const std::string& other,
                                     const std::vector<standing>& found);

/// The standings of `ids`, in their order, and of no others.
std::vector<standing> in_order(const log_reading& log, const std::vector<std::string>& ids);

}  // namespace simulation
