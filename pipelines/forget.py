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
    stage.say(
        "The models were trained with this customer: run `dvc repro` to train without, then"
        " `dvc gc --workspace` to drop earlier copies, and delete the MLflow runs of before."
    )


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
