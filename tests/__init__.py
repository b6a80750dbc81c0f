"""Laws over registries of groups, spaces, pairs, routes and estimators."""

from tests import typechecker as typechecker  # found here by name when signatures are checked
