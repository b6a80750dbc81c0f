"""What a symmetry is worth, before any data."""

from symjax_learn.theory.subsets import GroupRule as GroupRule
from symjax_learn.theory.subsets import SubsetAverage as SubsetAverage
from symjax_learn.theory.subsets import exact_rule as exact_rule
from symjax_learn.theory.subsets import subset_average as subset_average
from symjax_learn.theory.subsets import subset_bound as subset_bound
