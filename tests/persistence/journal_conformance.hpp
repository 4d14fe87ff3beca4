// The journal's conformance suite, and what it writes and reads journals with, under the name that the tests go by.
#pragma once

#include <cairn/testkit/journal_conformance.hpp>
#include <cairn/testkit/journal_lockstep.hpp>

namespace cairn::tests {

using testkit::append;
using testkit::draft;
using testkit::journal_conformance;
using testkit::journal_lockstep;
using testkit::look;
using testkit::numbers;
using testkit::numbers_as_text;
using testkit::read;
using testkit::read_all;
using testkit::seen;
using testkit::store_under_test;
using testkit::versions;

}  // namespace cairn::tests
