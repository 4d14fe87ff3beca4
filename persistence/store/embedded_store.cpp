// The journal over a log and what is derived of it: appends become commits of the log, and reads find them through the index.
//
// Read append() downward: stage, write, publish. Nobody sees what is staged until it is written, and it is forgotten if the write
// fails.
#include "store_environment.hpp"

#include "../contract/append_check.hpp"
#include "../derived/index.hpp"
#include "../log/chain.hpp"
#include "../log/commit_builder.hpp"
#include "../log/log_scan.hpp"
#include "../log/log_writer.hpp"
#include "../log/progress_report.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <unordered_set>
#include <utility>

namespace cairn::inline v1 {
namespace {

/// A read of one aggregate collects the places of so many records at a time.
constexpr std::uint64_t window_records = 1024;
constexpr std::uint64_t index_events_max = 100'000'000;
constexpr std::uint64_t block_cache_mib_max = std::uint64_t{1} << 20;

store_options checked(store_options options) {
  if (options.index_events_in_memory_max < 1 || options.index_events_in_memory_max > index_events_max) {
    throw error(errc::invalid_argument, "index_events_in_memory_max must be 1 to 100,000,000");
  }
  if (options.block_cache_mib > block_cache_mib_max) {
    throw error(errc::invalid_argument, "block_cache_mib must be 0 to 1,048,576");
  }
  return options;
}

class embedded_store final : public store {
public:
  embedded_store(detail::store_folder folder, const store_options& options, const detail::store_environment& environment);
  ~embedded_store() override;

  void append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) override;
  void read(stream_view stream, version_range range, const record_visitor& visit) const override;
  position read_all(position from, const record_visitor& visit) const override;
  version highest(stream_view stream) const override {
    require_known(stream);
    return version{index_->look_up(stream).version()};
  }
  position last() const override { return position{last_.load(std::memory_order_acquire)}; }
  snapshot_store& snapshots() override { return derived_->snapshots(); }

  chain_head head() const override {
    const std::lock_guard lock(head_mutex_);
    return detail::as_head(last(), head_);
  }
  std::uint64_t records_replayed() const override { return replayed_; }

private:
  detail::log_end replay(detail::chain& chain, const progress_function& tell, const detail::progress_report::clock& clock);
  void warn(const std::string& sentence) const;

  void stage(std::span<const atomic_append> appends, std::span<append_outcome> outcomes);
  append_outcome stage_one(atomic_append append, std::span<const std::uint32_t> streams);
  position first_time(atomic_append append, std::span<const std::string_view> staged) const;
  void stage_frames(const addition& addition, std::uint32_t stream);
  void unstage();
  void commit();
  [[noreturn]] void refuse_from_now_on(const std::exception& reason);
  void require_known(stream_view stream) const;

  bool visit_places(stream_view stream, version first, std::span<const detail::place> places, detail::chunk_fetcher& chunks,
                    const record_visitor& visit) const;

  detail::store_folder folder_;
  const store_options options_;
  mutable std::mutex warn_mutex_;
  std::unique_ptr<detail::segment_files> segments_;
  std::unique_ptr<detail::derived_data> derived_;
  std::unique_ptr<detail::log_writer> writer_;
  std::atomic<detail::log_writer*> syncing_writer_ = nullptr;  // for the index's thread
  std::unique_ptr<detail::index> index_;
  std::uint64_t replayed_ = 0;
  std::atomic<std::uint64_t> last_ = 0;
  mutable std::mutex head_mutex_;
  detail::digest head_{};  // the hash of the last durable chunk

  // The writer's own. The buffers keep their memory from commit to commit.
  detail::commit_builder builder_;
  std::vector<detail::named_stream> named_;  // the aggregates of all additions
  std::vector<std::uint32_t> found_;         // and their numbers in the index
  std::vector<detail::staged_record> staged_;
  std::vector<std::uint32_t> touched_;  // the aggregates of the commit
  std::string failure_;                 // why an append failed; empty if none has

  // The aggregates of the append that failed. Neither it nor `failure_` changes when `has_failed_` is set.
  std::unordered_set<stream_id, stream_hash, stream_equal> in_doubt_;
  std::atomic<bool> has_failed_ = false;
};

embedded_store::embedded_store(detail::store_folder folder, const store_options& options,
                               const detail::store_environment& environment)
    : folder_(std::move(folder)), options_(options), segments_(folder_.open_segments()),
      derived_(environment.open_derived(folder_, options)), builder_(environment.chained) {
  if (segments_->count() == 0) {
    throw error(errc::corrupt_store, folder_.path() + ": the log has no segment." + detail::what_to_do);
  }
  const bool synced = options.durability == durability::synced;
  index_ = std::make_unique<detail::index>(
      derived_->index(), detail::index_options{.events_max = options.index_events_in_memory_max,
                                               .sync_log =
                                                   [this, synced] {
                                                     auto* const writer = synced ? nullptr : syncing_writer_.load();
                                                     if (writer) writer->sync_committed();
                                                   },
                                               .threads = environment.threads});
  try {
    detail::make_end_durable(folder_, *segments_);
    detail::chain chain({});
    const auto end = replay(chain, options.opening, environment.progress_clock);
    head_ = chain.hash();
    last_ = chain.next().value - 1;
    replayed_ = last_ - std::min(last_.load(), index_->mark().through.value);
    writer_ = std::make_unique<detail::log_writer>(
        folder_, *segments_, end, head_,
        detail::log_writer_options{.synced = synced,
                                   .segment_bytes = environment.segment_bytes,
                                   .unprepared_bytes = environment.unprepared_bytes,
                                   .threads = environment.threads,
                                   .warn = [this](const std::string& sentence) { warn(sentence); }});
    syncing_writer_ = writer_.get();
    const auto reason = derived_->follow_log([this] { return last(); });
    if (!reason.empty()) warn(folder_.path() + ": all snapshots are removed, and made again: " + reason);
  } catch (...) {
    index_->abandon();
    throw;
  }
}

// The index first: it makes the log durable before it writes.
embedded_store::~embedded_store() {
  index_.reset();
  if (failure_.empty()) {
    try {
      derived_->flush();
    } catch (const error& failure) {
      warn(failure.detail());  // only snapshots are lost
    }
  }
  writer_.reset();
}

void embedded_store::warn(const std::string& sentence) const {
  if (!options_.warn) return;
  const std::lock_guard lock(warn_mutex_);
  options_.warn(sentence);
}

// Reads the log from the last commit that the index has.
detail::log_end embedded_store::replay(detail::chain& chain, const progress_function& tell,
                                       const detail::progress_report::clock& clock) {
  const auto scan = [&](const detail::index_mark& mark) {
    const bool from_beginning = mark.through == position{};
    chain = from_beginning ? detail::chain({folder_.identity().id.data(), folder_.identity().id.size()})
                           : detail::chain(mark.first, mark.hash);
    const auto known_end = folder_.high_water() ? folder_.high_water()->through : position{};
    detail::progress_report progress(tell, known_end.value - std::min(known_end.value, mark.through.value), clock);
    detail::scan_request request;
    if (!from_beginning) request.from = {mark.commit, mark.first};
    request.high_water = folder_.high_water();
    request.visit = [&](detail::chunk_reader& chunk, std::uint64_t address) {
      if (chunk.end() <= mark.through + 1) return;
      for (std::uint8_t slot = 0; !chunk.done(); ++slot) {
        const auto where = chunk.first() + slot;
        const auto record = decode_record(where, chunk.next());
        if (where > mark.through) index_->restore(record, {address, slot});
      }
      progress.add(chunk.count());
    };
    request.passed = [&](const detail::log_place& commit, const detail::digest& before) {
      const position through{chain.next().value - 1};
      const bool is_marked = !from_beginning && commit.address == mark.commit;
      if (is_marked && (through != mark.through || chain.hash() != mark.head)) {
        throw error(errc::corrupt_record,
                    "the index is of another history: it has other records up to position " + std::to_string(mark.through.value));
      }
      if (through > mark.through) index_->restored({through, commit.address, commit.next, before, chain.hash()});
    };
    const auto end = detail::scan_log(*segments_, chain, request);
    progress.end();
    return end;
  };
  const auto mark = index_->mark();
  try {
    const auto end = scan(mark);
    if (end.place.next > mark.through) return end;
    detail::chain whole({folder_.identity().id.data(), folder_.identity().id.size()});
    const auto end_of_log = detail::scan_log(*segments_, whole, {}).place.next;
    throw error(errc::corrupt_store, folder_.path() + ": records are missing: the index goes to position " +
                                         std::to_string(mark.through.value) + ", and the log only to position " +
                                         std::to_string(end_of_log.value - 1) + "." + detail::what_to_do);
  } catch (const error& failure) {
    if (failure.kind() != errc::corrupt_record) throw;
    if (mark.through == position{}) throw folder_.damaged(failure);
    warn(folder_.path() + ": the index does not fit the log, and is made again: " + failure.detail());
  }
  try {
    index_->clear();
    return scan(index_->mark());
  } catch (const error& failure) { throw folder_.damaged(failure); }
}

void embedded_store::append(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) {
  if (appends.size() != outcomes.size()) throw error(errc::invalid_argument, "append() needs one outcome for each append");
  if (!failure_.empty()) throw error(errc::journal_unavailable, failure_);
  index_->make_room();
  try {
    auto& buffer = writer_->begin();
    builder_.begin(buffer, last() + 1, head_);
    stage(appends, outcomes);
    builder_.close_chunk();
    if (buffer.size() > detail::append_bytes_max) {
      throw error(errc::invalid_argument, "the events of one append have more than 512 MiB");
    }
  } catch (...) {
    unstage();
    throw;
  }
  if (staged_.empty()) return;
  try {
    commit();
  } catch (const std::exception& reason) {
    unstage();
    refuse_from_now_on(reason);
  }
}

void embedded_store::stage(std::span<const atomic_append> appends, std::span<append_outcome> outcomes) {
  staged_.clear();
  touched_.clear();
  named_.clear();
  std::uint64_t records = 0;
  for (const auto& append : appends) {
    detail::require_sound(append);
    for (const auto& addition : append) {
      named_.push_back({addition.stream, detail::stream_table::hash(addition.stream)});
      records += addition.events;
    }
  }
  detail::require_positions(last(), records);
  index_->find(named_, found_);
  std::span<const std::uint32_t> streams(found_);
  std::size_t gathered = 0;
  std::vector<std::string_view> bodies;  // what is staged, gathered only for a conflict that may be a repeat
  for (std::size_t i = 0; i < appends.size(); ++i) {
    outcomes[i] = stage_one(appends[i], streams.first(appends[i].size()));
    streams = streams.subspan(appends[i].size());
    if (outcomes[i].stored) continue;
    for (; gathered < i; ++gathered) {
      // Neither a conflict nor a repeat, of earlier calls or of this one.
      if (!outcomes[gathered].stored || outcomes[gathered].first != last() + 1 + bodies.size()) continue;
      for (const auto& addition : appends[gathered]) {
        detail::for_each_frame(addition, [&](std::string_view body, const record_view&) { bodies.push_back(body); });
      }
    }
    const auto first = first_time(appends[i], bodies);
    if (first > position{}) outcomes[i] = {.stored = true, .first = first, .stands = {}};
  }
}

append_outcome embedded_store::stage_one(atomic_append append, std::span<const std::uint32_t> streams) {
  const auto touched_before = touched_.size();
  for (std::size_t n = 0; n < append.size(); ++n) {
    const auto& addition = append[n];
    auto& stands = index_->staged(streams[n]);
    if (stands != addition.expected.value) {
      const version conflicting{stands};
      for (auto i = touched_.size(); i-- > touched_before;) {
        index_->staged(touched_[i]) = append[i - touched_before].expected.value;
      }
      touched_.resize(touched_before);
      return {.stored = false, .first = {}, .stands = conflicting};
    }
    stands += addition.events;
    touched_.push_back(streams[n]);
  }
  const auto first = builder_.next();
  for (std::size_t i = 0; i < append.size(); ++i) stage_frames(append[i], touched_[touched_before + i]);
  return {.stored = true, .first = first, .stands = {}};
}

void embedded_store::stage_frames(const addition& addition, std::uint32_t stream) {
  detail::for_each_frame(addition, [&](std::string_view body, const record_view&) {
    const auto [chunk, slot] = builder_.add(body);
    staged_.push_back({stream, chunk, slot});
  });
}

// The position of the first record of `append` if all of them are in the log already, one after another, or among the `staged`
// ones that follow it. 0 if they are not, or if one of them has no command id.
position embedded_store::first_time(atomic_append append, std::span<const std::string_view> staged) const {
  std::vector<std::string_view> bodies;
  bool known = true;
  for (const auto& addition : append) {
    detail::for_each_frame(addition, [&](std::string_view body, const record_view& record) {
      bodies.push_back(body);
      known = known && !record.command_id.empty();
    });
  }
  if (!known || bodies.empty()) return {};
  const auto first_version = append.front().expected + 1;
  position first;
  read(append.front().stream, {first_version, first_version}, [&](const record_view& record) {
    if (record.body == bodies.front()) first = record.position;
    return false;
  });
  if (first == position{}) {
    const auto found = std::find(staged.begin(), staged.end(), bodies.front());
    if (found == staged.end()) return {};
    first = last() + 1 + static_cast<std::uint64_t>(found - staged.begin());
  }
  std::size_t same = 0;
  read_all(first, [&](const record_view& record) { return record.body == bodies[same] && ++same < bodies.size(); });
  const auto end_of_log = last() + 1;
  while (same < bodies.size() && first + same >= end_of_log) {
    const auto place = (first + same).value - end_of_log.value;
    if (place >= staged.size() || staged[place] != bodies[same]) break;
    ++same;
  }
  return same == bodies.size() ? first : position{};
}

void embedded_store::unstage() {
  for (const auto stream : touched_) index_->unstage(stream);
}

void embedded_store::commit() {
  const auto first = last() + 1;
  const auto count = staged_.size();
  const position through{first.value + count - 1};
  const auto address = writer_->commit(static_cast<std::uint32_t>(count), builder_.head());
  index_->publish(staged_, {through, address, first, head_, builder_.head()});
  const std::lock_guard lock(head_mutex_);
  head_ = builder_.head();
  last_.store(through.value, std::memory_order_release);
}

// Whether the commit is on the disk is unknown now, and so is what another sync would mean: after one that failed, the system may
// call pages clean that never reached the disk. Only reading everything back, by opening the store again, tells.
void embedded_store::refuse_from_now_on(const std::exception& reason) {
  index_->abandon();
  const auto* const known = dynamic_cast<const error*>(&reason);
  failure_ =
      "an append failed, and the store takes no more until it is opened again: " + (known ? known->detail() : reason.what());
  for (const auto& [stream, hash] : named_) in_doubt_.emplace(stream);
  has_failed_.store(true, std::memory_order_release);
  throw error(errc::journal_unavailable, failure_);
}

// A read tells whether an append that threw is stored. Of these aggregates only the next opening knows.
void embedded_store::require_known(stream_view stream) const {
  if (!has_failed_.load(std::memory_order_acquire) || !in_doubt_.contains(stream)) return;
  throw error(errc::journal_unavailable,
              "whether the last append to " + to_string(stream) + " is stored is unknown: " + failure_);
}

void embedded_store::read(stream_view stream, version_range range, const record_visitor& visit) const {
  require_known(stream);
  auto found = index_->look_up(stream);
  auto next = std::max<std::uint64_t>(range.from.value, 1);
  auto end = std::min(range.to.value, found.version());
  if (range.limit == 0 || next > end) return;
  end = next + std::min(end - next, range.limit - 1);
  detail::chunk_fetcher chunks(*segments_);
  std::vector<detail::place> places;
  while (next <= end) {
    const auto last = next + std::min(end - next, window_records - 1);
    places.clear();
    found.collect(next, last, places);
    if (!visit_places(stream, version{next}, places, chunks, visit)) return;
    next = last + 1;
  }
}

bool embedded_store::visit_places(stream_view stream, version first, std::span<const detail::place> places,
                                  detail::chunk_fetcher& chunks, const record_visitor& visit) const {
  std::optional<detail::chunk_reader> chunk;
  std::uint64_t address = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const auto expected = first + i;
    record_view record;
    try {
      if (!chunk || places[i].chunk != address) {
        address = places[i].chunk;
        chunk.emplace(chunks.fetch(address));
      }
      record = decode_record(chunk->first() + places[i].slot, chunk->at(places[i].slot));
      if (record.stream != stream || record.version != expected) {
        throw error(errc::corrupt_record, segments_->describe(address) + ": the log has version " +
                                              std::to_string(record.version.value) + " of " + to_string(record.stream) +
                                              " where the index says that this is");
      }
      require_understood(record);
    } catch (const error& failure) {
      throw error(failure.kind(),
                  "version " + std::to_string(expected.value) + " of " + to_string(stream) + ": " + failure.detail());
    }
    if (!visit(record)) return false;
  }
  return true;
}

position embedded_store::read_all(position from, const record_visitor& visit) const {
  from = std::max(from, position{1});
  const auto end = last();
  if (from > end) return from;
  detail::commit_reader reader(*segments_, segments_->near(from));
  while (from <= end) {
    detail::stored_commit commit;
    const auto damage = [&](const std::string& what) {
      return error(errc::corrupt_record, segments_->describe(reader.here().address) + ": " + what + ", at position " +
                                             std::to_string(reader.here().next.value));
    };
    if (reader.look(commit) != detail::commit_reader::finding::commit) throw damage("the log has no commit");
    if (commit.bytes.size() < commit.header.bytes()) throw damage("the file ends within a commit");
    auto next = commit.header.first;
    std::string_view bytes;
    for (detail::chunk_list chunks(commit.bytes, commit.header); commit.header.end() > from && chunks.next(bytes);) {
      detail::chunk_reader chunk(bytes);
      if (chunk.first() != next) throw damage("the log's chunks do not follow each other");
      next = chunk.end();
      if (next <= from) continue;
      for (auto slot = static_cast<std::uint32_t>(from.value - chunk.first().value); !chunk.done(); ++slot) {
        const auto where = from;
        from = from + 1;
        const auto record = decode_record(where, chunk.at(slot));
        require_understood(record);
        if (!visit(record)) return from;
      }
    }
    if (commit.header.end() > from) throw damage("the commit has fewer records than its header says");
    segments_->note({commit.address, commit.header.first});
    reader.pass(commit);
  }
  return from;
}

}  // namespace

std::unique_ptr<store> detail::open_embedded_store(const std::filesystem::path& folder, const store_options& options,
                                                   const store_environment& environment) {
  const auto sound = checked(options);
  auto& files = environment.files ? *environment.files : real_file_system();
  auto opened = store_folder::open_for_writing(files, folder, environment.now(), environment.make_id, environment.completeness);
  if (opened.ends_at_high_water()) {
    throw error(errc::corrupt_store, folder.string() +
                                         ": is a backup that was not brought up to date completely; back up to it again, or "
                                         "make a store of it with `cairn restore`");
  }
  return std::make_unique<embedded_store>(std::move(opened), sound, environment);
}

}  // namespace cairn
