"""Shared parts of the experiments: drawn photos, sweeps, kept results, and the blocks of docs/findings.md.

An interrupted experiment continues when it is started again. What it measured is kept in experiments/results, and
`make pictures` draws it.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bearcnn.evaluation.formats import signed

ROOT = Path(__file__).resolve().parents[1]
FINDINGS = ROOT / "docs" / "findings.md"
RESULTS = ROOT / "experiments" / "results"
NETWORK = (
    "data.image_size=64",
    "model.widths=[16,32,64]",
    "train.lr=5e-3",
    "train.batch_size=32",
    "model.dropout=0",
    "augment.crop=0.9",
    "augment.rotation=0",
    "augment.stretch=1",
    "train.sizes=[]",
    "train.label_smoothing=0.05",
)
"""A small network on small pictures, for many training runs in minutes; augmented as in configs/demo.toml."""


def arguments(description: str) -> argparse.Namespace:
    """Parse the options that every experiment has."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", type=Path, default=Path("experiments-work"), help="folder for photos and sweeps")
    parser.add_argument(
        "--data", type=Path, help="photos of your own instead of drawn ones; written into another block"
    )
    parser.add_argument("--config", type=Path, help="configuration for --data, such as configs/tiny.toml")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="for every training run, instead of the experiment's own number")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=FINDINGS, help="file whose block is rewritten")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    return options


def draw(
    folder: Path, train: int, others: int, *, scale: str = "0.5-0.6", clutter: float = 0.25, seed: int = 0
) -> Path:
    """Draw scenes of 64 px: `train` for training, `others` each for validation and test, equal for any `train`."""
    if folder.is_dir():
        return folder
    count = max(-(-train * 10 // 6), others * 5)
    pool = folder.parent / f"pool-{scale}-{clutter:g}-{seed}-{-(-count // 20) * 20}"
    if not pool.is_dir():
        bearcnn(
            "data",
            "synth",
            pool,
            "--count",
            -(-count // 20) * 20,
            "--size",
            64,
            "--seed",
            seed,
            "--bear-scale",
            scale,
            "--clutter",
            clutter,
        )
    building = folder.with_name(f".{folder.name}")
    shutil.rmtree(building, ignore_errors=True)
    for split, wanted in (("train", train), ("valid", others), ("test", others)):
        # By number: bears and others alternate, and half of the first ones are bears.
        for file in sorted((pool / split).rglob("*.jpg"), key=lambda file: file.name)[:wanted]:
            place = building / file.relative_to(pool)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    building.rename(folder)
    return folder


def sweep(
    directory: Path,
    options: argparse.Namespace,
    command: Sequence[object],
    data: Path,
    epochs: int,
    settings: Sequence[str] = NETWORK,
) -> dict[str, Any]:
    """Run or finish one sweep, and return the content of its sweep.json."""
    common = ["--workers", options.workers, "--seeds", options.seeds]
    if (directory / "plan.json").is_file():
        bearcnn(command[0], "--resume", directory, *common)
    else:
        keys = [part for setting in settings for part in ("--set", setting)]
        config = ["--config", options.config] if options.data and options.config else []
        bearcnn(*command, "--data", data, *config, "--epochs", epochs, *keys, "--out", directory, *common)
    content: dict[str, Any] = json.loads((directory / "sweep.json").read_text(encoding="utf-8"))
    return content


def bearcnn(*command: object) -> None:
    """Run a command of bearcnn and show its progress; its results are in its files."""
    words = [sys.executable, "-m", "bearcnn", *map(str, command)]
    print("$ bearcnn " + " ".join(words[3:]), file=sys.stderr, flush=True)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def change(setting: dict[str, Any], score: str) -> str:
    """Format a paired difference with its 95% interval, as a table's cell."""
    if not setting["against_baseline"]:
        return "–"
    difference = setting["against_baseline"][score]["difference"]
    if difference["low"] is None:
        return signed(difference["mean"])
    return f"{signed(difference['mean'])} ({signed(difference['low'])} to {signed(difference['high'])})"


def mean(setting: dict[str, Any], name: str) -> str:
    """Format a mean with its 95% interval, as a table's cell."""
    found = setting["means"][name]
    reach = "" if found["high"] is None else f" ± {found['high'] - found['mean']:.3f}"
    return f"{found['mean']:.3f}{reach}"


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Build a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def tally(contents: Sequence[dict[str, Any]]) -> str:
    """Count the training runs and their total time."""
    trials = [trial for content in contents for trial in content["trials"]]
    hours = sum(trial["seconds"] for trial in trials) / 3600
    return f"{len(trials)} training runs, {hours:.1f} hours of one process."


def change_points(content: dict[str, Any], panel: str, series: str, scores: Sequence[str]) -> list[dict[str, Any]]:
    """List a sweep's changes from its baseline as points of a picture: mean, 95% interval, and each seed's own."""
    names = {score: score.split(".") for score in scores}
    base = _by_seed(content, content["settings"][0])
    points = []
    for score, (split, metric) in names.items():
        for setting in content["settings"]:
            if not setting["against_baseline"]:
                continue
            found = _by_seed(content, setting)
            both = sorted(found.keys() & base.keys())
            points.append(
                {
                    "panel": panel,
                    "series": series,
                    "x": setting["label"],
                    "against": content["settings"][0]["label"],
                    "score": score,
                    **_ends(setting["against_baseline"][score]["difference"]),
                    "by_seed": [round(found[seed][split][metric] - base[seed][split][metric], 4) for seed in both],
                }
            )
    return points


def score_point(content: dict[str, Any], setting: dict[str, Any], score: str, **where: Any) -> dict[str, Any]:
    """Make a setting's score a point of a picture: mean, 95% interval, and each seed's own."""
    split, metric = score.split(".")
    found = sorted(_by_seed(content, setting).items())
    own = [round(scores[split][metric], 4) for _, scores in found]
    return {**where, "score": score, **_ends(setting["means"][score]), "by_seed": own}


def _by_seed(content: dict[str, Any], setting: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """Return the scores of a setting's finished trials, by seed."""
    done = [trial for trial in content["trials"] if trial["status"] == "done"]
    return {trial["seed"]: trial["scores"] for trial in done if trial["settings"] == setting["settings"]}


def _ends(found: dict[str, Any]) -> dict[str, Any]:
    return {name: None if found[name] is None else round(found[name], 4) for name in ("mean", "low", "high")}


def keep_results(options: argparse.Namespace, name: str, axis: str, points: Sequence[dict[str, Any]]) -> None:
    """Write what a picture of the findings shows, a point a line; experiments/draw.py draws it."""
    block = name + ("-photos" if options.data else "")
    head = {"command": _words(options, name), "date": time.strftime("%Y-%m-%d"), "seeds": options.seeds, "axis": axis}
    lines = ",\n  ".join(json.dumps(point, ensure_ascii=False) for point in points)
    folder = RESULTS if options.out == FINDINGS else options.out.parent
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{block}.json"
    text = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
    file.write_text(f'{text},\n "points": [\n  {lines}\n ]\n}}\n', encoding="utf-8")
    print(f"{file} written: see whether the title of its picture still holds, then `make pictures`", file=sys.stderr)


def publish(options: argparse.Namespace, name: str, parts: Sequence[str], fold: str = "") -> None:
    """Write the results between the markers of this experiment, folded behind a line if one is given."""
    block = name + ("-photos" if options.data else "")
    text = options.out.read_text(encoding="utf-8") if options.out.exists() else f"<!-- {block} -->\n<!-- /{block} -->\n"
    pattern = re.compile(rf"(<!-- {block} -->\n).*?(<!-- /{block} -->)", re.DOTALL)
    if not pattern.search(text):
        raise SystemExit(f"{options.out} has no block <!-- {block} --> ... <!-- /{block} -->")
    stamp = f"Written by `{_words(options, name)}` on {time.strftime('%Y-%m-%d')}."
    body = "\n\n".join([stamp, *map(_wrap, parts)]) + "\n"
    if fold:
        # The card above shows the picture of the drawn scenes.
        picture = f"![the same on real photos](pictures/{block}.png)\n\n" if options.data else ""
        body = f'<details markdown="1"><summary>{fold}</summary>\n\n{picture}{body}\n</details>\n'
    options.out.write_text(pattern.sub(lambda found: found[1] + body + found[2], text), encoding="utf-8")
    print(f"{options.out}: block {block} written", file=sys.stderr)


def _words(options: argparse.Namespace, name: str) -> str:
    """Return the command that was given, with PHOTOS for the folder."""
    words = ["python", f"experiments/{name}.py"]
    if options.data:
        words += ["--data", "PHOTOS", *(["--config", options.config.name] if options.config else [])]
    words += ["--seeds", str(options.seeds), *(["--epochs", str(options.epochs)] if options.epochs else [])]
    return " ".join(words)


def _wrap(part: str) -> str:
    """Wrap a paragraph at 120 characters; tables and pictures stay as they are."""
    if part.startswith(("|", "![")):
        return part
    return textwrap.fill(part, 120, break_long_words=False, break_on_hyphens=False)
