// Damaged snapshots cost time, never data: recovery goes on from the one before, and in the end from version 0.
#include "../persistence/store_on_disk.hpp"
#include "../settings.hpp"

#include "product.hpp"

#include <cairn/runtime.hpp>

#include <mutex>

namespace cairn::tests {

using stock::AddStock;
using stock::Enrol;
using stock::Product;

TEST_CASE("every byte of a snapshot, flipped in turn, is noticed, and recovery goes on from the one before or from version 0") {
  const temporary_folder folder;
  std::vector<std::string> warnings;
  std::mutex mutex;
  const std::shared_ptr<journal> store = rocksdb_journal(folder.path(), small);
  runtime_options options{.journal = store};
  options.bounds.snapshot_every_events = 10;
  options.on_warning = [&](const std::string& warning) {
    const std::lock_guard lock(mutex);
    warnings.push_back(warning);
  };
  runtime runtime{std::move(options)};
  runtime.ask<Product>("1", Enrol{});
  for (int i = 0; i < 34; ++i) runtime.ask<Product>("1", AddStock(2));
  const stream_id product("product", "1");
  auto& snapshots = store->snapshots();
  // They are written behind the answers, and the state as it is now comes from the actor: a look into the past recovers.
  while (!snapshots.latest(product, version{30})) std::this_thread::yield();
  while (snapshots.latest(product, version{30})->version != version{30}) std::this_thread::yield();
  const auto newest = *snapshots.latest(product, version{30});
  const auto before = *snapshots.latest(product, version{29});
  REQUIRE(before.version == version{20});
  std::size_t unnoticed = 0;
  std::size_t wrong = 0;
  const auto recovers_with = [&](std::size_t expected) {
    {
      const std::lock_guard lock(mutex);
      warnings.clear();
    }
    const auto found = runtime.state_at<Product>("1", version{35});
    CHECK(found.state.count == 68);
    CHECK(found.version == version{35});
    const std::lock_guard lock(mutex);
    CHECK(warnings.size() == expected);
    if (warnings.size() != expected) ++unnoticed;
    if (found.state.count != 68) ++wrong;
    for (const auto& warning : warnings) CHECK(mentions(warning, "the snapshot of product/1 at version "));
  };
  const auto flip = [](std::string bytes, std::size_t at) {
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
    return bytes;
  };
  recovers_with(0);
  std::size_t flipped = 0;
  for (std::size_t at = 0; at < newest.bytes.size(); ++at) {
    CAPTURE(at);
    snapshots.save(product, newest.version, flip(newest.bytes, at));
    recovers_with(1);
    ++flipped;
    if (at >= before.bytes.size()) continue;
    snapshots.save(product, before.version, flip(before.bytes, at));
    recovers_with(2);
    snapshots.save(product, before.version, before.bytes);
    ++flipped;
  }
  show("corruption: " + std::to_string(flipped) + " bytes of snapshots flipped, unnoticed " + std::to_string(unnoticed) +
       ", states wrong " + std::to_string(wrong));
}

TEST_CASE("a damaged event keeps its aggregate from coming back, with its name, and the others live on") {
  const temporary_folder folder;
  {
    runtime runtime{{.journal = rocksdb_journal(folder.path(), small)}};
    for (const auto* id : {"1", "2", "3"}) {
      runtime.ask<Product>(id, Enrol{});
      runtime.ask<Product>(id, AddStock(5));
    }
    runtime.drain(drain_snapshots::no);
  }
  {
    raw_database raw(folder.path());
    const auto chunks = raw.all("log");
    REQUIRE(chunks.size() == 6);
    auto damaged = chunks[3].second;  // the second event of product 2
    damaged[damaged.size() - 3] = static_cast<char>(damaged[damaged.size() - 3] ^ 1);
    raw.put("log", chunks[3].first, damaged);
  }
  runtime_options options{.journal = rocksdb_journal(folder.path(), small)};
  options.on_warning = [](const std::string&) {};
  runtime runtime{std::move(options)};
  const auto refused = [&](auto ask) {
    const auto [kind, detail] = failure_of(ask);
    CHECK(kind == errc::corrupt_record);
    CAPTURE(detail);
    CHECK(mentions(detail, "version 2 of product/2, at position 4: "));
  };
  refused([&] { runtime.state<Product>("2"); });
  refused([&] { runtime.ask<Product>("2", AddStock(1)); });
  refused([&] { runtime.state_at<Product>("2", version{2}); });
  CHECK(runtime.state_at<Product>("2", version{1}).state.enrolled);
  CHECK(runtime.ask<Product>("1", AddStock(1)).version == version{3});
  CHECK(runtime.state<Product>("3").state.count == 5);
}

}  // namespace cairn::tests
