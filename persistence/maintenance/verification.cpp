// One walk through the log and one through the index, each in order and each once. A sum shows that the two agree: every record,
// hashed with its place, added up on either side. Only if the sums differ, the record is looked for.
#include <cairn/maintenance.hpp>

#include "../derived/index_run.hpp"
#include "../derived/rocksdb_derived.hpp"
#include "verification.hpp"
#include "whole_log.hpp"

#include <cairn/record.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace cairn::inline v1 {
namespace {

using detail::place;

/// A sum over records that does not depend on their order. Two different sets have the same one by chance only, about once in
/// 2^128. It is no defence against someone who writes an index to fit, and need not be: the log is the truth.
class record_sum {
public:
  void add(std::string_view stream_prefix, std::uint64_t version, place where) {
    bytes_.assign(stream_prefix);
    for (const auto number : {version, where.chunk, std::uint64_t{where.slot}}) {
      bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
    }
    const auto hash = XXH3_128bits(bytes_.data(), bytes_.size());
    low_ += hash.low64;
    high_ += hash.high64;
    ++count_;
  }

  std::uint64_t count() const { return count_; }
  bool operator==(const record_sum& other) const { return low_ == other.low_ && high_ == other.high_ && count_ == other.count_; }

private:
  std::string bytes_;
  std::uint64_t low_ = 0;
  std::uint64_t high_ = 0;
  std::uint64_t count_ = 0;
};

class verifier {
public:
  verifier(const std::filesystem::path& folder, const verify_options& options, detail::completeness complete)
      : log_(folder, complete), noted_(options.noted), progress_(options.progress, log_.known_end().value) {
    // Before the log, so that it cannot be ahead by mere bad timing. While a program writes it, it cannot be read.
    if (log_.is_written()) return;
    derived_ = detail::open_derived_for_reading(log_.store());
    if (const auto mark = derived_ ? derived_->index().mark() : std::nullopt) through_ = mark->through;
  }

  verification run() {
    look_for_noted();
    log_.scan([this](detail::chunk_reader& chunk, std::uint64_t address) { add_records(chunk, address); },
              [this](const detail::log_place&, const detail::digest&) { look_for_noted(); });
    look_for_noted();
    result_.head = log_.chain().head();
    result_.records = result_.head.through.value;
    require_noted();
    if (through_ > result_.head.through) {
      fail("records are missing: the index goes to position " + std::to_string(through_.value) +
           ", and the log only to position " + std::to_string(result_.records));
    }
    if (derived_) check_derived();
    progress_.end();
    return result_;
  }

private:
  [[noreturn]] void fail(const std::string& what) const { throw log_.store().damaged(error(errc::corrupt_record, what)); }

  void add_records(detail::chunk_reader& chunk, std::uint64_t address) {
    look_for_noted();
    for (std::uint8_t slot = 0; !chunk.done(); ++slot) {
      const auto record = decode_record(chunk.first() + slot, chunk.next());
      if (record.position <= through_) {
        in_log_.add(detail::stream_prefix(record.stream), record.version.value, {address, slot});
      }
    }
    ++result_.chunks;
    progress_.add(chunk.count());
  }

  // --- the noted head ---

  void look_for_noted() {
    const auto& chain = log_.chain();
    if (!noted_ || met_noted_ || chain.next().value <= noted_->through.value) return;
    met_noted_ = true;
    if (chain.head() == *noted_) return;
    fail("the history does not go through the noted head: records up to position " + std::to_string(noted_->through.value) +
         " were changed after it was noted");
  }

  void require_noted() const {
    if (!noted_ || met_noted_) return;
    fail("records are missing: the history ends at position " + std::to_string(result_.records) +
         ", and the noted head is at position " + std::to_string(noted_->through.value));
  }

  // --- the index ---

  [[noreturn]] void fail_index(const std::string& what) const {
    throw error(errc::corrupt_store,
                log_.store().path() + ": the index is damaged: " + what + ". `cairn rebuild` makes it again from the log");
  }

  void check_derived() {
    add_runs();
    if (!(in_log_ == in_index_)) {
      fail_index("it has " + std::to_string(in_index_.count()) + " records up to position " + std::to_string(through_.value) +
                 ", and not the same as the " + std::to_string(in_log_.count()) + " of the log");
    }
    result_.indexed = in_index_.count();
    derived_->check();
  }

  void add_runs() {
    std::string prefix;
    std::string name;
    std::uint64_t current = 0;
    version newest;
    const auto require_newest = [&] {
      if (current == newest.value) return;
      fail_index("it says that the newest version of " + name + " is " + std::to_string(newest.value) +
                 ", and knows its records up to version " + std::to_string(current));
    };
    const auto runs = derived_->index().runs();
    std::vector<place> places;
    for (bool there = runs->seek(detail::mark_key); there; there = runs->next()) {
      const auto key = runs->key();
      if (key == detail::mark_key) continue;
      const auto stream = detail::stream_of(key);
      if (!stream) fail_index("it has a key that names no aggregate");
      const auto its_prefix = key.substr(0, key.size() - detail::version_suffix_bytes);
      const auto first = detail::version_of(key, its_prefix);
      if (its_prefix != prefix) {
        require_newest();
        prefix = its_prefix;
        name = to_string(*stream);
        newest = {};
        current = 0;
      }
      if (*first == detail::newest_key_version) {
        const auto decoded = detail::decode_newest(runs->value());
        if (!decoded) fail_index("the version of " + name + " is not a number");
        newest = *decoded;
        continue;
      }
      if (first->value != current + 1) {
        fail_index("it knows " + name + " up to version " + std::to_string(current) + ", and then from version " +
                   std::to_string(first->value) + " on");
      }
      const auto size = detail::run_size(runs->value());
      places.clear();
      if (!size || !detail::decode_run(runs->value(), 0, *size - 1, places)) {
        fail_index("it has a damaged run of " + name + ", from version " + std::to_string(first->value) + " on");
      }
      for (const auto& where : places) in_index_.add(prefix, ++current, where);
    }
    require_newest();
  }

  detail::whole_log log_;
  const std::optional<chain_head> noted_;
  detail::progress_report progress_;
  std::unique_ptr<detail::derived_data> derived_;
  position through_;  // as the index says
  bool met_noted_ = false;
  record_sum in_log_;
  record_sum in_index_;
  verification result_;
};

}  // namespace

verification verify_store(const std::filesystem::path& folder, const verify_options& options) {
  return verifier(folder, options, detail::completeness::required).run();
}

verification detail::verify_unfinished_store(const std::filesystem::path& folder, const progress_function& progress) {
  return verifier(folder, {.noted = {}, .progress = progress}, completeness::not_required).run();
}

}  // namespace cairn
