#include "aggregate_actor.hpp"

#include "standing_actor.hpp"

#include <caf/send.hpp>

#include <algorithm>

namespace cairn::inline v1::actors {
namespace {

constexpr std::uint32_t snapshots_in_flight_max = 16;  // of one aggregate
// Two requests keep the journal fed: one is being committed, one is the next batch. What is decided meanwhile goes as one request
// when the first is answered, so a hot aggregate costs the journal two requests for each commit and not one for each command.
constexpr std::uint32_t appends_in_flight_max = 2;

// Holds no share of the actor: a share taken and given up for each append is a line of memory that goes from core to core.
class answers_of_actor final : public pending_answers {
public:
  explicit answers_of_actor(caf::actor_control_block* aggregate) : aggregate_(aggregate) {}

  void send_result(append_result&& result) const override {
    if (const auto living = aggregate_.lock()) caf::anon_send(caf::actor_cast<caf::actor>(living), std::move(result));
  }

private:
  caf::weak_actor_ptr aggregate_;
};

}  // namespace

aggregate_actor::aggregate_actor(caf::actor_config& config, shared_context& shared, const crew& colleagues,
                                 const aggregate_type& type, std::string id)
    : ordered_actor(config), shared_(shared), crew_(colleagues), type_(type), id_(std::move(id)),
      commands_(shared.bounds.deduplication_window_size), answers_(std::make_shared<answers_of_actor>(ctrl())),
      retry_pause_(shared.bounds.recovery_retry_min) {}

aggregate_actor::~aggregate_actor() { happens_after(mailbox()); }

// A behavior's handlers are objects of each actor. Those of the messages that come often are few; the others find their way
// through the default handler, which costs an aggregate nothing as long as it is idle.
caf::behavior aggregate_actor::make_behavior() {
  set_default_handler(take_rare);
  begin_recovery();
  return ordered({
      [this](perform& message) { take(std::move(message.what), shared_.now()); },
      [this](perform_many& message) {
        const auto now = shared_.now();
        gathering_ = true;
        for (auto& asked : message.what) take(std::move(asked), now);
        gathering_ = false;
        send_appends();
      },
      [this](const append_result& result) { take(result); },
  });
}

caf::result<caf::message> aggregate_actor::take_rare(caf::scheduled_actor* actor, caf::message_view& message) {
  auto& self = static_cast<aggregate_actor&>(*actor);
  const turn_of turn(&self);
  auto& content = message.content();
  if (content.match_elements<recovery_result>()) {
    self.take(content.get_mutable_as<recovery_result>(0));
  } else if (content.match_elements<snapshot_result>()) {
    self.take(content.get_as<snapshot_result>(0));
  } else if (content.match_elements<retry_recovery>()) {
    const auto incarnation = content.get_as<retry_recovery>(0).incarnation;
    if (self.phase_ == phase::failed && incarnation == self.incarnation_) self.begin_recovery();
  } else if (content.match_elements<passivate>()) {
    self.ending_ = true;
    self.snapshot_at_end_ = content.get_as<passivate>(0).snapshot;
    self.want_what_is_needed();
    self.end_if_done();
  } else {
    return caf::print_and_drop(actor, message);
  }
  return caf::message{};  // answers nobody
}

void aggregate_actor::on_exit() {
  // Whoever still waits is told by the operations' destructors.
  answers_->abandon();
  forget_unsent();
  waiting_ = {};
  state_.reset();
}

// -- what has been asked

void aggregate_actor::take(operation_ptr asked, timestamp now) {
  if (*asked->type().id != *type_.id) {
    asked->complete(
        outcome::failed(errc::invalid_argument,
                        to_string(stream()) + " is live as another aggregate type of category " + std::string(type_.category)));
    return;
  }
  switch (phase_) {
  case phase::running: decide(std::move(asked), now); break;
  case phase::failed: asked->complete(outcome::failed(failure_->code, failure_->detail)); break;
  case phase::recovering:
    if (waiting_.size() >= shared_.bounds.recovery_queue_max) {
      asked->complete(outcome::failed(errc::overloaded, to_string(stream()) + " is being recovered, and " +
                                                            std::to_string(waiting_.size()) + " commands wait for it already"));
    } else {
      waiting_.push(std::move(asked));
    }
    break;
  }
}

void aggregate_actor::decide(operation_ptr asked, timestamp now) {
  // It has expired. Completing it again gives up its place: whoever asked may hold it for long, as a batch does.
  if (!asked->begin_decision()) return operation::complete(std::move(asked));
  const auto& options = asked->options();
  outcome answer;
  answer.version = version_;
  // Before the deadline: a repeat asks what has happened already.
  if (const auto* first = commands_.find(options.command_id)) return repeat(std::move(asked), *first);
  if (options.deadline) {
    now = shared_.now();  // others of the same message may have taken a while
    if (*options.deadline < now) return asked->complete(outcome::failed(errc::deadline_passed, to_string(stream())));
  }
  if (!options.expected.admits(version_)) {
    answer.code = errc::version_conflict;
    answer.text = to_string(stream()) + " is at version " + std::to_string(version_.value) + ", the command expected version " +
                  std::to_string(options.expected.required()->value);
    return answer_when_durable(std::move(asked), std::move(answer));
  }

  const auto recorded_at = std::max(now, recorded_at_);
  draft events(unsent_frames_, stream(), version_, recorded_at, options);
  std::uint64_t fingerprint = 0;
  try {
    if (!options.command_id.empty()) fingerprint = asked->fingerprint();
    events.set_fingerprint(fingerprint);
    asked->decide(*state_, events, answer);
  } catch (...) {
    events.discard();
    // It too has seen what is not durable yet.
    return answer_when_durable(std::move(asked), failed_decision());
  }
  if (events.events() == 0) return answer_when_durable(std::move(asked), std::move(answer));
  if (auto refused = refusal(events.bytes(), now)) {
    events.discard();
    return answer_when_durable(std::move(asked), std::move(*refused));
  }

  // From here on the domain cannot fail: the events have been read back from their bytes, and evolve is noexcept.
  recorded_at_ = recorded_at;
  answer.events = events.events();
  answer.version = version_ + answer.events;
  commands_.remember(options.command_id, answer.version, answer.events, answer.text, fingerprint);
  asked->evolve(*state_, *this);
  answer_when_durable(std::move(asked), std::move(answer));
  if (!crew_.journal) return events.discard();
  shared_.undurable_bytes.fetch_add(static_cast<std::int64_t>(events.bytes()), std::memory_order_relaxed);
  unsent_events_ += events.events();
  send_appends();
}

// Why events of so many bytes are not stored now, though they are decided.
std::optional<outcome> aggregate_actor::refusal(std::size_t bytes, timestamp now) {
  if (!crew_.journal) return std::nullopt;
  const auto waiting = shared_.undurable_bytes.load(std::memory_order_relaxed);
  if (waiting > 0 && waiting + static_cast<std::int64_t>(bytes) > undurable_bytes_max) {
    return outcome::failed(errc::overloaded, "events of " + std::to_string(waiting) + " bytes wait to be durable");
  }
  return shared_.health.refusal(now, shared_.bounds);
}

// Of the exception that is being handled.
outcome aggregate_actor::failed_decision() const {
  auto [code, detail] = current_failure(errc::decide_failed);
  return outcome::failed(code == errc::invalid_argument ? code : errc::decide_failed, to_string(stream()) + ": " + detail);
}

void aggregate_actor::repeat(operation_ptr asked, const first_answer& first) {
  outcome answer;
  try {
    const auto fingerprint = asked->fingerprint();
    if (fingerprint != 0 && first.fingerprint != 0 && fingerprint != first.fingerprint) {
      answer = outcome::failed(errc::command_id_reused, to_string(stream()) + ": another command had the command id \"" +
                                                            first.command_id + "\", and made version " +
                                                            std::to_string(first.last.value) + "; give this one its own");
    } else {
      answer.events = first.events;
      answer.text = first.result;
      answer.repeated = true;
    }
  } catch (...) { answer = failed_decision(); }
  answer.version = first.last;
  answer_when_durable(std::move(asked), std::move(answer));
}

void aggregate_actor::forget_unsent() {
  shared_.undurable_bytes.fetch_sub(static_cast<std::int64_t>(unsent_frames_.size()), std::memory_order_relaxed);
  unsent_events_ = 0;
  unsent_frames_ = {};
}

void aggregate_actor::send_appends() {
  if (gathering_ || unsent_events_ == 0 || !answers_->begin_append(appends_in_flight_max)) return;
  const version expected{version_.value - unsent_events_};
  append_request request{stream_id(stream()), expected, std::exchange(unsent_events_, 0), std::exchange(unsent_frames_, {}),
                         incarnation_,        answers_};
  if (!crew_.appends) return send(crew_.journal, std::move(request));
  if (crew_.appends->put(std::move(request))) wake_journal();
}

// An inbox that is not empty and of which the journal does not know would be so for ever.
void aggregate_actor::wake_journal() noexcept {
  try {
    send(crew_.journal, commit_now{});
  } catch (...) { end_process_of("cairn.journal"); }
}

void aggregate_actor::evolved() {
  version_ = version_ + 1;
  const auto every = shared_.bounds.snapshot_every_events;
  if (every > 0 && version_.value % every == 0) take_snapshot();
}

void aggregate_actor::answer_when_durable(operation_ptr asked, outcome&& answer) {
  asked->held = std::move(answer);
  // The answer has seen everything up to version_, and must not be heard before that is durable.
  if (!crew_.journal) return operation::complete(std::move(asked));
  answers_->hold(std::move(asked), version_);
}

// -- what the journal says

void aggregate_actor::take(const append_result& result) {
  if (result.incarnation != incarnation_ || phase_ != phase::running) {
    // Of an earlier incarnation: its commands have been answered. Recovery may have waited for the last of them.
    answers_->settle(result.appends, {});
    if (phase_ == phase::recovering && !recovery_requested_ && !answers_->an_append_is_on_its_way()) begin_recovery();
    // Or it says that the journal left answers behind, which may be all that the end waited for.
    return end_if_done();
  }
  answers_->settle(result.appends, std::min(result.durable_through, version_));
  send_durable_snapshots();
  if (result.code != errc{}) {
    forget_what_is_not_durable(result.code, result.detail, result.stands);
  } else {
    send_appends();
    want_what_is_needed();
  }
  end_if_done();
}

void aggregate_actor::want_what_is_needed() {
  answers_->want_results(ending_ || phase_ == phase::recovering || unsent_events_ > 0 || !taken_snapshots_.empty());
}

void aggregate_actor::forget_what_is_not_durable(errc code, const std::string& detail, version stands) {
  auto failure = outcome::failed(code, detail);
  failure.version = stands;
  answers_->fail(failure, ++incarnation_);
  forget_unsent();
  taken_snapshots_.clear();
  state_.reset();
  phase_ = phase::recovering;
  recovery_requested_ = false;
  // Appends that are still on their way may yet be stored: only when the last is answered does the journal say what stands.
  if (!answers_->an_append_is_on_its_way()) begin_recovery();
}

// -- recovery

void aggregate_actor::begin_recovery() {
  phase_ = phase::recovering;
  if (!crew_.journal) {
    recovery_result fresh{incarnation_, std::make_shared<recovered>(recovered{type_.make(), {}, {}, commands_, {}, 0}), {}, {}};
    return take(fresh);
  }
  recovery_requested_ = true;
  recovery_request wanted{&type_, stream_id(stream()), incarnation_};
  if (!crew_.recoveries) return send(crew_.recoverer_for(stream_hash{}(stream())), std::move(wanted));
  const auto idle = crew_.recoveries->put(recovery_order{std::move(wanted), caf::actor_cast<caf::actor>(this)});
  if (idle) send(crew_.recoverers[*idle], read_next{});
}

void aggregate_actor::take(recovery_result& result) {
  if (result.incarnation != incarnation_ || phase_ != phase::recovering) return;
  recovery_requested_ = false;
  if (!result.aggregate) return fail(result.code, result.detail);
  auto& found = *result.aggregate;
  state_ = std::move(found.state);
  version_ = found.version;
  answers_->recovered_at(version_);
  recorded_at_ = found.recorded_at;
  commands_ = std::move(found.commands);
  last_snapshot_ = found.snapshot;
  phase_ = phase::running;
  retry_pause_ = shared_.bounds.recovery_retry_min;
  want_what_is_needed();
  decide_waiting();
  end_if_done();
}

void aggregate_actor::decide_waiting() {
  while (phase_ == phase::running && !waiting_.empty()) decide(waiting_.pop(), shared_.now());
}

void aggregate_actor::fail(errc code, const std::string& detail) {
  phase_ = phase::failed;
  failure_ = std::make_unique<failure>(failure{code, detail});
  while (!waiting_.empty()) waiting_.pop()->complete(outcome::failed(code, detail));
  if (ending_) return end_if_done();
  shared_.warn("recovery of " + to_string(stream()) + " failed, and is tried again in " + std::to_string(retry_pause_.count()) +
               " ms: " + detail);
  delayed_send(this, retry_pause_, retry_recovery{incarnation_});
  retry_pause_ = std::min(2 * retry_pause_, shared_.bounds.recovery_retry_max);
}

// -- snapshots and the end

void aggregate_actor::take_snapshot() {
  if (!crew_.snapshots) return;
  try {
    auto bytes = encode_snapshot(version_, recorded_at_, type_.schema_version, *state_, commands_);
    auto room = shared_.room_for_snapshot(bytes.size());
    if (!room) return;  // behind a disk that cannot keep up there is none: a snapshot is an optimisation
    taken_snapshots_.push_back({version_, std::move(bytes), std::move(room)});
    want_what_is_needed();
  } catch (...) {
    // The user's own packing of the state may throw. That costs the next recovery time, and nobody anything else.
    shared_.stats.failed_snapshots.fetch_add(1, std::memory_order_relaxed);
    shared_.warn("no snapshot of " + to_string(stream()) + " at version " + std::to_string(version_.value) + ": " +
                 current_failure(errc::decide_failed).detail);
  }
}

void aggregate_actor::send_durable_snapshots() {
  const auto durable = answers_->durable();
  while (!taken_snapshots_.empty() && taken_snapshots_.front().at <= durable) {
    auto& [at, bytes, room] = taken_snapshots_.front();
    // Where the writer cannot keep up, only the newest is kept for it: the others would be pruned at once.
    const bool newer = taken_snapshots_.size() > 1 && taken_snapshots_[1].at <= durable;
    if (snapshots_in_flight_ >= snapshots_in_flight_max && !newer) return;
    if (snapshots_in_flight_ < snapshots_in_flight_max) {
      last_snapshot_ = at;
      ++snapshots_in_flight_;
      send(crew_.snapshots, snapshot_request{stream_id(stream()), at, std::move(bytes), std::move(room)});
    }
    taken_snapshots_.erase(taken_snapshots_.begin());
  }
}

void aggregate_actor::take(const snapshot_result& result) {
  if (snapshots_in_flight_ > 0) --snapshots_in_flight_;
  if (!result.saved && result.at == last_snapshot_) last_snapshot_ = {};  // passivation tries once more
  send_durable_snapshots();
  end_if_done();
}

void aggregate_actor::end_if_done() {
  if (!ending_ || phase_ == phase::recovering || !answers_->all_done()) return;
  // The journal may have counted the last append, and its result be on its way.
  send_durable_snapshots();
  if (snapshots_in_flight_ > 0) return;  // whose results say whether one is needed
  if (phase_ == phase::running && std::exchange(snapshot_at_end_, false) && last_snapshot_ < version_ &&
      shared_.bounds.snapshot_every_events > 0) {
    take_snapshot();
    send_durable_snapshots();
  }
  if (snapshots_in_flight_ == 0) quit();
}

}  // namespace cairn::actors
