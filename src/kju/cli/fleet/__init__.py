"""`kju fleet`: the commands of machines on many computers.

| module | commands |
|---|---|
| ``commands`` | the group; ``nodes``, ``stop``, ``drain`` and ``down`` |
| ``work`` | ``up``, ``launch`` and ``map`` |
| ``watching`` | ``ls``, ``watch`` and ``events``, without Ray |
"""
