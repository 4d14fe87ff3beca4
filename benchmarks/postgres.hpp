// A PostgreSQL cluster of the benchmark's own, and the UPDATE that it is measured with.
#pragma once

#include "measure.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

namespace cairn::benchmarks {

/// PostgreSQL 15 with its defaults (fsync and synchronous_commit on) in a temporary folder, reached by a socket in there alone.
/// It runs as the user of this program, or as the user postgres where that is root. It ends with its owner, and with this process
/// however that ends.
class postgres_cluster {
public:
  /// Throws skipped where there is no PostgreSQL 15, or no user to run it as; std::runtime_error where it does not start.
  postgres_cluster();
  ~postgres_cluster();
  postgres_cluster(const postgres_cluster&) = delete;
  postgres_cluster& operator=(const postgres_cluster&) = delete;

  /// Makes the table `stock` anew, with so many products.
  void fill(std::size_t products);
  /// Transactions a second of `UPDATE stock SET count = count + :d WHERE id = :id`, by pgbench with prepared statements and 64
  /// clients. pgbench counts whole seconds.
  double updates_per_second(std::size_t products, double seconds);

private:
  std::string program(const std::string& name) const;
  std::string socket_folder() const { return folder_.path().string(); }

  temporary_folder folder_;
  pid_t server_ = -1;
};

}  // namespace cairn::benchmarks
