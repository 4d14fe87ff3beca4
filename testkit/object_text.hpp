// Parsed msgpack as JSON text.
#pragma once

#include <msgpack/object_fwd.hpp>

#include <string>

namespace cairn::inline v1::testkit::detail {

/// As json_text() of its bytes.
std::string json_text(const msgpack::object& value);

}  // namespace cairn::testkit::detail
