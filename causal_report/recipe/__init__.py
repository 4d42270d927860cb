"""The seed study's published recipe, labelled as that wherever its numbers stand."""

from causal_report.recipe.published import printed, reproduce

__all__ = ["printed", "reproduce"]
