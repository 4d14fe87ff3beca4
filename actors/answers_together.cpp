#include "answers_together.hpp"

#include <algorithm>
#include <utility>

namespace cairn::inline v1::actors {
namespace {

thread_local answers_together* living = nullptr;

}  // namespace

answers_together::answers_together() noexcept { living = this; }

answers_together::~answers_together() {
  living = nullptr;
  post_all();
}

answers_together* answers_together::of_this_thread() noexcept { return living; }

void answers_together::add(void* context, post_group post, answer&& one) {
  auto found = std::find_if(groups_.begin(), groups_.end(), [&](const gathered& one_context) {
    return one_context.context == context && one_context.post == post;
  });
  if (found == groups_.end()) {
    if (groups_.size() == contexts_max) post_all();
    groups_.push_back({context, post, {}});
    found = groups_.end() - 1;
  }
  auto& answers = found->answers;
  if (answers.empty()) answers.reserve(group_max);
  answers.push_back(std::move(one));
  if (answers.size() == group_max) post(context, std::exchange(answers, {}));
}

void answers_together::post_gathered() {
  if (living) living->post_all();
}

void answers_together::post_all() {
  for (auto& [context, post, answers] : groups_) {
    if (!answers.empty()) post(context, std::move(answers));
  }
  groups_.clear();
}

}  // namespace cairn::actors
