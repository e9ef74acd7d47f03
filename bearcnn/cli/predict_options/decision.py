"""Options for the step from a probability to a label."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from bearcnn.cli.options import choice
from bearcnn.errors import BearcnnError

if TYPE_CHECKING:
    from bearcnn.inference.bursts import Bursts
    from bearcnn.inference.labels import Labelling

PANEL = "Decision"


@dataclass(frozen=True, slots=True)
class DecisionOptions:
    """The step from a probability to a label."""

    unsure: Annotated[
        str | None,
        typer.Option(
            metavar="[LOW,HIGH]",
            help="Call photos between two thresholds unsure: 0.1,0.9, or the model's own two.",
        ),
    ] = None
    bursts: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Photos taken within this time of each other (60s, 2m) share one answer.",
        ),
    ] = None

    burst_answer: Annotated[
        str,
        choice(
            "answer of a burst",
            ("mean", "highest"),
            "--burst-answer",
            help="What its photos share: the mean of their log odds, or the highest probability.",
            panel=PANEL,
        ),
    ] = "mean"

    def open_bursts(self, labelling: "Labelling") -> "Bursts | None":
        """Return what finds bursts; None unless that was asked for."""
        if self.bursts is None:
            if self.burst_answer != "mean":
                raise BearcnnError("`burst_answer` is that of `bursts`: give a time such as --bursts 60s as well")
            return None
        from bearcnn.inference.bursts import Bursts, parse_gap

        return Bursts(parse_gap(self.bursts), labelling, self.burst_answer)
