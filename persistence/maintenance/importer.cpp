// Makes a store of an export. The log is built again, chunk by chunk, and the chain with it. That it ends with the head that the
// export names proves that nothing is different.
#include <cairn/maintenance.hpp>

#include "../log/commit_builder.hpp"
#include "../log/hex.hpp"
#include "../log/log_writer.hpp"
#include "../log/progress_report.hpp"
#include "../store/store_environment.hpp"
#include "document_stream.hpp"
#include "new_folder.hpp"
#include "verification.hpp"

#include <cairn/error.hpp>

#include <cstring>
#include <optional>
#include <string>
#include <type_traits>

namespace cairn::inline v1 {
namespace {

namespace fs = std::filesystem;
using detail::document;

/// What one commit has, give or take a chunk.
constexpr std::size_t commit_bytes = std::size_t{1} << 20;

[[noreturn]] void refuse(const std::string& what) { throw error(errc::corrupt_record, what); }

/// Builds the log in an empty folder.
class log_builder {
public:
  log_builder(const fs::path& path, const std::string& id)
      : folder_(detail::store_folder::make(detail::real_file_system(), path, identity_of(id))),
        segments_(folder_.open_segments()), writer_(folder_, *segments_, {}, segments_->header(0).previous, {.synced = false}),
        head_(segments_->header(0).previous) {
    begin();
  }

  /// The position of the record that is to come.
  position next() const { return builder_.next(); }

  /// Adds the record of position next() to the chunk that begins at `chunk`.
  void add(position chunk, std::string_view body) {
    const bool begins = chunk == next();
    if (!begins && chunk != builder_.chunk()) {
      refuse("is of the chunk at position " + std::to_string(chunk.value) + ", which is neither the one before nor a new one");
    }
    if (begins) {
      builder_.close_chunk();
      if (buffer_->size() >= commit_bytes) commit();
    } else if (!builder_.has_room(body.size())) {
      refuse("has no room in its chunk, at position " + std::to_string(chunk.value));
    }
    builder_.add(body);
  }

  /// Makes everything durable. Returns the head.
  chain_head end() {
    builder_.close_chunk();
    commit();
    writer_.note_high_water();
    return detail::as_head(position{next().value - 1}, head_);
  }

private:
  static detail::store_identity identity_of(const std::string& id) {
    detail::store_identity identity;
    std::memcpy(identity.id.data(), id.data(), identity.id.size());
    identity.created = system_now();
    return identity;
  }

  void begin() {
    buffer_ = &writer_.begin();
    builder_.begin(*buffer_, writer_.next(), head_);
  }

  void commit() {
    const auto records = builder_.next().value - writer_.next().value;
    if (records > 0) {
      head_ = builder_.head();
      writer_.commit(static_cast<std::uint32_t>(records), head_);
    }
    begin();
  }

  detail::store_folder folder_;
  std::unique_ptr<detail::segment_files> segments_;
  detail::log_writer writer_;
  detail::digest head_;
  std::string* buffer_ = nullptr;
  detail::commit_builder builder_;
};

/// The documents of an export. Each error says which of them it is about.
class export_reader {
public:
  explicit export_reader(std::istream& in) : in_(in) {}

  /// The store's id.
  std::string header() {
    require_next("begin");
    return told([&] {
      const auto is = [&](const char* field) { return shown_.is_object() && shown_.contains(field); };
      if (!is("format") || detail::text_in(shown_, "format") != detail::export_name) {
        throw error(errc::unknown_format, "does not say that this is an export of cairn");
      }
      const auto version = detail::number_in(shown_, "version");
      const auto notation = detail::notation_of(version);
      if (!notation) {
        throw error(errc::unknown_format, "says that the export has version " + std::to_string(version) +
                                              ", and this program knows versions up to " +
                                              std::to_string(detail::export_version));
      }
      notation_ = *notation;
      auto id = detail::from_hex(detail::text_in(shown_, "store"));
      if (!id || id->size() != 16) refuse("has no store id of 32 hexadecimal digits");
      require_fields(3, "beginning");
      return *std::move(id);
    });
  }

  /// Goes on to the next record, and gives false where the footer stands instead.
  bool next_record() {
    require_next("end");
    return !(shown_.is_object() && shown_.contains("head"));
  }

  void add_to(log_builder& log) {
    told([&] {
      const auto where = detail::number_in(shown_, "position");
      if (where != log.next().value) {
        refuse("has the record of position " + std::to_string(where) + " where that of position " +
               std::to_string(log.next().value) + " must come");
      }
      const auto body = detail::body_of(shown_, frame_, notation_);
      log.add(position{detail::number_in(shown_, "chunk")}, body);
    });
  }

  /// Throws where the footer, which is the latest document, does not fit `head`.
  void require_footer(const chain_head& head) {
    told([&] {
      const auto claimed = detail::text_in(shown_, "head");
      const auto records = detail::number_in(shown_, "records");
      require_fields(2, "end");
      if (records != head.through.value) {
        refuse("says that there are " + std::to_string(records) + " records, and " + std::to_string(head.through.value) +
               " came before it");
      }
      if (claimed != to_string(head)) {
        refuse("tells the head " + detail::quotable(claimed) + ", and what came before it gives " + to_string(head) +
               ": something in it was altered after it was exported");
      }
    });
    if (next()) told([&] { refuse("comes after the end"); });
  }

private:
  // Those that must be there have been found, so any more are others.
  void require_fields(std::size_t number, const std::string& of) const {
    if (shown_.size() != number) refuse("has fields that the " + of + " of an export does not have, or one of them twice");
  }

  bool next() {
    return told([&] { return in_.next(shown_); });
  }

  void require_next(const std::string& what) {
    if (!next()) refuse("the export does not " + what + ": it is cut short before " + in_.where());
  }

  template <class Work>
  std::invoke_result_t<Work> told(Work work) {
    try {
      return work();
    } catch (const error& failure) {
      if (failure.kind() == errc::journal_unavailable) throw;
      throw error(failure.kind(), in_.where() + " " + failure.detail());
    }
  }

  detail::document_reader in_;
  document shown_;
  std::string frame_;
  detail::value_notation notation_ = detail::value_notation::tagged;  // as the header says
};

/// Opening a store makes its index, and comparing the two shows that the versions of each aggregate follow each other.
void require_sound(const fs::path& folder, const chain_head& head, const progress_function& progress) {
  auto environment = detail::usual_environment();
  environment.completeness = detail::completeness::not_required;
  try {
    detail::open_embedded_store(folder, {.opening = progress}, environment);
    if (detail::verify_unfinished_store(folder, progress).head != head) refuse("another head than the export's was written");
  } catch (const error& failure) {
    if (failure.kind() == errc::corrupt_store) {
      refuse("the export is unaltered, but of no sound store: the versions of an aggregate do not follow each other");
    }
    if (failure.kind() != errc::corrupt_record) throw;
    // Without the folder, which is removed, and without what to do with it.
    auto why = failure.detail();
    if (const auto end = why.find(detail::what_to_do); end != why.npos) why.resize(end);
    if (why.ends_with('.')) why.pop_back();
    if (why.starts_with(folder.string() + ": ")) why.erase(0, folder.string().size() + 2);
    refuse("the export is unaltered, but of no sound store: " + why);
  }
}

}  // namespace

chain_head import_store(std::istream& in, const fs::path& folder, const progress_function& tell) {
  detail::new_folder place(folder, "import");  // before the first byte is read, so that a wrong folder is found at once
  export_reader records(in);
  const auto store_id = records.header();
  chain_head head;
  {
    log_builder log(place.path(), store_id);
    detail::progress_report progress(tell, 0);
    while (records.next_record()) {
      records.add_to(log);
      progress.add(1);
    }
    head = log.end();
    records.require_footer(head);
    progress.end();
  }
  require_sound(place.path(), head, tell);
  place.become_target();
  return head;
}

}  // namespace cairn
