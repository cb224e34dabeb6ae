"""The sections of the report of a contrastive pretraining, as Jinja templates."""

from fedward.reports.pretext_template import VIEWS

RESULTS = """\
{% if encoder %}
<dl><dt>file</dt><dd>{{ encoder.file }} in the run folder</dd><dt>SHA-256</dt><dd>{{ encoder.sha256 }}</dd>
<dt>network</dt><dd>{{ network }}</dd></dl>
<p>The encoder alone, without the projection head. To let segmentations begin with it:</p>
<pre>{{ register }}</pre>
<p>RUN is this run's folder, SITES that of a simulation's hospitals; on a network give <code>--kit</code> with the
server's kit instead. Jobs then name the weights: <code>--starting-weights {{ weights_name }}</code>.</p>
{% else %}<p>There is no encoder yet: it is written when the run has ended.</p>{% endif %}
{% if measured %}
<h3>First and last model</h3>
<div class="wide"><table>
<thead><tr><th>after round</th><th>validation loss</th><th>same partition</th><th>feature std</th><th>evenly spread</th>
<th>collapsed below</th><th>effective rank</th><th>collapsed below</th><th>slices</th></tr></thead>
<tbody>{% for m in measured %}<tr><td>{{ m.round }}</td><td>{{ m.cost|show }}</td><td>{{ m.partition|show }}</td>
<td>{{ "%.4f"|format(m.std) if m.std is not none else "–" }}</td><td>{{ "%.4f"|format(bounds.even) }}</td>
<td>{{ "%.4f"|format(bounds.lowest_std) }}</td><td>{{ "%.1f"|format(m.rank) if m.rank is not none else "–" }}</td>
<td>{{ "%.1f"|format(bounds.lowest_rank) }}</td><td>{{ m.images|thousands }}</td></tr>{% endfor %}</tbody>
</table></div>
{% endif %}
<h3>What the numbers mean</h3>
<dl id="definitions">{% for name, meaning in definitions.items() %}<dt>{{ name }}</dt>
<dd>{{ meaning }}</dd>{% endfor %}</dl>
"""

CURVES = """\
{% if curves %}<figure><img src="{{ curves }}" alt="Loss, feature statistics and nearest neighbours over the rounds">
<figcaption>On {{ validation_images|thousands }} validation slices; round 0 is the model before training. Below a dotted
line the features count as collapsed.{% if contrast.exchange %} The first round trains without the features of others:
its training loss has a term less and is lower. The validation loss never has that term.{% endif %}</figcaption>
</figure>
{% else %}<p>No round has finished yet.</p>{% endif %}
"""

FEATURES = """\
{% if projection %}
<p>Each mark is a slice, placed by the features that the last encoder gives it; near means alike. On the left the
partitions should part, because that was to be learnt. On the right the hospitals should mix: where one lies apart, its
features tell where a slice comes from.</p>
<figure><img src="{{ projection }}" alt="Slices by their features, coloured by partition and by hospital">
<figcaption>{% if shown.points|length < shown.slices %}{{ shown.points|length|thousands }} of {% endif %}
{{ shown.slices|thousands }} slices: trained on, validated on and tested on. The two main directions of the features
(principal components) hold {{ "%.0f"|format(100 * (shown.explained[0] + shown.explained[1])) }} % of their variance;
what differs along others is not to be seen here.</figcaption></figure>
{% else %}<p>No features were saved with this run: a simulation saves them when it has ended.</p>{% endif %}
"""

GIVEN = """\
{% if contrast.exchange %}
<p>Before each round but the first a hospital sends, beside its model updates, a table of features: {{ width }} numbers
of each of its training slices ({{ contrast.bank_size|thousands }} slices at most) as {{ contrast.precision }}, and the
slice's partition. {% if contrast.noise %}Noise of standard deviation {{ "%g"|format(contrast.noise) }} is on each
number of these vectors of length 1.{% else %}No noise is on them.{% endif %} No image, no name and no order of slices
goes with them; rows are sorted by their values. The server and all other hospitals hold what was sent.</p>
{% else %}<p>No features were exchanged: what left a hospital were its model updates and what it reported.</p>
{% endif %}
<h3>Can an outsider tell whether a volume took part?</h3>
{% if attacks %}
<div class="wide"><table>
<thead><tr><th class="left">the outsider tries</th><th>AUC</th><th>95 % interval</th><th>trained on</th><th>not</th>
<th class="left">in words</th></tr></thead>
<tbody>{% for a in attacks %}<tr><td class="text">{{ a.how }}</td><td>{{ a.auc|show }}</td><td>{{ a.interval }}</td>
<td>{{ a.members|thousands }}</td><td>{{ a.others|thousands }}</td><td class="text">{{ a.means }}</td></tr>
{% endfor %}</tbody>
<caption>AUC 0.5: the outsider cannot tell; 1: always. Volumes that were held back serve as those that did not take
part. Two simple attacks: a better one may tell more, and no figure here is a guarantee.</caption>
</table></div>
{% else %}<p>It was not measured: that needs the images, as in a simulation, when the run has ended.</p>{% endif %}
{% if exchange %}
<h3>What was exchanged</h3>
<div class="wide"><table>
<thead><tr><th class="left">hospital</th><th>features</th><th>offered in</th><th>sent in all</th>
<th>received in all</th><th class="left">an earlier table stood in</th></tr></thead>
<tbody>{% for e in exchange %}<tr><th>{{ e.site }}</th><td>{{ e.rows|thousands }}</td>
<td>{{ e.offered }} of {{ e.asked }}</td><td>{{ e.bytes|size }}</td><td>{{ e.received|size }}</td>
<td class="left">{% if e.stale %}in round{{ "s" if e.stale|length > 1 }} {{ e.stale|ranges
}}, {{ e.oldest }} round{{ "s" if e.oldest != 1 }} old at most{% else %}–{% endif %}</td></tr>{% endfor %}</tbody>
<caption>“features”: rows of the last table. “received”: features of the other hospitals.
A silent hospital's last table is used for {{ contrast.max_age }} round{{ "s" if contrast.max_age != 1 }} at most{% if
not stale %}; that never happened here{% endif %}.</caption>
</table></div>
<figure><img src="{{ exchange_map }}" alt="Features of each hospital in each round">
<figcaption>Features that were there in each round. A number: so many rounds old, because the hospital was silent;
× refused, – none. Round 1 has no exchange.</figcaption></figure>
{% endif %}
"""

HOSPITALS = """\
{% if hospitals %}
<div class="wide"><table>
<thead><tr><th></th><th class="group" colspan="2">patients</th><th></th><th></th>
<th class="group" colspan="4">received model</th><th></th>
<th class="group" colspan="2">counted</th><th class="group" colspan="2">bytes</th><th></th></tr>
<tr><th class="left">hospital</th><th>train</th><th>val.</th><th>parts</th><th>val. slices</th><th>loss</th>
<th>same partition</th><th>feature std</th><th>rank</th><th>slices/s</th><th>last weight</th><th>rounds</th>
<th>sent</th><th>received</th><th>trained</th></tr></thead>
<tbody>{% for h in hospitals %}<tr><th>{{ h.site }}</th><td>{{ h.train|thousands }}</td>
<td>{{ h.validation|thousands }}</td><td>{{ h.samples|thousands }}</td><td>{{ h.validation_images|thousands }}</td>
<td>{{ h.start.cost|show }}</td><td>{{ h.start.quality|show }}</td>
<td>{{ "%.4f"|format(h.start.details["features.std"]) if "features.std" in h.start.details else "–" }}</td>
<td>{{ "%.1f"|format(h.start.details["features.rank"]) if "features.rank" in h.start.details else "–" }}</td>
<td>{{ "%.1f"|format(h.speed) if h.speed is not none else "–" }}</td>
<td>{{ h.weight|percent }}</td><td>{{ h.counted if run.federated else h.answered }} of {{ h.asked }}</td>
{% if run.federated %}<td>{{ h.bytes|size }}</td><td>{{ h.received|size }}</td>{% else %}<td>–</td><td>–</td>{% endif %}
<td>{{ h.train_seconds|duration }}</td></tr>{% endfor %}</tbody>
<caption>In the last round that has a measurement. “parts”: partitions of volumes that hold a slice; an epoch takes one
slice of each. “sent”: model updates, by the hospital to the server; features are counted above.</caption>
</table></div>
{% else %}<p>No hospital is known yet.</p>{% endif %}
{% if holdings %}<h3>Who holds what</h3>
<figure><img src="{{ holdings }}" alt="Patients and slices of each hospital"></figure>{% endif %}
"""

TEMPLATES = {
    "results": RESULTS,
    "curves": CURVES,
    "features": FEATURES,
    "given": GIVEN,
    "views": VIEWS,
    "hospitals": HOSPITALS,
}
