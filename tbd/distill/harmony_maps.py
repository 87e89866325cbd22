"""Harmony maps of a view, made once per step."""

from tbd.distill.view import View
from tbd.harmony import HarmonyMaps, HarmonyScoreHead


def harmony_maps(view: View, head: HarmonyScoreHead) -> HarmonyMaps:
    """Harmony maps of a view's dense predictions, as the head defines them.

    Args:
        view: A view with predictions.
        head: Says which logits count and how they become probabilities; terms
            of equal settings share the maps.

    Returns:
        The maps, brought to the sizes that the view asks for.
    """

    def make() -> HarmonyMaps:
        maps = head(view.predictions, view.gt.boxes)
        if view.resized_to is not None:
            maps = maps.per_location().resized(view.resized_to)
        return maps

    return view.cached(("harmony", head.norm, head.confidence), make)
