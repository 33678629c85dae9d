// Static probes (USDT) for bpftrace, perf and SystemTap: a nop each, and a note in the ELF file.
// Only with HINGE_USDT, which a library built with -Dusdt=enabled puts among its users' flags, and
// where <sys/sdt.h> is; otherwise nothing at all. docs/TELEMETRY.md lists them.
//
// Public headers fire them in templates over the user's types and in always_inline functions alone:
// such code is never shared with a library that was compiled with other flags (the one-definition
// rule).
#pragma once

#if defined HINGE_USDT && __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
/// HINGE_PROBE3(name, integers or pointers): given what is at hand there anyway, it costs a nop.
#define HINGE_PROBE2(name, ...) HINGE_PROBE(name, 2, __VA_ARGS__)
#define HINGE_PROBE3(name, ...) HINGE_PROBE(name, 3, __VA_ARGS__)
#define HINGE_PROBE5(name, ...) HINGE_PROBE(name, 5, __VA_ARGS__)
#ifdef _SDT_ASM_ARGS
// As STAP_PROBE3() and the like, but `asm inline`: GCC takes a long text for long code, and would
// inline nothing that has a probe.
#define HINGE_PROBE(name, count, ...)                                                    \
  do {                                                                                   \
    asm volatile inline(_SDT_ASM_BODY(hinge, name, _SDT_ASM_ARGS,                        \
                                      (count))::_SDT_ASM_OPERANDS_##count(__VA_ARGS__)); \
    asm volatile inline(_SDT_ASM_BASE);                                                  \
  } while (false)
#else
#define HINGE_PROBE(name, count, ...) STAP_PROBE##count(hinge, name, __VA_ARGS__)
#endif
#else
#define HINGE_PROBE2(...) static_cast<void>(0)
#define HINGE_PROBE3(...) static_cast<void>(0)
#define HINGE_PROBE5(...) static_cast<void>(0)
#endif
