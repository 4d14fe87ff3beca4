// Reads a shop's sales from a CSV file, plain or compressed with zstd, as movements of stock.
//
// The file has a header with at least the columns InvoiceNo, StockCode, Quantity and InvoiceDate ("2010-12-01 08:26:00", taken as
// UTC), in any order; other columns are passed over. Quoting is that of RFC 4180. A quantity above zero is goods sold, below zero
// goods returned, and a line with zero moves nothing.
#pragma once

#include "workload.hpp"

#include "command_line/output_file.hpp"

#include <filesystem>

namespace simulation {

using command_line::bad_input;

/// Reads the whole file. Throws bad_input for anything in it that is not as described above. When told to
/// stop it gives what it has read so far, which is not to be played.
workload read_movements(const std::filesystem::path& file, const stop_flag& stop = never_stopped);

/// The stock that each product needs so that nothing is ever refused: all that is sold of it.
std::vector<std::int64_t> enough_of_each(const workload& sales);

}  // namespace simulation
