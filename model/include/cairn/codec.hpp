// Values to msgpack bytes and back. The only place that knows how msgpack is driven.
#pragma once

#include <cairn/error.hpp>

#include <msgpack.hpp>

#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace cairn::codec {

/// Appends `value` to `out`; a type without fields is an empty map. Throws what the type's own packing throws.
template <class T>
void encode(std::string& out, const T& value) {
  struct appender {
    std::string& bytes;
    void write(const char* data, std::size_t size) { bytes.append(data, size); }
  } buffer{out};
  if constexpr (std::is_empty_v<T>) {
    msgpack::packer<appender>(buffer).pack_map(0);
  } else {
    msgpack::packer<appender>(buffer).pack(value);
  }
}

namespace detail {

/// A zone to parse in: the thread's own, emptied, so that parsing a small value allocates nothing; or a fresh one where the
/// thread's is in use, because a type's own unpacking decodes something else.
class arena {
public:
  arena() : mine_(!std::exchange(shared().in_use, true)) {
    if (mine_) {
      shared().zone.clear();
    } else {
      fresh_.emplace();
    }
  }
  ~arena() {
    if (mine_) shared().in_use = false;
  }
  arena(const arena&) = delete;
  arena& operator=(const arena&) = delete;

  msgpack::zone& zone() { return mine_ ? shared().zone : *fresh_; }

private:
  struct thread_zone {
    msgpack::zone zone;
    bool in_use = false;
  };
  static thread_zone& shared() {
    static thread_local thread_zone one;
    return one;
  }

  bool mine_;
  std::optional<msgpack::zone> fresh_;
};

/// Whether everything that the containers in `bytes` claim to hold is there. Looks only, and allocates nothing for it.
inline bool holds_what_it_claims(std::string_view bytes) {
  msgpack::null_visitor visitor;
  std::size_t used = 0;
  return msgpack::parse(bytes.data(), bytes.size(), used, visitor);
}

/// Parsing makes room for what a container claims before it looks for it, some 24 bytes for each of its members and again for
/// each level of nesting. Up to here that is little; beyond, claims are looked into first.
inline constexpr std::size_t bytes_trusted = 1024;
inline constexpr std::size_t nesting_max = 64;

}  // namespace detail

/// Parses exactly `bytes` and hands the object to `use`; the object lives until `use` returns.
/// Throws error(errc::corrupt_record) where the bytes are not exactly one msgpack value.
template <class Use>
auto with_object(std::string_view bytes, Use&& use) {
  detail::arena arena;
  // No container can be longer than its bytes: a damaged length must not ask for gigabytes.
  const msgpack::unpack_limit limit(bytes.size(), bytes.size(), bytes.size(), bytes.size(), bytes.size(), detail::nesting_max);
  if (bytes.size() > detail::bytes_trusted && !detail::holds_what_it_claims(bytes)) {
    throw error(errc::corrupt_record, "not msgpack: it is cut short, or no such value");
  }
  const auto in_place = [](msgpack::type::object_type, std::size_t, void*) { return true; };
  msgpack::object parsed;
  std::size_t used = 0;
  try {
    parsed = msgpack::unpack(arena.zone(), bytes.data(), bytes.size(), used, in_place, nullptr, limit);
  } catch (const std::exception& reason) { throw error(errc::corrupt_record, std::string("not msgpack: ") + reason.what()); }
  if (used != bytes.size()) throw error(errc::corrupt_record, "more bytes than one msgpack value");
  return use(static_cast<const msgpack::object&>(parsed));
}

/// Reads one value from exactly `bytes`. Throws error(errc::corrupt_record) where they are not a `T`.
template <class T>
T decode(std::string_view bytes) {
  return with_object(bytes, [](const msgpack::object& parsed) {
    try {
      T value{};
      if constexpr (!std::is_empty_v<T>) parsed.convert(value);
      return value;
    } catch (const std::bad_cast& reason) {
      throw error(errc::corrupt_record, std::string("msgpack of another type: ") + reason.what());
    }
  });
}

}  // namespace cairn::codec
