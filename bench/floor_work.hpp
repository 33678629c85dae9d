// What the floors have in common.
#pragma once

enum class floor_work { ac, crr, echo };  // close at once; answer up to 64 bytes, close; echo
