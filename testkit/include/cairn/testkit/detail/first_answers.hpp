// The first answers to commands, by command id: a map whose copies share what they have in common.
//
// A search for an order keeps thousands of states, most of which differ in an answer or two.
#pragma once

#include <cairn/identity.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace cairn::inline v1::testkit::detail {

struct first_answer {
  std::string command_id;
  version last;  // of the aggregate after the command
  std::uint32_t events = 0;
  std::string result;
  bool operator==(const first_answer&) const = default;
};

/// A treap whose priorities are hashes of the ids, so that equal maps have the same shape whatever the order in which they grew.
class first_answers {
public:
  /// Null where the id is not there. Lives as long as any map that has the answer.
  const first_answer* find(std::string_view command_id) const noexcept {
    const auto* at = root_.get();
    while (at && at->answer->command_id != command_id) {
      at = (command_id < at->answer->command_id ? at->left : at->right).get();
    }
    return at ? at->answer.get() : nullptr;
  }

  /// The id must not be there yet.
  void remember(first_answer answer) {
    const std::hash<std::string_view> hash;
    const auto priority = hash(answer.command_id);
    // A sum, because the order in which answers came makes no difference.
    digest_ += (priority ^ (answer.last.value * 31 + answer.events) ^ hash(answer.result)) * 0x9e3779b97f4a7c15ULL;
    root_ = insert(root_, make(std::make_shared<const first_answer>(std::move(answer)), priority, {}, {}));
  }

  std::size_t digest() const noexcept { return digest_; }

  bool operator==(const first_answers& other) const noexcept {
    return digest_ == other.digest_ && same(root_.get(), other.root_.get());
  }

private:
  struct node;
  using link = std::shared_ptr<const node>;
  struct node {
    std::shared_ptr<const first_answer> answer;
    std::size_t priority;
    link left;
    link right;
  };

  static link make(std::shared_ptr<const first_answer> answer, std::size_t priority, link left, link right) {
    return std::make_shared<const node>(node{std::move(answer), priority, std::move(left), std::move(right)});
  }

  static bool above(const node& one, const node& other) {
    return std::pair(one.priority, std::string_view(one.answer->command_id)) >
           std::pair(other.priority, std::string_view(other.answer->command_id));
  }

  static link insert(const link& into, const link& leaf) {
    if (!into) return leaf;
    const auto with = [&](const link& left, const link& right) { return make(into->answer, into->priority, left, right); };
    if (leaf->answer->command_id < into->answer->command_id) {
      const auto below = insert(into->left, leaf);
      if (!above(*below, *into)) return with(below, into->right);
      return make(below->answer, below->priority, below->left, with(below->right, into->right));
    }
    const auto below = insert(into->right, leaf);
    if (!above(*below, *into)) return with(into->left, below);
    return make(below->answer, below->priority, with(into->left, below->left), below->right);
  }

  static bool same(const node* one, const node* other) noexcept {
    if (one == other) return true;
    return one && other && *one->answer == *other->answer && same(one->left.get(), other->left.get()) &&
           same(one->right.get(), other->right.get());
  }

  link root_;
  std::size_t digest_ = 0;
};

}  // namespace cairn::testkit::detail
