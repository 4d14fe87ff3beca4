#include <cairn/version.hpp>

namespace cairn::inline v1 {

int library_version() noexcept { return CAIRN_VERSION; }

std::string_view library_version_string() noexcept { return CAIRN_VERSION_STRING; }

}  // namespace cairn
