import pytest
import torch
from small_run import load_images, small_settings

from fedward.datasets.layout import describe, lay_out, new_folder
from fedward.datasets.partition import PartitionSettings, make_plan
from fedward.datasets.phantoms import write_phantoms
from fedward.datasets.registry import get_data_set
from fedward.rounds.run_folder import write_json


@pytest.fixture(scope="session")
def sites_folder(tmp_path_factory):
    """Three hospitals of two or more patients, three test patients, one of the server. Not to be changed."""
    root = tmp_path_factory.mktemp("phantom-hospitals")
    write_phantoms(root / "images", patients=12, slices=6, size=32, institutions=3, seed=3)
    data_set = get_data_set("lgg")
    cases = data_set.find_cases(root / "images")
    institution_of = {case.patient: case.institution for case in cases}
    settings = PartitionSettings(sites=3, by="iid", fold=1, folds=4, server_patients=1)
    plan = make_plan(institution_of, settings)
    slices = {case.patient: (6, int(data_set.read_case(case).mask.any(axis=(1, 2)).sum())) for case in cases}
    with new_folder(root / "sites") as folder:
        lay_out(cases, plan, folder)
        write_json(folder / "partition.json", describe("lgg", institution_of, slices, plan, settings))
    return root / "sites"


@pytest.fixture(scope="session")
def images(sites_folder):
    return load_images(sites_folder, small_settings())


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
