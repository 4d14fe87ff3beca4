// The RocksDB of a store's index and snapshots, opened without the store.
#pragma once

#include "store_image.hpp"

#include "../../persistence/derived/index_run.hpp"

#include <rocksdb/db.h>

namespace cairn::tests {

class raw_database {
public:
  explicit raw_database(const fs::path& store) {
    const auto folder = (store / "derived").string();
    std::vector<std::string> names;
    REQUIRE(rocksdb::DB::ListColumnFamilies({}, folder, &names).ok());
    std::vector<rocksdb::ColumnFamilyDescriptor> families;
    for (const auto& name : names) families.emplace_back(name, rocksdb::ColumnFamilyOptions());
    std::vector<rocksdb::ColumnFamilyHandle*> handles;
    rocksdb::DB* db = nullptr;
    REQUIRE(rocksdb::DB::Open({}, folder, families, &handles, &db).ok());
    db_.reset(db);
    for (std::size_t i = 0; i < names.size(); ++i) handles_[names[i]] = handles[i];
  }
  ~raw_database() {
    for (const auto& [name, handle] : handles_) db_->DestroyColumnFamilyHandle(handle).PermitUncheckedError();
  }
  raw_database(const raw_database&) = delete;
  raw_database& operator=(const raw_database&) = delete;

  void put(const std::string& family, const std::string& key, const std::string& value) {
    REQUIRE(db_->Put({}, handles_.at(family), key, value).ok());
  }
  void remove(const std::string& family, const std::string& key) { REQUIRE(db_->Delete({}, handles_.at(family), key).ok()); }
  std::string get(const std::string& family, const std::string& key) {
    std::string value;
    REQUIRE(db_->Get({}, handles_.at(family), key, &value).ok());
    return value;
  }
  void drop(const std::string& family) { REQUIRE(db_->DropColumnFamily(handles_.at(family)).ok()); }

  detail::index_mark mark() {
    const auto found = detail::decode_mark(get("index", std::string(detail::mark_key)));
    REQUIRE(found);
    return *found;
  }
  void put_mark(const detail::index_mark& mark) { put("index", std::string(detail::mark_key), detail::encode_mark(mark)); }

private:
  std::unique_ptr<rocksdb::DB> db_;
  std::map<std::string, rocksdb::ColumnFamilyHandle*> handles_;
};

}  // namespace cairn::tests
