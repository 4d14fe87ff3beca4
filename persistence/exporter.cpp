#include "exporter.hpp"

#include "chain.hpp"
#include "document_stream.hpp"
#include "hex.hpp"
#include "index_run.hpp"
#include "log_walk.hpp"
#include "progress_report.hpp"
#include "wal_check.hpp"

#include <cairn/record.hpp>

#include <cerrno>
#include <cstring>
#include <ostream>
#include <string>

namespace cairn {
namespace detail {
namespace {

/// What is handed to the stream at a time, give or take a chunk.
constexpr std::size_t write_bytes = std::size_t{1} << 18;

class exporter {
public:
  exporter(const rocksdb_database& database, std::ostream& out, const export_options& options)
      : database_(database), out_(out), format_(options.format), log_(database), chain_(database.store_id()),
        progress_(options.progress, last_position()) {
    add({{"format", export_name}, {"version", export_version}, {"store", to_hex(database.store_id())}});
  }

  /// Writes everything. Throws error(errc::corrupt_record) at the first damage.
  void write_records() {
    for (bool more = log_.first(); more; more = log_.next()) write_chunk(log_.key(), log_.value());
    progress_.end();
  }

  /// Writes what comes before the first damage, and says what that is; nothing where there is none.
  std::string write_intact_records() {
    std::string met;
    try {
      write_records();
      return {};
    } catch (const error& failure) {
      if (!ends_what_is_intact(failure)) throw;
      met = failure.detail();
    }
    // A table that cannot be opened keeps a walk from all the others; asked for one by one, their chunks can still be had.
    try {
      for (std::string value;;) {
        const auto key = log_key(chain_.next());
        const std::string_view key_bytes(key.data(), key.size());
        const auto status = database_.db().Get({}, database_.log(), slice(key_bytes), &value);
        if (status.IsNotFound()) return met;
        database_.check(status, "read the record at position " + std::to_string(chain_.next().value));
        write_chunk(key_bytes, value);
      }
    } catch (const error& failure) {
      if (!ends_what_is_intact(failure)) throw;
      return failure.detail();
    }
  }

  chain_head end() {
    const auto head = chain_.head();
    add({{"records", head.through.value}, {"head", to_string(head)}});
    hand_over();
    out_.flush();
    require_written();
    return head;
  }

private:
  std::uint64_t last_position() {
    try {
      return log_.last() ? log_.chunk().end().value - 1 : 0;
    } catch (const error&) { return 0; }  // will be told when everything before it has been written
  }

  // A table that is missing, or that the disk no longer gives, is as much damage as one that is altered; an output that takes no
  // more is not.
  bool ends_what_is_intact(const error& failure) const {
    return failure.kind() == errc::corrupt_record || (failure.kind() == errc::journal_unavailable && out_);
  }

  // A chunk that turns out to be damaged leaves nothing of itself.
  void write_chunk(std::string_view key, std::string_view value) {
    const auto before = text_.size();
    try {
      chunk_reader chunk(key, value);
      chain_.require(chunk);
      auto next = chunk.first();
      for (; !chunk.done(); next = next + 1) add_record(decode_record(next, chunk.next()), chunk.first());
      chain_.pass(key, value, next);
      progress_.add(chunk.count());
    } catch (const error&) {
      text_.resize(before);
      throw;
    }
    if (text_.size() >= write_bytes) hand_over();
  }

  void add_record(const record_view& record, position chunk) {
    const auto before = text_.size();
    add(document_of(record, chunk, format_));
    if (text_.size() - before <= document_bytes_max) return;
    text_.resize(before);
    add(bare_document_of(record, chunk, format_));
  }

  void add(const document& shown) { append_document(text_, shown, format_); }

  void hand_over() {
    errno = 0;
    out_.write(text_.data(), static_cast<std::streamsize>(text_.size()));
    require_written();
    text_.clear();
  }

  void require_written() const {
    if (out_) return;
    const std::string reason = errno == 0 ? "the output takes no more" : std::strerror(errno);
    throw error(errc::journal_unavailable, "the export cannot be written: " + reason);
  }

  const rocksdb_database& database_;
  std::ostream& out_;
  const export_format format_;
  log_walk log_;
  chain chain_;
  progress_report progress_;
  std::string text_;  // that is still to be handed to the stream
};

/// What nothing in the log itself shows to be missing.
std::string missing_records(const rocksdb_database& database, position last) {
  if (const auto found = check_write_ahead_logs(database.folder()); found.damage) return *found.damage;
  std::string value;
  const auto found = database.db().Get({}, database.index(), slice(marker_key), &value);
  const auto marker = found.ok() ? decode_marker(value) : std::nullopt;
  if (!marker || marker->through <= last) return {};
  return "the index goes to position " + std::to_string(marker->through.value) + ", and the log no further than this";
}

}  // namespace

chain_head export_store(const rocksdb_database& database, std::ostream& out, const export_options& options) {
  try {
    exporter exporter(database, out, options);
    exporter.write_records();
    return exporter.end();
  } catch (const error& failure) {
    if (failure.kind() != errc::corrupt_record) throw;
    throw error(failure.kind(), database.told(failure.detail()) + "." + what_to_do);
  }
}

}  // namespace detail

intact_export export_intact_records(const std::filesystem::path& folder, std::ostream& out, const export_options& options) {
  const detail::rocksdb_database database(folder, {}, {}, detail::access::intact);
  detail::exporter exporter(database, out, options);
  intact_export result;
  result.damage = exporter.write_intact_records();
  result.head = exporter.end();
  if (result.damage.empty()) result.damage = detail::missing_records(database, result.head.through);
  return result;
}

}  // namespace cairn
