"""The run-time checker of signatures: beartype, where an int is welcome as a float."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
