"""What a symmetry is worth, before any data."""

from symjax_learn.theory.equivalents import RiskCurve as RiskCurve
from symjax_learn.theory.equivalents import effective_dimension as effective_dimension
from symjax_learn.theory.equivalents import predicted_risk as predicted_risk
from symjax_learn.theory.rates import risk_curve as risk_curve
