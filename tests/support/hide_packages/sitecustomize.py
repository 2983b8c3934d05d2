"""Python with this folder in PYTHONPATH finds none of the packages that KJU_HIDE names."""

import os
import sys
from importlib.machinery import PathFinder

HIDDEN = frozenset(os.environ.get("KJU_HIDE", "").split(","))


class Hiding(PathFinder):
    """The finder of packages, but for those that are hidden."""

    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if fullname.partition(".")[0] in HIDDEN:
            return None
        return super().find_spec(fullname, path, target)


sys.meta_path[:] = [Hiding if finder is PathFinder else finder for finder in sys.meta_path]
