// Three layers: bytes from the file (through zstd where it is compressed), records from bytes, movements from records.
#include "movements.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <zstd.h>

namespace simulation {
namespace {

constexpr std::size_t field_bytes_max = 32'768;
constexpr std::size_t fields_max = 1'000;
constexpr std::int64_t quantity_max = 1'000'000'000;  // so that no sum of them can overflow
constexpr std::string_view zstd_magic{"\x28\xb5\x2f\xfd", 4};

// -- bytes

/// The file's contents, piece by piece, decompressed where that is to do.
class byte_source {
public:
  explicit byte_source(const std::filesystem::path& file) : name_(file.string()), raw_(1 << 16) {
    std::error_code unknown;
    if (std::filesystem::is_directory(file, unknown)) throw bad_input(name_ + " is a folder; give it a CSV file.");
    file_.reset(std::fopen(file.c_str(), "rb"));
    if (!file_) throw bad_input("cannot open " + name_ + ": " + std::strerror(errno) + ".");
    fill();
    const std::string_view start(raw_.data(), raw_size_);
    if (start.starts_with(zstd_magic)) {
      zstd_.reset(ZSTD_createDStream());
      if (!zstd_) throw std::bad_alloc();
      plain_.resize(ZSTD_DStreamOutSize());
    } else if (file.extension() == ".zst") {
      throw bad_input(name_ + " is not compressed with zstd, though its name says so.");
    }
  }

  /// The next piece; empty at the end. `line` is where the reader is, for the message.
  std::string_view next(std::uint64_t line) {
    if (!zstd_) {
      if (taken_ == raw_size_) fill();
      const std::string_view piece(raw_.data() + taken_, raw_size_ - taken_);
      taken_ = raw_size_;
      return piece;
    }
    while (true) {
      if (taken_ == raw_size_ && !pending_) fill();
      if (raw_size_ == 0 && !pending_) {
        if (in_frame_)
          throw bad_input(name_ + ":" + std::to_string(line) + ": the compressed data ends too soon; the file is cut short.");
        return {};
      }
      ZSTD_inBuffer in{raw_.data(), raw_size_, taken_};
      ZSTD_outBuffer out{plain_.data(), plain_.size(), 0};
      const auto left = ZSTD_decompressStream(zstd_.get(), &out, &in);
      if (ZSTD_isError(left)) {
        throw bad_input(name_ + ":" + std::to_string(line) + ": the compressed data is damaged (" + ZSTD_getErrorName(left) +
                        ").");
      }
      taken_ = in.pos;
      in_frame_ = left != 0;
      pending_ = out.pos == out.size;  // zstd may hold back more than there was room for
      if (out.pos > 0) return {plain_.data(), out.pos};
    }
  }

private:
  struct close_file {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  struct free_stream {
    void operator()(ZSTD_DStream* stream) const { ZSTD_freeDStream(stream); }
  };

  void fill() {
    raw_size_ = std::fread(raw_.data(), 1, raw_.size(), file_.get());
    taken_ = 0;
    if (std::ferror(file_.get())) throw bad_input("cannot read " + name_ + ": " + std::strerror(errno) + ".");
  }

  std::string name_;
  std::unique_ptr<std::FILE, close_file> file_;
  std::unique_ptr<ZSTD_DStream, free_stream> zstd_;
  std::vector<char> raw_;
  std::vector<char> plain_;
  std::size_t raw_size_ = 0;
  std::size_t taken_ = 0;
  bool in_frame_ = false;
  bool pending_ = false;
};

// -- records

/// The file's records: lines that may hold line breaks within quotes.
class csv_reader {
public:
  csv_reader(const std::filesystem::path& file, const stop_flag& stop) : name_(file.string()), bytes_(file), stop_(stop) {
    for (const int mark : {0xef, 0xbb, 0xbf}) {  // a byte order mark
      if (peek() == mark) take();
    }
  }

  /// Reads the next record that is not an empty line; false at the end, or when told to stop.
  bool next() {
    while (!stop_ && peek() != end_of_file) {
      ++line_;
      first_line_ = line_;
      fields_ = 0;
      while (read_field()) {}
      if (fields_ > 1 || !field(0).empty()) return true;
    }
    return false;
  }

  std::size_t fields() const { return fields_; }
  std::string_view field(std::size_t index) const { return buffers_[index]; }
  /// The line that the record begins in.
  std::uint64_t line() const { return first_line_; }

  [[noreturn]] void fail(const std::string& what, std::uint64_t line) const {
    throw bad_input(name_ + ":" + std::to_string(line) + ": " + what);
  }
  [[noreturn]] void fail(const std::string& what) const { fail(what, first_line_); }

private:
  static constexpr int end_of_file = -1;
  static constexpr const char* after_quote = "there is text after a closing quote.";

  int peek() {
    if (piece_.empty()) piece_ = bytes_.next(line_);
    return piece_.empty() ? end_of_file : static_cast<unsigned char>(piece_.front());
  }
  void take() { piece_.remove_prefix(1); }
  void keep(std::string& into, int character) {
    if (into.size() == field_bytes_max) {
      fail("a field is longer than " + std::to_string(field_bytes_max) + " bytes; is there a quote that is never closed?");
    }
    into.push_back(static_cast<char>(character));
    take();
  }

  /// Reads one field and what ends it; false where that ends the record, too.
  bool read_field() {
    if (fields_ == fields_max) fail("there are more than " + std::to_string(fields_max) + " fields.");
    if (fields_ == buffers_.size()) buffers_.emplace_back();
    auto& text = buffers_[fields_++];
    text.clear();
    const bool quoted = peek() == '"';
    if (quoted) read_quoted(text);
    const auto closed = text.size();
    int character = peek();
    for (; character != ',' && character != '\n' && character != end_of_file; character = peek()) {
      if (character == '"')
        fail(quoted ? after_quote : "there is a quote in the middle of a field that does not begin with one.", line_);
      keep(text, character);
    }
    if (character != ',' && text.size() > closed && text.back() == '\r') text.pop_back();
    if (quoted && text.size() != closed) fail(after_quote, line_);
    if (character != end_of_file) take();
    return character == ',';
  }

  void read_quoted(std::string& text) {
    const auto opened = line_;
    take();
    while (true) {
      const auto character = peek();
      if (character == end_of_file) fail("a quote opens in this line and is never closed.", opened);
      if (character == '"') {
        take();
        if (peek() != '"') return;
      }
      if (character == '\n') ++line_;
      keep(text, character);
    }
  }

  std::string name_;
  byte_source bytes_;
  const stop_flag& stop_;
  std::string_view piece_;
  std::vector<std::string> buffers_;  // kept from record to record, for their memory
  std::size_t fields_ = 0;
  std::uint64_t line_ = 0;
  std::uint64_t first_line_ = 0;
};

// -- movements

/// The whole of `text` as a number within [least, most].
template <class Number>
std::optional<Number> number_in(std::string_view text, Number least, Number most) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < least || number > most) return std::nullopt;
  return number;
}

/// "2010-12-01 08:26:00".
std::optional<cairn::timestamp> moment_of(std::string_view text) {
  constexpr std::string_view form = "dddd-dd-dd dd:dd:dd";
  const auto fits = [](char character, char as) { return as == 'd' ? character >= '0' && character <= '9' : character == as; };
  if (text.size() != form.size() || !std::equal(text.begin(), text.end(), form.begin(), fits)) return std::nullopt;
  const auto part = [&](std::size_t at, std::size_t digits) { return *number_in(text.substr(at, digits), 0, 9999); };
  const std::chrono::year_month_day day{std::chrono::year{part(0, 4)}, std::chrono::month{static_cast<unsigned>(part(5, 2))},
                                        std::chrono::day{static_cast<unsigned>(part(8, 2))}};
  if (!day.ok() || part(11, 2) > 23 || part(14, 2) > 59 || part(17, 2) > 59) return std::nullopt;
  return std::chrono::sys_days{day} + std::chrono::hours{part(11, 2)} + std::chrono::minutes{part(14, 2)} +
         std::chrono::seconds{part(17, 2)};
}

/// Gives each different text a number, in order of first appearance.
class numbering {
public:
  explicit numbering(std::vector<std::string>& texts) : texts_(texts) {}
  std::uint32_t of(std::string_view text) {
    const auto [place, fresh] = numbers_.try_emplace(std::string(text), static_cast<std::uint32_t>(texts_.size()));
    if (fresh) texts_.emplace_back(text);
    return place->second;
  }

private:
  std::vector<std::string>& texts_;
  std::unordered_map<std::string, std::uint32_t> numbers_;
};

enum column : std::size_t { invoice, stock_code, quantity, date, columns };
constexpr std::array<std::string_view, columns> column_names{"InvoiceNo", "StockCode", "Quantity", "InvoiceDate"};

}  // namespace

workload read_movements(const std::filesystem::path& file, const stop_flag& stop) {
  csv_reader csv(file, stop);
  const bool header = csv.next();
  if (stop) return {};
  if (!header) throw bad_input(file.string() + " is empty; it needs a header and at least one line.");
  std::array<std::size_t, columns> where{};
  for (std::size_t wanted = 0; wanted < columns; ++wanted) {
    auto& place = where[wanted];
    while (place < csv.fields() && csv.field(place) != column_names[wanted]) ++place;
    if (place == csv.fields()) {
      csv.fail("there is no column " + std::string(column_names[wanted]) +
               "; the header must name InvoiceNo, StockCode, Quantity and InvoiceDate.");
    }
  }
  const auto header_fields = csv.fields();

  workload sales;
  sales.title = file.filename().string();
  numbering products(sales.products);
  numbering orders(sales.orders);
  while (csv.next()) {
    if (csv.fields() != header_fields) {
      csv.fail("there are " + std::to_string(csv.fields()) + " fields, and the header has " + std::to_string(header_fields) +
               ".");
    }
    const auto text = [&](column which) { return csv.field(where[which]); };
    const auto quoted = [&](column which) { return "'" + std::string(text(which).substr(0, 60)) + "'"; };
    for (const auto needed : {invoice, stock_code}) {
      if (text(needed).empty()) csv.fail(std::string(column_names[needed]) + " is empty.");
    }
    const auto pieces = number_in(text(quantity), -quantity_max, quantity_max);
    if (!pieces) csv.fail("the quantity " + quoted(quantity) + " is not a whole number from -1000000000 to 1000000000.");
    const auto moment = moment_of(text(date));
    if (!moment) csv.fail("the date " + quoted(date) + " is not one of the form 2010-12-01 08:26:00.");

    const auto product = products.of(text(stock_code));
    if (*pieces == 0) {
      ++sales.skipped;
      continue;
    }
    if (sales.movements.size() == movements_max) csv.fail("there are more than " + std::to_string(movements_max) + " movements.");
    sales.movements.push_back({*moment, std::abs(*pieces), product, orders.of(text(invoice)),
                               static_cast<std::uint32_t>(csv.line()),
                               *pieces > 0 ? movement_kind::sold : movement_kind::returned});
  }
  if (sales.products.empty() && !stop)
    throw bad_input(file.string() + " has a header and nothing else; there is nothing to play.");
  return sales;
}

std::vector<std::int64_t> enough_of_each(const workload& sales) {
  std::vector<std::int64_t> counts(sales.products.size());
  for (const auto& one : sales.movements) {
    if (one.kind == movement_kind::sold) counts[one.product] += one.count;
  }
  return counts;
}

}  // namespace simulation
