# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False
# cython: cdivision=True, auto_pickle=False
"""Texts as the compiled search reads them: the characters of a side, masked, by sound, backwards.

A text is read through `unit_at`, which knows no place outside of it, or after a look at its size.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport uint8_t
from libc.string cimport memcpy, memset

from rules.numbers import NUMBER_REST, NUMBER_START, number_spans

DIGEST = SOURCE_DIGEST.decode("ascii")
"""SHA-256 of all the sources that this module was built with."""

if chr(START) + chr(REST) != NUMBER_START + NUMBER_REST:
    raise ImportError("rules/field.pxd knows other marks than rules.numbers")


cdef class Ints:
    """Numbers, as many as come."""

    def __cinit__(self):
        self.size, self.room = 0, 64
        self.at = <int32_t*>PyMem_Malloc(self.room * sizeof(int32_t))
        if self.at == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.at)

    cdef int make(self, Py_ssize_t size) except -1:
        """So many zeros."""
        while self.room < size:
            self.grow()
        memset(self.at, 0, size * sizeof(int32_t))
        self.size = size
        return 0

    cdef int grow(self) except -1:
        cdef int32_t* wider = <int32_t*>PyMem_Realloc(self.at, 2 * self.room * sizeof(int32_t))
        if wider == NULL:
            raise MemoryError
        self.at, self.room = wider, 2 * self.room
        return 0


cdef class Field:
    """A text in normal form and its codes, as they are and with numbers masked, both ways."""

    def __cinit__(self, str text not None, str codes not None):
        cdef int n
        if len(text) != len(codes) or len(text) > 0x7FFFFF0:
            raise ValueError("a text and its codes are of one length, and not endless")
        self.text, self.codes, self.size, self.masked = text, codes, len(text), NULL
        self.units = <uint16_t*>PyMem_Malloc(8 * (self.size + 1) * sizeof(uint16_t))
        if self.units == NULL:
            raise MemoryError
        for n in range(8):
            self.views[n].units = self.units + n * <Py_ssize_t>self.size
            self.views[n].size = self.size
        self._write(0, text)
        self._write(2, codes)

    def __dealloc__(self):
        PyMem_Free(self.units)
        PyMem_Free(self.masked)

    cdef int _write(self, int view, str text) except -1:
        """Note a text and its reverse."""
        cdef uint16_t* forwards = <uint16_t*>self.views[view].units
        cdef uint16_t* backwards = <uint16_t*>self.views[view + 1].units
        cdef Py_UCS4 character
        cdef int at = 0
        for character in text:
            if character > 0xFFFF:
                character = 0xFFFD
            forwards[at] = character
            at += 1
            backwards[self.size - at] = character
        return 0

    cdef int mask(self, int place) except -1:
        """Note the turn round a place with each number as marks, which a search finds at once."""
        cdef int view, start, end, at, low = place, high = place
        cdef const uint16_t* text = self.views[0].units
        cdef uint16_t mark
        if self.masked == NULL:
            self.masked = <uint8_t*>PyMem_Calloc(self.size + 1, 1)
            if self.masked == NULL:
                raise MemoryError
            memcpy(<void*>self.views[4].units, text, 4 * <size_t>self.size * sizeof(uint16_t))
        if place >= self.size or self.masked[place]:
            return 0
        while low > 0 and text[low - 1] != TURN:
            low -= 1
        while high < self.size and text[high] != TURN:
            high += 1
        memset(self.masked + low, 1, high - low)
        for start, end in number_spans(self.text, low, high):
            if not low <= start < end <= high:
                raise IndexError("a number outside of the text")
            for at in range(start, end):
                mark = START if at == start else REST
                for view in (4, 6):
                    (<uint16_t*>self.views[view].units)[at] = mark
                    (<uint16_t*>self.views[view + 1].units)[self.size - 1 - at] = mark
        return 0
