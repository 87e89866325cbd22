"""Only what is read is computed."""

from executed import TERMS, assert_equal_losses, build, losses


def test_the_head_predicts_on_no_level_that_no_pair_uses():
    options = dict(level_map=[(0, 0), (1, 1)], distill=TERMS["tbd"])
    model, whole = build(**options), build(**options)
    whole._teacher._levels = None
    assert_equal_losses(model, whole)
    sizes = []
    model.teacher.bbox_head.retina_cls.register_forward_hook(
        lambda module, args, output: sizes.append(tuple(output.shape[2:]))
    )
    losses(model)
    assert sizes == [(8, 8), (4, 4), (1, 1)]
