// A machine with a simulated disk and one store on it. Tests stop it before any call of the file system: by a
// crash of the process, or by a power cut.
#pragma once

#include "../../persistence/derived/memory_derived.hpp"
#include "../../persistence/log/chain.hpp"
#include "../../persistence/log/log_scan.hpp"
#include "../../persistence/store/store_environment.hpp"
#include "../../testkit/failing_file_system.hpp"
#include "../../testkit/simulated_file_system.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/store.hpp>

#include <atomic>
#include <cstring>
#include <doctest/doctest.h>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cairn::tests {

using testkit::detail::remains;

inline const char* name_of(remains what) {
  switch (what) {
  case remains::nothing: return "nothing";
  case remains::everything: return "everything";
  case remains::sectors: return "sectors";
  case remains::prefix: return "prefix";
  }
  return "";
}

/// Index and snapshots in memory. The index outlives everything, as one would that is durable as soon as it
/// is written.
class memory_derived final : public detail::derived_data {
public:
  explicit memory_derived(detail::index_pairs& pairs) : index_(detail::memory_index_storage(pairs)) {}
  detail::index_storage& index() override { return *index_; }
  snapshot_store& snapshots() override { return journal_->snapshots(); }
  void flush() override {}
  void check() const override {}

private:
  const std::unique_ptr<detail::index_storage> index_;
  const std::unique_ptr<journal> journal_ = memory_journal();
};

inline detail::store_id fixed_store_id() {
  detail::store_id id;
  std::memcpy(id.data(), "a simulated disk", id.size());
  return id;
}

/// Reads the whole log, as a command that only reads does, and requires that its history goes through
/// `noted`. Returns its head. Throws what is wrong.
inline chain_head check_log(detail::file_system& files, const std::filesystem::path& path,
                            const std::optional<chain_head>& noted = {}) {
  const auto folder = detail::store_folder::open_for_reading(files, path);
  const auto segments = folder.open_segments();
  detail::chain chain({folder.identity().id.data(), folder.identity().id.size()});
  bool met = !noted || *noted == chain.head();
  detail::scan_request request;
  request.high_water = folder.high_water();
  request.passed = [&](const detail::log_place&, const detail::digest&) { met = met || chain.head() == *noted; };
  detail::scan_log(*segments, chain, request);
  if (!met) throw error(errc::corrupt_record, "the history does not go through the head that was noted");
  return chain.head();
}

class machine {
public:
  /// Segments are this small unless a test wants others, so that each run has several.
  static constexpr std::uint64_t usual_segment_bytes = 8192;

  machine() {
    std::shared_ptr<detail::folder> top;
    disk_.make_folder("/data");
    disk_.open_folder("/", top);
    top->sync();
  }

  testkit::detail::simulated_disk& disk() { return disk_; }
  testkit::detail::fault_injector& faults() { return calls_.faults(); }
  detail::index_pairs& index() { return index_; }
  std::filesystem::path path() const { return "/data/store"; }

  /// Of all opened stores.
  std::uint64_t segment_bytes = usual_segment_bytes;
  bool threads = false;
  /// nullptr: memory_derived.
  std::function<std::unique_ptr<detail::derived_data>(const detail::store_folder&, const store_options&)> open_derived;

  std::unique_ptr<cairn::store> open(store_options options) {
    options.warn = [this](const std::string& sentence) {
      const std::lock_guard lock(mutex_);
      warnings_.push_back(sentence);
    };
    detail::store_environment environment;
    environment.files = &calls_;
    environment.segment_bytes = segment_bytes;
    environment.unprepared_bytes = segment_bytes / 4;
    environment.threads = threads;
    environment.make_id = fixed_store_id;
    environment.now = [] { return timestamp{}; };
    environment.open_derived = open_derived;
    if (!open_derived) {
      environment.open_derived = [this](const detail::store_folder&, const store_options&) {
        return std::make_unique<memory_derived>(index_);
      };
    }
    return detail::open_embedded_store(path(), options, environment);
  }

  std::vector<std::string> take_warnings() {
    const std::lock_guard lock(mutex_);
    return std::exchange(warnings_, {});
  }

  /// Before the call with this number, counted from now on, `stop` is called, and then all calls fail until
  /// revive().
  void stop_before(std::uint64_t number, std::function<void()> stop) {
    stop_at_ = faults().calls() + number;
    faults().set_hook([this, stop = std::move(stop)](testkit::detail::call, const std::string&) {
      if (stopped_) return -EIO;
      if (faults().calls() < stop_at_) return 0;
      if (!stopped_.exchange(true)) stop();
      return -EIO;
    });
  }
  void stop_now() { stopped_ = true; }
  bool is_stopped() const { return stopped_; }
  void revive() {
    faults().set_hook({});
    faults().clear_faults();
    stopped_ = false;
  }

  chain_head check_log(const std::optional<chain_head>& noted = {}) { return tests::check_log(disk_, path(), noted); }

  /// Copies the files to a real folder, where the commands can look at them.
  void copy_to(const std::filesystem::path& folder) const {
    for (const auto& file : disk_.files()) {
      const auto copy = folder / std::filesystem::path(file).lexically_relative(path());
      std::filesystem::create_directories(copy.parent_path());
      const auto bytes = disk_.contents(file);
      std::ofstream(copy, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    }
  }

private:
  testkit::detail::simulated_disk disk_;
  testkit::detail::failing_file_system calls_{disk_};
  detail::index_pairs index_;
  std::mutex mutex_;
  std::vector<std::string> warnings_;
  std::atomic<std::uint64_t> stop_at_ = 0;
  std::atomic<bool> stopped_ = false;
};

}  // namespace cairn::tests
