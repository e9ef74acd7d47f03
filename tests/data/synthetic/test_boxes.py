import json

import pytest

from bearcnn.data.synthetic.boxes import read_boxes
from bearcnn.data.synthetic.scenes import write_scenes
from bearcnn.errors import DataError


def test_drawn_bears_have_boxes_inside_the_picture(tmp_path):
    write_scenes(tmp_path / "scenes", count=40, size=48)
    boxes = read_boxes(tmp_path / "scenes")
    assert len(boxes) == 20
    assert all(path.is_file() for path in boxes)
    assert all(0 <= left < right <= 1 and 0 <= top < bottom <= 1 for left, top, right, bottom in boxes.values())


def test_other_photos_have_no_boxes(photos):
    assert read_boxes(photos) == {}


def test_a_damaged_list_of_scenes_is_said_so(tmp_path):
    (tmp_path / "scenes.jsonl").write_text(json.dumps({"path": "a.jpg"}) + "\n")
    with pytest.raises(DataError, match=r"scenes\.jsonl can't be used"):
        read_boxes(tmp_path)
