// The text as HdrHistogram's plotters take it apart: columns by blanks, "#" before what is no row.
#include "percentile_text.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <sstream>
#include <string>
#include <vector>

using namespace hinge::bench;

namespace {

std::vector<std::vector<double>> percentile_rows(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  CHECK(line == "       Value     Percentile TotalCount 1/(1-Percentile)");
  std::vector<std::vector<double>> rows;
  while (std::getline(lines, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    rows.emplace_back();
    for (double word = 0; words >> word;) rows.back().push_back(word);
  }
  return rows;
}

}  // namespace

TEST_CASE("values, percentiles, counts and their inverse") {
  histogram times;
  for (int i = 1; i <= 1000; ++i) times.record(i * 1'000'000);
  const std::string text = percentile_text(times);
  const auto rows = percentile_rows(text);
  REQUIRE(rows.size() > 20);
  const std::vector<double> first_levels = {0,    0.1, 0.2,  0.3, 0.4,  0.5,
                                            0.55, 0.6, 0.65, 0.7, 0.75, 0.775};
  for (std::size_t i = 0; i < first_levels.size(); ++i) {
    CHECK(std::abs(rows[i][1] - first_levels[i]) < 1e-9);
  }
  for (std::size_t i = 0; i + 1 < rows.size(); ++i) {
    REQUIRE(rows[i].size() == 4);
    CHECK(std::abs(rows[i][0] - rows[i][2]) <= 0.001 * rows[i][0]);  // 1 ms, 2 ms, ...
    CHECK(rows[i][2] >= 1000 * rows[i][1] - 1e-6);
    CHECK(std::abs(rows[i][3] * (1 - rows[i][1]) - 1) < 0.01);
    CHECK(rows[i][1] < rows[i + 1][1]);
  }
  REQUIRE(rows.back().size() == 3);
  CHECK(rows.back()[1] == 1);
  CHECK(rows.back()[2] == 1000);
  CHECK(text.find("StdDeviation   =   288.6") != std::string::npos);
  CHECK(text.find("Total count    =         1000]\n#[Buckets =") != std::string::npos);
}

TEST_CASE("of nothing, and of one value") {
  CHECK(percentile_rows(percentile_text(histogram())).empty());
  histogram one;
  one.record(5);
  const auto rows = percentile_rows(percentile_text(one));
  REQUIRE(rows.size() == 1);
  CHECK(rows[0] == std::vector<double>{0.000005, 1, 1});
}
