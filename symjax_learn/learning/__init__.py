"""Estimators: data in, model out."""

from symjax_learn.learning.archive import load as load
from symjax_learn.learning.archive import save as save
from symjax_learn.learning.augmentation import augment as augment
from symjax_learn.learning.averages import fit_spec_avg as fit_spec_avg
from symjax_learn.learning.bounded import fit_bounded as fit_bounded
from symjax_learn.learning.convex import ConvexModel as ConvexModel
from symjax_learn.learning.convex import ConvexReport as ConvexReport
from symjax_learn.learning.convex import fit_convex as fit_convex
from symjax_learn.learning.kernel import fit_kernel_ridge as fit_kernel_ridge
from symjax_learn.learning.model import KernelModel as KernelModel
from symjax_learn.learning.model import Report as Report
from symjax_learn.learning.model import SpectralModel as SpectralModel
from symjax_learn.learning.spectral import fit_ridge as fit_ridge
