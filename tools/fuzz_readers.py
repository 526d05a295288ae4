"""Read damaged files of every format, and say what ends in anything but one sentence.

    python tools/fuzz_readers.py [FORMAT ...] [--runs 10000] [--seed 0] [--save fuzz-finds]

Valid files come from tests/io/writers, one module a format, and from tests/data/fuzz/FORMAT; tests/io/mutations.py
damages them. Each is read as a user would, with a frame or without, and so is what it names; reported are

- any error but an InputError of one line, and anything that is printed;
- a call of more than 5 s;
- memory beyond twice the data, and 64 MB for the libraries;
- the end of the process.

Run K of a seed damages the same file in the same way every time. Each kind of find is saved once. Linux only: a worker
is forked for each format, and started anew when it ends or hangs.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import io
import json
import math
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "io"))

from mutations import mutated  # noqa: E402
from writers import SEEDS  # noqa: E402

from napari_subangstrom_cdi.errors import InputError  # noqa: E402
from napari_subangstrom_cdi.io.image import contents, read_image  # noqa: E402

SECONDS = 5.0
FLOOR_BYTES = 64 * 2**20
HEADROOM_BYTES = 3 * 2**30
MAX_BYTES = 2**24


@dataclass
class Corpus:
    """Valid files of a format in a folder of their own, by which each is damaged in turn."""

    folder: Path
    paths: list[Path]
    whole: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.whole = [path.read_bytes() for path in self.paths]

    def damage(self, seed: int, run: int) -> tuple[int, bytes, Random]:
        """Which file is damaged in a run, its bytes then, and the random numbers for what is done with it."""
        rng = Random(seed * 1_000_003 + run)
        which = rng.randrange(len(self.paths))
        return which, mutated(self.whole[which], rng), rng


def corpus_of(name: str, folder: Path) -> Corpus:
    """What the format's writer gives, and what was found before."""
    paths = SEEDS[name](folder)
    for found in sorted((ROOT / "tests" / "data" / "fuzz" / name).glob("*")):
        paths.append(Path(shutil.copy(found, folder / found.name)))
    return Corpus(folder, paths)


def read_as_a_user(path: Path, others: list[Path], rng: Random) -> int:
    """Read a file in one of the ways that there are; bytes of what was read.

    Raises
    ------
    InputError
        As it should.
    Exception
        As it should not.
    """
    names = [item.name for item in contents(path)]
    address = f"{path}::{rng.choice(names)}" if names and rng.random() < 0.7 else str(path)
    if others and rng.random() < 0.2:  # a file beside the damaged one may depend on it
        address = str(rng.choice(others))
    read = read_image(address, frame=rng.choice((None, None, 0, 1, "sum")), max_bytes=MAX_BYTES)
    if read.data.ndim != 2:
        raise AssertionError(f"an image of {read.data.ndim} dimensions")
    return read.data.nbytes


def read_or_refuse(path: Path) -> None:
    """Read a file, whether it can be read or not."""
    with contextlib.suppress(InputError):
        read_image(path, frame="sum")


def check(corpus: Corpus, seed: int, run: int) -> str | None:
    """Do one run; what is wrong with it, None if nothing is."""
    which, damaged, rng = corpus.damage(seed, run)
    path = corpus.paths[which]
    path.write_bytes(damaged)
    printed = io.StringIO()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = len(damaged)
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            size = max(size, read_as_a_user(path, corpus.paths, rng))
    except InputError as error:
        if "\n" in str(error):
            return "a message of several lines"
        if isinstance(error.__cause__, MemoryError):
            return f"memory: {_place(error.__cause__)}"
    except Exception as error:
        return f"{type(error).__name__}: {_place(error)}"
    finally:
        path.write_bytes(corpus.whole[which])
    if printed.getvalue():
        return f"printed {printed.getvalue()[:60]!r}"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return f"memory: {grown / 2**20:.0f} MB" if grown > FLOOR_BYTES + 2 * size else None


def _place(error: BaseException) -> str:
    """Where an error came from, the last line of ours first."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "napari_subangstrom_cdi" in f.filename]
    last = (ours or frames)[-1:]
    return " ".join(f"{Path(f.filename).name}:{f.lineno}" for f in (*last, frames[-1])) if frames else "?"


def _work(corpus: Corpus, seed: int, runs: range, state: Any, pipe: Any) -> None:
    """All runs in a forked process; state says which one is going on, and since when."""
    warnings.simplefilter("ignore")
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + HEADROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for path, whole in zip(corpus.paths, corpus.whole, strict=True):
        path.write_bytes(whole)
        read_or_refuse(path)  # imports and caches count for no run
    for run in runs:
        state[0], state[1], state[2] = run, time.monotonic(), time.process_time()
        problem = check(corpus, seed, run)
        if problem is not None:
            pipe.send((run, problem))
    state[0] = runs.stop
    pipe.close()


def fuzz(corpus: Corpus, seed: int, runs: int) -> Iterator[tuple[int, str]]:
    """Finds of a format: the run and what is wrong; a worker that ends or hangs is replaced."""
    context = multiprocessing.get_context("fork")
    state = context.Array(ctypes.c_double, 3, lock=False)
    start = 0
    while start < runs:
        receiver, sender = context.Pipe(duplex=False)
        state[0], state[1], state[2] = start, time.monotonic(), math.inf
        worker = context.Process(target=_work, args=(corpus, seed, range(start, runs), state, sender))
        worker.start()
        sender.close()
        hung = False
        while not hung:
            hung = worker.is_alive() and _hangs(worker.pid or 0, state[1], state[2])
            try:
                while receiver.poll(0.2):
                    yield receiver.recv()
            except EOFError:
                break
        if hung:
            worker.kill()
        worker.join()
        run = int(state[0])
        if hung:
            yield run, f"no answer in {SECONDS:g} s"
        elif run < runs:
            code = worker.exitcode or 0
            yield run, f"the process ended: {signal.Signals(-code).name if code < 0 else f'exit {code}'}"
        start = run + 1


def _hangs(pid: int, began: float, cpu: float) -> bool:
    """Whether the run takes too long by the worker's own time; a busy machine is given a minute or two."""
    elapsed = time.monotonic() - began
    if elapsed < SECONDS:
        return False
    with contextlib.suppress(OSError):
        ticks = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]
        return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK") - cpu > SECONDS or elapsed > 30 * SECONDS
    return False


def main() -> int:
    """Fuzz the formats named, or all; 1 if anything was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=f"of {', '.join(SEEDS)}; all if none is named")
    parser.add_argument("--runs", type=int, default=10_000, help="for each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, default=Path("fuzz-finds"), help="folder for what was found")
    arguments = parser.parse_args()
    unknown = set(arguments.formats) - set(SEEDS)
    if unknown:
        parser.error(f"no writer for {', '.join(sorted(unknown))}; there are {', '.join(SEEDS)}")
    total = 0
    for name in arguments.formats or SEEDS:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
            total += _report(name, corpus_of(name, Path(folder)), arguments)
    return int(total > 0)


def _report(name: str, corpus: Corpus, arguments: argparse.Namespace) -> int:
    """Kinds of finds of one format, each saved and told once."""
    began, finds = time.monotonic(), {}
    for run, problem in fuzz(corpus, arguments.seed, arguments.runs):
        kind = problem.split(" MB")[0] if problem.startswith("memory") else problem
        if kind not in finds:
            which, damaged, _ = corpus.damage(arguments.seed, run)
            path = arguments.save / name / f"{arguments.seed}-{run}-{corpus.paths[which].name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(damaged)
            print(f"  {problem} (run {run}): {path}", flush=True)
        finds[kind] = finds.get(kind, 0) + 1
    seconds = time.monotonic() - began
    pace = arguments.runs / seconds
    print(f"{name}: {arguments.runs} runs in {seconds:.0f} s ({pace:.0f}/s), {len(finds)} kinds of finds", flush=True)
    if finds:
        print(json.dumps(finds, indent=1), flush=True)
    return len(finds)


if __name__ == "__main__":
    sys.exit(main())
