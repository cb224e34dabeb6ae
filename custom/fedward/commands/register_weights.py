"""`fedward register-weights`: weights that jobs may start from, by name and SHA-256."""

from pathlib import Path

import click

from fedward.errors import UsageError

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command(
    "register-weights",
    epilog="Examples: fedward register-weights moco-v2 runs/moco-v2 --sites SITES; "
    "fedward register-weights imagenet densenet121-a639ec97.pth --kit kits/server",
)
@click.argument("name")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--sites", type=FOLDER, help="For simulations: the folder made by fedward partition.")
@click.option("--kit", type=FOLDER, help="For a real network: the server's kit.")
@click.option(
    "--which",
    type=click.Choice(["last", "best"]),
    default="last",
    show_default=True,
    help="Which model of a run folder: after the last round, or best on validation.",
)
@click.option("--replace", is_flag=True, help="Give the name to these weights where it belongs to others.")
def command(name: str, source: Path, sites: Path | None, kit: Path | None, which: str, replace: bool) -> None:
    """Let jobs begin with the weights in SOURCE: --starting-weights NAME.

    SOURCE is the run folder of a pretraining, a .safetensors model, or a torchvision DenseNet-121 file (.pth), of which
    the encoder alone is kept; of a U-Net, all. A copy is written to weights/NAME.safetensors, and its SHA-256 into
    SITES/weights.json or into local/fedward.yml of the server's kit. Of a run with --mode local each hospital's weights
    are registered, for jobs with --mode local in which each hospital begins with its own.
    """
    from fedward.networks.registering import register_in_kit, register_in_sites
    from fedward.rounds.run_folder import RunFolder, unfinished

    if (sites is None) == (kit is None):
        raise UsageError("give either --sites (simulations) or --kit (the server of a network)")
    if sites is not None:
        registered = register_in_sites(name, source, which, sites, replace)
    else:
        assert kit is not None  # one of the two is given
        registered = [register_in_kit(name, source, which, kit, replace)]
    for one in registered:
        about = one.metadata
        arguments = ", ".join(f"{key} {value}" for key, value in about["network_args"].items())
        click.echo(f"{one.name} is registered in {one.listed_in}")
        click.echo(f"  file     {one.file}")
        click.echo(f"  SHA-256  {one.sha256}")
        click.echo(f"  tensors  {one.tensors} of {about['network']} ({arguments})")
        click.echo(f"  from     {_origin(about)}{f' (its {which} model)' if source.is_dir() else ''}")
    if source.is_dir() and (note := unfinished(RunFolder(source))):
        click.echo(f"Note: {note}", err=True)
    alone = "" if registered[0].name == name else " and --mode local"
    click.echo(f"A job takes them with --starting-weights {name}{alone}.")


def _origin(about: dict[str, object]) -> str:
    parts = [about.get("method", about["network"])]
    words = (("run", "run"), ("round", "round"), ("data_set", "data set"), ("origin", "file"))
    parts += [f"{word} {about[key]}" for key, word in words if key in about]
    return ", ".join(str(part) for part in parts)
