// A report as names and values, for tables of many runs.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "report.hpp"
#include "verdict.hpp"

namespace hinge::bench {

using report_fields = std::vector<std::pair<std::string, std::string>>;

/// The same names in the same order for each report. Figures of a run that isn't valid are empty,
/// and "verdict" says why.
report_fields fields_of(const report& shown, const std::vector<finding>& flaws);

/// A field of CSV: quoted where it has to be.
std::string csv_field(const std::string& text);
/// A line of names and one of values, as RFC 4180 has it but with line feeds alone.
std::string to_csv(const report_fields& fields);
/// A table of two columns; what is empty is left out.
std::string to_markdown(const report_fields& fields);

}  // namespace hinge::bench
