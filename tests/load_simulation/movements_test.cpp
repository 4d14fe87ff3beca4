// The reader of sales: what it understands, and what it says of a file that it cannot take.
#include "csv_file.hpp"

#include <doctest/doctest.h>

#include <zstd.h>

namespace simulation::tests {
namespace {

std::string compressed(const std::string& contents) {
  std::string packed(ZSTD_compressBound(contents.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), contents.data(), contents.size(), 3));
  return packed;
}

TEST_CASE("a sale leaves, a return comes back, and a quantity of zero is skipped but counted") {
  const csv_file file(header + line("85123A", "6") + line("71053", "-2", "C536379") + line("85123A", "0"));
  const auto sales = file.read();

  CHECK(sales.products == std::vector<std::string>{"85123A", "71053"});
  CHECK(sales.orders == std::vector<std::string>{"536365", "C536379"});
  CHECK(sales.skipped == 1);
  REQUIRE(sales.movements.size() == 2);
  const auto moment = std::chrono::sys_days{std::chrono::year{2010} / 12 / 1} + std::chrono::hours{8} + std::chrono::minutes{26};
  CHECK(sales.movements[0] == movement{moment, 6, 0, 0, 2, movement_kind::sold});
  CHECK(sales.movements[1] == movement{moment, 2, 1, 1, 3, movement_kind::returned});
}

TEST_CASE("a product that only has lines of zero is a product all the same") {
  CHECK(csv_file(header + line("GIFT", "0")).read().products == std::vector<std::string>{"GIFT"});
}

TEST_CASE("stock codes differ by case") {
  CHECK(csv_file(header + line("15056bl", "1") + line("15056BL", "1")).read().products.size() == 2);
}

TEST_CASE("a quoted field may hold commas, doubled quotes and line breaks, and lines are still counted right") {
  const csv_file file(header + "1,\"A \"\"B\"\", C\",\"two\r\nlines, \"\"and\"\" more\",3,2010-12-01 08:26:00,1,2,\"UK\"\n" +
                      line("X", "1") + line("Y", "bad"));
  CHECK(file.complaint() == ":5: the quantity 'bad' is not a whole number from -1000000000 to 1000000000.");

  const auto sales =
      csv_file(header + "1,\"A \"\"B\"\", C\",\"two\nlines\",3,2010-12-01 08:26:00,1,2,UK\n" + line("X", "1")).read();
  CHECK(sales.products.front() == "A \"B\", C");
  CHECK(sales.movements[0].line == 2);
  CHECK(sales.movements[1].line == 4);
}

TEST_CASE("carriage returns, a byte order mark, blank lines and a missing last line break change nothing") {
  const auto plain = csv_file(header + line("X", "3") + line("Y", "4")).read();
  auto text = "\xef\xbb\xbf" + header + line("X", "3") + "\n" + line("Y", "4");
  std::string windows;
  for (const char character : text) windows += character == '\n' ? std::string("\r\n") : std::string(1, character);
  windows.resize(windows.size() - 2);
  const auto same = csv_file(windows).read();
  CHECK(same.products == plain.products);
  REQUIRE(same.movements.size() == 2);
  CHECK(same.movements[1].count == 4);
  CHECK(csv_file("InvoiceNo,StockCode,Quantity,InvoiceDate\r\n1,\"X\",3,\"2010-12-01 08:26:00\"\r\n").read().movements.size() ==
        1);
}

TEST_CASE("columns are found by their names") {
  const auto sales = csv_file("InvoiceDate,Quantity,StockCode,InvoiceNo\n2010-12-01 08:26:00,3,X,7\n").read();
  CHECK(sales.products == std::vector<std::string>{"X"});
  CHECK(sales.orders == std::vector<std::string>{"7"});
}

TEST_CASE("enough of each product is all that is sold of it") {
  const auto sales = csv_file(header + line("X", "3") + line("X", "-9") + line("X", "4") + line("Y", "-1")).read();
  CHECK(enough_of_each(sales) == std::vector<std::int64_t>{7, 0});
}

TEST_CASE("what is wrong with a file is said with its line") {
  CHECK(csv_file("").complaint() == " is empty; it needs a header and at least one line.");
  CHECK(csv_file(header).complaint() == " has a header and nothing else; there is nothing to play.");
  CHECK(csv_file("InvoiceNo,StockCode,Amount,InvoiceDate\n").complaint() ==
        ":1: there is no column Quantity; the header must name InvoiceNo, StockCode, Quantity and InvoiceDate.");
  CHECK(csv_file(header + line("X", "1") + "1,X,lantern\n").complaint() == ":3: there are 3 fields, and the header has 8.");
  for (const auto* quantity : {"", "six", "1.5", "+3", " 3", "1000000001", "-99999999999999999999"}) {
    CHECK(csv_file(header + line("X", quantity)).complaint() ==
          ":2: the quantity '" + std::string(quantity) + "' is not a whole number from -1000000000 to 1000000000.");
  }
  for (const auto* date : {"", "2010-12-01", "2010-13-01 08:26:00", "2011-02-29 08:26:00", "2010-12-01 24:00:00",
                           "2010-12-01 08:60:00", "12/1/2010 08:26:00", "2010-12-01 08:26:0x"}) {
    CHECK(csv_file("InvoiceNo,StockCode,Quantity,InvoiceDate\n1,X,3," + std::string(date) + "\n").complaint() ==
          ":2: the date '" + std::string(date) + "' is not one of the form 2010-12-01 08:26:00.");
  }
  CHECK(csv_file(header + line("", "1")).complaint() == ":2: StockCode is empty.");
  CHECK(csv_file(header + line("X", "1", "")).complaint() == ":2: InvoiceNo is empty.");
  CHECK(csv_file(header + line("X", "1") + "1,X,\"a lantern,3\n" + line("X", "1")).complaint() ==
        ":3: a quote opens in this line and is never closed.");
  CHECK(csv_file(header + "1,X,a \"big\" lantern,3,2010-12-01 08:26:00,1,2,UK\n").complaint() ==
        ":2: there is a quote in the middle of a field that does not begin with one.");
  CHECK(csv_file(header + "1,X,\"a lantern\" or two,3,2010-12-01 08:26:00,1,2,UK\n").complaint() ==
        ":2: there is text after a closing quote.");
  CHECK(csv_file(header + std::string(40'000, 'x')).complaint() ==
        ":2: a field is longer than 32768 bytes; is there a quote that is never closed?");
}

TEST_CASE("told to stop, the reader gives up, and does not blame the file") {
  const stop_flag at_once{true};
  for (const auto& contents : {header + line("X", "1"), header, std::string()}) {
    CHECK(read_movements(csv_file(contents).path, at_once).movements.empty());
  }
}

TEST_CASE("a file that is not there and a folder are named") {
  CHECK_THROWS_WITH_AS(read_movements("no/such.csv"), "cannot open no/such.csv: No such file or directory.", bad_input);
  const cairn::tests::temporary_folder folder;
  CHECK_THROWS_WITH_AS(read_movements(folder.path()), (folder.path().string() + " is a folder; give it a CSV file.").c_str(),
                       bad_input);
}

TEST_CASE("a compressed file is read like a plain one, whatever its name, also in several frames") {
  std::string many = header;
  for (int number = 0; number < 50'000; ++number) many += line("P" + std::to_string(number % 100), "3", std::to_string(number));
  const auto plain = csv_file(many).read();
  const auto half = many.find('\n', many.size() / 2) + 1;
  for (const auto& contents : {compressed(many), compressed(many.substr(0, half)) + compressed(many.substr(half))}) {
    for (const auto* name : {"sales.csv.zst", "sales"}) {
      const auto packed = csv_file(contents, name).read();
      CHECK(packed.products == plain.products);
      CHECK(packed.movements == plain.movements);
    }
  }
}

TEST_CASE("a compressed file that is cut short, damaged or not compressed at all is refused") {
  std::string many = header;
  for (int number = 0; number < 50'000; ++number) many += line("P" + std::to_string(number * 7 % 1'000), std::to_string(number));
  const auto packed = compressed(many);
  for (const auto part : {packed.size() / 2, packed.size() - 1, std::size_t{5}}) {
    const auto said = csv_file(packed.substr(0, part), "sales.csv.zst").complaint();
    CHECK(said.find("the compressed data ends too soon; the file is cut short.") != std::string::npos);
  }
  auto damaged = packed;
  for (auto place = damaged.size() / 2; place < damaged.size() / 2 + 64; ++place)
    damaged[place] = static_cast<char>(~damaged[place]);
  CHECK(csv_file(damaged, "sales.csv.zst").complaint() != "");
  CHECK(csv_file(packed + "more", "sales.csv.zst").complaint().find("the compressed data is damaged") != std::string::npos);
  CHECK(csv_file(many, "sales.csv.zst").complaint() == " is not compressed with zstd, though its name says so.");
}

}  // namespace
}  // namespace simulation::tests
