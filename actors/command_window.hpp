// The ids of an aggregate's last commands with their first answers: what makes a repeated command harmless.
//
// Part of the aggregate's persistent state: a snapshot holds it, and the records after the snapshot rebuild the rest.
#pragma once

#include <cairn/identity.hpp>
#include <cairn/record.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::inline v1::actors {

/// What the first command with an id was answered.
struct first_answer {
  std::string command_id;
  version last;  ///< the version after the command
  std::uint32_t events = 0;
  std::string result;
  std::uint64_t fingerprint = 0;  ///< of the command; 0 if it is unknown
};

/// The last `capacity` command ids that stored events, oldest forgotten first. An empty window owns no memory.
class command_window {
public:
  explicit command_window(std::size_t capacity) : capacity_(capacity) {}

  /// Null where the id is not in the window.
  const first_answer* find(std::string_view command_id) const noexcept;

  /// An id that is in the window keeps its place and gets the new answer. Does nothing for an empty id, or where the capacity is
  /// 0.
  void remember(std::string_view command_id, version last, std::uint32_t events, std::string_view result,
                std::uint64_t fingerprint = 0);

  /// Remembers what a replayed record says of its command.
  void replay(const record_view& record);

  /// From the oldest to the newest.
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t place = 0; place < answers_.size(); ++place) visit(answers_[(oldest_ + place) % answers_.size()]);
  }

  std::size_t size() const noexcept { return answers_.size(); }
  std::size_t capacity() const noexcept { return capacity_; }

private:
  std::size_t capacity_;
  std::size_t oldest_ = 0;
  std::vector<first_answer> answers_;  // a ring once it is full
  std::vector<std::size_t> hashes_;    // of their ids, side by side: every command with an id is looked for among them
};

}  // namespace cairn::actors
