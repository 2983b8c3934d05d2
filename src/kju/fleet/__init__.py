"""Machines on many computers.

| module | holds |
|---|---|
| ``placement`` | which node gets a machine |
| ``roster`` | the decisions of a fleet's controller |
| ``keeping`` | the decisions of a node's keeper |
| ``messages`` | what the two say to each other |
"""
