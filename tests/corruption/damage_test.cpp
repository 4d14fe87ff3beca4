// The rule for readers: each reader says of a damaged store the same as of the undamaged one, or fails with
// an error.
//
// The log is small, so that every bit can be flipped. Reading it needs no RocksDB; that pass runs in this
// process. Damages of all files, those of RocksDB included, are read in processes that may die.
#include "../other_process.hpp"
#include "../settings.hpp"
#include "readers.hpp"

#include <fcntl.h>
#include <functional>
#include <sys/mman.h>
#include <unistd.h>

namespace cairn::tests {
namespace {

// --- the store ---

constexpr int phases = 3;

std::string zeros_and(const std::string& text, std::size_t zeros) { return text + std::string(zeros, '\0') + text; }

/// Some text of so many bytes.
std::string text_of_size(std::size_t bytes) {
  std::string text;
  for (std::size_t i = 0; text.size() < bytes; ++i) text += std::to_string(i * i) + ' ';
  return text.substr(0, bytes);
}

/// Appends what the store gets between two closings. `flavour` makes other payloads of the same length.
void append_phase(journal& opened, int phase, const std::string& flavour = "a") {
  const auto product = [](int id) { return stream_id("product", std::to_string(id)); };
  const auto next = [&](int id) { return opened.highest(product(id)).value; };
  if (phase == 0) {
    append(opened, {{draft(product(0), 0, {"one " + flavour, "two", "three"}), draft(product(1), 0, {"another"})},
                    {draft(product(2), 0, {flavour})}});
    append(opened, product(2), next(2), {zeros_and(flavour, 1300)});
    opened.snapshots().save(product(0), version{2}, "the snapshot of product 0 at version 2");
  }
  if (phase == 1) {
    append(opened, product(1), next(1), {flavour + text_of_size(4200)});
    append(opened, product(0), next(0), {"four", "five"});
    opened.snapshots().save(product(0), version{4}, "the snapshot of product 0 at version 4");
    opened.snapshots().save(product(1), version{2}, "the snapshot of product 1 at version 2");
  }
  if (phase == 2) {
    for (int turn = 0; turn < 4; ++turn) append(opened, product(turn), next(turn), {"turn " + std::to_string(turn), flavour});
    append(opened, {{draft(product(3), next(3), {"last " + flavour}), draft(product(0), next(0), {"last"})}});
    opened.snapshots().save(product(2), version{3}, "the snapshot of product 2 at version 3");
  }
}

store_options phase_options() {
  auto options = small_options();
  options.index_events_in_memory_max = 6;  // so that the index has several generations
  return options;
}

/// The store closed after each phase.
std::vector<store_image> make_phases(const detail::store_environment& environment, const std::string& last_flavour = "a") {
  store_folder_for_images folder;
  std::vector<store_image> images;
  for (int phase = 0; phase < phases; ++phase) {
    append_phase(*open_log(folder.store(), environment, phase_options()), phase, phase + 1 == phases ? last_flavour : "a");
    images.push_back(image_of(folder.store()));
    folder.note_change();
  }
  return images;
}

// --- the log alone ---

/// A store whose log is alone on the disk, and its index.
struct log_store {
  std::vector<store_image> older;
  store_image sound;
  std::shared_ptr<detail::index_pairs> pairs = std::make_shared<detail::index_pairs>();
  whole_store whole;
};

log_store make_log_store() {
  log_store made;
  made.older = make_phases(log_only(made.pairs));
  made.sound = made.older.back();
  made.older.pop_back();
  made.sound.at(last_segment(made.sound)).append(200, '\0');  // as in a segment that got its space in advance
  store_folder_for_images folder;
  folder.put(made.sound);
  made.whole = describe(*open_log(folder.store()), folder.store());
  return made;
}

class log_damages {
public:
  log_damages() : store_(make_log_store()) {
    folder_.put(store_.older.at(0));
    older_head_ = verify_store(folder_.store()).head;
  }

  const log_store& store() const { return store_; }
  const tally& count() const { return count_; }

  /// Reads a damaged store: by opening it with the index that it had, and by a scan; with all other readers
  /// if `all`.
  void read(const std::string& damage, const store_image& damaged, bool all) {
    ++count_.damages;
    folder_.put(damaged);
    const auto& path = folder_.store();
    const auto& whole = store_.whole;
    const auto with = [&](reader which, auto work) {
      return try_reader(
          count_, which, damage, [this](const std::string& finding) { findings_.push_back(finding); }, work);
    };
    const bool verified = with(reader::verify, [&] { check_verify(path, whole); });
    if (all) {
      with(reader::export_store, [&] { check_export(path, whole); });
      with(reader::salvage, [&] { check_salvage(path, whole); });
      with(reader::backup, [&] { check_backup(path, whole); });
      with(reader::older_backup, [&] { check_older_backup(path, whole, store_.older.at(0), older_head_); });
      with(reader::restore, [&] { check_restore(path, whole); });
      with(reader::rebuild, [&] { check_opened(*open_log(path, log_only(), phase_options())); });
      folder_.note_change();
      folder_.put(damaged);
    }
    std::unique_ptr<cairn::store> opened;
    const auto pairs = std::make_shared<detail::index_pairs>(*store_.pairs);
    with(reader::open, [&] {
      opened = open_log(path, log_only(pairs), phase_options());
      check_ends(*opened, whole);
    });
    if (all || opened) folder_.note_change();
    if (!opened) return;
    with(reader::read, [&] { check_aggregates(*opened, whole); });
    with(reader::read_all, [&] { check_read_all(*opened, whole); });
    if (!all) return;
    with(reader::append, [&] {
      append(*opened, {"product", "new"}, 0, {"after the damage"});
      opened.reset();
      check_grown(path, verified, whole);
    });
  }

  void show_and_check(const std::string& what) {
    show("corruption: " + what + ": " + count_.figures());
    for (std::size_t i = 0; i < std::min<std::size_t>(findings_.size(), 40); ++i) MESSAGE(findings_[i]);
    CHECK(count_.silent == 0);
    CHECK(count_.misnamed == 0);
  }

  /// After one record more was appended. `verified` says that the store could be verified before.
  static void check_grown(const fs::path& path, bool verified, const whole_store& whole) {
    try {
      const auto grown = verify_store(path, {.noted = whole.head, .progress = {}});
      require(grown.records == whole.head.through.value + 1, "a record that was appended is missing");
    } catch (const error& failure) {
      require(!verified, std::string("a sound store fails after it was opened: ") + failure.what());
      throw;
    }
  }

private:
  void check_opened(cairn::store& opened) {
    check_ends(opened, store_.whole);
    check_aggregates(opened, store_.whole);
    check_read_all(opened, store_.whole);
  }

  const log_store store_;
  chain_head older_head_;
  store_folder_for_images folder_;
  tally count_;
  std::vector<std::string> findings_;
};

std::uint64_t rounds() { return std::max<std::uint64_t>(1, setting("CAIRN_TEST_ROUNDS", 50) / 50); }

/// From one bit or length to the next: with a sanitizer not each, but of each byte another one than of the byte before.
constexpr std::uint64_t step = sanitized ? 7 : 1;

/// So much of the bits or lengths is read by all readers.
std::uint64_t read_by_all_of(std::uint64_t usual) { return std::max<std::uint64_t>(usual / rounds(), 1); }

}  // namespace

TEST_CASE("every reader gives everything of an undamaged store") {
  log_damages damages;
  damages.read("no damage", damages.store().sound, true);
  CHECK(damages.count().equal == damages.count().readings);
  damages.show_and_check("an undamaged log");
}

TEST_CASE("each bit of each file of a log, flipped, is found by each reader, or changes no result") {
  log_damages damages;
  const auto& sound = damages.store().sound;
  const auto every = read_by_all_of(128);
  const auto seed = setting("CAIRN_TEST_SEED", 7);
  std::uint64_t bits = 0;
  for (const auto& [name, bytes] : sound) {
    for (std::uint64_t bit = 0; bit < 8 * bytes.size(); bit += step, ++bits) {
      auto damaged = sound;
      flip(damaged.at(name), bit);
      // One bit in `every` is read by all, each time another one of its byte.
      damages.read("bit " + std::to_string(bit) + " of " + name, damaged, (bits + bits / 128 * 5 + seed) % every == 0);
    }
  }
  CHECK(damages.count().damages == bits);
  damages.show_and_check("each bit of a log flipped");
}

TEST_CASE("each file of a log, truncated at each length, is found by each reader, or changes no result") {
  log_damages damages;
  const auto& sound = damages.store().sound;
  const auto every = read_by_all_of(16);
  for (const auto& [name, bytes] : sound) {
    for (std::uint64_t size = 0; size < bytes.size(); size += step) {
      auto damaged = sound;
      damaged.at(name).resize(size);
      damages.read(name + " truncated to " + std::to_string(size), damaged, (size + setting("CAIRN_TEST_SEED", 7)) % every == 0);
    }
  }
  damages.show_and_check("each file of a log truncated at each length");
}

// --- all files, with RocksDB ---

namespace {

detail::store_environment with_rocksdb() { return in_small_segments(detail::usual_environment()); }

struct damage {
  std::string name;
  std::function<store_image()> make;
};

/// The stores that the other processes work with.
struct store_images {
  std::vector<store_image> older;  // of the same store, the oldest first
  store_image sound;
  store_image other;     // another store that was filled alike
  store_image diverged;  // a copy that went its own way in the last phase
};

void write_images(const fs::path& folder) {
  const auto put = [&](const std::string& name, const store_image& image) {
    for (const auto& [file, bytes] : image) {
      fs::create_directories((folder / name / file).parent_path());
      overwrite(folder / name / file, bytes);
    }
  };
  const auto environment = with_rocksdb();
  const auto images = make_phases(environment);
  for (int phase = 0; phase + 1 < phases; ++phase) put("older-" + std::to_string(phase), images[static_cast<std::size_t>(phase)]);
  put("sound", images.back());
  put("diverged", make_phases(environment, "b").back());
  auto of_other = environment;
  of_other.make_id = [] { return id_of_test_stores('1'); };
  put("other", make_phases(of_other).back());
}

store_images read_images(const fs::path& folder) {
  store_images images;
  for (int phase = 0; phase + 1 < phases; ++phase) images.older.push_back(image_of(folder / ("older-" + std::to_string(phase))));
  images.sound = image_of(folder / "sound");
  images.diverged = image_of(folder / "diverged");
  images.other = image_of(folder / "other");
  return images;
}

class damage_list {
public:
  explicit damage_list(const store_images& images) : images_(images), sound_(images.sound) {
    for (const auto& [name, bytes] : sound_) add_file(name, bytes);
    add_segments();
    add_folders();
  }

  std::vector<damage> take() { return std::move(damages_); }

private:
  /// RocksDB writes them for people, and never reads them.
  static bool is_unread(const std::string& name) {
    return name.starts_with("derived/OPTIONS") || name.starts_with("derived/LOG");
  }

  template <class Change>
  void add(std::string name, Change change) {
    damages_.push_back({std::move(name), [this, change] {
                          auto image = sound_;
                          change(image);
                          return image;
                        }});
  }

  void add_file(const std::string& name, const std::string& bytes) {
    add(name + " removed", [name](store_image& image) { image.erase(name); });
    add(name + " with more bytes", [name](store_image& image) { image.at(name) += "more bytes"; });
    add(name + " with more zeros", [name](store_image& image) { image.at(name).append(1000, '\0'); });
    const auto size = bytes.size();
    const auto lengths = is_unread(name) ? 2 : 8 * rounds();
    for (std::uint64_t n = 0; n < std::min<std::uint64_t>(lengths, size); ++n) {
      const auto length = size <= lengths ? n : n + 1 == lengths ? size - 1 : size * n / lengths;
      add(name + " truncated to " + std::to_string(length),
          [name, length](store_image& image) { image.at(name).resize(length); });
    }
    for (std::size_t phase = 0; phase < images_.older.size(); ++phase) {
      const auto older = images_.older[phase].find(name);
      if (older == images_.older[phase].end() || older->second == bytes) continue;
      add(name + " as it was after phase " + std::to_string(phase),
          [name, &from = older->second](store_image& image) { image.at(name) = from; });
    }
    for (const auto* others : {&images_.other, &images_.diverged}) {
      const auto other = others->find(name);
      if (other == others->end() || other->second == bytes || name == "derived/CURRENT") continue;
      // The newest history of a copy that went its own way is sound in itself, and only a noted head shows
      // it.
      if (others == &images_.diverged && name.starts_with("log/")) continue;
      add(name + (others == &images_.other ? " of another store" : " of a diverged copy"),
          [name, &from = other->second](store_image& image) { image.at(name) = from; });
    }
    if (is_unread(name)) return;
    for (std::uint64_t at = 0; at < size; at += detail::sector_bytes) {
      add(name + " with the sector at " + std::to_string(at) + " zeroed", [name, at](store_image& image) {
        auto& file = image.at(name);
        std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(at), std::min<std::size_t>(detail::sector_bytes, file.size() - at),
                    '\0');
      });
      if (at + 2 * detail::sector_bytes > size) continue;
      add(name + " with the sectors at " + std::to_string(at) + " swapped", [name, at](store_image& image) {
        const auto from = image.at(name).begin() + static_cast<std::ptrdiff_t>(at);
        constexpr auto sector = static_cast<std::ptrdiff_t>(detail::sector_bytes);
        std::swap_ranges(from, from + sector, from + sector);
      });
    }
    // Of the log each bit was flipped above.
    const std::uint64_t every = std::max<std::uint64_t>((name.starts_with("derived/") ? 192 : 2048) / rounds(), 1);
    for (std::uint64_t bit = (setting("CAIRN_TEST_SEED", 7) * 13) % every; bit < 8 * size; bit += every + (bit / every) % 2) {
      add("bit " + std::to_string(bit) + " of " + name, [name, bit](store_image& image) { flip(image.at(name), bit); });
    }
  }

  void add_segments() {
    std::vector<std::string> segments;
    for (const auto& [name, bytes] : part_of(sound_, "log/")) segments.push_back(name);
    for (const auto& name : segments) {
      for (const auto* to : {"log/next", "log/copying", "log/1.log", "log/00000000000000000099.log"}) {
        add(name + " renamed to " + to, [name, to](store_image& image) {
          auto file = image.extract(name);
          file.key() = to;
          image.insert(std::move(file));
        });
      }
      add(name + " copied to another name",
          [name](store_image& image) { image["log/00000000000000000099.log"] = image.at(name); });
      for (const auto& other : segments) {
        if (other == name) continue;
        add(name + " replaced by " + other, [name, other](store_image& image) { image.at(name) = image.at(other); });
        if (name < other) {
          add(name + " swapped with " + other, [name, other](store_image& image) { std::swap(image.at(name), image.at(other)); });
        }
      }
    }
  }

  void add_folders() {
    for (const auto* folder : {"log/", "derived/"}) {
      add(std::string(folder) + " removed", [folder](store_image& image) {
        std::erase_if(image, [&](const auto& file) { return file.first.starts_with(folder); });
      });
    }
    const auto derived_of = [this](const std::string& whose, const store_image& from) {
      add("derived/ of " + whose, [&from](store_image& image) { image = with_folder_of(image, "derived/", from); });
      for (const auto& [name, bytes] : part_of(from, "derived/")) {
        if (sound_.contains(name)) continue;
        add(name + " of " + whose + " added", [name, &bytes = from.at(name)](store_image& image) { image[name] = bytes; });
      }
    };
    for (const auto& older : images_.older) derived_of("an older copy", older);
    derived_of("another store", images_.other);
    derived_of("a diverged copy", images_.diverged);
  }

  const store_images& images_;
  const store_image& sound_;
  std::vector<damage> damages_;
};

/// What a process that may die leaves.
struct shared_progress {
  std::uint64_t next = 0;  // damage
  std::uint64_t of = 0;
  char damage[160]{};
  tally count;
};

shared_progress& map_progress(const fs::path& folder) {
  const auto file = folder / "progress";
  const int opened = open(file.c_str(), O_RDWR | O_CREAT, 0600);
  REQUIRE(opened >= 0);
  REQUIRE(ftruncate(opened, sizeof(shared_progress)) == 0);
  void* const mapped = mmap(nullptr, sizeof(shared_progress), PROT_READ | PROT_WRITE, MAP_SHARED, opened, 0);
  close(opened);
  REQUIRE(mapped != MAP_FAILED);
  return *static_cast<shared_progress*>(mapped);
}

class every_reader {
public:
  every_reader(const store_images& images, tally& count, std::ostream& findings)
      : images_(images), count_(count), findings_(findings) {
    folder_.put(images.older.at(0));
    older_head_ = verify_store(folder_.store()).head;
    folder_.put(images.sound);
    whole_ = describe(*open(), folder_.store());
    folder_.note_change();
  }

  void read(const std::string& damage, const store_image& damaged) {
    ++count_.damages;
    folder_.put(damaged);
    const auto& path = folder_.store();
    const auto with = [&](reader which, auto work) {
      return try_reader(
          count_, which, damage, [this](const std::string& finding) { findings_ << finding << std::endl; }, work);
    };
    const bool verified = with(reader::verify, [&] { check_verify(path, whole_); });
    // These read nothing of derived/, so a few damages there are enough.
    const bool is_for_all = !damage.starts_with("derived/") && !mentions(damage, "of derived/");
    if (is_for_all || count_.damages % 8 == 0) {
      with(reader::export_store, [&] { check_export(path, whole_); });
      with(reader::salvage, [&] { check_salvage(path, whole_); });
      with(reader::backup, [&] { check_backup(path, whole_); });
      with(reader::older_backup, [&] { check_older_backup(path, whole_, images_.older.at(0), older_head_); });
      with(reader::restore, [&] { check_restore(path, whole_); });
    }
    if (image_of(path) != damaged) findings_ << "changed by reading: " << damage << std::endl;
    folder_.note_change();
    open_and_append(damage, verified, is_for_all || count_.damages % 3 == 0);
    if (!is_for_all && count_.damages % 8 != 0) return;
    folder_.put(damaged);
    with(reader::rebuild, [&] {
      rebuild_store(path);
      const auto opened = open();
      check_ends(*opened, whole_);
      check_aggregates(*opened, whole_);
      check_read_all(*opened, whole_);
    });
    folder_.note_change();
  }

private:
  std::unique_ptr<store> open() const { return open_log(folder_.store(), with_rocksdb(), phase_options()); }

  void open_and_append(const std::string& damage, bool verified, bool appends) {
    const auto with = [&](reader which, auto work) {
      return try_reader(
          count_, which, damage, [this](const std::string& finding) { findings_ << finding << std::endl; }, work);
    };
    std::unique_ptr<store> opened;
    const auto try_to_open = [&] {
      return with(reader::open, [&] {
        opened = open();
        check_ends(*opened, whole_);
      });
    };
    // An opening that fails must leave what the next one needs to fail as well.
    if (!try_to_open() && !opened) try_to_open();
    if (!opened) return;
    with(reader::read, [&] { check_aggregates(*opened, whole_); });
    with(reader::read_all, [&] { check_read_all(*opened, whole_); });
    with(reader::snapshots, [&] { check_snapshots(*opened, whole_); });
    if (!appends) return;
    with(reader::append, [&] {
      append(*opened, {"product", "new"}, 0, {"after the damage"});
      opened.reset();
      // If the index was damaged and a reader noted that, the next opening makes it again.
      opened = open();
      require(opened->last() == whole_.head.through + 1, "a record that was appended is missing");
      opened.reset();
      log_damages::check_grown(folder_.store(), verified, whole_);
    });
  }

  const store_images& images_;
  tally& count_;
  std::ostream& findings_;
  store_folder_for_images folder_;
  chain_head older_head_;
  whole_store whole_;
};

}  // namespace

TEST_CASE("each file of a store, removed, cut, flipped, outdated or swapped, is found by each reader, or "
          "changes no result") {
  const temporary_folder folder;
  write_images(folder.path());
  auto& progress = map_progress(folder.path());
  while (run_in_another_process("(child) reads damaged stores", folder.path()) != 0) {
    ++progress.count.died;
    MESSAGE("died: " << progress.damage);
    REQUIRE(progress.of > 0);
    if (progress.count.died > 100) break;
  }
  CHECK(progress.next == progress.of);
  show("corruption: all files of a store damaged: " + progress.count.figures());
  std::string text = "corruption: equal results by reader:";
  for (std::size_t i = 0; i < reader_names.size(); ++i) {
    text += std::string(i == 0 ? " " : ", ") + reader_names[i] + " " + std::to_string(progress.count.equal_by_reader[i]);
  }
  show(text);
  const auto findings = contents(folder.path() / "findings");
  INFO(findings.substr(0, 8000));
  CHECK(findings.empty());
  CHECK(progress.count.silent == 0);
  CHECK(progress.count.misnamed == 0);
  CHECK(progress.count.died == 0);
}

TEST_CASE("(child) reads damaged stores" * doctest::skip()) {
  constexpr unsigned seconds_max = 60;  // for one damage
  const auto folder = folder_of_this_process();
  auto& progress = map_progress(folder);
  const auto images = read_images(folder);
  damage_list list(images);
  const auto damages = list.take();
  progress.of = damages.size();
  std::ofstream findings(folder / "findings", std::ios::app);
  every_reader readers(images, progress.count, findings);
  while (progress.next < damages.size()) {
    const auto& damage = damages[progress.next++];
    damage.name.copy(progress.damage, sizeof progress.damage - 1);
    progress.damage[std::min(damage.name.size(), sizeof progress.damage - 1)] = '\0';
    alarm(seconds_max);
    readers.read(damage.name, damage.make());
  }
  alarm(0);
}

}  // namespace cairn::tests
