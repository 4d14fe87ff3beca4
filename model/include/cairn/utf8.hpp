// Whether bytes are text that every reader of UTF-8 takes.
#pragma once

#include <string_view>

namespace cairn::inline v1 {

/// As RFC 3629 has it: no form longer than needed, no half of a surrogate pair, nothing beyond U+10FFFF. Any thread.
bool is_utf8(std::string_view text) noexcept;

}  // namespace cairn
