"""Step 2a, geometry: where the functions live. This wing knows no group."""

from symjax_learn.geometry.ball import Ball as Ball
from symjax_learn.geometry.ball import BallHarmonics as BallHarmonics
from symjax_learn.geometry.box import Box as Box
from symjax_learn.geometry.discrete import DiscreteSpace as DiscreteSpace
from symjax_learn.geometry.gaussian import Gaussian as Gaussian
from symjax_learn.geometry.graphs import GraphCharacters as GraphCharacters
from symjax_learn.geometry.graphs import Graphs as Graphs
from symjax_learn.geometry.hypercube import Characters as Characters
from symjax_learn.geometry.hypercube import Hypercube as Hypercube
from symjax_learn.geometry.labels import Labels as Labels
from symjax_learn.geometry.labels import TabulatedFunctions as TabulatedFunctions
from symjax_learn.geometry.mesh import Mesh as Mesh
from symjax_learn.geometry.product import Product as Product
from symjax_learn.geometry.rotations import RotationGroup as RotationGroup
from symjax_learn.geometry.rotations import WignerMatrices as WignerMatrices
from symjax_learn.geometry.spaces import AbstractFunctions as AbstractFunctions
from symjax_learn.geometry.spaces import AbstractSpace as AbstractSpace
from symjax_learn.geometry.spaces import Level as Level
from symjax_learn.geometry.spectra import Spectrum as Spectrum
from symjax_learn.geometry.spectra import heat as heat
from symjax_learn.geometry.spectra import matern as matern
from symjax_learn.geometry.spectra import sobolev as sobolev
from symjax_learn.geometry.sphere import Sphere as Sphere
from symjax_learn.geometry.sphere import SphericalHarmonics as SphericalHarmonics
from symjax_learn.geometry.torus import PlaneWaveSums as PlaneWaveSums
from symjax_learn.geometry.torus import Torus as Torus
