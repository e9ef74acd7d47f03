"""Checks of a collection of photos, before anything is trained on it: a check is one function and one row in `CHECKS`.

A check takes a `Collection` and yields findings. It never stops at the first, and one that can't work (too few photos,
a package that isn't installed) raises a `BearcnnError`, which becomes a line in the result beside the others' findings.
"""

from bearcnn.checks.base import Check
from bearcnn.registry import Registry

_HERE = "bearcnn.checks"
CHECKS: Registry[Check] = Registry(
    "check",
    [
        Check(
            "untrainable",
            "error",
            "the collection can't be trained on as it is",
            "",
            f"{_HERE}.balance:find_untrainable",
        ),
        Check(
            "no-labels",
            "note",
            "no photo has a label",
            "",
            f"{_HERE}.balance:find_missing_labels",
        ),
        Check(
            "unreadable",
            "error",
            "files that can't be read",
            "Training skips them. Copy them from the camera's card once more, or delete them.",
            f"{_HERE}.files:find_unreadable",
        ),
        Check(
            "copies-of-other-label",
            "error",
            "exact copies with different labels",
            "Training skips both. Delete the one in the wrong folder.",
            f"{_HERE}.copies:find_copies_of_other_label",
        ),
        Check(
            "suspicious-labels",
            "warning",
            "labels that may be wrong",
            "Look at each: a model that was trained without the photo says otherwise. Some are right but unusual.",
            f"{_HERE}.labels:find_suspicious_labels",
            of_labels=True,
        ),
        Check(
            "near-copies-of-other-label",
            "warning",
            "near copies with different labels",
            "Look at each pair: one label is probably wrong, unless an animal is small or just gone.",
            f"{_HERE}.copies:find_near_copies_of_other_label",
        ),
        Check(
            "near-copies-across-splits",
            "warning",
            "near copies in two splits",
            "Scores on them are too good: the model has seen them in training. Keep each pair in one split.",
            f"{_HERE}.copies:find_near_copies_across_splits",
        ),
        Check(
            "copies-across-splits",
            "warning",
            "exact copies in two splits",
            "Training skips the one that it would learn from. Delete one of each pair.",
            f"{_HERE}.copies:find_copies_across_splits",
        ),
        Check(
            "sites-across-splits",
            "warning",
            "sites with photos in two splits",
            "A model is judged at places that it knows; at new ones it is worse. Split by site.",
            f"{_HERE}.places:find_sites_across_splits",
        ),
        Check(
            "giveaways",
            "warning",
            "classes that differ in how the photos were made",
            "A model may learn this instead of the animals. Get photos of both classes of each sort.",
            f"{_HERE}.balance:find_giveaways",
            of_labels=True,
        ),
        Check(
            "balance",
            "warning",
            "few photos of a class",
            "More of them help most; `bearcnn learning-curve` tells how much.",
            f"{_HERE}.balance:find_imbalance",
        ),
        Check(
            "blank",
            "warning",
            "black or blank pictures",
            "Nothing can be seen or learnt. Move them away.",
            f"{_HERE}.pictures:find_blank",
        ),
        Check(
            "clock",
            "warning",
            "times that can't be true",
            "The camera's clock was wrong. Nights, bursts and splits by time can't be trusted on these photos.",
            f"{_HERE}.times:find_wrong_times",
        ),
        Check(
            "tiny",
            "warning",
            "tiny pictures",
            "They are enlarged for the network and stay blurred. Look for the originals; these may be thumbnails.",
            f"{_HERE}.files:find_tiny",
        ),
        Check(
            "unlabelled",
            "warning",
            "photos outside the class folders",
            "Training skips them. Move them into the folder of their class.",
            f"{_HERE}.files:find_unlabelled",
        ),
        Check(
            "certainty",
            "note",
            "what the scores of this collection can prove",
            "",
            f"{_HERE}.balance:find_certainty",
            of_labels=True,
        ),
        Check(
            "dark",
            "note",
            "very dark pictures",
            "Look whether a person could tell the animal; if not, move them away.",
            f"{_HERE}.pictures:find_dark",
        ),
        Check(
            "overexposed",
            "note",
            "overexposed pictures",
            "Look whether a person could tell the animal; if not, move them away.",
            f"{_HERE}.pictures:find_overexposed",
        ),
        Check(
            "wrong-suffix",
            "note",
            "names that don't fit the format",
            "bearcnn reads them by their content; other programs may not. Rename them.",
            f"{_HERE}.files:find_wrong_suffix",
        ),
        Check(
            "copies",
            "note",
            "exact copies",
            "They count twice. Delete all but one of each.",
            f"{_HERE}.copies:find_copies",
        ),
        Check(
            "near-copies",
            "note",
            "near copies: bursts, or photos saved again",
            "They are worth less than as many different photos, and must stay in one split.",
            f"{_HERE}.copies:find_near_copies_within",
        ),
    ],
)
"""All checks, those to look at first before the others."""
