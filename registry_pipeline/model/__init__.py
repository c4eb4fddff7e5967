"""The values that travel from room to room: frozen, parsed once at the edge.

Holds types and their JSON forms. Keeps out every kind of reading: no file, clock, process or third-party
package. May import `canon` and `errors`.
"""
