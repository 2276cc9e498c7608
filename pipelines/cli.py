"""The `retention` command. Stages are imported only when they run, so `--help` is quick."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from pipelines import stage
from pipelines.engine import Engine

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=(
        "Which support factors keep customers, who is at risk, and why.\n\n"
        "`dvc repro` runs source, ingest, tone, featurize, audit, train, evaluate, explain,"
        " effects, kpis, score and report in order and only what changed. The same stages are"
        " commands here. Settings are in params.yaml; outputs go to artifacts/."
    ),
)


class Language(StrEnum):
    """A language of reports and lists."""

    en = "en"
    ja = "ja"


TaskName = Literal["churn", "repeat_purchase"]
Task = Annotated[TaskName, typer.Argument(help="What to predict.")]


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
def explain(
    what: Annotated[str, typer.Argument(help="A task (the stage), or a customer's id.")],
    as_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Of a customer; the last as-of date if not given."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Of a customer: write a page instead of printing.")
    ] = None,
    language: Annotated[Language, typer.Option(help="Of a customer.")] = Language.en,
    models: Annotated[
        Path | None, typer.Option(help="Of a customer: other models than artifacts/models.")
    ] = None,
) -> None:
    """Explain a task's model by support factors, or one customer: timeline, features, reasons.

    Example: retention explain C000123 --as-of 2025-06-15 --language ja --html customer.html
    """
    if what in get_args(TaskName):
        from pipelines import explain as module

        module.main(what)
        return
    from pipelines import customer

    text = customer.main(what, as_of.date() if as_of else None, html, language.value, models)
    if text is not None:
        typer.echo(text)


@app.command(rich_help_panel="Stages")
def effects() -> None:
    """Estimate what each support lever does to churn, check it and grade the evidence."""
    from pipelines import effects as module

    module.main()


@app.command(rich_help_panel="Stages")
def kpis() -> None:
    """Compute the support KPIs and check the articles' claims on the company's own data."""
    from pipelines import kpis as module

    module.main()


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
    past: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of earlier lists, whose customers are left alone. Repeat."),
    ] = None,
    champion: Annotated[
        bool, typer.Option("--champion", help="Score with the registered champions instead.")
    ] = False,
    engine: Annotated[
        Engine | None, typer.Option(help="What works on the buckets; RETENTION_ENGINE or local.")
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Score other tables: a folder or address such as s3://bucket/run."),
    ] = None,
) -> None:
    """Write the ranked lists: calibrated risk, tier, reasons and a next step per customer.

    The earlier lists stay until the new ones are complete; a killed run goes on where it stopped.
    Example: retention score --as-of 2025-06-15 --out lists --language ja
    """
    from pipelines import score as module

    module.main(
        as_of.date() if as_of else None,
        out,
        language,
        models,
        champion=champion,
        chosen=engine,
        location=store,
        past=past or (),
    )


@app.command(rich_help_panel="Stages")
def outcomes(
    lists: Annotated[
        list[Path], typer.Option(help="Folder that `retention score` wrote. Repeat for more.")
    ],
    contacted: Annotated[
        Path | None,
        typer.Option(help="CSV of those contacted, a customer per row; outreach if not given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; artifacts/outcomes if not given.")
    ] = None,
) -> None:
    """Say what became of the customers on past lists, and whether contacting them helped.

    Example: retention outcomes --lists lists/2025-01 --lists lists/2025-02
    """
    from pipelines import outcomes as module

    module.main(lists, contacted, out)


@app.command(rich_help_panel="Stages")
def monitor(
    as_of: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="A date of the feature table; the last one if not given."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write; artifacts/monitor if not given.")
    ] = None,
    models: Annotated[
        Path | None, typer.Option(help="Folder of models; artifacts/models if not given.")
    ] = None,
) -> None:
    """Compare customers, scores, data and outcomes with those the models were trained on.

    Exit code 0 if nothing alarms, 2 for bad input, 3 for an alarm.
    Example: retention score && retention monitor
    """
    from pipelines import monitor as module

    if module.main(as_of.date() if as_of else None, out, models):
        raise typer.Exit(3)


@app.command(rich_help_panel="Stages")
def report(
    compare: Annotated[
        Path | None,
        typer.Option(help="facts.json of an earlier report, to say what changed; give --out, too."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; artifacts/reports if not given.")
    ] = None,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print it, too: to --out or artifacts/pdf.")
    ] = False,
) -> None:
    """Write the leadership report in every configured language.

    Example: retention report --compare last_month/facts.json --out this_month --pdf
    """
    from pipelines import report as module

    module.main(compare, out, as_pdf=pdf)


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


@app.command("what-if", rich_help_panel="Look things up")
def what_if(
    lever: Annotated[
        list[str],
        typer.Option(help="A lever and its change: fcr=85%, escalated=-2pp. Repeat."),
    ],
    language: Annotated[Language, typer.Option(help="Language of the answer.")] = Language.en,
) -> None:
    """Say how many more or fewer customers would leave if a support lever were pulled.

    Only levers with evidence grade A or B, and only as far as the data go; exit code 2 else.
    Example: retention what-if --lever fcr=+3pp --lever first_response_hours=-50%
    """
    from pipelines import what_if as module

    module.main(lever, language.value)


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


@app.command(rich_help_panel="Your own data")
def new_source(
    name: Annotated[str, typer.Argument(help="What the source is to be called.")],
    files: Annotated[
        list[Path], typer.Option("--from", help="A file of the company; once per file.")
    ],
    timezone: Annotated[str, typer.Option(help="Zone of times without one.")] = "UTC",
    currency: Annotated[str, typer.Option(help="ISO 4217 code.")] = "USD",
) -> None:
    """Draft source.yaml and the SELECTs of a new source from the headers of its files.

    Example: retention new-source acme --from customers.csv --from orders.csv --timezone Asia/Tokyo
    """
    from data import draft

    for path in draft.draft(name, files, timezone=timezone, currency=currency):
        guesses = path.read_text(encoding="utf-8").count("REVIEW")
        stage.say(f"drafted {path.name}: {guesses} guesses")
    stage.say(f"Check each line marked REVIEW, then run `retention doctor --source {name}`.")


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
