#include <cairn/identity.hpp>

namespace cairn::inline v1 {

std::string to_string(stream_view stream) {
  std::string name;
  name.reserve(stream.category.size() + 1 + stream.id.size());
  return name.append(stream.category).append("/").append(stream.id);
}

}  // namespace cairn
