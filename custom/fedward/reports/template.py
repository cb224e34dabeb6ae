"""The HTML of a report: a Jinja template and its style. It loads nothing and has no script; its policy forbids both."""

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
nav a { color: var(--accent); margin-right: 14px; text-decoration: none; white-space: nowrap; }
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
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
caption { text-align: left; caption-side: bottom; padding-top: 8px; }
th, td { text-align: right; padding: 5px 7px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
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
<style>{{ style }}</style>
</head>
<body>
<header>
<h1>{{ run.name }} <span class="state {{ state }}">{{ state }}</span></h1>
<div class="soft">{{ subtitle }}</div>
<nav>{% for id, title in sections %}<a href="#{{ id }}">{{ title }}</a>{% endfor %}</nav>
</header>
<main>
{% if problem %}<div class="box {{ state }}" id="problem">{{ problem }}</div>{% endif %}

<section id="summary">
<p class="headline">{{ headline }}</p>
<div class="tiles">{% for value, what in tiles %}<div class="tile"><b>{{ value }}</b><span>{{ what }}</span></div>
{% endfor %}</div>
</section>

<section id="results"><h2>Final result</h2>
{% if results %}
<div class="wide"><table>
<thead><tr><th class="left">model</th><th>round</th><th>pooled IoU</th><th>pooled Dice</th>
<th>mean patient Dice</th><th>median patient Dice</th><th>worst hospital</th>
<th>patients</th><th>images</th></tr></thead>
<tbody>{% for row in results %}<tr><th>{{ row.name }}</th><td>{{ row.m.round|show }}</td><td>{{ row.m.iou|show }}</td>
<td>{{ row.m.dice|show }}</td><td>{{ row.m.mean|show }}</td><td>{{ row.m.median|show }}</td>
<td>{% if row.m.worst %}{{ row.m.worst[1]|show }} ({{ row.m.worst[0] }}, n = {{ row.m.worst[2] }}){% else %}–{% endif %}
</td><td>{{ row.m.patients }}</td><td>{{ row.m.images }}</td></tr>{% endfor %}</tbody>
<caption>Test patients, who are in no hospital. “best” was chosen on the validation patients alone.</caption>
</table></div>
{% if dots %}<figure><img src="{{ dots }}" alt="Volume Dice of each test patient, by institution">
<figcaption>Every dot is one of {{ test_patients }} test patients ({{ dots_model }} model); the bars are the means.
</figcaption></figure>{% endif %}
{% else %}<p>This run has no test result yet (no test.json).</p>{% endif %}
<h3>What the numbers mean</h3>
<dl id="definitions">{% for name, meaning in definitions.items() %}<dt>{{ name }}</dt>
<dd>{{ meaning }}</dd>{% endfor %}</dl>
</section>

<section id="overlays"><h2>Test images</h2>
{% if overlays %}
<p class="soft">Left the FLAIR image, right the outlines:<span class="key" style="background:rgb{{ truth }}"></span>true
tumour<span class="key" style="background:rgb{{ prediction }}"></span>prediction<span class="key"
style="background:#fff;border:1px solid #999"></span>both.</p>
<div class="grid">{% for label, source in overlays %}<figure><img src="{{ source }}" alt="{{ label }}">
<figcaption>{{ label }}</figcaption></figure>
{% endfor %}</div>
{% else %}<p>No pictures of test patients were saved with this run.</p>{% endif %}
</section>

<section id="curves"><h2>Curves</h2>
{% if curves %}<figure><img src="{{ curves }}" alt="Training loss, validation cost, Dice and IoU over the rounds">
<figcaption>Round 0 is the model before training. Dice and IoU are pooled over the
{{ validation_patients }} validation patients ({{ validation_images }} images) of all hospitals.</figcaption></figure>
{% else %}<p>No round has finished yet.</p>{% endif %}
</section>

<section id="weights"><h2>Weights</h2>
{% if weights %}<figure><img src="{{ weights }}" alt="Weight of each hospital in each round">
<figcaption>× result refused, – no result in time; neither counts in that round.</figcaption></figure>
{% if shares %}<h3>What the last weights are made of</h3>
<figure><img src="{{ shares }}" alt="Shares and weights of the last round"></figure>{% endif %}
{% else %}<p>{% if run.federated %}No model was averaged yet.{% else %}Nothing was averaged in this run.{% endif %}</p>
{% endif %}
</section>

<section id="hospitals"><h2>Hospitals</h2>
{% if hospitals %}
<div class="wide"><table>
<thead><tr><th></th><th></th><th class="group" colspan="2">patients</th><th class="group" colspan="2">images</th>
<th class="group" colspan="3">received model</th><th class="group" colspan="3">own model after training</th>
<th class="group" colspan="2">counted</th><th></th><th></th></tr>
<tr><th class="left">hospital</th><th class="left">from</th><th>train</th><th>val.</th>
<th>train</th><th>val.</th><th>cost</th><th>Dice</th><th>IoU</th><th>cost</th><th>Dice</th><th>IoU</th>
<th>last weight</th><th>rounds</th><th>sent</th><th>trained</th></tr></thead>
<tbody>{% for h in hospitals %}<tr><th>{{ h.site }}</th><td class="left">{{ h.institution }}</td><td>{{ h.train|show }}
</td><td>{{ h.validation|show }}</td><td>{{ h.samples|show }}</td><td>{{ h.validation_images|show }}</td>
<td>{{ h.start.cost|show }}</td><td>{{ h.start.dice|show }}</td><td>{{ h.start.iou|show }}</td>
<td>{{ h.end.cost|show }}</td><td>{{ h.end.dice|show }}</td><td>{{ h.end.iou|show }}</td>
<td>{{ h.weight|percent }}</td><td>{{ h.counted if run.federated else h.answered }} of {{ h.asked }}</td>
<td>{% if run.federated %}{{ h.bytes|size }}{% else %}–{% endif %}</td>
<td>{{ h.train_seconds|duration }}</td></tr>{% endfor %}</tbody>
<caption>Costs, Dice and IoU on the hospital's own validation images, in the last round that has them; a hospital with
one patient has none. “rounds”: those whose average holds its model, of those it was asked in.</caption>
</table></div>
{% else %}<p>No hospital is known yet.</p>{% endif %}
{% if holdings %}<h3>Who holds what</h3>
<figure><img src="{{ holdings }}" alt="Patients and slices of each hospital"></figure>{% endif %}
</section>

<section id="remarks"><h2>Warnings, refusals and missing results</h2>
{% if remarks %}<div class="wide"><table><thead><tr><th class="left">what</th><th class="left">hospital</th>
<th class="left">rounds</th><th class="left">why</th></tr></thead>
<tbody>{% for r in remarks %}<tr><th>{{ r.kind }}</th><td class="left">{{ r.site or "–" }}</td>
<td class="left">{{ r.rounds|ranges or "–" }}</td>
<td class="text">{{ r.message }}</td></tr>{% endfor %}</tbody></table></div>
{% else %}<p>None.</p>{% endif %}
</section>

<section id="settings"><h2>Settings and versions</h2>
<div class="columns">{% for title, rows in settings %}<div><h3>{{ title }}</h3>
<dl>{% for name, value in rows %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl></div>
{% endfor %}</div>
</section>
</main>
<footer class="soft">Written by fedward {{ version }}. This file is complete in itself: it loads nothing.</footer>
</body>
</html>
"""
