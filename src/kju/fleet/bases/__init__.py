"""Bases of forks on the nodes of a fleet: used where they lie, and copied once to other nodes.

source     core: a base that machines of a fleet are forked from; the files to copy
opening    SHELL: a base of this computer for a fleet
manifest   SHELL: the list of files of a base, for the nodes that copy it
copying    SHELL: a copy of a base, from pieces
keeping    SHELL: the bases of the machines of one keeper
"""
