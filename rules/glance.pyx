# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, auto_pickle=False
"""Which expressions may match round a place, told by one look at the characters there.

The tables are made by `rules.signs` and checked when they are taken, so none is read outside.
"""

from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t

from rules.field cimport HARD, SOURCE_DIGEST, TURN
from rules.field cimport Field, Ints, View, unit_at

DIGEST = SOURCE_DIGEST.decode("ascii")
"""SHA-256 of all the sources that this module was built with."""


cpdef enum Zone:
    """The stretches round a place, each of a width at most."""

    BEFORE = 0  # from the beginning of the sentence
    INSIDE = 1
    AFTER = 2  # to the end of the sentence
    LATER = 3  # to the end of the turn
    TURN_ROUND = 4  # on both sides, within the turn


cdef class Glance:
    """Bits by the signs that stand round a place.

    A sign is a set of characters in a zone. `zones` holds (zone, width, whether by sound, the bits
    that its signs may tell of) each; `rows` numbers the characters from 1; the signs of row r in
    zone z are `signs[first[z, r]:first[z, r + 1]]`. Those that sign s is the rarest of are the ways
    `keyed[s]` to `keyed[s + 1]`, and way w tells of `bits[w]` if all of
    `needs[starts[w]:starts[w + 1]]` stand there.
    """

    cdef const int32_t[:, ::1] zones, first
    cdef const uint16_t[::1] rows
    cdef const int32_t[::1] signs, keyed, starts, needs
    cdef const uint32_t[::1] bits
    cdef int64_t[::1] seen
    cdef int64_t turn
    cdef Ints met

    def __init__(self, zones, rows, first, signs, keyed, bits, starts, needs, seen):
        self.zones, self.rows, self.first, self.signs = zones, rows, first, signs
        self.keyed, self.bits, self.starts, self.needs = keyed, bits, starts, needs
        self.seen, self.met, self.turn = seen, Ints(), 0
        self._check()

    cdef int _check(self) except -1:
        """Raise `ValueError` for tables that do not fit together."""
        cdef Py_ssize_t n, z, count = self.keyed.shape[0] - 1, ways = self.bits.shape[0]
        cdef bint good = (
            self.zones.shape[1] == 4
            and self.rows.shape[0] == 0x10000
            and self.first.shape[0] == self.zones.shape[0]
            and self.seen.shape[0] == count >= 0
            and self.starts.shape[0] == ways + 1
            and self.keyed[count] == ways
            and self.starts[ways] == self.needs.shape[0]
            and self.keyed[0] == self.starts[0] == 0
        )
        for n in range(0x10000 if good else 0):
            good = good and self.rows[n] + 1 < self.first.shape[1]
        for z in range(self.first.shape[0] if good else 0):
            good = good and self.first[z, 0] >= 0
            for n in range(self.first.shape[1] - 1):
                good = good and self.first[z, n] <= self.first[z, n + 1] <= self.signs.shape[0]
        for n in range(self.signs.shape[0] if good else 0):
            good = good and 0 <= self.signs[n] < count
        for n in range(count if good else 0):
            good = good and self.keyed[n] <= self.keyed[n + 1]
        for n in range(ways if good else 0):
            good = good and self.starts[n] <= self.starts[n + 1]
        for n in range(self.needs.shape[0] if good else 0):
            good = good and 0 <= self.needs[n] < count
        if not good:
            raise ValueError("tables that do not fit together")
        return 0

    def tells(self, Field field not None, int start, int end, uint32_t wanted):
        """The bits among those that are wanted of what may match round `start`..`end`."""
        cdef View* view
        cdef int low, high, at, far = 120
        cdef int first, stop, turn_low, turn_high
        cdef Py_ssize_t z, n, w
        cdef int32_t sign
        cdef uint32_t told = 0
        view = &field.views[0]
        if not 0 <= start <= end <= view.size:
            raise IndexError("a place outside of the text")
        first = start
        while first > 0 and start - first < far and view.units[first - 1] != TURN:
            if view.units[first - 1] == HARD:
                break
            first -= 1
        turn_low = first
        while turn_low > 0 and start - turn_low < far and view.units[turn_low - 1] != TURN:
            turn_low -= 1
        stop = end
        while stop < view.size and stop - end < far and view.units[stop] != TURN:
            if view.units[stop] == HARD:
                break
            stop += 1
        turn_high = stop
        while turn_high < view.size and turn_high - end < far and view.units[turn_high] != TURN:
            turn_high += 1
        self.turn += 1
        self.met.size = 0
        for z in range(self.zones.shape[0]):
            if not <uint32_t>self.zones[z, 3] & wanted:
                continue
            low, high = start, end
            if self.zones[z, 0] == BEFORE:
                low, high = max(first, start - self.zones[z, 1]), start
            elif self.zones[z, 0] == AFTER:
                low, high = end, min(stop, end + self.zones[z, 1])
            elif self.zones[z, 0] == LATER:
                low, high = end, min(turn_high, end + self.zones[z, 1])
            elif self.zones[z, 0] == TURN_ROUND:
                low, high = turn_low, turn_high
            view = &field.views[2 if self.zones[z, 2] else 0]
            for at in range(low, high):
                self._note(z, self.rows[view.units[at]])
        for n in range(self.met.size):
            sign = self.met.at[n]
            for w in range(self.keyed[sign], self.keyed[sign + 1]):
                if self.bits[w] & wanted & ~told and self._stands(w):
                    told |= self.bits[w] & wanted
        return told

    cdef int _note(self, Py_ssize_t zone, Py_ssize_t row) except -1:
        """Note the signs of a character in a zone."""
        cdef Py_ssize_t n
        cdef int32_t sign
        for n in range(self.first[zone, row], self.first[zone, row + 1]):
            sign = self.signs[n]
            if self.seen[sign] != self.turn:
                self.seen[sign] = self.turn
                self.met.push(sign)
        return 0

    cdef bint _stands(self, Py_ssize_t way) noexcept:
        """Whether all signs of a way were met."""
        cdef Py_ssize_t n
        for n in range(self.starts[way], self.starts[way + 1]):
            if self.seen[self.needs[n]] != self.turn:
                return False
        return True
