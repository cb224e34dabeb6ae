"""The HTML of a report: the page, its style and the sections of every task, as Jinja templates.

It loads nothing and has no script; its policy forbids both.
"""

STYLE = """
:root { --ink: #1c2530; --soft: #5b6875; --line: #dfe5ea; --tint: #f5f7f9; --accent: #0072b2; }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; }
body { margin: 0; color: var(--ink); background: #fff;
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 1180px; margin: 0 auto; padding: 0 28px; }
header { padding-top: 36px; }
h1 { font-size: 27px; line-height: 1.25; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 44px 0 10px; padding-top: 14px; border-top: 1px solid var(--line); }
h3 { font-size: 15px; margin: 22px 0 6px; }
p { margin: 6px 0 10px; max-width: 78ch; }
.soft, caption, figcaption, .note { color: var(--soft); font-size: 13.5px; }
nav { margin: 14px 0 0; font-size: 13.5px; }
nav a { display: inline-block; color: var(--accent); margin-right: 14px; text-decoration: none; }
.state { display: inline-block; padding: 1px 10px; border-radius: 10px; font-size: 13px; font-weight: 600;
  border: 1px solid; vertical-align: 4px; margin-left: 8px; }
.finished { color: #00694c; background: #e6f5ef; } .running { color: #00527f; background: #e5f1f8; }
.interrupted { color: #7a5200; background: #fdf3dd; } .failed { color: #9a3412; background: #fdeae3; }
.box { border-left: 4px solid; padding: 8px 14px; margin: 18px 0; overflow-wrap: anywhere; }
.box.failed { border-color: #d55e00; } .box.interrupted { border-color: #e69f00; }
.box.running { border-color: #0072b2; }
.headline { font-size: 18px; margin: 18px 0 12px; max-width: none; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(166px, 1fr)); gap: 12px; margin: 12px 0; }
.tile { background: var(--tint); border-radius: 8px; padding: 12px 16px; }
.tile b { display: block; font-size: 24px; font-weight: 650; line-height: 1.2; }
.tile span { font-size: 13px; color: var(--soft); }
/* a wide table scrolls in its box, with a shadow at the side where more of it is */
.wide { overflow-x: auto; background: linear-gradient(to right, #fff 30%, transparent) left / 36px 100% local,
  linear-gradient(to left, #fff 30%, transparent) right / 36px 100% local,
  linear-gradient(to right, #0003, transparent) left / 12px 100% scroll,
  linear-gradient(to left, #0003, transparent) right / 12px 100% scroll; background-repeat: no-repeat; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
caption { text-align: left; caption-side: bottom; padding-top: 8px; }
th, td { text-align: right; padding: 5px 6px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
thead th { white-space: normal; }
thead tr:last-child th { border-bottom: 2px solid #b9c3cc; }
th.group { text-align: center; border-bottom: 1px solid #b9c3cc; }
.left, tbody th { text-align: left; color: inherit; }
td.text { text-align: left; white-space: normal; overflow-wrap: anywhere; }
tbody tr:hover { background: var(--tint); }
img { width: 100%; height: auto; display: block; }
figure { margin: 12px 0 6px; }
figcaption { padding-top: 4px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(320px, 1fr)); gap: 16px; }
.grid img { width: 100%; border-radius: 6px; background: #000; }
.columns { display: grid; grid-template-columns: repeat(auto-fill, minmax(310px, 1fr)); gap: 4px 32px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; margin: 6px 0; font-size: 13.5px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 4px 0 10px; }
.scale { display: inline-block; width: 120px; height: 11px; border-radius: 2px; vertical-align: -1px; margin: 0 3px; }
pre { background: var(--tint); border-radius: 6px; padding: 10px 14px; overflow-x: auto; font-size: 13.5px; }
footer { margin-top: 48px; padding-top: 14px; padding-bottom: 36px; }
@media print { nav { display: none; } h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ run.name }} · fedward report</title>
<style>{{ style|safe }}</style>
</head>
<body>
<header>
<h1>{{ run.name }} <span class="state {{ state }}">{{ state }}</span></h1>
<div class="soft">{{ subtitle }}</div>
<nav>{% for part in sections %}<a href="#{{ part.id }}">{{ part.title }}</a>{% endfor %}</nav>
</header>
<main>
{% if problem %}<div class="box {{ state }}" id="problem">{{ problem }}</div>{% endif %}

<section id="summary">
<p class="headline">{{ headline }}</p>
<div class="tiles">{% for value, what in tiles %}<div class="tile"><b>{{ value }}</b><span>{{ what }}</span></div>
{% endfor %}</div>
</section>

{% for part in sections %}
<section id="{{ part.id }}"><h2>{{ part.heading }}</h2>
{% include part.id %}
</section>

{% endfor %}
</main>
<footer class="soft">Written by fedward {{ version }}. This file is complete in itself: it loads nothing.</footer>
</body>
</html>
"""

# What every task has
WEIGHTS = """\
{% if weights %}<figure><img src="{{ weights }}" alt="Weight of each hospital in each round">
<figcaption>× result refused, – no result in time; neither counts in that round.</figcaption></figure>
{% if shares %}<h3>What the last weights are made of</h3>
<figure><img src="{{ shares }}" alt="Shares and weights of the last round"></figure>{% endif %}
{% else %}<p>{% if run.federated %}No model was averaged yet.{% else %}Nothing was averaged in this run.{% endif %}</p>
{% endif %}
"""

REMARKS = """\
{% if remarks %}<div class="wide"><table><thead><tr><th class="left">what</th><th class="left">hospital</th>
<th class="left">rounds</th><th class="left">why</th></tr></thead>
<tbody>{% for r in remarks %}<tr><th>{{ r.kind }}</th><td class="left">{{ r.site or "–" }}</td>
<td class="left">{{ r.rounds|ranges or "–" }}</td>
<td class="text">{{ r.message }}</td></tr>{% endfor %}</tbody></table></div>
{% else %}<p>None.</p>{% endif %}
"""

SETTINGS = """\
<div class="columns">{% for title, rows in settings %}<div><h3>{{ title }}</h3>
<dl>{% for name, value in rows %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl></div>
{% endfor %}</div>
"""

COMMON = {"weights": WEIGHTS, "remarks": REMARKS, "settings": SETTINGS}
