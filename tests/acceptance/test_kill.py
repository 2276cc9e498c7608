"""A run of `retention score` that is killed at any moment leaves a complete list, and resumes."""

from __future__ import annotations

import random
import shutil
import threading
from pathlib import Path

from tests.pipelines.lists_project import DAYS, TASKS, contents, scoring

KILLS = 30
FILES = ("run.json", *(f"{task}/list.{kind}" for task in TASKS for kind in ("parquet", "en.csv")))


class Reader:
    """Somebody who opens the lists all the time, as long as the block lasts."""

    def __init__(self, out: Path, *known: dict[str, bytes]) -> None:
        self.reads, self.problems = 0, list[str]()
        self._out, self._known = out, known
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._done.wait(0.002):
            for name in FILES:
                try:
                    found = (self._out / name).read_bytes()
                except OSError as error:
                    self.problems.append(f"{name}: {error}")
                    continue
                self.reads += 1
                if found not in [lists[name] for lists in self._known]:
                    self.problems.append(f"{name} is neither the earlier nor the new one")


def test_killed_at_30_moments_it_resumes_to_the_same_bytes_and_a_list_is_always_there(
    tmp_path: Path,
) -> None:
    moments = random.Random(20250701)
    out, work = tmp_path / "lists", tmp_path / ".lists.work"
    with scoring(tmp_path / "project") as project:
        project.run(out, day=DAYS[1])
        earlier = contents(out)
        kept = shutil.copytree(out, tmp_path / "earlier")
        project.run(out)
        undisturbed, events = contents(out), project.events()
        assert undisturbed != earlier and list(undisturbed) == list(earlier)
        assert not work.exists()
        resumed, reads = 0, 0
        for kill in range(KILLS):
            shutil.rmtree(out)
            shutil.copytree(kept, out)
            with Reader(out, earlier, undisturbed) as reader:
                delay = moments.choice([0.0, moments.random() / 50])
                project.start(out, kill_at=moments.randint(1, events), delay=delay)
                killed = project.ended()
                assert killed == -9 or (delay and killed == 0), (kill, killed, project.said())
                assert contents(out) in (earlier, undisturbed)
                said = project.run(out)
            assert contents(out) == undisturbed, kill
            assert not reader.problems, (kill, reader.problems[:3])
            resumed += "were finished by an earlier run" in said
            reads += reader.reads
    # The drill means something only if buckets were taken over and somebody was reading.
    assert resumed >= KILLS // 4 and reads > 100 * KILLS
