// Makes a store of an export. The log is built anew, chunk by chunk, and the chain with it; that it ends with the head that the
// export tells is the proof that nothing is different.
#include <cairn/journal_export.hpp>

#include "chain.hpp"
#include "document_stream.hpp"
#include "exporter.hpp"
#include "hex.hpp"
#include "log_chunk.hpp"
#include "new_folder.hpp"
#include "progress_report.hpp"
#include "rocksdb_database.hpp"

#include <cairn/error.hpp>
#include <cairn/rocksdb_journal.hpp>

#include <optional>
#include <rocksdb/write_batch.h>
#include <string>
#include <type_traits>

namespace cairn {
namespace {

namespace fs = std::filesystem;
using detail::document;

/// What is written to the store at a time, give or take a chunk.
constexpr std::size_t batch_bytes = std::size_t{1} << 20;

[[noreturn]] void refuse(const std::string& what) { throw error(errc::corrupt_record, what); }

/// Builds the log.
class log_builder {
public:
  log_builder(detail::rocksdb_database& database, const std::string& store_id)
      : database_(database), store_id_(store_id), chain_(store_id) {
    database_.disown();
    write_options_.disableWAL = true;  // all of it is flushed, or none of it counts
  }

  /// The position of the record that is to come.
  position next() const { return chunk_.empty() ? chain_.next() : chunk_.next(); }

  /// Adds the record of position next() to the chunk that begins at `chunk`.
  void add(position chunk, std::string_view body) {
    const bool begins = chunk == next();
    if (!begins && (chunk_.empty() || chunk != chunk_.first())) {
      refuse("is of the chunk at position " + std::to_string(chunk.value) + ", which is neither the one before nor a new one");
    }
    if (begins) {
      close_chunk();
      chunk_.begin(chunk, chain_.hash());
    } else if (!chunk_.has_room(body.size())) {
      refuse("has no room in its chunk, at position " + std::to_string(chunk.value));
    }
    chunk_.add(body);
  }

  chain_head end() {
    close_chunk();
    return chain_.head();
  }

  /// Makes it a store of what was added.
  void keep() {
    write();
    database_.flush();
    database_.adopt(store_id_);
  }

private:
  void close_chunk() {
    if (chunk_.empty()) return;
    const auto key = detail::log_key(chunk_.first());
    const std::string_view key_bytes(key.data(), key.size());
    const auto end = chunk_.next();
    const auto value = chunk_.finish();
    chain_.pass(key_bytes, value, end);
    check(batch_.Put(database_.log(), detail::slice(key_bytes), detail::slice(value)));
    chunk_.begin(end, chain_.hash());
    if (batch_.GetDataSize() >= batch_bytes) write();
  }

  void write() {
    check(database_.db().Write(write_options_, &batch_));
    batch_.Clear();
  }

  void check(const rocksdb::Status& status) const { database_.check(status, "write the log", errc::journal_unavailable); }

  detail::rocksdb_database& database_;
  const std::string store_id_;
  rocksdb::WriteOptions write_options_;
  rocksdb::WriteBatch batch_;
  detail::chain chain_;
  detail::chunk_writer chunk_;
};

/// The documents of an export. Each error says which of them it is about.
class export_reader {
public:
  explicit export_reader(std::istream& in) : in_(in) {}

  /// The store's id.
  std::string header() {
    require_next("begin");
    return told([&] {
      const auto is = [&](const char* field) { return shown_.is_object() && shown_.contains(field); };
      if (!is("format") || detail::text_in(shown_, "format") != detail::export_name) {
        throw error(errc::unknown_format, "does not say that this is an export of cairn");
      }
      if (const auto version = detail::number_in(shown_, "version"); version != detail::export_version) {
        throw error(errc::unknown_format, "says that the export has version " + std::to_string(version) +
                                              ", and this program knows version " + std::to_string(detail::export_version));
      }
      auto id = detail::from_hex(detail::text_in(shown_, "store"));
      if (!id || id->size() != 16) refuse("has no store id of 32 hexadecimal digits");
      require_fields(3, "beginning");
      return *std::move(id);
    });
  }

  /// Goes on to the next record, and gives false where the footer stands instead.
  bool next_record() {
    require_next("end");
    return !(shown_.is_object() && shown_.contains("head"));
  }

  void add_to(log_builder& log) {
    told([&] {
      const auto where = detail::number_in(shown_, "position");
      if (where != log.next().value) {
        refuse("has the record of position " + std::to_string(where) + " where that of position " +
               std::to_string(log.next().value) + " must come");
      }
      const auto body = detail::body_of(shown_, frame_);
      log.add(position{detail::number_in(shown_, "chunk")}, body);
    });
  }

  /// Throws where the footer, which is the latest document, does not fit `head`.
  void require_footer(const chain_head& head) {
    told([&] {
      const auto claimed = detail::text_in(shown_, "head");
      const auto records = detail::number_in(shown_, "records");
      require_fields(2, "end");
      if (records != head.through.value) {
        refuse("says that there are " + std::to_string(records) + " records, and " + std::to_string(head.through.value) +
               " came before it");
      }
      if (claimed != to_string(head)) {
        refuse("tells the head " + detail::quotable(claimed) + ", and what came before it gives " + to_string(head) +
               ": something in it was altered after it was exported");
      }
    });
    if (next()) told([&] { refuse("comes after the end"); });
  }

private:
  // Those that must be there have been found, so any more are others.
  void require_fields(std::size_t number, const std::string& of) const {
    if (shown_.size() != number) refuse("has fields that the " + of + " of an export does not have, or one of them twice");
  }

  bool next() {
    return told([&] { return in_.next(shown_); });
  }

  void require_next(const std::string& what) {
    if (!next()) refuse("the export does not " + what + ": it is cut short before " + in_.where());
  }

  template <class Work>
  std::invoke_result_t<Work> told(Work work) {
    try {
      return work();
    } catch (const error& failure) {
      if (failure.kind() == errc::journal_unavailable) throw;
      throw error(failure.kind(), in_.where() + " " + failure.detail());
    }
  }

  detail::document_reader in_;
  document shown_;
  std::string frame_;
};

/// Opening a store makes its index, and with that it can be shown that each aggregate's versions follow each other.
void require_sound(const fs::path& folder, const chain_head& head, const progress_function& tell) {
  try {
    rocksdb_journal(folder, {.opening = tell});
    rocksdb_journal(folder)->verify({.noted = head, .progress = tell});
  } catch (const error& failure) {
    if (failure.kind() != errc::corrupt_record) throw;
    // Without the folder, which will be gone, and without what can be done with it.
    auto why = failure.detail();
    if (const auto end = why.find(detail::what_to_do); end != why.npos) why.resize(end);
    if (why.ends_with('.')) why.pop_back();
    if (why.starts_with(folder.string() + ": ")) why.erase(0, folder.string().size() + 2);
    refuse("the export is unaltered, but of no sound store: " + why);
  }
}

}  // namespace

chain_head import_rocksdb_journal(std::istream& in, const fs::path& folder, const progress_function& tell) {
  detail::new_folder place(folder, "import");  // before the first byte is read, so that a wrong folder is told at once
  export_reader records(in);
  const auto store_id = records.header();
  chain_head head;
  {
    detail::rocksdb_database database(place.path(), {}, {});
    log_builder log(database, store_id);
    detail::progress_report progress(tell, 0);
    while (records.next_record()) {
      records.add_to(log);
      progress.add(1);
    }
    head = log.end();
    records.require_footer(head);
    progress.end();
    log.keep();
  }
  require_sound(place.path(), head, tell);
  place.become_target();
  return head;
}

}  // namespace cairn
