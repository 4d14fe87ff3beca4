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
#include <cairn/runtime.hpp>
#include <cairn/testkit/given.hpp>
#include <boost/asio/io_context.hpp>
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
     " cairn::decision<Event> decide(const Add&) { return cairn::nothing; } };"
     "void f() { cairn::require_command<A, Add>(); }", "`decide` is const"),
    ("no such command",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events;"
     " void evolve(const Added&) noexcept {} };"
     "void f() { cairn::require_command<A, Add>(); }", "no `decide(const Command&)`"),
    ("a temporary that the compiler would destroy twice",
     "struct Named { std::string why; };"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Named&) const { return cairn::nothing; } int n; MSGPACK_DEFINE_MAP(n) };"
     "boost::asio::awaitable<void> f(cairn::runtime& r) {"
     " co_await r.ask<A>(\"1\", Named{\"x\"}, boost::asio::use_awaitable); }", "give it a name first"),
    ("the same behind redirect_error",
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Add&) const { return cairn::nothing; } int n; MSGPACK_DEFINE_MAP(n) };"
     "boost::asio::awaitable<void> f(cairn::runtime& r) { boost::system::error_code e;"
     " co_await r.ask<A>(\"1\", Add{}, cairn::command_options{.who = \"x\"},"
     " boost::asio::redirect_error(boost::asio::use_awaitable, e)); }", "give it a name first"),
    ("a batch of several kinds of commands that answer with different results",
     "struct Count {};"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Add&) const { return cairn::nothing; }"
     " cairn::decision<Event, int> decide(const Count&) const { return {cairn::nothing, 1}; } int n; MSGPACK_DEFINE_MAP(n) };"
     "void f(cairn::runtime& r) { r.ask_many<A>(\"1\", std::vector<std::variant<Add, Count>>{}); }",
     "answer with the same result"),
    ("a batch of which one kind of command is decided by nobody",
     "struct Count {};"
     "struct A { static constexpr std::string_view category = \"a\"; using Event = Events; void evolve(const Added&) noexcept {}"
     " cairn::decision<Event> decide(const Add&) const { return cairn::nothing; } int n; MSGPACK_DEFINE_MAP(n) };"
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


def check(arguments, wrong):
    name, code, sentence = wrong
    run = subprocess.run([arguments.compiler, "-std=c++20", "-fsyntax-only", "-x", "c++", *arguments.flags, "-"],
                         input=HEAD + code, text=True, capture_output=True, check=False)
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
    for told in complaints:
        print(told)
    print(f"{len(WRONG) - len(complaints)} passed, {len(complaints)} failed")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
