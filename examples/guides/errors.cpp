// What docs/errors.md shows: failures as exceptions, as values and as codes.
#include "product.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/runtime.hpp>

#include <boost/asio/use_future.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <iostream>
#include <string>
#include <system_error>

namespace asio = boost::asio;
using namespace stock;

namespace {

std::string advice(const std::error_code& code) {
  if (code == cairn::condition::outcome_unknown) return "repeat it with the same command id";
  if (code == cairn::condition::worth_retrying) return "repeat it later";
  if (code == cairn::condition::not_stored) return "nothing was stored; change the command or its options";
  return "not a failure of cairn";
}

std::string advice(const boost::system::error_code& code) {
  if (code == cairn::errc::overloaded) return "too much work: repeat it later";
  if (code == cairn::condition::outcome_unknown) return "repeat it with the same command id";
  return code.message();
}

void sell_at_version(cairn::runtime& runtime, cairn::version seen) {
  try {
    const auto options = cairn::command_options{.expected = cairn::expected_version::exactly(seen)};
    runtime.ask<Product>("1", RemoveStock{1}, options, cairn::blocking).value();
  } catch (const cairn::command_rejected& rejected) {
    std::cout << rejected.what() << "\n";
  } catch (const cairn::error& failure) {
    std::cout << failure.what() << "\n";
    std::cout << "code " << failure.code().value() << " of " << failure.code().category().name() << "\n";
    std::cout << "detail: " << failure.detail() << "\n";
    if (const auto current = failure.current_version()) std::cout << "current version: " << current->value << "\n";
    std::cout << advice(failure.code()) << "\n";
  }
}

}  // namespace

int main() {
  cairn::runtime runtime{{.journal = cairn::memory_journal()}};
  runtime.ask<Product>("1", Enrol{}, cairn::blocking).value();
  sell_at_version(runtime, cairn::version{1});
  sell_at_version(runtime, cairn::version{3});

  runtime.drain(cairn::blocking);
  try {
    runtime.ask<Product>("1", RemoveStock{1}, asio::use_future).get().value();
  } catch (const boost::system::system_error& failure) { std::cout << advice(failure.code()) << "\n"; }
}
