"""Step 3, optimization: knows no group and no space, only features, penalties and constraints."""

from symjax_learn.optimization.quadratic import RidgeSolution as RidgeSolution
from symjax_learn.optimization.quadratic import Status as Status
from symjax_learn.optimization.quadratic import solve_ridge as solve_ridge
