"""Forget a customer: erase the rows now, and see to it that no later ingest brings them back."""

from __future__ import annotations

from datetime import date

import duckdb

from data import privacy, source
from pipelines import params, paths, stage


def main(customer: str, requested_on: date) -> None:
    """Erase one customer from all outputs; list what still has to be run again.

    `customer` is the company's own id, also where outputs hold pseudonyms. The id is written
    nowhere: the source's `erased.csv` gets a hash and the day of the request. Raises PrivacyError
    when nobody has that id.
    """
    chosen = source.load(params.load().source.name)
    key = privacy.key_of(chosen)
    known_as = customer if key is None else privacy.pseudonym(key, customer)
    if privacy.fingerprint_of(known_as) not in privacy.erased(chosen.folder):
        _must_exist(known_as)
        privacy.log_erasure(chosen.folder, known_as, requested_on)
    changed = privacy.erase_from(paths.ARTIFACTS, known_as)
    for path in changed:
        stage.say(f"erased from {paths.shown(path)}")
    for line in _still_to_do(chosen.name):
        stage.say(line)


def _still_to_do(name: str) -> list[str]:
    """What must be trained again, and what this command cannot reach, each with its command."""
    trained = sorted(path.parent.name for path in paths.MODELS.glob(f"*/{paths.PRODUCTION}"))
    models = f" ({', '.join(trained)})" if trained else ""
    store = f"sqlite:///{paths.shown(paths.TRACKING_DATABASE)}"
    return [
        f"1. train again: the models{models} were trained with this customer; run `dvc repro`",
        "2. not reached, copies in DVC's cache: after that, `dvc gc --workspace --force`; with a"
        " remote also `dvc gc --workspace --cloud --force`",
        f"3. not reached, MLflow's runs and model versions of before (experiment retention/{name}):"
        " delete them in `make ui` or with `mlflow runs delete --run-id ID`, then"
        f" `mlflow gc --backend-store-uri {store}`",
        "4. not reached: lists and reports that were handed out or written elsewhere with --out,"
        " and the files of the company themselves",
    ]


def _must_exist(customer: str) -> None:
    for path in sorted((paths.TABLES / "customers").glob("*.parquet")):
        found = duckdb.execute(
            f"SELECT count(*) FROM '{path}' WHERE customer_id = ?", [customer]
        ).fetchone()
        if found is not None and found[0]:
            return
    raise privacy.PrivacyError(
        "there is no such customer in artifacts/tables/customers; give the id as the company's"
        " systems have it, and run `dvc repro ingest` if the tables are old"
    )
