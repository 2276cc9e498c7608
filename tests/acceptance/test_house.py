"""The rules of the house: which package may import which, and where the edges are."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("data", "features", "models", "reports", "pipelines")
MODULES = sorted(path for layer in LAYERS for path in (ROOT / layer).rglob("*.py"))


def imported(path: Path) -> set[str]:
    """Dotted names of everything a module imports, at its top or inside functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    layer = path.relative_to(ROOT).parts[0]
    above = set(LAYERS[LAYERS.index(layer) + 1 :])
    assert not {name for name in imported(path) if name.split(".")[0] in above}


@pytest.mark.parametrize(
    ("package", "file"),
    [("mlflow", "pipelines/tracking.py"), ("pyspark", "pipelines/cluster.py")],
)
def test_one_file_imports_it(package: str, file: str) -> None:
    users = [
        p.relative_to(ROOT).as_posix()
        for p in MODULES
        if any(name.split(".")[0] == package for name in imported(p))
    ]
    assert users == [file]


def test_nothing_loads_a_pickle_or_asks_the_clock_for_data() -> None:
    for path in MODULES:
        assert not imported(path) & {"pickle", "joblib", "cloudpickle", "dill", "shelve"}, path
        calls = re.findall(
            r"datetime\.now|date\.today|Timestamp\.now|datetime\.utcnow|read_pickle|current_date",
            path.read_text(encoding="utf-8"),
        )
        assert not calls, (path, calls)


def test_the_architecture_page_names_files_that_exist() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = page[page.index("## To change") :].split("\n## ")[0]
    named = re.findall(r"`([\w./<>-]+/[\w./<>-]*)`", table)
    assert len(named) > 12
    for name in named:
        pattern = re.sub(r"<\w+>", "*", name)
        assert list(ROOT.glob(pattern.rstrip("/"))), f"{name} does not exist"


def test_the_readme_tree_names_what_there_is() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    tree = page[page.index("```tree") :].split("```")[1]
    named = [line.split()[0].rstrip("/") for line in tree.splitlines()[1:] if line.strip()]
    assert len(named) > 10
    for name in named:
        assert (ROOT / name).exists() or name in ("artifacts", "mlflow.db"), name


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_locks_are_hashed_and_name_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert "://" not in text
    pins = [line for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
    assert len(pins) > 80 and all("==" in pin for pin in pins)
    assert text.count("--hash=sha256:") >= len(pins)


def test_the_development_lock_agrees_with_the_core_lock() -> None:
    def pins(lock: str) -> set[str]:
        text = (ROOT / lock).read_text(encoding="utf-8")
        return set(re.findall(r"^([a-z0-9][\w.\-]*==[^ ;\\]+)", text, flags=re.M))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


def test_help_answers_without_loading_the_heavy_libraries() -> None:
    heavy = ("lightgbm", "mlflow", "numba", "pandas", "shap", "sklearn", "duckdb")
    code = (
        "import sys; from typer.testing import CliRunner; from pipelines.cli import app;"
        "out = CliRunner().invoke(app, ['--help']); assert out.exit_code == 0, out.output;"
        f"print(sorted(set({heavy!r}) & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
