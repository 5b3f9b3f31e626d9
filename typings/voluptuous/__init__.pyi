# The newest Home Assistant puts probatio behind the name voluptuous, at run time; this says so to mypy.
from probatio import *
from probatio import Marker as Marker
