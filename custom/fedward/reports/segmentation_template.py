"""The sections of a segmentation run's report, as Jinja templates."""

RESULTS = """\
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
"""

OVERLAYS = """\
{% if overlays %}
<p class="soft">Left the FLAIR image, right the outlines:<span class="key" style="background:rgb{{ truth }}"></span>true
tumour<span class="key" style="background:rgb{{ prediction }}"></span>prediction<span class="key"
style="background:#fff;border:1px solid #999"></span>both.</p>
<div class="grid">{% for label, source in overlays %}<figure><img src="{{ source }}" alt="{{ label }}">
<figcaption>{{ label }}</figcaption></figure>
{% endfor %}</div>
{% else %}<p>No pictures of test patients were saved with this run.</p>{% endif %}
"""

CURVES = """\
{% if curves %}<figure><img src="{{ curves }}" alt="Training loss, validation cost, Dice and IoU over the rounds">
<figcaption>Round 0 is the model before training. Dice and IoU are pooled over the
{{ validation_patients }} validation patients ({{ validation_images }} images) of all hospitals.</figcaption></figure>
{% else %}<p>No round has finished yet.</p>{% endif %}
"""

HOSPITALS = """\
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
<td>{{ h.start.cost|show }}</td><td>{{ h.start.quality|show }}</td><td>{{ h.start.iou|show }}</td>
<td>{{ h.end.cost|show }}</td><td>{{ h.end.quality|show }}</td><td>{{ h.end.iou|show }}</td>
<td>{{ h.weight|percent }}</td><td>{{ h.counted if run.federated else h.answered }} of {{ h.asked }}</td>
<td>{% if run.federated %}{{ h.bytes|size }}{% else %}–{% endif %}</td>
<td>{{ h.train_seconds|duration }}</td></tr>{% endfor %}</tbody>
<caption>Costs, Dice and IoU on the hospital's own validation images, in the last round that has them; a hospital with
one patient has none. “rounds”: those whose average holds its model, of those it was asked in.</caption>
</table></div>
{% else %}<p>No hospital is known yet.</p>{% endif %}
{% if holdings %}<h3>Who holds what</h3>
<figure><img src="{{ holdings }}" alt="Patients and slices of each hospital"></figure>{% endif %}
"""

TEMPLATES = {"results": RESULTS, "overlays": OVERLAYS, "curves": CURVES, "hospitals": HOSPITALS}
