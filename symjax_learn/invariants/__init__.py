"""Step 2b: the group acting on the eigenspaces, and the functions that it leaves fixed."""

from symjax_learn.invariants.action import Action as Action
from symjax_learn.invariants.action import action as action
from symjax_learn.invariants.basis import Certificate as Certificate
from symjax_learn.invariants.basis import InvariantBasis as InvariantBasis
from symjax_learn.invariants.construct import eigenbasis as eigenbasis
from symjax_learn.invariants.construct import invariant_basis as invariant_basis
from symjax_learn.invariants.count import invariant_count as invariant_count
from symjax_learn.invariants.operators import representation_operator as representation_operator
from symjax_learn.invariants.routes.subset import RandomGenerators as RandomGenerators
from symjax_learn.invariants.routes.subset import random_generators as random_generators
