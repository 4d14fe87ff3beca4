// Everything folded by one reading of the log is what each aggregate's own history makes of it.
#include <cairn/folded_log.hpp>
#include <cairn/memory_journal.hpp>

#include "product.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <string>

namespace cairn::tests {
namespace {

using stock::Product;

/// A journal in memory, and how many events each of its aggregates has.
class history {
public:
  template <class Event>
  void append(stream_view stream, version at, const Event& what, std::string_view type = Event::type) {
    std::string payload, frames;
    codec::encode(payload, what);
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
  std::shared_ptr<journal> journal_ = memory_journal();
  std::mt19937 random_{1};
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

}  // namespace cairn::tests
