"""TOML + overrides -> one frozen, checked Config.

Everything that can be wrong with a configuration is found here, before torch is loaded or a photo is read; all problems
are reported at once. Validators are pure: they read no files.
"""

import difflib
import re
import textwrap
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from bearcnn.bodies import BODIES, DEFAULTS_WITH_BODY, NO_BODY, SAFETENSORS, TIMM, Body, find_body
from bearcnn.errors import ConfigError
from bearcnn.geometry import ReceptiveField, ResizeMode, map_sizes, receptive_fields
from bearcnn.pooling import POOLING_MODES
from bearcnn.registry import nearest_hint, one_of

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def _rate_below_one(rate: float) -> float:
    if not 0 <= rate < 1:
        raise ValueError("a dropout rate is a share in [0, 1): at 1 nothing would be left to learn from")
    return rate


def _known_pooling(name: str) -> str:
    if name not in POOLING_MODES:
        raise ValueError(POOLING_MODES.explain(name))
    return name


def _known_body(name: str) -> str:
    if name not in BODIES and not (name.startswith(TIMM) and name != TIMM) and not name.endswith(SAFETENSORS):
        raise ValueError(
            f"{BODIES.explain(name)}; or {TIMM}NAME for a network of timm, or a {SAFETENSORS} file of your own"
        )
    return name


def _list_of_one(names: Any) -> Any:
    return [names] if isinstance(names, str) else names


Rate = Annotated[float, AfterValidator(_rate_below_one)]
Pooling = Annotated[str, AfterValidator(_known_pooling)]
BodyName = Annotated[str, AfterValidator(_known_body)]
Precision = Literal["auto", "float32", "bfloat16"]
Monitor = Literal["average_precision", "roc_auc", "accuracy", "balanced_accuracy", "f1", "valid_loss", "last"]
LAST_EPOCH: Literal["last"] = "last"
"""The value of `train.monitor` that keeps the last epoch: no validation photo decides anything about it."""

DEFAULTS_WITH_FOLDS: dict[str, dict[str, Any]] = {"data": {"test_share": 0.0}, "train": {"monitor": LAST_EPOCH}}
"""What a configuration with `train.folds` needs, and has where nobody says otherwise: every photo is used."""


class Section(BaseModel):
    """A table of the TOML file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, protected_namespaces=()
    )


class DataConfig(Section):
    """The photos, and their conversion to squares of pixels."""

    path: str = ""
    """Folder of class folders; empty for the built-in drawn scenes."""
    positive: Annotated[tuple[str, ...], BeforeValidator(_list_of_one)] = Field(("bear",), min_length=1)
    """Names of the folders with the positive class; all other folders are negative."""
    image_size: int = Field(128, ge=8, le=1024)
    """Side of the square that the network sees, in pixels."""
    resize: ResizeMode = "squish"
    """Way to make a photo square: squish (resize the whole frame), pad (whole frame between bars) or crop (middle
    square, which may cut off the bear)."""
    valid_share: float = Field(0.2, ge=0.01, le=0.8)
    """Share of the photos for validation, if the folder has no valid/."""
    test_share: float = Field(0.2, ge=0, le=0.8)
    """Share of the photos for the test, if the folder has neither valid/ nor test/; 0 for none."""
    split_seed: int = Field(0, ge=0)
    """Seed of the split. It is separate from train.seed: several training seeds use the same photos."""

    photos: int = Field(0, ge=0)
    """Most photos to train on, classes in proportion; 0 for all. train.seed decides which, and fewer are a part of
    more; the photos of valid/ and test/ stay."""

    @field_validator("photos")
    @classmethod
    def _one_of_each_class(cls, value: int) -> int:
        if value == 1:
            raise ValueError("1 photo can't be of both classes: 2 or more, or 0 for all")
        return value

    @property
    def with_all_photos(self) -> "DataConfig":
        """This configuration without a limit of its training photos, for the data set to draw them from."""
        return self.model_copy(update={"photos": 0})

    @model_validator(mode="after")
    def _leaves_photos_to_train_on(self) -> "DataConfig":
        if self.valid_share + self.test_share > 0.8:
            raise ValueError("valid_share and test_share together leave less than a fifth of the photos to train on")
        return self


class ModelConfig(Section):
    """The network: blocks of convolution, norm, activation and pooling; then one linear layer."""

    body: BodyName = NO_BODY
    """A pretrained network whose maps are the input of the blocks: none, efficientnet_lite0, timm:NAME or a
    .safetensors file: a model.safetensors of bearcnn with a body in it, or efficientnet_lite0 in timm's names. It is
    frozen, but for train.unfreeze. With one, keys that are not set have the values of configs/pretrained.toml."""
    body_stage: int = Field(-1, ge=-12, le=-1)
    """Which of the body's maps: -1 the last and coarsest, -2 the one before, about twice as fine (for small bears)."""
    widths: tuple[Annotated[int, Field(ge=1, le=2048)], ...] = Field((32, 64, 128, 256), min_length=1, max_length=12)
    """Channels of each block; there are as many blocks as numbers."""
    kernel_size: int | tuple[int, ...] = 3
    """Side of the convolution's window, odd; one for all blocks or a list with one for each."""
    stride: Literal[1, 2] = 2
    """2: the convolution skips every other place and halves the map. 1: a pooling window after it halves the map."""
    pooling: Pooling = "concat"
    """Pooling of the windows between blocks and of the last map: max, avg, or concat (both side by side)."""
    pool_size: int = Field(2, ge=1, le=8)
    """Side of the pooling windows between blocks, if stride = 1; 1 for none, and the map keeps its size."""
    residual: int | tuple[int, ...] = 0
    """Further convolutions in each block, each added to its own input (He et al. 2015); one number for all blocks or a
    list with one for each."""
    input_dropout: Rate = 0.0
    """Share of the picture's pixels (with a body, of its map's places) set to 0, in all channels; a new mask for every
    batch."""
    conv_dropout: Rate = 0.0
    """Share of whole channels set to 0 between blocks."""
    dropout: Rate = 0.2
    """Share of the pooled activations set to 0 before the last layer."""

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, value: int | tuple[int, ...]) -> int | tuple[int, ...]:
        for size in value if isinstance(value, tuple) else (value,):
            if size < 1 or size % 2 == 0:
                raise ValueError(f"{size} is not odd and positive: a window needs a centre, as 1, 3, 5 or 7 have")
            if size > 31:
                raise ValueError(f"{size} is too large: at most 31")
        return value

    @field_validator("residual")
    @classmethod
    def _not_too_many(cls, value: int | tuple[int, ...]) -> int | tuple[int, ...]:
        for count in value if isinstance(value, tuple) else (value,):
            if not 0 <= count <= 20:
                raise ValueError(f"{count} further convolutions in a block: expected 0 to 20")
        return value

    @model_validator(mode="after")
    def _one_number_a_block(self) -> "ModelConfig":
        if isinstance(self.residual, tuple) and len(self.residual) != len(self.widths):
            raise ValueError(f"residual has {len(self.residual)} numbers for {len(self.widths)} blocks (widths)")
        if isinstance(self.kernel_size, tuple) and len(self.kernel_size) != len(self.widths):
            raise ValueError(f"kernel_size has {len(self.kernel_size)} numbers for {len(self.widths)} blocks (widths)")
        return self

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """The kernel size of each block."""
        return self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,) * len(self.widths)

    @property
    def residuals(self) -> tuple[int, ...]:
        """The further convolutions of each block."""
        return self.residual if isinstance(self.residual, tuple) else (self.residual,) * len(self.widths)

    @property
    def known_body(self) -> Body | None:
        """The body whose geometry is known here; None for none, and for one that only the network itself can tell."""
        body = find_body(self.body)
        return body if body.stages else None

    def map_sizes(self, image_size: int) -> tuple[int, ...]:
        """Compute the side of the map after each block, in places.

        Raises:
            ValueError: a block would find no map left to halve.
        """
        body = self.known_body
        start = body.map_side(self.body_stage, image_size) if body else image_size
        return map_sizes(image_size, len(self.widths), self.stride, self.pool_size, start=start)

    @property
    def receptive_fields(self) -> list[tuple[ReceptiveField, ReceptiveField]]:
        """The receptive field of each block after its first convolution, and at its end.

        Raises:
            ValueError: only the network itself can tell, because its body isn't one of `BODIES`.
        """
        if self.body != NO_BODY and not self.known_body:
            raise ValueError(f"the receptive field of {self.body} isn't known")
        pool_size = self.pool_size if self.stride == 1 else 1
        body = self.known_body
        start = body.receptive_field(self.body_stage) if body else ReceptiveField()
        return receptive_fields(self.kernel_sizes, self.residuals, self.stride, pool_size, start=start)


class AugmentConfig(Section):
    """Augmentation: random changes of the training photos, new in each epoch."""

    flip: float = Field(0.5, ge=0, le=1)
    """Chance that a photo is mirrored left to right."""
    crop: float = Field(0.5, gt=0, le=1)
    """Smallest share of the picture's area that a random crop keeps; 1 for no crops."""
    stretch: float = Field(1.2, ge=1, le=3)
    """Largest change of a crop's aspect ratio."""
    rotation: float = Field(10.0, ge=0, le=180)
    """Largest rotation, in degrees to either side."""
    brightness: float = Field(0.2, ge=0, lt=1)
    """Largest change of brightness, as a share of the full range."""
    contrast: float = Field(0.2, ge=0, lt=1)
    """Largest change of contrast, as a factor: 0.2 gives 0.8 to 1.25."""


class TrainConfig(Section):
    """The training run."""

    epochs: int = Field(60, ge=1, le=100_000)
    """Number of times that every training photo is used."""
    min_steps: int = Field(0, ge=0, le=10_000_000)
    """Fewest steps of the training run: with few photos, an epoch goes through them as often as that takes."""
    sizes: Literal["auto"] | tuple[Annotated[int, Field(ge=8)], ...] = "auto"
    """Sides of the training pictures, one after the other, up to data.image_size: training starts faster on small
    pictures (progressive resizing; Howard 2018). auto: a half, three quarters and all of data.image_size, if that is 64
    or more; [] for data.image_size throughout."""
    size_shares: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """Shares of the epochs at each of train.sizes; empty for equal ones."""
    batch_size: int = Field(32, ge=2, le=8192)
    """Photos in one step."""
    lr: float = Field(3e-3, gt=0, le=10)
    """Highest learning rate of the one-cycle schedule (Smith 2018); `bearcnn train --lr-find` suggests one."""
    weight_decay: float = Field(0.05, ge=0, le=1)
    """AdamW's decoupled weight decay (Loshchilov & Hutter 2019)."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Label smoothing: distance by which the targets move from 0 and 1 towards each other (Szegedy et al. 2016)."""
    subclasses: bool = True
    """Train on subclasses (the folders within a class, such as brown or wolf), and sum them into the two classes: this
    gives a better AUC."""
    precision: Precision = "auto"
    """Number format of the blocks in training: bfloat16 is faster if the processor has it; auto checks that."""
    balance: Literal["weights", "sampling", "none"] = "weights"
    """Treatment of a rarer class: weights in the loss, sampling (both classes drawn equally often), or none."""
    monitor: Monitor = "average_precision"
    """Validation score that decides the best epoch and early stopping. last: the last epoch is kept whatever its score,
    for few validation photos, whose scores are mostly chance."""
    patience: int = Field(0, ge=0)
    """Early stopping: epochs without a better monitor before training ends; 0 for never."""
    folds: int = Field(0, ge=0, le=20)
    """Cross-validation for few photos, 0 for none: all photos but a test/ folder's are cut into so many folds, each is
    judged by a network trained on the others, and the model is trained on all. With it, data.test_share is 0 and
    train.monitor is last."""
    views: int = Field(2, ge=1, le=64)
    """Pictures of each photo whose maps of a pretrained body are kept: 1 the photo, 2 its mirror image too, 4, 6 ...
    variations by the augment keys as well, half of them mirrored; one is drawn in each epoch. Disk space and the
    first run's time grow with it."""
    unfreeze: int = Field(0, ge=0, le=12)
    """Stages of the pretrained body, counted from its last, that learn too after train.epochs: from pixels, with all
    augmentation; 0 for none. The norms keep their averages. With it, augmentation that is not set is as without a
    body."""
    unfreeze_epochs: int = Field(3, ge=1, le=100_000)
    """Number of times that every training photo is used by train.unfreeze, after train.epochs."""
    unfreeze_lr: float = Field(3e-4, gt=0, le=10)
    """Highest learning rate of train.unfreeze, for the blocks and the head. The body's last stage has a third of it,
    and each stage before a third of the next."""
    seed: int = Field(0, ge=0, lt=2**32)
    """Seed of the first weights, the order of the photos, the augmentation and the dropout masks."""
    name: str = Field("bear", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)
    """Name of the model, in the run folder's name and in the model file."""

    @field_validator("folds")
    @classmethod
    def _more_than_one(cls, value: int) -> int:
        if value == 1:
            raise ValueError("1 fold would leave no photo to train on: 2 or more, or 0 for none")
        return value

    @field_validator("views")
    @classmethod
    def _in_pairs(cls, value: int) -> int:
        if value > 1 and value % 2:
            raise ValueError("expected 1 or an even number: half of the views are mirrored")
        return value

    @property
    def total_epochs(self) -> int:
        """The epochs of both phases."""
        return self.epochs + (self.unfreeze_epochs if self.unfreeze else 0)


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


def load_config(path: Path | str | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read the configuration of a TOML file (or the defaults), with `section.key=value` overrides on top.

    Raises:
        ConfigError: the file can't be read, or something in it or the overrides can't work; one line for each problem.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"can't read the configuration {path}: {error.strerror or error}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not a TOML file: {error}") from None
    for override in overrides:
        _set(values, override)
    return make_config(values)


def make_config(values: dict[str, Any]) -> Config:
    """Check nested plain values, as TOML and JSON give them, and build the configuration.

    Raises:
        ConfigError: one line for each problem.
    """
    try:
        return Config.model_validate(_upgrade(values))
    except ValidationError as error:
        raise ConfigError("\n".join(dict.fromkeys(_problems(error)))) from None


def _upgrade(values: dict[str, Any]) -> dict[str, Any]:
    """Rename the keys of bearcnn 0.1, which its run folders and model files hold."""
    values = {section: dict(table) if isinstance(table, dict) else table for section, table in values.items()}
    data, train = values.get("data"), values.get("train")
    if isinstance(data, dict) and "fit" in data and "resize" not in data:
        data["resize"] = data.pop("fit")
    if isinstance(train, dict) and "out" in train:
        if train["out"]:
            raise ConfigError(f"train.out is not a key any more; give the folder as an option: `out` {train['out']}")
        del train["out"]
    return values


def config_keys() -> Iterator[tuple[str, str]]:
    """List every dotted key with its explanation, in the order of the file."""
    for section, section_field in Config.model_fields.items():
        assert isinstance(section_field.annotation, type)
        assert issubclass(section_field.annotation, Section)
        for key, field in section_field.annotation.model_fields.items():
            yield f"{section}.{key}", " ".join((field.description or "").split())


def dump_config(config: Config, explained: bool = False) -> str:
    """Write the configuration as TOML that `load_config` reads back; `explained` adds each key's meaning above it."""
    import tomlkit  # only needed where a configuration is written

    document = tomlkit.document()
    if explained:
        document.add(tomlkit.comment("Every key and its meaning; a file needs only the keys that it changes."))
        document.add(tomlkit.nl())
    explanations = dict(config_keys())
    for section, values in config.model_dump(mode="json").items():
        table = tomlkit.table()
        for key, value in values.items():
            if explained:
                for line in textwrap.wrap(explanations[f"{section}.{key}"], 78):
                    table.add(tomlkit.comment(line))
            table.add(key, value)
        document.add(section, table)
    return tomlkit.dumps(document)


def _set(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    section, _, name = key.strip().partition(".")
    if not equals or not name or "." in name:
        raise ConfigError(f"{override}: expected section.key=value, such as train.lr=3e-3")
    table = values.setdefault(section, {})
    if not isinstance(table, dict):
        raise ConfigError(f"{section}: expected a table of keys, such as [{section}]")
    table[name] = _parse(text.strip())


def _parse(text: str) -> Any:
    """Parse a TOML value or a list without its brackets, or take the text itself: `max` needs no quotes in a shell."""
    for spelling in (text, f"[{text}]") if "," in text else (text,):
        with suppress(tomllib.TOMLDecodeError):
            parsed = tomllib.loads(f"value = {spelling}")
            if parsed.keys() == {"value"}:
                return parsed["value"]
    return text


def _problems(error: ValidationError) -> Iterable[str]:
    """Give one line for each wrong value of each key."""
    by_key: dict[str, list[ErrorDetails]] = {}
    for problem in error.errors(include_url=False):
        # Pydantic adds the branch of a union and the place in a list to the path; the key is enough.
        by_key.setdefault(".".join(str(part) for part in problem["loc"][:2]), []).append(problem)
    for key, found in by_key.items():
        if found[0]["type"] == "extra_forbidden":
            yield _explain_unknown_key(key)
            continue
        deepest = max(len(problem["loc"]) for problem in found)  # the element of a list, not "no whole number"
        by_value: dict[str, list[ErrorDetails]] = {}
        for problem in found:
            if len(problem["loc"]) == deepest:
                by_value.setdefault(_show_given(key, problem), []).append(problem)
        for given, same in by_value.items():
            first, *others = dict.fromkeys(_explain_problem(problem) for problem in same)
            alternatives = "".join(f" or {other.removeprefix('expected ')}" for other in others)
            hints = "".join(nearest_hint(problem["input"], _choices(problem)) for problem in same)
            yield f"{key}: {first}{alternatives}{given}{hints}" if key else first


def _explain_unknown_key(key: str) -> str:
    keys = [known for known, _ in config_keys()]
    near = difflib.get_close_matches(key, keys if "." in key else list(Config.model_fields), n=1, cutoff=0.5)
    same_name = [known for known in keys if known.rpartition(".")[2] == key.rpartition(".")[2]]
    nearest = (same_name or near or [""])[0]
    hint = f"did you mean {nearest}?" if nearest else "`bearcnn config show` lists every key"
    return f"{key}: there is no such key; {hint}"


def _show_given(key: str, problem: "ErrorDetails") -> str:
    """Show the wrong value; nothing where our own message does."""
    given = problem["input"]
    told = problem["type"] == "value_error" and isinstance(given, str)
    return f" (got {given!r})" if key.count(".") and isinstance(given, int | float | str | list) and not told else ""


_EXPECTED = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "string_too_long": "at most {max_length} characters",
    "string_pattern_mismatch": "text of the pattern {pattern}",
    "tuple_type": "a list",
    "too_short": "at least {min_length} values",
    "too_long": "at most {max_length} values",
    "greater_than": "a number above {gt}",
    "greater_than_equal": "{ge} or more",
    "less_than": "a number below {lt}",
    "less_than_equal": "{le} or less",
    "model_type": "a table of keys",
}
"""What pydantic's types of errors mean, with what each knows about the limit."""


def _explain_problem(problem: "ErrorDetails") -> str:
    limits = problem.get("ctx", {}).items()
    context = {name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in limits}
    if choices := _choices(problem):
        return f"expected {one_of(choices)}"
    if problem["type"] in _EXPECTED:
        expected = "expected " + _EXPECTED[problem["type"]].format(**context)
        return expected.replace("at least 1 values", "at least one value")
    return problem["msg"].removeprefix("Value error, ")


def _choices(problem: "ErrorDetails") -> list[str]:
    """List the values of a key that has only a few; none for other problems."""
    listed = problem.get("ctx", {}).get("expected", "") if problem["type"] == "literal_error" else ""
    return [name.strip("'") for name in re.split(", | or ", listed) if name]
