// In which fields two values differ, by the names that msgpack has for them.
#pragma once

#include <cairn/testkit/detail/json_text.hpp>

#include <string>
#include <string_view>
#include <typeinfo>
#include <vector>

namespace cairn::inline v1::testkit::detail {

using lines = std::vector<std::string>;

/// A line for each field in which two values of msgpack differ: `count: expected 2, actual 3`.
lines differences(std::string_view expected, std::string_view actual);

/// The names of a value's fields, as msgpack knows them: `count, reason`; empty where it has none.
std::string field_names(std::string_view bytes);

/// A line for each difference of two values of one type that are not equal, by their msgpack; never none.
lines differences_of(const std::type_info& type, std::string_view expected, std::string_view actual);

template <class T>
lines differences_of(const T& expected, const T& actual) {
  return differences_of(typeid(T), bytes_of(expected), bytes_of(actual));
}

/// A headline with its lines below, indented.
std::string listed(std::string text, const lines& below);

}  // namespace cairn::testkit::detail
