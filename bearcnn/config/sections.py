"""The sections of a configuration: each key with its type, default, limits and meaning.

Validators are pure: they read no files.
"""

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from bearcnn.bodies import BODIES, NO_BODY, SAFETENSORS, TIMM, Body, find_body
from bearcnn.geometry import MAX_MEGAPIXELS, MOST_TILES, ReceptiveField, ResizeMode, map_sizes, receptive_fields
from bearcnn.pooling import POOLING_MODES
from bearcnn.registry import one_of
from bearcnn.signs import is_shown

LARGEST_KERNEL = 31
"""Side of the largest convolution's window."""


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
    return [names] if isinstance(names, str | int | float) else names


def _utf8(text: Any) -> Any:
    if isinstance(text, str) and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"{text!a} isn't UTF-8 and can't be written down: give the file or folder another name, or a link "
                "with one"
            ) from None
    return text


def _printable(name: str) -> str:
    if not is_shown(name):
        raise ValueError(f"{name!r} can't be a name: it has a sign that can't be shown")
    return name


Rate = Annotated[float, AfterValidator(_rate_below_one), Field(ge=0, lt=1)]
Place = Annotated[str, BeforeValidator(_utf8)]
ClassName = Annotated[str, BeforeValidator(_utf8), AfterValidator(_printable)]
Pooling = Annotated[str, AfterValidator(_known_pooling)]
BodyName = Annotated[Place, AfterValidator(_known_body)]
ColumnRole = Literal["filepath", "label", "subclass", "split", "site", "sequence", "datetime"]
Precision = Literal["auto", "float32", "bfloat16"]
Norm = Literal["batch", "none"]
Schedule = Literal["one_cycle", "constant"]
Monitor = Literal["average_precision", "roc_auc", "accuracy", "balanced_accuracy", "f1", "valid_loss", "last"]
LAST_EPOCH: Literal["last"] = "last"
"""The value of `train.monitor` that keeps the last epoch: no validation photo decides anything about it."""


class Section(BaseModel):
    """A table of the TOML file."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False, protected_namespaces=()
    )


class DataConfig(Section):
    """The photos, and their conversion to squares of pixels."""

    path: Place = ""
    """Labelled photos: a folder of class folders, a CSV file, a COCO Camera Traps file (.json) or a Camtrap DP package;
    empty for the built-in drawn scenes."""
    positive: Annotated[tuple[ClassName, ...], BeforeValidator(_list_of_one)] = Field(("bear",), min_length=1)
    """Names of the folders (or labels) with the positive class; all others are negative. In files, bear also stands for
    the scientific names of bears."""
    columns: dict[ColumnRole, Annotated[tuple[str, ...], BeforeValidator(_list_of_one), Field(min_length=1)]] = {}
    """Names of a CSV file's columns, where they aren't filepath, label, subclass, split, site, sequence and datetime:
    {label = "Species"}. Folders and file name in columns of their own: {filepath = ["RelativePath", "File"]}."""
    image_size: int = Field(128, ge=8, le=1024)
    """Side of the square that the network sees, in pixels."""
    resize: ResizeMode = "squish"
    """Way to make a photo square: squish (resize the whole frame), pad (whole frame between bars) or crop (middle
    square, which may cut off the bear)."""
    max_megapixels: int = Field(MAX_MEGAPIXELS, ge=1, le=200)
    """Largest photo that is read, in million pixels in memory; a file has at most 2 bytes for each of them. Most JPEGs
    are decoded at 1/2, 1/4 or 1/8 of their sides, and may have up to 200 million pixels before. More needs more memory:
    up to 10 bytes a pixel, for each photo that is decoded at the same time."""
    valid_share: float = Field(0.2, ge=0.01, le=0.8)
    """Share of the photos for validation, if the folder has no valid/."""
    test_share: float = Field(0.2, ge=0, le=0.8)
    """Share of the photos for the test, if the folder has neither valid/ nor test/; 0 for none."""
    split_seed: int = Field(0, ge=0)
    """Seed of the split. It is separate from train.seed: several training seeds use the same photos."""
    group: int | str = "auto"
    """Photos that stay in one split: auto (by site, if the data tells it, else by camera and day, else by burst; near
    copies always), none (exact copies alone), a level of folders that are sites (1 for those in the data folder or its
    train/, valid/ and test/; -1 for a photo's own) or a regular expression on the path, whose first group or whole
    match is the site."""
    photos: int = Field(0, ge=0)
    """Most photos to train on, classes in proportion; 0 for all. train.seed decides which, and fewer are a part of
    more; the photos of valid/ and test/ stay."""

    detections: Place = ""
    """MegaDetector's batch results of these photos, empty for none: each is scored by the best of the crops around its
    animals, and in training it is the crop around the surest one. Without a detected animal it is the whole frame."""
    detection_threshold: Literal["auto"] | Annotated[float, Field(ge=0, le=1)] = "auto"
    """Lowest confidence of a detection that counts; auto is what the file suggests (typically 0.2)."""
    crop_padding: float = Field(0.15, ge=0, le=2)
    """Margin of a crop on each side of the animal's box, as a share of the box's longer side."""
    tiles: int = Field(0, ge=0, le=MOST_TILES)
    """Overlapping tiles along a photo's shorter side, for small bears; 0 for none. A photo is scored by the best of its
    whole frame and its tiles, which finds more bears and raises more false alarms. Training, and the choice of the best
    epoch, see whole frames alone."""

    @model_validator(mode="after")
    def _tiles_or_crops(self) -> "DataConfig":
        if self.tiles and self.detections:
            raise ValueError(
                "tiles cut whole frames, and detections are crops: set data.tiles = 0 or no data.detections"
            )
        return self

    @field_validator("group")
    @classmethod
    def _level_or_pattern(cls, value: int | str) -> int | str:
        if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
            value = int(value)
        if value in (0, ""):
            raise ValueError("expected auto, none, a level of folders (1, 2, ... or -1) or a regular expression")
        try:
            re.compile(str(value))
        except re.error as error:
            raise ValueError(f"{value} is no regular expression: {error}") from None
        return value

    @field_validator("photos")
    @classmethod
    def _one_of_each_class(cls, value: int) -> int:
        if value == 1:
            raise ValueError("1 photo can't be of both classes: 2 or more, or 0 for all")
        return value

    @field_validator("columns")
    @classmethod
    def _one_column_each(cls, value: dict[ColumnRole, tuple[str, ...]]) -> dict[ColumnRole, tuple[str, ...]]:
        for role, names in value.items():
            if len(names) > 1 and role != "filepath":
                raise ValueError(f"{role} is one column, and only filepath may be several (got {list(names)})")
        return {role: value[role] for role in get_args(ColumnRole) if role in value}

    def __hash__(self) -> int:  # that of pydantic fails on a dict
        return hash(self.model_dump_json())

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
    kernel_size: int | tuple[int, ...] = Field(3, json_schema_extra={"limits": f"odd, 1 to {LARGEST_KERNEL}"})
    """Side of the convolution's window, odd; one for all blocks or a list with one for each."""
    stride: Literal[1, 2] | tuple[Literal[1, 2], ...] = 2
    """2: the convolution skips every other place and halves the map. 1: a pooling window after it halves the map. One
    number for all blocks or a list with one for each."""
    pooling: Pooling = Field("concat", json_schema_extra={"limits": one_of(POOLING_MODES.names())})
    """Pooling of the windows between blocks and of the last map: max, avg, or concat (both side by side)."""
    pool_size: int = Field(2, ge=1, le=8)
    """Side of the pooling windows between blocks, if stride = 1; 1 for none, and the map keeps its size."""
    norm: Norm = "batch"
    """Normalization after each convolution: batch (Ioffe & Szegedy 2015), or none; without it, training needs a lower
    train.lr."""
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
            if size > LARGEST_KERNEL:
                raise ValueError(f"{size} is too large: at most {LARGEST_KERNEL}")
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
        for key in ("residual", "kernel_size", "stride"):
            value = getattr(self, key)
            if isinstance(value, tuple) and len(value) != len(self.widths):
                raise ValueError(f"{key} has {len(value)} numbers for {len(self.widths)} blocks (widths)")
        return self

    @property
    def kernel_sizes(self) -> tuple[int, ...]:
        """The kernel size of each block."""
        return self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,) * len(self.widths)

    @property
    def strides(self) -> tuple[int, ...]:
        """The stride of each block."""
        return self.stride if isinstance(self.stride, tuple) else (self.stride,) * len(self.widths)

    @property
    def residuals(self) -> tuple[int, ...]:
        """The further convolutions of each block."""
        return self.residual if isinstance(self.residual, tuple) else (self.residual,) * len(self.widths)

    def count_weights(self) -> int:
        """Count the weights of the blocks' convolutions, but for what a body's map has to do with the first."""
        body = self.known_body
        width, total = body.passed(self.body_stage)[-1].channels if body else 3, 0
        pools = POOLING_MODES[self.pooling].width_factor
        for out, side, stride, residual in zip(
            self.widths, self.kernel_sizes, self.strides, self.residuals, strict=True
        ):
            total += side * side * out * (width + residual * out)
            width = out * (pools if stride == 1 and self.pool_size > 1 else 1)
        return total

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
        return map_sizes(image_size, self.strides, self.pool_size, start=start)

    @property
    def receptive_fields(self) -> list[tuple[ReceptiveField, ReceptiveField]]:
        """The receptive field of each block after its first convolution, and at its end.

        Raises:
            ValueError: only the network itself can tell, because its body isn't one of `BODIES`.
        """
        if self.body != NO_BODY and not self.known_body:
            raise ValueError(f"the receptive field of {self.body} isn't known")
        body = self.known_body
        start = body.receptive_field(self.body_stage) if body else ReceptiveField()
        return receptive_fields(self.kernel_sizes, self.residuals, self.strides, self.pool_size, start=start)


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
    replicas: Literal["auto"] | Annotated[int, Field(ge=1, le=4096)] = "auto"
    """Slices of a step, each for one processor core: batch norm and dropout treat each as a batch of its own, and their
    gradients are added. auto: in `bearcnn train` one for each core, of at least 8 photos; else 1. The number changes
    the weights a little; which core computes a slice, or whether it is busy, changes nothing."""
    lr: float = Field(3e-3, gt=0, le=10)
    """Highest learning rate of the schedule; `bearcnn train --lr-find` suggests one."""
    schedule: Schedule = "one_cycle"
    """Learning rate over the training run: one_cycle rises to train.lr and falls to almost 0 over train.epochs (Smith
    2018). constant stays at train.lr: for train.patience, which doesn't know the number of epochs beforehand."""
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
