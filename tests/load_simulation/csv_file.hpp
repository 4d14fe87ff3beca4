// A CSV file of sales for a test: written, read, and what the reader says of it.
#pragma once

#include "load_simulation/movements.hpp"
#include "temporary_folder.hpp"

#include <fstream>
#include <string>
#include <string_view>

namespace simulation::tests {

inline const std::string header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

inline std::string line(std::string_view stock_code, std::string_view quantity, std::string_view invoice = "536365") {
  return std::string(invoice) + "," + std::string(stock_code) + ",A LANTERN," + std::string(quantity) +
         ",2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n";
}

class csv_file {
public:
  explicit csv_file(std::string_view contents, std::string_view name = "sales.csv") : path(folder_.path() / name) {
    std::ofstream(path, std::ios::binary) << contents;
  }

  workload read() const { return read_movements(path); }
  /// What is wrong with it, after the file's name; empty where nothing is.
  std::string complaint() const {
    try {
      read();
      return "";
    } catch (const bad_input& reason) {
      const std::string text = reason.what();
      const auto name = text.find(path.string());
      return name == std::string::npos ? "without the file's name: " + text : text.substr(name + path.string().size());
    }
  }

private:
  cairn::tests::temporary_folder folder_;

public:
  const std::filesystem::path path;
};

}  // namespace simulation::tests
