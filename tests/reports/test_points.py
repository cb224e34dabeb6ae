"""What of a round's record becomes a point of a curve."""

from event_records import record

from fedward.reports.points import points


def test_segmentation_has_cost_dice_and_iou():
    counts = {"true_positive": 60, "false_positive": 20, "false_negative": 20}
    of_model = {"global/cost": (1, 0.2), "global/quality": (1, 0.75), "global/iou": (1, 0.6)}
    assert points(record(cost=0.2, quality=0.75, **counts)) == {**of_model, "loss/a": (2, 0.5), "weight/a": (2, 1.0)}


def test_details_have_tags_of_their_own_and_counts_of_images_none():
    details = {"auc.Hernia": 0.7, "positives.Hernia": 3, "negatives.Hernia": 9}
    details |= {"features.std": 0.02, "features.rank": 40.0, "knn.auc": 0.6}
    found = points(record(cost=0.2, quality=None, details=details))
    assert {tag for tag in found if not tag.startswith(("loss/", "weight/"))} == {
        *("global/cost", "auc/Hernia", "features/std", "features/rank", "knn/auc")
    }
    assert found["auc/Hernia"] == (1, 0.7)


def test_a_round_without_any_measurement():
    assert points(record()) == {"loss/a": (2, 0.5), "weight/a": (2, 1.0)}


def test_a_received_model_is_of_the_round_before_and_the_last_one_of_the_last_round():
    assert [points(record(number, cost=0.5))["global/cost"] for number in (1, 2)] == [(0, 0.5), (1, 0.5)]
    assert points(record(2, "validation", cost=0.4))["global/cost"] == (2, 0.4)
