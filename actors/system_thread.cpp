#include <cairn/actors/system_thread.hpp>

#include <caf/logger.hpp>
#include <caf/thread_hook.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <future>

namespace cairn::actors {

class system_thread::thread_list {
public:
  void add() {
    const std::lock_guard lock(mutex_);
    ids_.push_back(std::this_thread::get_id());
  }
  void remove() {
    const std::lock_guard lock(mutex_);
    std::erase(ids_, std::this_thread::get_id());
  }
  bool has_this_thread() const {
    const std::lock_guard lock(mutex_);
    return std::find(ids_.begin(), ids_.end(), std::this_thread::get_id()) != ids_.end();
  }

private:
  mutable std::mutex mutex_;
  std::vector<std::thread::id> ids_;
};

namespace {

template <class ThreadList>
class list_threads final : public caf::thread_hook {
public:
  explicit list_threads(std::shared_ptr<ThreadList> threads) : threads_(std::move(threads)) {}
  void init(caf::actor_system&) override {}
  void thread_started() override { threads_->add(); }
  void thread_terminates() override { threads_->remove(); }

private:
  std::shared_ptr<ThreadList> threads_;
};

}  // namespace

system_thread::system_thread(caf::actor_system_config& config, const std::function<void(caf::actor_system&)>& set_up)
    : threads_(std::make_shared<thread_list>()) {
  config.add_thread_hook<list_threads<thread_list>>(threads_);
  std::promise<caf::actor_system*> made;
  auto started = made.get_future();
  thread_ = std::thread([this, &config, &set_up, made = std::move(made)]() mutable {
    try {
      caf::actor_system system(config);
      set_up(system);
      made.set_value(&system);
      end_.wait();
    } catch (...) { made.set_exception(std::current_exception()); }
  });
  try {
    system_ = started.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

system_thread::~system_thread() {
  end_.count_down();
  thread_.join();
}

bool system_thread::runs_this_thread() const { return threads_->has_this_thread(); }

}  // namespace cairn::actors
