# cython: wraparound=False, initializedcheck=False
"""What the compiled modules share of `rules.walk`."""

cimport cython
from libc.stdint cimport int32_t, uint8_t

from rules.field cimport Field, Ints, View

cdef enum:
    CODES = 0xE000  # as in `rules.phonetic`: `rules.walk` makes sure
    GROUP = 3  # numbers kept of each: an item, and where it starts and ends
    STEP = 5  # step, argument, item, flags, glance
    GLANCE = 64  # bytes of one


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


cdef inline int glanced(int unit) noexcept:
    """The bit by which a glance knows a character: 448 for codes, 64 for all others."""
    cdef int code = unit - CODES
    return code if 0 <= code < 448 else 448 + (unit & 63)


@cython.final
cdef class Expressions:
    cdef const int32_t[:, ::1] steps
    cdef const int32_t[::1] nodes
    cdef const uint8_t[:, ::1] glances, near
    # The same for those who look at how long they are; a view would be counted at each call.
    cdef const int32_t* rows
    cdef const int32_t* words
    cdef const uint8_t* firsts
    cdef Py_ssize_t steps_size, words_size
    cdef int known

    cdef inline bint close(self, int heard, int meant) except -1:
        """Whether a syllable is easily taken for the one that was meant."""
        heard, meant = heard - CODES, meant - CODES
        if not (0 <= heard < self.known and 0 <= meant < self.known):
            return False
        return (self.near[meant, heard >> 3] >> (heard & 7)) & 1

    cdef inline const int32_t* row(self, Py_ssize_t step) except NULL:
        """A step."""
        if not 0 <= step < self.steps_size:
            raise IndexError("no such step")
        return self.rows + STEP * step

    cdef inline const int32_t* node(self, Py_ssize_t place, Py_ssize_t size) except NULL:
        """So many numbers of a node."""
        if not 0 <= place <= place + size <= self.words_size:
            raise IndexError("no such node")
        return self.words + place

    cdef inline bint glance(self, int number, int unit) noexcept:
        """Whether the words of a step may begin with a character."""
        cdef int sign = glanced(unit)
        return (self.firsts[number * GLANCE + (sign >> 3)] >> (sign & 7)) & 1


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
    cdef bint _over_gap(self, Py_ssize_t step, const int32_t* row, int at) except -1
    cdef bint _over_words(self, Py_ssize_t step, const int32_t* row, int at) except -1
    cdef bint _may_begin(self, const int32_t* row, int unit) noexcept
    cdef bint _over_group(self, Py_ssize_t step, const int32_t* row, int at) except -1
    cdef int _numbers(self, int at, bint turned) except -1
    cdef bint _holds(self, int kind, int argument, int at) except -1
    cdef bint _stands(self, int node, int at) except -1
    cdef int _spoken(self, Py_ssize_t node, int at) except -1
    cdef bint _go_on(self, Py_ssize_t node, Py_ssize_t low) except -1
    cdef void _keep_each(self, Py_ssize_t low, Py_ssize_t high) noexcept
    cdef bint _reads(self, const int32_t* word, int length, int at, bint near) except -1
    cdef int _branches(self, Py_ssize_t node, int at) except -1
    cdef int _in_latin(self, Py_ssize_t node, int at) except -1
