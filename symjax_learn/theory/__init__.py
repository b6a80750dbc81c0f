"""What a symmetry is worth, before any data."""

from symjax_learn.theory.dimension import quotient_dimension as quotient_dimension
from symjax_learn.theory.equivalents import RiskCurve as RiskCurve
from symjax_learn.theory.equivalents import effective_dimension as effective_dimension
from symjax_learn.theory.equivalents import predicted_risk as predicted_risk
from symjax_learn.theory.gain import Gain as Gain
from symjax_learn.theory.gain import SampleSizes as SampleSizes
from symjax_learn.theory.gain import gain as gain
from symjax_learn.theory.group_volumes import log_group_volume as log_group_volume
from symjax_learn.theory.quotient import QuotientVolume as QuotientVolume
from symjax_learn.theory.quotient import VolumeStatus as VolumeStatus
from symjax_learn.theory.quotient import quotient_volume as quotient_volume
from symjax_learn.theory.rates import risk_curve as risk_curve
from symjax_learn.theory.subsets import GroupRule as GroupRule
from symjax_learn.theory.subsets import SubsetAverage as SubsetAverage
from symjax_learn.theory.subsets import exact_rule as exact_rule
from symjax_learn.theory.subsets import subset_average as subset_average
from symjax_learn.theory.subsets import subset_bound as subset_bound
from symjax_learn.theory.volumes import closed_log_volume as closed_log_volume
from symjax_learn.theory.weyl import CountingCurve as CountingCurve
from symjax_learn.theory.weyl import WeylCount as WeylCount
from symjax_learn.theory.weyl import counting_curve as counting_curve
from symjax_learn.theory.weyl import weyl_count as weyl_count
