// Operations with their types: a command of an aggregate type, and a look at its state. Templates over the compiled actors.
//
// `Complete` is `void(operation_ptr)`. It is called once, from whichever thread that happens on, with the operation whose `held`
// says what became of it; it lives in that operation. Knows nothing of CAF.
#pragma once

#include <cairn/actors/operation.hpp>
#include <cairn/limits.hpp>

#include <optional>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>

namespace cairn::actors {

/// What the state decides. A variant of commands stands for the one that it holds.
template <Aggregate A, class Command>
auto decide(const A& state, const Command& command) {
  if constexpr (requires { state.decide(command); }) {
    return state.decide(command);
  } else {
    return std::visit([&state](const auto& one) { return state.decide(one); }, command);
  }
}

template <Aggregate A, class Command>
using decision_of = decltype(actors::decide(std::declval<const A&>(), std::declval<const Command&>()));

/// See operation::fingerprint(). A variant of commands is known by the one that it holds.
template <class Command>
std::uint64_t fingerprint_of_command(const Command& command) {
  if constexpr (cairn::detail::is_variant<Command>::value) {
    return std::visit([](const auto& one) { return fingerprint_of_command(one); }, command);
  } else {
    std::string bytes(typeid(Command).name());
    bytes.push_back('\0');
    if constexpr (codec::detail::HasDefinedFields<Command>) {
      codec::encode(bytes, command);
    } else if constexpr (std::has_unique_object_representations_v<Command> && !std::is_empty_v<Command>) {
      bytes.append(reinterpret_cast<const char*>(&command), sizeof command);
    }
    return fingerprint_of(bytes);
  }
}

/// A command on its way to an aggregate.
template <Aggregate A, class Command, class Complete>
class command_operation final : public operation {
  using decision_type = decision_of<A, Command>;
  using result_type = typename decision_type::result_type;

public:
  command_operation(std::string id, Command command, boxed_options options, Complete complete)
      : operation(type_of<A>, std::move(id), std::move(options)), command_(std::move(command)), complete_(std::move(complete)) {}

  void decide(const hosted_state& state, draft& into, outcome& answer) override {
    decision_.emplace(actors::decide(static_cast<const hosted<A>&>(state).value, command_));
    if (const auto* no = decision_->rejected()) {
      answer.rejected = true;
      answer.text = no->reason;
      return;
    }
    if constexpr (!std::is_void_v<result_type>) {
      codec::encode(answer.text, decision_->result());
      codec::decode<result_type>(answer.text);  // what does not read back must fail here, while it still can
    }
    const auto events = decision_->events();
    if (events.size() > limits::events_per_decision_max) {
      throw error(errc::invalid_argument, "a decision has " + std::to_string(events.size()) + " events, and may have " +
                                              std::to_string(limits::events_per_decision_max));
    }
    // What is kept for evolve() is what the bytes say: an event that does not read back never becomes durable, and the live
    // state can never differ from a replayed one.
    static thread_local std::string payload;  // keeps its memory from command to command
    for (std::size_t index = 0; index < events.size(); ++index) {
      payload.clear();
      record_view written;
      std::visit(
          [&]<class E>(const E& event) {
            codec::encode(payload, event);
            written.type = E::type;
            written.schema_version = schema_version_of<E>();
          },
          events[index]);
      into.add(written.type, written.schema_version, payload, static_cast<std::uint32_t>(index),
               static_cast<std::uint32_t>(events.size()), answer.text);
      written.stream = stream();
      written.payload = payload;
      events[index] = read_event<A>(written);
    }
  }

  std::uint64_t fingerprint() const override { return fingerprint_of_command(command_); }

  void evolve(hosted_state& state, evolve_observer& observer) noexcept override {
    auto& value = static_cast<hosted<A>&>(state).value;
    for (const auto& event : std::as_const(*decision_).events()) {
      cairn::evolve(value, event);
      observer.evolved();
    }
    decision_.reset();  // here, where its memory came from
  }

private:
  void deliver(operation_ptr self) noexcept override { complete_(std::move(self)); }

  Command command_;
  std::optional<decision_type> decision_;
  Complete complete_;
};

/// A look at an aggregate's present state: a command that decides nothing.
template <Aggregate A>
class look_operation : public operation {
public:
  explicit look_operation(std::string id) : operation(type_of<A>, std::move(id), {}) {}

  void decide(const hosted_state& state, draft&, outcome&) override { seen = static_cast<const hosted<A>&>(state).value; }
  void evolve(hosted_state&, evolve_observer&) noexcept override {}

  A seen;
};

template <Aggregate A, class Complete>
class completing_look final : public look_operation<A> {
public:
  completing_look(std::string id, Complete complete) : look_operation<A>(std::move(id)), complete_(std::move(complete)) {}

private:
  void deliver(operation_ptr self) noexcept override { complete_(std::move(self)); }

  Complete complete_;
};

}  // namespace cairn::actors
