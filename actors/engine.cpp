#include "engine.hpp"

#include "crew.hpp"
#include "deadline_watch.hpp"
#include "require_range.hpp"
#include "system_thread.hpp"

#include "work_pool.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/send.hpp>
#include <caf/thread_hook.hpp>

#include <condition_variable>
#include <mutex>
#include <pthread.h>
#include <sched.h>
#include <thread>
#include <utility>

namespace cairn::inline v1::actors {
namespace {

// Makes the system's threads run as SCHED_BATCH: waking one does not push another off its core. Every message wakes somebody, so
// without it the journal's thread cuts in on those that feed it, and commits many small batches where it could commit a few
// large ones. Where the system says no, all works as before.
class batch_scheduling final : public caf::thread_hook {
public:
  // On the thread that makes the system, before it starts the others, which inherit the policy.
  void init(caf::actor_system&) override {
    int policy = 0;
    sched_param parameters{};
    if (::pthread_getschedparam(::pthread_self(), &policy, &parameters) != 0 || policy != SCHED_OTHER) return;
    parameters = {};
    ::pthread_setschedparam(::pthread_self(), SCHED_BATCH, &parameters);
  }
  void thread_started() override {}
  void thread_terminates() override {}
};

// A bound on messages per turn keeps a busy aggregate from starving those behind it.
struct system_config : caf::actor_system_config {
  explicit system_config(const settings& bounds) {
    module_factories.emplace_back([](caf::actor_system& system) -> caf::actor_system::module* { return new work_pool(system); });
    add_thread_hook<batch_scheduling>();
    set("scheduler.max-threads", bounds.threads);
    set("scheduler.max-throughput", std::size_t{500});
    set("logger.file-verbosity", caf::atom("quiet"));
    set("logger.console-verbosity", caf::atom("quiet"));
  }
};

class engine_on_threads final : public engine {
public:
  explicit engine_on_threads(engine_parts parts)
      : shared_{std::move(parts.store), std::move(parts.now), std::move(parts.warn), checked(parts.bounds), {}},
        config_(shared_.bounds), system_(config_, [this, &parts](caf::actor_system& system) {
          shared_.head.open(shared_.store ? shared_.store->last() : position{}, std::move(parts.resume_read));
          deadlines_.start();
          spawn_crew(system, shared_, staff_, threading::own);
        }) {}
  ~engine_on_threads() override { drain_once(true); }

  void watch(operation& asked) override { deadlines_.add(asked); }

  void submit(operation_ptr asked) override { pass_through_directory(staff_, std::move(asked)); }

  void submit_many(std::vector<operation_ptr> asked) override {
    const handing_over not_destroyed_before_its_end(*this);
    work_pool::made_ready together(static_cast<work_pool&>(system_->scheduler()));
    pass_through_directories(staff_, std::move(asked), together);
  }

  void read(operation_ptr asked) override {
    const handing_over not_destroyed_before_its_end(*this);
    send_to_reader(staff_, std::move(asked));
  }

  void drain(bool snapshot) override { drain_once(snapshot); }

  const counters& stats() const noexcept override { return shared_.stats; }
  position head() const noexcept override { return shared_.head.last(); }

  bool runs_this_thread() const noexcept override { return system_.runs_this_thread() || deadlines_.runs_this_thread(); }

private:
  // A call that hands something over. Another thread may have answered before the call returns, and whoever
  // gets the answer may destroy the engine; drain_once() waits for the call. submit() needs none: it does
  // everything under a directory's lock, which the drain takes later.
  class handing_over {
  public:
    explicit handing_over(engine_on_threads& engine) : engine_(engine) {
      const std::lock_guard lock(engine_.mutex_);
      ++engine_.handing_over_;
    }
    ~handing_over() {
      const std::lock_guard lock(engine_.mutex_);
      if (--engine_.handing_over_ == 0) engine_.all_handed_over_.notify_all();
    }
    handing_over(const handing_over&) = delete;
    handing_over& operator=(const handing_over&) = delete;

  private:
    engine_on_threads& engine_;
  };

  void drain_once(bool snapshot) {
    if (std::exchange(drained_, true)) return;
    const auto gate = std::make_shared<drain_gate>(staff_.directories.size());
    for (const auto& directory : staff_.directories) caf::anon_send(directory, drain_directory{snapshot, gate});
    gate->wait();
    {
      std::unique_lock lock(mutex_);
      all_handed_over_.wait(lock, [this] { return handing_over_ == 0; });
    }
    // Nobody is left to ask anything of the others.
    for_each_standing_actor(staff_, [](const caf::actor& one) { caf::anon_send(one, finish{}); });
    system_->await_all_actors_done();
    // A detached actor's thread lives until the last handle of the actor is gone.
    staff_ = {};
    shared_.store.reset();
    shared_.head.close();
  }

  std::mutex mutex_;  // for the next two
  std::size_t handing_over_ = 0;
  std::condition_variable all_handed_over_;
  shared_context shared_;
  deadline_watch deadlines_{shared_.now};
  system_config config_;
  crew staff_;
  system_thread system_;
  bool drained_ = false;
};

}  // namespace

settings checked(settings bounds) {
  require_range<std::uint64_t>("snapshot_every_events", bounds.snapshot_every_events, 0, 1'000'000'000);
  require_range<std::size_t>("deduplication_window_size", bounds.deduplication_window_size, 0, 10'000);
  require_range<std::size_t>("recovery_queue_max", bounds.recovery_queue_max, 1, 100'000'000);
  require_range<std::size_t>("batch_appends_max", bounds.batch_appends_max, 1, 1'000'000);
  require_range<std::size_t>("batch_bytes_max", bounds.batch_bytes_max, 1, std::size_t{1} << 30);
  require_range<std::size_t>("live_aggregates_max", bounds.live_aggregates_max, 1, 1'000'000'000);
  require_range<std::size_t>("directories", bounds.directories, 1, 1'024);
  require_range<std::size_t>("recoveries_at_once_max", bounds.recoveries_at_once_max, 0, 256);
  require_range<std::size_t>("threads", bounds.threads, 0, 1'024);
  require_range<std::int64_t>("passivate_after (ms)", bounds.passivate_after.count(), 0, 1'000LL * 60 * 60 * 24 * 365);
  require_range<std::int64_t>("recovery_retry_min (ms)", bounds.recovery_retry_min.count(), 1, 1'000LL * 60 * 60);
  require_range<std::int64_t>("recovery_retry_max (ms)", bounds.recovery_retry_max.count(), bounds.recovery_retry_min.count(),
                              1'000LL * 60 * 60);
  const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  if (bounds.threads == 0) bounds.threads = cores;
  if (bounds.recoveries_at_once_max == 0) bounds.recoveries_at_once_max = std::max<std::size_t>(1, cores / 2);
  bounds.directories = std::min(bounds.directories, bounds.live_aggregates_max);
  return bounds;
}

bool is_engine_thread() noexcept { return system_thread::any_runs_this_thread(); }

std::unique_ptr<engine> threaded_engine(engine_parts parts) { return std::make_unique<engine_on_threads>(std::move(parts)); }

}  // namespace cairn::actors
