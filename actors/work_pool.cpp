#include "work_pool.hpp"

#include <algorithm>

namespace cairn::actors {
namespace {

// What a worker has taken waits for that worker alone, so it takes a small share of a long queue, and of a short one a single
// actor.
constexpr std::size_t taken_at_once_max = 8;
constexpr std::size_t given_back_at_once_max = 32;

}  // namespace

class work_pool::worker final : public caf::execution_unit {
public:
  explicit worker(work_pool& pool) : caf::execution_unit(&pool.system()), pool_(pool) {}

  // By an actor in its turn on this thread.
  void exec_later(caf::resumable* ready) override {
    made_ready_.push_back(ready);
    if (made_ready_.size() >= given_back_at_once_max) give_back();
  }

  void run() {
    for (pool_.take(taken_); !taken_.empty(); pool_.take(taken_)) {
      for (auto* actor : taken_) {
        if (actor->resume(this, pool_.max_throughput()) == caf::resumable::resume_later) {
          made_ready_.push_back(actor);
        } else {
          caf::intrusive_ptr_release(actor);
        }
        give_back();
      }
      taken_.clear();
    }
  }

private:
  void give_back() {
    if (made_ready_.empty()) return;
    pool_.put(made_ready_);
    made_ready_.clear();
  }

  work_pool& pool_;
  std::vector<caf::resumable*> taken_;
  std::vector<caf::resumable*> made_ready_;
};

void work_pool::put(std::span<caf::resumable* const> ready) {
  std::unique_lock lock(mutex_);
  queue_.insert(queue_.end(), ready.begin(), ready.end());
  auto wake = std::min(sleeping_, ready.size());
  lock.unlock();
  for (; wake > 0; --wake) ready_.notify_one();
}

void work_pool::take(std::vector<caf::resumable*>& into) {
  std::unique_lock lock(mutex_);
  ++sleeping_;
  ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
  --sleeping_;
  auto share = std::clamp<std::size_t>(queue_.size() / (4 * num_workers()), 1, taken_at_once_max);
  for (share = std::min(share, queue_.size()); share > 0; --share) {
    into.push_back(queue_.front());
    queue_.pop_front();
  }
}

void work_pool::start() {
  for (std::size_t made = 0; made < num_workers(); ++made) {
    threads_.emplace_back([this] {
      system().thread_started();
      worker(*this).run();
      system().thread_terminates();
    });
  }
  threads_.emplace_back([this] {
    system().thread_started();
    clock_.run_dispatch_loop();
    system().thread_terminates();
  });
  caf::scheduler::abstract_coordinator::start();
}

void work_pool::stop() {
  stop_actors();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  ready_.notify_all();
  clock_.cancel_dispatch_loop();
  for (auto& thread : threads_) thread.join();
  std::for_each(queue_.begin(), queue_.end(), cleanup_and_release);
}

}  // namespace cairn::actors
