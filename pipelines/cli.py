"""The `retention` command. Stages are imported only when they run, so `--help` is quick."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines import stage

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Which support factors keep customers, who is at risk, and why.\n\n"
        "`dvc repro` runs source, ingest, featurize, train, evaluate, explain, score and report in"
        " order and only what changed. The same stages are commands here. Settings are in"
        " params.yaml; outputs go to artifacts/."
    ),
)


class Language(StrEnum):
    """A language of reports and lists."""

    en = "en"
    ja = "ja"


Task = Annotated[Literal["churn", "repeat_purchase"], typer.Argument(help="What to predict.")]


@app.command(rich_help_panel="Stages")
def source() -> None:
    """Note which input files the source has, so that changed data are noticed."""
    from pipelines import source as module

    module.main()


@app.command(rich_help_panel="Stages")
def ingest() -> None:
    """Read the source into canonical tables, check the contract, set bad rows aside."""
    from pipelines import ingest as module

    module.main()


@app.command(rich_help_panel="Stages")
def featurize() -> None:
    """Compute features and labels for every customer and as-of date."""
    from pipelines import featurize as module

    module.main()


@app.command(rich_help_panel="Stages")
def train(task: Task) -> None:
    """Train and calibrate the task's models and record them in MLflow."""
    from pipelines import train as module

    module.main(task)


@app.command(rich_help_panel="Stages")
def evaluate(task: Task) -> None:
    """Measure the task's models out of time, against baselines."""
    from pipelines import evaluate as module

    module.main(task)


@app.command(rich_help_panel="Stages")
def explain(task: Task) -> None:
    """Compute SHAP values and sum them into support factors."""
    from pipelines import explain as module

    module.main(task)


@app.command(rich_help_panel="Stages")
def score(
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Date to score on; the last as-of date if not given."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; artifacts/score if not given.")
    ] = None,
    language: Annotated[
        list[Language] | None, typer.Option(help="Repeat for both. params.yaml if not given.")
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder of models; artifacts/models if not given.")
    ] = None,
) -> None:
    """Write the ranked lists: calibrated risk, tier, reasons and a next step per customer.

    Example: retention score --as-of 2025-06-15 --out lists --language ja
    """
    from pipelines import score as module

    module.main(as_of.date() if as_of else None, out, language, models)


@app.command(rich_help_panel="Stages")
def report() -> None:
    """Write the leadership report in every configured language."""
    from pipelines import report as module

    module.main()


@app.command(rich_help_panel="Look things up")
def features() -> None:
    """List every feature: name, family, lever or context, unit, and what it means."""
    from data.contracts import TABLES
    from features.catalog import features as catalog
    from pipelines import params

    windows = params.load().features.windows
    for feature in catalog(windows, [table.name for table in TABLES]):
        role = "lever" if feature.lever else "context"
        typer.echo(
            f"{feature.name}\t{feature.family}\t{role}\t{feature.unit}"
            f"\t{feature.en.label}\t{feature.ja.label}"
        )


@app.command(rich_help_panel="Look things up")
def sources() -> None:
    """List the sources that `source.name` in params.yaml can be set to."""
    from data import source as module

    for name in module.known():
        typer.echo(f"{name}\t{module.load(name).description.en}")


def main() -> None:
    """Entry point: errors a person can mend end with one line and exit code 2."""
    stage.run(app)


if __name__ == "__main__":
    main()
