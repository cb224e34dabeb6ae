"""The sections of the report of a segmentation into structures, as Jinja templates."""

RESULTS = """\
{% macro mm(e) %}{% if e.value is none %}–{% else %}{{ "%.1f"|format(e.value) }}{% if e.low is not none
%} ({{ "%.1f"|format(e.low) }} to {{ "%.1f"|format(e.high) }}){% endif %}{% endif %}{% endmacro %}
{% if results %}
<div class="wide"><table>
<thead><tr><th class="left">model</th><th>round</th><th>mean Dice</th><th>95 % interval</th><th>pooled Dice</th>
<th>HD95, mm</th><th>cost</th><th>patients</th><th>scans</th></tr></thead>
<tbody>{% for r in results %}<tr><th>{{ r.name }}</th><td>{{ r.round|show }}</td><td>{{ r.mean.value|show }}</td>
<td>{{ interval(r.mean.low, r.mean.high) }}</td><td>{{ r.pooled|show }}</td><td>{{ mm(r.hd95) }}</td>
<td>{{ r.cost|show }}</td><td>{{ r.patients|thousands }}</td><td>{{ r.scans|thousands }}</td></tr>{% endfor %}</tbody>
<caption>Test patients, who are in no hospital. “best” was chosen on the validation patients alone.{% if unlabelled %}
{{ unlabelled|thousands }} more test scans have no labels.{% endif %}</caption>
</table></div>
{% if bars %}<figure><img src="{{ bars }}" alt="Dice of each structure on the test scans">
<figcaption>Bars are means over the test patients ({{ results[0].name }} model), every mark is one scan.</figcaption>
</figure>{% endif %}
<h3>By structure</h3>
<div class="wide"><table>
<thead><tr><th></th>{% for r in results %}<th class="group" colspan="4">{{ r.name }} model</th>{% endfor %}</tr>
<tr><th class="left">structure</th>{% for r in results %}<th>Dice</th><th>95 % interval</th><th>pooled Dice</th>
<th>HD95, mm</th>{% endfor %}</tr></thead>
<tbody>{% for name in structures %}<tr><th>{{ name|finding }}</th>
{% for r in results %}{% for s in r.structures if s.name == name %}<td>{{ s.dice.value|show }}</td>
<td>{{ interval(s.dice.low, s.dice.high) }}</td><td>{{ s.pooled|show }}</td><td>{{ mm(s.hd95) }}</td>{% endfor %}
{% endfor %}</tr>{% endfor %}</tbody>
{% if missing %}<caption>No HD95 ({{ results[0].name }} model): {{ missing|join("; ") }}.</caption>{% endif %}
</table></div>
{% if own %}<h3>Each hospital's own model</h3>
<div class="wide"><table><thead><tr><th class="left">hospital</th><th>pooled Dice</th></tr></thead>
<tbody>{% for site, dice in own %}<tr><th>{{ site }}</th><td>{{ dice|show }}</td></tr>{% endfor %}</tbody>
<caption>On all test patients, mean over the structures. The tables above hold the mean over the hospitals.</caption>
</table></div>{% endif %}
{% else %}<p>This run has no test result yet (no test.json).</p>{% endif %}
<h3>What the numbers mean</h3>
<dl id="definitions">{% for name, meaning in definitions.items() %}<dt>{{ name }}</dt>
<dd>{{ meaning }}</dd>{% endfor %}</dl>
"""

OVERLAYS = """\
{% if overlays %}
<p class="soft">Above the bare slices, in the middle the true outlines, below the predicted ones, from one end of the
heart to the other.</p>
{% for label, source in overlays %}<figure><img src="{{ source }}" alt="{{ label }}">
<figcaption>{{ label }}</figcaption></figure>
{% endfor %}
{% else %}<p>No pictures of test scans were saved with this run.</p>{% endif %}
"""

CURVES = """\
{% if curves %}<figure><img src="{{ curves }}" alt="Training loss, validation cost and Dice over the rounds">
<figcaption>Round 0 is the model before training. Dice is pooled over the {{ validation_patients }} validation patients
({{ validation_images }} slices) of all hospitals.</figcaption></figure>
{% else %}<p>No round has finished yet.</p>{% endif %}
"""

HOSPITALS = """\
{% if hospitals %}
<div class="wide"><table>
<thead><tr><th></th><th class="group" colspan="2">patients</th><th class="group" colspan="2">slices</th>
<th class="group" colspan="{{ 2 + structures|length }}">received model</th>
<th class="group" colspan="2">own after training</th>
<th class="group" colspan="2">counted</th><th></th><th></th></tr>
<tr><th class="left">hospital</th><th>train</th><th>val.</th><th>trained on</th><th>val.</th><th>cost</th>
<th>mean Dice</th>{% for name in structures %}<th>{{ name|finding }}</th>{% endfor %}<th>cost</th><th>Dice</th>
<th>last weight</th><th>rounds</th><th>sent</th><th>trained</th></tr></thead>
<tbody>{% for h in hospitals %}<tr><th>{{ h.site }}</th><td>{{ h.train|show }}</td><td>{{ h.validation|show }}</td>
<td>{{ h.samples|show }}</td><td>{{ h.validation_images|show }}</td>
<td>{{ h.start.cost|show }}</td><td>{{ h.start.quality|show }}</td>
{% for name in structures %}<td>{{ h.start.details["dice." ~ name]|show if "dice." ~ name in h.start.details else "–" }}
</td>{% endfor %}<td>{{ h.end.cost|show }}</td><td>{{ h.end.quality|show }}</td>
<td>{{ h.weight|percent }}</td><td>{{ h.counted if run.federated else h.answered }} of {{ h.asked }}</td>
<td>{% if run.federated %}{{ h.bytes|size }}{% else %}–{% endif %}</td>
<td>{{ h.train_seconds|duration }}</td></tr>{% endfor %}</tbody>
<caption>Costs and Dice on the hospital's own validation slices, in the last round that has them; a hospital without
validation patients has none. “trained on”: slices of the labelled patients that were drawn. “rounds”: those whose
average holds its model, of those it was asked in.</caption>
</table></div>
{% else %}<p>No hospital is known yet.</p>{% endif %}
{% if holdings %}<h3>Who holds what</h3>
<figure><img src="{{ holdings }}" alt="Patients and slices of each hospital"></figure>{% endif %}
"""

TEMPLATES = {"results": RESULTS, "overlays": OVERLAYS, "curves": CURVES, "hospitals": HOSPITALS}
