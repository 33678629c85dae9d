// The style sheet of the page.
#pragma once

namespace hinge::bench {

extern const char* const page_style;

}  // namespace hinge::bench
