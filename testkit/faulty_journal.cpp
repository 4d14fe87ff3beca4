#include <cairn/testkit/faulty_journal.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace cairn::inline v1::testkit {
namespace {

template <class Orders>
auto next_of(Orders& orders) {
  std::optional<typename Orders::value_type> next;
  if (!orders.empty()) {
    next = std::move(orders.front());
    orders.pop_front();
  }
  return next;
}

}  // namespace

faulty_journal::faulty_journal(std::shared_ptr<journal> inner) : inner_(std::move(inner)) {}

void faulty_journal::fail_next_append(errc code, std::string detail, int times) {
  const std::lock_guard lock(mutex_);
  while (times-- > 0) appends_.push_back({0, code, detail, false});
}

void faulty_journal::fail_next_sync(errc code, std::string detail, int times) {
  const std::lock_guard lock(mutex_);
  while (times-- > 0) appends_.push_back({0, code, detail, true});
}

void faulty_journal::fail_next_save(errc code, std::string detail, int times) {
  const std::lock_guard lock(mutex_);
  while (times-- > 0) saves_.push_back({0, code, detail});
}

void faulty_journal::fail_read(std::uint64_t nth, errc code, std::string detail, int times) {
  const std::lock_guard lock(mutex_);
  for (int place = 0; place < times; ++place) {
    reads_.push_back({counts_.reads + nth + static_cast<std::uint64_t>(place), code, detail});
  }
}

journal_counts faulty_journal::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void faulty_journal::append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) {
  std::unique_lock lock(mutex_);
  ++counts_.appends;
  counts_.batches.push_back(appends.size());
  const auto failing = next_of(appends_);
  lock.unlock();
  if (!failing || failing->stores) inner_->append(appends, outcomes);
  if (failing) throw error(failing->code, failing->detail);
}

void faulty_journal::read(stream_view stream, version_range range, const record_visitor& visit) const {
  {
    const std::lock_guard lock(mutex_);
    ++counts_.reads;
    const auto failing = std::find_if(reads_.begin(), reads_.end(), [&](const order& one) { return one.at == counts_.reads; });
    if (failing != reads_.end()) throw error(failing->code, failing->detail);
  }
  inner_->read(stream, range, [&](const record_view& record) {
    {
      const std::lock_guard lock(mutex_);
      ++counts_.events_read;
    }
    return visit(record);
  });
}

void faulty_journal::save(stream_view stream, version at, std::string_view bytes) {
  std::unique_lock lock(mutex_);
  if (const auto failing = next_of(saves_)) throw error(failing->code, failing->detail);
  counts_.saved.push_back(at.value);
  lock.unlock();
  inner_->snapshots().save(stream, at, bytes);
}

void faulty_journal::read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const {
  {
    const std::lock_guard lock(mutex_);
    ++counts_.snapshot_reads;
  }
  inner_->snapshots().read_newest_first(stream, at_most, visit);
}

}  // namespace cairn::testkit
