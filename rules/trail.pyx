# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False
# cython: cdivision=True, auto_pickle=False
"""From strings that are found in a text to where patterns stand: seeds, sieve, damaged words.

Tables (`rules.program`, `rules.sow`, `rules.needs`) are read with bounds checked, so that damaged
ones raise `IndexError`. What is found belongs to one text: threads may share a `Machine`.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint64_t

from rules.field cimport SOFT, SOURCE_DIGEST, Field, Ints, View, is_break, unit_at
from rules.walk cimport GLANCE, GROUP, Walk, glanced

from rules.needs import FACTOR, HASHES
from rules.phonetic import units_of
from rules.plausible import STRETCHABLE as _STRETCHABLE
from rules.sow import KNOWN, PART as _PART_MARK, SCATTER, SPARSE

DIGEST = SOURCE_DIGEST.decode("ascii")
"""SHA-256 of all the sources that this module was built with."""


MAX_SEEDS = 5000
"""Places of one pattern in one text that are followed."""

STRETCH = 1 << 13
"""Characters of a text that are gone through at once."""

SLIPS = 2
"""Syllables of a word that may be off, if it is still to be heard."""

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define FETCH(place) __builtin_prefetch(place)
    #else
    #define FETCH(place)
    #endif
    """
    void fetch "FETCH" (const void*) noexcept

cdef int _STEPS = 64  # characters that are gone through before what they announce is followed
cdef int _MOST = MAX_SEEDS, _STRETCH = STRETCH, _SLIPS = SLIPS, _FACTOR = FACTOR, _HASHES = HASHES
cdef int _LONG = _STRETCHABLE, _PART = ord(_PART_MARK), _KNOWN = KNOWN, _SPARSE = SPARSE
cdef uint64_t _SCATTER = SCATTER


cdef class Seeds:
    """The strings of one kind that are looked for, and what they announce (`rules.sow.Pass`)."""

    def __init__(self, found, Py_ssize_t cores):
        self.buckets, self.signs, self.heads = found.buckets, found.signs, found.heads
        self.rests, self.tails = found.rests, found.tails
        self.first, self.entries = found.first, found.entries
        self.bits = (self.buckets.shape[0] - 1).bit_length() - 1
        self.sizes = 0
        for size in set((found.heads >> 16 * _KNOWN).tolist()):
            self.sizes |= 1 << <int>size
        if not (
            _leads_on(found.buckets, len(found.heads))
            and len(found.buckets) == (1 << self.bits) + 1
            and 8 * len(found.signs) == 1 << (self.bits + _SPARSE)
            and len(found.rests) == len(found.first) == len(found.heads) + 1
            and _leads_on(found.rests, len(found.tails))
            and _leads_on(found.first, len(found.entries))
            and found.entries.shape[1] == ENTRY
            and 0 <= found.entries[:, 0].min(initial=0)
            and found.entries[:, 0].max(initial=-1) < cores
        ):
            raise ValueError("tables that do not fit together")


def _leads_on(places, Py_ssize_t end):
    """Whether places follow one another from 0 to the end."""
    last = len(places) - 1
    steps = places[1:] - places[:last]
    return last >= 0 and places[0] == 0 and places[last] == end and steps.min(initial=0) >= 0


cdef class Machine:
    """The tables of the patterns of a voice, ready to be used.

    `triggers` has the core of each and how many syllables it has, `leads` what must be known of a
    core before its pattern is read, each in one row: what is asked often lies close together.
    """

    def __init__(self, sown, needs, program, triggers, leads, limits):
        self.seeds = Seeds(sown.characters, len(leads)), Seeds(sown.syllables, len(leads))
        self.table = program.expressions()
        self.triggers, self.leads, self.halves = triggers, leads, program.halves
        self.places, self.word_places = sown.places, sown.word_places
        self.side = sown.side.view("u1")
        self.words, self.codes = units_of(sown.words), units_of(sown.codes)
        self.glances, self.signs = needs.glances, needs.signs
        self.pairs, self.single = needs.pairs, needs.single
        self.written = needs.written.view("u1")
        self.first_item, self.items, self.sounds = program.first_item, program.items, program.sounds
        self.limits, self.most = limits, limits.max(axis=2)
        self.patterns = len(program.traits)
        if (
            self.leads.shape[1] != LEAD
            or self.pairs.shape[1] * 8 < _HASHES
            or self.glances.shape[1] != GLANCE
            or needs.signs.max(initial=0) >= self.single.shape[1] > 0
            or len(needs.signs) <= 0xFFFF
        ):
            raise ValueError("tables that do not fit together")


cdef inline uint64_t _head(const View* text, int end, int size) noexcept:
    """By what a string is known whose last characters, so many, end there."""
    cdef uint64_t found = <uint64_t>size << (16 * _KNOWN)
    cdef int n
    for n in range(size):
        found |= <uint64_t>text.units[end - 1 - n] << (16 * n)
    return found


cdef class Trail(Walk):
    """Where patterns stand in a text, if by their words alone: all their steps can be taken."""

    def __init__(self, Machine machine not None, Field field not None):
        super().__init__(machine.table, field)
        self.machine, self.conditions = machine, {}
        self.found, self.parts, self.asked, self.around = Ints(), Ints(), Ints(), Ints()
        self.seen, self.ready = Ints(), Ints()
        cdef int low, high
        self.asked.make(machine.patterns)
        self._listen()
        for low in range(0, field.size, _STRETCH):
            high = min(low + _STRETCH, field.size)
            self._go_through(machine.seeds[0], &field.views[0], low, high)
            self._go_through(machine.seeds[1], &field.views[2], low, high)

    cdef int _listen(self) except -1:
        """Note for each place what may begin there, and where its clause and sentence end."""
        cdef int n, unit, meant, size = self.field.size
        cdef const uint16_t* text = self.field.views[0].units
        cdef const uint16_t* codes = self.field.views[2].units
        cdef int begin = 0, first = 0, final = size, last = size
        self.around.make(6 * <Py_ssize_t>size)
        cdef int32_t* at = self.around.at
        for n in range(size):
            unit, meant = text[n], codes[n]
            at[n] = self.machine.signs[unit if self.machine.written[unit] else meant]
            if n + 1 < size:
                at[size + n] = (meant * _FACTOR + codes[n + 1]) & (_HASHES - 1)
            if is_break(unit):
                begin = n + 1
                if unit != SOFT:
                    first = n + 1
            at[2 * size + n] = begin
            at[3 * size + n] = first
        for n in range(size - 1, -1, -1):
            if is_break(text[n]):
                final = n - 1
                if text[n] != SOFT:
                    last = n - 1
            at[4 * size + n] = final
            at[5 * size + n] = last
        return 0

    cdef int _go_through(self, Seeds seeds, const View* text, int low, int high) except -1:
        """Follow what ends in a stretch of the text."""
        cdef int end
        while low < high:
            end = min(low + _STEPS, high)
            self.seen.size = self.ready.size = 0
            self._sift(seeds, text, low, end)
            self._look_up(seeds, text)
            self._follow(seeds)
            low = end
        return 0

    cdef int _sift(self, Seeds seeds, const View* text, int low, int high) except -1:
        """Note where a string may end, as far as the signs tell, and in which bucket it would be.

        What is needed next is fetched at once, here and below: the tables are far larger than
        what a processor keeps at hand.
        """
        cdef uint64_t number, sign
        cdef int at, size
        for at in range(low + 1, high + 1):
            for size in range(min(_KNOWN, at), 0, -1):
                if not seeds.sizes >> size & 1:
                    continue
                number = _head(text, at, size) * _SCATTER
                sign = number >> (64 - seeds.bits - _SPARSE)
                if seeds.signs[sign >> 3] >> (sign & 7) & 1:
                    number >>= 64 - seeds.bits
                    fetch(&seeds.buckets[number])
                    self.seen.push(at)
                    self.seen.push(size)
                    self.seen.push(<int32_t>number)
        return 0

    cdef int _look_up(self, Seeds seeds, const View* text) except -1:
        """Note what the strings announce that stand there, and where each begins."""
        cdef const int32_t* at = self.seen.at
        cdef Py_ssize_t row, n, m, tail, more, count = self.seen.size // 3
        cdef uint64_t head
        for n in range(count):
            row = seeds.buckets[at[3 * n + 2]]
            if row < seeds.heads.shape[0]:
                fetch(&seeds.heads[row])
                fetch(&seeds.first[row])
        for n in range(count):
            head = _head(text, at[0], at[1])
            for row in range(seeds.buckets[at[2]], seeds.buckets[at[2] + 1]):
                if seeds.heads[row] != head:
                    continue
                tail = seeds.rests[row]
                more = seeds.rests[row + 1] - tail
                for m in range(more):
                    if unit_at(text, at[0] - at[1] - 1 - m) != seeds.tails[tail + m]:
                        break
                else:
                    for m in range(seeds.first[row], seeds.first[row + 1]):
                        fetch(&seeds.entries[m, 0])
                        self.ready.push(<int32_t>m)
                        self.ready.push(<int32_t>(at[0] - at[1] - more))
            at += 3
        return 0

    cdef int _follow(self, Seeds seeds) except -1:
        """Try all that was announced."""
        cdef Machine machine = self.machine
        cdef const int32_t* at = self.ready.at
        cdef const int32_t* lead
        cdef Py_ssize_t n, count = self.ready.size // 2
        for n in range(count):
            fetch(&machine.leads[seeds.entries[at[2 * n], 0], 0])
        for n in range(count):
            lead = &machine.leads[seeds.entries[at[2 * n], 0], 0]
            if lead[3] >= 0:
                fetch(&machine.glances[lead[3], 0])
        for n in range(count):
            self._try(&seeds.entries[at[2 * n], 0], at[2 * n + 1])
        return 0

    cdef int _try(self, const int32_t* entry, int place) except -1:
        """Follow a trigger that is heard, or may be, if what its pattern needs is near."""
        cdef Machine machine = self.machine
        cdef int core = entry[0], trigger = entry[1], offset = entry[3]
        cdef int start = place - max(offset, 0), end = start + entry[2]
        cdef const int32_t* lead = &machine.leads[core, 0]
        cdef int view = (4 if lead[1] & COUNTS else 0) + (2 if lead[1] & SOUNDS else 0)
        if start < 0:
            return 0
        if lead[3] >= 0 and not self._is_met(lead + 3, start, end, offset >= 0):
            return 0
        if lead[7] >= 0 and not self._is_met(lead + 7, start, end, offset >= 0):
            return 0
        if self.asked.at[lead[0]] >= _MOST:
            return 0
        self.asked.at[lead[0]] += 1
        if offset >= 0:
            end = self._damaged(trigger, start, offset == 0)
            if end < 0:
                return 0
        if view & 4:
            self.field.mask(start)
        if not self._read(core, start, end, view):
            return 0
        if offset < 0 and not machine.side[trigger] and self._is_written(trigger, start):
            self._note(lead, trigger, start, end, True)
        elif view & 2 and self._may_be_meant(lead, trigger, start, end):
            self._note(lead, trigger, start, end, offset < 0)
        return 0

    cdef bint _is_written(self, int trigger, int start) except -1:
        """Whether the words of a trigger stand in the text as they are."""
        cdef const View* text = &self.field.views[0]
        cdef int unit, at = start
        cdef Py_ssize_t n
        for n in range(self.machine.word_places[trigger], self.machine.word_places[trigger + 1]):
            unit = self.machine.words[n]
            if unit != _PART:
                if unit_at(text, at) != unit:
                    return False
                at += 1
        return True

    cdef bint _may_be_meant(self, const int32_t* lead, int trigger, int start, int end) except -1:
        """Whether what was read costs no more than it may."""
        cdef Machine machine = self.machine
        cdef Py_ssize_t n, place = machine.places[trigger], first = machine.first_item[lead[0]]
        cdef int length = machine.triggers[trigger, 1], syllables = length, item, most
        cdef int strong = 1 if lead[1] & STRONG else 0
        cdef const int32_t* at = self.groups.at
        for n in range(self.groups.size // GROUP):
            if machine.items[first + at[GROUP * n]] >= 0:
                syllables += at[GROUP * n + 2] - at[GROUP * n + 1]
        syllables = min(syllables, <int>machine.most.shape[1] - 1)
        most = machine.most[strong, syllables]
        self.cost, self.off = 2, 1  # a syllable less or more
        if end - start == length:
            self.cost = self.off = 0
            for n in range(length):
                self._weigh(unit_at(&self.field.views[2], start + n), machine.codes[place + n])
        for n in range(self.groups.size // GROUP):
            item = machine.items[first + at[0]]
            if item >= 0 and at[2] > at[1]:
                if not self._likeliest(item, at[1], at[2] - at[1], most):
                    return False
            at += GROUP
        self.off = min(self.off, <int>machine.limits.shape[2] - 1)
        return self.cost <= machine.limits[strong, syllables, self.off]

    cdef int _weigh(self, int heard, int meant) except -1:
        """Add what it costs to take one syllable for another, in halves."""
        if heard != meant:
            self.cost += 1 if self.table.close(heard, meant) else 2
            self.off += 1
        return 0

    cdef bint _likeliest(self, Py_ssize_t place, int start, int length, int most) except -1:
        """Add what the likeliest word of an item costs; False where that is more than `most`."""
        cdef const int32_t[::1] sounds = self.machine.sounds
        cdef const uint16_t* heard = self.field.views[2].units + start
        cdef int n, m, cost = self.cost, off = self.off, best = most + 1, least = 0
        cdef int kinds = sounds[place]
        place += 1
        while kinds and sounds[place] != length:
            place += 2 + sounds[place] * sounds[place + 1]
            kinds -= 1
        if not kinds:
            return False
        if self._is_among(place + 2, sounds[place + 1], heard, length):
            return cost <= most
        for n in range(sounds[place + 1]):
            self.cost, self.off = cost, off
            for m in range(length):
                if heard[m] != sounds[place + 2 + n * length + m]:
                    self._weigh(heard[m], sounds[place + 2 + n * length + m])
                    if self.cost > best:
                        break
            if self.cost < best or (self.cost == best and self.off < least):
                best, least = self.cost, self.off
        self.cost, self.off = best, least
        return best <= most

    cdef bint _is_among(
        self, Py_ssize_t place, int count, const uint16_t* heard, int length
    ) except -1:
        """Whether what is heard is one of these words, which are sorted."""
        cdef const int32_t[::1] sounds = self.machine.sounds
        cdef int low = 0, middle, m, other
        while low < count:
            middle = (low + count) // 2
            other = 0
            for m in range(length):
                other = sounds[place + middle * length + m] - heard[m]
                if other:
                    break
            if not other:
                return True
            if other < 0:
                low = middle + 1
            else:
                count = middle
        return False

    cdef int _note(
        self, const int32_t* lead, int trigger, int start, int end, bint whole
    ) except -1:
        """Keep what was read."""
        cdef const int32_t* at
        cdef Py_ssize_t n
        self.conditions.setdefault(lead[2], []).append((lead[0], self.found.size // FOUND))
        self.found.push(<int32_t>self.parts.size)
        self.found.push(trigger)
        self.found.push(start)
        self.found.push(end)
        self.found.push(whole)
        self.found.push(self.low)
        self.found.push(self.high)
        for n in range(self.groups.size // GROUP):
            at = self.groups.at + n * GROUP
            if at[2] > at[1]:
                self.parts.push(at[0])
                self.parts.push(at[1])
                self.parts.push(at[2])
        return 0

    cdef bint _is_met(self, const int32_t* need, int start, int end, int slack) except -1:
        """Whether a word that a core needs may begin where it must."""
        cdef Machine machine = self.machine
        cdef Py_ssize_t size = self.field.size
        cdef int low = need[1] - slack, high = need[2] + slack, n, hashed, sign
        cdef const uint16_t* codes = self.field.views[2].units
        cdef const int32_t* at = self.around.at
        cdef const int32_t* border = at + (3 if need[3] & 2 else 2) * size
        # One row of each table: what is looked up lies inside it, as `Machine` has made sure.
        cdef const uint8_t* glances = &machine.glances[need[0], 0]
        cdef const uint8_t* pairs = &machine.pairs[need[0], 0]
        cdef const uint8_t* single = &machine.single[need[0], 0]
        if need[3] & 1:
            low, high = max(start + low, border[min(start, size - 1)]), start + high
        else:
            high = min(end + high, border[2 * size + min(end, size - 1)])
            low += end
        for n in range(max(low, 0), min(high, size - 1) + 1):
            sign = glanced(codes[n])
            if not (glances[sign >> 3] >> (sign & 7)) & 1:
                continue
            hashed = at[size + n]
            if (pairs[hashed >> 3] >> (hashed & 7)) & 1 or single[at[n]]:
                return True
        return False

    cdef int _damaged(self, int trigger, int start, bint stretch) except -2:
        """Where a damaged word ends; -1 where the damage is too great, or none."""
        cdef Py_ssize_t place = self.machine.places[trigger]
        cdef int length = self.machine.triggers[trigger, 1]
        cdef const View* codes = &self.field.views[2]
        cdef int n, heard, meant, wrong = 0, first = length, far = 0
        cdef bint broken = False
        for n in range(length):
            heard, meant = unit_at(codes, start + n), self.machine.codes[place + n]
            if heard != meant and heard >= 0:
                first = min(first, n)
                wrong += 1
                far += not self.table.close(heard, meant)
                broken = broken or is_break(heard)
        if start + length <= codes.size:
            if not wrong:
                return -1
            if wrong == 1 or (wrong == _SLIPS and not far):
                return -1 if broken else start + length
        if length < _LONG or not stretch or not first:
            return -1
        return self._stretched(start, place, length, first)

    cdef int _stretched(self, int start, Py_ssize_t place, int length, int same) except -2:
        """Where a word ends that has a syllable less or more after the first `same` ones."""
        cdef const View* codes = &self.field.views[2]
        cdef int n, heard, more
        for more in (-1, 1):
            if same >= length + min(more, 0) or start + length + more > codes.size:
                continue
            for n in range(length + more):
                heard = unit_at(codes, start + n)
                if is_break(heard) or (
                    n >= same + max(more, 0) and heard != self.machine.codes[place + n - more]
                ):
                    break
            else:
                return start + length + more
        return -1

    cdef bint _read(self, int core, int start, int end, int view) except -1:
        """Whether all that stands after and before a core can be read: `low`, `high`, `groups`."""
        cdef Py_ssize_t n, cut
        cdef int32_t* at
        cdef int low, size = self.field.size, column = 0 if view & 2 else 2
        cdef int after = self.machine.halves[core, column]
        cdef int before = self.machine.halves[core, column + 1]
        self.groups.size = 0
        self.low, self.high = start, end
        if after >= 0:
            self._face(view)
            if not self._walk(after, end):
                return False
            self.high = self.reach
        if before >= 0:
            cut = self.groups.size
            self._face(view + 1)
            if not self._walk(before, size - start):
                return False
            self.low = size - self.reach
            for n in range(cut // GROUP, self.groups.size // GROUP):
                at = self.groups.at + n * GROUP
                low = size - at[2]
                at[2] = size - at[1]
                at[1] = low
        return True
