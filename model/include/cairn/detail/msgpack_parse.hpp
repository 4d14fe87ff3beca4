// Bytes to msgpack-c's objects, with a bound on everything that damaged bytes may ask for.
#pragma once

#include <cairn/error.hpp>

#include <cstddef>
#include <exception>
#include <msgpack.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace cairn::codec::detail {

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

/// Whether everything that the containers in the first value of `bytes` claim to hold is there. Looks only, and allocates nothing
/// for it.
inline bool holds_what_it_claims(std::string_view bytes) {
  msgpack::null_visitor visitor;
  std::size_t used = 0;
  return msgpack::parse(bytes.data(), bytes.size(), used, visitor);
}

/// Parsing makes room for what a container claims before it looks for it, some 24 bytes for each of its members and again for
/// each level of nesting. Up to here that is little; beyond, claims are looked into first.
inline constexpr std::size_t bytes_trusted = 1024;
inline constexpr std::size_t nesting_max = 64;

/// Parses the first value of `bytes` and says how many bytes it has. The object lives as long as both the zone and the bytes.
/// Throws error(errc::corrupt_record) where there is no msgpack value.
inline msgpack::object parse_first(msgpack::zone& zone, std::string_view bytes, std::size_t& used) {
  // No container can be longer than its bytes: a damaged length must not ask for gigabytes.
  const msgpack::unpack_limit limit(bytes.size(), bytes.size(), bytes.size(), bytes.size(), bytes.size(), nesting_max);
  if (bytes.size() > bytes_trusted && !holds_what_it_claims(bytes)) {
    throw error(errc::corrupt_record, "not msgpack: it is cut short, or no such value");
  }
  const auto in_place = [](msgpack::type::object_type, std::size_t, void*) { return true; };
  used = 0;
  try {
    return msgpack::unpack(zone, bytes.data(), bytes.size(), used, in_place, nullptr, limit);
  } catch (const std::exception& reason) { throw error(errc::corrupt_record, std::string("not msgpack: ") + reason.what()); }
}

}  // namespace cairn::codec::detail
