# cython: wraparound=False, initializedcheck=False
"""What the compiled modules share of `rules.walk`."""

cimport cython
from libc.stdint cimport int32_t, uint8_t

from rules.field cimport Field, Ints, View

cdef enum:
    CODES = 0xE000  # as in `rules.phonetic`: `rules.walk` makes sure
    GROUP = 3  # numbers kept of each: an item, and where it starts and ends


cpdef enum Step:
    """One step of half a pattern; in brackets what its argument is."""

    STOP = 0
    GAP = 1  # characters at most, flag `SOFTLY`: commas may stand between
    AFTER_BREAK = 2
    BEFORE_BREAK = 3
    AFTER_TURN = 4
    BEFORE_TURN = 5  # a comma may come first
    BEFORE_CLOSE = 6  # a comma and full stops may come first
    NOT_AHEAD = 7  # node of words
    NOT_BEHIND = 8  # node of words, turned the other way
    WORDS = 9  # node of words
    NUMBER = 10
    NUMBER_TURNED = 11


cpdef enum Flag:
    """What else is to be known of a step."""

    JOINED = 1  # a comma may come first
    OPTIONAL = 2
    SOFTLY = 4


cpdef enum Node:
    """One node of a set of words, followed in the table by its members."""

    LITERAL = 0  # near, length, units
    BRANCH = 1  # near, count, (unit, whether a word ends here, node of the rest or -1) each
    LATIN = 2  # count, (border before, border after, length, units) each
    EITHER = 3  # whether none may stand, count, nodes
    CHAIN = 4  # count, nodes


@cython.final
cdef class Expressions:
    cdef const int32_t[:, ::1] steps
    cdef const int32_t[::1] nodes
    cdef const uint8_t[:, ::1] glances, near
    cdef int known

    cdef inline bint close(self, int heard, int meant) except -1:
        """Whether a syllable is easily taken for the one that was meant."""
        heard, meant = heard - CODES, meant - CODES
        if not (0 <= heard < self.known and 0 <= meant < self.known):
            return False
        return (self.near[meant, heard >> 3] >> (heard & 7)) & 1


cdef class Walk:
    cdef readonly Field field
    cdef Expressions table
    cdef Ints ends, groups
    cdef View* view
    cdef View* other
    cdef int reach

    cdef void _face(self, int view) noexcept
    cdef list _spans(self)
    cdef bint _walk(self, Py_ssize_t step, int at) except -1
    cdef bint _over_gap(self, Py_ssize_t step, int at) except -1
    cdef bint _over_words(self, Py_ssize_t step, int at) except -1
    cdef bint _over_group(self, Py_ssize_t step, int at) except -1
    cdef int _numbers(self, int at, bint turned) except -1
    cdef bint _holds(self, int kind, int argument, int at) except -1
    cdef bint _stands(self, int node, int at) except -1
    cdef int _spoken(self, Py_ssize_t node, int at) except -1
    cdef bint _go_on(self, Py_ssize_t node, Py_ssize_t low) except -1
    cdef void _keep_each(self, Py_ssize_t low, Py_ssize_t high) noexcept
    cdef bint _reads(self, Py_ssize_t place, int at, bint near) except -1
    cdef int _branches(self, Py_ssize_t node, int at) except -1
    cdef int _in_latin(self, Py_ssize_t node, int at) except -1
