"""Groups of near-duplicates among perceptual hashes: exact, for millions of them."""

from emotionnet_hf.dedup.grouping import (
    DEFAULT_RADIUS,
    LINKAGES,
    MAX_RADIUS,
    DedupError,
    Linkage,
    NearDuplicates,
    check_rule,
    near_duplicates,
)

__all__ = [
    "DEFAULT_RADIUS",
    "LINKAGES",
    "MAX_RADIUS",
    "DedupError",
    "Linkage",
    "NearDuplicates",
    "check_rule",
    "near_duplicates",
]
