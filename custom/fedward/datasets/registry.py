"""The data sets that a job, a command or a site's configuration may name."""

from fedward.datasets import lgg, lgg_check
from fedward.datasets.base import DataSet
from fedward.errors import UsageError

DATA_SETS = {
    "lgg": DataSet(
        name="lgg",
        title="LGG brain MRI, tumour segmentation (Kaggle kaggle_3m)",
        find_cases=lgg.find_cases,
        read_case=lgg.read_case,
        check=lgg_check.check,
    ),
}


def names() -> list[str]:
    """Registered names, sorted."""
    return sorted(DATA_SETS)


def get_data_set(name: str) -> DataSet:
    """The data set of that name; UsageError lists the known ones."""
    try:
        return DATA_SETS[name]
    except (KeyError, TypeError):
        raise UsageError(f"unknown data set {name!r}: use one of {', '.join(names())}") from None
