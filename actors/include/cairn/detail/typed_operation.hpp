// Operations with their types: a command of an aggregate type, and reads of its state.
//
// Not for users. Each class depends on as few types as it can, so that a program compiles it rarely.
#pragma once

#include <cairn/aggregate.hpp>
#include <cairn/detail/operation.hpp>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>

namespace cairn::inline v1::actors {

template <Aggregate A>
class hosted final : public hosted_state {
public:
  A value;

  void replay(const record_view& record) override { evolve(value, record); }
  void save(std::string& out) const override { codec<A>::encode(out, value); }
  void load(std::string_view bytes) override { value = codec<A>::decode(bytes); }
};

template <Aggregate A>
inline constexpr aggregate_type type_of{&typeid(A), A::category, schema_version_of<A>(),
                                        []() -> std::unique_ptr<hosted_state> { return std::make_unique<hosted<A>>(); }};

template <Aggregate A>
A& state_in(hosted_state& state) {
  return static_cast<hosted<A>&>(state).value;
}
template <Aggregate A>
const A& state_in(const hosted_state& state) {
  return static_cast<const hosted<A>&>(state).value;
}

/// Calls decide. A variant of commands stands for the one that it holds.
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
template <Aggregate A, class Command>
using result_of = typename decision_of<A, Command>::result_type;

/// See operation::fingerprint(). A variant of commands is known by the one that it holds.
template <class Command>
std::uint64_t fingerprint_of_command(const Command& command) {
  if constexpr (cairn::detail::is_variant<Command>::value) {
    return std::visit([](const auto& one) { return fingerprint_of_command(one); }, command);
  } else {
    std::string bytes(typeid(Command).name());
    bytes.push_back('\0');
    if constexpr (cairn::detail::has_fields<Command>) {
      codec<Command>::encode(bytes, command);
    } else if constexpr (std::has_unique_object_representations_v<Command> && !std::is_empty_v<Command>) {
      bytes.append(reinterpret_cast<const char*>(&command), sizeof command);
    }
    return fingerprint_of(bytes);
  }
}

/// Encodes events into `into`, and replaces each by what its bytes say: an event that does not read back never becomes
/// durable, and the live state can never differ from a replayed one. `result` is the encoded result of the command.
template <Aggregate A>
void encode_events(std::span<typename A::Event> events, stream_view stream, draft& into, std::string_view result) {
  require_events(events.size());
  static thread_local std::string payload;  // keeps its memory from command to command
  const auto count = static_cast<std::uint32_t>(events.size());
  for (std::uint32_t index = 0; index < count; ++index) {
    payload.clear();
    std::visit(
        [&]<class E>(E& event) {
          codec<E>::encode(payload, event);
          add_event(into, E::type, schema_version_of<E>(), payload, index, count, result);
          event = cairn::detail::read_event<E>(written_event(stream, E::type, schema_version_of<E>(), payload));
        },
        events[index]);
  }
}

/// A command on its way to an aggregate, without its own type.
template <Aggregate A>
class any_command_operation : public operation {
public:
  using operation::operation;

  void evolve(hosted_state& state, evolve_observer& observer) noexcept override {
    auto& value = state_in<A>(state);
    for (const auto& event : std::as_const(*decided_).events()) {
      cairn::evolve(value, event);
      observer.evolved();
    }
    decided_.reset();  // here, where its memory came from
  }

protected:
  using decided_type = cairn::detail::decided<typename A::Event>;

  /// Keeps what decide made, and encodes its events if the command was accepted. One function for all commands.
  [[gnu::noinline]] void keep(decided_type&& made, draft& into, outcome& answer) {
    decided_.emplace(std::move(made));
    if (const auto* refusal = decided_->rejected()) {
      answer.rejected = std::make_unique<rejection>(*refusal);
    } else {
      encode_events<A>(decided_->events(), stream(), into, answer.text);
    }
  }

private:
  std::optional<decided_type> decided_;
};

/// A command on its way to an aggregate.
template <Aggregate A, class Command>
class command_operation final : public any_command_operation<A> {
public:
  command_operation(std::string_view id, Command command, boxed_options options)
      : any_command_operation<A>(type_of<A>, id, std::move(options)), command_(std::move(command)) {}

  void decide(const hosted_state& state, draft& into, outcome& answer) override {
    auto made = actors::decide(state_in<A>(state), command_);
    using result_type = typename decltype(made)::result_type;
    if constexpr (!std::is_void_v<result_type>) {
      if (!made.rejected()) {
        codec<result_type>::encode(answer.text, made.result());
        codec<result_type>::decode(answer.text);  // what does not read back must fail here, while it still can
      }
    }
    this->keep(std::move(made), into, answer);
  }

  std::uint64_t fingerprint() const override { return fingerprint_of_command(command_); }

private:
  Command command_;
};

/// A read of a state: of the present one, which is a command that decides nothing.
template <Aggregate A>
class state_operation : public operation {
public:
  explicit state_operation(std::string_view id) : operation(type_of<A>, id) {}

  void decide(const hosted_state& state, draft&, outcome&) override { seen = state_in<A>(state); }
  bool changes_nothing() const noexcept override { return true; }

  A seen;
};

/// A read of a past state. `When` is version, timestamp or as_occurred.
template <Aggregate A, class When>
class past_state_operation final : public state_operation<A> {
public:
  past_state_operation(std::string_view id, When when) : state_operation<A>(id), when_(when) {}

  cairn::version read(journal& store, const warn_function& warn) override {
    auto found = [&] {
      if constexpr (requires { when_.at; }) {
        return read_as_occurred(store, type_of<A>, this->stream(), when_.at);
      } else {
        return read_past(store, type_of<A>, this->stream(), when_, warn);
      }
    }();
    this->seen = std::move(state_in<A>(*found.state));
    return found.version;
  }

private:
  When when_;
};

}  // namespace cairn::actors
