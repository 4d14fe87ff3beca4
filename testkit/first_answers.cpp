#include <cairn/testkit/detail/first_answers.hpp>

#include <functional>
#include <utility>

namespace cairn::inline v1::testkit::detail {

struct answer_node {
  std::shared_ptr<const first_answer> answer;
  std::size_t priority;
  std::shared_ptr<const answer_node> left;
  std::shared_ptr<const answer_node> right;
};

namespace {

using link = std::shared_ptr<const answer_node>;

link make(std::shared_ptr<const first_answer> answer, std::size_t priority, link left, link right) {
  return std::make_shared<const answer_node>(answer_node{std::move(answer), priority, std::move(left), std::move(right)});
}

bool above(const answer_node& one, const answer_node& other) {
  return std::pair(one.priority, std::string_view(one.answer->command_id)) >
         std::pair(other.priority, std::string_view(other.answer->command_id));
}

link insert(const link& into, const link& leaf) {
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

bool same(const answer_node* one, const answer_node* other) noexcept {
  if (one == other) return true;
  return one && other && *one->answer == *other->answer && same(one->left.get(), other->left.get()) &&
         same(one->right.get(), other->right.get());
}

}  // namespace

const first_answer* first_answers::find(std::string_view command_id) const noexcept {
  const auto* at = root_.get();
  while (at && at->answer->command_id != command_id) { at = (command_id < at->answer->command_id ? at->left : at->right).get(); }
  return at ? at->answer.get() : nullptr;
}

void first_answers::remember(first_answer answer) {
  const std::hash<std::string_view> hash;
  const auto priority = hash(answer.command_id);
  // A sum, because the order in which answers came makes no difference.
  digest_ += (priority ^ (answer.last.value * 31 + answer.events) ^ hash(answer.result)) * 0x9e3779b97f4a7c15ULL;
  root_ = insert(root_, make(std::make_shared<const first_answer>(std::move(answer)), priority, {}, {}));
}

bool first_answers::operator==(const first_answers& other) const noexcept {
  return digest_ == other.digest_ && same(root_.get(), other.root_.get());
}

}  // namespace cairn::testkit::detail
