"""What a symmetry is worth, before any data."""

from symjax_learn.theory.dimension import quotient_dimension as quotient_dimension
from symjax_learn.theory.volumes import closed_log_volume as closed_log_volume
from symjax_learn.theory.volumes import log_group_volume as log_group_volume
