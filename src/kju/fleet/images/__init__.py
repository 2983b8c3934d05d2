"""Images of a fleet's machines: found on a node, or copied to it and cached there.

| module | holds |
|---|---|
| ``source`` | `FleetImage`: an image that a program has opened, by its SHA-256 |
| ``opening`` | an image of the computer of a program |
| ``files`` | files of images: their hashes, and pieces of them |
| ``hashes`` | hashes of large files, kept until they change |
| ``cache`` | the copies on one computer: filled once, checked, bounded |
| ``keeping`` | the images of the machines of one keeper |
| ``transfer`` | pieces from one node to others, over Ray's object store |
"""
