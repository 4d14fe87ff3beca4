// Everything folded by one reading of the log is what each aggregate's own history makes of it.
#include <cairn/folded_log.hpp>
#include <cairn/memory_journal.hpp>
#include <cairn/msgpack.hpp>
#include <cairn/testkit/forwarding_journal.hpp>

#include "product.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cairn::tests {
namespace {

using stock::Product;

/// A journal in memory, and what it shall hold.
class history {
public:
  explicit history(std::shared_ptr<journal> into = memory_journal()) : journal_(std::move(into)) {}

  template <class Event>
  void append(stream_view stream, version at, const Event& what, std::string_view type = Event::type) {
    std::string payload, frames;
    cairn::detail::encode(payload, what);
    unrecorded_event event;
    event.stream = stream;
    event.version = at;
    event.type = type;
    event.payload = payload;
    encode_frame(frames, event);
    const addition added{stream, version{at.value - 1}, 1, frames};
    const atomic_append append(&added, 1);
    append_outcome outcome;
    journal_->append({&append, 1}, {&outcome, 1});
    REQUIRE(outcome.stored);
  }

  /// Some events of products "0" to "999", and of somebody else in between.
  void append_some(std::size_t events) {
    for (std::size_t n = 0; n < events; ++n) {
      const auto id = std::to_string(random_() % 1'000);
      const auto at = journal_->highest({"product", id}) + 1;
      if (at == version{1}) {
        append({"product", id}, at, stock::Enrolled{static_cast<stock::Count>(n), true});
      } else {
        append({"product", id}, at, stock::StockRemoved{static_cast<stock::Count>(n), "sold"});
      }
      append({"somebody", "else"}, journal_->highest({"somebody", "else"}) + 1, stock::StockAdded{1, {}});
    }
  }

  Product fold(std::string_view id) const {
    Product state;
    journal_->read({"product", id}, {}, [&](const record_view& record) {
      evolve(state, read_event<Product>(record));
      return true;
    });
    return state;
  }

  const journal& log() const { return *journal_; }

private:
  std::shared_ptr<journal> journal_;
  std::mt19937 random_{1};
};

/// What was sold of a product. Decides nothing.
struct Sales {
  static constexpr std::string_view category = Product::category;
  using Event = Product::Event;
  stock::Count pieces = 0;
  void evolve(const stock::Enrolled&) noexcept {}
  void evolve(const stock::StockAdded&) noexcept {}
  void evolve(const stock::StockRemoved& removed) noexcept { pieces += removed.reason == "sold" ? removed.count : 0; }
};

}  // namespace

TEST_CASE("a folded log has the state and version of every aggregate, and catches up with what was appended since") {
  history past;
  folded_log<Product> all;
  all.catch_up(past.log());
  CHECK(all.size() == 0);
  CHECK_FALSE(all.find("0"));
  for (int round = 0; round < 3; ++round) {
    past.append_some(700);
    all.catch_up(past.log());
    CHECK(all.through() == past.log().last());
    std::size_t products = 0;
    for (int product = 0; product < 1'000; ++product) {
      const auto id = std::to_string(product);
      const auto* const found = all.find(id);
      REQUIRE((found != nullptr) == (past.log().highest({"product", id}) > version{}));
      if (!found) continue;
      ++products;
      CHECK(found->id == id);
      CHECK(found->version == past.log().highest({"product", id}));
      CHECK(found->state == past.fold(id));
    }
    CHECK(all.size() == products);
    CHECK(std::distance(all.begin(), all.end()) == static_cast<std::ptrdiff_t>(products));
    CHECK_FALSE(all.find("else"));
  }
}

TEST_CASE("a log is folded up to any position, and from there on") {
  history past;
  past.append({"product", "1"}, version{1}, stock::Enrolled{5, false});
  past.append({"somebody", "else"}, version{1}, stock::StockAdded{1, {}});
  past.append({"product", "1"}, version{2}, stock::StockAdded{2, {}});
  folded_log<Product> all;
  const auto count_at = [&](std::uint64_t last) {
    all.catch_up(past.log(), position{last});
    CHECK(all.through() == position{std::min<std::uint64_t>(last, 3)});
    return all.find("1") ? all.find("1")->state.count : 0;
  };
  CHECK(count_at(0) == 0);
  CHECK(count_at(1) == 5);
  CHECK(count_at(2) == 5);
  CHECK(count_at(3) == 7);
  CHECK(count_at(4) == 7);
}

TEST_CASE("whoever looks on sees each aggregate after each of its events, and may end it") {
  history past;
  past.append({"product", "1"}, version{1}, stock::Enrolled{5, false});
  past.append({"somebody", "else"}, version{1}, stock::StockAdded{1, {}});
  past.append({"product", "2"}, version{1}, stock::Enrolled{7, false});
  past.append({"product", "1"}, version{2}, stock::StockAdded{2, {}});
  folded_log<Product> all;
  std::vector<std::string> seen;
  const auto look_on = [&](const folded_log<Product>::folded& one) {
    seen.push_back(one.id + " at " + std::to_string(one.version.value) + ": " + std::to_string(one.state.count));
    if (one.id == "2") throw std::out_of_range("enough");
  };
  CHECK_THROWS_AS(all.catch_up(past.log(), position{4}, look_on), std::out_of_range);
  CHECK(all.through() == position{3});
  CHECK(all.find("2")->state.count == 7);
  all.catch_up(past.log(), position{4}, look_on);
  CHECK(seen == std::vector<std::string>{"1 at 1: 5", "2 at 1: 7", "1 at 2: 7"});
}

TEST_CASE("another struct with the same events is a projection of them") {
  history past;
  past.append({"product", "1"}, version{1}, stock::Enrolled{5, false});
  past.append({"product", "1"}, version{2}, stock::StockRemoved{2, "sold"});
  past.append({"product", "1"}, version{3}, stock::StockRemoved{1, "broken"});

  folded_log<Sales> sales;
  sales.catch_up(past.log());
  REQUIRE(sales.find("1"));
  CHECK(sales.find("1")->state.pieces == 2);
  past.append({"product", "1"}, version{4}, stock::StockRemoved{2, "sold"});
  sales.catch_up(past.log());
  CHECK(sales.find("1")->state.pieces == 4);
}

TEST_CASE("an event that cannot be read stops the folding, with everything before it folded and nothing of its aggregate made") {
  history past;
  past.append({"product", "1"}, version{1}, stock::Enrolled{5, false});
  past.append({"product", "2"}, version{1}, stock::Enrolled{7, false}, "RENAMED");
  past.append({"product", "3"}, version{1}, stock::Enrolled{9, false});
  folded_log<Product> all;
  for (int attempt = 0; attempt < 2; ++attempt) {
    try {
      all.catch_up(past.log());
      FAIL("it was folded");
    } catch (const error& refused) {
      CHECK(refused.kind() == errc::unknown_event);
      CHECK(refused.detail().find("RENAMED") != std::string::npos);
    }
    CHECK(all.through() == position{1});
    CHECK(all.size() == 1);
    CHECK(all.find("1")->state.count == 5);
    CHECK_FALSE(all.find("2"));
  }
}

namespace {

/// A log in which an event of product "2" is missing.
class log_with_a_gap final : public testkit::forwarding_journal {
public:
  using forwarding_journal::forwarding_journal;

  position read_all(position from, const record_visitor& visit) const override {
    return forwarding_journal::read_all(from, [&](const record_view& record) {
      return (record.stream.id == "2" && record.version == version{1}) || visit(record);
    });
  }
};

}  // namespace

TEST_CASE("an event that does not follow its aggregate's last is a damaged log, and nothing of it is folded") {
  const std::shared_ptr<journal> kept = memory_journal();
  history past(kept);
  past.append({"product", "1"}, version{1}, stock::Enrolled{5, false});
  past.append({"product", "2"}, version{1}, stock::Enrolled{7, false});
  past.append({"product", "2"}, version{2}, stock::StockAdded{1, {}});
  folded_log<Product> all;
  try {
    all.catch_up(log_with_a_gap(kept));
    FAIL("it was folded");
  } catch (const error& refused) {
    CHECK(refused.kind() == errc::corrupt_record);
    CHECK(refused.detail() == "position 3 has version 2 of product/2, which has 0 events before it");
  }
  CHECK(all.through() == position{1});
  CHECK(all.size() == 1);
  CHECK_FALSE(all.find("2"));
}

}  // namespace cairn::tests
