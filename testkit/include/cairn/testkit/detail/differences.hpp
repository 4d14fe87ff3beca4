// In which fields two values differ, by the names that msgpack has for them.
#pragma once

#include <cairn/testkit/detail/json_text.hpp>
#include <cairn/testkit/detail/type_name.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::testkit::detail {

using lines = std::vector<std::string>;

inline std::string name_of_key(const msgpack::object& key) {
  return key.type == msgpack::type::STR ? std::string(key.via.str.ptr, key.via.str.size) : json_text(key);
}

inline const msgpack::object* member(const msgpack::object_map& map, const msgpack::object& key) {
  for (std::uint32_t i = 0; i < map.size; ++i) {
    if (map.ptr[i].key == key) return &map.ptr[i].val;
  }
  return nullptr;
}

inline void add_difference(lines& all, const std::string& path, const std::string& expected, const std::string& actual) {
  all.push_back((path.empty() ? "" : path + ": ") + "expected " + expected + ", actual " + actual);
}

inline void add_differences(lines& all, const std::string& path, const msgpack::object& expected, const msgpack::object& actual);

inline void add_differences_of_maps(lines& all, const std::string& path, const msgpack::object_map& expected,
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

inline void add_differences(lines& all, const std::string& path, const msgpack::object& expected, const msgpack::object& actual) {
  if (expected == actual) return;
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

/// A line for each field in which two values of msgpack differ: `count: expected 2, actual 3`.
inline lines differences(std::string_view expected, std::string_view actual) {
  return codec::with_object(expected, [&](const msgpack::object& one) {
    return codec::with_object(actual, [&](const msgpack::object& other) {
      lines all;
      add_differences(all, "", one, other);
      return all;
    });
  });
}

/// The names of a value's fields, as msgpack knows them: `count, reason`; empty where it has none.
inline std::string field_names(std::string_view bytes) {
  return codec::with_object(bytes, [](const msgpack::object& value) {
    std::string names;
    if (value.type != msgpack::type::MAP) return names;
    for (std::uint32_t i = 0; i < value.via.map.size; ++i) names += (i ? ", " : "") + name_of_key(value.via.map.ptr[i].key);
    return names;
  });
}

/// A line for each difference of two values that are not equal; never none.
template <class T>
lines differences_of(const T& expected, const T& actual) {
  auto all = differences(bytes_of(expected), bytes_of(actual));
  if (all.empty()) {
    all.push_back("a field of " + type_name<T>() + " that msgpack does not know: is one missing in its MSGPACK_DEFINE_MAP?");
  }
  return all;
}

/// A headline with its lines below, indented.
inline std::string listed(std::string text, const lines& below) {
  for (const auto& line : below) text += "\n  " + line;
  return text;
}

}  // namespace cairn::testkit::detail
