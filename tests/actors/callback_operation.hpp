// A command that calls a function when it is answered.
#pragma once

#include "product.hpp"

#include <cairn/actors/operation.hpp>
#include <cairn/detail/typed_operation.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace cairn::actors {

template <class Call>
class callback_completion final : public completion {
public:
  explicit callback_completion(Call call) : call_(std::move(call)) {}

  void deliver(operation_ptr asked) noexcept override { call_(asked); }
  void destroy(operation& owner) noexcept override {
    if (owner.has_room(this)) return std::destroy_at(this);
    delete this;
  }

private:
  Call call_;
};

template <class Call>
operation_ptr make_operation(std::string_view id, Call call, command_options options = {}) {
  operation_ptr made(new command_operation<stock::Product, stock::Enrol>(id, stock::Enrol{}, boxed(std::move(options))));
  made->deliver_by<callback_completion<Call>>(std::move(call));
  return made;
}

}  // namespace cairn::actors
