from bearcnn.evaluation.notable import disagreements, surest_answers
from bearcnn.evaluation.predictions import LabelledPrediction


def photo(label: int, probability: float) -> LabelledPrediction:
    return LabelledPrediction(f"{label}-{probability}", "test", label, "x", "", probability, False)


def test_the_surest_answers_are_right_and_half_of_them_bears_where_there_are_enough() -> None:
    bears = [photo(1, value) for value in (0.6, 0.9, 0.8, 0.95, 0.1)]
    others = [photo(0, value) for value in (0.4, 0.01, 0.2, 0.99)]
    photos = [*others, *bears]
    assert [each.probability for each in surest_answers(photos, 0.5, most=4)] == [0.95, 0.9, 0.01, 0.2]
    assert [each.probability for each in surest_answers(bears, 0.5, most=3)] == [0.95, 0.9, 0.8]
    assert [each.probability for each in surest_answers([*bears[:1], *others], 0.5, most=4)] == [0.6, 0.01, 0.2, 0.4]
    assert len(surest_answers(photos, 0.5, most=20)) == 7


def test_disagreements_are_the_photos_called_differently_each_at_its_own_threshold() -> None:
    first = [photo(1, value) for value in (0.6, 0.9, 0.2, 0.7)]
    second = [photo(1, value) for value in (0.4, 0.1, 0.1, 0.31)]
    assert disagreements(first, second, (0.5, 0.5)) == [1, 3, 0]
    assert disagreements(first, second, (0.5, 0.3)) == [1]
