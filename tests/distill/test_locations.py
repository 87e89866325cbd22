import torch

from tbd.distill.locations import by_level, location_centers


def test_centres_lie_row_by_row_at_the_offset_in_their_cells():
    first, second = location_centers(
        [(2, 3), (1, 1)], [(8.0, 4.0), (16, 16)], 0.5, torch.device("cpu")
    )
    assert first.tolist() == [[2, 4], [6, 4], [10, 4], [2, 12], [6, 12], [10, 12]]
    assert second.tolist() == [[8, 8]]
    assert first.dtype == second.dtype == torch.float32


def test_with_offset_0_they_lie_in_the_corners():
    (level,) = location_centers([(1, 2)], [(8, 4)], 0, torch.device("cpu"))
    assert level.tolist() == [[0, 0], [4, 0]]


def test_values_of_all_levels_become_maps_in_the_order_of_the_locations():
    images = [torch.arange(7), torch.arange(7, 14)]
    first, second = by_level(images, [(2, 3), (1, 1)])
    assert first.tolist() == [[[0, 1, 2], [3, 4, 5]], [[7, 8, 9], [10, 11, 12]]]
    assert second.tolist() == [[[6]], [[13]]]
