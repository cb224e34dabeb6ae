"""Two global models on the sites that measured both."""

import pytest

from fedward.evaluation import Evaluation
from fedward.rounds.best import is_better, measured


def dice(hit: int, wrong: int) -> Evaluation:
    return Evaluation(0.5, None, 10, 2, hit, wrong, wrong)


NOTHING = Evaluation(0.5, None, 10, 2)  # no tumour in its images
OLD = {"easy": dice(900, 100), "hard": dice(500, 500)}


@pytest.mark.parametrize(
    ("new", "old", "better"),
    [
        ({"easy": dice(910, 90), "hard": dice(510, 490)}, OLD, True),
        ({"easy": dice(850, 150), "hard": dice(400, 600)}, OLD, False),
        ({"easy": dice(850, 150)}, OLD, False),  # pooled .85, which is more than .7 of both sites
        ({"easy": dice(910, 90)}, OLD, True),
        (OLD, OLD, False),
        ({"other": dice(950, 50)}, {"hard": dice(500, 500)}, True),  # or the first would stay the best for ever
        ({"other": dice(450, 550)}, {"hard": dice(500, 500)}, False),
        ({"other": dice(950, 50), "empty": NOTHING}, {"hard": dice(500, 500), "empty": NOTHING}, True),
        ({"empty": NOTHING}, OLD, False),
        ({}, OLD, False),
    ],
)
def test_which_of_two_models_is_better(new, old, better):
    assert is_better(new, old) is better


def test_what_a_record_says_of_the_model_before_it():
    def record(number, **starts):
        answers = {site: {"start": None if one is None else one.to_dict()} for site, one in starts.items()}
        return {"kind": "training", "round": number, "answers": answers}

    records = [
        record(1, easy=dice(1, 9)),
        record(2, easy=dice(900, 100), hard=None),
        {"kind": "validation", "round": 2},
    ]
    assert measured(records, 1) == {"easy": dice(900, 100)}
    assert measured(records, 2) == {}
