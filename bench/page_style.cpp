#include "page_style.hpp"

namespace hinge::bench {

// The six colours differ in lightness, too, for who sees few of them, and each has a contrast of at
// least 4.5 to the paper.
const char* const page_style = R"(
:root {
  color-scheme: light dark;
  --paper: #fcfbf8; --card: #fff; --ink: #1c1b19; --soft: #605c55; --rule: #dcd8d0;
  --good: #1a6b3c; --bad: #a8201a;
  --c0: #005a9c; --c1: #b04a00; --c2: #00705a; --c3: #86318f; --c4: #6b5d00; --c5: #a3123f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16171a; --card: #1e2024; --ink: #ecebe7; --soft: #a5a29b; --rule: #383b41;
    --good: #6fd08f; --bad: #ff8a80;
    --c0: #7cc0ff; --c1: #ffa45c; --c2: #4fd6b0; --c3: #dba3ea; --c4: #e2cd58; --c5: #ff8fae;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 62rem; padding: 2.5rem 1.25rem 4rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", "Helvetica Neue", "Liberation Sans", "DejaVu Sans",
    sans-serif;
  font-variant-numeric: tabular-nums;
}
h1, h2, h3 { line-height: 1.2; text-wrap: balance; margin: 0; }
h1 { font-size: clamp(1.75rem, 5vw, 2.75rem); font-weight: 650; letter-spacing: -.02em; }
h2 { font-size: 1.3rem; font-weight: 650; letter-spacing: -.01em; }
h3 { font-size: 1.05rem; font-weight: 650; overflow-wrap: anywhere; }
p { margin: .25rem 0 0; }
header { margin-bottom: 2rem; }
.eyebrow { margin: 0 0 .35rem; color: var(--soft); font-size: .8rem; font-weight: 600;
  letter-spacing: .09em; text-transform: uppercase; }
.lead { margin-top: .6rem; font-size: 1.1rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
.cards { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem;
  padding: 1.1rem 1.25rem; min-width: 0; }
.card .about { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
.verdict { font-size: .9rem; font-weight: 600; overflow-wrap: anywhere; }
.reason { font-size: .9rem; overflow-wrap: anywhere; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(6.6rem, 1fr));
  gap: .8rem 1rem; margin: 1rem 0 0; }
.figures dt { color: var(--soft); font-size: .8rem; }
.figures dd { margin: 0; font-size: 1.15rem; font-weight: 600; white-space: nowrap; }
.figures .first { grid-column: 1 / -1; }
.figures .first dd { font-size: 2rem; letter-spacing: -.02em; line-height: 1.15; }
.figures small { margin-left: .5em; color: var(--soft); font-size: .85rem; font-weight: 400;
  letter-spacing: 0; }
.figures.void dd { text-decoration: line-through; text-decoration-thickness: 1px;
  font-weight: 400; color: var(--soft); }
.figures.void small { display: inline-block; }
figure { margin: 3rem 0 0; break-inside: avoid; }
figcaption p { color: var(--soft); font-size: .95rem; max-width: 44rem; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; list-style: none; padding: 0;
  margin: .9rem 0 0; font-size: .9rem; }
.legend li { display: flex; align-items: center; gap: .5rem; overflow-wrap: anywhere; }
.sample { width: 2rem; height: .5rem; flex: none; }
.field { display: block; height: clamp(15rem, 45vw, 24rem); overflow: visible;
  width: calc(100% - 5.5rem); margin: 1rem 1.1rem 2.1rem 4.4rem; }
figure svg svg { overflow: visible; }
.below { margin: 0; text-align: center; color: var(--soft); font-size: .85rem; }
polyline { fill: none; stroke: currentColor; stroke-width: 2.25; stroke-linejoin: round;
  stroke-linecap: round; vector-effect: non-scaling-stroke; }
circle { fill: currentColor; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.dashed { stroke-dasharray: 7 5; } .dotted { stroke-dasharray: 1 5; }
circle.dashed, circle.dotted { stroke-dasharray: none; }
.dot.void { fill: var(--paper); stroke: currentColor; stroke-width: 2; }
.hit { opacity: 0; } .hit:hover { opacity: 1; }
.column { fill: currentColor; }
.interval { stroke-width: 5; opacity: .45; stroke-linecap: butt; }
.control { color: var(--soft); }
.equal, .fair, .knee { color: var(--ink); stroke-width: 1.25; }
.fair, .knee { stroke-dasharray: 5 4; }
.grid { stroke: var(--rule); stroke-width: 1; } .grid.light { opacity: .5; }
text { fill: var(--ink); font-size: .875rem; stroke: none; }
text.tick { fill: var(--soft); font-size: .8rem; }
text.knee { transform: translateY(1em); font-size: .8rem; }
.strip { display: block; width: 100%; height: 1.4rem; overflow: visible; }
.ratios { padding: .8rem 1.1rem 2rem; }
.ratio { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem;
  padding-top: .55rem; font-size: .9rem; }
.ratio b { font-weight: 600; overflow-wrap: anywhere; } .ratio span { white-space: nowrap; }
section { margin-top: 3rem; }
.scroll { overflow-x: auto; margin-top: .8rem; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem 1rem .4rem 0;
  border-bottom: 1px solid var(--rule); }
th { font-weight: 600; } tbody th { color: var(--soft); font-weight: 400; white-space: nowrap; }
td { overflow-wrap: anywhere; min-width: 7rem; }
td.number, th.number { text-align: right; min-width: 0; white-space: nowrap; }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 34rem) {
  body { padding: 1.5rem 1rem 3rem; }
  .field { width: calc(100% - 4.1rem); margin-left: 3.5rem; margin-right: .6rem; }
  .ratios { padding-left: .4rem; padding-right: .6rem; }
  text.minor { display: none; }
  text { font-size: .8rem; } text.tick { font-size: .72rem; }
  tbody th { white-space: normal; min-width: 6rem; }
}
@media print { body { max-width: none; padding: 0; } .card { break-inside: avoid; } }
)";

}  // namespace hinge::bench
