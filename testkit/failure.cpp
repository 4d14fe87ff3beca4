#include <cairn/testkit/failure.hpp>

#include <utility>

namespace cairn::inline v1::testkit {
namespace {

std::function<void(const failure&)>& reporter() {
  static std::function<void(const failure&)> one;
  return one;
}

}  // namespace

failure::failure(const std::string& text, std::source_location where)
    : std::logic_error(where.file_name() + (":" + std::to_string(where.line())) + ": " + text), text_(text), where_(where) {}

void report_failures_to(std::function<void(const failure&)> report) { reporter() = std::move(report); }

void fail(const std::string& what, std::source_location where) {
  const failure failed(what, where);
  if (!reporter()) throw failed;
  reporter()(failed);
}

}  // namespace cairn::testkit
