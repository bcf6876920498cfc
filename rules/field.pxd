"""What the compiled modules share of `rules.field`."""

cimport cython
from libc.stdint cimport int32_t, uint8_t, uint16_t

cdef extern from *:
    """
    #ifndef SOURCE_DIGEST
    #define SOURCE_DIGEST ""
    #endif
    """
    const char* SOURCE_DIGEST

cdef enum:
    # The breaks of a text in normal form.
    SOFT = 0xFF0C
    HARD = 0x3002
    TURN = 0x0A
    # The marks of `rules.numbers`: `rules.field` makes sure that they are right.
    START = 0xF8FF
    REST = 0xF8FE


cdef inline bint is_break(int unit) noexcept:
    return unit == SOFT or unit == HARD or unit == TURN


cdef struct View:
    const uint16_t* units
    int size


cdef inline int unit_at(const View* view, int at) noexcept:
    """The character at a place; -1 where there is none."""
    return view.units[at] if 0 <= at < view.size else -1


@cython.final
cdef class Ints:
    cdef int32_t* at
    cdef Py_ssize_t size
    cdef Py_ssize_t room

    cdef inline int push(self, int32_t number) except -1:
        if self.size == self.room:
            self.grow()
        self.at[self.size] = number
        self.size += 1
        return 0

    cdef int make(self, Py_ssize_t size) except -1
    cdef int grow(self) except -1


cdef class Field:
    cdef readonly str text
    cdef readonly str codes
    cdef int size
    cdef uint8_t* masked  # whether the turn round a place has been masked
    cdef uint16_t* units
    cdef View views[8]  # masked, by sound, backwards: a bit each

    cdef int _write(self, int view, str text) except -1
    cdef int mask(self, int place) except -1
