"""The sections of a classification run's report, as Jinja templates."""

RESULTS = """\
{% if results %}
<div class="wide"><table>
<thead><tr><th class="left">model</th><th>round</th><th>mean AUC</th><th>95 % interval</th><th>findings in it</th>
<th>cost</th><th>patients</th><th>images</th></tr></thead>
<tbody>{% for r in results %}<tr><th>{{ r.name }}</th><td>{{ r.round|show }}</td><td>{{ r.mean.value|show }}</td>
<td>{{ interval(r.mean.low, r.mean.high) }}</td><td>{{ r.measured }} of {{ r.findings|length }}</td>
<td>{{ r.cost|show }}</td><td>{{ r.patients|thousands }}</td><td>{{ r.images|thousands }}</td></tr>{% endfor %}</tbody>
<caption>Test patients, who are in no hospital. “best” was chosen on the validation patients alone.</caption>
</table></div>
<h3>By finding</h3>
<figure><img src="{{ forest }}" alt="AUC of each finding on the test patients">
<figcaption>AUC of each finding ({{ chosen }} model), and in orange their mean. The line at 0.5 is chance.</figcaption>
</figure>
<div class="wide"><table>
<thead><tr><th></th><th class="group" colspan="2">test images</th>
{% for r in results %}<th class="group" colspan="2">{{ r.name }} model</th>{% endfor %}</tr>
<tr><th class="left">finding</th><th>positive</th><th>negative</th>
{% for r in results %}<th>AUC</th><th>95 % interval</th>{% endfor %}</tr></thead>
<tbody>{% for f in findings %}<tr><th>{{ f.name|finding }}</th><td>{{ f.positives|thousands }}</td>
<td>{{ f.negatives|thousands }}</td>
{% for entry in f.models %}{% if entry.auc is none %}<td colspan="2" class="soft">one class only</td>
{% else %}<td>{{ entry.auc|show }}</td><td>{{ interval(entry.low, entry.high) }}</td>{% endif %}{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% else %}<p>This run has no test result yet (no test.json).</p>{% endif %}
<h3>What the numbers mean</h3>
<dl id="definitions">{% for name, meaning in definitions.items() %}<dt>{{ name }}</dt>
<dd>{{ meaning }}</dd>{% endfor %}</dl>
"""

SALIENCY = """\
{% if saliency %}
<p class="soft">Left the image as the network sees it, right where it finds what the title says: the class activation
map of the best model, from nothing <span class="scale" style="background:linear-gradient(to right,
{{ legend|join(', ') }})"></span> to the strongest place of this image. The map shows what moved the network, not that
it is right.{% if places == 1 %} At this image size the network's last map is a single place: it cannot say where.
{% elif places %} The network's last map has {{ places }} × {{ places }} places.{% endif %}</p>
<div class="grid">{% for label, source in saliency %}<figure><img src="{{ source }}" alt="{{ label }}">
<figcaption>{{ label }}</figcaption></figure>
{% endfor %}</div>
{% else %}<p>No pictures of test patients were saved with this run.</p>{% endif %}
"""

CURVES = """\
{% if curves %}<figure><img src="{{ curves }}" alt="Training loss, validation cost and mean AUC over the rounds">
<figcaption>Round 0 is the model before training. Mean AUC: over the findings that have both classes at a hospital, then
over the hospitals by their validation images; {{ validation_patients|thousands }} validation patients,
{{ validation_images|thousands }} images.</figcaption></figure>
{% else %}<p>No round has finished yet.</p>{% endif %}
"""

HOSPITALS = """\
{% if hospitals %}
<div class="wide"><table>
<thead><tr><th></th><th class="group" colspan="2">patients</th><th class="group" colspan="2">images</th>
<th class="group" colspan="2">received model</th><th class="group" colspan="2">own model after training</th>
<th class="group" colspan="2">counted</th><th class="group" colspan="2">bytes</th><th></th></tr>
<tr><th class="left">hospital</th><th>train</th><th>val.</th><th>train</th><th>val.</th><th>cost</th><th>AUC</th>
<th>cost</th><th>AUC</th><th>last weight</th><th>rounds</th><th>sent</th><th>received</th><th>trained</th></tr></thead>
<tbody>{% for h in hospitals %}<tr><th>{{ h.site }}</th><td>{{ h.train|thousands }}</td>
<td>{{ h.validation|thousands }}</td><td>{{ h.samples|thousands }}</td><td>{{ h.validation_images|thousands }}</td>
<td>{{ h.start.cost|show }}</td><td>{{ h.start.quality|show }}{% if h.start.details["auc.low"] is defined %}&nbsp;
<small>[{{ h.start.details["auc.low"]|show }}, {{ h.start.details["auc.high"]|show }}]</small>{% endif %}</td>
<td>{{ h.end.cost|show }}</td><td>{{ h.end.quality|show }}</td>
<td>{{ h.weight|percent }}</td><td>{{ h.counted if run.federated else h.answered }} of {{ h.asked }}</td>
{% if run.federated %}<td>{{ h.bytes|size }}</td><td>{{ h.received|size }}</td>{% else %}<td>–</td><td>–</td>{% endif %}
<td>{{ h.train_seconds|duration }}</td></tr>{% endfor %}</tbody>
<caption>Costs and mean AUC on the hospital's own validation images, in the last round that has them; a hospital without
validation images, or where no finding has both classes, has no AUC. In brackets, of the run's last model: the 95 %
interval over draws of the hospital's patients. “rounds”: those whose average holds its model, of
those it was asked in. “sent”: by the hospital to the server.</caption>
</table></div>
{% else %}<p>No hospital is known yet.</p>{% endif %}
{% if auc_map %}<h3>Validation AUC by hospital and finding</h3>
<figure><img src="{{ auc_map }}" alt="Validation AUC of each finding at each hospital">
<figcaption>The last global model that each hospital measured, on its own validation images. Empty: one class only, or
no validation images. Few positive images make an AUC uncertain.</figcaption></figure>{% endif %}
{% if holdings %}<h3>Who holds what</h3>
<figure><img src="{{ holdings }}" alt="Patients and images of each hospital"></figure>{% endif %}
{% if finding_map %}<figure><img src="{{ finding_map }}" alt="Images with each finding at each hospital">
<figcaption>Images with each finding, training and validation together; the colour is their part of the hospital's
images.</figcaption></figure>{% endif %}
"""

TEMPLATES = {"results": RESULTS, "saliency": SALIENCY, "curves": CURVES, "hospitals": HOSPITALS}
