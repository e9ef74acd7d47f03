"""Files as MegaDetector writes them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_detections(path: Path, boxes: Mapping[str, Sequence[Sequence[float]] | None]) -> Path:
    """Boxes [x, y, width, height] of animals by the photos' names, the surest first; None where the detector failed."""
    images = [
        {"file": name, "detections": None, "failure": "Failure image access"}
        if found is None
        else {
            "file": name,
            "detections": [
                {"category": "1", "conf": 0.9 - 0.1 * place, "bbox": list(box)} for place, box in enumerate(found)
            ],
        }
        for name, found in boxes.items()
    ]
    content = {"info": {"format_version": "1.5"}, "detection_categories": {"1": "animal"}, "images": images}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path
