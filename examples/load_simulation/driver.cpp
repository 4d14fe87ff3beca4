#include "driver.hpp"

#include "product.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <numeric>
#include <variant>

namespace simulation {
namespace {

namespace asio = boost::asio;
using clock = std::chrono::steady_clock;
using stock::AddStock;
using stock::Enrol;
using stock::Product;
using stock::RemoveStock;

// A client does little but send and note, so one thread of them keeps two cores busy; on two cores a second one only gets in the
// way.
std::size_t threads_for(std::size_t clients) {
  return std::min<std::size_t>(clients, std::clamp(std::thread::hardware_concurrency() / 2, 1U, 4U));
}
constexpr std::size_t faults_told_max = 10;

}  // namespace

void tally::add(const tally& other) {
  answered += other.answered;
  accepted += other.accepted;
  failed += other.failed;
  for (const auto& [reason, times] : other.rejected) rejected[reason] += times;
  for (const auto& fault : other.faults) {
    if (faults.size() < faults_told_max) faults.push_back(fault);
  }
}

std::uint64_t tally::rejections() const {
  return std::accumulate(rejected.begin(), rejected.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& one) { return sum + one.second; });
}

std::optional<std::string> wrong_answer(const standing& book, movement_kind kind, std::int64_t count,
                                        const std::string* rejection) {
  const bool short_of_stock = kind == movement_kind::sold && book.count < count;
  if (rejection ? short_of_stock && *rejection == "insufficient_stock" : !short_of_stock) return std::nullopt;
  return std::to_string(count) + " pieces " + name_of(kind) + ", of a product with " + std::to_string(book.count) + ": " +
         (rejection ? "rejected as " + *rejection : "accepted") + ", and should have been " +
         (short_of_stock ? "rejected as insufficient_stock" : "accepted");
}

/// One thread with its context, so that its clients need no lock, and what they noted.
struct driver::worker {
  asio::io_context io{1};
  histogram latency;
  tally noted;
};

struct driver::shared {
  cairn::runtime& runtime;
  const workload& work;
  std::vector<standing>& books;
  const drive_options options;
  const stop_flag& stop;
  std::atomic<bool> failed{false};

  clock::time_point started = {};
  std::mutex mutex = {};
  std::condition_variable finished = {};
  std::size_t threads_running = 0;
  double seconds = 0;
};

class driver::client {
public:
  client(shared& all, worker& mine, std::size_t window) : all_(all), worker_(mine), window_(window) {}

  void give(std::uint32_t movement) { mine_.push_back(movement); }
  /// On the worker's thread.
  void start() {
    const auto batch = all_.options.batch;
    for (std::size_t sent = 0; sent < window_; sent += batch) {
      if (batch == 1) {
        send_next();
      } else {
        send_next_batch(std::min(batch, window_ - sent));
      }
    }
  }

private:
  using any_command = std::variant<Enrol, AddStock, RemoveStock>;

  /// A batch that is not noted yet, because it or one before it has not been answered: a product's answers are noted in the order
  /// of its movements, and batches may be answered in another.
  struct sent_batch {
    std::size_t first;  // in mine_; the others follow
    std::vector<cairn::answer<>> answers = {};
  };

  bool has_more() const {
    return next_ < mine_.size() && !all_.stop.load(std::memory_order_relaxed) && !all_.failed.load(std::memory_order_relaxed);
  }
  const movement& movement_at(std::size_t place) const { return all_.work.movements[mine_[place]]; }

  void send_next() {
    if (!has_more()) return;
    const auto& move = movement_at(next_++);
    auto [id, what, options] = command_for(move);
    std::visit(
        [&](auto& command) {
          all_.runtime.ask<Product>(
              id, std::move(command), std::move(options),
              asio::bind_executor(worker_.io.get_executor(),
                                  [this, &move, sent = clock::now()](boost::system::error_code, const cairn::answer<>& answer) {
                                    worker_.latency.record(static_cast<std::uint64_t>((clock::now() - sent).count()));
                                    note(move, answer);
                                    send_next();
                                  }));
        },
        what);
  }

  void send_next_batch(std::size_t size) {
    if (!has_more()) return;
    auto& batch = sent_.emplace_back(sent_batch{next_});
    std::vector<cairn::addressed<any_command>> commands;
    commands.reserve(size);
    while (commands.size() < size && next_ < mine_.size()) commands.push_back(command_for(movement_at(next_++)));
    all_.runtime.ask_many<Product>(
        std::move(commands), asio::bind_executor(worker_.io.get_executor(),
                                                 [this, &batch, size, sent = clock::now()](std::vector<cairn::answer<>> answers) {
                                                   const auto took = static_cast<std::uint64_t>((clock::now() - sent).count());
                                                   for (std::size_t place = 0; place < answers.size(); ++place)
                                                     worker_.latency.record(took);
                                                   batch.answers = std::move(answers);
                                                   note_batches();
                                                   send_next_batch(size);
                                                 }));
  }

  void note_batches() {
    for (; !sent_.empty() && !sent_.front().answers.empty(); sent_.pop_front()) {
      auto place = sent_.front().first;
      for (const auto& answer : sent_.front().answers) note(movement_at(place++), answer);
    }
  }

  cairn::addressed<any_command> command_for(const movement& move) const {
    const auto& id = all_.work.products[move.product];
    const auto& order = all_.work.orders[move.order];

    cairn::command_options options;
    options.command_id.append(order).append("/").append(std::to_string(move.line)).append(all_.options.run);
    options.correlation_id = order;
    options.occurred_at = move.occurred_at;

    switch (move.kind) {
    case movement_kind::opening:
      // A product that is there from an earlier run takes its opening stock as a delivery.
      if (all_.books[move.product].version == 0) return {id, Enrol{move.count}, std::move(options)};
      [[fallthrough]];
    case movement_kind::returned:
    case movement_kind::delivered: return {id, AddStock(move.count, name_of(move.kind)), std::move(options)};
    case movement_kind::sold: return {id, RemoveStock(move.count, name_of(move.kind)), std::move(options)};
    }
    return {};
  }

  void note(const movement& move, const cairn::answer<>& answer) {
    ++worker_.noted.answered;
    if (answer.failed()) {
      ++worker_.noted.failed;
      all_.failed = true;
      return tell(move, cairn::make_error_code(answer.code).message() + ": " + answer.detail);
    }
    auto& book = all_.books[move.product];
    // After a failure nobody knows what is stored, so that the books are no measure any more; the run has failed anyway.
    if (!all_.failed.load(std::memory_order_relaxed)) {
      const auto wrong = wrong_answer(book, move.kind, move.count, answer ? nullptr : &answer.rejected->code);
      if (wrong) tell(move, *wrong);
    }
    if (!answer) {
      ++worker_.noted.rejected[answer.rejected->code];
      return;
    }
    ++worker_.noted.accepted;
    book.count += move.kind == movement_kind::sold ? -move.count : move.count;
    ++book.version;
    if (answer.repeated) tell(move, "taken for a repeat of an earlier command");
    if (answer.version.value != book.version) {
      tell(move, "answered with version " + std::to_string(answer.version.value) + ", and version " +
                     std::to_string(book.version) + " is next");
    }
  }

  void tell(const movement& move, const std::string& what) {
    if (worker_.noted.faults.size() < faults_told_max) {
      worker_.noted.faults.push_back("product " + all_.work.products[move.product] + ", order " + all_.work.orders[move.order] +
                                     ": " + what);
    }
  }

  shared& all_;
  worker& worker_;
  const std::size_t window_;
  std::vector<std::uint32_t> mine_;  // in workload::movements
  std::size_t next_ = 0;
  std::deque<sent_batch> sent_;  // in the order in which they were sent
};

driver::driver(cairn::runtime& runtime, const workload& work, std::vector<standing>& books, const drive_options& options,
               const stop_flag& stop)
    : shared_(new shared{runtime, work, books, options, stop}) {
  for (std::size_t made = 0; made < threads_for(options.clients); ++made) workers_.push_back(std::make_unique<worker>());
  for (std::size_t made = 0; made < options.clients; ++made) {
    const auto window = options.in_flight / options.clients + (made < options.in_flight % options.clients ? 1 : 0);
    clients_.push_back(std::make_unique<client>(*shared_, *workers_[made % workers_.size()], window));
  }
  // The busiest products first, each to the client that has least to do: a hash would leave some clients working alone at the
  // end.
  std::vector<std::uint64_t> busy(work.products.size());
  for (const auto& move : work.movements) ++busy[move.product];
  std::vector<std::uint32_t> by_business(busy.size());
  std::iota(by_business.begin(), by_business.end(), 0U);
  std::stable_sort(by_business.begin(), by_business.end(), [&](auto left, auto right) { return busy[left] > busy[right]; });
  using load = std::pair<std::uint64_t, std::size_t>;  // movements, client
  std::vector<load> loads;
  for (std::size_t number = 0; number < clients_.size(); ++number) loads.emplace_back(0, number);
  std::vector<std::size_t> client_of(busy.size());
  for (const auto product : by_business) {
    std::pop_heap(loads.begin(), loads.end(), std::greater<>());
    client_of[product] = loads.back().second;
    loads.back().first += busy[product];
    std::push_heap(loads.begin(), loads.end(), std::greater<>());
  }
  for (std::uint32_t move = 0; move < work.movements.size(); ++move)
    clients_[client_of[work.movements[move].product]]->give(move);
}

driver::~driver() {
  for (auto& thread : threads_) thread.join();
}

void driver::start() {
  for (std::size_t number = 0; number < clients_.size(); ++number) {
    asio::post(workers_[number % workers_.size()]->io, [&one = *clients_[number]] { one.start(); });
  }
  shared_->threads_running = workers_.size();
  shared_->started = clock::now();
  for (const auto& one : workers_) {
    threads_.emplace_back([all = shared_.get(), io = &one->io] {
      io->run();  // until there is nothing left to wait for
      std::lock_guard lock(all->mutex);
      all->seconds = std::chrono::duration<double>(clock::now() - all->started).count();
      if (--all->threads_running == 0) all->finished.notify_all();
    });
  }
}

bool driver::finished_within(std::chrono::milliseconds time) {
  std::unique_lock lock(shared_->mutex);
  return shared_->finished.wait_for(lock, time, [&] { return shared_->threads_running == 0; });
}

histogram driver::latency() const {
  histogram all;
  for (const auto& one : workers_) all.add(one->latency);
  return all;
}

tally driver::result() const {
  tally all;
  for (const auto& one : workers_) all.add(one->noted);
  return all;
}

double driver::seconds() const { return shared_->seconds; }

}  // namespace simulation
