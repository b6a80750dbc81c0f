"""What a symmetry is worth, before any data."""

from symjax_learn.theory.gain import Gain as Gain
from symjax_learn.theory.gain import SampleSizes as SampleSizes
from symjax_learn.theory.gain import gain as gain
from symjax_learn.theory.weyl import CountingCurve as CountingCurve
from symjax_learn.theory.weyl import WeylCount as WeylCount
from symjax_learn.theory.weyl import counting_curve as counting_curve
from symjax_learn.theory.weyl import weyl_count as weyl_count
