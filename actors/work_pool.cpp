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
  worker(work_pool& pool, ready_queue& own) : caf::execution_unit(&pool.system()), pool_(pool), own_(own) {}

  // By an actor in its turn on this thread.
  void exec_later(caf::resumable* ready) override {
    made_ready_.push_back(ready);
    if (made_ready_.size() >= given_back_at_once_max) give_back();
  }

  void run() {
    for (pool_.take(own_, taken_); !taken_.empty(); pool_.take(own_, taken_)) {
      for (auto* actor : taken_) {
        if (actor->resume(this, pool_.max_throughput()) == caf::resumable::resume_later) {
          pool_.enqueue(actor);  // behind all others
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
    pool_.put(made_ready_, own_);
    made_ready_.clear();
  }

  work_pool& pool_;
  ready_queue& own_;
  std::vector<caf::resumable*> taken_;
  std::vector<caf::resumable*> made_ready_;
};

void work_pool::put(std::span<caf::resumable* const> ready, ready_queue& into) {
  std::unique_lock lock(mutex_);
  into.insert(into.end(), ready.begin(), ready.end());
  auto wake = std::min(sleeping_, ready.size());
  lock.unlock();
  for (; wake > 0; --wake) ready_.notify_one();
}

work_pool::ready_queue* work_pool::next_queue(ready_queue& own) {
  if (!own.empty()) return &own;
  if (!shared_.empty()) return &shared_;
  const auto longest = std::max_element(
      own_.begin(), own_.end(), [](const ready_queue& one, const ready_queue& other) { return one.size() < other.size(); });
  return longest->empty() ? nullptr : &*longest;
}

void work_pool::take(ready_queue& own, std::vector<caf::resumable*>& into) {
  std::unique_lock lock(mutex_);
  ready_queue* from = nullptr;
  ++sleeping_;
  ready_.wait(lock, [&] { return (from = next_queue(own)) != nullptr || stopping_; });
  --sleeping_;
  if (!from) return;
  auto share = std::clamp<std::size_t>(from->size() / (4 * num_workers()), 1, taken_at_once_max);
  for (; share > 0; --share) {
    into.push_back(from->front());
    from->pop_front();
  }
}

void work_pool::start() {
  own_.resize(num_workers());
  for (auto& own : own_) {
    threads_.emplace_back([this, &own] {
      system().thread_started();
      worker(*this, own).run();
      system().thread_terminates();
    });
  }
  clock_thread_ = std::thread([this] {
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
  for (auto& thread : threads_) thread.join();
  clock_.cancel_dispatch_loop();
  clock_thread_.join();
  // Each worker went on until nothing was ready; what others made ready since then has nobody to run it.
  while (auto* left = next_queue(shared_)) {
    cleanup_and_release(left->front());
    left->pop_front();
  }
}

}  // namespace cairn::actors
