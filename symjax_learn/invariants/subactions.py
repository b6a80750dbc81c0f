"""The action of a subgroup on the space of the whole group."""

from symjax_learn._types import Element
from symjax_learn.algebra.subgroups import Subgroup, generated_subgroup
from symjax_learn.invariants.action import Action


def generated_action(action: Action, elements: Element) -> Action:
    """The action of the subgroup that elements of a finite group generate: points move as before.

    Args:
        action: of the whole group.
        elements: a batch with one leading axis; of length 0 for the trivial subgroup.

    Raises:
        ValueError: the group is infinite.
    """
    group = generated_subgroup(action.group, elements)
    if action.user_act is not None or not isinstance(group, Subgroup):
        return Action(action.space, group, action.user_act)
    # A lambda, because the method of a module that holds arrays cannot be hashed.
    return Action(action.space, group, lambda g, point: action.act(g, point))
