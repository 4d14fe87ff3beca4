#include "rocksdb_index.hpp"

#include "index_run.hpp"

#include <algorithm>
#include <rocksdb/sst_file_writer.h>
#include <utility>

namespace cairn::inline v1::detail {
namespace {

class rocksdb_index_storage;

class rocksdb_cursor final : public run_cursor {
public:
  rocksdb_cursor(const rocksdb_index_storage& storage, std::unique_ptr<rocksdb::Iterator> pairs)
      : storage_(storage), pairs_(std::move(pairs)) {}
  bool seek(std::string_view key) override {
    pairs_->SeekForPrev(slice(key));
    return is_valid();
  }
  bool next() override {
    pairs_->Next();
    return is_valid();
  }
  std::string_view key() const override { return view(pairs_->key()); }
  std::string_view value() const override { return view(pairs_->value()); }

private:
  bool is_valid() const;

  const rocksdb_index_storage& storage_;
  std::unique_ptr<rocksdb::Iterator> pairs_;
};

class rocksdb_index_storage final : public index_storage {
public:
  rocksdb_index_storage(rocksdb_database& database, std::function<void()> note_damage)
      : database_(database), note_damage_(std::move(note_damage)) {}

  std::optional<index_mark> mark() const override {
    rocksdb::PinnableSlice value;
    const auto status = database_.db().Get(rocksdb::ReadOptions(), database_.index(), slice(mark_key), &value);
    if (status.IsNotFound()) return std::nullopt;
    check_read(status, "how far the index goes");
    const auto found = decode_mark(view(value));
    if (!found) fail("it does not say how far it goes");
    return found;
  }

  void clear() override { database_.clear_index(); }

  void write(const generation& generation) override {
    const auto path = database_.path_of(index_file_name);
    const auto check = [&](const rocksdb::Status& status) {
      if (rocksdb_database::is_damage(status)) note_damage_();
      database_.check(status, "write the index");
    };
    rocksdb::SstFileWriter file(rocksdb::EnvOptions(), database_.index_file_options());
    check(file.Open(path));
    for_each_pair(generation, [&](std::string_view key, std::string_view value) { check(file.Put(slice(key), slice(value))); });
    check(file.Finish());
    rocksdb::IngestExternalFileOptions ingest;
    ingest.move_files = true;
    ingest.write_global_seqno = false;
    check(database_.db().IngestExternalFile(database_.index(), {path}, ingest));
  }

  // Many are read together, because each look-up is a few cache misses.
  void newest_versions(std::span<const stream_view> streams, std::vector<std::uint64_t>& versions) const override {
    const auto count = streams.size();
    versions.clear();
    if (count == 1) {
      rocksdb::PinnableSlice value;
      const auto status = database_.db().Get(rocksdb::ReadOptions(), database_.index(), newest_key(streams[0]), &value);
      versions.push_back(version_in(streams[0], status, value));
      return;
    }
    std::vector<std::string> keys(count);
    std::vector<rocksdb::Slice> key_slices(count);
    std::vector<rocksdb::PinnableSlice> values(count);
    std::vector<rocksdb::Status> statuses(count);
    for (std::size_t i = 0; i < count; ++i) {
      keys[i] = newest_key(streams[i]);
      key_slices[i] = keys[i];
    }
    database_.db().MultiGet(rocksdb::ReadOptions(), database_.index(), count, key_slices.data(), values.data(), statuses.data());
    for (std::size_t i = 0; i < count; ++i) versions.push_back(version_in(streams[i], statuses[i], values[i]));
  }

  std::unique_ptr<run_cursor> runs() const override {
    rocksdb::ReadOptions options;
    options.total_order_seek = true;
    return std::make_unique<rocksdb_cursor>(
        *this, std::unique_ptr<rocksdb::Iterator>(database_.db().NewIterator(options, database_.index())));
  }

  [[noreturn]] void fail(const std::string& what) const override {
    note_damage_();
    throw error(errc::corrupt_store, database_.shown_path() + ": the index is damaged: " + what +
                                         ". Open the store again: it makes the index again from the log");
  }

  void check_read(const rocksdb::Status& status, const std::string& what) const {
    if (rocksdb_database::is_damage(status)) fail(what + " cannot be read: " + database_.reason(status));
    database_.check(status, "read " + what);
  }

private:
  std::uint64_t version_in(stream_view stream, const rocksdb::Status& status, const rocksdb::PinnableSlice& value) const {
    if (status.IsNotFound()) return 0;
    check_read(status, "the version of " + to_string(stream));
    const auto newest = decode_newest(view(value));
    if (!newest) fail("the version of " + to_string(stream) + " is not a number");
    return newest->value;
  }

  rocksdb_database& database_;
  std::function<void()> note_damage_;
};

bool rocksdb_cursor::is_valid() const {
  if (pairs_->Valid()) return true;
  storage_.check_read(pairs_->status(), "its runs");
  return false;
}

}  // namespace

std::unique_ptr<index_storage> rocksdb_index(rocksdb_database& database, std::function<void()> note_damage) {
  return std::make_unique<rocksdb_index_storage>(database, std::move(note_damage));
}

}  // namespace cairn::detail
