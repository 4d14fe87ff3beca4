// A command that calls a function when it is answered.
#pragma once

#include "../../actors/operation.hpp"
#include "product.hpp"

#include <cairn/detail/typed_operation.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace cairn::tests {

template <class Call>
class callback_completion final : public actors::completion {
public:
  explicit callback_completion(Call call) : call_(std::move(call)) {}

  void deliver(actors::operation_ptr asked) noexcept override { call_(asked); }
  void destroy(actors::operation& owner) noexcept override {
    if (owner.has_room(this)) return std::destroy_at(this);
    delete this;
  }

private:
  Call call_;
};

template <class Call>
actors::operation_ptr make_operation(std::string_view id, Call call, command_options options = {}) {
  actors::operation_ptr made(
      new actors::command_operation<stock::Product, stock::Enrol>(id, stock::Enrol{}, actors::boxed(std::move(options))));
  made->deliver_by<callback_completion<Call>>(std::move(call));
  return made;
}

}  // namespace cairn::tests
