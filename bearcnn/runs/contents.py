"""The content of each JSON file in a run folder, as pydantic models: what may stand in it, and of which type."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, ConfigDict, Field

from bearcnn.runs.reading import Content, Count, Folder, Number, PathBelow, Share, Text, Time

Label = Literal[0, 1]
Four = Annotated[list[Number], Field(min_length=4, max_length=4)]
"""A box: left, top, right, bottom as shares of the picture's sides."""


class GroupingContent(Content):
    """What photos are grouped by."""

    by: Text
    warnings: dict[Text, Text]


class ExampleContent(Content):
    """One labelled photo."""

    path: PathBelow
    label: Label
    subclass: Text
    split: Literal["train", "valid", "test", "unused"]
    digest: Text
    boxes: list[Four] | None = None
    site: Text | None = None
    sequence: Text | None = None
    taken: Time | None = None
    group: Text | None = None


class SkippedContent(Content):
    """One skipped photo."""

    path: PathBelow
    reason: Text
    boxes: list[Four] | None = None
    unread: bool | None = None


class DatasetContent(Content):
    """dataset.json."""

    format: Literal[1]
    root: Folder
    positive: list[Text]
    classes: Annotated[list[Text], Field(min_length=2, max_length=2)]
    fingerprint: Text
    grouping: GroupingContent | None = None
    examples: list[ExampleContent]
    skipped: list[SkippedContent] = Field(validation_alias=AliasChoices("skipped", "left_out"))  # 0.1 called it so


class PredictionContent(Content):
    """One line of predictions.jsonl."""

    path: PathBelow
    split: Literal["train", "valid", "test", "folds"]
    label: Label
    subclass: Text
    digest: Text
    probability: Share
    grey: bool
    site: Text | None = None
    seen: bool | None = None
    area: Four | None = None
    group: Text | None = None
    taken: Time | None = None


class EstimateContent(Content):
    """A number and its interval."""

    value: Number | None
    low: Number | None
    high: Number | None


class ConfusionContent(Content):
    """Photos of each class with each answer."""

    true_positive: Count
    false_positive: Count
    false_negative: Count
    true_negative: Count


class EvaluationContent(Content):
    """The scores of a split."""

    n: Count
    positives: Count
    threshold: Number
    estimates: dict[Text, EstimateContent]
    confusion: ConfusionContent
    resamples: Count
    confidence: Share
    seed: int
    clusters: Count | None = None


class ReliabilityBin(Content):
    """Photos of similar probabilities."""

    low: Number
    high: Number
    photos: Count
    probability: Number
    bears: EstimateContent


class ReliabilityContent(Content):
    """The reliability of probabilities."""

    bins: list[ReliabilityBin]
    calibration_error: Number | None
    error_by_chance: Number | None
    brier: Number | None
    log_loss: Number | None


class CalibrationContent(Content):
    """The reliability before and after calibration."""

    temperature: Number
    judged_on: Text
    cross_fitted: bool
    photos: Count
    before: ReliabilityContent
    after: ReliabilityContent


class ChoiceContent(Content):
    """A threshold and the reason for it."""

    threshold: Number
    rule: Text
    wanted: Number
    reached: Number
    photos: Count
    bears: Count


class UnsureContent(Content):
    """Two thresholds and the reason for the upper one."""

    lower: Number
    upper: Number
    wanted: Number
    reached: Number | None
    prevalence: Number
    photos: Count
    bears: Count


class GroupContent(Content):
    """Mistakes in a group of photos."""

    name: Text
    label: Label
    photos: Count
    wrong: Count
    rate: EstimateContent


class SiteContent(Content):
    """Mistakes at a site."""

    site: Text
    seen: bool | None
    photos: Count
    bears: Count
    missed: Count
    false_alarms: Count
    rate: EstimateContent


class LayerContent(Content):
    """One layer."""

    name: Text
    layer: Text
    output_shape: list[Count]
    parameters: Count
    multiply_adds: Count


class PointingContent(Content):
    """The pointing game."""

    photos: Count
    hits: Count
    rate: EstimateContent
    chance: Number | None
    best_place: Number | None
    box_area: Number | None


class BodyContent(Content):
    """The pretrained body; its manifest may say more of it."""

    model_config = ConfigDict(extra="allow")

    name: Text
    licence: Text
    trained_on: Text
    sha256: Text = ""
    parameters: Count
    multiply_adds: Count
    share_of_parameters: Share
    share_of_multiply_adds: Share


class PointingGames(Content):
    """The pointing game with all bears, and with those that were found."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, PointingContent] = Field(init=False)

    all: PointingContent


class GroupCounts(Content):
    """What the photos were split by, and how many groups there are in all and in each split."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Count] = Field(init=False)

    by: Text
    total: Count
    of_several: Count
    photos_of_several: Count
    sites: Count


class MetricsContent(Content):
    """metrics.json. A later version may add to it."""

    model_config = ConfigDict(extra="allow")

    complete: bool
    epochs: Count
    best_epoch: Count
    unfrozen_epochs: Count | None = None
    monitor: Text = ""
    seconds: Number
    evaluations: dict[Text, EvaluationContent]
    calibration: CalibrationContent | None = None
    groups: dict[Text, list[GroupContent]] | None = None
    sites: dict[Text, list[SiteContent]] | None = None
    layers: list[LayerContent] | None = None
    grouping: GroupCounts | None = None
    folds: Count | None = None
    body: BodyContent | None = None
    pointing_game: PointingGames | None = None
    window_hits: PointingGames | None = None  # as bearcnn 0.1 called it
    choice: ChoiceContent | None = None
    unsure: UnsureContent | None = None
    checksums: dict[Text, Text] = Field(default_factory=dict)
    """Of the run's other files, by their names."""


def as_dict(content: Content) -> dict[str, Any]:
    """Return the keys that the file had, as plain values."""
    return content.model_dump(exclude_unset=True)
