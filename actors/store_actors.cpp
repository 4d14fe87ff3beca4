// The actors that work beside the journal on the same store: readers recover aggregates and read the past, the snapshot writer
// saves. None of them keeps a commit waiting.
#include "crew.hpp"
#include "standing_actor.hpp"
#include "tsan.hpp"

namespace cairn::inline v1::actors {
namespace {

constexpr std::size_t snapshots_kept = 2;

class reader_actor final : public ordered_actor {
public:
  reader_actor(caf::actor_config& config, shared_context& shared, std::shared_ptr<reading_inbox> inbox, std::size_t number)
      : ordered_actor(config), shared_(shared), inbox_(std::move(inbox)), number_(number) {}

  ~reader_actor() override { happens_after(mailbox()); }

  const char* name() const override { return "cairn.reader"; }

  caf::behavior make_behavior() override {
    set_exception_handler(end_process);
    return ordered({
        [this](const read_next&) { take_next(); },
        [this](const recovery_request& request) { return bring_back(request); },
        [this](const read_request& request) { read(request.what); },
        [this](const finish&) { quit(); },
    });
  }

private:
  // One at a time: what comes meanwhile is for whoever is idle first.
  void take_next() {
    auto next = inbox_->take(number_);
    if (!next) return;
    if (auto* const order = std::get_if<recovery_order>(&*next)) {
      send(order->asker, bring_back(order->request));
    } else {
      read(std::move(std::get<operation_ptr>(*next)));
    }
    next.reset();
    send(this, read_next{});
  }

  void read(operation_ptr asked) {
    if (asked->completed()) return operation::complete(std::move(asked));  // cancelled: only its place is given up
    outcome answer;
    try {
      answer.version = asked->read(*shared_.store, shared_.warn);
    } catch (...) {
      auto failed = current_failure(errc::journal_unavailable);
      answer = outcome::failed(failed.code, std::move(failed.detail));
    }
    if (answer.code == errc{}) {
      if (const auto beyond = asked->waits_beyond()) return shared_.head.wait_beyond(*beyond, std::move(asked));
    }
    asked->held = std::move(answer);
    operation::complete(std::move(asked));
  }

  recovery_result bring_back(const recovery_request& request) {
    recovery_result result{request.incarnation, nullptr, {}, {}};
    try {
      result.aggregate = std::make_shared<recovered>(
          recover(*shared_.store, *request.type, request.stream, shared_.bounds.deduplication_window_size, shared_.warn));
      shared_.stats.recoveries.fetch_add(1, std::memory_order_relaxed);
      shared_.stats.events_recovered.fetch_add(result.aggregate->events_read, std::memory_order_relaxed);
      if (result.aggregate->snapshot.value > 0) shared_.stats.snapshots_loaded.fetch_add(1, std::memory_order_relaxed);
    } catch (...) {
      const auto failed = current_failure(errc::recovery_failed);
      result.code = failed.code;
      result.detail = to_string(request.stream) + " cannot be recovered: " + failed.detail;
      shared_.stats.failed_recoveries.fetch_add(1, std::memory_order_relaxed);
    }
    return result;
  }

  shared_context& shared_;
  const std::shared_ptr<reading_inbox> inbox_;
  const std::size_t number_;
};

class snapshot_actor final : public ordered_actor {
public:
  snapshot_actor(caf::actor_config& config, shared_context& shared) : ordered_actor(config), shared_(shared) {}

  ~snapshot_actor() override { happens_after(mailbox()); }

  const char* name() const override { return "cairn.snapshots"; }

  caf::behavior make_behavior() override {
    set_exception_handler(end_process);
    return ordered({
        [this](const snapshot_request& request) {
          return snapshot_result{request.at, save(request)};
        },
        [this](const finish&) { quit(); },
    });
  }

private:
  bool save(const snapshot_request& request) {
    try {
      auto& snapshots = shared_.store->snapshots();
      snapshots.save(request.stream, request.at, request.bytes);
      snapshots.prune(request.stream, snapshots_kept);
      shared_.stats.snapshots_saved.fetch_add(1, std::memory_order_relaxed);
      return true;
    } catch (...) {
      // A snapshot is an optimisation: the aggregate lives on, and its next recovery takes longer.
      shared_.stats.failed_snapshots.fetch_add(1, std::memory_order_relaxed);
      shared_.warn("the snapshot of " + to_string(request.stream) + " at version " + std::to_string(request.at.value) +
                   " was not saved: " + current_failure(errc::journal_unavailable).detail);
      return false;
    }
  }

  shared_context& shared_;
};

}  // namespace

caf::actor spawn_snapshot_writer(caf::actor_system& system, shared_context& shared, threading how) {
  return how == threading::own ? system.spawn<snapshot_actor, caf::detached>(shared) : system.spawn<snapshot_actor>(shared);
}

caf::actor spawn_reader(caf::actor_system& system, shared_context& shared, threading how, std::shared_ptr<reading_inbox> inbox,
                        std::size_t number) {
  return how == threading::own ? system.spawn<reader_actor, caf::detached>(shared, std::move(inbox), number)
                               : system.spawn<reader_actor>(shared, std::move(inbox), number);
}

}  // namespace cairn::actors
