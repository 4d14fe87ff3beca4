#include "work_pool.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace cairn::inline v1::actors {
namespace {

// A worker takes a small share of a long queue, and of a short one a single actor.
constexpr std::size_t taken_at_once_max = 8;
constexpr std::size_t given_back_at_once_max = 32;

}  // namespace

class work_pool::worker final : public caf::execution_unit {
public:
  worker(work_pool& pool, ready_queue& own) : caf::execution_unit(&pool.system()), pool_(pool), own_(own) {}

  ready_queue& own() { return own_; }

  // By an actor in its turn on this thread. What comes later in that turn may take long, so nobody sleeps meanwhile.
  void exec_later(caf::resumable* ready) override {
    made_ready_.push_back(ready);
    if (made_ready_.size() >= given_back_at_once_max || pool_.sleeping_.load(std::memory_order_relaxed) > 0) give_back();
  }

  /// The next of those that were taken. By this thread, or by another that holds the pool's lock.
  caf::resumable* next_taken() {
    auto left = left_.load(std::memory_order_acquire);
    while (left > 0) {
      auto* const next = taken_[left - 1];
      if (left_.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel)) return next;
    }
    return nullptr;
  }

  /// Takes some off the front of a queue. By this thread, with the pool's lock, when next_taken() has nothing.
  void take_from(ready_queue& queue, std::size_t share) {
    for (auto place = share; place > 0; --place) {
      taken_[place - 1] = queue.front();
      queue.pop_front();
    }
    left_.store(static_cast<std::uint32_t>(share), std::memory_order_release);
  }

  void take_stolen(caf::resumable* stolen) {
    taken_[0] = stolen;
    left_.store(1, std::memory_order_release);
  }

  void run() {
    while (pool_.take(*this)) {
      while (auto* const actor = next_taken()) {
        if (actor->resume(this, pool_.max_throughput()) == caf::resumable::resume_later) {
          pool_.enqueue(actor);  // behind all others
        } else {
          caf::intrusive_ptr_release(actor);
        }
        give_back();
      }
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
  // The next one last. Filled by this worker alone, with the pool's lock and when nothing is left: whoever takes one holds that
  // lock as well, or is this worker.
  std::array<caf::resumable*, taken_at_once_max> taken_{};
  std::atomic<std::uint32_t> left_ = 0;
  std::vector<caf::resumable*> made_ready_;
};

work_pool::work_pool(caf::actor_system& system) : caf::scheduler::abstract_coordinator(system) {}
work_pool::~work_pool() = default;

void work_pool::put(std::span<caf::resumable* const> ready, ready_queue& into) {
  std::unique_lock lock(mutex_);
  into.insert(into.end(), ready.begin(), ready.end());
  auto wake = std::min(sleeping_.load(), ready.size());
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

caf::resumable* work_pool::steal() {
  for (const auto& from : workers_) {
    if (auto* const taken = from->next_taken()) return taken;
  }
  return nullptr;
}

bool work_pool::take(worker& into) {
  std::unique_lock lock(mutex_);
  ready_queue* from = nullptr;
  caf::resumable* stolen = nullptr;
  const auto is_something_to_do = [&] {
    from = next_queue(into.own());
    if (!from) stolen = steal();
    return from || stolen;
  };
  if (!is_something_to_do()) {
    ++sleeping_;
    ready_.wait(lock, [&] { return is_something_to_do() || stopping_; });
    --sleeping_;
  }
  if (stolen) {
    into.take_stolen(stolen);
  } else if (from) {
    into.take_from(*from, std::clamp<std::size_t>(from->size() / (4 * num_workers()), 1, taken_at_once_max));
  }
  return from || stolen;
}

void work_pool::start() {
  own_.resize(num_workers());
  for (auto& own : own_) workers_.push_back(std::make_unique<worker>(*this, own));
  for (const auto& one : workers_) {
    threads_.emplace_back([this, &runs = *one] {
      system().thread_started();
      runs.run();
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
