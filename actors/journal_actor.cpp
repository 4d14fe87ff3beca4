// The journal actor: the only writer of the store. Commits greedily: what arrives while one sync is in flight is the next batch.
//
// It gathers appends, and sends itself one message behind whatever is queued; when that comes up, all that came before it is one
// group commit. Each aggregate then gets one answer for all of its appends in the batch.
#include <cairn/actors/answers_together.hpp>
#include <cairn/actors/crew.hpp>

#include "standing_actor.hpp"

#include <caf/event_based_actor.hpp>

#include <algorithm>
#include <chrono>

namespace cairn::actors {
namespace {

constexpr std::size_t handed_over_at_once = 256;
// By the time that so many have been answered, the memory of the next is here.
constexpr std::size_t prefetched_ahead = 16;

class journal_actor final : public caf::event_based_actor {
public:
  journal_actor(caf::actor_config& config, shared_context& shared, threading how)
      : caf::event_based_actor(config), shared_(shared), threading_(how) {}

  const char* name() const override { return "cairn.journal"; }

  caf::behavior make_behavior() override {
    set_exception_handler(end_process);
    return {
        [this](append_request& request) { gather(std::move(request)); },
        [this](const commit_now&) {
          commit_queued_ = false;
          commit();
        },
        [this](const aggregate_ended& ended) {
          commit();
          return ended;
        },
        [this](const finish&) {
          commit();
          quit();
        },
    };
  }

private:
  struct gathered {
    append_request request;
    caf::strong_actor_ptr from;
    std::size_t result = 0;  // which of results_ answers it
  };

  struct pending_result {
    caf::strong_actor_ptr to;
    pending_answers* answers;  // the request's
    append_result result;
  };

  void gather(append_request&& request) {
    gathered_bytes_ += request.frames.size();
    gathered_.push_back({std::move(request), current_sender(), 0});
    if (gathered_.size() >= shared_.bounds.batch_appends_max || gathered_bytes_ >= shared_.bounds.batch_bytes_max) {
      commit();
    } else if (!commit_queued_) {
      commit_queued_ = true;
      send(this, commit_now{});
    }
  }

  void commit() {
    if (gathered_.empty()) return;
    additions_.clear();
    for (const auto& [request, from, result] : gathered_) {
      additions_.push_back({request.stream, request.expected, request.events, request.frames});
    }
    appends_.clear();
    for (const auto& one : additions_) appends_.emplace_back(&one, 1);
    outcomes_.assign(gathered_.size(), {});

    errc code{};
    std::string detail;
    const auto start = std::chrono::steady_clock::now();
    try {
      shared_.store->append(appends_, outcomes_);
    } catch (...) {
      auto failed = current_failure(errc::journal_unavailable);
      code = failed.code;
      detail = std::move(failed.detail);
    }
    const auto took = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count());
    shared_.stats.last_commit_ns.store(took, std::memory_order_relaxed);
    shared_.stats.commit_ns.fetch_add(took, std::memory_order_relaxed);
    if (code == errc{}) {
      shared_.stats.commits.fetch_add(1, std::memory_order_relaxed);
      failing_ = false;
    } else {
      shared_.stats.failed_commits.fetch_add(1, std::memory_order_relaxed);
      // Every command is told; the log is told once, not once for each commit as long as it lasts.
      if (!std::exchange(failing_, true)) {
        shared_.warn("a group commit of " + std::to_string(gathered_.size()) + " appends failed: " + detail +
                     "; more failures are not told here until a commit succeeds");
      }
    }
    answer(code, detail);
    gathered_.clear();
    gathered_bytes_ = 0;
  }

  // One answer for each sender, in the order in which the senders first appear.
  void answer(errc code, const std::string& detail) {
    find_senders();
    std::uint64_t events = 0;
    for (std::size_t place = 0; place < gathered_.size(); ++place) {
      const auto& request = gathered_[place].request;
      auto& [to, answers, result] = results_[gathered_[place].result];
      ++result.appends;
      if (result.code != errc{}) continue;  // built on something that failed
      if (code != errc{}) {
        result.code = code;
        result.detail = detail;
      } else if (outcomes_[place].stored) {
        result.durable_through = request.expected + request.events;
        events += request.events;
      } else {
        result.code = errc::version_conflict;
        result.stands = outcomes_[place].stands;
        result.detail = to_string(request.stream) + " is at version " + std::to_string(result.stands.value) +
                        " in the journal, the append expected version " + std::to_string(request.expected.value);
      }
    }
    shared_.stats.events.fetch_add(events, std::memory_order_relaxed);
    settle_results();
    for (auto& [to, answers, result] : results_) {
      if (to) send(caf::actor_cast<caf::actor>(to), std::move(result));
    }
    results_.clear();
  }

  // With threads, an aggregate is not woken for what can be done here. A test sees every result. Leaves what is for the
  // aggregates.
  void settle_results() {
    if (threading_ != threading::own) return;
    std::size_t left = 0;
    for (std::size_t next = 0; next < results_.size();) {
      // Nobody else answers for these aggregates until their answers are handed over, so a few at a time.
      const auto end = std::min(results_.size(), next + handed_over_at_once);
      handing_over_.clear();
      {
        const answers_together together;
        for (; next < end; ++next) {
          if (const auto ahead = next + prefetched_ahead; ahead < results_.size() && results_[ahead].answers) {
            results_[ahead].answers->prefetch();
          }
          const auto& [to, answers, result] = results_[next];
          using settling = pending_answers::settling;
          auto settled = settling::wanted;
          if (answers && result.code == errc{}) {
            settled = answers->settle_unless_wanted(result.incarnation, result.appends, result.durable_through);
          }
          if (settled == settling::handing_over) handing_over_.push_back(answers);
          if (settled == settling::wanted) std::swap(results_[left++], results_[next]);
        }
      }
      for (auto* answers : handing_over_) answers->handed_over();
    }
    results_.resize(left);
  }

  // Groups the batch by sender through an open-addressed table: a hash map's nodes would cost an allocation for each append.
  void find_senders() {
    std::size_t size = 16;
    while (size < 2 * gathered_.size()) size *= 2;
    table_.assign(size, 0);
    for (auto& one : gathered_) {
      auto slot = (reinterpret_cast<std::uintptr_t>(one.from.get()) >> 6) * 0x9e3779b97f4a7c15ULL >> 20 & (size - 1);
      // An aggregate's requests of two incarnations must not share an answer.
      while (table_[slot] != 0 && (results_[table_[slot] - 1].to != one.from ||
                                   results_[table_[slot] - 1].result.incarnation != one.request.incarnation)) {
        slot = (slot + 1) & (size - 1);
      }
      if (table_[slot] == 0) {
        results_.push_back({one.from, one.request.answers.get(), {}});
        results_.back().result.incarnation = one.request.incarnation;
        table_[slot] = static_cast<std::uint32_t>(results_.size());
      }
      one.result = table_[slot] - 1;
    }
  }

  shared_context& shared_;
  const threading threading_;
  std::vector<gathered> gathered_;
  std::size_t gathered_bytes_ = 0;
  bool commit_queued_ = false;
  bool failing_ = false;
  // Kept from commit to commit, for their memory.
  std::vector<addition> additions_;
  std::vector<atomic_append> appends_;
  std::vector<append_outcome> outcomes_;
  std::vector<pending_result> results_;
  std::vector<pending_answers*> handing_over_;
  std::vector<std::uint32_t> table_;
};

}  // namespace

caf::actor spawn_journal(caf::actor_system& system, shared_context& shared, threading how) {
  return how == threading::own ? system.spawn<journal_actor, caf::detached>(shared, how)
                               : system.spawn<journal_actor>(shared, how);
}

}  // namespace cairn::actors
