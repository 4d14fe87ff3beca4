#include "commit_builder.hpp"

#include <cstring>

namespace cairn::inline v1::detail {

void commit_builder::begin(std::string& buffer, position first, const digest& previous) {
  buffer_ = &buffer;
  head_ = previous;
  next_ = first;
  is_open_ = false;
}

void commit_builder::open_chunk() {
  chunk_at_ = static_cast<std::uint32_t>(buffer_->size());
  buffer_->append(chunk_length_bytes, '\0');
  chunk_.begin(*buffer_, next_, head_);
  is_open_ = true;
}

commit_builder::spot commit_builder::add(std::string_view body) {
  if (is_open_ && !chunk_.has_room(body.size())) close_chunk();
  if (!is_open_) open_chunk();
  return {chunk_at_, chunk_.add(body)};
}

void commit_builder::close_chunk() {
  if (!is_open_) return;
  next_ = chunk_.next();
  const auto chunk = chunk_.finish();
  const auto length = static_cast<std::uint32_t>(chunk.size());
  std::memcpy(buffer_->data() + chunk_at_, &length, sizeof length);
  if (chained_) head_ = hash_of(sha256_, chunk_.first(), chunk);
  is_open_ = false;
}

}  // namespace cairn::detail
