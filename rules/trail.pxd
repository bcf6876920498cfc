"""What the compiled modules share of `rules.trail`."""

from libc.stdint cimport int8_t, int32_t, uint8_t, uint16_t, uint64_t

from rules.field cimport Ints, View
from rules.walk cimport Expressions, Walk

cdef enum:
    FOUND = 7  # numbers kept of each place found
    # pattern, traits, condition, two needs: kin, low, high, sides (1: before, 2: commas)
    LEAD = 11
    ENTRY = 4  # core, trigger, its length, offset


cpdef enum Trait:
    """What a pattern is."""

    SOUNDS = 1
    COUNTS = 2
    STRONG = 4


cdef class Machine:
    cdef tuple seeds
    cdef Expressions table
    cdef const int32_t[::1] places, word_places, signs, sounds, items, first_item
    cdef const uint16_t[::1] codes, words
    cdef const int32_t[:, ::1] triggers, leads, halves
    cdef const uint8_t[:, ::1] glances, pairs, single
    cdef const int8_t[:, :, ::1] limits
    cdef const int8_t[:, ::1] most
    cdef const uint8_t[::1] written, side
    cdef int patterns


cdef class Seeds:
    cdef const int32_t[::1] buckets, rests, first
    cdef const uint8_t[::1] signs
    cdef const uint64_t[::1] heads
    cdef const uint16_t[::1] tails
    cdef const int32_t[:, ::1] entries
    cdef int bits, sizes


cdef class Trail(Walk):
    cdef Machine machine
    cdef readonly dict conditions
    cdef Ints found, parts, around, asked, seen, ready
    cdef int low, high, cost, off

    cdef int _listen(self) except -1
    cdef int _go_through(self, Seeds seeds, const View* text, int low, int high) except -1
    cdef int _sift(self, Seeds seeds, const View* text, int low, int high) except -1
    cdef int _look_up(self, Seeds seeds, const View* text) except -1
    cdef int _follow(self, Seeds seeds) except -1
    cdef int _try(self, const int32_t* entry, int place) except -1
    cdef bint _is_written(self, int trigger, int start) except -1
    cdef bint _may_be_meant(self, const int32_t* lead, int trigger, int start, int end) except -1
    cdef int _weigh(self, int heard, int meant) except -1
    cdef bint _likeliest(self, Py_ssize_t place, int start, int length, int most) except -1
    cdef bint _is_among(
        self, Py_ssize_t place, int count, const uint16_t* heard, int length
    ) except -1
    cdef int _note(
        self, const int32_t* lead, int trigger, int start, int end, bint whole
    ) except -1
    cdef bint _is_met(self, const int32_t* need, int start, int end, int slack) except -1
    cdef int _damaged(self, int trigger, int start, bint stretch) except -2
    cdef int _stretched(self, int start, Py_ssize_t place, int length, int same) except -2
    cdef bint _read(self, int core, int start, int end, int view) except -1
