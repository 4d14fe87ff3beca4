// Snapshots whose state their events make are counted, those that recovery passes over as well, and one that is wrong is named.
#include <cairn/memory_journal.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/runtime.hpp>
#include <cairn/store.hpp>
#include <cairn/verified_log.hpp>

#include "../../actors/recovery.hpp"
#include "product.hpp"
#include "temporary_folder.hpp"
#include "testkit/wrong_journals.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <variant>
#include <vector>

namespace cairn::tests {
namespace {

using namespace stock;

// Its state's bytes are in no fixed order, it cannot be compared, and it evolves as `factor` has it.
struct Shelf {
  static constexpr std::string_view category = "shelf";
  using Event = std::variant<StockAdded>;
  static inline Count factor = 1;
  std::unordered_map<std::string, Count> by_reason;
  MSGPACK_DEFINE_MAP(by_reason)

  decision<Event> decide(const AddStock& add) const { return StockAdded{add.count, "r" + std::to_string(by_reason.size() % 20)}; }
  void evolve(const StockAdded& event) noexcept { by_reason[event.reason] += factor * event.count; }
};

// Not equal to itself.
struct Rate {
  static constexpr std::string_view category = "rate";
  using Event = std::variant<StockAdded>;
  double value = std::numeric_limits<double>::quiet_NaN();
  MSGPACK_DEFINE_MAP(value)

  decision<Event> decide(const AddStock& add) const { return StockAdded{add.count, {}}; }
  void evolve(const StockAdded&) noexcept {}
  bool operator==(const Rate&) const = default;
};

// Of its members a snapshot holds one.
struct Forgetful {
  static constexpr std::string_view category = "forgetful";
  using Event = std::variant<StockAdded>;
  Count count = 0;
  Count largest = 0;
  MSGPACK_DEFINE_MAP(count)

  decision<Event> decide(const AddStock& add) const { return StockAdded{add.count, {}}; }
  void evolve(const StockAdded& event) noexcept {
    count += event.count;
    largest = std::max(largest, event.count);
  }
  bool operator==(const Forgetful&) const = default;
};

/// Products "0" to "9", and one of each of the others for each of them, with 25 events each, a snapshot after every tenth and one
/// at the end.
class history {
public:
  history() {
    runtime_options options;
    options.journal = store_;
    options.bounds.snapshot_every_events = 10;
    cairn::runtime runtime(options);
    for (int event = 0; event < 25; ++event) {
      for (int product = 0; product < 10; ++product) {
        const auto id = std::to_string(product);
        if (event == 0) {
          runtime.ask<Product>(id, Enrol{product}, blocking).value();
        } else {
          runtime.ask<Product>(id, AddStock{event + product}, blocking).value();
        }
        runtime.ask<Shelf>(id, AddStock{event}, blocking).value();
        runtime.ask<Rate>(id, AddStock{event}, blocking).value();
        runtime.ask<Forgetful>(id, AddStock{event}, blocking).value();
      }
    }
    runtime.drain(drain_snapshots::yes, blocking);
  }

  journal& store() { return *store_; }
  std::shared_ptr<journal> shared_store() { return store_; }

  /// Puts a snapshot in the place of product "3" at `at`.
  void save(version at, const Product& state, std::uint32_t schema_version = 1) {
    actors::hosted<Product> hosted;
    hosted.value = state;
    store_->snapshots().save({"product", "3"}, at,
                             actors::encode_snapshot(at, {}, schema_version, hosted, actors::command_window(0)));
  }

  Product product_at(version at) {
    Product state;
    store_->read({"product", "3"}, {.to = at}, [&](const record_view& record) {
      evolve(state, read_event<Product>(record));
      return true;
    });
    return state;
  }

private:
  std::shared_ptr<journal> store_ = memory_journal();
};

/// Reads no snapshot as long as it fails.
struct without_snapshots : wrong_snapshots {
  using wrong_snapshots::wrong_snapshots;
  void read_newest_first(stream_view stream, version at_most, const snapshot_visitor& visit) const override {
    if (fails) throw error(errc::journal_unavailable, "no");
    wrong_snapshots::read_newest_first(stream, at_most, visit);
  }
  bool fails = true;
};

template <Aggregate A>
std::string fault_in(journal& store) {
  verified_log<A> log;
  try {
    log.catch_up(store);
  } catch (const error& failure) {
    CHECK(failure.kind() == errc::corrupt_store);
    return failure.detail();
  }
  return {};
}

}  // namespace

TEST_CASE("every state of the log is there, and each snapshot that says the same is counted") {
  history past;
  verified_log<Product> products;
  products.catch_up(past.store());
  CHECK(products.states().size() == 10);
  CHECK(products.states().through() == past.store().last());
  REQUIRE(products.states().find("3"));
  CHECK(products.states().find("3")->state == past.product_at(version::max()));
  CHECK(products.compared() == 20);  // the newest two of each: at versions 20 and 25
  CHECK(products.passed_over() == 0);
}

TEST_CASE("a store is looked after with its types") {
  history past;
  const auto store = &past.store();
  Count pieces = 0;

  cairn::verified_log<Product> log;
  log.catch_up(*store);  // throws where a snapshot is not what its events make, and names it
  for (const auto& product : log.states()) pieces += product.state.count;

  CHECK(pieces == 10 * (24 * 25 / 2) + 25 * (9 * 10 / 2));
}

TEST_CASE("the snapshots are compared as well where the log is read in steps") {
  history past;
  verified_log<Product> products;
  for (position step; step < past.store().last();) products.catch_up(past.store(), step = step + 7);
  CHECK(products.compared() == 20);
}

TEST_CASE("a snapshot whose state its events do not make is named, newest or not, and the first of a store at that") {
  for (const version at : {version{25}, version{20}, version{7}, version{1}, version{}}) {
    history past;
    auto other = past.product_at(at);
    past.save(at, other);
    CHECK(fault_in<Product>(past.store()).empty());
    ++other.count;
    past.save(at, other);
    CHECK(fault_in<Product>(past.store())
              .find("the snapshot of product/3 at version " + std::to_string(at.value) +
                    " is not what the events up to there make: ") == 0);
  }
}

TEST_CASE("each snapshot that is wrong is named, and nothing behind it is left out") {
  history past;
  Product wrong;
  wrong.count = -1;
  for (const version at : {version{}, version{1}, version{20}}) past.save(at, wrong);
  past.save(version{24}, past.product_at(version{24}));
  verified_log<Product> products;
  for (const auto& named : {std::vector<std::string>{"0", "1"}, std::vector<std::string>{"20"}}) {
    try {
      products.catch_up(past.store());
      FAIL("nothing was found");
    } catch (const error& failure) {
      for (const auto& at : named) CHECK(failure.detail().find("product/3 at version " + at + " is not") != std::string::npos);
    }
  }
  products.catch_up(past.store());
  CHECK(products.states().through() == past.store().last());
  CHECK(products.compared() == 20);  // of product "3" those at versions 24 and 25
}

TEST_CASE("snapshots that could not be read are looked for again") {
  history past;
  without_snapshots failing(past.shared_store());
  verified_log<Product> products;
  for (int attempt = 0; attempt < 2; ++attempt) CHECK_THROWS_AS(products.catch_up(failing), error);
  failing.fails = false;
  products.catch_up(failing);
  CHECK(products.compared() == 20);
}

TEST_CASE("a state in which two members have changed places is another, and so is one that lacks what its bytes do not hold") {
  history past;
  auto other = past.product_at(version{20});
  std::swap(other.enrolled, other.allow_back_orders);  // the same bytes in another order
  past.save(version{20}, other);
  CHECK_FALSE(fault_in<Product>(past.store()).empty());
  CHECK(fault_in<Forgetful>(past.store()).find("the snapshot of forgetful/0 at version 20 is not") == 0);
}

TEST_CASE("a state without a fixed order of its bytes is the same in any, and evolve() that has changed is found") {
  history past;
  verified_log<Shelf> shelves;
  shelves.catch_up(past.store());
  CHECK(shelves.compared() == 20);
  Shelf::factor = 2;
  const auto fault = fault_in<Shelf>(past.store());
  Shelf::factor = 1;
  CHECK(fault.find("the snapshot of shelf/0 at version 20 is not what the events up to there make: either the code that reads or "
                   "applies them was changed without a new schema_version") == 0);
}

TEST_CASE("a state that is not equal to itself is compared by its bytes") {
  history past;
  verified_log<Rate> rates;
  rates.catch_up(past.store());
  CHECK(rates.compared() == 20);
}

TEST_CASE("snapshots that recovery passes over are counted and do no harm") {
  history past;
  std::uint64_t usable = 19, unusable = 1;
  SUBCASE("damaged") { past.store().snapshots().save({"product", "3"}, version{25}, "these are no bytes of a snapshot"); }
  SUBCASE("of another schema version") { past.save(version{25}, Product{}, 2); }
  SUBCASE("of events that there are not") {
    past.save(version{26}, Product{});
    usable = 20;
    unusable = 0;  // it waits for its last event
  }
  verified_log<Product> products;
  products.catch_up(past.store());
  CHECK(products.passed_over() == unusable);
  CHECK(products.compared() == usable);
}

TEST_CASE("a store that a runtime is writing to is verified meanwhile") {
  const auto folder = temporary_folder();
  const std::shared_ptr<journal> store = open_store(folder.path(), {.durability = durability::buffered});
  cairn::runtime runtime{{.journal = store, .bounds = {.snapshot_every_events = 5}}};
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int event = 0; event < 3'000; ++event) {
      const auto id = std::to_string(event % 7);
      if (event < 7) runtime.ask<Product>(id, Enrol{}, blocking).value();
      runtime.ask<Product>(id, AddStock{1}, blocking).value();
    }
    done = true;
  });
  verified_log<Product> products;
  while (!done) {
    products.catch_up(*store);
    verified_log<Product>().catch_up(*store);
  }
  writer.join();
  products.catch_up(*store);
  CHECK(products.states().through() == store->last());
  runtime.drain(drain_snapshots::yes, blocking);
  verified_log<Product> at_rest;
  at_rest.catch_up(*store);
  CHECK(at_rest.compared() == 14);
}

static_assert(!std::is_copy_constructible_v<verified_log<Product>>, "it points into itself");

}  // namespace cairn::tests
