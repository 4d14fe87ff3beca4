// The simulated disk answers as a real folder does. Crashes, power cuts, failing calls, lack of space and
// damage have their documented effects.
#include "../temporary_folder.hpp"

#include "../../testkit/failing_file_system.hpp"
#include "../../testkit/simulated_file_system.hpp"

#include <cairn/error.hpp>
#include <cairn/testkit/random.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <doctest/doctest.h>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <set>
#include <thread>

namespace cairn::tests {
namespace {

using cairn::detail::file;
using cairn::detail::file_lock;
using cairn::detail::file_system;
using cairn::detail::folder;
using cairn::detail::io_count;
using cairn::detail::io_status;
using cairn::detail::open_mode;
using testkit::detail::call;
using testkit::detail::failing_file_system;
using testkit::detail::false_success;
using testkit::detail::remains;
using testkit::detail::short_transfer;
using testkit::detail::short_write;
using testkit::detail::simulated_disk;

constexpr auto sector = simulated_disk::sector_bytes;
constexpr std::array all_remains{remains::nothing, remains::everything, remains::sectors, remains::prefix};

std::shared_ptr<folder> open_folder(file_system& disk, const std::string& path = "/") {
  std::shared_ptr<folder> opened;
  REQUIRE(disk.open_folder(path, opened) == 0);
  return opened;
}

std::shared_ptr<folder> make_folder(folder& in, const std::string& name) {
  std::shared_ptr<folder> opened;
  REQUIRE(in.make_folder(name) == 0);
  REQUIRE(in.open_folder(name, opened) == 0);
  return opened;
}

std::unique_ptr<file> open(folder& in, const std::string& name, open_mode mode = open_mode::open_or_create) {
  std::unique_ptr<file> opened;
  REQUIRE(in.open(name, mode, opened) == 0);
  return opened;
}

void write(file& into, const std::string& bytes, std::uint64_t offset = 0) {
  REQUIRE(into.write_at(bytes, offset) == static_cast<io_count>(bytes.size()));
}

/// Makes a file whose name and bytes are durable.
std::unique_ptr<file> make_durable(folder& in, const std::string& name, const std::string& bytes) {
  auto made = open(in, name, open_mode::create);
  write(*made, bytes);
  REQUIRE(made->sync() == 0);
  REQUIRE(in.sync() == 0);
  return made;
}

std::string read(file& from, std::size_t bytes = 1 << 20) {
  std::string buffer(bytes, '?');
  const auto count = from.read_at(buffer.data(), buffer.size(), 0);
  REQUIRE(count >= 0);
  buffer.resize(static_cast<std::size_t>(count));
  return buffer;
}

std::string sectors_of(char fill, std::size_t count) { return std::string(count * sector, fill); }

/// The first byte of each sector, '0' for a zero: "aa0b". Fails if a sector has different bytes.
std::string outline(const std::string& bytes) {
  std::string firsts;
  for (std::size_t begin = 0; begin < bytes.size(); begin += sector) {
    const auto part = bytes.substr(begin, sector);
    CHECK(part == std::string(part.size(), part[0]));
    firsts += part[0] == '\0' ? '0' : part[0];
  }
  return firsts;
}

bool disk_has(const simulated_disk& disk, const std::string& path) {
  const auto files = disk.files();
  return std::find(files.begin(), files.end(), path) != files.end();
}

/// Cuts the power of the same disk many times. Returns all different descriptions of what remains, sorted:
/// "aa | ab".
std::string outcomes(simulated_disk& disk, remains mode, const std::function<std::string(const simulated_disk&)>& describe) {
  std::set<std::string> found;
  testkit::random chance(1);
  const auto before = disk.take_snapshot();
  for (int attempt = 0; attempt < 400; ++attempt) {
    disk.cut_power(chance, mode);
    found.insert(describe(disk));
    disk.restore(before);
  }
  std::string all;
  for (const auto& one : found) all += (all.empty() ? "" : " | ") + one;
  return all;
}

/// The same for one file and its outline.
std::string outcomes(simulated_disk& disk, remains mode, const std::string& path) {
  return outcomes(disk, mode, [&](const simulated_disk& after) {
    if (!disk_has(after, path)) return std::string("no file");
    const auto bytes = after.contents(path);
    return bytes.empty() ? "empty" : outline(bytes);
  });
}

/// The same for all files: "/a=bytes /b=".
std::string all_outcomes(simulated_disk& disk, remains mode) {
  return outcomes(disk, mode, [](const simulated_disk& after) {
    std::string all;
    for (const auto& path : after.files()) all += (all.empty() ? "" : " ") + path + "=" + after.contents(path);
    return all.empty() ? "no files" : all;
  });
}

// ----------------------------------------------------------------------------------------------------------
// Lockstep with a real folder

/// One of the two file systems, with what is open in it.
struct side {
  std::array<std::shared_ptr<folder>, 3> folders = {};
  std::array<std::unique_ptr<file>, 4> files = {};
  std::array<std::unique_ptr<file_lock>, 2> locks = {};
  std::string output = {};  // of the last step
};

/// A call with its arguments. Returns the call's result.
struct step {
  std::string description;
  std::function<io_count(side&)> run;
};

constexpr io_count omitted = 1'000'000;  // the result of a step that can make no call

bool is_folder(folder& in, const std::string& name) {
  std::shared_ptr<folder> opened;
  return in.open_folder(name, opened) == 0;
}

step file_step(testkit::random& chance) {
  const auto slot = chance.below(4);
  const auto offset = chance.below(8) * 300 + chance.below(3) * 256;
  const auto bytes = chance.chance(0.1) ? 0 : chance.below(1500);
  const auto on_file = [slot](auto work) {
    return [=](side& at) { return at.files[slot] ? work(*at.files[slot], at) : omitted; };
  };
  const auto arguments = " " + std::to_string(slot) + " " + std::to_string(offset) + " " + std::to_string(bytes);
  switch (chance.below(6)) {
  case 0: return {"size" + arguments, on_file([](file& of, side&) { return of.size(); })};
  case 1: return {"truncate" + arguments, on_file([=](file& of, side&) { return io_count{of.truncate(offset)}; })};
  case 2:
  case 3:
    return {"read" + arguments, on_file([=](file& of, side& at) {
              at.output.assign(bytes, '?');
              return of.read_at(at.output.data(), bytes, offset);
            })};
  default: {
    const std::string data(bytes, static_cast<char>('a' + chance.below(26)));
    return {"write" + arguments, on_file([=](file& of, side&) { return of.write_at(data, offset); })};
  }
  }
}

step open_step(testkit::random& chance, std::size_t in, const std::string& name) {
  constexpr std::array modes{open_mode::read, open_mode::write, open_mode::create, open_mode::open_or_create};
  const auto mode = chance.pick(modes);
  const auto slot = chance.below(4);
  const auto description = "open " + name + " in " + std::to_string(in) + ", mode " + std::to_string(static_cast<int>(mode)) +
                           ", as " + std::to_string(slot);
  return {description, [=](side& at) -> io_count {
            // The one known difference: Linux opens a folder for reading, and read() then fails.
            if (mode == open_mode::read && is_folder(*at.folders[in], name)) return omitted;
            return at.folders[in]->open(name, mode, at.files[slot]);
          }};
}

step lock_step(testkit::random& chance, std::size_t in, const std::string& name) {
  const auto slot = chance.below(2);
  const auto place = name + " in " + std::to_string(in);
  switch (chance.below(3)) {
  case 0: return {"is_locked " + place, [=](side& at) -> io_count { return at.folders[in]->is_locked(name); }};
  case 1: return {"unlock " + std::to_string(slot), [=](side& at) -> io_count { return at.locks[slot].reset(), 0; }};
  default: return {"lock " + place, [=](side& at) -> io_count { return at.folders[in]->lock(name, at.locks[slot]); }};
  }
}

step folder_step(testkit::random& chance) {
  const std::vector<std::string> known{"a", "b", "c", "d"};
  const std::size_t in = chance.below(3);
  const std::size_t into = chance.below(3);
  const auto name = chance.pick(known);
  const auto other = chance.pick(known);
  const auto place = name + " in " + std::to_string(in);
  const auto call_of = [in](auto work) { return [=](side& at) -> io_count { return work(*at.folders[in], at); }; };
  switch (chance.below(12)) {
  case 0: return {"make_folder " + place, call_of([=](folder& of, side&) { return of.make_folder(name); })};
  case 1:
    return {"open_folder " + place + " as " + std::to_string(into), call_of([=](folder& of, side& at) {
              // The first folder stays the uppermost one.
              return of.open_folder(name, at.folders[into == 0 ? 1 : into]);
            })};
  case 2:
    return {"list " + place, call_of([](folder& of, side& at) {
              std::vector<std::string> names;
              const auto status = of.list(names);
              for (const auto& one : names) at.output += one + " ";
              return status;
            })};
  case 3:
  case 4: return {"rename " + place + " to " + other, call_of([=](folder& of, side&) { return of.rename(name, other); })};
  case 5: return {"remove " + place, call_of([=](folder& of, side&) { return of.remove(name); })};
  case 6:
    return {"link " + place + " as " + other + " in " + std::to_string(into),
            call_of([=](folder& of, side& at) { return of.link(name, *at.folders[into], other); })};
  case 7:
  case 8: return lock_step(chance, in, name);
  default: return open_step(chance, in, name);
  }
}

/// Every name and all bytes below `in`.
std::string tree(folder& in) {
  std::vector<std::string> names;
  REQUIRE(in.list(names) == 0);
  std::string all;
  for (const auto& name : names) {
    std::shared_ptr<folder> below;
    const bool has_more = in.open_folder(name, below) == 0;
    all += name + (has_more ? "(" + tree(*below) + ")" : "=" + read(*open(in, name, open_mode::read)) + ";");
  }
  return all;
}

side open_side(file_system& disk, const std::filesystem::path& path) {
  side opened;
  REQUIRE(disk.open_folder(path, opened.folders[0]) == 0);
  for (const std::size_t place : {1, 2}) { opened.folders[place] = make_folder(*opened.folders[0], place == 1 ? "a" : "b"); }
  return opened;
}

/// Adds each call with its result to `results`: "rename -39".
void run_in_lockstep(std::uint64_t seed, std::set<std::string>& results) {
  const temporary_folder real_folder;
  simulated_disk disk;
  REQUIRE(disk.make_folder("/store") == 0);
  auto real = open_side(cairn::detail::real_file_system(), real_folder.path());
  auto simulated = open_side(disk, "/store");
  testkit::random chance(seed);
  for (int count = 0; count < 400; ++count) {
    const auto next = chance.chance(0.5) ? file_step(chance) : folder_step(chance);
    INFO("seed ", seed, ", step ", count, ": ", next.description);
    real.output.clear();
    simulated.output.clear();
    const auto result = next.run(real);
    REQUIRE(next.run(simulated) == result);
    REQUIRE(simulated.output == real.output);
    if (count % 20 == 0) REQUIRE(tree(*simulated.folders[0]) == tree(*real.folders[0]));
    results.insert(next.description.substr(0, next.description.find(' ')) + " " + std::to_string(std::min<io_count>(result, 1)));
  }
  REQUIRE(tree(*simulated.folders[0]) == tree(*real.folders[0]));
}

TEST_CASE("A real folder and the simulated disk give the same results for random calls") {
  std::set<std::string> results;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) run_in_lockstep(seed, results);
  const auto tried = [&](const std::string& name, io_count result) {
    INFO(name, " never returned ", result);
    CHECK(results.contains(name + " " + std::to_string(result)));
  };
  for (const auto* name : {"open", "open_folder", "make_folder", "list", "rename", "remove", "link", "lock", "truncate"}) {
    tried(name, 0);
  }
  for (const auto* name : {"open", "open_folder", "remove", "rename", "link", "make_folder"}) tried(name, -ENOENT);
  for (const auto* name : {"open", "make_folder", "link"}) tried(name, -EEXIST);
  for (const auto* name : {"open", "rename", "remove", "lock"}) tried(name, -EISDIR);
  for (const auto* name : {"open_folder", "rename"}) tried(name, -ENOTDIR);
  for (const auto* name : {"read", "write", "size", "is_locked"}) tried(name, 1);
  tried("rename", -ENOTEMPTY);
  tried("link", -EPERM);
  tried("lock", -EWOULDBLOCK);
  tried("write", -EBADF);
  tried("truncate", -EINVAL);
}

TEST_CASE("Paths of the simulated disk lead through its folders only") {
  simulated_disk disk;
  std::shared_ptr<folder> opened;
  CHECK(disk.make_folder("/") == -EEXIST);
  CHECK(disk.make_folder("/store/log") == -ENOENT);
  CHECK(disk.make_folder("/store") == 0);
  CHECK(disk.make_folder("/store") == -EEXIST);
  CHECK(disk.make_folder("/store/log") == 0);
  CHECK(disk.open_folder("/store/log", opened) == 0);
  CHECK(opened->path() == "/store/log");
  CHECK(make_folder(*opened, "old")->path() == "/store/log/old");
  open(*opened, "a");
  CHECK(disk.open_folder("/store/../store/log/", opened) == 0);
  CHECK(disk.open_folder("/other", opened) == -ENOENT);
  CHECK(disk.open_folder("/store/log/a", opened) == -ENOTDIR);
  CHECK(disk.make_folder("/store/log/a/b") == -ENOTDIR);
  simulated_disk other;
  CHECK(opened->link("a", *open_folder(other), "b") == -EXDEV);
}

// ----------------------------------------------------------------------------------------------------------
// Crashes and power cuts

TEST_CASE("A crash of the process keeps everything written, and closes everything open") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto written = open(*top, "a");
  std::unique_ptr<file_lock> lock;
  REQUIRE(top->lock("lock", lock) == 0);
  write(*written, "unsynced");
  disk.crash_process();

  char byte = 0;
  std::vector<std::string> names;
  std::unique_ptr<file> opened;
  CHECK(written->write_at("late", 0) == -EBADF);
  CHECK(written->truncate(0) == -EBADF);
  CHECK(written->sync() == -EBADF);
  CHECK(written->size() == -EBADF);
  CHECK(written->read_at(&byte, 1, 0) == -EBADF);
  CHECK(top->open("b", open_mode::create, opened) == -EBADF);
  CHECK(top->list(names) == -EBADF);
  CHECK(top->sync() == -EBADF);
  CHECK(top->link("a", *open_folder(disk), "b") == -EBADF);
  CHECK(open_folder(disk)->link("a", *top, "b") == -EBADF);
  CHECK(disk.files() == std::vector<std::string>{"/a", "/lock"});
  CHECK(disk.contents("/a") == "unsynced");

  std::unique_ptr<file_lock> new_lock;
  CHECK(open_folder(disk)->lock("lock", new_lock) == 0);
  lock.reset();  // the crashed process's
  CHECK(open_folder(disk)->is_locked("lock") == 1);
}

TEST_CASE("Files, folders and locks may outlive the disk") {
  std::shared_ptr<folder> top;
  std::unique_ptr<file> written;
  std::unique_ptr<file_lock> lock;
  {
    simulated_disk disk;
    top = open_folder(disk);
    written = open(*top, "a");
    REQUIRE(top->lock("lock", lock) == 0);
  }
  write(*written, "b");
  CHECK(read(*open(*top, "a")) == "b");
}

TEST_CASE("A power cut always keeps what was synced") {
  for (const auto mode : all_remains) {
    simulated_disk disk;
    const auto top = open_folder(disk);
    const auto log = make_folder(*top, "log");
    REQUIRE(top->sync() == 0);
    make_durable(*log, "a", sectors_of('a', 5));
    CHECK(outcomes(disk, mode, "/log/a") == "aaaaa");
  }
}

TEST_CASE("A power cut of the mode nothing drops every unsynced change, of the mode everything none") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto written = make_durable(*top, "a", sectors_of('a', 3));
  write(*written, sectors_of('b', 4), 2 * sector);
  CHECK(outcomes(disk, remains::nothing, "/a") == "aaa");
  CHECK(outcomes(disk, remains::everything, "/a") == "aabbbb");
}

TEST_CASE("A power cut of the mode sectors keeps any of the unsynced sectors and the size they need") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto written = make_durable(*top, "a", sectors_of('a', 2));
  write(*written, sectors_of('b', 3), sector);
  // Each of the three new sectors is there or is not; the file has its new length also if only that survived.
  CHECK(outcomes(disk, remains::sectors, "/a") == "aa | aa00 | aa0b | aab | aab0 | aabb | ab | ab00 | ab0b | abb | abb0 | abbb");
}

TEST_CASE("A power cut of the mode prefix tears the last write at a sector") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto written = make_durable(*top, "a", sectors_of('a', 3));
  write(*written, sectors_of('b', 2));
  write(*written, sectors_of('c', 2), sector);
  CHECK(outcomes(disk, remains::prefix, "/a") == "aaa | baa | bba | bca | bcc");
}

TEST_CASE("A torn write beyond the end leaves a file as long as the part that survived") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto written = make_durable(*top, "a", "start");
  write(*written, std::string(sector, 'b'), 5);
  const auto bytes = "start" + std::string(sector, 'b');
  CHECK(all_outcomes(disk, remains::prefix) == "/a=start | /a=" + bytes.substr(0, sector) + " | /a=" + bytes);
}

TEST_CASE("A sector that survives has all its bytes") {
  simulated_disk disk;
  const auto written = make_durable(*open_folder(disk), "a", "");
  write(*written, "aaaa");
  write(*written, "bb");
  CHECK(all_outcomes(disk, remains::prefix) == "/a= | /a=aaaa | /a=bbaa");
  const std::string zeros(4, '\0');
  CHECK(all_outcomes(disk, remains::sectors) == "/a= | /a=" + zeros + " | /a=aaaa | /a=bbaa");
}

TEST_CASE("A power cut of the mode sectors may lose only a few sectors or keep only a few") {
  simulated_disk disk;
  const auto written = make_durable(*open_folder(disk), "a", sectors_of('a', 30));
  write(*written, sectors_of('b', 30));
  const auto found = outcomes(disk, remains::sectors, [](const simulated_disk& after) {
    const auto sectors = outline(after.contents("/a"));
    const auto kept = std::count(sectors.begin(), sectors.end(), 'b');
    return std::string(kept < 6 ? "few" : kept > 24 ? "many" : "some");
  });
  CHECK(found == "few | many | some");
}

TEST_CASE("A truncation is durable only once the file was synced") {
  for (const bool synced : {false, true}) {
    simulated_disk disk;
    const auto top = open_folder(disk);
    const auto shortened = make_durable(*top, "a", sectors_of('a', 4));
    REQUIRE(shortened->truncate(sector) == 0);
    if (synced) REQUIRE(shortened->sync() == 0);
    const auto expected = synced ? "a" : "a | aaaa";
    CHECK(outcomes(disk, remains::sectors, "/a") == expected);
    CHECK(outcomes(disk, remains::prefix, "/a") == expected);
    CHECK(outcomes(disk, remains::nothing, "/a") == (synced ? "a" : "aaaa"));
  }
}

TEST_CASE("A file keeps its new name only once the folder was synced") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto made = open(*top, "a");
  write(*made, sectors_of('a', 1));
  REQUIRE(made->sync() == 0);
  CHECK(outcomes(disk, remains::nothing, "/a") == "no file");
  CHECK(outcomes(disk, remains::prefix, "/a") == "a | no file");
  CHECK(outcomes(disk, remains::sectors, "/a") == "a | no file");
  CHECK(outcomes(disk, remains::everything, "/a") == "a");
}

TEST_CASE("A synced name of an unsynced file leads to an empty file") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  write(*open(*top, "a"), sectors_of('a', 1));
  REQUIRE(top->sync() == 0);
  CHECK(outcomes(disk, remains::nothing, "/a") == "empty");
}

TEST_CASE("A folder that loses its name loses its files") {
  simulated_disk disk;
  const auto log = make_folder(*open_folder(disk), "log");
  make_durable(*log, "a", sectors_of('a', 1));
  CHECK(outcomes(disk, remains::nothing, "/log/a") == "no file");
}

TEST_CASE("A power cut restores a removed file and its durable contents if the folder was not synced") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto removed = make_durable(*top, "a", sectors_of('a', 2));
  write(*removed, sectors_of('b', 2));
  REQUIRE(top->remove("a") == 0);
  CHECK(disk.files().empty());
  CHECK(outcomes(disk, remains::nothing, "/a") == "aa");
  CHECK(outcomes(disk, remains::everything, "/a") == "no file");
}

TEST_CASE("A synced removal is final") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  make_durable(*top, "a", sectors_of('a', 2));
  REQUIRE(top->remove("a") == 0);
  REQUIRE(top->sync() == 0);
  for (const auto mode : all_remains) CHECK(outcomes(disk, mode, "/a") == "no file");
}

TEST_CASE("A power cut after a rename leaves both old files or the renamed one, never neither") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  make_durable(*top, "a", "old");
  make_durable(*top, "new", "new");
  REQUIRE(top->rename("new", "a") == 0);
  const std::string possible = "/a=new | /a=old /new=new";
  CHECK(all_outcomes(disk, remains::prefix) == possible);
  CHECK(all_outcomes(disk, remains::sectors) == possible);
}

TEST_CASE("The names of a folder survive in their order") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  REQUIRE(top->make_folder("other") == 0);
  REQUIRE(top->sync() == 0);
  make_durable(*top, "a", "");
  open(*top, "b");
  REQUIRE(top->rename("a", "c") == 0);
  REQUIRE(top->link("c", *top, "d") == 0);
  REQUIRE(top->remove("b") == 0);
  const std::string possible = "/a= | /a= /b= | /b= /c= | /b= /c= /d= | /c= /d=";
  CHECK(all_outcomes(disk, remains::prefix) == possible);
  CHECK(all_outcomes(disk, remains::sectors) == possible);
  CHECK(all_outcomes(disk, remains::nothing) == "/a=");
  CHECK(all_outcomes(disk, remains::everything) == "/c= /d=");
}

TEST_CASE("A sync of one folder does not make the names in others durable") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto log = make_folder(*top, "log");
  REQUIRE(top->sync() == 0);
  make_durable(*log, "a", "old");
  REQUIRE(log->remove("a") == 0);
  make_durable(*make_folder(*log, "b"), "c", "");
  REQUIRE(log->rename("b", "d") == 0);
  open(*log, "e");
  REQUIRE(log->remove("e") == 0);
  REQUIRE(top->sync() == 0);
  CHECK(all_outcomes(disk, remains::prefix) == "/log/a=old | /log/b/c= | /log/d/c= | /log/d/c= /log/e= | no files");
}

TEST_CASE("A folder that a power cut brings back can be used") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  REQUIRE(top->make_folder("a") == 0);
  REQUIRE(top->make_folder("b") == 0);
  REQUIRE(top->sync() == 0);
  REQUIRE(top->rename("a", "b") == 0);
  testkit::random chance(1);
  disk.cut_power(chance, remains::nothing);
  open(*open_folder(disk, "/a"), "c");
  open(*open_folder(disk, "/b"), "c");
  CHECK(disk.files() == std::vector<std::string>{"/a/c", "/b/c"});
}

TEST_CASE("The same seed leaves the same disk") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  for (const auto* name : {"a", "b", "c"}) write(*open(*top, name), sectors_of(*name, 20));
  const auto before = disk.take_snapshot();
  const auto cut = [&](std::uint64_t seed) {
    testkit::random chance(seed);
    disk.restore(before);
    disk.cut_power(chance, remains::sectors);
    std::string all;
    for (const auto& path : disk.files()) all += path + outline(disk.contents(path));
    return all;
  };
  std::set<std::string> found;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CHECK(cut(seed) == cut(seed));
    found.insert(cut(seed));
  }
  CHECK(found.size() > 3);
}

TEST_CASE("An open folder and an open file keep working when they are renamed or removed") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto below = make_folder(*top, "a");
  REQUIRE(top->rename("a", "b") == 0);
  const auto written = open(*below, "c");
  REQUIRE(below->remove("c") == 0);
  REQUIRE(below->sync() == 0);
  write(*written, "bytes");
  CHECK(read(*written) == "bytes");
  open(*below, "d");
  CHECK(disk.files() == std::vector<std::string>{"/b/d"});
}

// ----------------------------------------------------------------------------------------------------------
// Failing calls

struct failing_disk {
  simulated_disk disk = {};
  failing_file_system system{disk};
  std::shared_ptr<folder> top = open_folder(system);
};

TEST_CASE("After a failed sync no later sync makes the same bytes durable") {
  failing_disk failing;
  auto& faults = failing.system.faults();
  const auto written = make_durable(*failing.top, "a", sectors_of('a', 3));
  write(*written, sectors_of('b', 2));
  faults.fail({.kind = call::sync});
  CHECK(written->sync() == -EIO);
  write(*written, sectors_of('c', 1), sector);
  CHECK(written->sync() == 0);
  CHECK(outline(read(*written)) == "bca");
  CHECK(outcomes(failing.disk, remains::nothing, "/a") == "aca");
  CHECK(outcomes(failing.disk, remains::sectors, "/a") == "aca | bca");
}

TEST_CASE("After a failed sync the next sync makes truncations durable") {
  failing_disk failing;
  const auto shortened = make_durable(*failing.top, "a", sectors_of('a', 3));
  REQUIRE(shortened->truncate(sector) == 0);
  failing.system.faults().fail({.kind = call::sync});
  REQUIRE(shortened->sync() == -EIO);
  REQUIRE(shortened->sync() == 0);
  CHECK(outcomes(failing.disk, remains::nothing, "/a") == "a");
}

TEST_CASE("After a failed sync a second write makes the bytes durable") {
  failing_disk failing;
  const auto written = make_durable(*failing.top, "a", sectors_of('a', 1));
  write(*written, sectors_of('b', 3));
  failing.system.faults().fail({.kind = call::sync, .result = -ENOSPC});
  CHECK(written->sync() == -ENOSPC);
  write(*written, sectors_of('b', 3));
  CHECK(written->sync() == 0);
  for (const auto mode : all_remains) { CHECK(outcomes(failing.disk, mode, "/a") == "bbb"); }
}

TEST_CASE("A sync that was interrupted can be repeated") {
  failing_disk failing;
  const auto written = make_durable(*failing.top, "a", "");
  write(*written, sectors_of('b', 1));
  failing.system.faults().fail({.kind = call::sync, .result = -EINTR});
  CHECK(written->sync() == -EINTR);
  CHECK(written->sync() == 0);
  CHECK(outcomes(failing.disk, remains::nothing, "/a") == "b");
}

TEST_CASE("A truncation after a failed sync drops the unsynced bytes for good") {
  failing_disk failing;
  const auto written = make_durable(*failing.top, "a", sectors_of('a', 1));
  write(*written, sectors_of('b', 3), sector);
  failing.system.faults().fail({.kind = call::sync});
  REQUIRE(written->sync() == -EIO);
  REQUIRE(written->truncate(sector) == 0);
  REQUIRE(written->sync() == 0);
  for (const auto mode : all_remains) { CHECK(outcomes(failing.disk, mode, "/a") == "a"); }
}

TEST_CASE("A lying disk reports a sync that it did not do, and does the next one") {
  failing_disk failing;
  const auto written = make_durable(*failing.top, "a", sectors_of('a', 1));
  write(*written, sectors_of('b', 1));
  failing.system.faults().fail({.kind = call::sync, .result = false_success});
  CHECK(written->sync() == 0);
  CHECK(outcomes(failing.disk, remains::nothing, "/a") == "a");
  CHECK(open(*open_folder(failing.disk), "a")->sync() == 0);
  CHECK(outcomes(failing.disk, remains::nothing, "/a") == "b");
}

TEST_CASE("A lying disk reports a write that it did not do") {
  failing_disk failing;
  const auto written = make_durable(*failing.top, "a", "old");
  failing.system.faults().fail({.kind = call::write, .result = false_success});
  CHECK(written->write_at("new", 0) == 3);
  CHECK(read(*written) == "old");
}

TEST_CASE("A lying disk reports changes of names that it did not do; calls that return more go ahead") {
  failing_disk failing;
  write(*open(*failing.top, "a"), "1234");
  failing.system.faults().fail({.result = false_success, .lasts = true});
  CHECK(failing.top->rename("a", "b") == 0);
  CHECK(failing.top->remove("a") == 0);
  std::vector<std::string> names;
  CHECK(failing.top->list(names) == 0);
  CHECK(names == std::vector<std::string>{"a"});
  const auto used = open(*failing.top, "a", open_mode::write);
  CHECK(used->truncate(0) == 0);
  CHECK(used->size() == 4);
  CHECK(read(*used) == "1234");
  failing.system.faults().clear_faults();
  failing.system.faults().fail({.result = false_success});
  CHECK(used->size() == 4);
  CHECK(!failing.system.faults().first_strike());
}

TEST_CASE("If several faults strike one call, the earliest added decides") {
  failing_disk failing;
  auto& faults = failing.system.faults();
  faults.fail({.kind = call::sync_folder, .result = -EDQUOT});
  faults.fail({.result = -EIO, .lasts = true});
  CHECK(failing.top->sync() == -EDQUOT);
  CHECK(failing.top->sync() == -EIO);
  CHECK(failing.top->remove("a") == -EIO);
  REQUIRE(faults.first_strike());
  CHECK(faults.first_strike()->kind == call::sync_folder);
}

/// Makes a call of each kind, none of which needs another. Returns their results.
std::vector<io_count> make_each_call(folder& in, file& of) {
  std::unique_ptr<file> opened;
  std::shared_ptr<folder> below;
  std::unique_ptr<file_lock> lock;
  std::vector<std::string> names;
  char bytes[4] = {};
  return {in.open("a", open_mode::read, opened),
          in.open_folder("folder", below),
          in.make_folder("new folder"),
          in.list(names),
          in.rename("b", "c"),
          in.remove("d"),
          in.link("a", in, "e"),
          in.sync(),
          in.lock("lock", lock),
          in.is_locked("lock"),
          of.read_at(bytes, 4, 0),
          of.write_at("bytes", 0),
          of.sync(),
          of.size(),
          of.truncate(4)};
}
constexpr std::array calls_made{call::open,   call::open_folder, call::make_folder, call::list, call::rename,
                                call::remove, call::link,        call::sync_folder, call::lock, call::lock,
                                call::read,   call::write,       call::sync,        call::size, call::truncate};

/// Has the files that make_each_call() needs.
void prepare_calls(folder& in) {
  for (const auto* name : {"a", "b", "d"}) write(*open(in, name), "1234");
  REQUIRE(in.make_folder("folder") == 0);
}

TEST_CASE("The n-th call fails, whatever it is, and no other, on a simulated disk and on a real one") {
  for (const bool real : {false, true}) {
    for (std::size_t nth = 1; nth <= calls_made.size(); ++nth) {
      const temporary_folder real_folder;
      simulated_disk disk;
      failing_file_system failing(real ? cairn::detail::real_file_system() : disk);
      const auto top = open_folder(failing, real ? real_folder.path().string() : "/");
      prepare_calls(*top);
      const auto used = open(*top, "a");
      const auto calls = failing.faults().calls();
      failing.faults().fail({.nth = nth, .result = -ELOOP});
      const auto results = make_each_call(*top, *used);
      CHECK(failing.faults().calls() == calls + results.size());
      for (std::size_t place = 0; place < results.size(); ++place) {
        INFO("call ", place + 1, " of which the one that fails is ", nth);
        if (place + 1 == nth) CHECK(results[place] == -ELOOP);
        if (place + 1 != nth) CHECK(results[place] >= 0);
      }
      const auto strike = failing.faults().first_strike();
      REQUIRE(strike);
      CHECK(strike->kind == calls_made[nth - 1]);
    }
  }
}

TEST_CASE("A failed call changes nothing") {
  failing_disk failing;
  prepare_calls(*failing.top);
  const auto used = open(*failing.top, "a");
  const auto files = failing.disk.files();
  failing.system.faults().fail({.lasts = true});
  const auto results = make_each_call(*failing.top, *used);
  for (const auto result : results) CHECK(result == -EIO);
  CHECK(failing.disk.files() == files);
  CHECK(failing.disk.contents("/a") == "1234");
  std::shared_ptr<folder> opened;
  CHECK(failing.system.open_folder("/", opened) == -EIO);
  CHECK(failing.system.make_folder("/new") == -EIO);
}

TEST_CASE("A fault counts the calls of its kind from when it was added, and strikes once or for ever") {
  failing_disk failing;
  auto& faults = failing.system.faults();
  const auto used = open(*failing.top, "a");
  write(*used, "1");
  faults.fail({.kind = call::write, .nth = 2, .result = -EINTR});
  faults.fail({.kind = call::write, .nth = 4, .result = -ENOSPC, .lasts = true});
  std::vector<io_count> results;
  for (int count = 0; count < 6; ++count) {
    CHECK(used->size() == 1);
    results.push_back(used->write_at("2", 0));
  }
  CHECK(results == std::vector<io_count>{1, -EINTR, 1, -ENOSPC, -ENOSPC, -ENOSPC});
  REQUIRE(faults.first_strike());
  CHECK(faults.first_strike()->kind == call::write);
  CHECK(faults.first_strike()->path.ends_with("/a"));
  faults.clear_faults();
  CHECK(!faults.first_strike());
  CHECK(used->write_at("2", 0) == 1);
}

TEST_CASE("A read or a write can be short, and other calls then go ahead") {
  failing_disk failing;
  auto& faults = failing.system.faults();
  const auto used = make_durable(*failing.top, "a", "12345678");
  std::string buffer(8, '?');
  faults.fail({.result = short_transfer, .lasts = true});
  CHECK(used->read_at(buffer.data(), 8, 0) == 4);
  CHECK(buffer == "1234????");
  CHECK(used->write_at("abcdef", 0) == 3);
  CHECK(used->write_at("x", 7) == 1);
  CHECK(used->size() == 8);
  CHECK(used->sync() == 0);
  CHECK(failing.disk.contents("/a") == "abc4567x");
  faults.clear_faults();
  faults.fail({.nth = 1, .result = short_transfer});
  CHECK(used->size() == 8);
  CHECK(!faults.first_strike());
  CHECK(used->write_at("abcdef", 0) == 6);
}

TEST_CASE("A short write ends at the end of a sector, and a write within one sector goes ahead") {
  failing_disk failing;
  const auto used = open(*failing.top, "a");
  failing.system.faults().fail({.result = short_write, .lasts = true});
  CHECK(used->write_at(sectors_of('a', 4), sector / 2) == 3 * sector / 2);
  CHECK(used->write_at("bb", 10) == 2);
  CHECK(used->size() == 2 * sector);
}

TEST_CASE("A hook sees each call before it is made, and may fail it or end the process") {
  failing_disk failing;
  std::vector<std::string> seen;
  failing.system.faults().set_hook([&](call kind, const std::string& path) {
    seen.push_back(std::to_string(static_cast<int>(kind)) + path);
    if (kind == call::truncate) return -EFBIG;
    if (kind == call::remove) failing.disk.crash_process();
    return kind == call::remove ? 0 : short_transfer;
  });
  const auto used = open(*failing.top, "a");
  CHECK(used->truncate(0) == -EFBIG);
  CHECK(used->write_at("1234", 0) == 2);
  CHECK(used->size() == 2);
  CHECK(failing.top->remove("a") == -EBADF);
  const auto number = [](call kind) { return std::to_string(static_cast<int>(kind)); };
  REQUIRE(seen.size() == 5);
  CHECK(seen[0].starts_with(number(call::open)));
  CHECK(seen[1].starts_with(number(call::truncate)));
  CHECK(seen[2].starts_with(number(call::write)));
  CHECK(seen[3].starts_with(number(call::size)));
  CHECK(seen[4].starts_with(number(call::remove)));
  for (const auto& one : seen) CHECK(one.ends_with("/a"));
  CHECK(disk_has(failing.disk, "/a"));
  failing.system.faults().set_hook({});
  CHECK(open_folder(failing.system)->remove("a") == 0);
}

TEST_CASE("Faults can be injected over a real folder") {
  const temporary_folder real_folder;
  failing_file_system failing(cairn::detail::real_file_system());
  const auto top = open_folder(failing, real_folder.path().string());
  const auto below = make_folder(*top, "below");
  const auto used = make_durable(*top, "a", "1234");
  failing.faults().fail({.kind = call::sync});
  failing.faults().fail({.kind = call::write, .result = short_transfer});
  CHECK(used->sync() == -EIO);
  CHECK(used->sync() == 0);
  CHECK(used->write_at("abcd", 0) == 2);
  CHECK(top->link("a", *below, "b") == 0);
  std::ifstream linked(real_folder.path() / "below" / "b");
  CHECK(std::string(std::istreambuf_iterator<char>(linked), {}) == "ab34");
}

// ----------------------------------------------------------------------------------------------------------
// Capacity

TEST_CASE("A write to a full disk is short, and the next one fails") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto written = open(*top, "a");
  disk.set_capacity(3 * sector);
  CHECK(written->write_at(sectors_of('a', 2), 0) == 2 * sector);
  CHECK(written->write_at(sectors_of('b', 2), sector + sector / 2) == sector + sector / 2);
  CHECK(written->write_at("c", 3 * sector) == -ENOSPC);
  CHECK(written->write_at("", 3 * sector) == 0);
  CHECK(written->size() == 3 * sector);
  CHECK(written->write_at(sectors_of('d', 3), 0) == 3 * sector);  // needs no new sector
  CHECK(disk.allocated_bytes() == 3 * sector);
  CHECK(open(*top, "b")->write_at("c", 0) == -ENOSPC);
}

TEST_CASE("Holes need no sectors") {
  simulated_disk disk;
  disk.set_capacity(sector);
  const auto written = open(*open_folder(disk), "a");
  CHECK(written->truncate(std::uint64_t{1} << 40) == 0);
  CHECK(written->write_at("a", std::uint64_t{1} << 39) == 1);
  CHECK(disk.allocated_bytes() == sector);
}

TEST_CASE("A file frees sectors when it shrinks, and all when it has no name and no handle") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  auto written = open(*top, "a");
  write(*written, sectors_of('a', 4));
  REQUIRE(written->truncate(sector + 1) == 0);
  CHECK(disk.allocated_bytes() == 2 * sector);
  REQUIRE(top->link("a", *top, "b") == 0);
  REQUIRE(top->remove("a") == 0);
  CHECK(disk.allocated_bytes() == 2 * sector);
  REQUIRE(top->remove("b") == 0);
  CHECK(disk.allocated_bytes() == 2 * sector);
  written.reset();
  CHECK(disk.allocated_bytes() == 0);
}

TEST_CASE("A crash of the process frees the sectors of removed files") {
  simulated_disk disk;
  auto top = open_folder(disk);
  auto old_handle = open(*top, "a");
  write(*old_handle, sectors_of('a', 4));
  disk.crash_process();
  top = open_folder(disk);
  auto new_handle = open(*top, "a");
  REQUIRE(top->remove("a") == 0);
  old_handle.reset();
  CHECK(disk.allocated_bytes() == 4 * sector);
  disk.crash_process();
  CHECK(disk.allocated_bytes() == 0);
}

// ----------------------------------------------------------------------------------------------------------
// Inspection and damage

TEST_CASE("Damage is durable at once") {
  simulated_disk disk;
  const auto log = make_folder(*open_folder(disk), "log");
  REQUIRE(open_folder(disk)->sync() == 0);
  make_durable(*log, "a", "abc");
  make_durable(*log, "b", "abc");
  testkit::random chance(1);
  disk.flip("/log/a", 8 + 5);  // b becomes B
  disk.remove("/log/b");
  disk.cut_power(chance, remains::nothing);
  disk.overwrite("/log/c", "new");
  disk.cut_power(chance, remains::nothing);
  CHECK(disk.files() == std::vector<std::string>{"/log/a", "/log/c"});
  CHECK(disk.contents("/log/a") == "aBc");
  CHECK(disk.contents("/log/c") == "new");
  disk.overwrite("/log/c", "x");
  CHECK(disk.contents("/log/c") == "x");
  disk.remove("/log");
  CHECK(disk.files().empty());
}

TEST_CASE("Open files see damage") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto used = make_durable(*top, "a", "abc");
  disk.flip("/a", 0);
  CHECK(read(*used) == "`bc");
}

TEST_CASE("Damage to a missing file, folder or bit is an error") {
  simulated_disk disk;
  make_folder(*open_folder(disk), "log");
  disk.overwrite("/a", "abc");
  CHECK_THROWS_AS(disk.contents("/b"), error);
  CHECK_THROWS_AS(disk.contents("/log"), error);
  CHECK_THROWS_AS(disk.overwrite("/log", ""), error);
  CHECK_THROWS_AS(disk.overwrite("/other/b", ""), error);
  CHECK_THROWS_AS(disk.remove("/b"), error);
  CHECK_THROWS_AS(disk.flip("/a", 24), error);
}

TEST_CASE("A snapshot has the durable and the unsynced state of a disk, and never changes") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  const auto used = make_durable(*top, "a", "durable");
  write(*used, "unsynced");
  const auto snapshot = disk.take_snapshot();
  write(*used, "later");
  disk.flip("/a", 0);
  disk.remove("/a");
  testkit::random chance(1);
  for (const auto mode : {remains::everything, remains::nothing}) {
    disk.restore(snapshot);
    CHECK(used->size() == -EBADF);
    CHECK(disk.contents("/a") == "unsynced");
    disk.cut_power(chance, mode);
    CHECK(disk.contents("/a") == (mode == remains::nothing ? "durable" : "unsynced"));
  }
  simulated_disk other;
  other.restore(snapshot);
  CHECK(other.contents("/a") == "unsynced");
}

TEST_CASE("Several threads may use one disk") {
  simulated_disk disk;
  const auto top = open_folder(disk);
  std::vector<std::thread> threads;
  for (const char name : {'a', 'b', 'c'}) {
    threads.emplace_back([&top, name] {
      std::unique_ptr<file> used;
      for (int count = 0; count < 200; ++count) {
        if (top->open(std::string(1, name), open_mode::open_or_create, used) != 0) return;
        if (used->write_at(std::string(100, name), static_cast<std::uint64_t>(count) * 100) != 100) return;
        if (used->sync() != 0 || top->sync() != 0) return;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(disk.files() == std::vector<std::string>{"/a", "/b", "/c"});
  for (const char name : {'a', 'b', 'c'}) CHECK(disk.contents({'/', name}) == std::string(20'000, name));
}

}  // namespace
}  // namespace cairn::tests
