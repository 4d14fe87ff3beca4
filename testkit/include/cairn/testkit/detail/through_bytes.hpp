// Values taken to their bytes and back, as the runtime takes them: commands, results and states through the codec, events
// through a whole record. What does not come back equal has a flaw, and that is a sentence.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/limits.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/testkit/detail/differences.hpp>

#include <concepts>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

namespace cairn::inline v1::testkit::detail {

/// Whether a type says how it becomes msgpack: it is empty, or has a MSGPACK_DEFINE, or an adaptor of its own.
template <class T>
constexpr bool known_to_msgpack = std::is_empty_v<T> || requires(const T& value, msgpack::packer<std::string>& packer) {
  value.msgpack_pack(packer);
}
|| !std::is_base_of_v<msgpack::v1::adaptor::pack<T>, msgpack::adaptor::pack<T>>;

template <class T>
consteval void require_comparable() {
  static_assert(std::equality_comparable<T>,
                "cairn: the testkit compares what comes back from its bytes: give events, states, results and commands a "
                "`bool operator==(const T&) const = default;`");
}

template <class V>
struct alternatives;
template <class... Ts>
struct alternatives<std::variant<Ts...>> {
  static consteval void require_all_comparable() { (require_comparable<Ts>(), ...); }
};

/// Says in a sentence what keeps the testkit from looking at `A`.
template <class A>
consteval void require_testable() {
  require_aggregate<A>();
  require_comparable<A>();
  alternatives<typename A::Event>::require_all_comparable();
}

/// A value as JSON, also where it cannot be packed.
template <class T>
std::string shown(const T& value) {
  try {
    return json_of(value);
  } catch (const std::exception& reason) { return std::string("(") + reason.what() + ")"; }
}

/// The type's name, and behind it the value, where msgpack knows it.
template <class T>
std::string shown_command(const T& command) {
  if constexpr (known_to_msgpack<T>) {
    return type_name<T>() + " " + shown(command);
  } else {
    return type_name<T>();
  }
}

/// The event's type on disk, and its fields.
template <class... Es>
std::string shown_event(const std::variant<Es...>& event) {
  return std::visit([]<class E>(const E& one) { return std::string(E::type) + " " + shown(one); }, event);
}

/// What to say of a value that came back as another one; empty where it did not.
template <class T>
std::string flaw_between(const T& value, const T& back) {
  if (value == back) return {};
  const auto bytes = bytes_of(value);
  const auto changed = differences(bytes, bytes_of(back));
  if (!changed.empty()) return listed(type_name<T>() + " comes back from its bytes as another value", changed);
  const auto names = field_names(bytes);
  return type_name<T>() + " comes back from its bytes as another value: is a field missing in its MSGPACK_DEFINE_MAP" +
         (names.empty() ? "?" : ", which has " + names + "?");
}

template <class T>
std::string flaw_of_reading(const std::exception& reason) {
  return type_name<T>() + " does not come back from its bytes: " + reason.what();
}

/// What is wrong with a value's way through the codec and back; empty where nothing is.
template <class T>
std::string codec_flaw(const T& value) {
  if constexpr (!std::is_empty_v<T>) {
    require_comparable<T>();
    static_assert(std::default_initializable<T>, "cairn: what comes back from its bytes needs a default constructor");
    try {
      return flaw_between(value, codec<T>::decode(bytes_of(value)));
    } catch (const std::exception& reason) { return flaw_of_reading<T>(reason); }
  }
  return {};  // nothing can be lost of nothing
}

/// The same of what a command answers, which also has to find room on the record of its last event.
template <class Result>
std::string result_flaw(const Result& result) {
  if (auto flaw = codec_flaw(result); !flaw.empty()) return flaw;
  const auto size = bytes_of(result).size();
  if (size <= limits::metadata_field_bytes_max) return {};
  return "the result takes " + std::to_string(size) + " bytes, and may take " + std::to_string(limits::metadata_field_bytes_max);
}

/// The frame that the runtime would store of an event. Throws what it would fail with.
template <Aggregate A>
std::string frame_of(const typename A::Event& event, std::uint64_t version) {
  std::string payload;
  unrecorded_event written;
  written.stream = {A::category, "1"};
  written.version = cairn::version{version};
  std::visit(
      [&]<class E>(const E& one) {
        cairn::detail::encode(payload, one);
        written.type = E::type;
        written.schema_version = schema_version_of<E>();
      },
      event);
  written.payload = payload;
  std::string frame;
  encode_frame(frame, written);
  return frame;
}

/// The event that stands in a frame. Throws where it cannot be read.
template <Aggregate A>
typename A::Event event_in(std::string_view frame) {
  std::string_view body;
  next_frame(frame, body);
  return read_event<A>(decode_record(position{1}, body));
}

/// An event as the runtime goes on with it: read back from its record. Where that has a flaw, as it was.
template <Aggregate A>
struct stored_event {
  typename A::Event event;
  std::string flaw;
};

template <Aggregate A>
stored_event<A> store(const typename A::Event& event, std::uint64_t version) {
  return std::visit(
      [&]<class E>(const E& one) -> stored_event<A> {
        try {
          const auto back = event_in<A>(frame_of<A>(event, version));
          return {back, flaw_between(one, std::get<E>(back))};
        } catch (const std::exception& reason) { return {event, flaw_of_reading<E>(reason)}; }
      },
      event);
}

}  // namespace cairn::testkit::detail
