"""How the report looks: light and dark, from a phone to a wide screen, and on paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #57606a; --line: #d5dae0; --accent: #0a5fb4 }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --paper: #14181d; --soft: #9aa4af; --line: #323a43; --accent: #6cb6ff }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif }
main, footer { max-width: 80rem; margin: 0 auto; padding: 0 1.25rem }
header { padding: 2.5rem 0 .5rem }
h1 { font-size: 1.75rem; font-weight: 600; line-height: 1.2; margin: 0 0 .4rem; overflow-wrap: anywhere }
header p, .note, dt { color: var(--soft) }
header p { margin: 0 }
h2 { font-size: 1.0625rem; font-weight: 600; margin: 0 0 .6rem }
.note { font-size: .875rem; margin: 0 0 .5rem }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: 1rem; margin: 1.5rem 0;
  padding: 1.25rem 0; border: solid var(--line); border-width: 1px 0 }
.numbers div { display: flex; flex-direction: column-reverse }
.numbers dt { font-size: .875rem }
.numbers dd { margin: 0; font-size: 1.5rem; font-weight: 600; font-variant-numeric: tabular-nums }
.board { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 2.25rem 2.5rem;
  margin: 2rem 0 1.5rem }
section { min-width: 0 }
.board section { break-inside: avoid }
.named { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); gap: .5rem 3rem; margin: 0;
  padding: 1.75rem 0; border-top: 1px solid var(--line) }
.named table { margin-top: 0 }
@media (max-width: 55rem) { .named { grid-template-columns: minmax(0, 1fr) } }
.chart { display: block; width: 100%; max-width: 40rem; height: auto }
.scroll { overflow-x: auto }
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: .15rem solid var(--accent) }
table { border-collapse: collapse; width: 100%; font-size: .875rem; margin-top: .75rem }
th, td { text-align: right; padding: .3rem 0 .3rem .75rem; border-top: 1px solid var(--line); vertical-align: top;
  font-variant-numeric: tabular-nums; white-space: nowrap }
th:first-child { text-align: left; padding-left: 0; white-space: normal; overflow-wrap: anywhere; min-width: 9rem }
tbody th { font-weight: 400 }
thead th { border-top: 0; color: var(--soft); font-weight: 600 }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%) }
details { margin-bottom: 1.75rem }
summary { cursor: pointer; color: var(--accent) }
a { color: var(--accent) }
footer { color: var(--soft); font-size: .875rem; padding-top: 1rem; padding-bottom: 2.5rem }
@page { margin: 15mm }
@media print {
  body { font-size: 10pt }
  header { padding-top: 0 }
  .board { grid-template-columns: 1fr 1fr 1fr; gap: 6mm }
  .numbers { grid-template-columns: repeat(5, auto) }
  .numbers dd { font-size: 13pt }
  .named { display: block; padding: 5mm 0 }
  .named > div { break-inside: avoid }
  .named .chart { max-width: 90mm }
  table, footer, .note { font-size: 8pt }
  th, td { padding-left: 2mm }
  th:first-child { min-width: 25mm }
  h2 { break-after: avoid }
  .scroll { overflow: visible }
  thead { display: table-header-group }
  tr { break-inside: avoid }
  summary { display: none }
}
"""
