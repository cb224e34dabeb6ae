"""What check-kit says of a site's X-rays: the same reader as training, and enough patients."""

from fedward.cli import cli, run
from fedward.kits.data_checks import check_data_sets
from fedward.site_config import SiteConfig


def test_x_rays_are_read_remembered_and_counted(tmp_path):
    images = tmp_path / "images"
    assert run(cli, ["phantoms", "chestxray14", str(images), "--patients", "6", "--size", "32"]) == 0
    config = SiteConfig("f", data_sets={"chestxray14": images}, cache=tmp_path / "cache", min_patients=3)
    first, second = (check_data_sets(config, remembered=True, workers=1) for _ in range(2))
    assert [one.name for one in first] == ["data set chestxray14", "patients of chestxray14"]
    assert all(one.level in ("ok", "warning") for one in first), first
    assert "6 patients" in first[0].text
    assert "checked before, unchanged since" in second[0].text
    few = SiteConfig("f", data_sets={"chestxray14": images}, min_patients=7)
    assert "min_patients asks for 7" in check_data_sets(few, remembered=True, workers=1)[1].text
    next((images / "images").glob("*.png")).write_bytes(b"broken")
    broken = check_data_sets(config, remembered=True, workers=1)[0]
    assert broken.level == "problem"
    assert "fedward check-data chestxray14" in broken.fix


def test_a_plain_folder_is_a_data_set_without_labels(tmp_path):
    images = tmp_path / "images"
    assert run(cli, ["phantoms", "chestxray14", str(images), "--patients", "6", "--size", "32"]) == 0
    plain = images / "images"
    (found,) = check_data_sets(SiteConfig("f", data_sets={"image_folder": plain}), remembered=False, workers=1)
    assert found.level in ("ok", "warning")
    assert f"{len(list(plain.iterdir()))} images" in found.text
