import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bearcnn.runs.contents import DatasetContent, MetricsContent, PredictionContent, as_dict
from bearcnn.runs.reading import CHECKSUM, PathBelow, read_object, with_checksum
from tests.helpers.damage import damage

RECORD = {
    "format": 1,
    "root": "/photos",
    "positive": ["bear"],
    "classes": ["not_bear", "bear"],
    "fingerprint": "f",
    "examples": [
        {"path": "bear/a.jpg", "label": 1, "subclass": "brown", "split": "train", "digest": "d", "site": "north"},
        {"path": "wolf/\udcff.jpg", "label": 0, "subclass": "wolf", "split": "test", "digest": "e"},
    ],
    "skipped": [{"path": "bear/b.jpg", "reason": "empty file"}],
}
MOVABLE = ("root",)


def written(content=RECORD) -> bytes:
    return json.dumps(with_checksum(content, MOVABLE), indent=1).encode()


def read(content: bytes):
    return as_dict(read_object(content, DatasetContent, unchecked=MOVABLE))


def test_what_was_written_is_read_with_the_keys_that_it_had_however_it_is_spaced():
    assert read(written()) == RECORD
    assert read(json.dumps(dict(reversed(json.loads(written()).items()))).encode()) == RECORD
    assert read(written({**RECORD, "from_a_later_version": 1})) == RECORD


def test_a_record_without_a_checksum_is_of_an_earlier_version():
    assert read(json.dumps(RECORD).encode()) == RECORD
    old = {**RECORD, "left_out": RECORD["skipped"]}
    del old["skipped"]
    assert read(json.dumps(old).encode()) == RECORD


def test_one_other_digit_or_name_is_noticed_but_the_photos_may_have_moved():
    assert read(written().replace(b'"/photos"', b'"/elsewhere"'))["root"] == "/elsewhere"
    for before, after in ((b"brown", b"black"), (b'"label": 1', b'"label": 0'), (b"not_bear", b"not_bean")):
        with pytest.raises(ValueError, match="has changed since it was written"):
            read(written().replace(before, after))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"{", "it isn't JSON"),
        (b"[]", "should be a JSON object"),
        (b"\xff\xfe\x00", "it isn't text"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"format": ' + b"9" * 5_000 + b"}", "a number in it is too long"),
        (json.dumps({**RECORD, "root": "a\0b"}).encode(), "root: should be the path of a folder"),
        (json.dumps({**RECORD, "examples": [{"path": "x"}]}).encode(), r"examples\.0\.label: field required"),
        (json.dumps({**RECORD, "positive": "bear"}).encode(), "positive: should be a valid list"),
    ],
)
def test_what_is_wrong_is_said_in_a_few_words(content, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        read(content)
    assert not isinstance(caught.value, ValidationError) and "\n" not in str(caught.value)


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.jpg", "a/../../x.jpg", "a\0"])
def test_a_path_never_leads_out_of_the_photos_folder(path):
    with pytest.raises(ValidationError, match="below the photos' folder"):
        TypeAdapter(PathBelow).validate_python(path)


@pytest.mark.parametrize("path", ["a/b.jpg", "..a/b..", "a b/[red].jpg", "\udcff.jpg", "-rf", "a:b.jpg"])
def test_odd_names_are_names(path):
    assert TypeAdapter(PathBelow).validate_python(path) == path


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    )
)
def test_any_json_is_refused_with_a_reason(content):
    for model in (DatasetContent, MetricsContent, PredictionContent):
        with pytest.raises(ValueError) as caught:
            read_object(json.dumps(content), model)
        assert type(caught.value) is ValueError


@pytest.mark.parametrize("seed", range(20))
def test_no_damage_passes_for_another_content(seed):
    for kind, changed in damage(written(), random.Random(seed)):
        try:
            found = read(changed)
        except ValueError as error:
            assert type(error) is ValueError, kind
            continue
        found["root"] = RECORD["root"]
        assert found == RECORD or CHECKSUM.encode() not in changed, kind
