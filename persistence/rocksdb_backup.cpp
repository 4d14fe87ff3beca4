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
  const auto damaged = [&](const rocksdb::Status& status) {
    return error(errc::corrupt_store, folder.string() +
                                          ": files in it that earlier backups share are damaged, so no backup was "
                                          "added; keep it as it is, and choose a new folder for the backups of " +
                                          database.folder() + ": " + status.ToString());
  };
  rocksdb::BackupID made = 0;
  const auto written = engine->CreateNewBackupWithMetadata({}, &database.db(), id, &made);
  if (written.IsCorruption()) throw damaged(written);
  check(written, folder, "write a backup of " + database.folder());
  // The engine takes over what earlier backups hold without reading it. An older backup is purged only for one that is whole.
  if (const auto whole = engine->VerifyBackup(made, true); !whole.ok()) {
    engine->DeleteBackup(made).PermitUncheckedError();  // where even this fails, a restore still sees what is wrong with it
    throw damaged(whole);
  }
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
  detail::new_folder place(folder, "restore");  // before the long look at the backup, so that a wrong folder is told at once
  if (const auto whole = engine->VerifyBackup(newest.backup_id, true); !whole.ok()) {
    throw damaged(newest.backup_id, ": " + whole.ToString());
  }
  check(engine->RestoreDBFromBackup(newest.backup_id, place.path().string(), place.path().string()), folder,
        "write what backup " + std::to_string(newest.backup_id) + " holds");
  place.become_target();
}

}  // namespace cairn
