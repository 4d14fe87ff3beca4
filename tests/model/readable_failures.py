#!/usr/bin/env python3
"""A type that is no aggregate is refused by the compiler with a sentence that a person can act on.

Compiles small wrong programs, and demands of each that it fails with its sentence.
"""

import argparse
import concurrent.futures
import pathlib
import subprocess
import sys

HEAD = """
#include <cairn/msgpack.hpp>
#include <cairn/runtime.hpp>
#include <cairn/testkit/given.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
struct Added { static constexpr std::string_view type = "ADD"; };
struct Other { static constexpr std::string_view type = "ADD"; };
struct Add {};
using Events = std::variant<Added>;
"""

# name, the aggregate and what is done with it, the sentence
WRONG = [
    ("evolve may throw",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) {} };"
     "void f() { cairn::require_aggregate<A>(); }", "void evolve(const E&) noexcept"),
    ("no category",
     "struct A { using Event = Events; void evolve(const Added&) noexcept {} };"
     "void f() { cairn::require_aggregate<A>(); }", "static constexpr std::string_view category"),
    ("no events",
     "struct A { static constexpr std::string_view category = \"a\"; };"
     "void f() { cairn::require_aggregate<A>(); }", "using Event = std::variant<...>"),
    ("two events of one name",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = std::variant<Added, Other>;"
     " void evolve(const Added&) noexcept {} void evolve(const Other&) noexcept {} };"
     "void f() { cairn::require_aggregate<A>(); }", "two events of one aggregate have the same `type` name"),
    ("decide may mutate",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Add&) { return cairn::accepted; } };"
     "void f() { cairn::require_command<A, Add>(); }", "`decide` must be const"),
    ("no such command",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events;"
     " void evolve(const Added&) noexcept {} };"
     "void f() { cairn::require_command<A, Add>(); }", "no `decide(const Command&)`"),
    ("a temporary that the compiler would destroy twice",
     "struct Named { std::string why; };"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Named&) const { return cairn::accepted; } int n; MSGPACK_DEFINE_MAP(n) };"
     "boost::asio::awaitable<void> f(cairn::runtime& r) {"
     " co_await r.ask<A>(\"1\", Named{\"x\"}, boost::asio::use_awaitable); }", "Give it a name first"),
    ("the same without a token",
     "struct Named { std::string why; };"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Named&) const { return cairn::accepted; } int n; MSGPACK_DEFINE_MAP(n) };"
     "boost::asio::awaitable<void> f(cairn::runtime& r) { (co_await r.ask<A>(\"1\", Named{\"x\"})).value(); }",
     "Give it a name first"),
    ("the same behind redirect_error",
     "struct Named { std::string why; };"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Named&) const { return cairn::accepted; } int n; MSGPACK_DEFINE_MAP(n) };"
     "boost::asio::awaitable<void> f(cairn::runtime& r) { boost::system::error_code e;"
     " co_await r.ask<A>(\"1\", Named{\"x\"}, boost::asio::redirect_error(boost::asio::use_awaitable, e)); }",
     "Give it a name first"),
    ("temporary options with a type",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Add&) const { return cairn::accepted; } };"
     "boost::asio::awaitable<void> f(cairn::runtime& r) {"
     " (co_await r.ask<A>(\"1\", Add{}, cairn::command_options{.command_id = \"x\"})).value(); }",
     "Options can be written in braces alone"),
    ("an event that nothing evolves",
     "struct Lost { static constexpr std::string_view type = \"LOST\"; };"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = std::variant<Added, Lost>;"
     " void evolve(const Added&) noexcept {} };"
     "void f() { cairn::require_aggregate<A>(); }", "[with A = A; E = Lost]"),
    ("an event whose fields have no names",
     "struct Made { static constexpr std::string_view type = \"MADE\"; int n = 0; };"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = std::variant<Made>;"
     " void evolve(const Made&) noexcept {} };"
     "void f() { cairn::require_aggregate<A>(); }", "[with T = Made]"),
    ("a state whose fields have no names",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; int n = 0;"
     " void evolve(const Added&) noexcept {} };"
     "void f() { cairn::require_aggregate<A>(); }", "add MSGPACK_DEFINE_MAP(field, ...)"),
    ("a decision that forgets its result",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event, int> decide(const Add&) const { return Added{}; } };", "return {event, result}"),
    ("a decision without events that forgets its result",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event, int> decide(const Add&) const { return cairn::accepted; } };", "return {event, result}"),
    ("a result without a codec",
     "struct Odd { int n; };"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event, Odd> decide(const Add&) const { return {Added{}, Odd{}}; } };"
     "void f() { cairn::require_command<A, Add>(); }", "the result of this `decide` has"),
    ("a decision that is a bool",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Add&) const { return false; } };", "or cairn::reject("),
    ("a decision that is another aggregate's event",
     "struct Foreign { static constexpr std::string_view type = \"F\"; };"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Add&) const { return Foreign{}; } };", "[with T = Foreign]"),
    ("a decision with a result that is an int",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event, int> decide(const Add&) const { return 7; } };", "or cairn::reject("),
    ("an id that is a number",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Add&) const { return cairn::accepted; } };"
     "void f(cairn::runtime& r) { (void)r.ask<A>(0, Add{}); }", "the id of an aggregate is a string"),
    ("a batch of several kinds of commands that answer with different results",
     "struct Count {};"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Add&) const { return cairn::accepted; }"
     " cairn::decision<Event, int> decide(const Count&) const { return {cairn::accepted, 1}; } int n; MSGPACK_DEFINE_MAP(n) };"
     "void f(cairn::runtime& r) { r.ask_many<A>(\"1\", std::vector<std::variant<Add, Count>>{}); }",
     "answer with the same result"),
    ("a batch of which one kind of command is decided by nobody",
     "struct Count {};"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Add&) const { return cairn::accepted; } int n; MSGPACK_DEFINE_MAP(n) };"
     "void f(cairn::runtime& r) { r.ask_many<A>(\"1\", std::vector<std::variant<Add, Count>>{}); }",
     "no `decide(const Command&)`"),
    ("a story of events that cannot be compared",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " bool operator==(const A&) const = default; };"
     "void f() { cairn::testkit::given<A>().then_state(A{}); }", "bool operator==(const T&) const = default"),
    ("a story of a command that nobody decides",
     "struct Same { static constexpr std::string_view type = \"SAME\"; bool operator==(const Same&) const = default; };"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = std::variant<Same>;"
     " void evolve(const Same&) noexcept {} bool operator==(const A&) const = default; };"
     "void f() { (void)cairn::testkit::given<A>().when(Add{}); }", "no `decide(const Command&)`"),
    ("a story that begins with what is no event",
     "struct Same { static constexpr std::string_view type = \"SAME\"; bool operator==(const Same&) const = default; };"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = std::variant<Same>;"
     " void evolve(const Same&) noexcept {} bool operator==(const A&) const = default; };"
     "void f() { cairn::testkit::given<A>(Add{}).then_state(A{}); }", "what is given are events of the aggregate"),
]


# Mistakes that the compiler warns of, in its own words.
IGNORED = [
    ("an ignored answer", "r.ask<A>(\"1\", Add{}, cairn::blocking);"),
    ("a call that is not awaited", "r.ask<A>(\"1\", Add{});"),
    ("a batch that is not awaited", "r.ask_many<A>(\"1\", std::vector<Add>(2));"),
    ("a state that is not awaited", "r.state<A>(\"1\");"),
    ("a drain that is not awaited", "r.drain();"),
    ("a call of a handle that is not awaited", "r.of<A>(\"1\").ask(Add{});"),
    ("an ignored decision", "A{}.decide(Add{});"),
]
IGNORING = """
struct A {{ static constexpr std::string_view category = "a"; using Event = Events; void evolve(const Added&) noexcept {{}}
  cairn::decision<Event> decide(const Add&) const {{ return Added{{}}; }} }};
void f(cairn::runtime& r) {{ {call} }}
"""


def compiled(arguments, code, *flags):
    command = [arguments.compiler, "-std=c++20", "-DMSGPACK_DEFAULT_API_VERSION=3", *flags, "-x", "c++", *arguments.flags, "-"]
    return subprocess.run(command, input=code, text=True, capture_output=True, check=False)


def check_ignored(arguments, wrong):
    name, call = wrong
    for call, wanted in ((call, 1), (f"(void)({call[:-1]});", 0)):
        run = compiled(arguments, HEAD + IGNORING.format(call=call), "-Werror=unused-result", "-fsyntax-only")
        if (run.returncode != 0) != bool(wanted) or (wanted and "nodiscard" not in run.stderr):
            return f"{name}: `{call}` {'compiles without a warning' if wanted else 'does not compile'}\n{run.stderr[:2000]}"
    return None


def check(arguments, wrong):
    name, code, sentence = wrong
    run = compiled(arguments, HEAD + code, "-fsyntax-only")
    if run.returncode == 0:
        return f"{name}: compiles, and should not"
    if "cairn: " not in run.stderr or sentence not in run.stderr:
        return f"{name}: the compiler does not say '{sentence}', but\n{run.stderr[:2000]}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    arguments = parser.parse_args()
    arguments.flags = [f"-I{folder}" for folder in sorted(arguments.root.glob("*/include"))]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        complaints = [told for told in pool.map(lambda wrong: check(arguments, wrong), WRONG) if told]
        complaints += [told for told in pool.map(lambda wrong: check_ignored(arguments, wrong), IGNORED) if told]
    for told in complaints:
        print(told)
    print(f"{len(WRONG) + len(IGNORED) - len(complaints)} passed, {len(complaints)} failed")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
