import pytest
from hypothesis import given
from hypothesis import strategies as st

from bearcnn.errors import BearcnnError
from bearcnn.inference import alarm
from bearcnn.inference.alarm import AlarmRule, Alarms, parse_seconds

frames = st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.integers(0, 40)), max_size=60)


@given(frames=frames, needed=st.integers(1, 4), more=st.integers(0, 3), pause=st.sampled_from([0, 10, 60]))
def test_an_alarm_is_n_of_the_last_m_frames_of_a_camera_and_not_within_the_pause(frames, needed, more, pause):
    alarms, now = Alarms(AlarmRule(needed, needed + more, pause)), 0
    history: dict[str, list[bool]] = {"a": [], "b": []}
    last: dict[str, int] = {}
    for camera, is_bear, seconds in frames:
        now += seconds
        history[camera].append(is_bear)
        enough = is_bear and sum(history[camera][-(needed + more) :]) >= needed
        due = enough and (camera not in last or now - last[camera] >= pause)
        if due:
            last[camera] = now
        assert alarms.add(camera, is_bear, now) == due


def test_the_cameras_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr(alarm, "_CAMERAS", 3)
    alarms = Alarms(AlarmRule(2, 2, 0))
    alarms.add("a", True, 0)
    for camera in "bcbc":
        alarms.add(camera, True, 1)
    assert alarms.add("a", True, 2)  # three are remembered
    for camera in "bcd":
        alarms.add(camera, True, 3)
    assert not alarms.add("a", True, 4)  # it was quiet longest
    assert len(alarms._cameras) == 3


@pytest.mark.parametrize(
    ("alarm", "pause", "rule"),
    [
        ("1/1", "60s", AlarmRule(1, 1, 60)),
        (" 2/3 ", "5m", AlarmRule(2, 3, 300)),
        ("3/3", "0", AlarmRule(3, 3, 0)),
        ("1/10", "1.5h", AlarmRule(1, 10, 5400)),
    ],
)
def test_rules_are_read(alarm, pause, rule):
    assert AlarmRule.parse(alarm, pause) == rule


@pytest.mark.parametrize("alarm", ["3/2", "0/3", "0/0", "2", "2/", "-1/3", "two/3", "2/3/4", "", "1/99999"])
def test_a_rule_that_cannot_be_is_refused(alarm):
    with pytest.raises(BearcnnError, match=r"`alarm` is .*expected N/M, such as 2/3"):
        AlarmRule.parse(alarm, "0")


@pytest.mark.parametrize("text", ["", "s", "-5s", "5 days", "1e3", "nan", "inf", "5S", "5,5s"])
def test_a_time_that_is_none_is_refused(text):
    with pytest.raises(BearcnnError, match=r"`pause` is .*expected a time such as 30s, 5m or 1h"):
        parse_seconds("pause", text)
