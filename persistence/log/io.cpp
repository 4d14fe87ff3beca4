#include "io.hpp"

#include <cerrno>
#include <cstring>

namespace cairn::inline v1::detail {
namespace {

void check(io_status status, const std::string& path, std::string_view what) {
  if (status < 0) fail_io(path, what, -status);
}

}  // namespace

std::string reason_of(int errno_value) {
  const auto* const remedy = [&] {
    switch (errno_value) {
    case EMFILE: return "; raise the limit of open files (ulimit -n)";
    case ENFILE: return "; raise the system's limit of open files (fs.file-max)";
    case ENOSPC: return "; free space on the disk";
    case EDQUOT: return "; free space, or raise the quota";
    case ENOMEM: return "; free memory, or raise the memory limit";
    case EACCES:
    case EPERM: return "; check the owner and the permissions";
    case EROFS: return "; mount the file system for writing";
    case EIO: return "; check the disk and its connections";
    case EFBIG: return "; raise the limit of a file's size (ulimit -f)";
    case EAGAIN: return "; free memory, or raise the limits of memory and of threads (ulimit -v, ulimit -u)";
    default: return "";
    }
  }();
  return std::strerror(errno_value) + std::string(remedy);
}

void fail_io(const std::string& path, std::string_view what, int errno_value) {
  throw error(errc::journal_unavailable, path + ": cannot " + std::string(what) + ": " + reason_of(errno_value));
}

std::size_t read_fully(file& from, const std::string& path, char* to, std::size_t bytes, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < bytes) {
    const auto got = uninterrupted([&] { return from.read_at(to + done, bytes - done, offset + done); });
    if (got < 0) fail_io(path, "read", static_cast<int>(-got));
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void write_fully(file& into, const std::string& path, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const auto put = uninterrupted([&] { return into.write_at(bytes, offset); });
    if (put < 0) fail_io(path, "write", static_cast<int>(-put));
    if (put == 0) fail_io(path, "write", ENOSPC);
    bytes.remove_prefix(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
}

void sync_file(file& of, const std::string& path) {
  check(uninterrupted([&] { return of.sync(); }), path, "sync");
}

void sync_names(folder& of) {
  check(uninterrupted([&] { return of.sync(); }), of.path(), "sync the folder");
}

std::uint64_t size_of(file& of, const std::string& path) {
  const auto size = uninterrupted([&] { return of.size(); });
  if (size < 0) fail_io(path, "find out the size", static_cast<int>(-size));
  return static_cast<std::uint64_t>(size);
}

std::unique_ptr<file> open_file(folder& from, const std::string& name, open_mode mode) {
  std::unique_ptr<file> opened;
  check(uninterrupted([&] { return from.open(name, mode, opened); }), path_in(from, name), "open");
  return opened;
}

std::unique_ptr<file> open_file_if_any(folder& from, const std::string& name, open_mode mode) {
  std::unique_ptr<file> opened;
  const auto status = uninterrupted([&] { return from.open(name, mode, opened); });
  if (status != -ENOENT) check(status, path_in(from, name), "open");
  return opened;
}

std::shared_ptr<folder> open_folder(folder& from, const std::string& name, bool make) {
  std::shared_ptr<folder> opened;
  const auto open = [&] { return uninterrupted([&] { return from.open_folder(name, opened); }); };
  auto status = open();
  if (status == -ENOENT && !make) return nullptr;
  if (status == -ENOENT) {
    check(uninterrupted([&] { return from.make_folder(name); }), path_in(from, name), "make the folder");
    status = open();
  }
  check(status, path_in(from, name), "open the folder");
  return opened;
}

std::vector<std::string> names_in(folder& of) {
  std::vector<std::string> names;
  check(uninterrupted([&] { return of.list(names); }), of.path(), "list the folder");
  return names;
}

void remove_file(folder& from, const std::string& name) {
  check(uninterrupted([&] { return from.remove(name); }), path_in(from, name), "remove");
}

void rename_file(folder& in, const std::string& from, const std::string& to) {
  check(uninterrupted([&] { return in.rename(from, to); }), path_in(in, from), "rename to " + to);
}

void replace_file(folder& in, const std::string& name, std::string_view bytes) {
  const auto unfinished = name + ".new";
  {
    const auto written = open_file(in, unfinished, open_mode::open_or_create);
    const auto path = path_in(in, unfinished);
    check(uninterrupted([&] { return written->truncate(0); }), path, "truncate");
    write_fully(*written, path, bytes, 0);
    sync_file(*written, path);
  }
  rename_file(in, unfinished, name);
  sync_names(in);
}

std::string contents_of(file& from, const std::string& path, std::size_t bytes_max) {
  std::string bytes(bytes_max, '\0');
  bytes.resize(read_fully(from, path, bytes.data(), bytes.size(), 0));
  return bytes;
}

}  // namespace cairn::detail
