"""The sections of a pretraining's report, as Jinja templates."""

RESULTS = """\
{% if encoder %}
<dl><dt>file</dt><dd>{{ encoder.file }} in the run folder</dd><dt>SHA-256</dt><dd>{{ encoder.sha256 }}</dd>
<dt>network</dt><dd>{{ network }}</dd></dl>
<p>The base encoder alone, without the heads of the pretext. To let jobs begin with it:</p>
<pre>{{ register }}</pre>
<p>RUN is this run's folder, SITES that of a simulation's hospitals; on a network give <code>--kit</code> with the
server's kit instead. Jobs then name the weights: <code>--starting-weights {{ weights_name }}</code>.</p>
{% else %}<p>There is no encoder yet: it is written when the run has ended.</p>{% endif %}
{% if last %}
<h3>Last model</h3>
<div class="wide"><table>
<thead><tr><th>after round</th><th>validation loss</th><th>feature std</th><th>evenly spread</th>
<th>collapsed below</th><th>effective rank</th><th>collapsed below</th><th>k-NN AUC (round)</th>
<th>images</th></tr></thead>
<tbody><tr><td>{{ last.round }}</td><td>{{ last.cost|show }}</td><td>{{ "%.4f"|format(last.std) if last.std is not none
else "–" }}</td><td>{{ "%.4f"|format(bounds.even) }}</td><td>{{ "%.4f"|format(bounds.lowest_std) }}</td>
<td>{{ "%.1f"|format(last.rank) if last.rank is not none else "–" }}</td>
<td>{{ "%.1f"|format(bounds.lowest_rank) }}</td>
<td>{% if probed %}{{ probed[1]|show }} ({{ probed[0] }}){% else %}–{% endif %}</td>
<td>{{ last.images|thousands }}</td></tr></tbody>
</table></div>
{% endif %}
<h3>What the numbers mean</h3>
<dl id="definitions">{% for name, meaning in definitions.items() %}<dt>{{ name }}</dt>
<dd>{{ meaning }}</dd>{% endfor %}</dl>
"""

VIEWS = """\
{% if views %}<figure><img src="{{ views }}" alt="Example images and their augmentations">
<figcaption>Example images, each augmentation alone, and views as the network sees them.</figcaption></figure>
{% else %}<p>No pictures of views were saved with this run: <code>fedward show-views</code> makes them.</p>{% endif %}
"""

CURVES = """\
{% if curves %}<figure><img src="{{ curves }}" alt="Loss, feature statistics and k-NN probe over the rounds">
<figcaption>On {{ validation_images|thousands }} validation images; round 0 is the model before training. Below a dotted
line the features count as collapsed.</figcaption></figure>
{% else %}<p>No round has finished yet.</p>{% endif %}
"""

HOSPITALS = """\
{% if hospitals %}
<div class="wide"><table>
<thead><tr><th></th><th class="group" colspan="2">images</th><th class="group" colspan="4">received model</th><th></th>
<th class="group" colspan="2">counted</th><th class="group" colspan="2">bytes</th><th></th></tr>
<tr><th class="left">site</th><th>train</th><th>val.</th><th>loss</th><th>feature std</th><th>rank</th><th>k-NN AUC</th>
<th>images/s</th><th>last weight</th><th>rounds</th><th>sent</th><th>received</th><th>trained</th></tr></thead>
<tbody>{% for h in hospitals %}<tr><th>{{ h.site }}</th><td>{{ h.samples|thousands }}</td>
<td>{{ h.validation_images|thousands }}</td><td>{{ h.start.cost|show }}</td>
<td>{{ "%.4f"|format(h.start.details["features.std"]) if "features.std" in h.start.details else "–" }}</td>
<td>{{ "%.1f"|format(h.start.details["features.rank"]) if "features.rank" in h.start.details else "–" }}</td>
<td>{{ h.start.quality|show }}</td>
<td>{{ "%.1f"|format(h.speed) if h.speed is not none else "–" }}</td>
<td>{{ h.weight|percent }}</td><td>{{ h.counted if run.federated else h.answered }} of {{ h.asked }}</td>
{% if run.federated %}<td>{{ h.bytes|size }}</td><td>{{ h.received|size }}</td>{% else %}<td>–</td><td>–</td>{% endif %}
<td>{{ h.train_seconds|duration }}</td></tr>{% endfor %}</tbody>
<caption>In the last round that has a measurement. “sent”: by the site to the server. What a method keeps to itself
(queue, target network, optimiser) never leaves a site.</caption>
</table></div>
{% else %}<p>No site is known yet.</p>{% endif %}
{% if holdings %}<h3>Who holds what</h3>
<figure><img src="{{ holdings }}" alt="Patients and images of each site"></figure>{% endif %}
"""

TEMPLATES = {"results": RESULTS, "views": VIEWS, "curves": CURVES, "hospitals": HOSPITALS}
