"""What the compiled modules share of `rules.plausible`."""

from libc.stdint cimport int32_t

from rules.field cimport Field


cdef struct Piece:
    int start, end  # where a word was heard
    int word, length  # where its characters are noted, and how many; length 0: a number
    int cost, off  # what hearing it costs, in halves, and how many syllables are off


cdef int budget(int syllables, int off, bint strong) noexcept

cdef bint plausible(
    const Piece* pieces, int count, const int32_t* letters, Field field, int cost, bint strong
) except -1
