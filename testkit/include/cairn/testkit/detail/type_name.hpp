// How a type is called in its source, for messages.
#pragma once

#include <string>
#include <typeinfo>

namespace cairn::inline v1::testkit::detail {

/// The type's qualified name, without the namespaces that have none.
std::string name_of_type(const std::type_info& type);

template <class T>
std::string type_name() {
  return name_of_type(typeid(T));
}

}  // namespace cairn::testkit::detail
