// What a writer that is no aggregate of the runtime would have the journal store.
#pragma once

#include <cairn/actors/messages.hpp>
#include <cairn/codec.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/record.hpp>

#include <cstdint>
#include <string>

namespace cairn::tests {

/// One event behind the version `expected` of the product `id`.
template <class Event>
actors::append_request foreign_append(const std::string& id, std::uint64_t expected, const Event& what,
                                      std::uint64_t incarnation = 1) {
  actors::append_request request{stream_id("product", id), version{expected}, 1, {}, incarnation};
  std::string payload;
  cairn::detail::encode(payload, what);
  unrecorded_event event;
  event.stream = request.stream;
  event.version = version{expected + 1};
  event.type = Event::type;
  event.payload = payload;
  encode_frame(request.frames, event);
  return request;
}

}  // namespace cairn::tests
