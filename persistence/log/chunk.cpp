#include "chunk.hpp"

#include "checksum.hpp"

#include <cairn/error.hpp>

#include <bit>
#include <cstring>
#include <new>
#include <openssl/evp.h>

namespace cairn::inline v1::detail {
namespace {

static_assert(std::endian::native == std::endian::little, "the chunk codec copies little-endian integers as they stand");

// Where each field of the header starts.
constexpr std::size_t count_at = 1;
constexpr std::size_t first_at = 5;
constexpr std::size_t previous_at = 13;
constexpr std::size_t checksum_at_offset = 45;
constexpr std::size_t record_head_bytes = 12;

template <class Integer>
Integer load(std::string_view bytes, std::size_t at) {
  Integer value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

template <class Integer>
void store(char* to, Integer value) {
  std::memcpy(to, &value, sizeof value);
}

// Seeded with the position, so that a record in another place fails like one that was changed.
std::uint64_t checksum_at(position where, std::string_view bytes) { return checksum(bytes, where.value); }

}  // namespace

void sha256::closer::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }
void sha256::closer::operator()(evp_md_st* algorithm) const { EVP_MD_free(algorithm); }

sha256::sha256() : algorithm_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  if (!algorithm_ || !context_) throw std::bad_alloc();
}

digest sha256::operator()(std::string_view first, std::string_view second) {
  digest result;
  const bool done = EVP_DigestInit_ex2(context_.get(), algorithm_.get(), nullptr) == 1 &&
                    EVP_DigestUpdate(context_.get(), first.data(), first.size()) == 1 &&
                    EVP_DigestUpdate(context_.get(), second.data(), second.size()) == 1 &&
                    EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(result.data()), nullptr) == 1;
  if (!done) throw error(errc::journal_unavailable, "OpenSSL cannot compute a SHA-256");
  return result;
}

digest hash_of(sha256& hash, position first, std::string_view chunk) {
  const auto key = std::bit_cast<std::array<char, 8>>(__builtin_bswap64(first.value));
  return hash({key.data(), key.size()}, chunk);
}

void chunk_writer::begin(std::string& out, position first, const digest& previous) {
  out_ = &out;
  start_ = out.size();
  first_ = first;
  count_ = 0;
  out.resize(start_ + chunk_header_bytes);
  auto* const header = out.data() + start_;
  header[0] = static_cast<char>(chunk_format);
  store(header + first_at, first.value);
  std::memcpy(header + previous_at, previous.data(), previous.size());
}

bool chunk_writer::has_room(std::size_t body_bytes) const {
  return count_ == 0 || (count_ < chunk_records_max && out_->size() - start_ + record_head_bytes + body_bytes <= chunk_bytes_max);
}

std::uint8_t chunk_writer::add(std::string_view body) {
  char head[record_head_bytes];
  store(head, static_cast<std::uint32_t>(body.size()));
  store(head + 4, checksum_at(next(), body));
  out_->append(head, sizeof head);
  out_->append(body);
  return static_cast<std::uint8_t>(count_++);
}

std::string_view chunk_writer::finish() {
  const auto chunk = std::string_view(*out_).substr(start_);
  store(out_->data() + start_ + count_at, count_);
  store(out_->data() + start_ + checksum_at_offset, checksum_at(first_, chunk.substr(0, checksum_at_offset)));
  return chunk;
}

chunk_reader::chunk_reader(std::string_view value) : value_(value) {
  if (value.size() < chunk_header_bytes) fail("is shorter than its header");
  first_ = position{load<std::uint64_t>(value, first_at)};
  if (load<std::uint64_t>(value, checksum_at_offset) != checksum_at(first_, value.substr(0, checksum_at_offset))) {
    fail("has a header that fails its checksum");
  }
  if (value[0] != chunk_format) fail("has the format " + std::to_string(static_cast<unsigned char>(value[0])) + ", not 1");
  count_ = load<std::uint32_t>(value, count_at);
  if (first_ == position{}) fail("says that it starts at position 0");
  if (count_ == 0 || count_ > chunk_records_max) fail("claims " + std::to_string(count_) + " records");
  if (count_ > 1 && value.size() > chunk_bytes_max) fail("has more than 4,096 bytes");
}

std::uint32_t chunk_reader::length() const {
  if (value_.size() - at_ < record_head_bytes)
    fail("ends before the record at position " + std::to_string((first_ + slot_).value));
  const auto size = load<std::uint32_t>(value_, at_);
  if (size > value_.size() - at_ - record_head_bytes) {
    fail("ends within the record at position " + std::to_string((first_ + slot_).value));
  }
  return size;
}

std::string_view chunk_reader::next() {
  const auto size = length();
  const auto body = value_.substr(at_ + record_head_bytes, size);
  if (load<std::uint64_t>(value_, at_ + 4) != checksum_at(first_ + slot_, body)) {
    fail("has a record that fails its checksum, at position " + std::to_string((first_ + slot_).value));
  }
  at_ += record_head_bytes + size;
  ++slot_;
  return body;
}

bool chunk_reader::done() const {
  if (slot_ < count_) return false;
  if (at_ != value_.size()) fail("has bytes behind its last record");
  return true;
}

std::string_view chunk_reader::at(std::uint32_t slot) {
  if (slot >= count_) fail("has no record at position " + std::to_string((first_ + slot).value));
  if (slot < slot_) {
    slot_ = 0;
    at_ = chunk_header_bytes;
  }
  for (; slot_ < slot; ++slot_) at_ += record_head_bytes + length();
  return next();
}

void chunk_reader::fail(const std::string& what) const {
  const auto where = first_ == position{} ? std::string() : " at position " + std::to_string(first_.value);
  throw error(errc::corrupt_record, "the log's chunk" + where + " " + what);
}

}  // namespace cairn::detail
