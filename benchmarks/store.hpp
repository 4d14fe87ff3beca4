// The bare store, as the runtime uses it and without the runtime.
#pragma once

#include "measure.hpp"

#include <cairn/journal.hpp>
#include <cairn/store.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::benchmarks {

/// Opens a store that does not hash its chunks.
std::unique_ptr<store> open_unchained(const std::filesystem::path& folder);

/// Appends of one event each, which the store takes with one sync.
class record_batch {
public:
  record_batch(journal& store, std::size_t size);

  /// The event at `place` of the batch: the next one of `stream`, which is at version `current` and must outlive append().
  void set(std::size_t place, stream_view stream, version current, std::string_view type, std::string_view payload);
  void append();
  /// Of all its events, as the store is handed them.
  std::size_t bytes() const;

private:
  journal& store_;
  std::vector<std::string> frames_;
  std::vector<addition> additions_;
  std::vector<atomic_append> appends_;
  std::vector<append_outcome> outcomes_;
};

/// Gives each product the same number of events, in turn, so that no two of one product stand close to each other in the log.
void append_histories(journal& store, const std::vector<std::string>& ids, std::size_t events);

/// The embedded store alone.
class bare_store {
public:
  /// Appends `warm_up_bytes` of records before anything is measured.
  bare_store(std::size_t products, std::size_t warm_up_bytes);

  /// Appends for `seconds`, in batches of so many records. Only append() counts: encoding is the aggregates' work.
  void run(std::size_t batch, double seconds);
  /// Of all runs together.
  double records_per_second() const { return static_cast<double>(records_) / seconds_; }

  /// Appends so many batches, which records_per_second() leaves out.
  void append(std::size_t batch, std::size_t batches);
  /// Of the records of all runs and append() calls, as the store is handed them.
  double bytes() const { return static_cast<double>(bytes_); }

private:
  /// Returns how long it took.
  double append_batch(record_batch& next, std::size_t size);

  const temporary_folder folder_;
  const std::unique_ptr<journal> store_;
  const std::vector<stream_id> streams_;
  std::vector<version> versions_;
  number_generator numbers_;
  std::string payload_;
  std::uint64_t records_ = 0;
  std::uint64_t bytes_ = 0;
  double seconds_ = 0;
};

/// A file that grows by one write and one fdatasync for each batch: the least that a durable append costs.
class plain_file {
public:
  plain_file();
  ~plain_file();
  plain_file(const plain_file&) = delete;
  plain_file& operator=(const plain_file&) = delete;

  /// Appends batches of so many bytes for `seconds`.
  void run(std::size_t batch_bytes, double seconds);
  /// Of all runs together.
  double bytes_per_second() const { return written_ / seconds_; }

private:
  const temporary_folder folder_;
  int file_ = -1;
  double written_ = 0;
  double seconds_ = 0;
};

}  // namespace cairn::benchmarks
