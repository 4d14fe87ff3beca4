// The messages between the actors of a runtime, and the actors by name: what a test injects, holds and looks at.
//
// They are plain values and need no CAF. <cairn/actors/messages.hpp> says what each message means.
#pragma once

#include <cairn/actors/messages.hpp>
#include <cairn/aggregate.hpp>
#include <cairn/identity.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace cairn::inline v1::testkit {

/// Any message that one of the runtime's actors understands.
using message = actors::any_message;

/// The place of a kind of message among the variant's.
template <class Message, std::size_t place = 0>
constexpr std::size_t kind_of() {
  static_assert(place < std::variant_size_v<message>, "cairn: this is no message between the actors of a runtime");
  if constexpr (std::is_same_v<Message, std::variant_alternative_t<place, message>>) {
    return place;
  } else {
    return kind_of<Message, place + 1>();
  }
}

/// "append_result", by place.
std::string_view name_of_kind(std::size_t kind) noexcept;

/// One line for people: "append_result through version 3".
std::string describe(const message& what);

/// Names an actor of a runtime. The aggregates are made when they are first asked something; naming one does not make it.
struct address {
  enum class role : std::uint8_t {
    aggregate,
    journal,
    snapshot_writer,
    recoverer,  ///< brings the aggregate `stream` back; may do the same for others
    reader,     ///< looks into the past of the aggregate `stream`; may do the same for others
    directory,  ///< keeps the aggregate `stream`, and others
  };

  role is = role::journal;
  stream_id stream = {};

  bool operator==(const address&) const = default;
};

/// "aggregate product/1", "journal".
std::string to_string(const address& who);

inline address journal_actor() { return {address::role::journal, {}}; }
inline address snapshot_writer() { return {address::role::snapshot_writer, {}}; }
template <Aggregate A>
address aggregate(aggregate_id id) {
  return {address::role::aggregate, stream_id(A::category, id)};
}
template <Aggregate A>
address recoverer_of(aggregate_id id) {
  return {address::role::recoverer, stream_id(A::category, id)};
}
template <Aggregate A>
address reader_of(aggregate_id id) {
  return {address::role::reader, stream_id(A::category, id)};
}
template <Aggregate A>
address directory_of(aggregate_id id) {
  return {address::role::directory, stream_id(A::category, id)};
}

}  // namespace cairn::testkit
