"""groundtune.toml <-> one typed tree; unknown keys are errors with the line and the nearest name."""

from groundtune.config.candidates import SHIPPED, STANDARD, CandidateTable, ChosenTable, known_names
from groundtune.config.globs import compile_glob
from groundtune.config.knowledge import Chunking, Retrieval
from groundtune.config.template import default_config_text
from groundtune.config.tree import (
    FILE_NAME,
    Access,
    AccessRule,
    Config,
    Dataset,
    DatasetFile,
    Decision,
    Examples,
    ModelPrice,
    Prices,
    Readers,
    Scoring,
    Training,
    Upkeep,
    load_config,
    load_readers,
)
from groundtune.config.write import with_keys

__all__ = [
    "FILE_NAME",
    "SHIPPED",
    "STANDARD",
    "Access",
    "AccessRule",
    "CandidateTable",
    "ChosenTable",
    "Chunking",
    "Config",
    "Dataset",
    "DatasetFile",
    "Decision",
    "Examples",
    "ModelPrice",
    "Prices",
    "Readers",
    "Retrieval",
    "Scoring",
    "Training",
    "Upkeep",
    "compile_glob",
    "default_config_text",
    "known_names",
    "load_config",
    "load_readers",
    "with_keys",
]
