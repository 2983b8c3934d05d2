"""jeepney's modules as values of type Any, because jeepney has no types.

With this module strict type checking needs no other exception.
"""

from __future__ import annotations

from typing import Any

from jeepney import auth as _auth
from jeepney import low_level as _low_level
from jeepney import wrappers as _wrappers

auth: Any = _auth
low_level: Any = _low_level
wrappers: Any = _wrappers
