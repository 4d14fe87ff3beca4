// Values taken to their bytes and back, as the runtime takes them: commands, results and states through the codec, events
// through a whole record. What does not come back equal has a flaw, and that is a sentence.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/record.hpp>
#include <cairn/testkit/detail/differences.hpp>
#include <cairn/testkit/detail/type_name.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
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
  return shown(&value, pack<T>);
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

/// An event whose type is forgotten. Lives as long as the event.
struct any_event {
  const void* event;
  const std::type_info* type;
  std::string_view name;  ///< on disk
  std::uint32_t schema_version;
  pack_function pack;
};

template <class... Es>
any_event forget_type(const std::variant<Es...>& event) {
  return std::visit(
      []<class E>(const E& one) {
        return any_event{&one, &typeid(E), E::type, schema_version_of<E>(), pack<E>};
      },
      event);
}

/// The event's type on disk, and its fields.
std::string shown_event(const any_event& event);
template <class... Es>
std::string shown_event(const std::variant<Es...>& event) {
  return shown_event(forget_type(event));
}

/// How two events differ that are not equal.
lines differences_of_events(const any_event& expected, const any_event& actual);

/// What is wrong with a value of `type` that came back as another one, by the msgpack of both.
std::string flaw_between(const std::type_info& type, std::string_view bytes, std::string_view bytes_of_back);

/// The same of two events of one type.
std::string flaw_between(const any_event& event, const any_event& back);

std::string flaw_of_reading(const std::type_info& type, const std::exception& reason);

/// What codec_flaw() must know of a type.
struct comparable_codec {
  const std::type_info* type;
  pack_function pack;
  /// Reads a value from `bytes`. Where it is not equal to `value`, gives its own bytes to `other`, and false.
  bool (*comes_back)(const void* value, std::string_view bytes, std::string& other);
};

template <class T>
bool comes_back(const void* value, std::string_view bytes, std::string& other) {
  const T back = codec<T>::decode(bytes);
  if (*static_cast<const T*>(value) == back) return true;
  cairn::detail::encode(other, back);
  return false;
}

/// What is wrong with a value's way through the codec and back; empty where nothing is.
std::string codec_flaw(const void* value, const comparable_codec& of);
template <class T>
std::string codec_flaw(const T& value) {
  if constexpr (!std::is_empty_v<T>) {
    require_comparable<T>();
    static_assert(std::default_initializable<T>, "cairn: what comes back from its bytes needs a default constructor");
    return codec_flaw(&value, {&typeid(T), pack<T>, comes_back<T>});
  }
  return {};  // nothing can be lost of nothing
}

/// What is wrong with the size of a result, which has to find room on the record of its command's last event.
std::string flaw_of_result_size(std::size_t bytes);

/// The same of what a command answers, which also has to find room on the record of its last event.
template <class Result>
std::string result_flaw(const Result& result) {
  auto flaw = codec_flaw(result);
  return flaw.empty() ? flaw_of_result_size(bytes_of(result).size()) : flaw;
}

/// The frame that the runtime would store of an event. Throws what it would fail with.
std::string frame_of(std::string_view category, std::uint64_t version, const any_event& event);
template <Aggregate A>
std::string frame_of(const typename A::Event& event, std::uint64_t version) {
  return frame_of(A::category, version, forget_type(event));
}

/// The record that stands in a frame, at position 1. Lives as long as the frame. Throws where it cannot be read.
record_view record_in(std::string_view frame);

/// The event that stands in a frame. Throws where it cannot be read.
template <Aggregate A>
typename A::Event event_in(std::string_view frame) {
  return read_event<A>(record_in(frame));
}

/// An event as the runtime goes on with it: read back from its record. Where that has a flaw, as it was.
template <Aggregate A>
struct stored_event {
  typename A::Event event;
  std::string flaw;
};

template <Aggregate A>
stored_event<A> store(const typename A::Event& event, std::uint64_t version) {
  const auto written = forget_type(event);
  try {
    stored_event<A> stored{event_in<A>(frame_of(A::category, version, written)), {}};
    if (!(stored.event == event)) stored.flaw = flaw_between(written, forget_type(stored.event));
    return stored;
  } catch (const std::exception& reason) { return {event, flaw_of_reading(*written.type, reason)}; }
}

}  // namespace cairn::testkit::detail
