"""The `retention` command. Stages are imported only when they run, so `--help` is quick."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from pipelines import stage
from pipelines.engine import Engine

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Which support factors keep customers, who is at risk, and why.\n\n"
        "`dvc repro` runs source, ingest, tone, featurize, audit, train, evaluate, explain, score"
        " and report in order and only what changed. The same stages are commands here. Settings"
        " are in params.yaml; outputs go to artifacts/."
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
def tone() -> None:
    """Score the tone of every customer message once; the text goes no further."""
    from pipelines import tone as module

    module.main()


@app.command(rich_help_panel="Stages")
def featurize(
    engine: Annotated[
        Engine | None,
        typer.Option(help="What works on the buckets; RETENTION_ENGINE or local if not given."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Folder or address with tables/; artifacts/ if not given."),
    ] = None,
) -> None:
    """Compute features and labels for every customer and as-of date.

    Example: retention featurize --engine spark --store s3://company/retention/run-1
    """
    from pipelines import featurize as module

    module.main(engine, store)


@app.command(rich_help_panel="Stages")
def audit() -> None:
    """Check that nothing known only later reaches the features; fail if anything does."""
    from pipelines import audit as module

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


By = Annotated[
    str | None, typer.Option(help="Who decides; the name you are logged in with if not given.")
]
Why = Annotated[str, typer.Option(help="The reason, kept with the decision.")]


@app.command(rich_help_panel="Models")
def tune(
    task: Task,
    trials: Annotated[int, typer.Option(min=1, help="Settings to try in all.")] = 40,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes.")] = None,
    write: Annotated[bool, typer.Option(help="Write the best settings to params.yaml.")] = True,
) -> None:
    """Search better booster settings on the first test origin's past; resumes where it stopped."""
    from pipelines import tune as module

    module.main(task, trials=trials, minutes=minutes, write=write)


@app.command(rich_help_panel="Models")
def promote(task: Task, by: By = None, why: Why = "") -> None:
    """Make the newest model the champion if it is better beyond doubt; exit code 1 if not.

    Example: retention promote churn --why "features of April"
    """
    from pipelines import promote as module

    module.main(task, by=by, why=why)


@app.command(rich_help_panel="Models")
def rollback(task: Task, by: By = None, why: Why = "") -> None:
    """Give the title back to the champion before."""
    from pipelines import promote as module

    module.rollback(task, by=by, why=why)


@app.command(rich_help_panel="Models")
def champion(
    task: Task, out: Annotated[Path, typer.Option(help="Folder to write <task>/ into.")]
) -> None:
    """Fetch the champion, for `retention score --models FOLDER`."""
    from pipelines import promote as module

    module.export(task, out)


@app.command(rich_help_panel="Privacy")
def forget(
    customer: Annotated[str, typer.Argument(help="The customer's id as in the source.")],
    requested_on: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="Day of the request, for the log.")
    ],
) -> None:
    """Erase a customer from every output and from all later runs."""
    from pipelines import forget as module

    module.main(customer, requested_on.date())


@app.command(rich_help_panel="Look things up")
def features(
    describe: Annotated[
        bool, typer.Option("--describe", help="Definition, reason and benchmark too.")
    ] = False,
    language: Annotated[Language, typer.Option(help="Language of the texts.")] = Language.en,
) -> None:
    """List every feature: name, family, unit, METHODS rows, lever or context, and what it means."""
    from data.contracts import TABLES
    from features import describe as words
    from features.catalog import features as catalog
    from pipelines import params

    say = words.paragraph if describe else words.line
    chosen: Literal["en", "ja"] = "ja" if language is Language.ja else "en"
    for feature in catalog(params.load().features.windows, [table.name for table in TABLES]):
        typer.echo(say(feature, chosen) + ("\n" if describe else ""))


@app.command(rich_help_panel="Look things up")
def doctor(
    source: Annotated[
        str | None, typer.Option(help="A source; that of params.yaml if not given.")
    ] = None,
    language: Annotated[Language, typer.Option(help="Language of the advice.")] = Language.en,
) -> None:
    """Say what can be modelled from a source's data, and what is wrong with them."""
    from pipelines import doctor as module

    module.main(source, language.value)


@app.command(rich_help_panel="Look things up")
def sources() -> None:
    """List the sources that `source.name` in params.yaml can be set to."""
    from data import source as module

    for name in module.known():
        typer.echo(f"{name}\t{module.load(name).description.en}")


@app.command(rich_help_panel="Look things up")
def world(
    out: Annotated[Path, typer.Option(help="Folder to write; an earlier world there is replaced.")],
    customers: Annotated[int, typer.Option(min=1, help="How many.")] = 10_000,
    months: Annotated[int, typer.Option(min=1, help="After six months of warm-up.")] = 24,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 7,
    world: Annotated[str, typer.Option(help="W0-W6, bot_rollout, jp_only or tiny.")] = "W1",
) -> None:
    """Write the raw tables of an embedded company.

    Example: retention world --customers 1000000 --out /data/world
    """
    from pipelines import world as module

    module.main(customers, months, seed, world, out)


def main() -> None:
    """Entry point: errors a person can mend end with one line and exit code 2."""
    stage.run(app)


if __name__ == "__main__":
    main()
