"""Shared parts of the benchmarks: sides measured in turn, ratios with their range, and the machine's description."""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryFile
from typing import Any


@dataclass(frozen=True)
class Sample:
    """One run of one side."""

    seconds: float
    peak_mb: float = float("nan")
    processor_seconds: float = float("nan")  # of all threads and of the processes that it started itself
    values: dict[str, Any] = field(default_factory=dict)  # the process's own measurements


def time_script(script: str, *arguments: object, python: str = sys.executable, **environment: str) -> Sample:
    """Run Python source in a fresh process; its last line is a JSON object of its own measurements."""
    sample, output = _run([python, "-c", script, *map(str, arguments)], environment)
    return replace(sample, values=json.loads(output.splitlines()[-1]))


def time_process(command: Sequence[str], **environment: str) -> Sample:
    """Run a fresh process, and measure its wall time and its peak memory.

    Raises:
        RuntimeError: the process failed; the message has its output.
    """
    return _run(command, environment)[0]


def watch_process(command: Sequence[str], look: Callable[[int], None], **environment: str) -> float:
    """Run a fresh process, call `look` with its id 20 times per second until it ends, and return its seconds.

    Raises:
        RuntimeError: the process failed; the message has its output.
    """
    start = time.perf_counter()
    with TemporaryFile("w+") as said:
        with Popen(command, stdout=said, stderr=said, env={**os.environ, **environment}) as process:
            while process.poll() is None:
                look(process.pid)
                time.sleep(0.05)
        seconds = time.perf_counter() - start
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{said.read()[-2000:]}")
    return seconds


def bearcnn_train(data: Path | None, run: Path, settings: Sequence[str]) -> list[str]:
    """Build the command that trains on `data` (None: the built-in scenes), with settings such as train.epochs=3."""
    command = [sys.executable, "-m", "bearcnn", "train", "--out", str(run), "--json"]
    command += ["--data", str(data)] if data else []
    return [*command, *(word for setting in settings for word in ("--set", setting))]


def _run(command: Sequence[str], environment: dict[str, str]) -> tuple[Sample, str]:
    read, write = os.pipe()
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.execvpe(command[0], list(command), {**os.environ, **environment})
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        output = pipe.read()
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    if status:
        raise RuntimeError(f"{' '.join(command)} failed:\n{output.decode(errors='replace')[-2000:]}")
    per_mb = 1024 if sys.platform != "darwin" else 1024**2  # ru_maxrss is in KB on Linux, in bytes on macOS
    processor_seconds = usage.ru_utime + usage.ru_stime
    return Sample(seconds, usage.ru_maxrss / per_mb, processor_seconds), output.decode(errors="replace")


def alternate(sides: dict[str, Callable[[], Sample]], rounds: int, warm_up: bool = True) -> dict[str, list[Sample]]:
    """Run the sides in turn, A B A B ...: a slow phase of the machine slows all of them down."""
    if warm_up:
        for run in sides.values():
            run()
    samples: dict[str, list[Sample]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, run in sides.items():
            samples[name].append(run())
            say(f"round {number + 1} of {rounds}, {name}: {samples[name][-1].seconds:.2f} s")
    return samples


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in another process: the memory of this one would count as that of its children."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def say(text: str) -> None:
    """Print the progress."""
    print(f"  {text}", file=sys.stderr, flush=True)


def cores() -> int:
    """Count the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(base: Sequence[float], other: Sequence[float]) -> str:
    """Format `base` as a share of `other`, pair by pair: median, and the range of all pairs."""
    pairs = [one / two for one, two in zip(base, other, strict=True)]
    return f"{statistics.median(pairs):.0%} ({min(pairs):.0%} to {max(pairs):.0%})"


def ratios(base: Sequence[float], other: Sequence[float], digits: int = 1) -> str:
    """Format `base` as a multiple of `other`, pair by pair: median, and the range of all pairs."""
    pairs = [one / two for one, two in zip(base, other, strict=True)]
    return f"{statistics.median(pairs):.{digits}f} x ({min(pairs):.{digits}f} to {max(pairs):.{digits}f})"


def middle(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """Format the median and the range."""
    return f"{statistics.median(values):.{digits}f} {unit} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def machine() -> dict[str, Any]:
    """Describe hardware and versions."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    packages = ("bearcnn", "fastai", "torch", "onnxruntime", "pillow", "numpy")
    return {
        "processor": model,
        "cores": cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def finish(name: str, out: Path, lines: Sequence[str], samples: dict[str, list[Sample]], **more: Any) -> None:
    """Print the result, and keep every number in a JSON file."""
    where = machine()
    print(f"\n{name}")
    for line in lines:
        print(f"  {line}")
    print("  on " + ", ".join(f"{key} {value}" for key, value in where.items()))
    content = {"benchmark": name, "machine": where, **more}
    content["samples"] = {side: [asdict(sample) for sample in found] for side, found in samples.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(content, indent=1))
    print(f"  every number: {out}")


def arguments(description: str, rounds: int, data: bool = True) -> argparse.ArgumentParser:
    """Make a parser with the options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description)
    if data:
        parser.add_argument("--data", type=Path, help="folder of photos (default: drawn scenes)")
    parser.add_argument("--rounds", type=int, default=rounds, help="number of measurements of each side")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder for the JSON")
    return parser
