#include "object_text.hpp"

#include <cairn/msgpack.hpp>
#include <cairn/testkit/detail/differences.hpp>
#include <cairn/testkit/detail/json_text.hpp>
#include <cairn/testkit/detail/type_name.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cxxabi.h>
#include <memory>
#include <msgpack/iterator.hpp>

namespace cairn::inline v1::testkit::detail {
namespace {

std::string name_of_key(const msgpack::object& key) {
  return key.type == msgpack::type::STR ? std::string(key.via.str.ptr, key.via.str.size) : json_text(key);
}

const msgpack::object* member(const msgpack::object_map& map, const msgpack::object& key) {
  for (std::uint32_t i = 0; i < map.size; ++i) {
    if (map.ptr[i].key == key) return &map.ptr[i].val;
  }
  return nullptr;
}

void add_difference(lines& all, const std::string& path, const std::string& expected, const std::string& actual) {
  all.push_back((path.empty() ? "" : path + ": ") + "expected " + expected + ", actual " + actual);
}

void add_differences(lines& all, const std::string& path, const msgpack::object& expected, const msgpack::object& actual);

void add_differences_of_maps(lines& all, const std::string& path, const msgpack::object_map& expected,
                             const msgpack::object_map& actual) {
  const auto path_of = [&](const msgpack::object& key) {
    return path.empty() ? name_of_key(key) : path + "." + name_of_key(key);
  };
  for (std::uint32_t i = 0; i < expected.size; ++i) {
    const auto& [key, value] = expected.ptr[i];
    if (const auto* other = member(actual, key)) {
      add_differences(all, path_of(key), value, *other);
    } else {
      add_difference(all, path_of(key), json_text(value), "none");
    }
  }
  for (std::uint32_t i = 0; i < actual.size; ++i) {
    const auto& [key, value] = actual.ptr[i];
    if (!member(expected, key)) add_difference(all, path_of(key), "none", json_text(value));
  }
}

/// Returns whether both are not a number. Such a number differs from itself, but two of them look equal.
bool are_nan(const msgpack::object& one, const msgpack::object& other) {
  const auto is_nan = [](const msgpack::object& value) {
    return (value.type == msgpack::type::FLOAT32 || value.type == msgpack::type::FLOAT64) && std::isnan(value.via.f64);
  };
  return is_nan(one) && is_nan(other);
}

void add_differences(lines& all, const std::string& path, const msgpack::object& expected, const msgpack::object& actual) {
  if (expected == actual || are_nan(expected, actual)) return;
  if (expected.type == msgpack::type::MAP && actual.type == msgpack::type::MAP) {
    return add_differences_of_maps(all, path, expected.via.map, actual.via.map);
  }
  const bool arrays = expected.type == msgpack::type::ARRAY && actual.type == msgpack::type::ARRAY;
  if (!arrays || expected.via.array.size != actual.via.array.size) {
    return add_difference(all, path, json_text(expected), json_text(actual));
  }
  for (std::uint32_t i = 0; i < expected.via.array.size; ++i) {
    add_differences(all, path + "[" + std::to_string(i) + "]", expected.via.array.ptr[i], actual.via.array.ptr[i]);
  }
}

bool has_nan(const msgpack::object& value) {
  if (are_nan(value, value)) return true;
  if (value.type == msgpack::type::ARRAY) return std::any_of(begin(value.via.array), end(value.via.array), has_nan);
  return value.type == msgpack::type::MAP &&
         std::any_of(begin(value.via.map), end(value.via.map), [](const msgpack::object_kv& one) { return has_nan(one.val); });
}

/// Explains a difference that msgpack does not show. `bytes` are those of either value.
std::string unstored_difference(const std::type_info& type, std::string_view bytes) {
  const std::string headline = "both values have the same msgpack bytes but differ by operator==: ";
  if (cairn::detail::with_object(bytes, has_nan)) return headline + "a member is not a number, and differs from itself";
  const auto names = field_names(bytes);
  return headline + "a member is missing from the MSGPACK_DEFINE_MAP of " + name_of_type(type) +
         (names.empty() ? "" : " (which has " + names + ")") + ", or operator== compares something that is not stored";
}

}  // namespace

std::string name_of_type(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                              &std::free);
  std::string name = demangled ? demangled.get() : type.name();
  constexpr std::string_view unnamed = "(anonymous namespace)::";
  for (auto at = name.find(unnamed); at != std::string::npos; at = name.find(unnamed)) name.erase(at, unnamed.size());
  return name;
}

lines differences(std::string_view expected, std::string_view actual) {
  return cairn::detail::with_object(expected, [&](const msgpack::object& one) {
    return cairn::detail::with_object(actual, [&](const msgpack::object& other) {
      lines all;
      add_differences(all, "", one, other);
      return all;
    });
  });
}

std::string field_names(std::string_view bytes) {
  return cairn::detail::with_object(bytes, [](const msgpack::object& value) {
    std::string names;
    if (value.type != msgpack::type::MAP) return names;
    for (std::uint32_t i = 0; i < value.via.map.size; ++i) names += (i ? ", " : "") + name_of_key(value.via.map.ptr[i].key);
    return names;
  });
}

lines differences_of(const std::type_info& type, std::string_view expected, std::string_view actual) {
  auto all = differences(expected, actual);
  if (all.empty()) all.push_back(unstored_difference(type, expected));
  return all;
}

std::string listed(std::string text, const lines& below) {
  for (const auto& line : below) text += "\n  " + line;
  return text;
}

}  // namespace cairn::testkit::detail
