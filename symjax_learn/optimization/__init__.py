"""Step 3, optimization: knows no group and no space, only features, penalties and constraints."""

from symjax_learn.optimization import losses as losses
from symjax_learn.optimization.convex import ConvexSolution as ConvexSolution
from symjax_learn.optimization.convex import solve_convex as solve_convex
from symjax_learn.optimization.dual import solve_kernel_ridge as solve_kernel_ridge
from symjax_learn.optimization.group_lasso import solve_group_lasso as solve_group_lasso
from symjax_learn.optimization.inequalities import ProgramSolution as ProgramSolution
from symjax_learn.optimization.inequalities import solve_quadratic_program as solve_quadratic_program
from symjax_learn.optimization.lbfgs import solve_by_gradients as solve_by_gradients
from symjax_learn.optimization.moments import Moments as Moments
from symjax_learn.optimization.moments import solve_moments as solve_moments
from symjax_learn.optimization.projection import Projection as Projection
from symjax_learn.optimization.projection import project as project
from symjax_learn.optimization.projection import project_by_products as project_by_products
from symjax_learn.optimization.projection import project_each as project_each
from symjax_learn.optimization.quadratic import solve_ridge as solve_ridge
from symjax_learn.optimization.solution import RidgeSolution as RidgeSolution
from symjax_learn.optimization.solution import Status as Status
from symjax_learn.optimization.statistics import Sums as Sums
from symjax_learn.optimization.statistics import sums_of as sums_of
