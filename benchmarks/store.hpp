// The bare store, as the runtime uses it and without the runtime.
#pragma once

#include <cairn/journal.hpp>

#include <cstddef>
#include <string>
#include <vector>

namespace cairn::benchmarks {

/// Gives each product the same number of events, in turn, so that no two of one product stand close to each other in the log.
void append_histories(journal& store, const std::vector<std::string>& ids, std::size_t events);

/// Records a second of RocksDB's log alone, appending in batches of so many. Only append() counts: encoding is the aggregates'
/// work.
double bare_append_rate(std::size_t products, std::size_t batch, double seconds);

}  // namespace cairn::benchmarks
