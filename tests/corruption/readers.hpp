// Everything that reads a store, with one question: does it say the same of a damaged store as of the
// undamaged one?
#pragma once

#include "store_image.hpp"

#include <array>
#include <sstream>
#include <stdexcept>

namespace cairn::tests {

/// A reader returned something else than the undamaged store has, and no error.
class silent_result : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

inline void require(bool equal, const std::string& otherwise) {
  if (!equal) throw silent_result(otherwise);
}

/// Appends a record as text to `text`.
inline void append_record(std::string& text, const record_view& record) {
  text.append(std::to_string(record.position.value)).append(" ").append(record.body).append("\n");
}

inline std::string text_of(const journal& journal, position from = position{1}) {
  std::string text;
  journal.read_all(from, [&](const record_view& record) {
    append_record(text, record);
    return true;
  });
  return text;
}

inline std::string text_of(const journal& journal, stream_view stream) {
  std::string text;
  journal.read(stream, {}, [&](const record_view& record) {
    append_record(text, record);
    return true;
  });
  return text;
}

/// All that readers say of an undamaged store.
struct whole_store {
  struct aggregate {
    version current;
    std::string records;
    std::map<version, std::string> snapshots;
  };
  chain_head head;
  std::string records;
  std::string second_half;                    // the records from the middle on
  std::map<std::string, aggregate> products;  // by their ids
  std::string exported;

  position middle() const { return position{head.through.value / 2 + 1}; }
};

inline std::map<version, std::string> snapshots_of(journal& journal, stream_view stream) {
  std::map<version, std::string> snapshots;
  journal.snapshots().read_newest_first(stream, version::max(), [&](const snapshot_view& snapshot) {
    snapshots[snapshot.version] = snapshot.bytes;
    return true;
  });
  return snapshots;
}

inline whole_store describe(store& opened, const fs::path& folder) {
  whole_store whole;
  whole.head = opened.head();
  whole.records = text_of(opened);
  whole.second_half = text_of(opened, whole.middle());
  for (const auto& record : read_all(opened)) {
    const auto& stream = record.stream;
    if (whole.products.contains(stream.id)) continue;
    whole.products[stream.id] = {opened.highest(stream), text_of(opened, stream), snapshots_of(opened, stream)};
  }
  std::ostringstream out;
  export_store(folder, out);
  whole.exported = out.str();
  return whole;
}

// --- the readers of an opened store ---

inline void check_ends(const store& opened, const whole_store& whole) {
  require(opened.last() == whole.head.through, "it ends at position " + std::to_string(opened.last().value));
  require(opened.head() == whole.head, "it has another head");
}

inline void check_read_all(const journal& opened, const whole_store& whole) {
  require(text_of(opened) == whole.records, "read_all() gives other records");
  require(text_of(opened, whole.middle()) == whole.second_half, "read_all() gives other records from the middle on");
}

/// All aggregates, also behind one that cannot be read. Throws the first error at the end.
inline void check_aggregates(const journal& opened, const whole_store& whole) {
  std::optional<error> refusal;
  for (const auto& [id, aggregate] : whole.products) {
    const stream_id stream("product", id);
    try {
      require(opened.highest(stream) == aggregate.current, "another version of product " + id);
      require(text_of(opened, stream) == aggregate.records, "other records of product " + id);
    } catch (const error& failure) {
      if (!refusal) refusal = failure;
    }
  }
  if (refusal) throw *refusal;
}

/// Those that are there. A store may lose snapshots, which are made again.
inline void check_snapshots(journal& opened, const whole_store& whole) {
  for (const auto& [id, aggregate] : whole.products) {
    for (const auto& [at, bytes] : snapshots_of(opened, stream_id("product", id))) {
      const auto saved = aggregate.snapshots.find(at);
      require(saved != aggregate.snapshots.end() && saved->second == bytes,
              "another snapshot of product " + id + " at version " + std::to_string(at.value));
    }
  }
}

// --- the readers of a folder, which change nothing ---

inline void check_verify(const fs::path& folder, const whole_store& whole) {
  const auto found = verify_store(folder);
  require(found.head == whole.head, "verify_store() gives another head");
  require(found.records == whole.head.through.value, "verify_store() counts other records");
}

inline void check_export(const fs::path& folder, const whole_store& whole) {
  std::ostringstream out;
  export_store(folder, out);
  require(out.view() == whole.exported, "export_store() writes other records");
}

/// The lines between the header of an export, which names the store, and its end.
inline std::string_view records_in(std::string_view exported) {
  const auto begin = exported.find('\n') + 1;
  const auto end = exported.rfind('\n', exported.size() - 2) + 1;
  require(begin != 0 && begin <= end, "an export has no header, or no end");
  return exported.substr(begin, end - begin);
}

/// Throws the damage as an error if less than everything was saved.
inline void check_salvage(const fs::path& folder, const whole_store& whole) {
  std::ostringstream out;
  const auto salvaged = salvage_store(folder, out);
  if (out.view() == whole.exported) return;
  const auto records = records_in(out.view());
  require(records_in(whole.exported).starts_with(records), "salvage_store() writes other records");
  require(!salvaged.damage.empty(), "salvage_store() saves less, and says of no damage");
  throw error(errc::corrupt_record, salvaged.damage);
}

/// Into a new folder beside the store.
inline void check_backup(const fs::path& folder, const whole_store& whole) {
  const auto backup = folder.parent_path() / "backup";
  fs::remove_all(backup);
  require(backup_store(folder, backup).head == whole.head, "backup_store() gives another head");
  check_verify(backup, whole);
}

/// Brings an older backup up to date. If that fails, the older backup must be as good as before.
inline void check_older_backup(const fs::path& folder, const whole_store& whole, const store_image& older,
                               const chain_head& older_head) {
  const auto backup = folder.parent_path() / "older-backup";
  fs::remove_all(backup);
  fs::create_directories(backup / "log");
  for (const auto& [name, bytes] : older) {
    if (!name.starts_with("derived/")) overwrite(backup / name, bytes);
  }
  try {
    require(backup_store(folder, backup).head == whole.head, "backup_store() brings a backup to another head");
  } catch (const error&) {
    require(verify_store(backup).head == older_head, "a backup that failed changed the older one");
    throw;
  }
  check_verify(backup, whole);
}

/// As if the store were a backup.
inline void check_restore(const fs::path& folder, const whole_store& whole) {
  const auto restored = folder.parent_path() / "restored";
  fs::remove_all(restored);
  require(restore_store(folder, restored) == whole.head, "restore_store() gives another head");
  check_verify(restored, whole);
}

// --- the count ---

enum class reader : std::size_t {
  open,
  read,
  read_all,
  snapshots,
  append,
  verify,
  export_store,
  salvage,
  backup,
  older_backup,
  restore,
  rebuild,
};
inline constexpr std::array reader_names{"open",   "read",    "read_all", "snapshots",    "append",  "verify",
                                         "export", "salvage", "backup",   "older backup", "restore", "rebuild"};

/// Plain numbers, so that several processes can add to them in shared memory.
struct tally {
  std::uint64_t damages = 0;
  std::uint64_t readings = 0;
  std::uint64_t equal = 0;
  std::uint64_t silent = 0;
  std::uint64_t misnamed = 0;  // errors that are no name for wrong bytes
  std::uint64_t died = 0;      // processes
  std::array<std::uint64_t, 32> errors{};
  std::array<std::uint64_t, reader_names.size()> equal_by_reader{};

  void add(const tally& other) {
    damages += other.damages;
    readings += other.readings;
    equal += other.equal;
    silent += other.silent;
    misnamed += other.misnamed;
    died += other.died;
    for (std::size_t i = 0; i < errors.size(); ++i) errors[i] += other.errors[i];
  }

  std::string figures() const {
    std::string text =
        std::to_string(damages) + " damages, " + std::to_string(readings) + " readings: " + std::to_string(equal) + " equal, ";
    for (std::size_t kind = 0; kind < errors.size(); ++kind) {
      if (errors[kind] == 0) continue;
      text += std::to_string(errors[kind]) + " \"" + error_category().message(static_cast<int>(kind)) + "\", ";
    }
    return text + std::to_string(misnamed) + " wrong kinds of error, " + std::to_string(silent) + " silent, " +
           std::to_string(died) + " processes died";
  }
};

inline bool is_name_of_damage(errc kind) {
  return kind == errc::corrupt_record || kind == errc::corrupt_store || kind == errc::unknown_format ||
         kind == errc::invalid_argument;
}

/// Lets one reader read, and counts the result. Returns whether it was equal; `report` takes each finding.
template <class Work, class Report>
bool try_reader(tally& count, reader which, const std::string& damage, Report report, Work work) {
  const auto place = static_cast<std::size_t>(which);
  const auto name = std::string(reader_names[place]);
  ++count.readings;
  try {
    work();
    ++count.equal;
    ++count.equal_by_reader[place];
    return true;
  } catch (const silent_result& result) {
    ++count.silent;
    report("SILENT: " + name + ", " + damage + ": " + result.what());
  } catch (const error& failure) {
    ++count.errors.at(static_cast<std::size_t>(failure.code().value()));
    if (!is_name_of_damage(failure.kind())) {
      ++count.misnamed;
      report("wrong kind: " + name + ", " + damage + ": " + failure.what());
    }
  } catch (const std::exception& failure) {
    ++count.misnamed;
    report("no error of cairn: " + name + ", " + damage + ": " + failure.what());
  }
  return false;
}

}  // namespace cairn::tests
