// What a test says where the program has to end in the middle of it: an exception that leaves a noexcept function.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <string>
#include <utility>

namespace cairn::inline v1::testkit::detail {

/// While it lives, std::terminate writes these words to standard error first. One at a time, and not beside other threads.
class last_words {
public:
  explicit last_words(std::function<std::string()> words) : words_(std::move(words)), before_(std::set_terminate(speak)) {
    speaker() = this;
  }
  ~last_words() { std::set_terminate(before_); }
  last_words(const last_words&) = delete;
  last_words& operator=(const last_words&) = delete;

private:
  static const last_words*& speaker() {
    static const last_words* one = nullptr;
    return one;
  }

  [[noreturn]] static void speak() {
    const auto before = speaker()->before_;
    std::set_terminate(before);
    std::fputs((speaker()->words_() + "\n").c_str(), stderr);
    if (before) before();
    std::abort();
  }

  std::function<std::string()> words_;
  std::terminate_handler before_;
};

}  // namespace cairn::testkit::detail
