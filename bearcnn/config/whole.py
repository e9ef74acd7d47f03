"""The whole configuration: its sections, what they must have in common, and its keys."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import accumulate
from typing import Any

from pydantic import model_validator

from bearcnn.bodies import DEFAULTS_WITH_BODY, NO_BODY
from bearcnn.config.sections import LAST_EPOCH, AugmentConfig, DataConfig, ModelConfig, Section, TrainConfig

DEFAULTS_WITH_FOLDS: dict[str, dict[str, Any]] = {"data": {"test_share": 0.0}, "train": {"monitor": LAST_EPOCH}}
"""What a configuration with `train.folds` needs, and has where nobody says otherwise: every photo is used."""

MOST_WEIGHTS = 500_000_000
"""Weights of the blocks: training needs 16 bytes for each, for itself, its gradient and AdamW's two averages."""


class Config(Section):
    """Everything that determines the result of a run."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    augment: AugmentConfig = AugmentConfig()
    train: TrainConfig = TrainConfig()

    @model_validator(mode="before")
    @classmethod
    def _fill_in_for_a_body(cls, values: Any) -> Any:
        """With a body, other defaults."""
        model = values.get("model") if isinstance(values, dict) else None
        if not isinstance(model, dict) or model.get("body", NO_BODY) == NO_BODY:
            return values
        filled = dict(values)
        train = values["train"] if isinstance(values.get("train"), dict) else {}
        unfreezes = train.get("unfreeze", 0) != 0
        varies = unfreezes or train.get("views", 2) not in (1, 2)
        for section, defaults in DEFAULTS_WITH_BODY.items():
            if section == "augment" and varies:
                continue
            given = filled.get(section, {})
            filled[section] = defaults | given if isinstance(given, dict) else given
        if unfreezes:  # which can make the network worse: then the frozen one must win
            filled["train"] = {key: filled["train"][key] for key in filled["train"] if key != "monitor" or key in train}
        return filled

    @model_validator(mode="before")
    @classmethod
    def _fill_in_for_folds(cls, values: Any) -> Any:
        """With folds, other defaults."""
        train = values.get("train") if isinstance(values, dict) else None
        if not isinstance(train, dict) or not train.get("folds"):
            return values
        given = {section: values.get(section, {}) for section in DEFAULTS_WITH_FOLDS}
        filled = {
            section: DEFAULTS_WITH_FOLDS[section] | table if isinstance(table, dict) else table
            for section, table in given.items()
        }
        return {**values, **filled}

    @model_validator(mode="after")
    def _folds_use_every_photo(self) -> "Config":
        if self.train.folds and (self.data.test_share or self.train.monitor != LAST_EPOCH):
            raise ValueError(
                f"train.folds = {self.train.folds} trains on every photo; none is left to test or choose an epoch on: "
                f'set data.test_share = 0 and train.monitor = "{LAST_EPOCH}"'
            )
        return self

    @model_validator(mode="after")
    def _map_never_shrinks_away(self) -> "Config":
        if self.model.body == NO_BODY or self.model.known_body:
            for size in {self.data.image_size, *self._explicit_sizes}:
                self.model.map_sizes(size)
        return self

    @model_validator(mode="after")
    def _fits_into_memory(self) -> "Config":
        weights = self.model.count_weights()
        if weights > MOST_WEIGHTS:
            raise ValueError(
                f"the network has {weights:,} weights, {16 * weights / 1e9:,.0f} GB with what training keeps of each: "
                f"more than {MOST_WEIGHTS:,} are refused; use smaller model.widths or model.kernel_size"
            )
        return self

    @model_validator(mode="after")
    def _maps_can_be_kept(self) -> "Config":
        if self.model.body == NO_BODY:
            if self.train.views != 2:
                raise ValueError(f"train.views = {self.train.views} needs a pretrained body: set model.body")
            return self
        if self.train.views == 1 and self.augment.flip:
            raise ValueError("train.views = 1 keeps no mirror image: set augment.flip = 0, or train.views = 2")
        off = DEFAULTS_WITH_BODY["augment"]
        wrong = [f"augment.{key} = {off[key]:g}" for key in off if getattr(self.augment, key) != off[key]]
        if wrong and not self.train.unfreeze and self.train.views <= 2:
            raise ValueError(
                f"a body's maps are computed once for each photo and its mirror image, so augmentation can only flip: "
                f"set {', '.join(wrong)}; or train.views = 8, to keep variations as well; or train.unfreeze = 1, "
                "which trains from pixels"
            )
        if self.training_sizes != (self.data.image_size,):
            raise ValueError("a body's maps are computed at data.image_size alone: set train.sizes = []")
        return self

    @model_validator(mode="after")
    def _has_stages_to_unfreeze(self) -> "Config":
        wanted, body = self.train.unfreeze, self.model.known_body
        if wanted and self.model.body == NO_BODY:
            raise ValueError(f"train.unfreeze = {wanted} needs a pretrained body: set model.body")
        if body and wanted > (stages := len(body.passed(self.model.body_stage))):
            raise ValueError(f"train.unfreeze = {wanted}: {body.name} has {stages} stages up to model.body_stage")
        return self

    @model_validator(mode="after")
    def _patience_needs_a_score(self) -> "Config":
        if self.train.patience and self.train.monitor == LAST_EPOCH:
            raise ValueError("train.patience waits for a better score: set train.monitor to one, or train.patience = 0")
        return self

    @model_validator(mode="after")
    def _sizes_lead_to_the_image_size(self) -> "Config":
        sizes, shares, largest = self.training_sizes, self.train.size_shares, self.data.image_size
        if max(sizes) > largest:
            raise ValueError(f"train.sizes goes up to {max(sizes)}, more than data.image_size ({largest})")
        if list(sizes) != sorted(set(sizes)):
            raise ValueError(f"train.sizes must be in increasing order (got {list(sizes)})")
        if shares and len(shares) != len(sizes):
            raise ValueError(f"train.size_shares has {len(shares)} numbers for {len(sizes)} train.sizes")
        return self

    @property
    def _explicit_sizes(self) -> tuple[int, ...]:
        return () if self.train.sizes == "auto" else self.train.sizes

    @property
    def training_sizes(self) -> tuple[int, ...]:
        """Sides of the training pictures, one after the other."""
        largest, model = self.data.image_size, self.model
        if self.train.sizes != "auto":
            return self.train.sizes or (largest,)
        if model.body != NO_BODY:
            return (largest,)
        sizes = []
        for size in (largest // 2, largest * 3 // 4) if largest >= 64 else ():
            with suppress(ValueError):  # too small for that many blocks
                model.map_sizes(size)
                sizes.append(size)
        return (*sizes, largest)

    def training_size(self, epoch: int, epochs: int | None = None) -> int:
        """Return the side of the training pictures in an epoch, counted from 0, of `epochs` or else `train.epochs`."""
        sizes = self.training_sizes
        shares = self.train.size_shares or (1.0,) * len(sizes)
        passed = (epoch + 0.5) / (epochs or self.train.epochs) * sum(shares)
        for size, until in zip(sizes, accumulate(shares), strict=True):
            if passed < until:
                return size
        return sizes[-1]


def config_keys() -> Iterator[tuple[str, str]]:
    """List every dotted key with its explanation, in the order of the file."""
    for section, section_field in Config.model_fields.items():
        assert isinstance(section_field.annotation, type)
        assert issubclass(section_field.annotation, Section)
        for key, field in section_field.annotation.model_fields.items():
            yield f"{section}.{key}", " ".join((field.description or "").split())
