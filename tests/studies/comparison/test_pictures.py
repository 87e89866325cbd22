import numpy as np

from tbd.studies.comparison.pictures import MOST_BOXES, judge
from tbd.visualization import Boxes

TRUTH = Boxes(np.array([[0.0, 0, 10, 10], [20, 20, 40, 40]]), np.array([0, 1]))


def judged(boxes, labels, scores, truth=TRUTH):
    return judge(Boxes(np.array(boxes, float), np.array(labels), np.array(scores)), truth)


def test_a_detection_is_right_where_it_overlaps_an_object_of_its_class():
    half, less, other = [0, 0, 10, 5.1], [0, 0, 10, 4.9], [20, 20, 40, 40]
    assert judged([half], [0], [0.9]).correct.tolist() == [True]
    assert judged([less], [0], [0.9]).correct.tolist() == [False]
    assert judged([other], [0], [0.9]).correct.tolist() == [False]


def test_an_object_makes_one_detection_right_the_surest():
    found = judged([[0, 0, 10, 10], [0, 0, 10, 9]], [0, 0], [0.5, 0.8])
    assert found.scores.tolist() == [0.8, 0.5]
    assert found.correct.tolist() == [True, False]


def test_few_boxes_are_kept_and_none_below_the_threshold():
    many = judged([[0, 0, 10, 10]] * 40, [0] * 40, np.linspace(0.31, 0.9, 40))
    assert len(many.boxes) == MOST_BOXES
    assert many.scores.max() == 0.9
    assert len(judged([[0, 0, 10, 10]], [0], [0.29]).boxes) == 0


def test_an_image_without_objects_has_errors_only():
    nothing = Boxes(np.zeros((0, 4)), np.zeros(0, int))
    assert judged([[0, 0, 10, 10]], [0], [0.9], nothing).correct.tolist() == [False]
    assert len(judged(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0)).correct) == 0
