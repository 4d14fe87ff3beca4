// Where a command is between the moment when it is due and the moment when its client is told.
//
// Watched from outside: by the client, by the aggregate's decide, by a journal that stands before the store, and by the handler's
// executor. The runtime knows nothing of it. One command in 64 is watched.
#pragma once

#include "measure.hpp"
#include "product.hpp"

#include <cairn/runtime.hpp>
#include <cairn/testkit/forwarding_journal.hpp>

#include <boost/asio/io_context.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace cairn::benchmarks {

/// When one command was where.
struct waypoints {
  steady::time_point due;
  steady::time_point asked;
  steady::time_point decided;
  steady::time_point handed_over;  ///< to the executor of its handler
  steady::time_point told;
  std::size_t product = 0;
  version made;  ///< the version that its event made
};

/// Adds stock, and notes when that is decided.
struct watched_add : stock::AddStock {
  using stock::AddStock::AddStock;
  waypoints* watched = nullptr;  ///< may be null
};

/// A product that takes watched commands too.
struct watched_product : stock::Product {
  using stock::Product::decide;
  Decision decide(const watched_add& add) const {
    if (add.watched) add.watched->decided = steady::now();
    return stock::Product::decide(add);
  }
};

/// Notes when each commit began and ended, and what was in it. Of aggregates whose ids are numbers.
class watching_journal final : public testkit::forwarding_journal {
public:
  using forwarding_journal::forwarding_journal;

  struct commit {
    steady::time_point began;
    steady::time_point ended;
  };

  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override;

  /// Forgets what it has noted, and begins to note.
  void begin(std::size_t events_expected);
  void end();
  /// The commit that has this version of a product, and was noted. Between end() and begin().
  const commit& commit_of(std::size_t product, version made) const;

private:
  struct entry {
    std::uint32_t product;
    std::uint32_t commit;
    std::uint64_t last;  // version

    std::pair<std::size_t, std::uint64_t> key() const { return {product, last}; }
  };
  std::atomic<bool> watches_{false};
  std::mutex mutex_;  // of what follows, while it watches
  std::vector<commit> commits_;
  std::vector<entry> entries_;  // one for each addition
};

/// Posts to an io_context, and notes when. For one handler.
class noting_executor {
public:
  noting_executor(boost::asio::io_context& context, waypoints& watched) : context_(&context), watched_(&watched) {}

  boost::asio::io_context& context() const noexcept { return *context_; }
  void on_work_started() const noexcept { context_->get_executor().on_work_started(); }
  void on_work_finished() const noexcept { context_->get_executor().on_work_finished(); }
  template <class Function, class Allocator>
  void post(Function&& function, const Allocator& allocator) const {
    watched_->handed_over = steady::now();
    context_->get_executor().post(std::forward<Function>(function), allocator);
  }
  template <class Function, class Allocator>
  void dispatch(Function&& function, const Allocator& allocator) const {
    context_->get_executor().dispatch(std::forward<Function>(function), allocator);
  }
  template <class Function, class Allocator>
  void defer(Function&& function, const Allocator& allocator) const {
    post(std::forward<Function>(function), allocator);
  }
  bool operator==(const noting_executor& other) const noexcept = default;

private:
  boost::asio::io_context* context_;
  waypoints* watched_;
};

/// The parts of a command's way, in order.
enum class part : std::uint8_t {
  client,    ///< it is due, and the client does something else
  mailbox,   ///< asked and not decided: for a place, in the directory, in the mailbox, for a worker
  inbox,     ///< decided, and the journal is still at the commit before
  commit,    ///< written and synced
  hand_out,  ///< durable, and those before it in the commit are answered first
  handler,   ///< the client does something else
};
inline constexpr std::size_t parts = 6;
inline constexpr std::array<const char*, parts> part_names{"client", "mailbox", "inbox", "commit", "hand-out", "handler"};
/// How long each part took, in seconds.
using part_times = std::array<double, parts>;

/// Of one command, with the commit that has its event.
part_times times_of(const waypoints& one, const watching_journal::commit& commit);
/// The mean of each part over that share of the commands that took longest.
part_times means_of_slowest(std::vector<part_times> commands, double share);

}  // namespace cairn::benchmarks
