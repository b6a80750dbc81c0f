"""Estimators: data in, model out."""

from symjax_learn.learning.archive import load as load
from symjax_learn.learning.archive import save as save
from symjax_learn.learning.augmentation import augment as augment
from symjax_learn.learning.averages import fit_spec_avg as fit_spec_avg
from symjax_learn.learning.kernel import fit_kernel_ridge as fit_kernel_ridge
from symjax_learn.learning.model import KernelModel as KernelModel
from symjax_learn.learning.model import Report as Report
from symjax_learn.learning.model import SpectralModel as SpectralModel
from symjax_learn.learning.posterior import Posterior as Posterior
from symjax_learn.learning.posterior import posterior as posterior
from symjax_learn.learning.soft import SoftPath as SoftPath
from symjax_learn.learning.soft import fit_soft_invariance as fit_soft_invariance
from symjax_learn.learning.soft import soft_invariance_path as soft_invariance_path
from symjax_learn.learning.sources import npy_source as npy_source
from symjax_learn.learning.sources import parquet_source as parquet_source
from symjax_learn.learning.sources import zarr_source as zarr_source
from symjax_learn.learning.spectral import fit_ridge as fit_ridge
from symjax_learn.learning.streams import accumulate as accumulate
from symjax_learn.learning.sums import RidgeStatistics as RidgeStatistics
from symjax_learn.learning.sums import fit_statistics as fit_statistics
from symjax_learn.learning.tuning import Tuning as Tuning
from symjax_learn.learning.tuning import ridge_criterion as ridge_criterion
from symjax_learn.learning.tuning import tune_ridge as tune_ridge
