// Messages put straight into the journal actor's mailbox.
#include "deterministic.hpp"

namespace cairn::tests {
namespace {

actors::append_request append_of(const std::string& id, std::uint64_t expected, std::uint64_t incarnation = 1) {
  actors::append_request request{stream_id("product", id), version{expected}, 1, {}, incarnation};
  unrecorded_event event;
  event.stream = request.stream;
  event.version = version{expected + 1};
  event.type = "ENROLL";
  event.payload = "\x80";
  encode_frame(request.frames, event);
  return request;
}

// An actor that sends appends to the journal and keeps what it is answered.
struct sender {
  explicit sender(deterministic_world& world) : results(world.system), journal(world.staff.journal) {
    world.others.push_back(results.handle);
  }
  void send(actors::append_request request) const { caf::send_as(results.handle, journal, std::move(request)); }
  const actors::append_result& at(std::size_t place) const { return (*results.kept)[place].first; }
  probe<actors::append_result> results;
  caf::actor journal;
};

}  // namespace

TEST_CASE("everything that is queued before the commit's turn is one group commit, and each sender gets one answer") {
  deterministic_world world;
  const sender first(world), second(world);
  world.run();
  for (std::uint64_t version = 0; version < 10; ++version) {
    first.send(append_of("1", version));
    second.send(append_of("2", version));
  }
  world.run();
  CHECK(world.store->batch_sizes == std::vector<std::size_t>{20});
  REQUIRE(first.results.kept->size() == 1);
  REQUIRE(second.results.kept->size() == 1);
  CHECK(first.at(0).appends == 10);
  CHECK(first.at(0).durable_through == version{10});
  CHECK(first.at(0).code == errc{});
}

TEST_CASE("a group commit is bounded by count") {
  deterministic_world world({.batch_appends_max = 4});
  const sender one(world);
  for (std::uint64_t version = 0; version < 10; ++version) one.send(append_of("1", version));
  world.run();
  CHECK(world.store->batch_sizes == std::vector<std::size_t>{4, 4, 2});
}

TEST_CASE("a group commit is bounded by bytes") {
  deterministic_world world({.batch_bytes_max = 1});
  const sender one(world);
  for (std::uint64_t version = 0; version < 3; ++version) one.send(append_of("1", version));
  world.run();
  CHECK(world.store->batch_sizes == std::vector<std::size_t>{1, 1, 1});
}

TEST_CASE("a conflict fails what is built on it and nobody else's") {
  deterministic_world world;
  const sender first(world), second(world);
  first.send(append_of("1", 0));
  first.send(append_of("1", 5));  // a version that does not stand
  first.send(append_of("1", 6));
  second.send(append_of("2", 0));
  world.run();
  CHECK(first.at(0).appends == 3);
  CHECK(first.at(0).durable_through == version{1});
  CHECK(first.at(0).code == errc::version_conflict);
  CHECK(first.at(0).stands == version{1});
  CHECK(second.at(0).code == errc{});
  CHECK(world.store->last() == position{2});
}

TEST_CASE("a commit that throws is unknown for all of it, and the next one works") {
  deterministic_world world;
  const sender first(world), second(world);
  world.store->failing_appends = 1;
  first.send(append_of("1", 0));
  second.send(append_of("2", 0));
  world.run();
  for (const auto* one : {&first, &second}) {
    REQUIRE(one->results.kept->size() == 1);
    CHECK(one->at(0).code == errc::journal_unavailable);
    CHECK(one->at(0).durable_through == version{0});
  }
  CHECK(world.warnings.size() == 1);
  first.send(append_of("1", 0));
  world.run();
  CHECK(first.at(1).code == errc{});
}

TEST_CASE("appends of two incarnations of one aggregate are answered apart") {
  deterministic_world world;
  const sender one(world);
  one.send(append_of("1", 0, 1));
  one.send(append_of("1", 1, 2));
  world.run();
  REQUIRE(one.results.kept->size() == 2);
  CHECK(one.at(0).incarnation == 1);
  CHECK(one.at(0).appends == 1);
  CHECK(one.at(1).incarnation == 2);
}

TEST_CASE("the journal commits what it has gathered before it ends") {
  deterministic_world world;
  const sender one(world);
  one.send(append_of("1", 0));
  caf::anon_send(world.staff.journal, actors::finish{});
  world.run();
  CHECK(world.store->last() == position{1});
  CHECK(one.results.kept->size() == 1);
}

}  // namespace cairn::tests
