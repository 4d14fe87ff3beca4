// Another process that opens the store under test, and says what came of it.
#pragma once

#include <cairn/testkit/store_under_test.hpp>

#include <exception>
#include <optional>
#include <string>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace cairn::inline v1::testkit::detail {

/// Forked before the store is opened here, so that it shares neither the store's threads nor what the store's library keeps in
/// memory of the files that this process has locked: all it can meet is the lock itself.
class other_process {
public:
  explicit other_process(const store_under_test& store) {
    int orders[2], answers[2];
    if (pipe(orders) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    if (pipe(answers) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    child_ = fork();
    if (child_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (child_ == 0) {
      close(orders[1]);
      close(answers[0]);
      obey(store, orders[0], answers[1]);
    }
    close(orders[0]);
    close(answers[1]);
    order_ = orders[1];
    answer_ = answers[0];
  }
  ~other_process() {
    close(order_);
    close(answer_);
    waitpid(child_, nullptr, 0);
  }
  other_process(const other_process&) = delete;
  other_process& operator=(const other_process&) = delete;

  /// Has it open the store, once. What it got: the kind and the whole text of the error; no kind where it got the store or gave
  /// no answer.
  std::pair<std::optional<errc>, std::string> opens() {
    std::string told;
    if (write(order_, "!", 1) == 1) {
      char some[512];
      for (ssize_t count; (count = ::read(answer_, some, sizeof some)) > 0;) told.append(some, static_cast<std::size_t>(count));
    }
    if (told.empty()) return {std::nullopt, "gave no answer"};
    if (told.front() == 0) return {std::nullopt, told.substr(1)};
    return {static_cast<errc>(told.front()), told.substr(1)};
  }

private:
  static constexpr unsigned seconds_max = 60;

  /// Answers with the error's number in one byte, 0 for none, and its text.
  [[noreturn]] static void obey(const store_under_test& store, int order, int answer) {
    char go = 0;
    if (::read(order, &go, 1) != 1) _exit(0);
    // A store that opens after all may miss the threads that a fork leaves behind, and wait for them.
    alarm(seconds_max);
    std::string told(1, '\0');
    try {
      store.open();
      told += "opened it";
    } catch (const error& failure) {
      told.front() = static_cast<char>(failure.kind());
      told += failure.what();
    } catch (const std::exception& failure) { told += failure.what(); }
    const auto written = write(answer, told.data(), told.size());
    _exit(written == static_cast<ssize_t>(told.size()) ? 0 : 1);
  }

  pid_t child_ = -1;
  int order_ = -1;
  int answer_ = -1;
};

}  // namespace cairn::testkit::detail
