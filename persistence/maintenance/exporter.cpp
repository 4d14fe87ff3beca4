// Writes a store as a stream of documents: the whole of it, or what comes before the first damage.
#include <cairn/maintenance.hpp>

#include "../log/hex.hpp"
#include "document_stream.hpp"
#include "whole_log.hpp"

#include <cairn/error.hpp>
#include <cairn/record.hpp>

#include <cerrno>
#include <cstring>
#include <ostream>
#include <string>

namespace cairn::inline v1 {
namespace {

using detail::document;

/// What is handed to the stream at a time, give or take a chunk.
constexpr std::size_t write_bytes = std::size_t{1} << 18;

class exporter {
public:
  exporter(detail::whole_log& log, std::ostream& out, const export_options& options)
      : log_(log), out_(out), format_(options.format), progress_(options.progress, log.known_end().value) {
    const auto& id = log.store().identity().id;
    add({{"format", detail::export_name},
         {"version", detail::export_version},
         {"store", detail::to_hex({id.data(), id.size()})}});
  }

  /// Writes all records. Throws error(errc::corrupt_record) at the first damage; what comes before is written then.
  void write_records() {
    log_.scan([this](detail::chunk_reader& chunk, std::uint64_t) { write_chunk(chunk); });
    progress_.end();
  }

  chain_head end() {
    const auto head = log_.chain().head();
    add({{"records", head.through.value}, {"head", to_string(head)}});
    hand_over();
    out_.flush();
    require_written();
    return head;
  }

  /// Whether `failure` is of the log, and not of the output.
  bool is_damage(const error& failure) const {
    return failure.kind() == errc::corrupt_record || failure.kind() == errc::unknown_format ||
           (failure.kind() == errc::journal_unavailable && out_);
  }

private:
  // A chunk with a record that cannot be read leaves nothing of itself.
  void write_chunk(detail::chunk_reader& chunk) {
    const auto before = text_.size();
    try {
      for (auto next = chunk.first(); !chunk.done(); next = next + 1)
        add_record(decode_record(next, chunk.next()), chunk.first());
    } catch (const error&) {
      text_.resize(before);
      throw;
    }
    progress_.add(chunk.count());
    if (text_.size() >= write_bytes) hand_over();
  }

  void add_record(const record_view& record, position chunk) {
    const auto before = text_.size();
    add(detail::document_of(record, chunk, format_));
    if (text_.size() - before <= detail::document_bytes_max) return;
    text_.resize(before);
    add(detail::bare_document_of(record, chunk, format_));
  }

  void add(const document& shown) { detail::append_document(text_, shown, format_); }

  void hand_over() {
    errno = 0;
    out_.write(text_.data(), static_cast<std::streamsize>(text_.size()));
    require_written();
    text_.clear();
  }

  void require_written() const {
    if (out_) return;
    const std::string reason = errno == 0 ? "the output takes no more" : std::strerror(errno);
    throw error(errc::journal_unavailable, "the export cannot be written: " + reason);
  }

  detail::whole_log& log_;
  std::ostream& out_;
  const export_format format_;
  detail::progress_report progress_;
  std::string text_;  // that is still to be handed to the stream
};

}  // namespace

chain_head export_store(const std::filesystem::path& folder, std::ostream& out, const export_options& options) {
  detail::whole_log log(folder);
  exporter exporter(log, out, options);
  exporter.write_records();
  return exporter.end();
}

salvaged salvage_store(const std::filesystem::path& folder, std::ostream& out, const export_options& options) {
  auto log = detail::whole_log::salvaging(folder);
  exporter exporter(log, out, options);
  salvaged result;
  try {
    exporter.write_records();
  } catch (const error& failure) {
    if (!exporter.is_damage(failure)) throw;
    result.damage = failure.detail();
  }
  result.head = exporter.end();
  return result;
}

}  // namespace cairn
