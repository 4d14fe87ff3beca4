#include "log_scan.hpp"

#include <algorithm>
#include <utility>

namespace cairn::inline v1::detail {
namespace {

constexpr std::size_t first_window_bytes = std::size_t{32} << 10;
constexpr std::size_t window_bytes_max = std::size_t{1} << 20;

[[noreturn]] void fail(const segment_files& files, std::uint64_t address, const std::string& what) {
  throw error(errc::corrupt_record, files.describe(address) + ": " + what);
}

}  // namespace

commit_reader::commit_reader(const segment_files& files, log_place from)
    : files_(files), here_(from), window_bytes_(first_window_bytes) {
  if (files_.count() == 0) throw error(errc::corrupt_record, files_.log()->path() + ": the log has no segment");
  segment_ = files_.at_address(from.address);
  header_ = files_.header(segment_);
  opened_ = files_.open(segment_);
  if (from.address == header_.base + segment_header_bytes) {
    if (from.next != header_.first) fail(files_, from.address, "the segment begins at another position");
    previous_ = header_.previous;
  }
}

std::string_view commit_reader::window(std::uint64_t offset, std::uint64_t bytes) {
  if (offset < buffer_at_ || offset + bytes > buffer_at_ + buffer_.size()) {
    auto wanted = std::max<std::uint64_t>(bytes, window_bytes_);
    if (wanted > window_bytes_max) {  // no memory for what a header claims and the file does not have
      const auto size = size_of(*opened_, files_.path_of(segment_));
      wanted = std::min(wanted, size - std::min(size, offset));
    }
    buffer_.resize(wanted);
    buffer_at_ = offset;
    buffer_.resize(read_fully(*opened_, files_.path_of(segment_), buffer_.data(), buffer_.size(), offset));
    window_bytes_ = std::min(window_bytes_ * 2, window_bytes_max);
  }
  return std::string_view(buffer_).substr(offset - buffer_at_, bytes);
}

std::string_view commit_reader::bytes_here(std::uint64_t bytes) { return window(offset(), bytes); }

commit_reader::finding commit_reader::look(stored_commit& found) {
  for (;;) {
    const auto bytes = bytes_here(commit_header_bytes);
    found.address = here_.address;
    switch (decode_commit_header(bytes, here_.address, files_.store(), found.header)) {
    case header_problem::blank: return finding::end;
    case header_problem::damaged: return finding::damaged;
    case header_problem::too_new:
      throw error(errc::unknown_format,
                  files_.describe(here_.address) + ": was written by a newer version of cairn; open the store with that version");
    case header_problem::none: break;
    }
    if (found.header.first != here_.next) {
      fail(files_, here_.address,
           "the commit begins at position " + std::to_string(found.header.first.value) + ", not at " +
               std::to_string(here_.next.value));
    }
    if (found.header.is == commit_header::kind::records) {
      const auto size = found.header.bytes();
      const auto whole = bytes_here(next_commit_at(size));
      found.bytes = whole.substr(0, size);
      found.padding = whole.substr(found.bytes.size());
      return finding::commit;
    }
    pass(found);
    if (!is_blank_from(0)) fail(files_, here_.address, "there are bytes behind the end of the segment");
    if (segment_ + 1 == files_.count() && !files_.refresh()) {
      fail(files_, found.address,
           "the segment is finished, and the one after it is missing: it holds the records from position " +
               std::to_string(here_.next.value) + " on");
    }
    begin_segment(segment_ + 1);
  }
}

void commit_reader::pass(const stored_commit& commit) {
  here_ = {next_commit_at(commit.address + commit.header.bytes()), commit.header.end()};
}

void commit_reader::begin_segment(std::size_t index) {
  const auto header = files_.header(index);
  here_.address = next_segment_at(here_.address);
  if (header.first != here_.next || header.base != here_.address) {
    fail(files_, header.base,
         "the segment does not follow the one before it, which ends at position " + std::to_string(here_.next.value - 1));
  }
  segment_ = index;
  header_ = header;
  previous_ = header.previous;
  opened_ = files_.open(index);
  buffer_.clear();
  here_.address += segment_header_bytes;
}

bool commit_reader::begin_unannounced_segment() {
  if (segment_ + 1 >= files_.count()) return false;
  here_.address += commit_header_bytes;  // of the missing mark
  begin_segment(segment_ + 1);
  return true;
}

template <class Visit>
void commit_reader::for_each_window(std::uint64_t from, Visit visit) {
  for (auto at = from;; at += window_bytes_max) {
    const auto bytes = window(at, window_bytes_max);
    if (!bytes.empty() && !visit(at, bytes)) return;
    if (bytes.size() < window_bytes_max) return;
  }
}

bool commit_reader::is_blank_from(std::uint64_t distance) {
  bool blank = true;
  for_each_window(offset() + distance, [&](std::uint64_t, std::string_view bytes) { return blank = is_blank(bytes); });
  return blank;
}

commit_reader::following commit_reader::what_follows() {
  following found;
  // A header's place is a multiple of its size, so that no window cuts one.
  const auto from = offset() + commit_header_bytes;
  for_each_window(from, [&](std::uint64_t at, std::string_view bytes) {
    for (std::size_t place = 0; place + commit_header_bytes <= bytes.size(); place += commit_header_bytes) {
      commit_header header;
      const auto problem = decode_commit_header(bytes.substr(place), header_.base + at + place, files_.store(), header);
      if (problem != header_problem::none) continue;
      found.is_any = true;
      found.durable = std::max(found.durable, header.durable);
    }
    return true;
  });
  // A segment is begun when all before it is durable.
  if (segment_ + 1 < files_.count()) {
    found.is_any = true;
    found.durable = std::max(found.durable, position{files_.header(segment_ + 1).first.value - 1});
  }
  return found;
}

namespace {

class scanner {
public:
  scanner(const segment_files& files, chain& chain, const scan_request& request)
      : files_(files), chain_(chain), request_(request), reader_(files, request.from) {}

  log_end run() {
    for (;;) {
      end_.place = reader_.here();
      if (request_.ends_at_high_water && is_at_high_water()) break;
      stored_commit commit;
      const auto found = reader_.look(commit);
      check_segment();
      std::string problem = "the commit's header is damaged";
      if (found == commit_reader::finding::commit && is_sound(commit, problem)) {
        take(commit);
      } else if (ends_here(found, commit, problem)) {
        break;
      }
    }
    require_high_water();
    return end_;
  }

private:
  // The header of each segment names the hash of the chunk before it.
  void check_segment() {
    if (checked_segment_ == reader_.segment() || !reader_.previous()) return;
    checked_segment_ = reader_.segment();
    if (*reader_.previous() != chain_.hash()) {
      fail(files_, files_.header(*checked_segment_).base, "the chain breaks: the segment does not follow the records before it");
    }
  }

  /// Whether all of the commit can be read. `chain_` stays where it is.
  bool is_sound(const stored_commit& commit, std::string& problem) {
    const auto before = chain_.here();
    steps_.clear();
    try {
      if (commit.bytes.size() < commit.header.bytes()) throw error(errc::corrupt_record, "the file ends within the commit");
      std::string_view bytes;
      for (chunk_list chunks(commit.bytes, commit.header); chunks.next(bytes);) {
        chunk_reader chunk(bytes);
        chain_.follow(chunk);
        while (!chunk.done()) chunk.next();
        steps_.push_back(chain_.here());
      }
      if (chain_.next() != commit.header.end()) {
        throw error(errc::corrupt_record, "the commit does not have as many records as its header says");
      }
      require_canonical_end(commit);
      chain_.go_back(before);
      return true;
    } catch (const error& failure) {
      chain_.go_back(before);
      if (failure.kind() != errc::corrupt_record) throw;
      problem = failure.detail();
      return false;
    }
  }

  // Behind the chunks are the list of blank sectors, as its writer makes it, and zeros.
  void require_canonical_end(const stored_commit& commit) {
    const auto chunks_end = commit_header_bytes + commit.header.extension_bytes + commit.header.chunk_bytes;
    if (commit.header.blanks > 0) {
      std::string again(commit.bytes.substr(0, chunks_end));
      append_blank_sectors(again, commit.address);
      if (again != commit.bytes) throw error(errc::corrupt_record, "the commit's list of blank sectors is damaged");
    }
    if (!is_blank(commit.padding)) { throw error(errc::corrupt_record, "there are bytes between the commit and the next one"); }
  }

  void take(const stored_commit& commit) {
    const log_place place{commit.address, commit.header.first};
    const auto before = chain_.hash();
    std::string_view bytes;
    auto step = steps_.begin();
    for (chunk_list chunks(commit.bytes, commit.header); request_.visit && chunks.next(bytes); ++step) {
      chunk_reader chunk(bytes);
      request_.visit(chunk, commit.address + chunks.offset());
      chain_.go_back(*step);
    }
    chain_.go_back(steps_.back());
    require_noted_hash();
    files_.note(place);
    reader_.pass(commit);
    if (request_.passed) request_.passed(place, before);
  }

  /// Decides what it means that no sound commit is here. False if the log goes on.
  bool ends_here(commit_reader::finding found, const stored_commit& commit, const std::string& problem) {
    const bool is_blank = found == commit_reader::finding::end;
    end_.place = reader_.here();
    if (is_blank && reader_.is_blank_from(0)) {
      if (!reader_.begin_unannounced_segment()) return true;
      end_.unmarked.push_back(end_.place);
      return false;
    }
    const bool is_written = request_.is_written();
    const auto next = end_.place.next;
    const auto follows = reader_.what_follows();
    const bool was_durable = next <= follows.durable || (request_.high_water && next <= request_.high_water->through);
    // A program writes one commit after another, so only the last one can be unfinished.
    if (was_durable || (is_written && follows.is_any)) {
      if (is_written && read_again()) return false;
      fail_at_damage(found, commit,
                     is_blank ? "records are missing that were durable, from position " + std::to_string(next.value) + " on"
                              : problem);
    }
    if (is_written) return true;
    // A sector is written whole or not at all, so an interrupted write leaves zeros in the place of some, or a file that is too
    // short. No write is interrupted in a segment that has a successor: that is begun when all before it is durable.
    const bool interrupted =
        reader_.segment() + 1 == files_.count() &&
        (is_blank || ends_within(found, commit.header) || (found == commit_reader::finding::commit && lacks_a_sector(commit)));
    if (!interrupted) fail_at_damage(found, commit, problem);
    end_.torn = true;
    return true;
  }

  [[noreturn]] void fail_at_damage(commit_reader::finding found, const stored_commit& commit, const std::string& problem) {
    if (request_.salvages && request_.visit && found == commit_reader::finding::commit) visit_intact_chunks(commit.header);
    fail(files_, end_.place.address, problem);
  }

  void visit_intact_chunks(const commit_header& header) {
    const auto bytes = reader_.bytes_here(header.bytes());
    if (bytes.size() < commit_header_bytes + header.extension_bytes) return;
    std::string_view next;
    try {
      for (chunk_list chunks(bytes, header); chunks.next(next);) {
        chunk_reader checked(next);
        const auto before = chain_.here();
        chain_.follow(checked);
        const auto after = chain_.here();
        chain_.go_back(before);
        while (!checked.done()) checked.next();
        chunk_reader chunk(next);
        request_.visit(chunk, end_.place.address + chunks.offset());
        chain_.go_back(after);
      }
    } catch (const error& failure) {
      if (failure.kind() != errc::corrupt_record) throw;  // here the damage begins, which is reported below
    }
  }

  /// Once at each place, because a program may have written there since it was read.
  bool read_again() {
    reader_.forget();
    return std::exchange(read_again_at_, end_.place.address) != end_.place.address;
  }

  /// Whether the file ends within the commit, or within its header.
  bool ends_within(commit_reader::finding found, const commit_header& header) {
    const auto bytes = found == commit_reader::finding::commit ? header.bytes() : std::uint64_t{commit_header_bytes};
    return reader_.bytes_here(bytes).size() < bytes;
  }

  bool lacks_a_sector(const stored_commit& commit) {
    std::string whole(reader_.bytes_here(commit.header.bytes()));
    whole.resize(commit.header.bytes());  // what is beyond the end of the file counts as zeros
    return detail::lacks_a_sector(whole, commit.address, commit.header.blanks);
  }

  bool is_at_high_water() const {
    const auto through = request_.high_water ? request_.high_water->through : position{};
    return chain_.next() == through + 1;
  }

  void require_noted_hash() const {
    const auto& mark = request_.high_water;
    if (!mark || chain_.next().value - 1 != mark->through.value || chain_.hash() == mark->hash) return;
    fail(files_, reader_.here().address,
         "another history than the one that this store had: the record at position " + std::to_string(mark->through.value) +
             " is not the one that was durable");
  }

  void require_high_water() const {
    const auto& mark = request_.high_water;
    if (!mark || end_.place.next > mark->through) return;
    fail(files_, end_.place.address,
         "records are missing: the log was durable up to position " + std::to_string(mark->through.value) +
             ", and ends at position " + std::to_string(end_.place.next.value - 1));
  }

  const segment_files& files_;
  chain& chain_;
  const scan_request& request_;
  commit_reader reader_;
  std::vector<chain::place> steps_;  // behind each chunk of the commit that was checked last
  std::optional<std::size_t> checked_segment_;
  std::optional<std::uint64_t> read_again_at_;
  log_end end_;
};

}  // namespace

log_end scan_log(const segment_files& files, chain& chain, const scan_request& request) {
  return scanner(files, chain, request).run();
}

}  // namespace cairn::detail
