// A journal that hands everything on to another one: the base of those that watch, delay or spoil a part of it.
#pragma once

#include <cairn/journal.hpp>
#include <cairn/memory_journal.hpp>

#include <memory>
#include <span>
#include <utility>

namespace cairn::inline v1::testkit {

/// Derive from it and override what shall differ. Thread safety and errors are those of the inner journal.
class forwarding_journal : public journal {
public:
  /// `inner` is not null, and is shared.
  explicit forwarding_journal(std::shared_ptr<journal> inner = memory_journal()) : inner_(std::move(inner)) {}

  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    inner_->append(appends, outcomes);
  }
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    inner_->read(stream, range, visit);
  }
  position read_all(position from, const record_visitor& visit) const override { return inner_->read_all(from, visit); }
  version highest(stream_view stream) const override { return inner_->highest(stream); }
  position last() const override { return inner_->last(); }
  snapshot_store& snapshots() override { return inner_->snapshots(); }

protected:
  journal& inner() const noexcept { return *inner_; }

private:
  const std::shared_ptr<journal> inner_;
};

}  // namespace cairn::testkit
