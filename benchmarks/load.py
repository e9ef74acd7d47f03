"""Other busy programs, to measure beside: processes that only count."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from subprocess import PIPE, Popen

from measure import Sample, ratios, say

_COUNT = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
print("counting", flush=True)
while os.getppid() == int(sys.argv[1]):  # it also ends when that process was killed
    for _ in range(1_000_000):
        pass
"""

Beside = dict[int, dict[str, list[Sample]]]
"""The samples of each side, beside each number of busy processes."""


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keep so many cores busy in this block, as far as the system lets them."""
    with ExitStack() as started:
        counting = []
        for _ in range(processes):
            process = Popen([sys.executable, "-c", _COUNT, str(os.getpid())], stdout=PIPE)
            started.enter_context(process)
            started.callback(process.kill)
            counting.append(process)
        for process in counting:
            assert process.stdout is not None
            process.stdout.readline()
        yield


def add_busy(parser: argparse.ArgumentParser) -> None:
    """Add the option of the loads to measure beside."""
    parser.add_argument(
        "--busy",
        type=_read_loads,
        default=(0,),
        metavar="N,...",
        help="measure beside so many processes that only count: 0,1,2 for an idle computer, one, and two (default: 0)",
    )


def alternate_beside(
    sides: dict[str, Callable[[], Sample]], rounds: int, loads: Sequence[int], warm_up: bool = True
) -> Beside:
    """Run the sides in turn beside each load, and all of that in turn: what changes slowly changes all of them."""
    if warm_up:
        for run in sides.values():
            run()
    found: Beside = {load: {name: [] for name in sides} for load in loads}
    for number in range(rounds):
        for load in loads:
            with busy(load):
                for name, run in sides.items():
                    sample = run()
                    found[load][name].append(sample)
                    say(f"round {number + 1} of {rounds}, {name}{words_of(load)}: {sample.seconds:.2f} s")
    return found


def words_of(load: int) -> str:
    """Say what was measured beside; nothing for an idle computer."""
    return f", beside {load} busy process{'es' if load > 1 else ''}" if load else ""


def name_of(name: str, load: int) -> str:
    """Name the result of a load."""
    return f"{name}-busy{load}" if load else name


def print_slowdowns(found: Beside) -> None:
    """Print how many times as long each side takes beside each load as on an idle computer, if that was measured."""
    loads = [load for load in found if load]
    if not loads or 0 not in found:
        return
    print("\nseconds, as a multiple of those on an idle computer")
    for name, idle in found[0].items():
        times = [ratios(_seconds(found[load][name]), _seconds(idle)) for load in loads]
        print(f"  {name:30} " + "; ".join(f"{load} busy: {text}" for load, text in zip(loads, times, strict=True)))


def _seconds(samples: Sequence[Sample]) -> list[float]:
    return [sample.seconds for sample in samples]


def _read_loads(text: str) -> tuple[int, ...]:
    loads = tuple(dict.fromkeys(int(word) for word in text.split(",")))
    if min(loads) < 0:
        raise argparse.ArgumentTypeError("a number of processes is 0 or more")
    return loads
