from hypothesis import given
from hypothesis import strategies as st

from bearcnn.inference.labels import Labelling
from bearcnn.inference.order import ORDERS, sort_predictions
from bearcnn.inference.prediction import Prediction

LABELLING = Labelling(("dark", "bright"), 0.2, 0.8)


def rows(probabilities: list[float | None]) -> list[Prediction]:
    return [Prediction(str(i), p, None, None) for i, p in enumerate(probabilities)]


def test_the_most_probable_come_first_and_the_unreadable_last():
    ordered = sort_predictions(rows([0.1, None, 0.9, 0.5]), "probability", LABELLING)
    assert [row.probability for row in ordered] == [0.9, 0.5, 0.1, None]


def test_those_nearest_to_the_thresholds_come_first():
    ordered = sort_predictions(rows([0.999, 0.0, None, 0.45, 0.9]), "unsure", LABELLING)
    assert [row.probability for row in ordered] == [0.45, 0.9, 0.999, 0.0, None]


@given(st.lists(st.none() | st.sampled_from([0.0, 0.3, 0.5, 1.0])), st.sampled_from(ORDERS.names()))
def test_no_photo_is_lost_and_equal_ones_keep_their_order(probabilities, order):
    ordered = sort_predictions(rows(probabilities), order, LABELLING)
    assert sorted(ordered, key=lambda row: int(row.path)) == rows(probabilities)
    for value in {row.probability for row in ordered}:
        same = [int(row.path) for row in ordered if row.probability == value]
        assert same == sorted(same)
