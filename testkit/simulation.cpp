// The world of one seed: clients, a process with the real runtime in it, a disk, time, and what goes wrong with each.
#include <cairn/runtime.hpp>
#include <cairn/subscription.hpp>
#include <cairn/testkit/detail/last_words.hpp>
#include <cairn/testkit/detail/simulation_core.hpp>
#include <cairn/testkit/history.hpp>

#include "simulated_storage.hpp"
#include "stepped_engine.hpp"

#include <boost/asio/io_context.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>
#include <stdexcept>
#include <utility>

namespace cairn::inline v1::testkit {
namespace detail {
namespace {

using std::chrono::microseconds;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;

constexpr std::size_t trace_lines_max = 100'000;  // of one run
constexpr std::uint64_t messages_max = 500'000;   // of one run; none comes near it
constexpr microseconds calm_max = 10min;          // until all is answered once nothing fails any more
constexpr microseconds drain_max = 30min;         // of one drain, on a disk of which every write may take seconds
constexpr microseconds silence_max = 10min;       // without a call or an answer: clients rest for a minute at most
constexpr microseconds mourning = 10s;            // commands may be lost with an aggregate that was killed so long ago
constexpr std::uint64_t attempts_max = 12;        // of one operation, as long as things fail

// How large a run is, and how tight its bounds are.
struct shape {
  explicit shape(random& chance) {
    clients = static_cast<std::size_t>(chance.between(2, 16));
    aggregates = static_cast<std::size_t>(chance.between(1, 8));
    operations = static_cast<std::uint64_t>(chance.between(50, 500));
    bounds.snapshot_every_events = static_cast<std::uint64_t>(chance.between(0, 20));
    bounds.deduplication_window_size = operations + 1;  // clients repeat within the window
    bounds.recovery_queue_max = static_cast<std::size_t>(chance.between(2, 50));
    bounds.batch_appends_max = static_cast<std::size_t>(chance.between(1, 20));
    bounds.live_aggregates_max = static_cast<std::size_t>(chance.between(1, 12));
    bounds.directories = static_cast<std::size_t>(chance.between(1, 3));
    bounds.recoveries_at_once_max = static_cast<std::size_t>(chance.between(1, 3));
    bounds.passivate_after = std::chrono::milliseconds(chance.between(0, 1) == 0 ? 0 : chance.between(10, 20'000));
    bounds.recovery_retry_min = 10ms;
    bounds.recovery_retry_max = 1'000ms;
    in_flight_max = static_cast<std::size_t>(chance.chance(0.3) ? chance.between(1, 5) : 1'000);
    waiting_max = static_cast<std::size_t>(chance.chance(0.3) ? chance.between(0, 5) : 1'000);
    pause_max = chance.duration(100us, 60s);
    ways = chance.chance(0.5) ? actors::threading::scheduled_with_inboxes : actors::threading::scheduled;
  }

  std::size_t clients;
  std::size_t aggregates;
  std::uint64_t operations;
  runtime_bounds bounds;
  std::size_t in_flight_max;
  std::size_t waiting_max;
  microseconds pause_max;
  actors::threading ways;  // that commands, appends and readings go: those of threads, or all by message
};

// What an attempt's answer says of whether it happened.
enum class certainty { answered, did_not, unknown };

certainty certainty_of(const client_answer& answer) {
  const auto code = answer.code;
  if (code == errc{} || code == errc::version_conflict) return certainty::answered;
  const bool unknown = code == errc::timed_out || code == errc::journal_unavailable || code == errc::abandoned;
  return unknown ? certainty::unknown : certainty::did_not;
}

// Errors that pass: the same command may do better a little later.
bool may_pass(errc code) {
  return code == errc::overloaded || code == errc::draining || code == errc::deadline_passed || code == errc::timed_out ||
         code == errc::journal_unavailable || code == errc::abandoned;
}

std::string text_of(const client_answer& answer) {
  if (answer.code != errc{}) return make_error_code(answer.code).message();
  if (answer.rejected) return "rejected, " + *answer.rejected;
  return (answer.repeated ? "again version " : "version ") + std::to_string(answer.version.value);
}

std::string kind_of_answer(const client_operation& what, const client_answer& answer) {
  if (answer.code != errc{}) return std::string(name_of(answer.code));
  if (what.is != client_operation::kind::command) return "state";
  return answer.rejected ? "rejected" : answer.repeated ? "repeated" : "accepted";
}

std::uint64_t fingerprint(const record_view& record) { return std::hash<std::string_view>{}(record.body); }

class world {
public:
  world(std::uint64_t seed, const faults& rates, simulated_domain& domain, bool tracing)
      : chance_(seed), rates_(rates), domain_(domain), tracing_(tracing), shape_(chance_), clients_(shape_.clients) {}
  ~world() {
    storage_.end_process();
    end_process();
  }

  run_result run() {
    result_.figures.runs = 1;
    try {
      run_to_the_end();
    } catch (const broken_promise& found) {
      result_.failure = found.what;
      end_trace_at(found.moment);
    } catch (const std::exception& thrown) {
      // What neither the runtime nor the aggregate may let out: of the workload, a codec, a comparison.
      result_.failure = std::string("an exception ended the run: ") + thrown.what();
    }
    result_.figures.simulated = elapsed_;
    result_.history = history_;
    return std::move(result_);
  }

private:
  /// Thrown when the power failed below a store that does not sync: what was acknowledged may be lost.
  struct acknowledged_lost {};

  void run_to_the_end() {
    try {
      subscribers_.back().every = 3;
      start_process();
      for (std::size_t number = 0; number < clients_.size(); ++number) rest(number);
      go_on_until([this] { return operations_ >= shape_.operations; });
      calm_down();
      go_on_until([this] { return is_settled(); });
    } catch (const acknowledged_lost&) { return check_remains(); }
    look_at_everything();
    require_subscribers_at_the_end();
    drain_process();
    start_process();
    look_at_everything();
    drain_process();
    open_store();
    const auto commands = check_journal();
    if (const auto wrong = check_history(domain_, settled(commands), *store_)) throw *wrong;
  }

  struct client {
    std::optional<std::size_t> operation;  // that it waits for
    bool in_flight = false;                // an attempt is; else it rests before the next
    microseconds asked_at{0};              // when that began
    std::optional<timestamp> deadline;     // of that
    std::uint64_t attempt = 0;             // of all its attempts; an answer to an earlier one comes too late
    std::vector<std::size_t> stored;       // its operations that stored something under a command id
  };
  struct subscriber {
    std::uint64_t every = 1;          // it filters by position
    std::vector<std::uint64_t> seen;  // a fingerprint of each record
    std::optional<subscription> records = {};
  };

  static bool is_busy(const client& one) { return one.operation.has_value(); }

  bool is_settled() const {
    return runtime_ && !draining_ && !drain_wanted_ && !must_restart_ && !must_die() &&
           std::none_of(clients_.begin(), clients_.end(), is_busy);
  }

  // -- time and turns

  template <class Done>
  void go_on_until(Done done) {
    while (!done()) {
      if (!go_on()) throw broken_promise{"nothing is left to do, and yet operations have no answer: " + open_operations()};
    }
  }

  // Nothing may take for ever, and nothing that takes for ever may hang the run.
  void require_an_end() const {
    if (result_.figures.messages > messages_max) {
      throw broken_promise{"there is no end to messages; open: " + open_operations()};
    }
    if (draining_ && elapsed_ > draining_since_ + drain_max) {
      throw broken_promise{"a drain takes longer than half an hour; open: " + open_operations()};
    }
    if (draining_) return;
    if (elapsed_ > last_heard_ + silence_max) {
      throw broken_promise{"for ten minutes there is no answer to " + open_operations()};
    }
    if (calm_ && elapsed_ > calm_since_ + calm_max) {
      throw broken_promise{"ten minutes after the last fault there is no answer to " + open_operations()};
    }
  }

  // One message, or time passes up to the next thing to do. False where there is none.
  bool go_on() {
    if (!must_die()) run_handlers();
    if (must_die()) {
      crash();
      return true;
    }
    if (runtime_ && runtime_->in_flight() == 0) require_all_answered("nothing is in flight");
    if (drain_wanted_ && runtime_ && runtime_->in_flight() == 0) {
      drain_process();
      if (!must_die()) restart_later();
      return true;
    }
    return run_one_message_or_wait();
  }

  bool run_one_message_or_wait() {
    require_an_end();
    return run_one_message() || let_time_pass();
  }

  bool run_one_message() {
    if (!engine_) return false;
    std::vector<std::size_t> runnable;
    next_turn_ = microseconds::max();
    if (engine_->ready() == 0) not_before_.clear();
    for (std::size_t place = 0; place < engine_->ready(); ++place) {
      const auto turn = engine_->look(place);
      const auto [known, is_new] = not_before_.try_emplace(turn.id);
      if (is_new) known->second = elapsed_ + delay_of(turn);
      if (known->second <= elapsed_) runnable.push_back(place);
      next_turn_ = std::min(next_turn_, known->second);
    }
    if (runnable.empty()) return false;
    if (strike_before_message()) return true;
    const auto place = chance_.pick(runnable);
    const auto turn = engine_->look(place);
    if (!is_mere_tick(turn)) trace([&] { return line_of(turn); });
    not_before_.erase(turn.id);
    ++result_.figures.messages;
    engine_->run(place);
    watch_journal();
    if (!must_die()) run_handlers();
    return true;
  }

  // What waits for the disk is slow; everybody else may lose the processor.
  microseconds delay_of(const stepped_engine::turn& turn) {
    const bool waits_for_disk =
        turn.is == address::role::reader || turn.is == address::role::snapshot_writer ||
        (turn.is == address::role::journal && turn.element && kind_in(*turn.element) == kind_of<actors::commit_now>());
    if (waits_for_disk) return strikes(rates_.slow_disk, "slow disk") ? chance_.duration(10ms, 5s) : chance_.duration(20us, 5ms);
    return strikes(rates_.stalled_actor, "stalled actor") ? chance_.duration(1us, 100ms) : 0us;
  }

  bool strikes(double share, const char* what) {
    if (calm_ || !chance_.chance(share)) return false;
    ++result_.figures.faults[what];
    return true;
  }

  bool strike_before_message() {
    if (strikes(rates_.crash, "crash")) {
      dies_ = true;
      return true;
    }
    if (!draining_ && strikes(rates_.restart, "restart")) drain_wanted_ = true;
    if (!calm_ && chance_.chance(rates_.killed_aggregate)) kill_an_aggregate();
    if (strikes(rates_.clock_jump, "clock jump")) {
      const auto by = chance_.duration(1ms, 60s);
      now_ += chance_.chance(0.5) ? by : -by;
      trace([&] { return "the clock jumps to " + cairn::to_string(now_); });
    }
    return false;
  }

  bool let_time_pass() {
    auto next = events_.empty() ? microseconds::max() : events_.begin()->first;
    if (engine_) {
      next = std::min(next, next_turn_);
      if (const auto timer = engine_->next_timer()) { next = std::min(next, elapsed_ + std::chrono::ceil<microseconds>(*timer)); }
    }
    if (next == microseconds::max()) return false;
    const auto by = std::max(next - elapsed_, 0us);
    elapsed_ += by;
    now_ += by;
    if (engine_) engine_->advance(by);
    while (!events_.empty() && events_.begin()->first <= elapsed_) {
      const auto event = events_.extract(events_.begin());
      event.mapped()();
    }
    run_handlers();
    return true;
  }

  void later(microseconds by, std::function<void()> what) { events_.emplace(elapsed_ + by, std::move(what)); }

  void run_handlers() {
    io_.restart();
    io_.poll();
  }

  // -- the process

  void start_process() {
    trace([] { return std::string("the process starts"); });
    if (!open_store()) return restart_later();
    runtime_options options;
    options.journal = store_;
    options.bounds = shape_.bounds;
    options.in_flight_max = shape_.in_flight_max;
    options.waiting_max = shape_.waiting_max;
    options.clock = [this] { return now_; };
    options.on_warning = [this](const std::string& sentence) { trace([&] { return "warning: " + sentence; }); };
    runtime_.emplace(std::move(options), [this](actors::engine_parts parts) {
      auto made = std::make_unique<stepped_engine>(
          std::move(parts), [this] { return !must_die() && run_one_message_or_wait(); }, shape_.ways);
      engine_ = made.get();
      return made;
    });
    for (auto& one : subscribers_) subscribe(one);
    let_those_on_who_wait();
  }

  /// False if a fault keeps the store closed, which the operator then tries again.
  bool open_store() {
    try {
      store_ = storage_.open();
      // Every index that it finds is of an earlier moment of the same log.
      if (storage_.index_was_dropped()) throw broken_promise{"the store drops an index that fits its log"};
      return true;
    } catch (const error& failure) {
      trace([&] { return std::string("the store does not open: ") + failure.what(); });
      const bool died = storage_.process_ended();
      const bool has_cause = failure.kind() == errc::journal_unavailable && storage_.opening_was_disturbed();
      if (!died && !has_cause) {
        throw broken_promise{std::string("the store does not open, without a cause: ") + failure.what()};
      }
    }
    last_heard_ = elapsed_;
    storage_.end_process();
    require_nothing_lost();
    return false;
  }

  void close_store() {
    store_.reset();
    if (!storage_.process_ended()) return;
    trace([] { return std::string("the process dies while it closes the store"); });
    storage_.end_process();
    require_nothing_lost();
  }

  void require_nothing_lost() const {
    if (storage_.may_have_lost()) throw acknowledged_lost{};
  }

  // A store of which an append failed takes no more until it is opened again. The operator sees that in the
  // runtime's figures, and restarts the process some seconds later.
  void watch_journal() {
    if (!engine_ || must_restart_ || engine_->stats().failed_commits == 0) return;
    must_restart_ = true;
    later(chance_.duration(1ms, 10s), [this, process = process_] {
      if (process != process_) return;
      trace([] { return std::string("the operator restarts the process, because an append failed"); });
      (chance_.chance(0.5) ? dies_ : drain_wanted_) = true;
    });
  }

  void let_those_on_who_wait() {
    for (auto& waiting : std::exchange(wait_for_process_, {})) later(0us, std::move(waiting));
  }

  // Nothing of what was in memory is left, and no answer arrives any more.
  void end_process() {
    ++process_;
    for (auto& one : subscribers_) one.records.reset();
    run_handlers();  // they have shares of the reads, and are of a process that has ended
    if (engine_) engine_->crash();
    engine_ = nullptr;
    runtime_.reset();
    not_before_.clear();
    killed_at_.clear();
    attempts_of_process_ = 0;
    must_restart_ = false;
    run_handlers();
  }

  // Not where it strikes, but where the way back out of the runtime has been found.
  bool must_die() const { return dies_ || (store_ && storage_.process_ended()); }

  void crash() {
    trace([&] { return std::string("the process dies ") + (dies_ ? "between two messages" : "in a call of the file system"); });
    storage_.end_process();
    end_process();
    store_.reset();
    dies_ = drain_wanted_ = draining_ = false;
    require_nothing_lost();
    for (std::size_t number = 0; number < clients_.size(); ++number) {
      auto& one = clients_[number];
      if (!std::exchange(one.in_flight, false)) continue;
      history_[*one.operation].may_have_happened = true;
      history_[*one.operation].answer.reset();
      try_again_or_give_up(number);
    }
    restart_later();
  }

  void restart_later() {
    later(chance_.duration(1ms, 10s), [this] { start_process(); });
  }

  void drain_process() {
    trace([] { return std::string("the process drains"); });
    drain_wanted_ = false;
    draining_ = true;
    draining_since_ = elapsed_;
    try {
      runtime_->drain(blocking);
    } catch (const stuck_drain& stuck) {
      if (!must_die()) throw broken_promise{stuck.what()};
      return;  // in the middle of it
    }
    run_handlers();
    draining_ = false;
    last_heard_ = elapsed_;
    require_all_answered("all is drained");
    end_process();
    close_store();
  }

  void require_all_answered(const std::string& why) const {
    for (const auto& one : clients_) {
      if (one.in_flight) throw broken_promise{why + ", and yet there is no answer to " + open_operations()};
    }
  }

  void kill_an_aggregate() {
    const auto id = chance_.pick(names());
    const address who{address::role::aggregate, stream_id(domain_.aggregate().category, id)};
    if (!engine_->kill(who)) return;
    ++result_.figures.faults["killed aggregate"];
    killed_at_[id] = elapsed_;
    trace([&] { return to_string(who) + " is killed"; });
  }

  // -- the clients

  const std::vector<std::string>& names() {
    if (names_.empty()) {
      for (std::size_t number = 1; number <= shape_.aggregates; ++number) names_.push_back(std::to_string(number));
    }
    return names_;
  }

  void rest(std::size_t number) {
    later(chance_.duration(10us, shape_.pause_max), [this, number] {
      if (clients_[number].operation || operations_ >= shape_.operations) return;
      ++operations_;
      begin(number, make_operation(number));
    });
  }

  client_operation make_operation(std::size_t number) {
    auto& one = clients_[number];
    client_operation made;
    made.client = number + 1;
    if (!one.stored.empty() && chance_.chance(0.05)) {
      // A repeat of what was answered long ago.
      const auto& first = history_[chance_.pick(one.stored)];
      made.aggregate = first.aggregate;
      made.command = first.command;
      made.command_id = first.command_id;
      return made;
    }
    made.aggregate = chance_.chance(0.5) ? names().front() : chance_.pick(names());  // one of them is busy
    const auto known = known_[made.aggregate];
    if (chance_.chance(0.15)) {
      made.is = client_operation::kind::look;
    } else if (known.value > 0 && chance_.chance(0.06)) {
      made.is = client_operation::kind::look_back;
      made.back_to = version{chance_.below(known.value + 1)};
    } else {
      made.command = domain_.make_command(chance_);
      if (chance_.chance(0.9)) made.command_id = "command-" + std::to_string(history_.size());
      if (chance_.chance(0.1)) made.expected = expected_version::exactly(known);
      if (chance_.chance(0.02)) made.expected = expected_version::none_yet();
    }
    return made;
  }

  void begin(std::size_t number, client_operation what) {
    ++result_.figures.operations;
    what.called = next_moment();
    ++uses_[what.command_id];
    clients_[number].operation = history_.size();
    history_.push_back(std::move(what));
    attempt(number);
  }

  void attempt(std::size_t number) {
    if (!runtime_ || drain_wanted_ || (draining_ && chance_.chance(0.5))) {
      wait_for_process_.push_back([this, number] { attempt(number); });
      return;
    }
    auto& one = clients_[number];
    auto& what = history_[*one.operation];
    ++what.attempts;
    ++result_.figures.attempts;
    one.in_flight = true;
    ++attempts_of_process_;
    one.asked_at = last_heard_ = elapsed_;
    command_options options;
    options.expected = what.expected;
    options.command_id = what.command_id;
    options.when_full = chance_.chance(0.5) ? when_full::wait : when_full::fail;
    if (!calm_ && chance_.chance(0.2)) options.deadline = now_ + chance_.duration(100us, 10s);
    one.deadline = options.deadline;
    what.latest_deadline = std::max(what.latest_deadline, options.deadline.value_or(timestamp::max()));
    trace([&] { return "client " + std::to_string(what.client) + " asks " + what.aggregate + ": " + text_of(what); });
    const auto attempt = std::make_shared<pending_attempt>();
    attempt->answer = [this, number, process = process_, current = ++one.attempt](client_answer answer) {
      if (process == process_ && current == clients_[number].attempt) take(number, std::move(answer));
    };
    domain_.attempt(*runtime_, what, std::move(options), io_, attempt);
  }

  // Whether what the system says of an attempt can be true. What the aggregate itself says is the model's affair.
  bool has_cause(const client& one, const client_operation& what, errc code) const {
    const auto& struck = result_.figures.faults;
    const auto passed = [&] { return one.deadline && (now_ > *one.deadline || struck.contains("clock jump")); };
    switch (code) {
    case errc::version_conflict: return what.expected.required().has_value();
    case errc::deadline_passed:
    case errc::timed_out: return passed();
    case errc::journal_unavailable: return the_disk_failed();
    case errc::abandoned: return was_killed(what.aggregate, one.asked_at);
    case errc::draining: return draining_;
    case errc::overloaded: return attempts_of_process_ > std::min(shape_.in_flight_max, shape_.bounds.recovery_queue_max);
    case errc::decide_failed:
    case errc::invalid_argument: return what.is != client_operation::kind::look;
    default: return false;
    }
  }

  bool the_disk_failed() const {
    constexpr std::array kinds{"failed sync", "failed write", "full disk", "failed read",
                               "failed open", "failed index", "torn write"};
    const auto& struck = result_.figures.faults;
    return std::any_of(kinds.begin(), kinds.end(), [&](const char* kind) { return struck.contains(kind); });
  }

  bool was_killed(const std::string& aggregate, microseconds since) const {
    const auto killed = killed_at_.find(aggregate);
    return killed != killed_at_.end() && killed->second + mourning >= since;
  }

  std::string text_of(const client_operation& what) const {
    if (what.is == client_operation::kind::look) return "its state";
    if (what.is == client_operation::kind::look_back) return "its state at version " + std::to_string(what.back_to.value);
    return describe(domain_.command(what.command)) + (what.command_id.empty() ? "" : ", " + what.command_id);
  }

  void take(std::size_t number, client_answer answer) {
    auto& one = clients_[number];
    auto& what = history_[*one.operation];
    one.in_flight = false;
    last_heard_ = elapsed_;
    ++result_.figures.answers[kind_of_answer(what, answer)];
    trace([&] { return "client " + std::to_string(what.client) + " is answered: " + detail::text_of(answer); });
    if (answer.code != errc{} && !has_cause(one, what, answer.code)) {
      throw broken_promise{"there was no cause to answer " + text_of(what) + " to " + what.aggregate +
                           " with: " + detail::text_of(answer) + " (" + answer.detail + ")"};
    }
    const auto certain = certainty_of(answer);
    what.answer = std::move(answer);
    if (what.is != client_operation::kind::command || certain == certainty::answered) return finish(number);
    what.may_have_happened = what.may_have_happened || certain == certainty::unknown;
    try_again_or_give_up(number);
  }

  void try_again_or_give_up(std::size_t number) {
    auto& what = history_[*clients_[number].operation];
    const bool may_repeat = !what.command_id.empty() && (!what.answer || may_pass(what.answer->code));
    if (may_repeat && (calm_ || (what.attempts < attempts_max && chance_.chance(0.95)))) {
      later(chance_.duration(1ms, 2s), [this, number] { attempt(number); });
      return;
    }
    if (what.may_have_happened) {
      what.answer.reset();
      ++result_.figures.unknown;
    }
    finish(number);
  }

  void finish(std::size_t number) {
    auto& one = clients_[number];
    auto& what = history_[*one.operation];
    if (what.answer) {
      what.returned = next_moment();
      if (what.answer->code == errc{} && what.is == client_operation::kind::command) {
        known_[what.aggregate] = what.answer->version;
        if (what.answer->events > 0 && !what.command_id.empty()) one.stored.push_back(*one.operation);
      }
    }
    one.operation.reset();
    rest(number);
  }

  void calm_down() {
    trace([] { return std::string("from here on nothing fails"); });
    calm_ = true;
    calm_since_ = elapsed_;
    storage_.stop_failing();
    if (runtime_ && !draining_) let_those_on_who_wait();
  }

  void look_at_everything() {
    for (const auto& name : names()) {
      // An aggregate whose last recovery failed says so until its pause before the next is over.
      const auto latest = elapsed_ + shape_.bounds.recovery_retry_max;
      while (!look_at(name)) {
        if (elapsed_ > latest) throw broken_promise{"nothing fails any more, and yet nobody can see the state of " + name};
        bool rested = false;
        later(shape_.bounds.recovery_retry_min, [&rested] { rested = true; });
        go_on_until([&rested] { return rested; });
      }
    }
  }

  bool look_at(const std::string& name) {
    client_operation look;
    look.is = client_operation::kind::look;
    look.client = 1;
    look.aggregate = name;
    begin(0, std::move(look));
    go_on_until([this] { return !clients_[0].operation; });
    return history_.back().answer && history_.back().answer->code == errc{};
  }

  std::string open_operations() const {
    std::string all;
    for (const auto& one : clients_) {
      if (one.operation)
        all += (all.empty() ? "" : "; ") + history_[*one.operation].aggregate + ": " + text_of(history_[*one.operation]);
    }
    return all.empty() ? "none" : all;
  }

  // -- the subscribers

  void subscribe(subscriber& one) {
    subscription_options options{.after = position{one.seen.size() * one.every}, .batch_records_max = 1 + chance_.below(50)};
    if (one.every > 1) {
      options.where = [every = one.every](const record_view& record) { return record.position.value % every == 0; };
    }
    one.records.emplace(runtime_->subscribe(std::move(options)));
    ask_for_more(one);
  }

  void ask_for_more(subscriber& one) {
    one.records->next_batch(
        boost::asio::bind_executor(io_, [this, &one, process = process_](boost::system::error_code, const record_batch& batch) {
          if (process == process_) take(one, batch);
        }));
  }

  void take(subscriber& one, const record_batch& batch) {
    if (batch.failed()) {
      const bool has_cause = (batch.code == errc::draining && draining_) ||
                             (batch.code == errc::journal_unavailable && (must_die() || the_disk_failed()));
      if (!has_cause) {
        throw broken_promise{"a subscription failed without a cause: " + make_error_code(batch.code).message() + " (" +
                             batch.detail + ")"};
      }
      if (draining_ || must_die()) return;
    }
    for (const auto& record : batch) {
      if (record.position.value != (one.seen.size() + 1) * one.every) {
        throw broken_promise{"a subscriber with step " + std::to_string(one.every) + " was shown position " +
                             std::to_string(record.position.value) + " after " + std::to_string(one.seen.size()) + " records"};
      }
      one.seen.push_back(fingerprint(record));
    }
    // Some are slow, and all try again after a failure.
    if (!batch.failed() && (calm_ || chance_.chance(0.7))) return ask_for_more(one);
    later(chance_.duration(1ms, 10s), [this, &one, process = process_] {
      if (process == process_ && runtime_ && !must_die() && !draining_) ask_for_more(one);
    });
  }

  static std::vector<std::uint64_t> every(std::uint64_t nth, const std::vector<std::uint64_t>& all) {
    std::vector<std::uint64_t> some;
    for (auto place = nth; place <= all.size(); place += nth) some.push_back(all[place - 1]);
    return some;
  }

  bool is_at_the_end(const subscriber& one) const { return is_settled() && one.seen.size() == store_->last().value / one.every; }

  void require_subscribers_at_the_end() {
    for (const auto& one : subscribers_) {
      while (!is_at_the_end(one)) {
        if (go_on() && elapsed_ < calm_since_ + calm_max) continue;
        throw broken_promise{"nothing fails any more, and a subscriber was shown only " + std::to_string(one.seen.size()) +
                             " records"};
      }
    }
  }

  // -- what must hold of the journal

  struct stored_command {
    std::string aggregate;
    version last;
    std::uint32_t events = 0;
    timestamp recorded_at;
    std::string result = {};
  };

  std::map<std::string, stored_command> read_journal(std::vector<std::uint64_t>& all) {
    std::map<std::string, std::pair<version, timestamp>, std::less<>> ends;
    std::map<std::string, stored_command> commands;
    store_->read_all(position{1}, [&](const record_view& record) {
      all.push_back(fingerprint(record));
      const auto where = "position " + std::to_string(record.position.value) + ", " + cairn::to_string(record.stream) +
                         " version " + std::to_string(record.version.value);
      if (record.position.value != all.size()) throw broken_promise{"a gap in the global order before " + where};
      auto& [last, recorded_at] = ends[std::string(record.stream.id)];
      if (record.version != last + 1) throw broken_promise{"version " + std::to_string(last.value) + " is followed by " + where};
      if (record.recorded_at < recorded_at) throw broken_promise{"recorded-at falls at " + where};
      last = record.version;
      recorded_at = record.recorded_at;
      if (record.command_id.empty()) return true;
      auto& command = commands[std::string(record.command_id)];
      if (record.index == 0 && command.events > 0) throw broken_promise{"a command's events are stored twice: " + where};
      if (record.index != command.events) throw broken_promise{"a part of a command's events is missing before " + where};
      command = {std::string(record.stream.id), record.version, command.events + 1, record.recorded_at,
                 std::string(record.result)};
      return true;
    });
    result_.figures.records = all.size();
    return commands;
  }

  // The power failed below a store that does not sync. What remains must be the beginning of the history.
  void check_remains() {
    trace([] { return std::string("acknowledged commands may be lost; what remains is checked"); });
    ++result_.figures.faults["power cut without syncs"];
    storage_.stop_failing();
    if (!open_store()) throw broken_promise{"nothing fails any more, and yet the store does not open"};
    std::vector<std::uint64_t> all;
    read_journal(all);
    for (const auto& one : subscribers_) {
      const auto shown = every(one.every, all);
      const auto common = std::min(shown.size(), one.seen.size());
      if (!std::equal(shown.begin(), shown.begin() + static_cast<std::ptrdiff_t>(common), one.seen.begin())) {
        throw broken_promise{"what a power cut leaves is not the beginning of what a subscriber was shown"};
      }
    }
    close_store();
  }

  std::map<std::string, stored_command> check_journal() {
    std::vector<std::uint64_t> all;
    const auto commands = read_journal(all);
    for (const auto& one : subscribers_) {
      if (one.seen == every(one.every, all)) continue;
      throw broken_promise{"a subscriber was shown other records than the journal has in the end"};
    }
    for (const auto& what : history_) check_stored(what, commands);
    return commands;
  }

  // What no client learned, the journal knows of commands with an id of their own: then the model need not try both.
  std::vector<client_operation> settled(const std::map<std::string, stored_command>& commands) const {
    std::vector<client_operation> history;
    for (auto what : history_) {
      if (!what.answer && !what.command_id.empty() && uses_.at(what.command_id) == 1) {
        const auto found = commands.find(what.command_id);
        if (found == commands.end()) continue;
        what.answer.emplace();
        what.answer->version = found->second.last;
        what.answer->events = found->second.events;
        what.answer->result = found->second.result;
        what.returned = static_cast<std::int64_t>(lines_at_.size() + 1);
      }
      history.push_back(std::move(what));
    }
    return history;
  }

  void check_stored(const client_operation& what, const std::map<std::string, stored_command>& commands) const {
    if (what.is != client_operation::kind::command || what.command_id.empty()) return;
    const auto found = commands.find(what.command_id);
    const bool right_clock = !result_.figures.faults.contains("clock jump");
    if (found != commands.end() && right_clock && uses_.at(what.command_id) == 1 &&
        found->second.recorded_at > what.latest_deadline) {
      throw broken_promise{what.command_id + " to " + what.aggregate + " was decided after its deadline"};
    }
    if (!what.answer) return;
    const auto& answer = *what.answer;
    const auto told = "client " + std::to_string(what.client) + " was told of " + what.command_id + " to " + what.aggregate +
                      ": " + detail::text_of(answer);
    if (answer.code == errc{} && answer.events > 0) {
      if (found == commands.end()) throw broken_promise{"acknowledged and lost: " + told, what.returned.value_or(0)};
      if (found->second.last != answer.version || found->second.events != answer.events ||
          found->second.aggregate != what.aggregate) {
        throw broken_promise{told + ", and the journal has its " + std::to_string(found->second.events) +
                                 " events up to version " + std::to_string(found->second.last.value),
                             what.returned.value_or(0)};
      }
    } else if (found != commands.end() && uses_.at(what.command_id) == 1) {
      throw broken_promise{told + ", and yet the journal has its events up to version " +
                               std::to_string(found->second.last.value),
                           what.returned.value_or(0)};
    }
  }

  // -- the trace

  std::int64_t next_moment() {
    lines_at_.push_back(lines_);
    return static_cast<std::int64_t>(lines_at_.size());
  }

  // What came later would only hide it.
  void end_trace_at(std::int64_t moment) {
    if (!tracing_ || moment <= 0) return;
    const auto later = lines_ - lines_at_[static_cast<std::size_t>(moment - 1)];
    result_.trace.resize(result_.trace.size() - std::min<std::size_t>(later, result_.trace.size()));
  }

  template <class Line>
  void trace(Line line) {
    if (!tracing_) return;
    char time[32];
    std::snprintf(time, sizeof time, "%12.6f s  ", static_cast<double>(elapsed_.count()) / 1e6);
    result_.trace.push_back(time + line());
    ++lines_;
    if (result_.trace.size() > trace_lines_max) result_.trace.pop_front();
  }

  static bool is_mere_tick(const stepped_engine::turn& turn) {
    return turn.element && kind_in(*turn.element) == kind_of<actors::look_for_idle>();
  }

  static std::string line_of(const stepped_engine::turn& turn) {
    const auto who = turn.stream ? "aggregate " + cairn::to_string(*turn.stream) : to_string(address{turn.is, {}});
    const auto what = turn.element ? message_in(*turn.element) : std::nullopt;
    return who + " <- " + (what ? testkit::describe(*what) : "(its own affairs)");
  }

  random chance_;
  const faults rates_;
  simulated_domain& domain_;
  const bool tracing_;
  shape shape_;
  run_result result_;

  microseconds elapsed_{0};
  microseconds last_heard_{0};  // when a client last called or was answered
  timestamp now_{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
  std::multimap<microseconds, std::function<void()>> events_;
  std::map<caf::actor_id, microseconds> not_before_;  // when the actors that have something to do get their turn
  microseconds next_turn_ = microseconds::max();      // the first of them
  bool calm_ = false;
  microseconds calm_since_{0};

  simulated_storage storage_{{.chance = chance_,
                              .rates = rates_,
                              .figures = result_.figures,
                              .now = [this] { return now_; },
                              .elapsed = [this] { return elapsed_; },
                              .trace = [this](const std::string& sentence) { trace([&] { return sentence; }); }}};
  boost::asio::io_context io_;
  std::shared_ptr<cairn::store> store_;
  stepped_engine* engine_ = nullptr;
  std::optional<cairn::runtime> runtime_;
  std::uint64_t process_ = 0;
  std::size_t attempts_of_process_ = 0;
  bool dies_ = false;
  bool must_restart_ = false;  // an append failed, and the operator is on the way
  bool drain_wanted_ = false;
  bool draining_ = false;
  microseconds draining_since_{0};
  std::vector<std::function<void()>> wait_for_process_;

  std::vector<client> clients_;
  std::vector<std::string> names_;
  std::map<std::string, microseconds> killed_at_;  // of aggregates, by this process
  std::map<std::string, version> known_;           // versions that clients have heard of
  std::vector<client_operation> history_;
  std::map<std::string, int> uses_;  // how many operations have a command id
  std::uint64_t operations_ = 0;
  std::vector<std::size_t> lines_at_;  // how many lines the trace had at each call and return
  std::size_t lines_ = 0;
  std::vector<subscriber> subscribers_{2};
};

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* given = std::getenv(name);
  if (!given) return otherwise;
  const std::string_view text(given);
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size()) {
    throw error(errc::invalid_argument, std::string(name) + " must be a whole number, not '" + given + "'");
  }
  return number;
}

void require_shares(const faults& rates) {
  for (const double share :
       {rates.failed_sync, rates.failed_write, rates.full_disk, rates.torn_write, rates.power_cut, rates.failed_read,
        rates.failed_open, rates.interruption, rates.failed_save, rates.damaged_snapshot, rates.failed_index, rates.lost_index,
        rates.crash, rates.restart, rates.killed_aggregate, rates.slow_disk, rates.stalled_actor, rates.clock_jump}) {
    if (!(share >= 0 && share <= 1)) {
      throw error(errc::invalid_argument, "the share of a fault is " + std::to_string(share) + ", and must be from 0 to 1");
    }
  }
}

// This process's own command line, quoted where a shell needs it.
std::string command_line() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string all;
  for (std::string argument; std::getline(file, argument, '\0');) {
    const bool plain =
        argument.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,") == std::string::npos;
    all += " " + (plain ? argument : "'" + argument + "'");
  }
  return all;
}

}  // namespace

run_result simulate_once(std::uint64_t seed, const faults& rates, simulated_domain& domain, bool tracing) {
  world one(seed, rates, domain, tracing);
  return one.run();
}

simulation_report simulate_all(seeds which, const faults& rates,
                               const std::function<std::unique_ptr<simulated_domain>()>& make_domain) {
  which.first = from_environment("CAIRN_SIMULATION_FIRST", which.first);
  which.count = from_environment("CAIRN_SIMULATION_SEEDS", which.count);
  if (which.count == 0) throw error(errc::invalid_argument, "no seeds were given, so nothing would be simulated");
  require_shares(rates);
  simulation_report report;
  for (std::uint64_t seed = which.first; seed - which.first < which.count; ++seed) {
    const auto replay = "CAIRN_SIMULATION_FIRST=" + std::to_string(seed) + " CAIRN_SIMULATION_SEEDS=1" + command_line();
    const last_words words(
        [&] { return "seed " + std::to_string(seed) + " ends the program. This makes the run again:\n  " + replay; });
    const auto once = simulate_once(seed, rates, *make_domain(), false);
    report.figures += once.figures;
    if (once.failure.empty()) continue;
    auto again = simulate_once(seed, rates, *make_domain(), true);
    if (again.failure != once.failure)
      again.failure = once.failure + "\n(a second run of the seed differed: " + again.failure + ")";
    report.failure = {seed, again.failure, std::move(again.trace), replay};
    break;
  }
  return report;
}

}  // namespace detail

simulation_figures& simulation_figures::operator+=(const simulation_figures& more) {
  runs += more.runs;
  operations += more.operations;
  attempts += more.attempts;
  messages += more.messages;
  records += more.records;
  for (const auto& [what, times] : more.faults) faults[what] += times;
  for (const auto& [what, times] : more.answers) answers[what] += times;
  unknown += more.unknown;
  simulated += more.simulated;
  return *this;
}

std::string simulation_figures::text() const {
  char hours[32];
  std::snprintf(hours, sizeof hours, "%.1f", static_cast<double>(simulated.count()) / 3.6e9);
  const auto list = [](const std::map<std::string, std::uint64_t>& counted) {
    std::string all;
    for (const auto& [what, times] : counted) all += (all.empty() ? "" : ", ") + std::to_string(times) + " x " + what;
    return all.empty() ? "none" : all;
  };
  return std::to_string(runs) + " runs, " + hours + " simulated hours, " + std::to_string(operations) + " operations in " +
         std::to_string(attempts) + " attempts, " + std::to_string(unknown) + " outcomes never learned, " +
         std::to_string(messages) + " messages, " + std::to_string(records) + " records\n  faults: " + list(faults) +
         "\n  answers: " + list(answers);
}

std::string simulation_report::text() const {
  constexpr std::size_t shown_lines_max = 60;
  if (!failure) return figures.text();
  std::string all = "seed " + std::to_string(failure->seed) + ": " + failure->what + "\n\nWhat happened last:\n";
  const auto& trace = failure->trace;
  for (auto place = trace.size() - std::min(trace.size(), shown_lines_max); place < trace.size(); ++place)
    all += trace[place] + "\n";
  return all + "\nThis makes the run again:\n  " + failure->replay + "\n\n" + figures.text();
}

}  // namespace cairn::testkit
