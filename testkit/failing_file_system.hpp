// Wraps a file system, simulated or real, and makes calls fail as a test wants.
#pragma once

#include "fault_injector.hpp"

#include <filesystem>
#include <memory>

namespace cairn::inline v1::testkit::detail {

/// Thread safety: every member from any thread at any time.
class failing_file_system final : public cairn::detail::file_system {
public:
  /// `target` must outlive it. Open files and folders may.
  explicit failing_file_system(cairn::detail::file_system& target);

  fault_injector& faults() { return *faults_; }

  io_status open_folder(const std::filesystem::path& path, std::shared_ptr<cairn::detail::folder>& out) override;
  io_status make_folder(const std::filesystem::path& path) override;

private:
  cairn::detail::file_system& target_;
  const std::shared_ptr<fault_injector> faults_;
};

}  // namespace cairn::testkit::detail
