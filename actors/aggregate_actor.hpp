// The actor of one live aggregate: takes its commands one at a time, and answers once what they saw is durable.
//
// Three phases. *Recovering*: a reader brings the state; commands wait, bounded. *Running*: commands are decided in order of
// arrival on a state that may be ahead of the disk, and their answers wait for the journal. *Failed*: recovery did not succeed;
// commands get the reason at once, and recovery is tried again with growing pauses.
//
// Knows no aggregate type and no store: it sees a hosted_state, and sends messages.
#pragma once

#include "crew.hpp"
#include "pending_answers.hpp"
#include "tsan.hpp"

#include <optional>
#include <utility>

namespace cairn::inline v1::actors {

class aggregate_actor final : public ordered_actor, private evolve_observer {
public:
  aggregate_actor(caf::actor_config& config, shared_context& shared, const crew& colleagues, const aggregate_type& type,
                  std::string id);
  ~aggregate_actor() override;

  const char* name() const override { return "cairn.aggregate"; }
  caf::behavior make_behavior() override;
  void on_exit() override;

  stream_view stream() const { return {type_.category, id_}; }

private:
  enum class phase : std::uint8_t { recovering, running, failed };

  static caf::result<caf::message> take_rare(caf::scheduled_actor* actor, caf::message_view& message);

  // What has been asked.
  void take(operation_ptr asked, timestamp now);
  void decide(operation_ptr asked, timestamp now);
  std::optional<outcome> refusal(std::size_t bytes, timestamp now);
  void repeat(operation_ptr asked, const first_answer& first);
  outcome failed_decision() const;
  void answer_when_durable(operation_ptr asked, outcome&& answer);
  void send_appends();
  void forget_unsent();
  void wake_journal() noexcept;
  void evolved() override;

  // What the journal says.
  void take(const append_result& result);
  void want_what_is_needed();
  void forget_what_is_not_durable(errc code, const std::string& detail, version stands);

  // Recovery.
  void begin_recovery();
  void take(recovery_result& result);
  void fail(errc code, const std::string& detail);
  void decide_waiting();

  // Snapshots and the end.
  void take(const snapshot_result& result);
  void take_snapshot();
  void send_durable_snapshots();
  void end_if_done();

  shared_context& shared_;
  const crew& crew_;
  const aggregate_type& type_;
  std::string id_;

  std::unique_ptr<hosted_state> state_;
  version version_;        // of state_; may be ahead of the disk
  timestamp recorded_at_;  // of the last event
  command_window commands_;

  std::shared_ptr<pending_answers> answers_;  // of what is decided and not durable yet
  operation_queue waiting_;                   // not decided yet: the state is being recovered
  std::string unsent_frames_;                 // of events that are decided and not sent yet: the last of version_
  std::uint32_t unsent_events_ = 0;
  bool gathering_ = false;  // of a message of several commands: their events go as one request
  std::uint32_t snapshots_in_flight_ = 0;
  std::uint64_t incarnation_ = 1;  // changes with every recovery, so that what belongs to an earlier one can be told
  phase phase_ = phase::recovering;
  bool recovery_requested_ = false;
  bool ending_ = false;
  bool snapshot_at_end_ = false;
  version last_snapshot_;
  struct taken_snapshot {
    version at;
    std::string bytes;
    std::shared_ptr<void> room;
  };
  std::vector<taken_snapshot> taken_snapshots_;  // not durable yet, or more than the writer takes
  std::chrono::milliseconds retry_pause_;
  std::unique_ptr<failure> failure_;  // of the last recovery, where that failed
};

}  // namespace cairn::actors
