// How a type is called in its source, for messages.
#pragma once

#include <cstdlib>
#include <cxxabi.h>
#include <memory>
#include <string>
#include <string_view>
#include <typeinfo>

namespace cairn::inline v1::testkit::detail {

/// The type's qualified name, without the namespaces that have none.
template <class T>
std::string type_name() {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(abi::__cxa_demangle(typeid(T).name(), nullptr, nullptr, &status),
                                                              &std::free);
  std::string name = demangled ? demangled.get() : typeid(T).name();
  constexpr std::string_view unnamed = "(anonymous namespace)::";
  for (auto at = name.find(unnamed); at != std::string::npos; at = name.find(unnamed)) name.erase(at, unnamed.size());
  return name;
}

}  // namespace cairn::testkit::detail
