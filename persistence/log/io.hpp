// Whole reads and writes over the raw calls of file_system.hpp, and errors that say what failed, why, and what to do.
#pragma once

#include "file_system.hpp"

#include <cairn/error.hpp>

#include <string>
#include <string_view>

namespace cairn::inline v1::detail {

/// The reason of `errno_value` in words, with the remedy: "too many open files; raise the limit (ulimit -n)".
std::string reason_of(int errno_value);

/// Throws error(errc::journal_unavailable): cannot `what`, the reason, and the remedy.
[[noreturn]] void fail_io(const std::string& path, std::string_view what, int errno_value);

/// Repeats `call` while it fails with EINTR. Returns what it returned last.
template <class Call>
auto uninterrupted(Call call) {
  auto result = call();
  while (result == -4 /* EINTR */) result = call();
  return result;
}

/// Reads until `to` is full or the file ends. Returns how many bytes it read. `path` is for the error.
std::size_t read_fully(file& from, const std::string& path, char* to, std::size_t bytes, std::uint64_t offset);

/// Writes all of `bytes`. Throws error(errc::journal_unavailable); a part may be written then.
void write_fully(file& into, const std::string& path, std::string_view bytes, std::uint64_t offset);

void sync_file(file& of, const std::string& path);
void sync_names(folder& of);
std::uint64_t size_of(file& of, const std::string& path);

/// Opens `name` in `from`. Throws error(errc::journal_unavailable) if it cannot.
std::unique_ptr<file> open_file(folder& from, const std::string& name, open_mode mode);
/// The same, but nullptr if there is no such file.
std::unique_ptr<file> open_file_if_any(folder& from, const std::string& name, open_mode mode);

/// The same for a folder in a folder; it is made if it is missing and `make` is set. nullptr if it is missing and is not.
std::shared_ptr<folder> open_folder(folder& from, const std::string& name, bool make);

std::vector<std::string> names_in(folder& of);
void remove_file(folder& from, const std::string& name);
void rename_file(folder& in, const std::string& from, const std::string& to);

/// The path of `name` in `in`, for messages.
inline std::string path_in(const folder& in, const std::string& name) { return in.path() + "/" + name; }

/// Replaces the file `name` by one with `bytes`, whole or not at all, durably.
void replace_file(folder& in, const std::string& name, std::string_view bytes);

/// The contents of a file of at most `bytes_max` bytes, and no more of a longer one.
std::string contents_of(file& from, const std::string& path, std::size_t bytes_max);

}  // namespace cairn::detail
