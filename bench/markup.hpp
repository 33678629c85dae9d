// Pieces of HTML and SVG.
#pragma once

#include <string>
#include <string_view>

namespace hinge::bench {

/// Text as it stands in an element or a quoted attribute.
std::string escaped(std::string_view text);

/// "12.345%", of a share from 0 to 1.
std::string share_text(double share);

// Figures for readers. Thousands are parted, and units joined, by spaces that don't break.
std::string count_text(double count);       ///< "12 345"
std::string rate_text(double per_second);   ///< "812", "12.3k", "1.2M"
std::string time_text(double nanoseconds);  ///< "41.3 µs"
std::string tick_text(double nanoseconds);  ///< a time of few digits, without zeros after: "50 µs"

}  // namespace hinge::bench
