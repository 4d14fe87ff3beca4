#include "rocksdb_backup.hpp"

#include "hex.hpp"
#include "new_folder.hpp"

#include <algorithm>
#include <rocksdb/env.h>
#include <rocksdb/utilities/backup_engine.h>
#include <vector>

namespace cairn {
namespace {

namespace fs = std::filesystem;

void check(const rocksdb::Status& status, const fs::path& folder, const std::string& what) {
  if (!status.ok()) throw error(errc::journal_unavailable, folder.string() + ": cannot " + what + ": " + status.ToString());
}

}  // namespace

void detail::back_up(const rocksdb_database& database, const fs::path& folder, std::size_t keep) {
  if (keep == 0) throw error(errc::invalid_argument, "a backup that keeps 0 backups would delete itself; keep at least 1");
  rocksdb::BackupEngine* raw = nullptr;
  rocksdb::BackupEngineOptions options(folder.string());
  std::error_code ignored;  // the engine says better what is wrong with the folder
  fs::create_directories(folder, ignored);
  check(rocksdb::BackupEngine::Open(options, database.db().GetEnv(), &raw), folder, "open the folder of backups");
  const std::unique_ptr<rocksdb::BackupEngine> engine(raw);
  std::vector<rocksdb::BackupInfo> known;
  engine->GetBackupInfo(&known);
  // The store's id goes with each backup, so that two stores never share a folder of backups.
  const auto id = to_hex(database.store_id());
  for (const auto& backup : known) {
    if (backup.app_metadata != id) {
      throw error(errc::invalid_argument, folder.string() + ": holds backups of another store (" + backup.app_metadata +
                                              "); choose another folder for those of " + database.folder());
    }
  }
  check(engine->CreateNewBackupWithMetadata(&database.db(), id), folder, "write a backup of " + database.folder());
  check(engine->PurgeOldBackups(static_cast<std::uint32_t>(std::min<std::size_t>(keep, UINT32_MAX))), folder,
        "delete old backups");
}

void restore_rocksdb_journal(const fs::path& backups, const fs::path& folder) {
  const auto unusable = [&](const std::string& why) {
    return error(errc::corrupt_store, backups.string() + ": holds no backup that can be restored: " + why);
  };
  const auto damaged = [&](rocksdb::BackupID backup, const std::string& why) {
    const auto number = std::to_string(backup);
    return error(errc::corrupt_store, backups.string() + ": its newest backup, " + number + ", is damaged" + why +
                                          ". Where there is an older one, take the file meta/" + number +
                                          " away to restore that");
  };
  detail::new_folder place(folder, "restore");
  std::error_code failure;
  if (!fs::is_directory(backups, failure)) throw unusable("there is no such folder");
  rocksdb::BackupEngineReadOnly* raw = nullptr;
  const auto opened =
      rocksdb::BackupEngineReadOnly::Open(rocksdb::BackupEngineOptions(backups.string()), rocksdb::Env::Default(), &raw);
  if (!opened.ok()) throw unusable(opened.ToString());
  const std::unique_ptr<rocksdb::BackupEngineReadOnly> engine(raw);
  rocksdb::BackupInfo newest;
  const auto found = engine->GetLatestBackupInfo(&newest);
  std::vector<rocksdb::BackupID> unreadable;
  engine->GetCorruptedBackups(&unreadable);
  for (const auto backup : unreadable) {
    if (!found.ok() || backup > newest.backup_id) throw damaged(backup, "");
  }
  if (!found.ok()) throw unusable(found.ToString());
  if (const auto whole = engine->VerifyBackup(newest.backup_id, true); !whole.ok()) {
    throw damaged(newest.backup_id, ": " + whole.ToString());
  }
  check(engine->RestoreDBFromBackup(newest.backup_id, place.path().string(), place.path().string()), folder,
        "write what backup " + std::to_string(newest.backup_id) + " holds");
  place.become_target();
}

}  // namespace cairn
