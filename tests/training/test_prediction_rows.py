import numpy as np

from fedward.datasets.image_table import ImageTable
from fedward.training.classification_test_set import write_predictions


def test_two_images_of_one_file_name_are_told_apart(tmp_path):
    paths = tuple(tmp_path / "test" / "train" / patient / "study1" / "view1_frontal.jpg" for patient in ("p1", "p2"))
    table = ImageTable(paths, ("p1", "p2"), np.ones((2, 1), np.float32), ("Edema",))
    write_predictions(tmp_path / "p.npz", tmp_path / "test", table, {"best": np.ones((2, 1), np.float32)})
    with np.load(tmp_path / "p.npz", allow_pickle=False) as saved:
        assert saved["images"].tolist() == [f"train/{patient}/study1/view1_frontal.jpg" for patient in ("p1", "p2")]
