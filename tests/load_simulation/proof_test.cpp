// Clients, log, domain and recovery agree after a day in memory; and the proof sees it when they do not.
#include "load_simulation/driver.hpp"
#include "load_simulation/workload.hpp"
#include "product.hpp"

#include "../../actors/recovery.hpp"

#include <cairn/memory_journal.hpp>
#include <cairn/msgpack.hpp>
#include <doctest/doctest.h>

#include <limits>

namespace simulation {
namespace {

const stop_flag never{false};

cairn::runtime_options over(std::shared_ptr<cairn::journal> journal) {
  cairn::runtime_options options;
  options.journal = std::move(journal);
  return options;
}

/// A day that has been played, and the books that the clients kept of it.
struct played_day {
  workload day = synthetic_day({50, 5'000, 1});
  std::vector<standing> books = std::vector<standing>(50);
  std::shared_ptr<cairn::journal> journal = cairn::memory_journal();
  tally result;

  explicit played_day(std::size_t batch = 1) {
    cairn::runtime runtime(over(journal));
    driver clients(runtime, day, books, {3, 100, {}, batch}, never);
    clients.start();
    while (!clients.finished_within(std::chrono::seconds(10))) {}
    result = clients.result();
    CHECK(clients.latency().count() == day.movements.size());
  }
};

/// The journal of another with one record left out when everything is read.
class with_a_gap final : public cairn::journal {
public:
  with_a_gap(cairn::journal& whole, std::uint64_t missing) : whole_(whole), missing_(missing) {}
  cairn::position read_all(cairn::position from, const cairn::record_visitor& visit) const override {
    return whole_.read_all(from,
                           [&](const cairn::record_view& record) { return record.position.value == missing_ || visit(record); });
  }
  void append(std::span<const cairn::atomic_append>, std::span<cairn::append_outcome>) override {}
  void read(cairn::stream_view, cairn::version_range, const cairn::record_visitor&) const override {}
  cairn::version highest(cairn::stream_view stream) const override { return whole_.highest(stream); }
  cairn::position last() const override { return whole_.last(); }
  cairn::snapshot_store& snapshots() override { return whole_.snapshots(); }

private:
  cairn::journal& whole_;
  std::uint64_t missing_;
};

TEST_CASE("the clients' books, the log folded by hand and by the domain, and the recovered products agree, whether commands go "
          "alone or in batches") {
  // Of 33 or 34 commands that each client has in flight: alone, in several batches, in one that is smaller than was asked for.
  std::size_t batch = 1;
  SUBCASE("alone") { batch = 1; }
  SUBCASE("in several batches") { batch = 7; }
  SUBCASE("in one batch") { batch = 1'000; }
  played_day played(batch);
  CHECK(played.result.failed == 0);
  CHECK(played.result.faults.empty());
  CHECK(played.result.answered == played.day.movements.size());
  CHECK(played.result.accepted + played.result.rejections() == played.result.answered);
  CHECK(played.result.rejections() > 0);

  const auto log = fold_log(*played.journal, never);
  CHECK(log.faults.empty());
  CHECK(log.records == played.result.accepted);
  const auto domain = fold_by_domain(*played.journal, played.day.products, never);
  CHECK(domain.faults.empty());
  CHECK(domain.records == log.records);
  CHECK(domain.snapshots > 0);
  cairn::runtime again(over(played.journal));
  const auto cold = recover_all(again, played.day.products, never);
  CHECK(cold.faults.empty());
  CHECK(differences(played.day.products, "books", played.books, "log", in_order(log, played.day.products)).empty());
  CHECK(differences(played.day.products, "books", played.books, "domain", domain.products).empty());
  CHECK(differences(played.day.products, "books", played.books, "recovered", cold.products).empty());
}

TEST_CASE("an answer is right when the books say so, whatever the runtime believes") {
  const std::string short_of_stock = "insufficient_stock";
  const std::string other = "not_enrolled";
  const standing ten{10, 1};
  using kind = movement_kind;
  for (const auto one : {kind::opening, kind::returned, kind::delivered}) {
    CHECK_FALSE(wrong_answer(ten, one, 11, nullptr));
    CHECK(wrong_answer(ten, one, 11, &short_of_stock));
    CHECK(wrong_answer(ten, one, 1, &other));
  }
  CHECK_FALSE(wrong_answer(ten, kind::sold, 10, nullptr));
  CHECK_FALSE(wrong_answer(ten, kind::sold, 11, &short_of_stock));
  CHECK(wrong_answer(ten, kind::sold, 11, &other) == "11 pieces sold, of a product with 10: rejected as not_enrolled, and should "
                                                     "have been rejected as insufficient_stock");
  CHECK(wrong_answer(ten, kind::sold, 11, nullptr) ==
        "11 pieces sold, of a product with 10: accepted, and should have been rejected as insufficient_stock");
  CHECK(wrong_answer(ten, kind::sold, 10, &short_of_stock) ==
        "10 pieces sold, of a product with 10: rejected as insufficient_stock, and should have been accepted");
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  CHECK_FALSE(wrong_answer({most, 1}, kind::sold, most, nullptr));
  CHECK_FALSE(wrong_answer({most - 1, 1}, kind::sold, most, &short_of_stock));
}

TEST_CASE("clients tell of answers that their books contradict") {
  const auto sell_five = [](std::int64_t in_stock, std::int64_t in_books) {
    cairn::runtime runtime(over(cairn::memory_journal()));
    const auto play = [&](movement_kind kind, std::int64_t count, standing book) {
      workload work;
      work.products = {"P"};
      work.orders = {name_of(kind)};
      work.movements = {{{}, count, 0, 0, 1, kind}};
      std::vector<standing> books{book};
      driver clients(runtime, work, books, {1, 1, {}}, never);
      clients.start();
      while (!clients.finished_within(std::chrono::seconds(10))) {}
      return clients.result();
    };
    CHECK(play(movement_kind::opening, in_stock, {}).faults.empty());
    return play(movement_kind::sold, 5, {in_books, 1}).faults;
  };
  CHECK(sell_five(5, 5).empty());
  CHECK(sell_five(4, 4).empty());
  CHECK(sell_five(5, 4) == std::vector<std::string>{"product P, order sold: 5 pieces sold, of a product with 4: accepted, and "
                                                    "should have been rejected as insufficient_stock"});
  CHECK(sell_five(4, 5) == std::vector<std::string>{"product P, order sold: 5 pieces sold, of a product with 5: rejected as "
                                                    "insufficient_stock, and should have been accepted"});
}

TEST_CASE("a count that is off by one is found and named") {
  played_day played;
  const auto log = fold_log(*played.journal, never);
  auto tampered = played.books;
  ++tampered[17].count;
  const auto found = differences(played.day.products, "books", tampered, "log", in_order(log, played.day.products));
  REQUIRE(found.size() == 1);
  CHECK(found[0] == "product " + played.day.products[17] + ": books: " + std::to_string(tampered[17].count) + " (version " +
                        std::to_string(tampered[17].version) + "), log: " + std::to_string(tampered[17].count - 1) +
                        " (version " + std::to_string(tampered[17].version) + ")");
}

TEST_CASE("of many differences the first ten are told, and how many more there are") {
  const std::vector<std::string> ids(25, "P");
  const auto found = differences(ids, "one", std::vector<standing>(25), "other", std::vector<standing>(25, standing{1, 1}));
  REQUIRE(found.size() == 11);
  CHECK(found.back() == "and 15 more");
}

TEST_CASE("a record that is missing in the log is found by its position and its version") {
  played_day played;
  const auto log = fold_log(with_a_gap(*played.journal, 1'000), never);
  REQUIRE(log.faults.size() == 2);
  CHECK(log.faults[0].find("position 1001") != std::string::npos);
  CHECK(log.faults[1].find("was to come") != std::string::npos);
  with_a_gap lacking(*played.journal, 1'000);
  const auto domain = fold_by_domain(lacking, played.day.products, never);
  REQUIRE(domain.faults.size() == 1);
  CHECK(domain.faults[0].find("the log folded by the domain's own code: ") == 0);
  CHECK(domain.records >= 999);
}

/// Appends the next event of product "P1", whether or not the domain would have made it.
void append(cairn::journal& journal, std::string_view type, std::string_view payload) {
  cairn::unrecorded_event event;
  event.stream = {"product", "P1"};
  const auto before = journal.highest(event.stream);
  event.version = before + 1;
  event.type = type;
  event.payload = payload;
  std::string frames;
  cairn::encode_frame(frames, event);
  const cairn::addition addition{event.stream, before, 1, frames};
  const cairn::atomic_append append(&addition, 1);
  cairn::append_outcome outcome;
  journal.append({&append, 1}, {&outcome, 1});
}
template <class Event>
void append(cairn::journal& journal, const Event& event) {
  std::string payload;
  cairn::detail::encode(payload, event);
  append(journal, Event::type, payload);
}

TEST_CASE("an event that says nothing of a count is found") {
  const auto journal = cairn::memory_journal();
  for (const auto* payload : {"\x80", "\x01", "\xc1"}) append(*journal, "ADD", payload);  // an empty map, a number, no msgpack
  CHECK(fold_log(*journal, never).faults.size() == 3);
  CHECK(fold_by_domain(*journal, {"P1"}, never).faults.size() == 1);
}

TEST_CASE("a log of which the domain makes something else than adding up by hand is found and named") {
  const auto journal = cairn::memory_journal();
  append(*journal, stock::StockAdded{3});
  append(*journal, stock::Enrolled{2});  // the rules would have had it come first
  const std::vector<std::string> ids{"P1"};
  const auto log = fold_log(*journal, never);
  const auto domain = fold_by_domain(*journal, ids, never);
  CHECK(log.faults.empty());
  CHECK(domain.faults.empty());
  CHECK(differences(ids, "by the log", in_order(log, ids), "by the domain", domain.products) ==
        std::vector<std::string>{"product P1: by the log: 5 (version 2), by the domain: 2 (version 2)"});
}

TEST_CASE("a snapshot that contradicts the log is named, and the log folded to its end all the same") {
  const auto journal = cairn::memory_journal();
  for (int event = 0; event < 3; ++event) append(*journal, stock::StockAdded{3});
  cairn::actors::hosted<stock::Product> four;
  four.value.count = 4;
  journal->snapshots().save({"product", "P1"}, cairn::version{2},
                            cairn::actors::encode_snapshot(cairn::version{2}, {}, 1, four, cairn::actors::command_window(0)));
  const auto domain = fold_by_domain(*journal, {"P1"}, never);
  REQUIRE(domain.faults.size() == 1);
  CHECK(domain.faults[0].find("the snapshot of product/P1 at version 2 is not what the events up to there make") !=
        std::string::npos);
  CHECK(domain.snapshots == 0);
  CHECK(domain.products == std::vector<standing>{{9, 3}});
}

TEST_CASE("a reading that is told to stop folds nothing more") {
  const auto journal = cairn::memory_journal();
  for (int event = 0; event < 3; ++event) append(*journal, stock::StockAdded{3});
  const stop_flag at_once{true};
  CHECK(fold_log(*journal, at_once).records == 1);
  CHECK(fold_by_domain(*journal, {"P1"}, at_once).records == 0);
}

TEST_CASE("clients that are told to stop send nothing more, and what they sent is answered") {
  const auto day = synthetic_day({50, 5'000, 1});
  std::vector<standing> books(50);
  const stop_flag at_once{true};
  cairn::runtime runtime(over(cairn::memory_journal()));
  driver clients(runtime, day, books, {3, 100, {}}, at_once);
  clients.start();
  while (!clients.finished_within(std::chrono::seconds(10))) {}
  CHECK(clients.result().answered == 0);
}

}  // namespace
}  // namespace simulation
