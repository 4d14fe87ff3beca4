// The first answers to commands, by command id: a map whose copies share what they have in common.
//
// A search for an order keeps thousands of states, most of which differ in an answer or two.
#pragma once

#include <cairn/identity.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace cairn::inline v1::testkit::detail {

struct first_answer {
  std::string command_id;
  version last;  // of the aggregate after the command
  std::uint32_t events = 0;
  std::string result;
  bool operator==(const first_answer&) const = default;
};

struct answer_node;

/// A treap whose priorities are hashes of the ids, so that equal maps have the same shape whatever the order in which they grew.
class first_answers {
public:
  /// Null where the id is not there. Lives as long as any map that has the answer.
  const first_answer* find(std::string_view command_id) const noexcept;

  /// The id must not be there yet.
  void remember(first_answer answer);

  std::size_t digest() const noexcept { return digest_; }

  bool operator==(const first_answers& other) const noexcept;

private:
  std::shared_ptr<const answer_node> root_;
  std::size_t digest_ = 0;
};

}  // namespace cairn::testkit::detail
