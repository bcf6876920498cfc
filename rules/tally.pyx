# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, auto_pickle=False
"""Adds up what the n-grams of a text weigh, for each family and each sentence, in whole numbers.

A text is read as units: its characters, numbers as one mark, sentences between `EDGE`s. The
n-grams of a sentence hold its edges, so that it weighs the same alone and among others.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from rules.field cimport SOURCE_DIGEST

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define hegui_fetch(place) __builtin_prefetch(place)
    #else
    #define hegui_fetch(place) ((void) 0)
    #endif
    """
    void fetch "hegui_fetch"(void* place) noexcept nogil

from rules.normalise import HARD as _HARD, SOFT as _SOFT, TURN as _TURN

DIGEST = SOURCE_DIGEST.decode("ascii")
"""SHA-256 of all the sources that this module was built with."""

FAMILIES = 16
"""So many families at most."""

LEAST, MOST = 3, 4096
"""A sentence of fewer characters weighs nothing alone; a longer one is cut."""

ONE = 1024
"""The weight of a text is told in such parts of its own length."""

cdef enum:
    WIDE = 16  # FAMILIES
    SHORT = 3  # LEAST
    LONG = 4096  # MOST
    SCALE = 1024  # ONE
    NUMBER = 0x30
    EDGE = 1
    HIGHEST = 3  # n-grams of characters
    HIGHEST_BY_SOUND = 3
    AHEAD = 12  # so many n-grams ahead their weights are asked of the memory
    SIEVE = 20  # bits of a key by which most of those that weigh nothing are known

cdef Py_UCS4 SOFT_MARK = ord(_SOFT)
cdef Py_UCS4 HARD_MARK = ord(_HARD)
cdef Py_UCS4 TURN_MARK = ord(_TURN)

cdef int64_t NOTHING = -(<int64_t>1 << 62)


cdef struct Unit:
    uint32_t char
    uint32_t code
    int32_t at  # its place in the text


cdef struct Slot:
    uint32_t key
    int32_t square  # of its rarity; 0 where the slot is empty
    int8_t row[16]


cdef struct Sifted:
    uint32_t key
    int32_t at
    int32_t crosses  # whether it reaches over the edge of a sentence


cdef inline uint64_t mixed(uint64_t sum, uint32_t unit) noexcept nogil:
    sum = (sum ^ unit) * <uint64_t>0xFF51AFD7ED558CCD
    return sum ^ (sum >> 32)


cdef class Stream:
    """The units of a stretch of text."""

    cdef Unit* units
    cdef Py_ssize_t size
    cdef Py_ssize_t room

    def __cinit__(self):
        self.size, self.room = 0, 256
        self.units = <Unit*>PyMem_Malloc(self.room * sizeof(Unit))
        if self.units == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.units)

    cdef int add(self, uint32_t char, uint32_t code, Py_ssize_t at) except -1:
        cdef Unit* wider
        if self.size == self.room:
            wider = <Unit*>PyMem_Realloc(self.units, 2 * self.room * sizeof(Unit))
            if wider == NULL:
                raise MemoryError
            self.units, self.room = wider, 2 * self.room
        self.units[self.size].char = char
        self.units[self.size].code = code
        self.units[self.size].at = <int32_t>at
        self.size += 1
        return 0

    cdef int fill(self, str text, str codes, Py_ssize_t start, Py_ssize_t end) except -1:
        """The units of a stretch; `start` and `end` must lie in the text."""
        cdef Py_ssize_t at
        cdef Py_ssize_t length = 0
        cdef Py_UCS4 char
        self.size = 0
        self.add(EDGE, EDGE, start)
        for at in range(start, end):
            char = text[at]
            if char == SOFT_MARK or char == TURN_MARK:
                continue
            if char == HARD_MARK or length == LONG:
                if length:
                    self.add(EDGE, EDGE, at)
                length = 0
                if char == HARD_MARK:
                    continue
            if 48 <= char <= 57:
                if length and self.units[self.size - 1].char == NUMBER:
                    continue
                self.add(NUMBER, NUMBER, at)
            else:
                self.add(char, codes[at], at)
            length += 1
        if length:
            self.add(EDGE, EDGE, end)
        return 0


cdef Stream stream_of(str text, str codes, Py_ssize_t start, Py_ssize_t end):
    if len(text) != len(codes) or not 0 <= start <= end <= len(text):
        raise ValueError("a stretch of a text and its codes, both of one length")
    cdef Stream stream = Stream()
    stream.fill(text, codes, start, end)
    return stream


def features(str text not None, str codes not None, Py_ssize_t start, Py_ssize_t end):
    """The key of each n-gram of a stretch, and where in the text it begins and ends."""
    cdef Stream stream = stream_of(text, codes, start, end)
    cdef Unit* units = stream.units
    cdef Py_ssize_t at, n, last
    cdef uint64_t by_char, by_code
    cdef list found = []
    for at in range(stream.size):
        by_char, by_code = 0, 1
        for n in range(1, HIGHEST + 1):
            if at + n > stream.size:
                break
            by_char = mixed(by_char, units[at + n - 1].char)
            by_code = mixed(by_code, units[at + n - 1].code)
            if n == 1 and units[at].char == EDGE:
                continue
            last = at + n - 1
            place = (units[at].at, units[last].at + (units[last].char != EDGE))
            found.append((<uint32_t>by_char, *place))
            if 1 < n <= HIGHEST_BY_SOUND:
                found.append((<uint32_t>by_code, *place))
    return found


cdef class Tally:
    """The weights of n-grams by their keys: `rows` hold a number for each family.

    `rarities` say how much each n-gram counts for the length of a text.
    """

    cdef Slot* slots
    cdef uint8_t* sieve
    cdef uint64_t mask
    cdef readonly Py_ssize_t families
    cdef Sifted* sifted
    cdef Py_ssize_t room
    cdef Stream stream

    def __cinit__(self, const uint32_t[:] keys, const uint8_t[:] rarities, const int8_t[:, :] rows):
        cdef Py_ssize_t n, family, count = keys.shape[0]
        cdef uint64_t size = 1024
        cdef Slot* slot
        if rarities.shape[0] != count or rows.shape[0] != count or rows.shape[1] > WIDE:
            raise ValueError("a rarity and a row of weights for each key")
        while size < <uint64_t>(2 * count):
            size *= 2
        self.mask, self.families = size - 1, rows.shape[1]
        self.slots = <Slot*>PyMem_Malloc(size * sizeof(Slot))
        self.sieve = <uint8_t*>PyMem_Malloc(1 << (SIEVE - 3))
        if self.slots == NULL or self.sieve == NULL:
            raise MemoryError
        memset(self.slots, 0, size * sizeof(Slot))
        memset(self.sieve, 0, 1 << (SIEVE - 3))
        for n in range(count):
            slot = self.slots + (keys[n] & self.mask)
            while slot.square:
                slot = self.after(slot)
            slot.key, slot.square = keys[n], <int32_t>rarities[n] * rarities[n] or 1
            for family in range(self.families):
                slot.row[family] = rows[n, family]
            self.sieve[keys[n] >> (35 - SIEVE)] |= 1 << (keys[n] >> (32 - SIEVE) & 7)
        self.stream = Stream()

    def __dealloc__(self):
        PyMem_Free(self.slots)
        PyMem_Free(self.sieve)
        PyMem_Free(self.sifted)

    cdef inline Slot* after(self, Slot* slot) noexcept nogil:
        return self.slots if slot == self.slots + self.mask else slot + 1

    cdef inline int passes(self, uint32_t key) noexcept nogil:
        """Whether a key may weigh anything: 0 or 1."""
        return self.sieve[key >> (35 - SIEVE)] >> (key >> (32 - SIEVE) & 7) & 1

    cdef inline Slot* slot(self, uint32_t key) noexcept nogil:
        """Where the weights of a key are; NULL where it weighs nothing."""
        cdef Slot* slot = self.slots + (key & self.mask)
        while slot.square:
            if slot.key == key:
                return slot
            slot = self.after(slot)
        return NULL

    cdef Py_ssize_t sift(self) except -1:
        """Note the n-grams of the stream that may weigh anything, without asking the table yet."""
        cdef Unit* units = self.stream.units
        cdef Py_ssize_t size = self.stream.size, at, n, count = 0
        cdef uint64_t by_char, by_code
        cdef int32_t crosses
        cdef Sifted* wider
        if self.room < 5 * size + 2:
            wider = <Sifted*>PyMem_Realloc(self.sifted, (10 * size + 2) * sizeof(Sifted))
            if wider == NULL:
                raise MemoryError
            self.sifted, self.room = wider, 10 * size + 2
        for at in range(size):
            by_char, by_code, crosses = 0, 1, 0
            for n in range(HIGHEST):
                if at + n >= size:
                    break
                if n > 1 and units[at + n - 1].char == EDGE:
                    crosses = 1
                by_char = mixed(by_char, units[at + n].char)
                by_code = mixed(by_code, units[at + n].code)
                if n == 0 and units[at].char == EDGE:
                    continue
                # Written in any case and kept if the bit is set: no branch waits for the sieve.
                self.sifted[count] = Sifted(<uint32_t>by_char, <int32_t>at, crosses)
                count += self.passes(<uint32_t>by_char)
                if 1 <= n < HIGHEST_BY_SOUND:
                    self.sifted[count] = Sifted(<uint32_t>by_code, <int32_t>at, crosses)
                    count += self.passes(<uint32_t>by_code)
        return count

    cdef int weigh(self, const int32_t* biases, int64_t* best) except -1:
        """The greatest margin of each family, of any sentence or of all together."""
        cdef Unit* units = self.stream.units
        cdef Py_ssize_t size = self.stream.size
        cdef int64_t sentence[WIDE + 1]
        cdef int64_t whole[WIDE + 1]
        cdef int32_t near[WIDE]
        cdef int64_t near_norm = 0
        cdef Py_ssize_t at, n, begins = 0, sentences = 0, family
        cdef Py_ssize_t next = 0, count = self.sift()
        cdef Slot* found
        memset(sentence, 0, sizeof(sentence))
        memset(whole, 0, sizeof(whole))
        memset(near, 0, sizeof(near))
        for family in range(WIDE):
            best[family] = NOTHING
        for at in range(size):
            if units[at].char == EDGE and at:
                for family in range(WIDE):
                    sentence[family] = near[family]
                    whole[family] += near[family]
                    near[family] = 0
                sentence[WIDE] = near_norm
                whole[WIDE] += near_norm
                near_norm = 0
                sentences += 1
                if at - begins > SHORT:
                    raised(sentence, biases, best)
                begins = at
            while next < count and self.sifted[next].at == at:
                if next + AHEAD < count:
                    fetch(self.slots + (self.sifted[next + AHEAD].key & self.mask))
                found = self.slot(self.sifted[next].key)
                if found != NULL:
                    if self.sifted[next].crosses:
                        counted(found, whole)
                    else:
                        noted(found, near)
                        near_norm += found.square
                next += 1
        if sentences > 1 and size - sentences > SHORT:
            raised(whole, biases, best)
        return 0

    def margins(self, str text not None, str codes not None, Py_ssize_t start, Py_ssize_t end,
                const int32_t[:] biases):
        """How far a stretch lies beyond the border of each family, in 1/ONE.

        The most of any of its sentences or of all of them; None where it has none.
        """
        cdef int64_t best[WIDE]
        cdef int n
        self.check(text, codes, start, end, biases)
        self.stream.fill(text, codes, start, end)
        self.weigh(&biases[0], best)
        return None if best[0] == NOTHING else [best[n] for n in range(self.families)]

    def beyond(self, str text not None, str codes not None, list stretches not None,
               const int32_t[:] biases, const int32_t[:] floors):
        """Each stretch (start, end) and family whose margin reaches its floor, and the margin."""
        cdef int64_t best[WIDE]
        cdef Py_ssize_t start, end, number
        cdef int family
        cdef list found = []
        if floors.shape[0] != self.families:
            raise ValueError("a floor for each family")
        for number, (start, end) in enumerate(stretches):
            self.check(text, codes, start, end, biases)
            self.stream.fill(text, codes, start, end)
            self.weigh(&biases[0], best)
            if best[0] == NOTHING:
                continue
            for family in range(self.families):
                if best[family] >= floors[family]:
                    found.append((number, family, best[family]))
        return found

    cdef int check(self, str text, str codes, Py_ssize_t start, Py_ssize_t end,
                   const int32_t[:] biases) except -1:
        if len(text) != len(codes) or not 0 <= start <= end <= len(text):
            raise ValueError("a stretch of a text and its codes, both of one length")
        if self.families == 0 or biases.shape[0] != WIDE:
            raise ValueError("a bias for each family, and zeros behind them")
        return 0


cdef inline void noted(Slot* slot, int32_t* sums) noexcept nogil:
    cdef int family
    for family in range(WIDE):
        sums[family] += slot.row[family]


cdef inline void counted(Slot* slot, int64_t* sums) noexcept nogil:
    cdef int family
    for family in range(WIDE):
        sums[family] += slot.row[family]
    sums[WIDE] += slot.square


cdef void raised(int64_t* sums, const int32_t* biases, int64_t* best) noexcept nogil:
    """Note the margins of these sums where they are greater."""
    cdef int64_t length = root(sums[WIDE])
    cdef int64_t margin
    cdef int family
    for family in range(WIDE):
        margin = biases[family] + (sums[family] * SCALE / length if length else 0)
        if margin > best[family]:
            best[family] = margin


cdef int64_t root(int64_t value) noexcept nogil:
    """The whole part of a square root (Newton's method)."""
    cdef int64_t guess, better
    if value < 2:
        return value
    guess = value
    better = (value + 1) // 2
    while better < guess:
        guess = better
        better = (guess + value // guess) // 2
    return guess
