#include "postgres.hpp"

#include "rows.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <pwd.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

namespace cairn::benchmarks {
namespace {

const std::filesystem::path programs = "/usr/lib/postgresql/15/bin";
const char* const get_it = "apt-get install postgresql";

/// Whom a program runs as. PostgreSQL refuses to be root.
struct identity {
  uid_t user = ::geteuid();
  gid_t group = ::getegid();
};

identity server_identity() {
  if (::geteuid() != 0) return {};
  const auto* found = ::getpwnam("postgres");
  if (!found) throw skipped(std::string("no user postgres, whom root lets it run as, ") + get_it);
  return {found->pw_uid, found->pw_gid};
}

/// Starts a program whose output goes to `output`. It is sent `at_our_end` when this process ends.
pid_t start(std::vector<std::string> words, identity as, int output, int at_our_end) {
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const auto parent = ::getpid();
  const auto child = ::fork();
  if (child < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (child > 0) return child;
  // Nothing from here on may allocate.
  const bool ready = (::geteuid() != 0 || ::geteuid() == as.user || (::setgid(as.group) == 0 && ::setuid(as.user) == 0)) &&
                     ::setpgid(0, 0) == 0 && ::prctl(PR_SET_PDEATHSIG, at_our_end) == 0 && ::getppid() == parent &&
                     ::dup2(output, STDOUT_FILENO) >= 0 && ::dup2(output, STDERR_FILENO) >= 0 && ::chdir("/") == 0;
  if (ready) ::execv(arguments[0], arguments.data());
  ::_exit(127);
}

/// Waits until it has ended, or throws interrupted.
bool succeeds(pid_t child) {
  int status = 0;
  pid_t ended = 0;
  try {
    while ((ended = ::waitpid(child, &status, WNOHANG)) == 0) pause_for(0);
  } catch (const interrupted&) {
    ::kill(child, SIGTERM);
    ::waitpid(child, &status, 0);
    throw;
  }
  return ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

class output_file {
public:
  explicit output_file(const std::filesystem::path& path)
      : path_(path), file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
    if (file_ < 0) throw std::system_error(errno, std::generic_category(), path.string());
  }
  ~output_file() { ::close(file_); }
  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;

  int descriptor() const { return file_; }
  std::string content() const { return read_whole(path_); }

private:
  std::filesystem::path path_;
  int file_;
};

/// Runs a program to its end and gives its output. Throws std::runtime_error with that where it fails.
std::string output_of(const temporary_folder& folder, const std::vector<std::string>& words, identity as = {}) {
  const output_file said(folder.path() / "output");
  if (!succeeds(start(words, as, said.descriptor(), SIGTERM))) throw std::runtime_error(words[0] + ":\n" + said.content());
  return said.content();
}

}  // namespace

std::string postgres_cluster::program(const std::string& name) const { return (programs / name).string(); }

postgres_cluster::postgres_cluster() {
  for (const auto* name : {"initdb", "postgres", "pgbench", "psql", "pg_isready"}) {
    if (!std::filesystem::exists(programs / name)) throw skipped(std::string("no PostgreSQL 15, ") + get_it);
  }
  const auto as = server_identity();
  const auto data = folder_.path() / "data";
  if (::chown(folder_.path().c_str(), as.user, as.group) != 0) {
    throw std::system_error(errno, std::generic_category(), folder_.path().string());
  }
  output_of(folder_, {program("initdb"), "-D", data.string(), "-U", "benchmark", "-A", "trust", "-E", "UTF8", "--no-locale"}, as);
  const output_file log(folder_.path() / "server.log");
  server_ = start(
      {program("postgres"), "-D", data.string(), "-c", "listen_addresses=", "-c", "unix_socket_directories=" + socket_folder()},
      as, log.descriptor(), SIGINT);
  const auto started = steady::now();
  const output_file unread(folder_.path() / "ready");
  while (!succeeds(start({program("pg_isready"), "-q", "-h", socket_folder()}, {}, unread.descriptor(), SIGTERM))) {
    if (seconds_since(started) > 60 || ::waitpid(server_, nullptr, WNOHANG) != 0) {
      ::kill(std::exchange(server_, -1), SIGKILL);
      throw std::runtime_error("PostgreSQL does not start:\n" + log.content());
    }
    pause_for(0.05);
  }
}

postgres_cluster::~postgres_cluster() {
  if (server_ < 0) return;
  ::kill(server_, SIGINT);  // a fast shutdown
  ::waitpid(server_, nullptr, 0);
}

void postgres_cluster::fill(std::size_t products) {
  output_of(folder_, {program("psql"),
                      "-h",
                      socket_folder(),
                      "-U",
                      "benchmark",
                      "-d",
                      "postgres",
                      "-q",
                      "-v",
                      "ON_ERROR_STOP=1",
                      "-c",
                      "DROP TABLE IF EXISTS stock",
                      "-c",
                      "CREATE TABLE stock (id integer PRIMARY KEY, count bigint NOT NULL)",
                      "-c",
                      "INSERT INTO stock SELECT id, 0 FROM generate_series(1, " + std::to_string(products) + ") AS id",
                      "-c",
                      "VACUUM ANALYZE stock",
                      "-c",
                      "CHECKPOINT"});
}

double postgres_cluster::updates_per_second(std::size_t products, double seconds) {
  const auto script = folder_.path() / "update.sql";
  std::ofstream(script) << "\\set id random(1, " << products << ")\n\\set d random(1, 9)\n"
                        << "UPDATE stock SET count = count + :d WHERE id = :id;\n";
  const auto whole_seconds = std::to_string(std::max(1, static_cast<int>(std::ceil(seconds))));
  const auto said = output_of(folder_, {program("pgbench"), "-h", socket_folder(), "-U", "benchmark", "-M", "prepared", "-c",
                                        "64", "-j", "2", "-n", "-T", whole_seconds, "-f", script.string(), "postgres"});
  const auto found = said.find("tps = ");
  if (found == std::string::npos) throw std::runtime_error("pgbench said:\n" + said);
  return std::strtod(said.c_str() + found + std::strlen("tps = "), nullptr);
}

}  // namespace cairn::benchmarks
