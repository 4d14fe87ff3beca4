// The real actors on CAF's test coordinator: no threads, no sleeps, one message at a time, time moved by hand.
//
// What runs on threads of its own in production (journal, snapshot writer, readers) is scheduled here like any other actor. Any
// of them can be replaced by a probe, which keeps what it is sent and says nothing until the test does.
#pragma once

#include "product.hpp"

#include <cairn/actors/crew.hpp>
#include <cairn/actors/typed_operation.hpp>
#include <cairn/memory_journal.hpp>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/send.hpp>

#include <doctest/doctest.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cairn::tests {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""ms;
using stock::AddStock;
using stock::Count;
using stock::Enrol;
using stock::Enrolled;
using stock::Product;
using stock::RemoveStock;
using stock::StockAdded;
using stock::StockRemoved;

/// What an operation was answered; empty as long as it was not.
using answered = std::shared_ptr<std::optional<actors::outcome>>;

/// A journal in memory that counts what is read, and fails or lies when it is told to.
class scripted_journal final : public journal, public snapshot_store {
public:
  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override {
    ++commits;
    batch_sizes.push_back(appends.size());
    if (failing_appends > 0) {
      --failing_appends;
      if (store_what_fails) inner->append(appends, outcomes);
      throw error(errc::journal_unavailable, "the disk says no");
    }
    inner->append(appends, outcomes);
  }
  void read(stream_view stream, version_range range, const record_visitor& visit) const override {
    ++reads;
    if (failing_reads > 0) {
      --failing_reads;
      throw error(errc::journal_unavailable, "the disk cannot be read");
    }
    inner->read(stream, range, [&](const record_view& record) {
      ++events_read;
      return visit(record);
    });
  }
  position read_all(position from, const record_visitor& visit) const override { return inner->read_all(from, visit); }
  version highest(stream_view stream) const override { return inner->highest(stream); }
  position last() const override { return inner->last(); }
  snapshot_store& snapshots() override { return *this; }

  void save(stream_view stream, version at, std::string_view bytes) override {
    if (failing_saves > 0) {
      --failing_saves;
      throw error(errc::journal_unavailable, "no room for snapshots");
    }
    saved.push_back(at.value);
    inner->snapshots().save(stream, at, bytes);
  }
  std::optional<stored_snapshot> latest(stream_view stream, version at_most) const override {
    ++snapshot_reads;
    return inner->snapshots().latest(stream, at_most);
  }
  void prune(stream_view stream, std::size_t keep) override {
    if (!keep_all_snapshots) inner->snapshots().prune(stream, keep);
  }

  std::unique_ptr<journal> inner = memory_journal();
  std::vector<std::uint64_t> saved;  // versions, in order
  std::vector<std::size_t> batch_sizes;
  int commits = 0;
  int failing_appends = 0;
  bool store_what_fails = false;
  bool keep_all_snapshots = false;
  mutable int failing_reads = 0;
  int failing_saves = 0;
  mutable int reads = 0;
  mutable int events_read = 0;
  mutable int snapshot_reads = 0;
};

/// Stands in for an actor: keeps every `Message` that it is sent.
template <class Message>
struct probe {
  struct actor final : caf::event_based_actor {
    actor(caf::actor_config& config, std::shared_ptr<std::deque<std::pair<Message, caf::strong_actor_ptr>>> into)
        : caf::event_based_actor(config), kept(std::move(into)) {}
    caf::behavior make_behavior() override {
      return {
          [this](Message& message) { kept->emplace_back(std::move(message), current_sender()); },
          [this](const actors::finish&) { quit(); },
      };
    }
    std::shared_ptr<std::deque<std::pair<Message, caf::strong_actor_ptr>>> kept;
  };

  explicit probe(caf::actor_system& system)
      : kept(std::make_shared<std::deque<std::pair<Message, caf::strong_actor_ptr>>>()), handle(system.spawn<actor>(kept)) {}

  std::shared_ptr<std::deque<std::pair<Message, caf::strong_actor_ptr>>> kept;
  caf::actor handle;
};

class deterministic_world {
  struct config final : caf::actor_system_config {
    config() {
      set("scheduler.policy", caf::atom("testing"));
      set("logger.file-verbosity", caf::atom("quiet"));
      set("logger.console-verbosity", caf::atom("quiet"));
    }
  };

public:
  explicit deterministic_world(actors::settings bounds = {})
      : system(config_), scheduler(dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler())) {
    scheduler.clock().current_time += 1h;
    shared.bounds = bounds;
    // On any machine as many.
    if (shared.bounds.recoveries_at_once_max == 0) shared.bounds.recoveries_at_once_max = 2;
    shared.store = store;
    shared.now = [this] { return now; };
    shared.warn = [this](const std::string& sentence) { warnings.push_back(sentence); };
    actors::spawn_crew(system, shared, staff, actors::threading::scheduled);
    run();
  }

  ~deterministic_world() {
    for (const auto& one : aggregates) caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
    const auto gate = std::make_shared<actors::drain_gate>(staff.directories.size());
    for (const auto& one : staff.directories) caf::anon_send(one, actors::drain_directory{false, gate});
    run();
    for (const auto* group : {&staff.directories, &staff.recoverers, &staff.readers, &others}) {
      for (const auto& one : *group) caf::anon_send_exit(one, caf::exit_reason::user_shutdown);
    }
    caf::anon_send_exit(staff.journal, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(staff.snapshots, caf::exit_reason::user_shutdown);
    run();
  }

  /// Until every mailbox is empty.
  void run() {
    while (scheduler.try_run_once()) {}
  }
  /// The next `messages`, one at a time.
  void step(int messages) {
    while (messages-- > 0 && scheduler.try_run_once()) {}
  }
  /// Moves both clocks, in steps, so that timers that set themselves again are seen.
  void advance(std::chrono::milliseconds by) {
    const auto step_size = std::max<std::chrono::milliseconds>(by / 100, 1ms);
    for (auto moved = 0ms; moved < by; moved += step_size) {
      now += step_size;
      scheduler.advance_time(step_size);
      run();
    }
  }

  /// The aggregate's actor, without a directory.
  caf::actor aggregate(std::string id) {
    aggregates.push_back(actors::spawn_aggregate(system, shared, staff, actors::type_of<Product>, std::move(id)));
    return aggregates.back();
  }

  /// Enrols a product through its directory, and gives the actor that the directory made for it.
  caf::actor enrolled(const std::string& id, Count count) {
    const auto held = hold_journal();
    ask(id, Enrol{count});
    run();
    auto& [request, aggregate] = held.kept->front();
    const auto handle = caf::actor_cast<caf::actor>(aggregate);
    std::swap(staff.journal, others.back());
    caf::send_as(handle, staff.journal, std::move(request));
    run();
    return handle;
  }

  /// Puts a command into an actor's mailbox, as it would come from outside.
  template <class Command, class A = Product>
  answered ask(const caf::actor& whom, std::string id, Command command, command_options options = {}) {
    auto answer = std::make_shared<std::optional<actors::outcome>>();
    const auto complete = [answer, this](actors::outcome&& told) {
      REQUIRE_FALSE(answer->has_value());  // completed once
      answer->emplace(std::move(told));
      ++answers;
    };
    caf::anon_send(whom, actors::perform{actors::operation_ptr(new actors::command_operation<A, Command, decltype(complete)>(
                             std::move(id), std::move(command), std::move(options), complete))});
    return answer;
  }
  template <class Command>
  answered ask(std::string id, Command command, command_options options = {}) {
    const auto& directory = staff.directory_for(stream_hash{}({Product::category, id}));
    return ask(directory, std::move(id), std::move(command), std::move(options));
  }

  struct seen {
    Count count = 0;
    actors::outcome told;
  };
  std::shared_ptr<std::optional<seen>> look(const caf::actor& whom, std::string id) {
    auto answer = std::make_shared<std::optional<seen>>();
    const auto complete = [answer](actors::outcome&& told, Product&& product) {
      answer->emplace(product.count, std::move(told));
    };
    caf::anon_send(whom, actors::perform{actors::operation_ptr(
                             new actors::look_operation<Product, decltype(complete)>(std::move(id), complete))});
    return answer;
  }

  /// Puts a probe in the journal's place for aggregates that are made from now on.
  probe<actors::append_request> hold_journal() {
    others.push_back(std::exchange(staff.journal, nullptr));
    probe<actors::append_request> held(system);
    staff.journal = held.handle;
    return held;
  }

  timestamp now{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
  std::vector<std::string> warnings;
  int answers = 0;
  std::shared_ptr<scripted_journal> store = std::make_shared<scripted_journal>();
  actors::shared_context shared;
  actors::crew staff;

private:
  config config_;

public:
  caf::actor_system system;
  caf::scheduler::test_coordinator& scheduler;
  std::vector<caf::actor> aggregates;
  std::vector<caf::actor> others;
};

inline bool accepted(const answered& answer) { return *answer && (*answer)->code == errc{} && !(*answer)->rejected; }
inline bool failed_with(const answered& answer, errc code) { return *answer && (*answer)->code == code; }

}  // namespace cairn::tests
