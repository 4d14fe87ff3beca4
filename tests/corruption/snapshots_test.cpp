// Damaged snapshots cost time, never data: recovery goes on from the one before, and in the end from version
// 0.
#include "../settings.hpp"
#include "raw_database.hpp"

#include "product.hpp"

#include <cairn/runtime.hpp>

#include <mutex>
#include <thread>

namespace cairn::tests {

using stock::AddStock;
using stock::Enrol;
using stock::Product;

TEST_CASE("each byte of a snapshot, flipped, is noticed, and recovery goes on from the one before or from "
          "version 0") {
  const temporary_folder folder;
  std::vector<std::string> warnings;
  std::mutex mutex;
  const std::shared_ptr<journal> store = open_store(folder.path(), small_options(durability::buffered));
  runtime_options options{.journal = store};
  options.bounds.snapshot_every_events = 10;
  options.on_warning = [&](const std::string& warning) {
    const std::lock_guard lock(mutex);
    warnings.push_back(warning);
  };
  runtime runtime{std::move(options)};
  runtime.ask<Product>("1", Enrol{}, blocking).value();
  for (int i = 0; i < 34; ++i) runtime.ask<Product>("1", AddStock(2), blocking).value();
  const stream_id product("product", "1");
  auto& snapshots = store->snapshots();
  // They are written behind the answers, and the state as it is now comes from the actor: a look into the
  // past recovers.
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
    const auto found = runtime.state_at<Product>("1", version{35}, blocking);
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

TEST_CASE("a damaged event is an error of its aggregate, which names it, and the others go on") {
  const temporary_folder folder;
  {
    runtime runtime{{.journal = open_store(folder.path(), small_options(durability::buffered))}};
    for (const auto* id : {"1", "2", "3"}) {
      runtime.ask<Product>(id, Enrol{}, blocking).value();
      runtime.ask<Product>(id, AddStock(5), blocking).value();
    }
    runtime.drain(drain_snapshots::no, blocking);
  }
  {
    const auto commits = commits_in(folder.path());
    REQUIRE(commits.size() == 6);
    const auto& damaged = commits[3];  // the second event of product 2
    auto bytes = contents(folder.path() / damaged.file);
    flip(bytes, 8 * (damaged.offset + damaged.bytes - 3));
    overwrite(folder.path() / damaged.file, bytes);
  }
  runtime_options options{.journal = open_store(folder.path(), small_options(durability::buffered))};
  options.on_warning = [](const std::string&) {};
  runtime runtime{std::move(options)};
  const auto refused = [&](auto ask) {
    const auto [kind, detail] = failure_of(ask);
    CHECK(kind == errc::corrupt_record);
    CAPTURE(detail);
    CHECK(mentions(detail, "version 2 of product/2: "));
    CHECK(mentions(detail, "at position 4"));
  };
  refused([&] { static_cast<void>(runtime.state<Product>("2", blocking)); });
  refused([&] { runtime.ask<Product>("2", AddStock(1), blocking).value(); });
  refused([&] { static_cast<void>(runtime.state_at<Product>("2", version{2}, blocking)); });
  CHECK(runtime.state_at<Product>("2", version{1}, blocking).state.enrolled);
  CHECK(runtime.ask<Product>("1", AddStock(1), blocking).version == version{3});
  CHECK(runtime.state<Product>("3", blocking).state.count == 5);
}

TEST_CASE("a snapshot that RocksDB cannot read is damage, and the next opening makes index and snapshots again") {
  const temporary_folder folder;
  const stream_id product("product", "1");
  {
    const auto opened = open_store(folder.path(), small_options());
    append(*opened, product, 0, {"one"});
    opened->snapshots().save(product, version{1}, "a snapshot");
  }
  for (const auto& entry : fs::directory_iterator(folder.path() / "derived")) {
    auto bytes = contents(entry.path());
    const auto found = bytes.find("a snapshot");
    if (entry.path().extension() != ".sst" || found == bytes.npos) continue;
    flip(bytes, 8 * found);
    overwrite(entry.path(), bytes);
  }
  CHECK(failure_of([&] { verify_store(folder.path()); }).first == errc::corrupt_store);
  std::vector<std::string> warnings;
  auto options = small_options();
  options.warn = [&](const std::string& warning) { warnings.push_back(warning); };
  {
    const auto opened = open_store(folder.path(), options);
    if (warnings.empty()) {  // opening did not read the damaged block
      const auto [kind, detail] = failure_of([&] { opened->snapshots().latest(product, version::max()); });
      CHECK(kind == errc::corrupt_store);
      CHECK(mentions(detail, folder.path().string()));
    }
    CHECK(read(*opened, product).size() == 1);
  }
  const auto opened = open_store(folder.path(), options);
  CHECK(warnings.size() == 1);
  CHECK_FALSE(opened->snapshots().latest(product, version::max()));
  CHECK(read(*opened, product).size() == 1);
}

}  // namespace cairn::tests
