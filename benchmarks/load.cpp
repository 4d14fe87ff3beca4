#include "load.hpp"

#include "product.hpp"
#include "store.hpp"

#include "../actors/engine.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/subscription.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <exception>
#include <functional>
#include <thread>

namespace cairn::benchmarks {

namespace asio = boost::asio;

const std::string reason = "a delivery from the warehouse in the north, as ordered";

namespace {

std::shared_ptr<journal> open_journal(const std::filesystem::path& folder, const load& what,
                                      const std::vector<std::string>& ids) {
  if (what.into == storing::nothing) return memory_journal();
  std::shared_ptr<journal> store = what.into == storing::unchained ? open_unchained(folder) : open_store(folder);
  append_histories(*store, ids, what.history_events);
  return store;
}

detail::engine_factory engine_for(storing into) {
  if (into != storing::nothing) return actors::threaded_engine;
  // The runtime wants a journal; its actors do not get to see it.
  return [](actors::engine_parts parts) {
    parts.store = nullptr;
    return actors::threaded_engine(std::move(parts));
  };
}

}  // namespace

void require_success(const boost::system::error_code& failed, const answer<>& answer) {
  if (!failed && answer) return;
  std::fprintf(stderr, "a command failed: %s %s\n", failed.message().c_str(), answer.detail.c_str());
  std::abort();
}

std::vector<std::string> ids_of(std::size_t products) {
  std::vector<std::string> ids;
  for (std::size_t product = 0; product < products; ++product) ids.push_back(std::to_string(product));
  return ids;
}

void enrol_all(runtime& runtime, const std::vector<std::string>& ids) {
  constexpr std::size_t at_once = 50'000;
  asio::io_context io{1};
  for (std::size_t place = 0; place < ids.size();) {
    stop_if_interrupted();
    for (const auto end = std::min(ids.size(), place + at_once); place < end; ++place) {
      runtime.ask<watched_product>(ids[place], stock::Enrol{}, asio::bind_executor(io, require_success));
    }
    io.run();
    io.restart();
  }
}

void look_at_all(runtime& runtime, const std::vector<std::string>& ids) {
  asio::io_context io{1};
  for (const auto& id : ids) {
    runtime.state<watched_product>(
        id, asio::bind_executor(io, [](const boost::system::error_code& failed, const versioned<watched_product>& seen) {
          if (!failed && seen.state.enrolled) return;
          std::fprintf(stderr, "a product did not come back: %s %s\n", failed.message().c_str(), seen.detail.c_str());
          std::abort();
        }));
  }
  io.run();
}

/// Which product is next. The order is made beforehand, so that an uneven one costs the client no more than an even one.
class pipeline::product_order {
public:
  product_order(std::size_t products, double zipf) : order_(std::size_t{1} << 20) {
    std::vector<double> share(products);
    double sum = 0;
    for (std::size_t product = 0; product < products; ++product) {
      share[product] = sum += std::pow(static_cast<double>(product + 1), -zipf);
    }
    number_generator numbers;
    constexpr std::uint64_t fine = std::uint64_t{1} << 31;
    for (auto& next : order_) {
      const auto at = sum * static_cast<double>(numbers.below(fine)) / static_cast<double>(fine);
      const auto found = std::upper_bound(share.begin(), share.end() - 1, at) - share.begin();
      next = static_cast<std::uint32_t>(found);
    }
  }

  std::size_t next() { return order_[place_.fetch_add(1, std::memory_order_relaxed) % order_.size()]; }
  /// How often next() was called.
  std::size_t asked() const { return place_.load(std::memory_order_relaxed); }

private:
  std::vector<std::uint32_t> order_;
  std::atomic<std::size_t> place_{0};
};

constexpr std::size_t batch_size = 64;

/// Each slot of the window always has one command, or one batch, on its way.
class pipeline::closed_loop {
public:
  closed_loop(runtime& runtime, const load& what, const std::vector<std::string>& ids, product_order& order)
      : runtime_(runtime), ids_(ids), order_(order), with_ids_(what.with_ids), io_(what.client_threads) {
    const bool batches = what.by == client::batches_for_one || what.by == client::batches_for_many;
    const auto slots = batches ? std::max<std::size_t>(1, what.in_flight / batch_size) : what.in_flight;
    for (std::size_t slot = 0; slot < slots; ++slot) {
      if (what.by == client::callbacks_and_looks && slot % 2 != 0) {
        look();
      } else if (what.by == client::callbacks || what.by == client::callbacks_and_looks) {
        ask();
      } else if (batches) {
        ask_many(what.by == client::batches_for_one);
      } else {
        asio::co_spawn(io_, ask_again_and_again(), [](const std::exception_ptr& failed) {
          if (failed) std::rethrow_exception(failed);
        });
      }
    }
    for (int thread = 0; thread < what.client_threads; ++thread) {
      threads_.emplace_back([this] { io_.run(); });
    }
  }
  ~closed_loop() {
    stop_.store(true);
    for (auto& thread : threads_) thread.join();
  }
  closed_loop(const closed_loop&) = delete;
  closed_loop& operator=(const closed_loop&) = delete;

  std::uint64_t answered() const { return answered_.load(std::memory_order_relaxed); }

private:
  void ask() {
    runtime_.ask<watched_product>(
        ids_[order_.next()], watched_add(1, reason), options_of_next(),
        asio::bind_executor(io_, [this](const boost::system::error_code& failed, const answer<>& answer) {
          require_success(failed, answer);
          answered_.fetch_add(1, std::memory_order_relaxed);
          if (!stop_.load(std::memory_order_relaxed)) ask();
        }));
  }

  void look() {
    runtime_.state<watched_product>(ids_[order_.next()], asio::bind_executor(io_, [this](const boost::system::error_code& failed,
                                                                                         const versioned<watched_product>& seen) {
                                      if (failed)
                                        require_success(failed, {.version = seen.version, .rejected = {}, .detail = seen.detail});
                                      answered_.fetch_add(1, std::memory_order_relaxed);
                                      if (!stop_.load(std::memory_order_relaxed)) look();
                                    }));
  }

  command_options options_of_next() {
    if (!with_ids_) return {};
    const auto number = std::to_string(order_.asked());  // one client thread, so none twice
    return {.command_id = "order-" + number, .correlation_id = "day-17", .causation_id = "cart-" + number, .principal = "till-4"};
  }

  void ask_many(bool for_one) {
    std::vector<addressed<watched_add>> batch;
    batch.reserve(batch_size);
    auto product = order_.next();
    for (std::size_t place = 0; place < batch_size; ++place) {
      batch.push_back({ids_[product], watched_add(1, reason)});
      if (!for_one) product = order_.next();
    }
    runtime_.ask_many<watched_product>(std::move(batch),
                                       asio::bind_executor(io_, [this, for_one](const std::vector<answer<>>& answers) {
                                         for (const auto& answer : answers) require_success(make_asio_code(answer.code), answer);
                                         answered_.fetch_add(answers.size(), std::memory_order_relaxed);
                                         if (!stop_.load(std::memory_order_relaxed)) ask_many(for_one);
                                       }));
  }

  asio::awaitable<void> ask_again_and_again() {
    while (!stop_.load(std::memory_order_relaxed)) {
      const auto answer =
          co_await runtime_.ask<watched_product>(ids_[order_.next()], watched_add(1, reason), asio::use_awaitable);
      require_success({}, answer);
      answered_.fetch_add(1, std::memory_order_relaxed);
    }
  }

  runtime& runtime_;
  const std::vector<std::string>& ids_;
  product_order& order_;
  const bool with_ids_;
  asio::io_context io_;
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

/// Subscriptions to everything that is stored from now on: those that keep up on one thread, and slow ones.
class pipeline::followers {
public:
  followers(runtime& of, const load& what) : runtime_(of), work_(io_.get_executor()) {
    for (int number = 0; number < what.subscribers; ++number) follow(fast_.emplace_back(of));
    for (int number = 0; number < what.slow_subscribers; ++number) take_slowly(slow_.emplace_back(of, io_));
    if (what.subscribers + what.slow_subscribers > 0) thread_ = std::thread([this] { io_.run(); });
  }
  ~followers() {
    if (!thread_.joinable()) return;
    asio::post(io_, [this] {
      ending_ = true;
      for (auto& one : fast_) one.records.cancel();
      for (auto& one : slow_) one.records.cancel();
      work_.reset();
    });
    thread_.join();
  }

  /// To all that keep up.
  std::uint64_t delivered() const noexcept { return delivered_.load(std::memory_order_relaxed); }
  std::uint64_t lag() const noexcept {
    std::uint64_t most = 0;
    for (const auto& one : fast_)
      most = std::max(most, runtime_.head().value - std::min(runtime_.head().value, one.through.load()));
    return most;
  }

private:
  struct fast_subscriber {
    explicit fast_subscriber(runtime& of) : records(of.subscribe({.after = of.head()})), through(of.head().value) {}
    subscription records;
    std::atomic<std::uint64_t> through;
  };
  struct slow_subscriber {
    slow_subscriber(runtime& of, asio::io_context& io)
        : records(of.subscribe({.after = of.head(), .batch_records_max = 1})), pause(io) {}
    subscription records;
    asio::steady_timer pause;
  };

  void follow(fast_subscriber& one) {
    one.records.next_batch(
        asio::bind_executor(io_, [this, &one](boost::system::error_code failed, const cairn::record_batch& batch) {
          if (failed) return;
          delivered_.fetch_add(batch.size(), std::memory_order_relaxed);
          one.through = batch.through.value;
          if (!ending_) follow(one);
        }));
  }
  void take_slowly(slow_subscriber& one) {
    one.records.next(asio::bind_executor(io_, [this, &one](boost::system::error_code failed, const received_record&) {
      if (failed) return;
      one.pause.expires_after(std::chrono::milliseconds{1});
      one.pause.async_wait([this, &one](boost::system::error_code) {
        if (!ending_) take_slowly(one);
      });
    }));
  }

  runtime& runtime_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::deque<fast_subscriber> fast_;
  std::deque<slow_subscriber> slow_;
  std::atomic<std::uint64_t> delivered_{0};
  bool ending_ = false;  // on the thread
  std::thread thread_;
};

pipeline::pipeline(const load& what) : pipeline(what, std::make_unique<temporary_folder>(), nullptr, ids_of(what.products)) {
  if (what.history_events == 0) {
    enrol_all(runtime_, ids_);
  } else {
    look_at_all(runtime_, ids_);
  }
}

pipeline::pipeline(const load& what, std::shared_ptr<journal> store, std::vector<std::string> ids)
    : pipeline(what, nullptr, std::move(store), std::move(ids)) {
  look_at_all(runtime_, ids_);
}

pipeline::pipeline(const load& what, std::unique_ptr<temporary_folder> folder, std::shared_ptr<journal> store,
                   std::vector<std::string> ids)
    : what_(what), folder_(std::move(folder)), ids_(std::move(ids)),
      order_(std::make_unique<product_order>(ids_.size(), what.zipf)),
      journal_(std::make_shared<watching_journal>(store ? std::move(store) : open_journal(folder_->path(), what, ids_))),
      runtime_{{.journal = journal_,
                .bounds = {.snapshot_every_events = what.snapshot_every_events,
                           .live_aggregates_max = std::max(runtime_bounds{}.live_aggregates_max, 2 * ids_.size())}},
               engine_for(what.into)} {}

void pipeline::warm_up() {
  if (std::exchange(warm_, true) || what_.into == storing::nothing) return;
  const closed_loop loop(runtime_, what_, ids_, *order_);
  while (loop.answered() * record_bytes < what_.warm_up_bytes) pause_for(0.01);
}

pipeline::~pipeline() { runtime_.drain(drain_snapshots::no, blocking); }

double pipeline::run(double seconds) {
  warm_up();
  const followers following(runtime_, what_);
  const closed_loop loop(runtime_, what_, ids_, *order_);
  pause_for(seconds / 4);
  const auto delivered = following.delivered();
  const auto before = runtime_.statistics();
  const auto answered = loop.answered();
  standstill_watch watch;
  const auto cpu = cpu_seconds();
  const auto start = steady::now();
  pause_for(seconds);
  const auto commands = static_cast<double>(loop.answered() - answered);
  const auto took = seconds_since(start);
  commands_ += commands;
  seconds_ += took;
  cpu_seconds_ += cpu_seconds() - cpu;
  const auto after = runtime_.statistics();
  delivered_ += following.delivered() - delivered;
  lag_ = std::max(lag_, following.lag());
  commits_ += after.commits - before.commits;
  events_ += after.events - before.events;
  snapshots_ += after.snapshots_saved - before.snapshots_saved;
  const auto stood_still = watch.end();
  if (!stood_still) standstill_seconds_.reset();
  if (standstill_seconds_) *standstill_seconds_ += standstills::seconds(stood_still->all);
  return commands / took;
}

load_figures pipeline::figures() const {
  load_figures found{commands_ / seconds_,
                     1e6 * cpu_seconds_ / commands_,
                     commits_ == 0 ? 0 : static_cast<double>(events_) / static_cast<double>(commits_),
                     static_cast<double>(snapshots_),
                     0,
                     0,
                     std::nullopt};
  if (what_.subscribers > 0) found.delivered = static_cast<double>(delivered_) / what_.subscribers / commands_;
  found.lag = static_cast<double>(lag_);
  if (standstill_seconds_) found.standstill_share = *standstill_seconds_ / seconds_;
  return found;
}

load_figures run(const load& what, double seconds) {
  pipeline alone(what);
  alone.run(seconds);
  return alone.figures();
}

/// Commands at an even pace, however long the answers take.
class pipeline::open_loop {
public:
  open_loop(pipeline& asked, double commands_per_second, double seconds)
      : asked_(asked), apart_(duration_of(1 / commands_per_second)), due_(steady::now()),
        measured_from_(due_ + duration_of(seconds / 4)), end_(measured_from_ + duration_of(seconds)) {
    const auto commands = static_cast<std::size_t>(1.25 * seconds * commands_per_second) + 1;
    answered_.reserve(commands);
    watched_.reserve(commands / watched_one_in + 1);
    asked_.journal_->begin(commands);
  }

  latencies run() {
    const auto start = due_;
    standstill_watch watch;
    ask_what_is_due();
    io_.run();
    stop_if_interrupted();
    const auto seconds = seconds_since(start);
    const auto stood_still = watch.end();
    if (stood_still) {
      found_.standstill_share = standstills::seconds(stood_still->all) / seconds;
      found_.core_standstill_share = standstills::seconds(stood_still->any) / seconds;
    }
    for (const auto& [due, told] : answered_) {
      found_.all.push_back(std::chrono::duration<double>(told - due).count());
      if (!stood_still || !standstills::overlap(stood_still->any, due, told)) found_.undisturbed.push_back(found_.all.back());
    }
    asked_.journal_->end();
    for (const auto& one : watched_) {
      if (one.due < measured_from_) continue;
      found_.watched.push_back(times_of(one, asked_.journal_->commit_of(one.product, one.made)));
    }
    return std::move(found_);
  }

private:
  static constexpr std::size_t watched_one_in = 64;
  // What falls due within a step is asked at its end. With steps of 50 µs the timer took a tenth of all processor time.
  static constexpr std::chrono::microseconds step{200};

  static steady::duration duration_of(double seconds) {
    return std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(seconds));
  }

  void ask_what_is_due() {
    const auto now = steady::now();
    for (; due_ <= now && due_ < end_; due_ += apart_) {
      if (++count_ % watched_one_in == 0) {
        ask_watched();
      } else {
        ask();
      }
    }
    if (due_ >= end_ || is_interrupted()) return;
    timer_.expires_at(std::max(due_, now + step));
    timer_.async_wait([this](const boost::system::error_code&) { ask_what_is_due(); });
  }

  void ask() {
    asked_.runtime_.ask<watched_product>(
        asked_.ids_[asked_.order_->next()], watched_add(1, reason), patient_,
        asio::bind_executor(io_, [this, due = due_](const boost::system::error_code& failed, const answer<>& answer) {
          require_success(failed, answer);
          note(due);
        }));
  }

  void ask_watched() {
    auto& way = watched_.emplace_back();
    way.product = asked_.order_->next();
    way.due = due_;
    way.asked = steady::now();
    watched_add add(1, reason);
    add.watched = &way;
    asked_.runtime_.ask<watched_product>(
        asked_.ids_[way.product], std::move(add), patient_,
        asio::bind_executor(noting_executor(io_, way),
                            [this, &way](const boost::system::error_code& failed, const answer<>& answer) {
                              way.told = steady::now();
                              require_success(failed, answer);
                              way.made = answer.version;
                              note(way.due);
                            }));
  }

  void note(steady::time_point due) {
    if (due >= measured_from_) answered_.emplace_back(due, steady::now());
  }

  pipeline& asked_;
  const steady::duration apart_;
  steady::time_point due_;
  const steady::time_point measured_from_;
  const steady::time_point end_;
  const command_options patient_{.when_full = when_full::wait};
  std::size_t count_ = 0;
  latencies found_;
  std::vector<std::pair<steady::time_point, steady::time_point>> answered_;  // when each was due, and when its client was told
  std::vector<waypoints> watched_;                                           // with room for all, as they are referred to
  asio::io_context io_{1};
  asio::steady_timer timer_{io_};
};

latencies pipeline::latencies_at(double commands_per_second, double seconds) {
  warm_up();
  return open_loop(*this, commands_per_second, seconds).run();
}

latencies pipeline::latencies_beside(const load& others, double commands_per_second, double seconds) {
  warm_up();
  product_order order(others.products, others.zipf);
  open_loop measured(*this, commands_per_second, seconds);
  const closed_loop loop(runtime_, others, ids_, order);
  return measured.run();
}

}  // namespace cairn::benchmarks
