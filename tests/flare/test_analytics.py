from fedward.flare.analytics import scalars


def record(**received):
    return {"round": 2, "received": received or None, "answers": {"a": {"loss": 0.5}, "b": {}}, "weights": {"a": 1.0}}


def test_segmentation_has_cost_dice_and_iou():
    counts = {"true_positive": 60, "false_positive": 20, "false_negative": 20}
    found = scalars(record(cost=0.2, quality=0.75, **counts))
    assert found == {"global/cost": 0.2, "global/quality": 0.75, "global/iou": 0.6, "loss/a": 0.5, "weight/a": 1.0}


def test_details_have_tags_of_their_own_and_counts_of_images_none():
    details = {"auc.Hernia": 0.7, "positives.Hernia": 3, "negatives.Hernia": 9}
    details |= {"features.std": 0.02, "features.rank": 40.0, "knn.auc": 0.6}
    found = scalars(record(cost=0.2, quality=None, details=details))
    assert {tag for tag in found if not tag.startswith(("loss/", "weight/"))} == {
        *("global/cost", "auc/Hernia", "features/std", "features/rank", "knn/auc")
    }
    assert found["auc/Hernia"] == 0.7


def test_a_round_without_any_measurement():
    assert scalars(record()) == {"loss/a": 0.5, "weight/a": 1.0}
