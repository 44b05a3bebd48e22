"""The report's style sheet: system fonts, one accent, light and dark, from a phone's width up."""

from pellucid.evaluation.markup import Markup

STYLE = Markup("""
:root { color-scheme: light dark; --paper: #fdfdfc; --ink: #1b1d21; --soft: #6a6f78; --rule: #e6e6e3; --fill: #f4f4f1;
  --accent: #1f6f78; --early: #b9a27c; --floor: #b4572f }
@media (prefers-color-scheme: dark) { :root { --paper: #141619; --ink: #e9e9e6; --soft: #9a9fa8; --rule: #2b2f35;
  --fill: #1d2024; --accent: #6cc5cc; --early: #8d7c5e; --floor: #e08e63 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1080px; padding: 48px 24px 72px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; overflow-wrap: break-word;
  -webkit-text-size-adjust: 100% }
h1 { margin: 0; font-size: 34px; line-height: 1.2; letter-spacing: -.02em; font-weight: 650 }
h3 { margin: 28px 0 8px; font-size: 14px; font-weight: 600 }
h2 { margin: 56px 0 14px; font-size: 13px; font-weight: 600; letter-spacing: .06em; text-transform: uppercase;
  color: var(--soft) }
figure { margin: 0 }
.verdict { margin: 10px 0 0; font-size: 20px; line-height: 1.45; max-width: 46em }
.verdict.alarm { color: var(--floor) }
.note { color: var(--soft) }
.facts { display: flex; flex-wrap: wrap; gap: 14px 36px; margin: 26px 0 0; padding: 16px 0 0;
  border-top: 1px solid var(--rule) }
.facts dt { font-size: 13px; color: var(--soft) }
.facts dd { margin: 0; font-size: 18px; font-variant-numeric: tabular-nums }
img { display: block; max-width: 100%; height: auto; border-radius: 6px; background: var(--fill) }
img.small { width: 100%; image-rendering: pixelated }
.hero img { width: auto; max-height: 900px; object-fit: contain }
.hero img.small { width: min(100%, 720px) }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(160px, 1fr)); gap: 20px }
.grid figcaption, .hero figcaption { margin-top: 6px; font-size: 13px; color: var(--soft) }
.hero + table { margin-top: 22px }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr)); gap: 34px 40px }
.chart { max-width: 640px }
.words { align-self: center; max-width: 34em; color: var(--soft) }
.chart figcaption { display: flex; flex-wrap: wrap; align-items: baseline; gap: 2px 16px; margin-bottom: 6px }
.chart b { font-weight: 600; margin-right: auto }
.key { font-size: 13px; color: var(--soft); white-space: nowrap }
.key::before { content: ""; display: inline-block; width: 16px; margin-right: 6px; vertical-align: middle;
  border-top: 2px solid var(--accent) }
.key.points::before { width: 5px; height: 5px; border: 0; border-radius: 50%; background: var(--accent); opacity: .45 }
.key.early::before { border-color: var(--early) }
.key.floor::before { border-top-style: dashed; border-color: var(--floor) }
svg { display: block; width: 100%; height: auto; overflow: visible; font-variant-numeric: tabular-nums }
svg text { fill: var(--soft); font-size: 13px }
svg path { fill: none; stroke: var(--accent); stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
svg path.grid { stroke: var(--rule); stroke-width: 1 }
svg path.base { stroke: var(--soft); stroke-width: 1; opacity: .6 }
svg path.points { stroke-width: 3; opacity: .28 }
svg path.early { stroke: var(--early) }
svg path.floor { stroke: var(--floor); stroke-dasharray: 5 6; stroke-width: 1.5 }
svg path.band { fill: var(--accent); opacity: .16; stroke: none }
.bars { max-width: 640px }
.bars > div { display: grid; grid-template-columns: minmax(6em, 12em) 1fr 5em; gap: 14px; align-items: center }
.bars .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
.bars .track > span { display: block; height: 10px; border-radius: 2px; background: var(--accent); opacity: .7 }
.bars .count { text-align: right; font-variant-numeric: tabular-nums; color: var(--soft) }
ul { margin: 0; padding-left: 1.2em }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: 8px 20px 8px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule) }
th:last-child, td:last-child { padding-right: 0 }
thead th { font-size: 13px; font-weight: 400; color: var(--soft) }
tbody th { font-weight: 400 }
.bars h3 { margin-bottom: 12px }
.figures { max-width: 900px }
.figures .drawing { width: 212px; padding-right: 0 }
.figures .drawing svg { width: 200px; margin-left: auto }
svg path.interval { stroke-width: 6; opacity: .35; stroke-linecap: butt }
svg path.tick { stroke: var(--floor); stroke-linecap: butt }
svg circle { fill: var(--accent) }
.figures td, .figures thead th + th { text-align: right; white-space: nowrap }
.figures .value { font-weight: 650 }
.summary tbody th { width: 12em; color: var(--soft) }
pre { margin: 0; padding: 14px 16px; overflow-x: auto; border-radius: 6px; background: var(--fill);
  font: 13px/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
pre.command { white-space: pre-wrap; user-select: all; -webkit-user-select: all }
details { margin-top: 56px }
summary { margin-bottom: 14px; cursor: pointer; font-size: 13px; font-weight: 600; letter-spacing: .06em;
  text-transform: uppercase; color: var(--soft) }
footer { margin-top: 56px; font-size: 13px; color: var(--soft) }
@media (max-width: 560px) { body { padding: 28px 16px 48px; font-size: 15px } h1 { font-size: 27px }
  .verdict { font-size: 17px } h2, details { margin-top: 40px } .facts { gap: 12px 26px }
  th, td { padding: 7px 12px 7px 0 } .summary tbody th { width: 7.5em } svg text { font-size: 16px }
  .bars > div { grid-template-columns: 7em 1fr 4em }
  .figures tr { display: grid; grid-template-columns: 7ch 1fr 7ch 7ch; gap: 0 6px; border-bottom: 1px solid var(--rule) }
  .figures th, .figures td { padding-right: 0; border: 0; font-size: 13px }
  .figures tbody th { grid-column: 1 / 3; padding-bottom: 0; font-size: 15px }
  .figures .drawing { grid-area: 1 / 3 / 2 / -1; width: auto; padding: 11px 0 0 } .figures .drawing svg { width: 100% }
  .figures thead .drawing { display: none }
  .figures thead th:first-child { display: none } .figures thead th:nth-child(2), .figures .value { text-align: left } }
@media print { details > * { display: block } }
""")
