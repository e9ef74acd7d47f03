"""TOML + overrides -> one frozen, checked Config.

Everything that can be wrong with a configuration is found here, before torch is loaded or a photo is read; all problems
are reported at once.
"""

from bearcnn.config.reading import (
    MOVABLE,
    changed_keys,
    dump_config,
    load_config,
    make_config,
    make_data_config,
)
from bearcnn.config.sections import (
    LAST_EPOCH,
    AugmentConfig,
    ColumnRole,
    DataConfig,
    ModelConfig,
    Monitor,
    Precision,
    TrainConfig,
)
from bearcnn.config.whole import Config, config_keys

__all__ = [
    "LAST_EPOCH",
    "MOVABLE",
    "AugmentConfig",
    "ColumnRole",
    "Config",
    "DataConfig",
    "ModelConfig",
    "Monitor",
    "Precision",
    "TrainConfig",
    "changed_keys",
    "config_keys",
    "dump_config",
    "load_config",
    "make_config",
    "make_data_config",
]
