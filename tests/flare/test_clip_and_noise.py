"""ClipAndNoise and OnUpdate: what they do to an update, and that the promised privacy is the one the noise gives."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fake_network import train_report
from nvflare.apis.dxo import from_shareable
from nvflare.apis.fl_constant import FLContextKey, ReturnCode
from nvflare.apis.fl_context import FLContextManager
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.fl_model import FLModel, ParamsType
from nvflare.app_common.filters.exclude_vars import ExcludeVars
from nvflare.app_common.filters.percentile_privacy import PercentilePrivacy
from nvflare.app_common.filters.svt_privacy import SVTPrivacy
from nvflare.app_common.utils.fl_model_utils import FLModelUtils

import fedward
from fedward.errors import FedwardError, UsageError
from fedward.flare.leaving import LeavingFilter, ReceivedModel
from fedward.flare.privacy_filters import ClipAndNoise, OnUpdate
from fedward.flare.tasks import ERROR, REPORT, TRAIN
from fedward.kits.differential_privacy import gaussian, noise_sigma, privacy_spent, release, update_cosine

TEMPLATE = Path(fedward.__file__).parent / "workspace_templates" / "hospital" / "privacy.json"
LIST = json.loads(TEMPLATE.read_text())["scopes"][0]["task_result_filters"][-1]["args"]
RANDOM = np.random.default_rng(1)
RECEIVED = {
    "encoder.weight": RANDOM.normal(size=(40, 30)).astype(np.float32),
    "encoder.running_mean": np.zeros(8, np.float32),
    "encoder.running_var": np.ones(8, np.float32),
    "encoder.num_batches_tracked": np.array(3, np.int64),
    "head.bias": np.zeros(3, np.float16),
}
UPDATE = {name: RANDOM.normal(size=v.shape).astype(v.dtype) for name, v in RECEIVED.items() if v.dtype.kind == "f"}
TRAINED = {**RECEIVED, **{name: RECEIVED[name] + u for name, u in UPDATE.items()}} | {
    "encoder.num_batches_tracked": np.array(7, np.int64)
}
NORM = math.sqrt(sum(float(np.sum(np.square(TRAINED[n] - RECEIVED[n], dtype=np.float64))) for n in UPDATE))


def model(parameters, **values) -> Shareable:
    return FLModelUtils.to_shareable(FLModel(params_type=ParamsType.FULL, params=dict(parameters), **values))


def sent_by(*filters, trained=TRAINED, received=RECEIVED) -> Shareable:
    """What leaves after these filters and the kit's list, the model having come as in a task."""
    manager = FLContextManager(SimpleNamespace(fire_event=lambda *_: None), "hospital-01", "job")
    with manager.new_context() as context:
        context.set_prop(FLContextKey.TASK_NAME, TRAIN, private=True, sticky=False)
        ReceivedModel().process(model(received, total_rounds=25), context)
        reply = model(trained, meta={REPORT: train_report()})
        for one in (*filters, LeavingFilter(**LIST)):
            reply = one.process(reply, context)
    return reply


def parameters(reply) -> dict[str, np.ndarray]:
    assert reply.get_return_code() == ReturnCode.OK
    return from_shareable(reply).data


def exact_delta(epsilon: float, sigma: float, sensitivity: float = 1.0) -> float:
    """The definition, integrated numerically: the mass of N(sensitivity, sigma) beyond e^epsilon times N(0, sigma)."""
    x = np.linspace(-40 * sigma - sensitivity, 40 * sigma + sensitivity, 200_001)
    density = [
        np.exp(-((x - mean) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi)) for mean in (sensitivity, 0)
    ]
    return float(np.sum(np.clip(density[0] - math.exp(epsilon) * density[1], 0, None)) * (x[1] - x[0]))


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 1e-5), (1.0, 1e-5), (1.0, 1e-2), (4.0, 1e-6), (8.0, 1e-3)])
def test_the_noise_gives_the_promised_privacy_and_no_more_noise_than_needed(epsilon, delta):
    sigma = noise_sigma(epsilon, delta, 1.0)
    assert exact_delta(epsilon, sigma) == pytest.approx(delta, rel=1e-3)
    assert exact_delta(epsilon, 0.98 * sigma) > delta
    assert noise_sigma(epsilon, delta, 6.0) == pytest.approx(6 * sigma)
    if epsilon <= 1:  # the classical rule (Dwork & Roth 2014, theorem A.1) holds there, and needs more
        assert sigma < math.sqrt(2 * math.log(1.25 / delta)) / epsilon


@pytest.mark.parametrize(("epsilon", "rounds"), [(0.5, 1), (0.5, 25), (1.0, 10), (2.0, 100)])
def test_composition_over_rounds_is_an_upper_bound_and_the_tighter_one_pays_with_many_rounds(epsilon, rounds):
    spent = privacy_spent(epsilon, 1e-6, rounds)
    assert spent.basic == pytest.approx(rounds * epsilon)
    assert spent.delta == pytest.approx(rounds * 1e-6)
    # k Gaussian releases are one Gaussian release with k times the squared sensitivity: its exact delta is the truth
    sigma = noise_sigma(epsilon, 1e-6, 1.0)
    assert exact_delta(spent.epsilon, sigma, math.sqrt(rounds)) <= spent.delta * (1 + 1e-6)
    if rounds >= 25:
        assert spent.zcdp < spent.basic
        assert spent.epsilon == spent.zcdp


def test_an_update_is_clipped_before_the_noise():
    released = release(RECEIVED, TRAINED, clip=1.0, sigma=0.0, statistics="noise")
    assert released.norm == pytest.approx(NORM)
    assert released.kept == pytest.approx(1 / NORM)
    assert released.cosine == pytest.approx(1.0)
    left = {n: released.parameters[n].astype(float) - RECEIVED[n] for n in UPDATE}
    assert math.sqrt(sum(float(np.sum(v**2)) for v in left.values())) == pytest.approx(1.0, rel=1e-2)
    small = release(RECEIVED, TRAINED, clip=10 * NORM, sigma=0.0, statistics="noise")
    assert small.kept == 1.0
    assert np.allclose(small.parameters["encoder.weight"], TRAINED["encoder.weight"], atol=1e-6)


def test_noise_has_the_stated_size_and_is_never_the_same():
    big = {"encoder.weight": np.zeros(200_000, np.float32)}
    first = release(big, big, 1.0, 3.0, "noise").parameters["encoder.weight"]
    second = release(big, big, 1.0, 3.0, "noise").parameters["encoder.weight"]
    assert first.std() == pytest.approx(3.0, rel=0.02)
    assert abs(first.mean()) < 0.05
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.02


def test_the_noise_is_normal_and_does_not_follow_a_seed():
    from scipy.stats import kstest

    np.random.seed(1)  # noqa: NPY002 (what a job could do)
    first = gaussian(50_001)
    np.random.seed(1)  # noqa: NPY002
    assert not np.array_equal(first, gaussian(50_001))
    assert len(first) == 50_001
    assert kstest(first, "norm").pvalue > 1e-6
    assert np.abs(first).max() > 3.5


def test_counters_leave_as_they_came_and_a_variance_is_never_negative():
    for statistics in ("noise", "received"):
        kept = parameters(sent_by(ClipAndNoise(100.0, 1.0, 1e-5, statistics)))
        assert kept.keys() == RECEIVED.keys()
        assert {n: (v.shape, v.dtype) for n, v in kept.items()} == {n: (v.shape, v.dtype) for n, v in RECEIVED.items()}
        assert kept["encoder.num_batches_tracked"] == 3
        assert (kept["encoder.running_var"] >= 0).all()
        unchanged = np.array_equal(kept["encoder.running_mean"], RECEIVED["encoder.running_mean"])
        assert unchanged == (statistics == "received")
        assert not np.array_equal(kept["encoder.weight"], TRAINED["encoder.weight"])


def test_the_log_says_what_is_spent(caplog):
    with caplog.at_level("INFO"):
        sent_by(ClipAndNoise(1.0, 1.0, 1e-6))
    assert (
        "epsilon 1 a round; 25 rounds: epsilon 6.149 (25 by adding up, 6.149 by zCDP) at delta 2.5e-05" in caplog.text
    )
    assert "spent so far in this job: epsilon 1 a round; 1 rounds: epsilon 1" in caplog.text


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    "one", [lambda: ClipAndNoise(1.0, 1.0, 1e-5), lambda: OnUpdate(PercentilePrivacy(percentile=10, gamma=1.0))]
)
def test_an_update_that_is_not_finite_does_not_leave(one, bad):
    trained = {**TRAINED, "encoder.weight": np.full((40, 30), bad, np.float32)}
    reply = sent_by(one(), trained=trained)
    assert reply.get_return_code() == ReturnCode.TASK_RESULT_FILTER_ERROR
    assert reply.get_header(ERROR).startswith("FedwardError in train, reference ")
    assert "DXO" not in reply


@pytest.mark.parametrize("trained", [{**TRAINED, "x": np.zeros(2)}, {**TRAINED, "head.bias": np.zeros(4, np.float16)}])
def test_another_model_than_the_received_one_does_not_leave(trained):
    assert sent_by(ClipAndNoise(1.0, 1.0, 1e-5), trained=trained).get_return_code() != ReturnCode.OK
    shaped = {**TRAINED, "head.bias": np.zeros(4, np.float16)}
    with pytest.raises(FedwardError, match=r"head\.bias has another shape"):
        release(RECEIVED, shaped, 1.0, 1.0, "noise")


def test_without_the_received_model_nothing_leaves():
    manager = FLContextManager(SimpleNamespace(fire_event=lambda *_: None), "hospital-01", "job")
    with manager.new_context() as context, pytest.raises(FedwardError, match="put ReceivedModel among"):
        ClipAndNoise(1.0, 1.0, 1e-5).process(model(TRAINED), context)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip": 0}, "clip must be a number above 0"),
        ({"clip": -1.0}, "clip must be"),
        ({"clip": math.inf}, "clip must be"),
        ({"clip": math.nan}, "clip must be"),
        ({"clip": "1"}, "clip must be"),
        ({"clip": True}, "clip must be"),
        ({"epsilon": 0}, "epsilon must be a number above 0"),
        ({"epsilon": -1}, "epsilon must be"),
        ({"delta": 0}, "delta must lie between 0 and 1"),
        ({"delta": 0.0}, "delta must lie"),
        ({"delta": 1.0}, "delta must lie"),
        ({"delta": math.nan}, "delta must lie"),
        ({"batch_statistics": "drop"}, "batch_statistics must be one of noise, received"),
    ],
)
def test_settings_that_promise_nothing_are_refused(settings, message):
    with pytest.raises(UsageError, match=message):
        ClipAndNoise(**{"clip": 1.0, "epsilon": 1.0, "delta": 1e-5, **settings})


def test_percentile_keeps_the_largest_changes_of_the_update_and_not_of_the_model():
    kept = parameters(sent_by(OnUpdate(PercentilePrivacy(percentile=90, gamma=10.0))))
    changed = {n: (kept[n] != RECEIVED[n]).mean() for n in UPDATE}
    assert 0.05 < changed["encoder.weight"] < 0.15
    assert 0.3 < update_cosine(RECEIVED, TRAINED, kept) < 0.95
    assert np.array_equal(kept["encoder.num_batches_tracked"], RECEIVED["encoder.num_batches_tracked"])


def test_svt_leaves_almost_nothing_of_the_update(caplog):
    with caplog.at_level("INFO"):
        kept = parameters(sent_by(OnUpdate(SVTPrivacy())))
    assert abs(update_cosine(RECEIVED, TRAINED, kept)) < 0.3
    assert "SVTPrivacy: cosine to the update" in caplog.text


def test_excluded_layers_leave_as_they_came():
    kept = parameters(sent_by(OnUpdate(ExcludeVars(["head.bias"]))))
    assert np.array_equal(kept["head.bias"], RECEIVED["head.bias"])
    assert np.allclose(kept["encoder.weight"], TRAINED["encoder.weight"], atol=1e-6)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (lambda: PercentilePrivacy(percentile=101), "percentile must be a number from 0 to 100"),
        (lambda: PercentilePrivacy(gamma=0), "gamma must be a number"),
        (lambda: PercentilePrivacy(gamma=math.nan), "gamma must be a number"),
        (lambda: SVTPrivacy(fraction=0), "fraction must be a number from 0 to 1"),
        (lambda: SVTPrivacy(noise_var=-1), "noise_var must be a number"),
        (lambda: SVTPrivacy(epsilon_release=0), "epsilon_release must be a number"),
        (lambda: ExcludeVars([]), "so it does nothing"),
        (lambda: ExcludeVars({"a": 1}), "so it does nothing"),
        (lambda: ExcludeVars(), "so it does nothing"),
        (lambda: ReceivedModel(), "OnUpdate takes PercentilePrivacy"),
        (lambda: None, "OnUpdate takes PercentilePrivacy"),
    ],
)
def test_filters_of_flare_that_would_do_nothing_are_refused(chosen, message):
    with pytest.raises(UsageError, match=message):
        OnUpdate(chosen())


def test_layers_that_only_came_with_the_task_do_not_go_back():
    """A frozen encoder comes with the first task; what is trained, noised and sent is the head alone."""
    head = {"head.bias": TRAINED["head.bias"]}
    for one in (ClipAndNoise(1.0, 1.0, 1e-5), OnUpdate(PercentilePrivacy(percentile=10, gamma=10))):
        sent = parameters(sent_by(one, trained=head))
        assert list(sent) == ["head.bias"]
        assert not np.array_equal(sent["head.bias"], RECEIVED["head.bias"])
