#include <cairn/answer.hpp>

namespace cairn::inline v1 {
namespace {

class asio_category final : public boost::system::error_category {
public:
  const char* name() const noexcept override { return cairn::error_category().name(); }
  std::string message(int code) const override { return cairn::error_category().message(code); }
};

const boost::system::error_category& asio_error_category() noexcept {
  static const auto& instance = *new asio_category;  // a runtime of static storage duration may outlive any other static
  return instance;
}

}  // namespace

boost::system::error_code make_asio_code(errc code) noexcept {
  if (code == errc{}) return {};
  return {static_cast<int>(code), asio_error_category()};
}

bool operator==(const boost::system::error_code& left, errc right) noexcept {
  return left.category() == asio_error_category() && left.value() == static_cast<int>(right);
}

bool operator==(const boost::system::error_code& left, condition right) noexcept {
  return left.category() == asio_error_category() && holds(right, static_cast<errc>(left.value()));
}

command_rejected::command_rejected(rejection refusal)
    : std::runtime_error("the command was rejected: " + refusal.code +
                         (refusal.message.empty() ? "" : " (" + refusal.message + ")")),
      reason_(std::move(refusal)) {}

void detail::throw_not_accepted(errc code, const std::string& detail, version current, const std::optional<rejection>& refusal) {
  if (refusal && code == errc{}) throw command_rejected(*refusal);
  if (code == errc::version_conflict) throw error(code, detail, current);
  throw error(code, detail);
}

}  // namespace cairn
