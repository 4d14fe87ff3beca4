// One walk through the log and one through the index, each in order and each once. That the two agree is shown by a sum: every
// record, hashed with its place, added up on either side. Only where the sums differ is it looked up which record it is.
#include "verification.hpp"

#include "chain.hpp"
#include "index_run.hpp"
#include "log_walk.hpp"
#include "progress_report.hpp"

#include <cairn/record.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace cairn::detail {
namespace {

/// A sum of records that does not depend on their order. Two different sets have the same one by chance only, about once in
/// 2^128; it is no defence against somebody who writes an index to fit, and need not be, since the log is the truth.
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
  verifier(const rocksdb_database& database, const verify_options& options, const progress_report::clock& clock)
      : database_(database), noted_(options.noted), runs_(iterate(database.index())), log_(database),
        progress_(options.progress, log_.last() ? log_.chunk().end().value - 1 : 0, clock) {
    // The index is looked at as it was before the log was, so that it cannot be ahead by mere bad timing.
    runs_->SeekToFirst();
    if (there(*runs_, "the index") && view(runs_->key()) == marker_key) {
      const auto marker = decode_marker(view(runs_->value()));
      if (!marker) throw error(errc::corrupt_record, "the index does not say how far it goes");
      through_ = marker->through;
    }
  }

  void check_log() {
    chain chain(database_.store_id());
    look_for_noted(chain, position{1});
    for (bool more = log_.first(); more; more = log_.next()) {
      auto chunk = log_.chunk();
      chain.require(chunk);
      add_records(chunk);
      chain.pass(log_.key(), log_.value(), chunk.end());
      look_for_noted(chain, chunk.first());
      ++result_.chunks;
      progress_.add(chunk.count());
    }
    result_.head = chain.head();
    result_.records = result_.head.through.value;
    require_noted();
    if (through_ > result_.head.through) {
      throw error(errc::corrupt_record, "the index goes to position " + std::to_string(through_.value) +
                                            ", and the log only to position " + std::to_string(result_.records) +
                                            ": records that were stored are missing");
    }
  }

  /// Comes after check_log().
  void check_index() {
    add_runs();
    if (!(in_log_ == in_index_)) find_difference();
    result_.indexed = in_index_.count();
  }

  // What they mean is their reader's affair; that they can be read is ours.
  void check_snapshots() const {
    const auto snapshots = iterate(database_.snapshots());
    for (snapshots->SeekToFirst(); there(*snapshots, "the snapshots"); snapshots->Next()) {}
  }

  const verification& result() {
    progress_.end();
    return result_;
  }

private:
  std::unique_ptr<rocksdb::Iterator> iterate(rocksdb::ColumnFamilyHandle* family) const {
    rocksdb::ReadOptions options;
    options.fill_cache = false;
    options.total_order_seek = true;
    return std::unique_ptr<rocksdb::Iterator>(database_.db().NewIterator(options, family));
  }

  bool there(const rocksdb::Iterator& iterator, const char* what) const {
    if (!iterator.Valid()) database_.check(iterator.status(), std::string("read ") + what);
    return iterator.Valid();
  }

  void add_records(chunk_reader& chunk) {
    const auto first = chunk.first();
    for (std::uint8_t slot = 0; !chunk.done(); ++slot) {
      const auto record = decode_record(first + slot, chunk.next());
      if (record.position <= through_) { in_log_.add(stream_prefix(record.stream), record.version.value, {first.value, slot}); }
    }
  }

  // --- the noted head ---

  void look_for_noted(const chain& chain, position chunk_first) {
    if (!noted_ || met_noted_ || chain.next().value <= noted_->through.value) return;
    met_noted_ = true;
    if (chain.head() == *noted_) return;
    throw error(errc::corrupt_record,
                "the history does not go through the noted head: what it says of the records up to position " +
                    std::to_string(noted_->through.value) + " is no longer so (the chunk there begins at position " +
                    std::to_string(chunk_first.value) + "), so something up to there was changed after it was noted");
  }

  void require_noted() const {
    if (!noted_ || met_noted_) return;
    throw error(errc::corrupt_record, "the history ends at position " + std::to_string(result_.records) +
                                          ", and the noted head goes to position " + std::to_string(noted_->through.value) +
                                          ": records that were stored are missing");
  }

  // --- the index ---

  void add_runs() {
    std::string prefix, name;
    std::uint64_t stands = 0;
    version newest;
    position last;
    const auto require_newest = [&] {
      if (stands == newest.value) return;
      throw error(errc::corrupt_record, "the index says that the newest version of " + name + " is " +
                                            std::to_string(newest.value) + ", and knows its records to version " +
                                            std::to_string(stands));
    };
    const auto begin = [&](stream_view stream, std::string_view its_prefix, version its_newest) {
      require_newest();
      prefix = its_prefix;
      name = to_string(stream);
      newest = its_newest;
      stands = 0;
      last = {};
    };
    for_each_run(
        begin, [&](stream_view stream, std::string_view run_prefix, std::uint64_t first, const std::vector<place>& places) {
          if (run_prefix != prefix) begin(stream, run_prefix, {});
          if (first != stands + 1) {
            throw error(errc::corrupt_record, "the index knows " + to_string(stream) + " to version " + std::to_string(stands) +
                                                  " and then from version " + std::to_string(first) + " on");
          }
          for (const auto& place : places) {
            in_index_.add(prefix, ++stands, place);
            // The sums agree where a log has its versions in the wrong order, and reading would refuse it all the same.
            if (place.where() < last) {
              throw error(errc::corrupt_record, "the index says that version " + std::to_string(stands) + " of " +
                                                    to_string(stream) + " is at position " + std::to_string(place.where().value) +
                                                    ", before the version before it");
            }
            last = place.where();
          }
        });
    require_newest();
  }

  template <class Newest, class Visit>
  void for_each_run(Newest newest, Visit visit) {
    std::vector<place> places;
    for (runs_->SeekToFirst(); there(*runs_, "the index"); runs_->Next()) {
      const auto key = view(runs_->key());
      if (key == marker_key) continue;
      const auto stream = stream_of(key);
      const auto prefix = key.substr(0, key.size() - std::min(key.size(), version_suffix_bytes));
      const auto first = stream ? version_of(key, prefix) : std::nullopt;
      if (!first) throw error(errc::corrupt_record, "the index has a key that names no aggregate");
      if (*first == newest_key_version) {
        const auto stands = decode_newest(view(runs_->value()));
        if (!stands) throw error(errc::corrupt_record, "the index has a damaged version of " + to_string(*stream));
        newest(*stream, prefix, *stands);
        continue;
      }
      const auto size = run_size(view(runs_->value()));
      places.clear();
      if (!size || *size == 0 || !decode_run(view(runs_->value()), 0, *size - 1, places)) {
        throw error(errc::corrupt_record, "the index has a damaged run of " + to_string(*stream) + ", from version " +
                                              std::to_string(first->value) + " on");
      }
      visit(*stream, prefix, first->value, places);
    }
  }

  // The sums differ, so this ends by throwing what it is that differs.
  [[noreturn]] void find_difference() {
    const auto pass_over = [](stream_view, std::string_view, version) {};
    for_each_run(pass_over, [&](stream_view stream, std::string_view, std::uint64_t first, const std::vector<place>& places) {
      for (std::size_t i = 0; i < places.size(); ++i) {
        const auto found = record_at(places[i]);
        const auto claimed = "version " + std::to_string(first + i) + " of " + to_string(stream);
        if (found != claimed) {
          throw error(errc::corrupt_record, "the index says that " + claimed + " is at position " +
                                                std::to_string(places[i].where().value) + ", and the log has " + found +
                                                " there");
        }
      }
    });
    throw error(errc::corrupt_record, "the index goes to position " + std::to_string(through_.value) + " and has " +
                                          std::to_string(in_index_.count()) + " records, where the log has " +
                                          std::to_string(in_log_.count()));
  }

  std::string record_at(place where) {
    const auto key = log_key(position{where.chunk});
    if (!log_.seek(position{where.chunk}) || log_.key() != std::string_view(key.data(), key.size())) return "no chunk";
    auto chunk = log_.chunk();
    if (where.slot >= chunk.count()) return "no record";
    const auto record = decode_record(where.where(), chunk.at(where.slot));
    return "version " + std::to_string(record.version.value) + " of " + to_string(record.stream);
  }

  const rocksdb_database& database_;
  const std::optional<chain_head> noted_;
  std::unique_ptr<rocksdb::Iterator> runs_;
  log_walk log_;
  progress_report progress_;
  position through_;  // as the index's marker says
  bool met_noted_ = false;
  record_sum in_log_;
  record_sum in_index_;
  verification result_;
};

}  // namespace

verification verify_store(const rocksdb_database& database, const verify_options& options, const progress_report::clock& clock) {
  const auto with_advice = [&](const char* advice, auto check) {
    try {
      check();
    } catch (const error& failure) {
      if (failure.kind() != errc::corrupt_record) throw;
      throw error(failure.kind(), database.told(failure.detail()) + "." + advice);
    }
  };
  std::optional<verifier> verifier;
  with_advice(what_to_do, [&] { verifier.emplace(database, options, clock).check_log(); });
  with_advice(what_to_do_about_the_index, [&] { verifier->check_index(); });
  with_advice(" Snapshots are an optimisation, and recovery does without", [&] { verifier->check_snapshots(); });
  return verifier->result();
}

}  // namespace cairn::detail
