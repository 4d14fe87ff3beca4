#include "system_thread.hpp"

#include <caf/thread_hook.hpp>

#include <future>

namespace cairn::inline v1::actors {
namespace {

thread_local const system_thread* runs_it = nullptr;  // the system that started this thread

// CAF calls it on each thread that the system starts.
class mark_thread final : public caf::thread_hook {
public:
  explicit mark_thread(const system_thread* system) : system_(system) {}
  void init(caf::actor_system&) override {}
  void thread_started() override { runs_it = system_; }
  void thread_terminates() override { runs_it = nullptr; }

private:
  const system_thread* system_;
};

}  // namespace

system_thread::system_thread(caf::actor_system_config& config, const std::function<void(caf::actor_system&)>& set_up) {
  config.add_thread_hook<mark_thread>(this);
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

bool system_thread::runs_this_thread() const noexcept { return runs_it == this; }
bool system_thread::any_runs_this_thread() noexcept { return runs_it != nullptr; }

}  // namespace cairn::actors
