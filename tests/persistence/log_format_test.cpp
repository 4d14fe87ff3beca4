// The log's bytes: whatever is not exactly what a writer writes is found, and each number has one encoding.
#include "../../persistence/log/checksum.hpp"
#include "../../persistence/log/chunk.hpp"
#include "../../persistence/log/commit_builder.hpp"
#include "../../persistence/log/format.hpp"
#include "store_on_disk.hpp"

#include "../../model/varint.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <random>

namespace cairn::tests {
namespace {

/// `bytes` with one bit the other way round.
std::string flipped(std::string bytes, std::size_t bit) {
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
  return bytes;
}

detail::digest digest_of(char byte) {
  detail::digest digest;
  digest.fill(byte);
  return digest;
}

detail::store_identity some_identity() {
  detail::store_identity identity;
  for (std::size_t i = 0; i < identity.id.size(); ++i) identity.id[i] = static_cast<char>(i * 37 + 1);
  identity.created = timestamp{std::chrono::microseconds{1'795'512'600'000'000}};
  return identity;
}

/// Puts a checksum over all before it into the last eight bytes.
void seal(std::string& bytes, std::uint64_t seed = 0) {
  const auto sum = detail::checksum(std::string_view(bytes).substr(0, bytes.size() - 8), seed);
  std::memcpy(bytes.data() + bytes.size() - 8, &sum, 8);
}

// --- numbers ---

TEST_CASE("a number of variable length comes back, in as few bytes as it needs") {
  std::vector<std::uint64_t> numbers{0, std::numeric_limits<std::uint64_t>::max()};
  for (int bits = 0; bits < 64; ++bits) {
    for (const int nearby : {-1, 0, 1}) numbers.push_back((std::uint64_t{1} << bits) + static_cast<std::uint64_t>(nearby));
  }
  for (const auto number : numbers) {
    std::string bytes;
    detail::append_varint(bytes, number);
    std::size_t needed = 1;
    for (auto rest = number >> 7; rest > 0; rest >>= 7) ++needed;
    CHECK(bytes.size() == needed);
    const auto with_more = bytes + "rest";
    std::string_view left(with_more);
    std::uint64_t read = 0;
    CHECK(detail::take_varint(left, read));
    CHECK(read == number);
    CHECK(left == "rest");
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      left = std::string_view(bytes).substr(0, length);
      CHECK_FALSE(detail::take_varint(left, read));
    }
  }
}

TEST_CASE("each number of variable length has one encoding: what is read is what would be written") {
  std::uint32_t others = 0;
  for (std::uint32_t some = 0; some < 1U << 24; ++some) {
    const char bytes[]{static_cast<char>(some >> 16), static_cast<char>(some >> 8), static_cast<char>(some)};
    std::string_view left(bytes, 3);
    std::uint64_t number = 0;
    if (!detail::take_varint(left, number)) continue;
    char again[detail::varint_bytes_max];
    const auto size = static_cast<std::size_t>(detail::write_varint(again, number) - again);
    if (size != 3 - left.size() || std::memcmp(bytes, again, size) != 0) ++others;
  }
  CHECK(others == 0);
  std::uint64_t number = 0;
  const std::string ones(9, '\xff');
  for (const auto& [last, is_number] : {std::pair{'\0', false}, {'\1', true}, {'\2', false}, {'\x81', false}, {'\xff', false}}) {
    const auto bytes = ones + last + std::string(1, '\0');
    std::string_view left(bytes);
    CHECK(detail::take_varint(left, number) == is_number);
  }
}

// --- chunks ---

TEST_CASE("a chunk gives back its records, and no flipped bit in it goes unseen") {
  detail::chunk_writer writer;
  std::string buffer;
  writer.begin(buffer, position{77}, digest_of('p'));
  const std::vector<std::string> bodies{"one", "", std::string(300, 'x')};
  for (const auto& body : bodies) writer.add(body);
  const std::string value(writer.finish());
  const auto walk = [&](const std::string& bytes) {
    detail::chunk_reader reader(bytes);
    std::vector<std::string> found;
    while (!reader.done()) found.emplace_back(reader.next());
    return found;
  };
  CHECK(walk(value) == bodies);
  detail::chunk_reader reader(value);
  CHECK(reader.first() == position{77});
  CHECK(reader.end() == position{80});
  CHECK(reader.previous() == std::string(32, 'p'));
  for (const std::uint32_t slot : {2, 0, 1, 1}) CHECK(reader.at(slot) == bodies[slot]);
  CHECK_THROWS_AS(reader.at(3), error);
  for (std::size_t bit = 0; bit < 8 * value.size(); ++bit) CHECK_THROWS_AS(walk(flipped(value, bit)), error);
  for (std::size_t length = 0; length < value.size(); ++length) CHECK_THROWS_AS(walk(value.substr(0, length)), error);
  CHECK_THROWS_AS(walk(value + "x"), error);
}

TEST_CASE("the chain's hash is SHA-256") {
  detail::sha256 sha256;
  const auto begins = [](const detail::digest& digest) { return std::string(digest.begin(), digest.begin() + 4); };
  CHECK(begins(sha256("ab", "c")) == "\xba\x78\x16\xbf");
  CHECK(begins(sha256("")) == "\xe3\xb0\xc4\x42");
}

TEST_CASE("only a chunk of one record may be larger than 4,096 bytes") {
  // As a writer without the limit makes it.
  for (const std::size_t records : {1, 2}) {
    std::string value;
    detail::chunk_writer writer;
    writer.begin(value, position{1}, digest_of('p'));
    for (std::size_t record = 0; record < records; ++record) writer.add(std::string(4'000, 'x'));
    const std::string chunk(writer.finish());
    if (records == 1) {
      CHECK(detail::chunk_reader(chunk).next().size() == 4'000);
    } else {
      CHECK_THROWS_WITH_AS(detail::chunk_reader{chunk}, doctest::Contains("more than 4,096 bytes"), error);
    }
  }
}

// --- the small files ---

TEST_CASE("an identity comes back, and no flipped bit in it goes unseen") {
  const auto identity = some_identity();
  const auto bytes = detail::encode_identity(identity);
  CHECK(bytes.size() == detail::identity_bytes);
  detail::store_identity read;
  CHECK(detail::decode_identity(bytes, read) == detail::header_problem::none);
  CHECK(read.id == identity.id);
  CHECK(read.created == identity.created);
  CHECK(read.partition == 0);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    CHECK(detail::decode_identity(flipped(bytes, bit), read) == detail::header_problem::damaged);
  }
  for (std::size_t length = 1; length < bytes.size(); ++length) {
    CHECK(detail::decode_identity(bytes.substr(0, length), read) == detail::header_problem::damaged);
  }
  CHECK(detail::decode_identity("", read) == detail::header_problem::blank);
  CHECK(detail::decode_identity(std::string(detail::identity_bytes, '\0'), read) == detail::header_problem::blank);
}

TEST_CASE("of the flags of an identity the lower half is ignored, and the upper half needs a newer program") {
  for (int bit = 0; bit < 32; ++bit) {
    auto bytes = flipped(detail::encode_identity(some_identity()), 8 * 12 + static_cast<std::size_t>(bit));
    seal(bytes);
    detail::store_identity read;
    CHECK(detail::decode_identity(bytes, read) == (bit < 16 ? detail::header_problem::none : detail::header_problem::too_new));
  }
}

TEST_CASE("a high-water mark comes back, and says nothing if any bit of it is flipped") {
  const detail::high_water_mark mark{some_identity().id, position{12'345}, digest_of('h')};
  const auto bytes = detail::encode_high_water(mark);
  CHECK(bytes.size() == detail::high_water_bytes);
  const auto read = detail::decode_high_water(bytes);
  REQUIRE(read);
  CHECK(read->store == mark.store);
  CHECK(read->through == mark.through);
  CHECK(read->hash == mark.hash);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) CHECK_FALSE(detail::decode_high_water(flipped(bytes, bit)));
  for (std::size_t length = 0; length < bytes.size(); ++length) CHECK_FALSE(detail::decode_high_water(bytes.substr(0, length)));
  CHECK_FALSE(detail::decode_high_water(std::string(detail::high_water_bytes, '\0')));
}

// --- segments ---

TEST_CASE("the names of segments sort as their positions do, and each position has one name") {
  std::string before;
  for (const auto first : {position{1}, position{2}, position{10}, position{99}, position{12'345'678}, position{1ULL << 56},
                           position{std::numeric_limits<std::uint64_t>::max()}}) {
    const auto name = detail::segment_name(first);
    CHECK(name.size() == 24);
    CHECK(detail::position_in_name(name) == first);
    CHECK(before < name);
    before = name;
  }
  for (const auto* other : {"", "next", "1.log", "00000000000000000000.log", "00000000000000000001", "00000000000000000001.logs",
                            "000000000000000000001.log", "0000000000000000001.log", "0000000000000000001x.log",
                            "+0000000000000000001.log", "-0000000000000000001.log", " 0000000000000000001.log",
                            "0x000000000000000001.log", "99999999999999999999.log", "00000000000000000001.LOG"}) {
    CHECK_MESSAGE(!detail::position_in_name(other), other);
  }
}

TEST_CASE("the header of a segment comes back, and no flipped bit in its sector goes unseen") {
  detail::segment_header header;
  header.store = some_identity();
  header.number = 7;
  header.first = position{1'000};
  header.base = 512 * 99;
  header.epoch = 3;
  header.previous = digest_of('p');
  const auto bytes = detail::encode_segment_header(header);
  CHECK(bytes.size() == detail::sector_bytes);
  detail::segment_header read;
  REQUIRE(detail::decode_segment_header(bytes, read) == detail::header_problem::none);
  CHECK(read.store.id == header.store.id);
  CHECK(read.store.created == header.store.created);
  CHECK(read.number == header.number);
  CHECK(read.first == header.first);
  CHECK(read.base == header.base);
  CHECK(read.epoch == header.epoch);
  CHECK(read.previous == header.previous);
  for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    CHECK(detail::decode_segment_header(flipped(bytes, bit), read) == detail::header_problem::damaged);
  }
  for (std::size_t length = 1; length < bytes.size(); ++length) {
    CHECK(detail::decode_segment_header(bytes.substr(0, length), read) == detail::header_problem::damaged);
  }
  CHECK(detail::decode_segment_header(std::string(512, '\0'), read) == detail::header_problem::blank);
}

// --- commits ---

constexpr std::uint64_t some_address = 64 * 1'000;

detail::commit_header some_header() {
  detail::commit_header header;
  header.chunk_bytes = 1'000;
  header.blanks = 2;
  header.first = position{77};
  header.durable = position{70};
  header.records = 9;
  return header;
}

std::string encoded(const detail::commit_header& header, std::uint64_t address = some_address) {
  std::string bytes(detail::commit_header_bytes, '\0');
  detail::encode_commit_header(bytes.data(), header, address, some_identity().id);
  return bytes;
}

detail::header_problem decoded(const std::string& bytes, detail::commit_header& header, std::uint64_t address = some_address) {
  return detail::decode_commit_header(bytes, address, some_identity().id, header);
}

TEST_CASE("the header of a commit comes back, and no flipped bit in it goes unseen") {
  for (const auto kind : {detail::commit_header::kind::records, detail::commit_header::kind::end_of_segment}) {
    auto header = some_header();
    header.is = kind;
    if (kind == detail::commit_header::kind::end_of_segment) header.chunk_bytes = header.blanks = header.records = 0;
    const auto bytes = encoded(header);
    detail::commit_header read;
    REQUIRE(decoded(bytes, read) == detail::header_problem::none);
    CHECK(read.is == kind);
    CHECK(read.chunk_bytes == header.chunk_bytes);
    CHECK(read.blanks == header.blanks);
    CHECK(read.first == header.first);
    CHECK(read.durable == header.durable);
    CHECK(read.records == header.records);
    CHECK(read.bytes() == header.bytes());
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      CHECK(decoded(flipped(bytes, bit), read) == detail::header_problem::damaged);
    }
    CHECK(decoded(std::string(64, '\0'), read) == detail::header_problem::blank);
    CHECK(decoded("", read) == detail::header_problem::blank);
    for (std::size_t length = 1; length < bytes.size(); ++length) {
      CHECK(decoded(bytes.substr(0, length), read) == detail::header_problem::damaged);
    }
  }
}

TEST_CASE("the header of a commit in another place, or of another store, is damaged") {
  const auto bytes = encoded(some_header());
  detail::commit_header read;
  for (const auto address : {some_address - 64, some_address + 64, some_address + 512, std::uint64_t{0}}) {
    CHECK(decoded(bytes, read, address) == detail::header_problem::damaged);
  }
  auto other = some_identity().id;
  other[0] = 'x';
  CHECK(detail::decode_commit_header(bytes, some_address, other, read) == detail::header_problem::damaged);
}

TEST_CASE("of the flags of a commit the first byte is ignored, and a program that does not know the second needs a newer one") {
  std::uint64_t seed = 0;
  std::memcpy(&seed, some_identity().id.data(), 8);
  const auto changed = [&](std::size_t at, char value) {
    auto bytes = encoded(some_header());
    bytes[at] = value;
    seal(bytes, seed + some_address);
    detail::commit_header read;
    return decoded(bytes, read);
  };
  CHECK(changed(6, 1) == detail::header_problem::none);
  CHECK(changed(6, '\xff') == detail::header_problem::none);
  CHECK(changed(7, 1) == detail::header_problem::too_new);
  CHECK(changed(7, '\x80') == detail::header_problem::too_new);
  CHECK(changed(4, 3) == detail::header_problem::too_new);  // another kind of commit
}

TEST_CASE("what the grammar does not allow is damage, also under a right checksum: zeros that are none") {
  detail::store_identity identity;
  for (std::size_t at = 44; at < 56; ++at) {
    auto bytes = detail::encode_identity(some_identity());
    bytes[at] = 1;
    seal(bytes);
    CHECK(detail::decode_identity(bytes, identity) == detail::header_problem::damaged);
  }
  detail::segment_header segment;
  segment.store = some_identity();
  for (const std::size_t at : {44, 47, 112, 119}) {
    auto bytes = detail::encode_segment_header(segment);
    auto fields = bytes.substr(0, 128);
    fields[at] = 1;
    seal(fields);
    bytes.replace(0, fields.size(), fields);
    detail::segment_header read;
    CHECK(detail::decode_segment_header(bytes, read) == detail::header_problem::damaged);
  }
  std::uint64_t seed = 0;
  std::memcpy(&seed, some_identity().id.data(), 8);
  for (const std::size_t at : {5, 52, 55}) {
    auto bytes = encoded(some_header());
    bytes[at] = 1;
    seal(bytes, seed + some_address);
    detail::commit_header read;
    CHECK(decoded(bytes, read) == detail::header_problem::damaged);
  }
  auto mark = detail::encode_high_water({some_identity().id, position{1}, digest_of('h')});
  mark[71] = 1;
  seal(mark);
  CHECK_FALSE(detail::decode_high_water(mark));
}

TEST_CASE("a commit cannot say that it was durable before it was written") {
  auto header = some_header();
  for (const auto durable : {header.first, header.first + 1}) {
    header.durable = durable;
    detail::commit_header read;
    CHECK(decoded(encoded(header), read) == detail::header_problem::damaged);
  }
}

TEST_CASE("a commit that claims more than any commit may have is damaged") {
  auto header = some_header();
  header.chunk_bytes = static_cast<std::uint32_t>(detail::commit_bytes_max);
  detail::commit_header read;
  CHECK(decoded(encoded(header), read) == detail::header_problem::damaged);
  header.chunk_bytes = 1'000;
  header.blanks = std::numeric_limits<std::uint32_t>::max();
  CHECK(decoded(encoded(header), read) == detail::header_problem::damaged);
  header.blanks = 0;
  header.extension_bytes = std::numeric_limits<std::uint32_t>::max();
  CHECK(decoded(encoded(header), read) == detail::header_problem::damaged);
}

TEST_CASE("a commit that lacks a sector shows it, wherever it begins, and a whole one does not") {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    const std::uint64_t start = 64 * (random() % 16);
    std::string commit = encoded(some_header(), start);
    // Stretches of zeros, of text, and of zeros with a single bit.
    for (int stretch = 0; stretch < 5; ++stretch) {
      const auto size = random() % 1'500;
      const auto is_text = random() % 2 == 0;
      const auto at = commit.size();
      commit.append(size, is_text ? 'x' : '\0');
      if (!is_text && size > 0 && random() % 2 == 0) commit[at + random() % size] = 4;
    }
    const auto chunks_end = commit.size();
    const auto blanks = detail::append_blank_sectors(commit, start);
    CAPTURE(start);
    CAPTURE(commit.size());
    CHECK((blanks > 0) == (commit.size() > chunks_end));
    CHECK_FALSE(detail::lacks_a_sector(commit, start, blanks));
    for (std::size_t at = 0; at < commit.size();) {
      const auto size = std::min<std::size_t>(commit.size() - at, 512 - (start + at) % 512);
      auto torn = commit;
      const auto part = torn.begin() + static_cast<std::ptrdiff_t>(at);
      int bits = 0;
      std::for_each_n(part, size, [&](char byte) { bits += std::popcount(static_cast<unsigned char>(byte)); });
      std::fill_n(part, size, '\0');
      CHECK(detail::lacks_a_sector(torn, start, blanks) == (bits > 1));  // others have nothing to lose
      at += size;
    }
  }
}

TEST_CASE("a commit whose header has a sector for itself is whole, also as the first one after an opening") {
  const temporary_folder folder;
  // One store for each place in a sector. A commit of one small record takes some 64-byte steps.
  for (std::uint64_t events = 0; events < 40; ++events) {
    append(*open_store(folder.path(), small), {"product", "1"}, events, {std::string(events * 7, 'x')});
  }
  CHECK(read_all(*open_store(folder.path(), small)).size() == 40);
  CHECK(verify_store(folder.path()).records == 40);
}

TEST_CASE("what a later program may add to a commit without need is skipped: flags that may be ignored, and an extension") {
  const temporary_folder folder;
  open_store(folder.path(), small);
  const auto file = first_segment(folder.path());
  detail::store_identity identity;
  REQUIRE(detail::decode_identity(contents(folder.path() / "identity"), identity) == detail::header_problem::none);
  detail::segment_header segment;
  REQUIRE(detail::decode_segment_header(contents(file).substr(0, 512), segment) == detail::header_problem::none);

  const std::string extension = "something that only a later program understands";
  const draft event({"product", "1"}, 0, {"one"});
  std::string_view frames = event.frames;
  std::string_view body;
  REQUIRE(next_frame(frames, body));
  std::string commit(detail::commit_header_bytes, '\0');
  commit += extension;
  detail::commit_builder builder;
  builder.begin(commit, position{1}, segment.previous);
  builder.add(body);
  builder.close_chunk();
  detail::commit_header header;
  header.extension_bytes = static_cast<std::uint32_t>(extension.size());
  header.chunk_bytes = static_cast<std::uint32_t>(commit.size() - detail::commit_header_bytes - extension.size());
  header.first = position{1};
  header.records = 1;
  detail::encode_commit_header(commit.data(), header, detail::segment_header_bytes, identity.id);
  auto sealed = commit.substr(0, detail::commit_header_bytes);
  sealed[6] = 1;
  std::uint64_t seed = 0;
  std::memcpy(&seed, identity.id.data(), 8);
  seal(sealed, seed + detail::segment_header_bytes);
  commit.replace(0, sealed.size(), sealed);
  overwrite(file, contents(file).substr(0, 512) + commit);

  const auto journal = open_store(folder.path(), small);
  CHECK(read_all(*journal) == std::vector<seen>{{1, {"product", "1"}, 1, "one"}});
  CHECK(read(*journal, {"product", "1"}).size() == 1);
  CHECK(append(*journal, {"product", "1"}, 1, {"two"}).stored);
  CHECK(verify_store(folder.path()).records == 2);
}

}  // namespace
}  // namespace cairn::tests
