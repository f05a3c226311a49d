"""Deterministic splits: an image's split depends on its own key and on nothing else."""

from __future__ import annotations

import hashlib
from typing import Literal

SplitName = Literal["train", "validation", "test"]

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

# Wei et al. 2020, section 3.2: 1.06 M train, 33 K validation, 71 K test.
PAPER_VALIDATION_SHARE = 33 / 1164
PAPER_TEST_SHARE = 71 / 1164


def check_shares(validation: float, test: float) -> None:
    """Refuse shares that leave no place for training.

    Args:
        validation: Share of the validation split.
        test: Share of the test split.

    Raises:
        ValueError: A share is negative or not a number, or both add up to more than 1.
    """
    if not (validation >= 0 and test >= 0 and validation + test <= 1):
        raise ValueError(
            f"validation={validation} and test={test} have to be shares >= 0 that add up to at "
            "most 1, such as 0.05 and 0.1"
        )


def assign_split(
    key: str,
    *,
    validation: float = PAPER_VALIDATION_SHARE,
    test: float = PAPER_TEST_SHARE,
    seed: int = 0,
) -> SplitName:
    """Split of an image, from a hash of its key.

    New images never move old ones, and images with one key (a group) are always together. Raising
    `test` keeps every test image in test; raising `validation` keeps those of both.

    Args:
        key: The image's group, or its id.
        validation: Share of the validation split, in expectation.
        test: Share of the test split, in expectation.
        seed: Another seed gives another split.

    Returns:
        The name of the split.

    Raises:
        ValueError: The shares do not make a split, see `check_shares`.

    >>> {assign_split(f"image-{i}", validation=0.5, test=0.5) for i in range(9)} <= set(SPLITS)
    True
    """
    check_shares(validation, test)
    digest = hashlib.blake2b(f"{seed}\0{key}".encode(), digest_size=8).digest()
    # 53 bits, as many as a float holds, so that the point is below 1.
    point = (int.from_bytes(digest, "big") >> 11) / (1 << 53)
    if point < test:
        return "test"
    return "validation" if point < test + validation else "train"
