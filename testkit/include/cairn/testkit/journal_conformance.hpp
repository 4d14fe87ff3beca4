// What every journal must do, as one suite: a store passes it, or it is none.
//
// A store's own test has one line for it, in a doctest test case that makes the store's place:
//
//     journal_conformance({.open = [&] { return my_store(place); }});
//
// Each promise of cairn/journal.hpp and cairn/snapshot_store.hpp is asked for by itself. journal_lockstep.hpp is its companion.
#pragma once

#include <cairn/testkit/detail/other_process.hpp>
#include <cairn/testkit/detail/printing.hpp>
#include <cairn/testkit/detail/readers_beside_writers.hpp>
#include <cairn/testkit/drafts.hpp>
#include <cairn/testkit/store_under_test.hpp>

#include <algorithm>
#include <doctest/doctest.h>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cairn::inline v1::testkit {
namespace detail {

/// The error that `work` throws: its kind and its whole text.
template <class Work>
std::pair<std::optional<errc>, std::string> failure_of(Work work) {
  try {
    work();
  } catch (const error& failure) { return {failure.kind(), failure.what()}; }
  return {std::nullopt, "nothing was thrown"};
}

inline void reads_conform(const store_under_test& store) {
  const auto journal = store.open();
  const stream_id product("product", "1");
  const stream_id other("product", "2");
  // Versions 1 to 5 with another aggregate's in between, the last two as one append.
  append(*journal, product, 0, {"a-1"});
  append(*journal, other, 0, {"b-1"});
  append(*journal, product, 1, {"a-2"});
  append(*journal, product, 2, {"a-3"});
  append(*journal, other, 1, {"b-2"});
  append(*journal, product, 3, {"a-4", "a-5"});
  const auto some = [&](std::uint64_t from, std::uint64_t to, std::uint64_t limit) {
    return versions(*journal, product, {.from = version{from}, .to = version{to}, .limit = limit});
  };
  const auto no_limit = version_range{}.limit;
  const auto no_end = version::max().value;

  SUBCASE("a read hands over every event with its version, position and bytes") {
    const std::vector<seen> all{
        {1, product, 1, "a-1"}, {3, product, 2, "a-2"}, {4, product, 3, "a-3"}, {6, product, 4, "a-4"}, {7, product, 5, "a-5"}};
    CHECK(read(*journal, product) == all);
    CHECK(versions(*journal, other, {}) == numbers{1, 2});
  }
  SUBCASE("a read begins at its lower bound") { CHECK(some(3, no_end, no_limit) == numbers{3, 4, 5}); }
  SUBCASE("a read ends at its upper bound") { CHECK(some(1, 3, no_limit) == numbers{1, 2, 3}); }
  SUBCASE("a read keeps to both bounds") { CHECK(some(2, 4, no_limit) == numbers{2, 3, 4}); }
  SUBCASE("a read hands over no more than its limit") {
    CHECK(some(1, no_end, 3) == numbers{1, 2, 3});
    CHECK(some(2, 4, 2) == numbers{2, 3});
    CHECK(some(2, 3, 9) == numbers{2, 3});
    CHECK(some(1, no_end, 1) == numbers{1});
  }
  SUBCASE("a read of one version is a read of one event") { CHECK(some(4, 4, no_limit) == numbers{4}); }
  SUBCASE("a read with the limit 0 hands over nothing") { CHECK(some(1, no_end, 0).empty()); }
  SUBCASE("a read whose bounds are crossed hands over nothing") { CHECK(some(4, 2, no_limit).empty()); }
  SUBCASE("a read from version 0 begins at the first event") { CHECK(some(0, no_end, 2) == numbers{1, 2}); }
  SUBCASE("a read from beyond the end hands over nothing") {
    CHECK(some(6, no_end, no_limit).empty());
    CHECK(some(no_end, no_end, no_limit).empty());
  }
  SUBCASE("a read ends when its visitor has seen enough") {
    numbers visited;
    journal->read(product, {}, [&](const record_view& record) {
      visited.push_back(record.version.value);
      return record.version.value < 2;
    });
    CHECK(visited == numbers{1, 2});
  }
  SUBCASE("what a visitor throws comes out of the read") {
    const auto thrower = [](const record_view&) -> bool { throw std::out_of_range("mine"); };
    CHECK_THROWS_AS(journal->read(product, {}, thrower), std::out_of_range);
    CHECK_THROWS_AS(journal->read_all(position{1}, thrower), std::out_of_range);
    CHECK(versions(*journal, product, {}).size() == 5);
  }
  SUBCASE("a visitor may read the journal itself") {
    std::size_t inner = 0;
    journal->read(product, {}, [&](const record_view&) {
      inner += read(*journal, other).size();
      return true;
    });
    CHECK(inner == 10);
    journal->read_all(position{1}, [&](const record_view& record) {
      CHECK(journal->highest(record.stream) >= record.version);
      CHECK_FALSE(journal->snapshots().latest(record.stream, record.version));
      return true;
    });
  }
  SUBCASE("an unknown aggregate has no events and version 0") {
    CHECK(read(*journal, {"product", "3"}).empty());
    CHECK(read(*journal, {"nothing", "1"}).empty());
    CHECK(read(*journal, {"", ""}).empty());
    CHECK(read(*journal, {std::string(300, 'c'), "1"}).empty());
    CHECK(journal->highest({"product", "3"}) == version{0});
    CHECK(journal->highest({"", ""}) == version{0});
  }
  SUBCASE("the highest version of an aggregate is that of its last event") {
    CHECK(journal->highest(product) == version{5});
    CHECK(journal->highest(other) == version{2});
  }
  SUBCASE("the last position is that of the last record") { CHECK(journal->last() == position{7}); }
  SUBCASE("reading everything hands over all records in order and without a gap") {
    const auto all = read_all(*journal);
    REQUIRE(all.size() == 7);
    for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i].position == i + 1);
    CHECK(all[1] == seen{2, other, 1, "b-1"});
  }
  SUBCASE("reading everything begins where it is told and says where to go on") {
    CHECK(read_all(*journal, 6) == std::vector<seen>{{6, product, 4, "a-4"}, {7, product, 5, "a-5"}});
    CHECK(read_all(*journal, 0).size() == 7);
    CHECK(read_all(*journal, 8).empty());
    const auto until = [](std::uint64_t stop) {
      return [stop](const record_view& record) { return record.position.value < stop; };
    };
    CHECK(journal->read_all(position{1}, until(100)) == position{8});
    CHECK(journal->read_all(position{1}, until(3)) == position{4});
    CHECK(journal->read_all(position{8}, until(100)) == position{8});
    CHECK(journal->read_all(position{100}, until(100)) == position{100});
    CHECK(journal->read_all(position{no_end}, until(100)) == position{no_end});
  }
}

inline void many_aggregates_conform(const store_under_test& store) {
  const auto journal = store.open();
  constexpr std::uint64_t aggregates = 1000;
  constexpr std::uint64_t rounds = 3;
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::vector<std::vector<draft>> appends;
    for (std::uint64_t i = 0; i < aggregates; ++i) {
      appends.push_back({draft({"product", std::to_string(i)}, round, {std::to_string(round * aggregates + i + 1)})});
    }
    for (const auto& outcome : append(*journal, appends)) REQUIRE(outcome.stored);
  }
  CHECK(journal->last() == position{aggregates * rounds});
  for (std::uint64_t i = 0; i < aggregates; ++i) {
    const auto records = read(*journal, {"product", std::to_string(i)});
    REQUIRE(records.size() == rounds);
    for (std::uint64_t round = 0; round < rounds; ++round) {
      REQUIRE(records[round].version == round + 1);
      REQUIRE(records[round].position == round * aggregates + i + 1);
      REQUIRE(records[round].payload == std::to_string(records[round].position));
    }
  }
}

inline void appends_conform(const store_under_test& store) {
  const auto journal = store.open();
  const stream_id product("product", "1");
  const stream_id other("product", "2");

  SUBCASE("an empty journal has no record at all") {
    CHECK(journal->last() == position{0});
    CHECK(read_all(*journal).empty());
    CHECK(journal->highest(product) == version{0});
  }
  SUBCASE("an append of nothing does nothing") {
    CHECK(append(*journal, {}).empty());
    CHECK(journal->last() == position{0});
  }
  SUBCASE("an append of several events gives them positions in a row") {
    const auto outcome = append(*journal, product, 0, {"one", "two", "three"});
    CHECK(outcome.stored);
    CHECK(outcome.first == position{1});
    CHECK(append(*journal, product, 3, {"four"}).first == position{4});
    CHECK(versions(*journal, product, {}) == numbers{1, 2, 3, 4});
  }
  SUBCASE("a version conflict leaves nothing behind and names the version that stands") {
    append(*journal, product, 0, {"one", "two"});
    for (const std::uint64_t expected : {0, 1, 3, 100}) {
      const auto outcome = append(*journal, product, expected, {"late"});
      CHECK_FALSE(outcome.stored);
      CHECK(outcome.stands == version{2});
    }
    CHECK(journal->last() == position{2});
    CHECK(versions(*journal, product, {}) == numbers{1, 2});
  }
  SUBCASE("an append for an aggregate that should have events and has none conflicts with version 0") {
    const auto outcome = append(*journal, product, 4, {"five"});
    CHECK_FALSE(outcome.stored);
    CHECK(outcome.stands == version{0});
    CHECK(append(*journal, product, 0, {"one"}).stored);
  }
  SUBCASE("an append sees those before it in the same call") {
    const auto outcomes = append(*journal, {{draft(product, 0, {"one"})},
                                            {draft(product, 1, {"two", "three"})},
                                            {draft(product, 1, {"late"})},
                                            {draft(product, 3, {"four"})},
                                            {draft(other, 0, {"one"})},
                                            {draft(other, 0, {"late"})}});
    CHECK(outcomes[0].first == position{1});
    CHECK(outcomes[1].first == position{2});
    CHECK_FALSE(outcomes[2].stored);
    CHECK(outcomes[2].stands == version{3});
    CHECK(outcomes[3].first == position{4});
    CHECK(outcomes[4].first == position{5});
    CHECK_FALSE(outcomes[5].stored);
    CHECK(outcomes[5].stands == version{1});
    CHECK(journal->last() == position{5});
    CHECK(versions(*journal, product, {}) == numbers{1, 2, 3, 4});
  }
  SUBCASE("frames that are not what their addition says are refused, and nothing of the call is stored") {
    const draft good(other, 0, {"one"});
    const auto refused = [&](addition addition) {
      const std::vector<cairn::addition> first{good.addition()};
      const std::vector<cairn::addition> second{addition};
      const std::vector<atomic_append> appends{first, second};
      std::vector<append_outcome> outcomes(2);
      CHECK(failure_of([&] { journal->append(appends, outcomes); }).first == errc::invalid_argument);
      CHECK(journal->last() == position{0});
      CHECK(journal->highest(other) == version{0});
    };
    const draft two(product, 0, {"one", "two"});
    refused({product, version{0}, 1, two.frames});
    refused({product, version{0}, 3, two.frames});
    refused({product, version{0}, 0, ""});
    refused({product, version{0}, 1, draft(product, 4, {"five"}).frames});
    refused({product, version{0}, 1, draft({"product", "3"}, 0, {"one"}).frames});
    refused({product, version{0}, 1, std::string_view("\1\0\0\0x", 5)});
    refused({product, version{0}, 2, std::string_view(two.frames).substr(0, two.frames.size() - 1)});
    CHECK(append(*journal, product, 0, {"one"}).stored);
    CHECK(append(*journal, other, 0, {"one"}).first == position{2});
  }
  SUBCASE("ids and payloads may be empty, of any bytes, and large") {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    const std::string large(std::size_t{1} << 20, '\xff');
    const std::string words = "Grüße, 世界";
    const std::vector<std::string> ids{"", std::string(1, '\0'), std::string(2, '\0'), bytes, words, large, large.substr(1)};
    const std::vector<std::string> payloads{"", bytes, words, large, std::string(5000, 'p')};
    const std::string longest(255, '\xff');
    for (const auto& id : ids) {
      CHECK(append(*journal, {"c", id}, 0, payloads).stored);
      CHECK(append(*journal, {longest, id}, 0, {id}).stored);
    }
    for (const auto& id : ids) {
      const auto records = read(*journal, {"c", id});
      REQUIRE(records.size() == payloads.size());
      // Not CHECK(a == b): a failure would print megabytes.
      for (std::size_t i = 0; i < payloads.size(); ++i) CHECK((records[i].payload == payloads[i] && records[i].stream.id == id));
      const auto named = read(*journal, {longest, id});
      REQUIRE(named.size() == 1);
      CHECK((named[0].payload == id));
    }
  }
  SUBCASE("one append of ten thousand events is one append") {
    constexpr std::uint64_t events = 10'000;
    CHECK(append(*journal, product, 0, numbers_as_text(0, events)).first == position{1});
    CHECK(append(*journal, product, events, {"10001"}).first == position{events + 1});
    const auto all = read(*journal, product);
    REQUIRE(all.size() == events + 1);
    for (std::uint64_t i = 0; i <= events; ++i) REQUIRE(all[i] == seen{i + 1, product, i + 1, std::to_string(i + 1)});
    CHECK((read_all(*journal) == all));
  }
  SUBCASE("one append of twelve megabytes is one append") {
    std::vector<std::string> payloads;
    for (char letter = 'a'; letter < 'm'; ++letter) payloads.emplace_back(std::size_t{1} << 20, letter);
    CHECK(append(*journal, product, 0, payloads).first == position{1});
    CHECK(append(*journal, other, 0, {"small"}).first == position{13});
    const auto all = read(*journal, product);
    REQUIRE(all.size() == payloads.size());
    for (std::size_t i = 0; i < all.size(); ++i) CHECK((all[i].position == i + 1 && all[i].payload == payloads[i]));
  }
  SUBCASE("one call takes ten thousand appends") {
    std::vector<std::vector<draft>> appends;
    for (std::uint64_t i = 0; i < 10'000; ++i) appends.push_back({draft({"product", std::to_string(i % 7)}, i / 7, {"x"})});
    const auto outcomes = append(*journal, appends);
    for (std::size_t i = 0; i < appends.size(); ++i) REQUIRE(outcomes[i].first == position{i + 1});
    CHECK(journal->last() == position{10'000});
    CHECK(journal->highest({"product", "0"}) == version{1429});
  }
  SUBCASE("aggregates whose names run into each other are kept apart") {
    const std::vector<stream_id> streams{{"a", "bc"}, {"ab", "c"}, {"a", "b"}, {"a", "bcd"}, {"a", std::string("b\0", 2)}};
    for (std::size_t i = 0; i < streams.size(); ++i) append(*journal, streams[i], 0, std::vector<std::string>(i + 1, "x"));
    for (std::size_t i = 0; i < streams.size(); ++i) {
      CHECK(journal->highest(streams[i]) == version{i + 1});
      CHECK(read(*journal, streams[i]).size() == i + 1);
    }
  }
  SUBCASE("a long history can be read from anywhere") {
    constexpr std::uint64_t events = 5000;
    for (std::uint64_t version = 0; version < events; version += 10)
      append(*journal, product, version, numbers_as_text(version, 10));
    const auto all = read(*journal, product);
    REQUIRE(all.size() == events);
    for (std::uint64_t i = 0; i < events; ++i) CHECK(all[i] == seen{i + 1, product, i + 1, std::to_string(i + 1)});
    for (const std::uint64_t from : {1, 2, 63, 64, 65, 1023, 1024, 1025, 1026, 2048, 2049, 4999, 5000}) {
      const auto some = versions(*journal, product, {.from = version{from}, .limit = 3});
      CHECK(some.size() == std::min<std::uint64_t>(3, events - from + 1));
      CHECK(some.front() == from);
    }
  }
}

inline void appends_over_aggregates_conform(const store_under_test& store) {
  const auto journal = store.open();
  const stream_id product("product", "1");
  const stream_id other("product", "2");

  SUBCASE("an append over several aggregates stores all of it") {
    append(*journal, product, 0, {"enrolled"});
    const auto outcomes = append(*journal, {{draft(product, 1, {"out"}), draft(other, 0, {"enrolled", "in"})}});
    CHECK(outcomes[0].stored);
    CHECK(outcomes[0].first == position{2});
    CHECK(read_all(*journal, 2) == std::vector<seen>{{2, product, 2, "out"}, {3, other, 1, "enrolled"}, {4, other, 2, "in"}});
  }
  SUBCASE("one conflict among several aggregates leaves nothing of any of them") {
    append(*journal, product, 0, {"one"});
    append(*journal, other, 0, {"one", "two", "three"});
    const auto outcomes =
        append(*journal, {{draft({"product", "3"}, 0, {"one"}), draft(product, 1, {"two"}), draft(other, 1, {"two"})},
                          {draft(product, 0, {"x"}), draft(other, 0, {"x"})}});
    CHECK_FALSE(outcomes[0].stored);
    CHECK(outcomes[0].stands == version{3});
    CHECK_FALSE(outcomes[1].stored);
    CHECK(outcomes[1].stands == version{1});
    CHECK(journal->last() == position{4});
    CHECK(journal->highest({"product", "3"}) == version{0});
    CHECK(journal->highest(product) == version{1});
    CHECK(append(*journal, product, 1, {"two"}).stored);
    CHECK(append(*journal, {"product", "3"}, 0, {"one"}).stored);
  }
  SUBCASE("an append that names one aggregate twice is refused, and nothing of the call is stored") {
    const draft good(other, 0, {"one"}), first(product, 0, {"one"}), second(product, 1, {"two"});
    const std::vector<cairn::addition> sound{good.addition()}, twice{first.addition(), second.addition()};
    const std::vector<atomic_append> appends{sound, twice};
    std::vector<append_outcome> outcomes(2);
    CHECK(failure_of([&] { journal->append(appends, outcomes); }).first == errc::invalid_argument);
    CHECK(journal->last() == position{0});
  }
}

inline void appends_over_aggregates_are_refused(const store_under_test& store) {
  const auto journal = store.open();
  const auto both = [&] { append(*journal, {{draft({"product", "1"}, 0, {"out"}), draft({"product", "2"}, 0, {"in"})}}); };
  CHECK(failure_of(both).first == errc::invalid_argument);
  CHECK(journal->last() == position{0});
}

inline void repeats_conform(const store_under_test& store) {
  const auto journal = store.open();
  const stream_id product("product", "1");
  const stream_id other("product", "2");
  const draft first(product, 0, {"one", "two"}, "command 1");
  append(*journal, {{first}});
  append(*journal, other, 0, {"another's"}, "command 2");
  const auto stored_at = [](const append_outcome& outcome) { return outcome.stored ? outcome.first.value : 0; };
  const auto conflicts = [&](const std::vector<draft>& drafts, std::uint64_t stands) {
    const auto outcome = append(*journal, {drafts}).at(0);
    return !outcome.stored && outcome.stands.value == stands;
  };

  SUBCASE("a repeat gets the first time's outcome and is not stored again") {
    CHECK(stored_at(append(*journal, {{first}}).at(0)) == 1);
    CHECK(stored_at(append(*journal, other, 0, {"another's"}, "command 2")) == 3);
    CHECK(journal->last() == position{3});
    CHECK(versions(*journal, product) == numbers{1, 2});
  }
  SUBCASE("a repeat is recognised however much came after it") {
    for (std::uint64_t version = 2; version < 3000; version += 100) {
      append(*journal, product, version, numbers_as_text(version, 100), "later");
    }
    CHECK(stored_at(append(*journal, {{first}}).at(0)) == 1);
    CHECK(stored_at(append(*journal, product, 102, numbers_as_text(102, 100), "later")) == 104);
    CHECK(journal->last() == position{3003});
  }
  SUBCASE("a repeat is recognised in the call of the first time, and beside others") {
    const draft next(product, 2, {"three"}, "command 3"), last(other, 1, {"more", "and more"}, "command 4");
    const auto outcomes = append(*journal, {{next}, {first}, {next}, {last}, {next}, {last}, {draft(product, 3, {"four"})}});
    numbers positions;
    for (const auto& outcome : outcomes) positions.push_back(stored_at(outcome));
    CHECK(positions == numbers{4, 1, 4, 5, 4, 5, 7});
    CHECK(journal->last() == position{7});
    CHECK(versions(*journal, product) == numbers{1, 2, 3, 4});
  }
  SUBCASE("an append without a command id is never a repeat: two commands can look alike") {
    append(*journal, product, 2, {"three"});
    CHECK(conflicts({draft(product, 2, {"three"})}, 3));
    CHECK(conflicts({draft(product, 0, {"one", "two"})}, 3));
  }
  SUBCASE("an append that differs in a byte or a command id is no repeat") {
    CHECK(conflicts({draft(product, 0, {"one", "twO"}, "command 1")}, 2));
    CHECK(conflicts({draft(product, 0, {"one", "two"}, "command 9")}, 2));
    CHECK(conflicts({draft(product, 1, {"one", "two"}, "command 1")}, 2));
  }
  SUBCASE("an append of which only a part stands is no repeat, and leaves nothing behind") {
    CHECK(conflicts({draft(product, 0, {"one", "two", "three"}, "command 1")}, 2));
    CHECK(conflicts({draft(product, 0, {"one"}, "command 1")}, 2));
    CHECK(conflicts({draft(product, 1, {"two", "three"}, "command 1")}, 2));
    CHECK(journal->last() == position{3});
  }
  SUBCASE("a command id alone makes no repeat: its next append is a new one") {
    CHECK(stored_at(append(*journal, product, 2, {"three"}, "command 1")) == 4);
  }
  SUBCASE("a repeat over several aggregates is recognised as a whole or not at all") {
    if (!store.appends_over_aggregates) return;
    const draft out(product, 2, {"out"}, "command 5"), in(other, 1, {"in", "and more"}, "command 5");
    CHECK(stored_at(append(*journal, {{out, in}}).at(0)) == 4);
    CHECK(stored_at(append(*journal, {{out, in}}).at(0)) == 4);
    CHECK(conflicts({in, out}, 3));
    CHECK(conflicts({out, draft({"product", "3"}, 0, {"in"}, "command 5")}, 3));
    CHECK(conflicts({draft({"product", "3"}, 0, {"in"}, "command 5"), out}, 3));
    CHECK(conflicts({first, draft(other, 0, {"another's"}, "command 9")}, 3));
    CHECK(journal->last() == position{6});
    CHECK(journal->highest({"product", "3"}) == version{0});
  }
}

/// In threads of its own: a failed assertion in a thread would end the process.
inline void readers_and_writers_conform(const store_under_test& store) {
  readers_beside_writers trial(store);
  CHECK(trial.run() == "");
}

inline void snapshots_conform(const store_under_test& store) {
  const auto journal = store.open();
  auto& snapshots = journal->snapshots();
  const stream_id product("product", "1");
  const auto latest = [&](stream_view stream, version at_most = version::max()) {
    const auto found = snapshots.latest(stream, at_most);
    return found ? std::to_string(found->version.value) + ":" + found->bytes : "none";
  };
  snapshots.save(product, version{500}, "at 500");
  snapshots.save(product, version{1000}, "at 1000");
  snapshots.save(product, version{1500}, "at 1500");
  snapshots.save({"product", "2"}, version{700}, "another's");

  SUBCASE("the newest snapshot is found") { CHECK(latest(product) == "1500:at 1500"); }
  SUBCASE("a snapshot is found at its own version, and the one before it just below") {
    CHECK(latest(product, version{1000}) == "1000:at 1000");
    CHECK(latest(product, version{999}) == "500:at 500");
    CHECK(latest(product, version{1499}) == "1000:at 1000");
  }
  const auto all = [&](stream_view stream, version at_most = version::max(), std::size_t enough = 100) {
    std::string seen;
    snapshots.read_newest_first(stream, at_most, [&](const snapshot_view& one) {
      seen += std::to_string(one.version.value) + ":" + std::string(one.bytes) + " ";
      return --enough > 0;
    });
    return seen;
  };
  SUBCASE("all of them are handed out, the newest first, until the visitor has enough") {
    CHECK(all(product) == "1500:at 1500 1000:at 1000 500:at 500 ");
    CHECK(all(product, version{1000}) == "1000:at 1000 500:at 500 ");
    CHECK(all(product, version::max(), 2) == "1500:at 1500 1000:at 1000 ");
    CHECK(all(product, version{499}).empty());
    CHECK(all({"product", "2"}) == "700:another's ");
  }
  SUBCASE("a visitor may save and prune, and sees the snapshots as they were") {
    std::string seen;
    snapshots.read_newest_first(product, version::max(), [&](const snapshot_view& one) {
      snapshots.save(product, one.version, "another");
      snapshots.save(product, version{one.version.value - 1}, "below");
      snapshots.prune(product, one.version == version{1500} ? 2 : 0);
      seen += std::to_string(one.version.value) + ":" + std::string(one.bytes) + " ";
      return true;
    });
    CHECK(seen == "1500:at 1500 1000:at 1000 500:at 500 ");
    CHECK(all(product).empty());
  }
  SUBCASE("what a snapshot's visitor throws reaches the caller") {
    const auto throws = [](const snapshot_view&) -> bool { throw std::domain_error("enough"); };
    CHECK_THROWS_AS(snapshots.read_newest_first(product, version::max(), throws), std::domain_error);
  }
  SUBCASE("snapshots may be saved in any order") {
    snapshots.save(product, version{700}, "at 700");
    CHECK(latest(product) == "1500:at 1500");
    CHECK(latest(product, version{999}) == "700:at 700");
    CHECK(latest(product, version{699}) == "500:at 500");
  }
  SUBCASE("before the first snapshot, and of an aggregate without any, there is none") {
    CHECK(latest(product, version{499}) == "none");
    CHECK(latest(product, version{0}) == "none");
    CHECK(latest({"product", "3"}) == "none");
    CHECK(latest({"product", ""}) == "none");
  }
  SUBCASE("a snapshot of the same version takes the earlier one's place") {
    snapshots.save(product, version{1500}, "again");
    CHECK(latest(product) == "1500:again");
    CHECK(latest(product, version{1499}) == "1000:at 1000");
  }
  SUBCASE("pruning keeps the newest ones, and other aggregates' all") {
    snapshots.prune(product, 2);
    CHECK(latest(product) == "1500:at 1500");
    CHECK(latest(product, version{1499}) == "1000:at 1000");
    CHECK(latest(product, version{999}) == "none");
    CHECK(latest({"product", "2"}) == "700:another's");
    snapshots.prune(product, 5);
    CHECK(latest(product, version{1000}) == "1000:at 1000");
    snapshots.prune(product, 0);
    CHECK(latest(product) == "none");
    snapshots.prune({"product", "3"}, 1);
  }
  SUBCASE("a snapshot and its aggregate's id may be empty, of any bytes, and large") {
    const std::string large(std::size_t{3} << 20, '\0');
    snapshots.save(product, version{2000}, large);
    CHECK((snapshots.latest(product, version::max())->bytes == large));
    snapshots.save(product, version{2001}, "");
    CHECK(latest(product) == "2001:");
    for (const auto& id : {std::string(), std::string("\0\xff", 2), std::string("世界"), large.substr(0, 1 << 20)}) {
      snapshots.save({"product", id}, version{1}, "of " + std::to_string(id.size()));
    }
    CHECK(latest({"product", std::string("\0\xff", 2)}) == "1:of 2");
    CHECK(latest({"product", large.substr(0, 1 << 20)}) == "1:of 1048576");
    CHECK(latest({"product", ""}) == "1:of 0");
    CHECK(latest({"product", std::string(1, '\0')}) == "none");
  }
  SUBCASE("a snapshot at the very first and the very last version can be kept") {
    snapshots.save(product, version{0}, "none yet");
    snapshots.save(product, version::max(), "the end");
    CHECK(latest(product, version{1}) == "0:none yet");
    CHECK(latest(product) == std::to_string(version::max().value) + ":the end");
    CHECK(all(product) == std::to_string(version::max().value) + ":the end 1500:at 1500 1000:at 1000 500:at 500 0:none yet ");
  }
}

inline void snapshots_are_not_kept(const store_under_test& store) {
  const auto journal = store.open();
  journal->snapshots().save({"product", "1"}, version{1}, "a snapshot");
  CHECK_FALSE(journal->snapshots().latest({"product", "1"}, version::max()));
  journal->snapshots().prune({"product", "1"}, 1);
}

inline void reopening_conforms(const store_under_test& store) {
  auto journal = store.open();
  const stream_id product("product", "1");
  const draft first(product, 0, {"one", "two"}, "command 1");
  append(*journal, {{first}});
  append(*journal, {"product", "2"}, 0, {"one"});
  if (store.keeps_snapshots) journal->snapshots().save(product, version{2}, "a snapshot");
  const auto before = read_all(*journal);
  for (int round = 0; round < 3; ++round) {
    journal.reset();
    journal = store.open();
    CHECK(read_all(*journal) == before);
    CHECK(journal->last() == position{3});
    CHECK(journal->highest(product) == version{2});
    CHECK(versions(*journal, product) == numbers{1, 2});
    if (store.keeps_snapshots) {
      const auto snapshot = journal->snapshots().latest(product, version::max());
      REQUIRE(snapshot);
      CHECK(snapshot->bytes == "a snapshot");
    }
    const auto conflict = append(*journal, product, 1, {"late"});
    CHECK_FALSE(conflict.stored);
    CHECK(conflict.stands == version{2});
    if (store.recognises_repeats) CHECK(append(*journal, {{first}}).at(0).first == position{1});
  }
  CHECK(append(*journal, product, 2, {"three"}).first == position{4});
  journal.reset();
  journal = store.open();
  CHECK(versions(*journal, product) == numbers{1, 2, 3});
}

inline void locking_conforms(const store_under_test& store) {
  other_process other(store);
  const auto journal = store.open();
  SUBCASE("a store that is open cannot be opened again in its process") {
    CHECK(failure_of([&] { store.open(); }).first == errc::store_in_use);
  }
  SUBCASE("a store that is open cannot be opened by another process, which is told so") {
    const auto [kind, text] = other.opens();
    INFO(text);
    CHECK(kind == errc::store_in_use);
    CHECK(text.find("another process") != std::string::npos);
  }
  CHECK(append(*journal, {"product", "1"}, 0, {"one"}).stored);
}

inline void numbers_near_their_ends_conform(const nearly_full_store& store, bool reopens) {
  auto journal = store.open();
  const auto& stream = store.stream;
  const stream_id other("product", "another");
  const auto last_version = version::max().value - 1;
  const auto top = store.top.value;
  REQUIRE(journal->last() + 4 == position{top});
  REQUIRE(journal->highest(stream) + 2 == version{last_version});
  const auto refused = [&](const stream_id& name, std::uint64_t expected, const std::vector<std::string>& payloads) {
    const auto before = journal->last();
    const auto [kind, text] = failure_of([&] { append(*journal, name, expected, payloads); });
    CHECK(text.find("used up") != std::string::npos);
    CHECK(journal->last() == before);
    return kind;
  };

  SUBCASE("the last version can be appended and read, and none beyond it") {
    CHECK(append(*journal, stream, last_version - 2, {"the last but one"}).first == position{top - 3});
    CHECK(refused(stream, last_version - 1, {"the last", "and one more"}) == errc::invalid_argument);
    CHECK(append(*journal, stream, last_version - 1, {"the last"}).first == position{top - 2});
    CHECK(refused(stream, last_version, {"one more"}) == errc::invalid_argument);
    CHECK(append(*journal, stream, last_version - 2, {"late"}).stands == version{last_version});
    CHECK(append(*journal, other, 0, {"another's"}).first == position{top - 1});
    for (int round = 0; round < (reopens ? 2 : 1); ++round) {
      CHECK(journal->highest(stream) == version{last_version});
      CHECK(read(*journal, stream, {.from = version{last_version - 1}}) ==
            std::vector<seen>{{top - 3, stream, last_version - 1, "the last but one"},
                              {top - 2, stream, last_version, "the last"}});
      CHECK(versions(*journal, stream, {.from = version{last_version}, .to = version{last_version}}) == numbers{last_version});
      CHECK(read(*journal, stream, {.from = version::max()}).empty());
      journal.reset();
      if (reopens) journal = store.open();
    }
  }
  SUBCASE("the last position can be appended at and read, and none beyond it") {
    CHECK(append(*journal, other, 0, {"one", "two", "three"}).first == position{top - 3});
    CHECK(refused(other, 3, {"four", "five"}) == errc::journal_unavailable);
    CHECK(append(*journal, other, 3, {"four"}).first == position{top});
    CHECK(refused(other, 4, {"five"}) == errc::journal_unavailable);
    for (int round = 0; round < (reopens ? 2 : 1); ++round) {
      CHECK(journal->last() == position{top});
      CHECK(versions(*journal, other) == numbers{1, 2, 3, 4});
      CHECK(read_all(*journal, top) == std::vector<seen>{{top, other, 4, "four"}});
      CHECK(journal->read_all(position{top}, [](const record_view&) { return true; }) == position{top + 1});
      CHECK(read_all(*journal, top + 1).empty());
      journal.reset();
      if (reopens) journal = store.open();
    }
  }
}

/// Whether a store has what `flag` says; where it has not, what is left out is said.
inline bool asked(bool has, const std::string& flag, const std::string& what) {
  if (!has) MESSAGE("not asked for lack of ", flag, ": ", what);
  return has;
}

}  // namespace detail

/// The whole suite, in the test case that calls it. On Unix: a process is forked for the lock's sake.
inline void journal_conformance(const store_under_test& store) {
  using detail::asked;
  SUBCASE("reads") { detail::reads_conform(store); }
  SUBCASE("many aggregates that take turns are each read in order") { detail::many_aggregates_conform(store); }
  SUBCASE("appends") { detail::appends_conform(store); }
  SUBCASE("appends over several aggregates") {
    if (asked(store.appends_over_aggregates, "appends_over_aggregates", "what becomes of them")) {
      detail::appends_over_aggregates_conform(store);
    } else {
      detail::appends_over_aggregates_are_refused(store);
    }
  }
  SUBCASE("repeats") {
    if (asked(store.recognises_repeats, "recognises_repeats", "that a repeat is answered as the first time")) {
      detail::repeats_conform(store);
    }
  }
  SUBCASE("readers see whole appends in order while several threads append in turns") {
    detail::readers_and_writers_conform(store);
  }
  SUBCASE("snapshots") {
    if (asked(store.keeps_snapshots, "keeps_snapshots", "how they are found and pruned")) {
      detail::snapshots_conform(store);
    } else {
      detail::snapshots_are_not_kept(store);
    }
  }
  SUBCASE("what was closed is as it was when it is opened again") {
    if (asked(store.keeps_what_was_closed, "keeps_what_was_closed", "what is there after reopening")) {
      detail::reopening_conforms(store);
    }
  }
  SUBCASE("a store in use") {
    if (asked(store.locks_out_others, "locks_out_others", "that another opening fails")) detail::locking_conforms(store);
  }
  SUBCASE("numbers near their ends") {
    if (asked(static_cast<bool>(store.nearly_full.open), "nearly_full", "the last versions and positions")) {
      detail::numbers_near_their_ends_conform(store.nearly_full, store.keeps_what_was_closed);
    }
  }
}

}  // namespace cairn::testkit
