// The journal actor: the only writer of the store. Commits greedily: what arrives while one sync is in flight is the next batch.
//
// With a thread of its own it takes from the inbox what is there when it is told that there is something. Scheduled, it gathers
// messages, and sends itself one behind whatever is queued; when that comes up, all that came before it is one group commit. Each
// aggregate then gets one answer for all of its appends in the batch.
#include "answers_together.hpp"
#include "crew.hpp"
#include "pending_answers.hpp"
#include "standing_actor.hpp"
#include "tsan.hpp"

#include <algorithm>
#include <chrono>
#include <span>

namespace cairn::inline v1::actors {
namespace {

constexpr std::size_t handed_over_at_once = 256;
// By the time that so many have been answered, the memory of the next is here.
constexpr std::size_t prefetched_ahead = 16;

class journal_actor final : public ordered_actor {
public:
  journal_actor(caf::actor_config& config, shared_context& shared, std::shared_ptr<append_inbox> inbox)
      : ordered_actor(config), shared_(shared), inbox_(std::move(inbox)) {}

  ~journal_actor() override { happens_after(mailbox()); }

  const char* name() const override { return "cairn.journal"; }

  caf::behavior make_behavior() override {
    set_exception_handler(end_process);
    return ordered({
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
    });
  }

private:
  // What becomes of one aggregate's requests in a batch.
  struct pending_result {
    caf::actor_control_block* from;  // where they were messages
    pending_answers* answers;        // the requests'
    append_result result;
  };

  void gather(append_request&& request) {
    gathered_.push_back(std::move(request));
    senders_.resize(gathered_.size());
    senders_.back() = current_sender();
    if (!std::exchange(commit_queued_, true)) send(this, commit_now{});
  }

  void commit() {
    commit_gathered();
    if (!inbox_) return;
    inbox_->take(gathered_);
    senders_.resize(gathered_.size());
    commit_gathered();
  }

  // In as many batches as the bounds ask for.
  void commit_gathered() {
    const auto& bounds = shared_.bounds;
    for (std::size_t first = 0, end = 0; first < gathered_.size(); first = end) {
      std::size_t bytes = 0;
      do {
        bytes += gathered_[end++].frames.size();
      } while (end < gathered_.size() && end - first < bounds.batch_appends_max && bytes < bounds.batch_bytes_max);
      batch_ = std::span(gathered_).subspan(first, end - first);
      find_aggregates(std::span(senders_).subspan(first, end - first));
      commit_batch();
    }
    gathered_.clear();
    senders_.clear();
  }

  void commit_batch() {
    additions_.clear();
    for (const auto& request : batch_) {
      __builtin_prefetch(request.frames.data());
      __builtin_prefetch(request.frames.data() + request.frames.size());
      additions_.push_back({request.stream, request.expected, request.events, request.frames});
    }
    appends_.clear();
    for (const auto& one : additions_) appends_.emplace_back(&one, 1);
    outcomes_.assign(batch_.size(), {});

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
    publish_head();
    std::int64_t bytes = 0;
    for (const auto& request : batch_) bytes += static_cast<std::int64_t>(request.frames.size());
    shared_.undurable_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    if (code == errc{}) {
      shared_.health.note_success();
      shared_.stats.commits.fetch_add(1, std::memory_order_relaxed);
      failing_ = false;
    } else {
      shared_.stats.failed_commits.fetch_add(1, std::memory_order_relaxed);
      shared_.health.note_failure(code, detail, shared_.now());
      // Every command is told; the log is told once, not once for each commit as long as it lasts.
      if (!std::exchange(failing_, true)) {
        shared_.warn("a group commit of " + std::to_string(batch_.size()) + " appends failed: " + detail +
                     "; more failures are not told here until a commit succeeds");
      }
    }
    answer(code, detail);
    shared_.head.resume_waiting();
  }

  // Before the answers. After a failed commit as well: part of it may be durable.
  void publish_head() {
    try {
      shared_.head.publish(shared_.store->last());
    } catch (...) {
      shared_.warn("the position of the last record cannot be read, so subscriptions wait for the next commit: " +
                   current_failure(errc::journal_unavailable).detail);
    }
  }

  // One answer for each aggregate, in the order in which they first appear.
  void answer(errc code, const std::string& detail) {
    std::uint64_t events = 0;
    for (std::size_t place = 0; place < batch_.size(); ++place) {
      const auto& request = batch_[place];
      auto& result = results_[result_of_[place]].result;
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
    if (inbox_) settle_results();
    for (auto& [from, answers, result] : results_) {
      if (from) {
        send(caf::actor_cast<caf::actor>(from), std::move(result));
      } else if (answers) {
        answers->send_result(std::move(result));
      }
    }
    results_.clear();
  }

  // With threads, an aggregate is not woken for what can be done here. A test sees every result. Leaves what is for the
  // aggregates.
  void settle_results() {
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
          auto& [from, answers, result] = results_[next];
          pending_answers::settled settled{.by_aggregate = true, .wanted = true};
          if (answers && result.code == errc{}) {
            settled = answers->settle_for_journal(result.incarnation, result.appends, result.durable_through);
          }
          if (settled.handing_over) handing_over_.push_back(answers);
          if (!settled.wanted) continue;
          if (!settled.by_aggregate) result.appends = 0;
          std::swap(results_[left++], results_[next]);
        }
      }
      for (auto* answers : handing_over_) {
        // Not here: one aggregate that is always asked more would keep all others' answers waiting.
        if (answers->handed_over()) answers->send_result({});
      }
    }
    results_.resize(left);
  }

  // Groups the batch by aggregate through an open-addressed table: a hash map's nodes would cost an allocation for each append.
  void find_aggregates(std::span<const caf::strong_actor_ptr> senders) {
    std::size_t size = 16;
    while (size < 2 * batch_.size()) size *= 2;
    table_.assign(size, 0);
    result_of_.clear();
    for (std::size_t place = 0; place < batch_.size(); ++place) {
      const auto& request = batch_[place];
      auto* const from = senders[place].get();
      auto* const answers = request.answers.get();
      const auto key = from ? reinterpret_cast<std::uintptr_t>(from) : reinterpret_cast<std::uintptr_t>(answers);
      auto slot = (key >> 6) * 0x9e3779b97f4a7c15ULL >> 20 & (size - 1);
      // An aggregate's requests of two incarnations must not share an answer.
      const auto is_another = [&](const pending_result& known) {
        return known.from != from || (!from && known.answers != answers) || known.result.incarnation != request.incarnation;
      };
      while (table_[slot] != 0 && is_another(results_[table_[slot] - 1])) slot = (slot + 1) & (size - 1);
      if (table_[slot] == 0) {
        results_.push_back({from, answers, {}});
        results_.back().result.incarnation = request.incarnation;
        table_[slot] = static_cast<std::uint32_t>(results_.size());
      }
      result_of_.push_back(table_[slot] - 1);
    }
  }

  shared_context& shared_;
  const std::shared_ptr<append_inbox> inbox_;
  std::vector<append_request> gathered_;
  std::vector<caf::strong_actor_ptr> senders_;  // of each; null where it came through the inbox
  bool commit_queued_ = false;
  bool failing_ = false;
  std::span<const append_request> batch_;  // that is being committed
  // Kept from commit to commit, for their memory.
  std::vector<addition> additions_;
  std::vector<atomic_append> appends_;
  std::vector<append_outcome> outcomes_;
  std::vector<pending_result> results_;
  std::vector<std::uint32_t> result_of_;  // of each request, which of results_ answers it
  std::vector<pending_answers*> handing_over_;
  std::vector<std::uint32_t> table_;
};

}  // namespace

caf::actor spawn_journal(caf::actor_system& system, shared_context& shared, std::shared_ptr<append_inbox> appends,
                         threading how) {
  return how == threading::own ? system.spawn<journal_actor, caf::detached>(shared, std::move(appends))
                               : system.spawn<journal_actor>(shared, std::move(appends));
}

}  // namespace cairn::actors
