// How doctest shows the records that a test of a journal compares.
#pragma once

#include <cairn/testkit/detail/doctest_strings.hpp>
#include <cairn/testkit/drafts.hpp>

#include <cstddef>
#include <doctest/doctest.h>
#include <optional>
#include <string>
#include <vector>

namespace cairn::inline v1::testkit::detail {

inline std::string print(std::uint64_t number) { return std::to_string(number); }

inline std::string print(const seen& record) {
  constexpr std::size_t bytes_max = 60;
  auto name = to_string(record.stream);
  if (name.size() > bytes_max) name = name.substr(0, bytes_max) + "…";
  auto payload = record.payload;
  if (payload.size() > bytes_max) payload = payload.substr(0, bytes_max) + "…";
  return print(record.position) + ": " + name + " version " + print(record.version) + " '" + payload + "'";
}

template <class Element>
std::string print(const std::vector<Element>& elements) {
  constexpr std::size_t elements_max = 20;
  std::string all;
  for (std::size_t i = 0; i < elements.size() && i < elements_max; ++i) all += (i ? ", " : "") + print(elements[i]);
  return "[" + all + (elements.size() > elements_max ? ", … " + print(elements.size()) + " in all]" : "]");
}

}  // namespace cairn::testkit::detail

namespace doctest {

template <>
struct StringMaker<cairn::testkit::numbers> {
  static String convert(const cairn::testkit::numbers& all) { return cairn::testkit::detail::print(all).c_str(); }
};
template <>
struct StringMaker<std::vector<cairn::testkit::seen>> {
  static String convert(const std::vector<cairn::testkit::seen>& all) { return cairn::testkit::detail::print(all).c_str(); }
};

}  // namespace doctest
