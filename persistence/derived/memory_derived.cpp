#include "memory_derived.hpp"

#include "index_run.hpp"

#include <cairn/error.hpp>

#include <iterator>
#include <mutex>

namespace cairn::inline v1::detail {
namespace {

class memory_cursor final : public run_cursor {
public:
  explicit memory_cursor(index_pairs pairs) : pairs_(std::move(pairs)), at_(pairs_.end()) {}
  bool seek(std::string_view key) override {
    const auto above = pairs_.upper_bound(key);
    at_ = above == pairs_.begin() ? pairs_.end() : std::prev(above);
    return at_ != pairs_.end();
  }
  bool next() override { return ++at_ != pairs_.end(); }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }

private:
  const index_pairs pairs_;  // as they were when the cursor was made
  index_pairs::const_iterator at_;
};

class memory_storage final : public index_storage {
public:
  explicit memory_storage(index_pairs& pairs) : pairs_(pairs) {}

  std::optional<index_mark> mark() const override {
    const std::lock_guard lock(mutex_);
    const auto found = pairs_.find(mark_key);
    return found == pairs_.end() ? std::nullopt : decode_mark(found->second);
  }
  void clear() override {
    const std::lock_guard lock(mutex_);
    pairs_.clear();
  }
  void write(const generation& generation) override {
    const std::lock_guard lock(mutex_);
    for_each_pair(generation, [&](std::string_view key, std::string_view value) {
      pairs_.insert_or_assign(std::string(key), std::string(value));
    });
  }
  void newest_versions(std::span<const stream_view> streams, std::vector<std::uint64_t>& versions) const override {
    const std::lock_guard lock(mutex_);
    versions.clear();
    for (const auto& stream : streams) {
      const auto found = pairs_.find(newest_key(stream));
      const auto newest = found == pairs_.end() ? std::optional(version{}) : decode_newest(found->second);
      if (!newest) fail("the version of " + to_string(stream) + " is damaged");
      versions.push_back(newest->value);
    }
  }
  std::unique_ptr<run_cursor> runs() const override {
    const std::lock_guard lock(mutex_);
    return std::make_unique<memory_cursor>(pairs_);
  }
  [[noreturn]] void fail(const std::string& what) const override { throw error(errc::corrupt_store, "the index: " + what); }

private:
  mutable std::mutex mutex_;
  index_pairs& pairs_;
};

}  // namespace

std::unique_ptr<index_storage> memory_index_storage(index_pairs& pairs) { return std::make_unique<memory_storage>(pairs); }

}  // namespace cairn::detail
