// The messages that the actors of cairn understand. Tests inject these, and nothing else is sent between them; on threads,
// appends reach the journal through its inbox and commands their aggregate through a directory's table instead. Knows nothing of
// CAF.
#pragma once

#include <cairn/detail/operation.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

namespace cairn::inline v1::actors {

class drain_gate;
class pending_answers;
struct recovered;

/// To an aggregate, or to a directory, which hands it on: do this. A directory gets it only on the testkit's engine, or injected;
/// else commands pass through it without a message.
struct perform {
  operation_ptr what;
};

/// The same: do these, in their order. To a directory, of any of its aggregates, each of which gets its own
/// in one message; to an aggregate, its own. Also how a directory hands over what came for an aggregate that had no actor. Each
/// has an outcome by itself: that they came together binds them to nothing.
struct perform_many {
  std::vector<operation_ptr> what;
};

/// To the journal, from an aggregate: make the events of one or several decisions durable, all or none. Answered by
/// append_result, one for all of the aggregate's requests in a group commit. A journal that has a thread of its own gets it
/// through an append_inbox, without a sender: where all went well it settles `answers` right there, and sends a result only if
/// they say that the aggregate wants to know.
struct append_request {
  stream_id stream;
  version expected;
  std::uint32_t events = 0;
  std::string frames;
  std::uint64_t incarnation = 0;  ///< comes back with the answer
  std::shared_ptr<pending_answers> answers = {};
};

/// To the aggregate, from the journal. Cumulative: everything up to `durable_through` is durable.
struct append_result {
  std::uint64_t incarnation = 0;
  std::uint32_t appends = 0;  ///< how many requests this answers; 0: `answers` of the requests have been settled already
  version durable_through;    ///< 0 where none of them was stored
  errc code{};                ///< set: what follows `durable_through` was not stored, or may not have been
  std::string detail;
  version stands;  ///< with errc::version_conflict
};

/// To the journal, from itself: commit what has been gathered. From an aggregate: the inbox is no longer empty.
struct commit_now {};

/// To a reader: there is something in its inbox. It takes one, and tells itself again until there is nothing left.
struct read_next {};

/// To a reader, from an aggregate: recover it. Answered by recovery_result. If there is an inbox, it goes there instead.
struct recovery_request {
  const aggregate_type* type = nullptr;
  stream_id stream;
  std::uint64_t incarnation = 0;
};

/// To the aggregate, from a reader.
struct recovery_result {
  std::uint64_t incarnation = 0;
  std::shared_ptr<recovered> aggregate;  ///< null where it failed
  errc code{};
  std::string detail;
};

/// To a reader: read the journal, and answer the caller. If there is an inbox, it goes there instead.
struct read_request {
  operation_ptr what;
};

/// To the snapshot writer, from an aggregate. Answered by snapshot_result.
struct snapshot_request {
  stream_id stream;
  version at;
  std::string bytes;
  std::shared_ptr<void> room = {};  ///< that the bytes take among those that wait, until it is gone
};

/// To the aggregate, from the snapshot writer.
struct snapshot_result {
  version at;
  bool saved = false;
};

/// To an aggregate, from itself: try again to recover.
struct retry_recovery {
  std::uint64_t incarnation = 0;
};

/// To an aggregate, from its directory: finish what you have, leave a snapshot where `snapshot`, and end. Nothing comes after it.
struct passivate {
  bool snapshot = true;
};

/// To a directory, when an aggregate's actor has ended, for whatever reason; and to the journal, from a directory whose
/// aggregate's actor has died: comes back once all that the dead actor had sent before is committed.
struct aggregate_ended {
  void* entry = nullptr;  ///< the directory's own
  bool settled = true;    ///< false: it has died, and what it has sent to the journal may not be committed yet
};

/// To a directory, from itself: look for idle aggregates.
struct look_for_idle {};

/// To a directory: passivate everything, and pass the gate when nothing lives any more. Operations are refused from now on.
struct drain_directory {
  bool snapshot = true;
  std::shared_ptr<drain_gate> gate;
};

/// To any of the standing actors: end, once everything before this message is done.
struct finish {};

/// Any of them.
using any_message = std::variant<perform, perform_many, append_request, append_result, commit_now, read_next, recovery_request,
                                 recovery_result, read_request, snapshot_request, snapshot_result, retry_recovery, passivate,
                                 aggregate_ended, look_for_idle, drain_directory, finish>;

template <class T, class Variant = any_message>
inline constexpr bool is_message = false;
template <class T, class... Messages>
inline constexpr bool is_message<T, std::variant<Messages...>> = (std::is_same_v<T, Messages> || ...);

}  // namespace cairn::actors

// CAF sends only types that can be serialized, or that are declared here. The messages never leave the process.
namespace caf {

template <class T>
struct allowed_unsafe_message_type;
template <class T>
requires cairn::actors::is_message<T>
struct allowed_unsafe_message_type<T> : std::true_type {
};

}  // namespace caf
