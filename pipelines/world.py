"""`retention world`: write the embedded company's raw tables to a folder of one's own."""

from __future__ import annotations

from pathlib import Path

from data import world
from data.errors import InputError
from pipelines import stage


def main(customers: int, months: int, seed: int, name: str, out: Path) -> None:
    """Write `<out>/<table>/part-NNNNN.parquet`, all or nothing; an earlier `out` is replaced.

    Raises InputError if a number is not positive, the world is unknown, or `out` is a folder that
    holds something else.
    """
    for what, value in (("customers", customers), ("months", months)):
        if value < 1:
            raise InputError(f"--{what} {value}: give a number of at least 1")
    if out.exists() and not (out.is_dir() and _may_replace(out)):
        raise InputError(f"{out} exists and is not a world that was written before; name another")
    out.parent.mkdir(parents=True, exist_ok=True)
    with stage.fresh_folder(out) as folder:
        world.generate(
            folder,
            customers=customers,
            months=months,
            seed=seed,
            world=name,
            workers=stage.workers(),
            progress=stage.say,
        )


def _may_replace(folder: Path) -> bool:
    """An empty folder, or one that holds nothing but the tables of a world."""
    return {path.name for path in folder.iterdir()} <= set(world.TABLE_NAMES)
