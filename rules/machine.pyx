# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False, cdivision=True, auto_pickle=False
"""The compiled part of the search: from what the automata find in a text to where patterns stand.

Tables (`rules.program`, `rules.sow`, `rules.needs`) are read with bounds checked, so that damaged
ones raise `IndexError`. A text is read through `_unit`, which knows no place outside of it, or
after a look at its size. What is found belongs to one text: threads may share a `Machine`.
"""

from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t, uint16_t
from libc.string cimport memset

from rules.needs import FACTOR, HASHES
from rules.normalise import HARD as _HARD_MARK, SOFT as _SOFT_MARK, TURN as _TURN_MARK
from rules.numbers import NUMBER_REST, NUMBER_START, number_spans
from rules.phonetic import CODE_BASE as _CODE_BASE, units_of
from rules.plausible import STRETCHABLE as _STRETCHABLE
from rules.sow import PART as _PART_MARK


cdef extern from *:
    """
    #ifndef SOURCE_DIGEST
    #define SOURCE_DIGEST ""
    #endif
    """
    const char* SOURCE_DIGEST

DIGEST = SOURCE_DIGEST.decode("ascii")
"""SHA-256 of the source that this module was built of."""


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


cpdef enum Trait:
    """What a pattern is."""

    SOUNDS = 1
    COUNTS = 2
    STRONG = 4


GLANCE_BYTES = 64
"""Bytes in which the characters are noted that the words of a step begin with."""

MAX_SEEDS = 5000
"""Places of one pattern in one text that are followed."""

STRETCH = 1 << 13
"""Characters of a text that are gone through at once."""

SLIPS = 2
"""Syllables of a word that may be off, if it is still to be heard."""

cdef enum:
    _FOUND = 7  # numbers kept of each place found
    _STEP = 5  # step, argument, item, flags, glance
    _GROUP = 3  # an item, and where it starts and ends
    _LEAD = 11  # pattern, traits, condition, two needs: kin, low, high, sides (1: before, 2: commas)

cdef int _MOST = MAX_SEEDS, _STRETCH = STRETCH, _SLIPS = SLIPS, _FACTOR = FACTOR, _HASHES = HASHES
cdef int _SOFT = ord(_SOFT_MARK), _HARD = ord(_HARD_MARK), _TURN = ord(_TURN_MARK)
cdef int _START = ord(NUMBER_START), _REST = ord(NUMBER_REST)
cdef int _CODES = _CODE_BASE, _LONG = _STRETCHABLE, _PART = ord(_PART_MARK)


cdef inline bint _is_break(int unit) noexcept:
    return unit == _SOFT or unit == _HARD or unit == _TURN


cdef inline bint _is_latin(int unit) noexcept:
    return 97 <= unit <= 122


cdef inline int _sign(int unit) noexcept:
    """The bit by which a glance knows a character: 448 for codes, 64 for all others."""
    cdef int code = unit - _CODES
    return code if 0 <= code < 448 else 448 + (unit & 63)


def glance_of(str units):
    """The bytes in which these characters are noted."""
    cdef bytearray found = bytearray(GLANCE_BYTES)
    cdef int sign
    for unit in units:
        sign = _sign(ord(unit))
        found[sign >> 3] |= 1 << (sign & 7)
    return bytes(found)


cdef class _Ints:
    """Numbers, as many as come."""

    cdef int32_t* at
    cdef Py_ssize_t size
    cdef Py_ssize_t room

    def __cinit__(self):
        self.size, self.room = 0, 64
        self.at = <int32_t*>PyMem_Malloc(self.room * sizeof(int32_t))
        if self.at == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.at)

    cdef inline int push(self, int32_t number) except -1:
        if self.size == self.room:
            self.grow()
        self.at[self.size] = number
        self.size += 1
        return 0

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


cdef struct _View:
    const uint16_t* units
    int size


cdef inline int _unit(const _View* view, int at) noexcept:
    """The character at a place; -1 where there is none."""
    return view.units[at] if 0 <= at < view.size else -1


cdef class Field:
    """A text in normal form and its codes, as they are and with numbers masked, both ways."""

    cdef readonly str text
    cdef readonly str codes
    cdef int size
    cdef bint masked
    cdef uint16_t* units
    cdef _View views[8]  # masked, by sound, backwards: a bit each

    def __cinit__(self, str text not None, str codes not None):
        cdef int n
        if len(text) != len(codes) or len(text) > 0x7FFFFF0:
            raise ValueError("a text and its codes are of one length, and not endless")
        self.text, self.codes, self.size, self.masked = text, codes, len(text), False
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

    cdef int mask(self) except -1:
        """Note the text once more with each number as marks, which a search finds at once."""
        cdef list spans
        cdef int view, start, end, at
        cdef uint16_t mark
        if self.masked:
            return 0
        spans = number_spans(self.text)
        for view in range(4):
            for at in range(self.size):
                (<uint16_t*>self.views[4 + view].units)[at] = self.views[view].units[at]
        for start, end in spans:
            if not 0 <= start < end <= self.size:
                raise IndexError("a number outside of the text")
            for at in range(start, end):
                mark = _START if at == start else _REST
                for view in (4, 6):
                    (<uint16_t*>self.views[view].units)[at] = mark
                    (<uint16_t*>self.views[view + 1].units)[self.size - 1 - at] = mark
        self.masked = True
        return 0


cdef class Expressions:
    """Steps and sets of words, and which syllables are easily taken for one another."""

    cdef const int32_t[:, ::1] steps
    cdef const int32_t[::1] nodes
    cdef const uint8_t[:, ::1] glances, near
    cdef int known

    def __init__(self, steps, nodes, glances, near):
        self.steps, self.nodes, self.glances, self.near = steps, nodes, glances, near
        self.known = self.near.shape[0]
        if self.steps.shape[1] != _STEP:
            raise ValueError("tables that do not fit together")

    cdef inline bint close(self, int heard, int meant) except -1:
        """Whether a syllable is easily taken for the one that was meant."""
        heard, meant = heard - _CODES, meant - _CODES
        if not (0 <= heard < self.known and 0 <= meant < self.known):
            return False
        return (self.near[meant, heard >> 3] >> (heard & 7)) & 1


cdef class Walk:
    """Reads patterns in one text, step by step."""

    cdef readonly Field field
    cdef Expressions table
    cdef _Ints ends, groups
    cdef _View* view
    cdef _View* other
    cdef int reach

    def __init__(self, Expressions table not None, Field field not None):
        self.table, self.field = table, field
        self.ends, self.groups = _Ints(), _Ints()
        self._face(0)

    def search(self, int step, int low, int high, *, bint by_sound):
        """Where a whole pattern stands between two places, and its groups; each place once."""
        cdef int at, turned = 2 if by_sound else 0
        cdef list found = []
        low, high = max(0, low), min(high, self.field.size)
        self._face(turned)
        self.field.views[turned].size = max(low, high)
        try:
            at = low
            while at <= high:
                self.groups.size = 0
                if self._walk(step, at):
                    found.append((at, self.reach, self._spans()))
                    at = max(at + 1, self.reach)
                else:
                    at += 1
        finally:
            self.field.views[turned].size = self.field.size
        return found

    cdef void _face(self, int view) noexcept:
        """Read a view of the text from now on; the next one is the same turned round."""
        self.view = &self.field.views[view]
        self.other = &self.field.views[view ^ 1]

    cdef list _spans(self):
        """The groups that hold something."""
        cdef const int32_t* at
        cdef list found = []
        cdef Py_ssize_t n
        for n in range(self.groups.size // _GROUP):
            at = self.groups.at + n * _GROUP
            if at[2] > at[1]:
                found.append((at[0], at[1], at[2]))
        return found

    cdef bint _walk(self, Py_ssize_t step, int at) except -1:
        """Whether all steps from here on can be taken from a place; `reach` is where they end."""
        cdef const int32_t* row
        while True:
            row = &self.table.steps[step, 0]
            if row[0] == STOP:
                self.reach = at
                return True
            if row[0] == GAP:
                return self._over_gap(step, at)
            if row[0] >= WORDS:
                return self._over_words(step, at)
            if not self._holds(row[0], row[1], at):
                return False
            step += 1

    cdef bint _over_gap(self, Py_ssize_t step, int at) except -1:
        """The shortest gap after which the rest can be read."""
        cdef const int32_t* row = &self.table.steps[step, 0]
        cdef int unit, most = at + row[1]
        cdef bint soft = row[3] & SOFTLY
        while not self._walk(step + 1, at):
            unit = _unit(self.view, at)
            if at == most or unit < 0 or (_is_break(unit) and not (soft and unit == _SOFT)):
                return False
            at += 1
        return True

    cdef bint _over_words(self, Py_ssize_t step, int at) except -1:
        """With a comma first, without one, and without the words where they may be left out."""
        cdef int flags = self.table.steps[step, 3]
        if flags & JOINED and _unit(self.view, at) == _SOFT and self._over_group(step, at + 1):
            return True
        if self._over_group(step, at):
            return True
        return flags & OPTIONAL and self._walk(step + 1, at)

    cdef bint _over_group(self, Py_ssize_t step, int at) except -1:
        """Each way in which the words may stand here, until the rest can be read, too."""
        cdef const int32_t* row = &self.table.steps[step, 0]
        cdef int sign
        cdef Py_ssize_t n, kept = self.groups.size, low = self.ends.size, high
        if row[4] >= 0:
            if not 0 <= at < self.view.size:
                return False
            sign = _sign(self.view.units[at])
            if not (self.table.glances[row[4], sign >> 3] >> (sign & 7)) & 1:
                return False
        if row[0] == WORDS:
            self._spoken(row[1], at)
            self._keep_each(low, low)
        else:
            self._numbers(at, row[0] == NUMBER_TURNED)
        high = self.ends.size
        for n in range(low, high):
            self.groups.push(row[2])
            self.groups.push(at)
            self.groups.push(self.ends.at[n])
            if self._walk(step + 1, self.ends.at[n]):
                self.ends.size = low
                return True
            self.groups.size = kept
        self.ends.size = low
        return False

    cdef int _numbers(self, int at, bint turned) except -1:
        """Note where a masked number may end, the longest first."""
        cdef int end = at
        if not turned:
            if _unit(self.view, at) != _START:
                return 0
            end += 1
        while _unit(self.view, end) == _REST:
            end += 1
        if turned:
            if _unit(self.view, end) == _START:
                self.ends.push(end + 1)
            return 0
        while end > at:
            self.ends.push(end)
            end -= 1
        return 0

    cdef bint _holds(self, int kind, int argument, int at) except -1:
        """Whether what must or must not stand round a place does."""
        cdef bint found
        if kind == AFTER_BREAK:
            return at > 0 and _is_break(_unit(self.view, at - 1))
        if kind == AFTER_TURN:
            return _unit(self.view, at - 1) == _TURN
        if kind == BEFORE_BREAK:
            return _is_break(_unit(self.view, at))
        if kind == NOT_BEHIND:
            self.view, self.other = self.other, self.view
            found = self._stands(argument, self.field.size - at)
            self.view, self.other = self.other, self.view
            return not found
        if kind == NOT_AHEAD:
            if self._stands(argument, at):
                return False
            return not (_unit(self.view, at) == _SOFT and self._stands(argument, at + 1))
        if _unit(self.view, at) == _SOFT:
            at += 1
        while kind == BEFORE_CLOSE and _unit(self.view, at) == _HARD:
            at += 1
        return _unit(self.view, at) == _TURN

    cdef bint _stands(self, int node, int at) except -1:
        """Whether some of these words stand here."""
        cdef Py_ssize_t kept = self.ends.size
        self._spoken(node, at)
        cdef bint found = self.ends.size > kept
        self.ends.size = kept
        return found

    cdef int _spoken(self, Py_ssize_t node, int at) except -1:
        """Note where words of a set may end that begin here, the likeliest first."""
        cdef const int32_t[::1] nodes = self.table.nodes
        cdef int kind = nodes[node], n
        cdef Py_ssize_t low
        if kind == LITERAL:
            if self._reads(node + 2, at, nodes[node + 1]):
                self.ends.push(at + nodes[node + 2])
        elif kind == BRANCH:
            self._branches(node, at)
        elif kind == LATIN:
            self._in_latin(node, at)
        elif kind == EITHER:
            for n in range(nodes[node + 2]):
                self._spoken(nodes[node + 3 + n], at)
            if nodes[node + 1]:
                self.ends.push(at)
        else:
            low = self.ends.size
            self.ends.push(at)
            for n in range(nodes[node + 1]):
                if not self._go_on(nodes[node + 2 + n], low):
                    break
        return 0

    cdef bint _go_on(self, Py_ssize_t node, Py_ssize_t low) except -1:
        """Replace the places from `low` on by those where words end that begin there."""
        cdef Py_ssize_t n, high = self.ends.size
        for n in range(low, high):
            self._spoken(node, self.ends.at[n])
        self._keep_each(low, high)
        return self.ends.size > low

    cdef void _keep_each(self, Py_ssize_t low, Py_ssize_t high) noexcept:
        """Bring the places from `high` on down to `low`, each of them once."""
        cdef int32_t* ends = self.ends.at
        cdef Py_ssize_t n, m, top = low
        for n in range(high, self.ends.size):
            for m in range(low, top):
                if ends[m] == ends[n]:
                    break
            else:
                ends[top] = ends[n]
                top += 1
        self.ends.size = top

    cdef bint _reads(self, Py_ssize_t place, int at, bint near) except -1:
        """Whether the word in the table (its length, its units) stands here."""
        cdef const int32_t[::1] nodes = self.table.nodes
        cdef int n, heard, meant, length = nodes[place]
        if not 0 <= at <= self.view.size - length:
            return False
        for n in range(length):
            heard, meant = self.view.units[at + n], nodes[place + 1 + n]
            if heard != meant and not (near and self.table.close(heard, meant)):
                return False
        return True

    cdef int _branches(self, Py_ssize_t node, int at) except -1:
        """Words with common beginnings; of two that begin alike the longer comes first."""
        cdef const int32_t[::1] nodes = self.table.nodes
        cdef int n, meant, heard = _unit(self.view, at)
        cdef bint near = nodes[node + 1]
        cdef Py_ssize_t place = node + 3
        if heard < 0:
            return 0
        for n in range(nodes[node + 2]):
            meant = nodes[place]
            if heard == meant or (near and self.table.close(heard, meant)):
                if nodes[place + 2] >= 0:
                    self._spoken(nodes[place + 2], at + 1)
                if nodes[place + 1]:
                    self.ends.push(at + 1)
            place += 3
        return 0

    cdef int _in_latin(self, Py_ssize_t node, int at) except -1:
        """Words that are no parts of longer Latin ones."""
        cdef const int32_t[::1] nodes = self.table.nodes
        cdef Py_ssize_t place = node + 2
        cdef int n, length
        for n in range(nodes[node + 1]):
            length = nodes[place + 2]
            if (
                self._reads(place + 2, at, False)
                and not (nodes[place] and _is_latin(_unit(self.view, at - 1)))
                and not (nodes[place + 1] and _is_latin(_unit(self.view, at + length)))
            ):
                self.ends.push(at + length)
            place += 3 + length
        return 0


cdef class _Pass:
    """One automaton, and what its strings announce."""

    cdef object automaton
    cdef const int32_t[::1] first, counts, triggers
    cdef const int8_t[::1] offsets

    def __init__(self, found):
        self.automaton, self.first, self.counts = found.automaton, found.first, found.counts
        self.triggers, self.offsets = found.triggers, found.offsets


cdef class Machine:
    """The tables of the patterns of a voice, ready to be used.

    `triggers` has the core of each and how many syllables it has, `leads` what must be known of a
    core before its pattern is read, each in one row: what is asked often lies close together.
    """

    cdef tuple passes
    cdef Expressions table
    cdef const int32_t[::1] places, word_places, signs, sounds, items, first_item
    cdef const uint16_t[::1] codes, words
    cdef const int32_t[:, ::1] triggers, leads, halves
    cdef const uint8_t[:, ::1] pairs, single
    cdef const int8_t[:, :, ::1] limits
    cdef const int8_t[:, ::1] most
    cdef const uint8_t[::1] written, side
    cdef int longest, patterns

    def __init__(self, sown, needs, program, triggers, leads, limits):
        self.passes = _Pass(sown.characters), _Pass(sown.syllables)
        self.table = program.expressions()
        self.triggers, self.leads, self.halves = triggers, leads, program.halves
        self.places, self.word_places, self.side = sown.places, sown.word_places, sown.side.view("u1")
        self.words, self.codes = units_of(sown.words), units_of(sown.codes)
        self.pairs, self.single, self.signs = needs.pairs, needs.single, needs.signs
        self.written = needs.written.view("u1")
        self.first_item, self.items, self.sounds = program.first_item, program.items, program.sounds
        self.limits, self.most = limits, limits.max(axis=2)
        self.patterns = len(program.traits)
        self.longest = triggers[:, 1].max(initial=0)
        if (
            self.leads.shape[1] != _LEAD
            or self.pairs.shape[1] * 8 < _HASHES
            or needs.signs.max(initial=0) >= self.single.shape[1] > 0
            or len(needs.signs) <= 0xFFFF
        ):
            raise ValueError("tables that do not fit together")


cdef class Trail(Walk):
    """Where patterns stand in a text, if by their words alone: all their steps can be taken."""

    cdef Machine machine
    cdef readonly dict conditions
    cdef _Ints found, parts, around, asked
    cdef int low, high, cost, off

    def __init__(self, Machine machine not None, Field field not None):
        super().__init__(machine.table, field)
        self.machine, self.conditions = machine, {}
        self.found, self.parts, self.asked, self.around = _Ints(), _Ints(), _Ints(), _Ints()
        cdef int low
        cdef _Pass one
        self.asked.make(machine.patterns)
        self._listen()
        for low in range(0, field.size, _STRETCH):
            for one in machine.passes:
                if one.automaton is not None:
                    self._go_through(one, low)

    def of(self, int condition):
        """The places of a condition's patterns, pattern by pattern.

        Each has its trigger, where that starts and ends, whether all of it was found, where the
        pattern starts and ends, and (item, start, end) of what was found round the trigger.
        """
        return [self._place(n) for _, n in sorted(self.conditions.get(condition, ()))]

    cdef tuple _place(self, Py_ssize_t number):
        cdef const int32_t* at = self.found.at + number * _FOUND
        cdef bint last = (number + 1) * _FOUND >= self.found.size
        cdef Py_ssize_t n, end = self.parts.size if last else at[_FOUND]
        cdef const int32_t* part
        cdef list spans = []
        for n in range(at[0] // _GROUP, end // _GROUP):
            part = self.parts.at + n * _GROUP
            spans.append((part[0], part[1], part[2]))
        return at[1], at[2], at[3], bool(at[4]), at[5], at[6], spans

    def written(self, int trigger, int start, int end):
        """The same round a trigger, read by characters: start, end and groups, or None."""
        cdef int core = self.machine.triggers[trigger, 0]
        if not self._read(core, start, end, 4 if self.machine.leads[core, 1] & COUNTS else 0):
            return None
        return self.low, self.high, self._spans()

    cdef int _listen(self) except -1:
        """Note for each place what may begin there, and where its clause and sentence end."""
        cdef int n, m, unit, meant, size = self.field.size
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
            if _is_break(unit):
                begin = n + 1
                if unit != _SOFT:
                    first = n + 1
            at[2 * size + n] = begin
            at[3 * size + n] = first
        for n in range(size - 1, -1, -1):
            if _is_break(text[n]):
                final = n - 1
                if text[n] != _SOFT:
                    last = n - 1
            at[4 * size + n] = final
            at[5 * size + n] = last
        return 0

    cdef int _go_through(self, _Pass one, int low) except -1:
        """Follow what an automaton finds in a stretch of the text."""
        cdef str text = self.field.text if one is self.machine.passes[0] else self.field.codes
        cdef int high = low + _STRETCH, place, string, n, offset, start
        cdef tuple hit
        if low or high < self.field.size:
            text = text[low : high + self.machine.longest]
        for hit in one.automaton.find_overlapping(text):
            place, string = hit[0], hit[2]
            place += low
            if place >= high:
                continue
            for n in range(one.first[string], one.first[string] + one.counts[string]):
                offset = one.offsets[n]
                start = place - max(offset, 0)
                if start >= 0:
                    self._try(one.triggers[n], start, offset)
        return 0

    cdef int _try(self, int trigger, int start, int offset) except -1:
        """Follow a trigger that is heard, or may be, if what its pattern needs is near."""
        cdef Machine machine = self.machine
        cdef int core = machine.triggers[trigger, 0], end = start + machine.triggers[trigger, 1]
        cdef const int32_t* lead = &machine.leads[core, 0]
        cdef int view = (4 if lead[1] & COUNTS else 0) + (2 if lead[1] & SOUNDS else 0)
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
            self.field.mask()
        if not self._read(core, start, end, view):
            return 0
        if offset < 0 and not machine.side[trigger] and self._is_written(trigger, start):
            self._note(lead, trigger, start, end, True)
        elif view & 2 and self._may_be_meant(lead, trigger, start, end):
            self._note(lead, trigger, start, end, offset < 0)
        return 0

    cdef bint _is_written(self, int trigger, int start) except -1:
        """Whether the words of a trigger stand in the text as they are."""
        cdef const _View* text = &self.field.views[0]
        cdef int unit, at = start
        cdef Py_ssize_t n
        for n in range(self.machine.word_places[trigger], self.machine.word_places[trigger + 1]):
            unit = self.machine.words[n]
            if unit != _PART:
                if _unit(text, at) != unit:
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
        for n in range(self.groups.size // _GROUP):
            if machine.items[first + at[_GROUP * n]] >= 0:
                syllables += at[_GROUP * n + 2] - at[_GROUP * n + 1]
        syllables = min(syllables, <int>machine.most.shape[1] - 1)
        most = machine.most[strong, syllables]
        self.cost, self.off = 2, 1  # a syllable less or more
        if end - start == length:
            self.cost = self.off = 0
            for n in range(length):
                self._weigh(_unit(&self.field.views[2], start + n), machine.codes[place + n])
        for n in range(self.groups.size // _GROUP):
            item = machine.items[first + at[0]]
            if item >= 0 and at[2] > at[1]:
                if not self._likeliest(item, at[1], at[2] - at[1], most):
                    return False
            at += _GROUP
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
        self.conditions.setdefault(lead[2], []).append((lead[0], self.found.size // _FOUND))
        self.found.push(<int32_t>self.parts.size)
        self.found.push(trigger)
        self.found.push(start)
        self.found.push(end)
        self.found.push(whole)
        self.found.push(self.low)
        self.found.push(self.high)
        for n in range(self.groups.size // _GROUP):
            at = self.groups.at + n * _GROUP
            if at[2] > at[1]:
                self.parts.push(at[0])
                self.parts.push(at[1])
                self.parts.push(at[2])
        return 0

    cdef bint _is_met(self, const int32_t* need, int start, int end, int slack) except -1:
        """Whether a word that a core needs may begin where it must."""
        cdef Machine machine = self.machine
        cdef Py_ssize_t size = self.field.size
        cdef int low = need[1] - slack, high = need[2] + slack, n, hashed
        cdef const int32_t* at = self.around.at
        cdef const int32_t* border = at + (3 if need[3] & 2 else 2) * size
        # One row of each table: a hash and a sign lie inside it, as `Machine` has made sure.
        cdef const uint8_t* pairs = &machine.pairs[need[0], 0]
        cdef const uint8_t* single = &machine.single[need[0], 0]
        if need[3] & 1:
            low, high = max(start + low, border[min(start, size - 1)]), start + high
        else:
            high = min(end + high, border[2 * size + min(end, size - 1)])
            low += end
        for n in range(max(low, 0), min(high, size - 1) + 1):
            hashed = at[size + n]
            if (pairs[hashed >> 3] >> (hashed & 7)) & 1 or single[at[n]]:
                return True
        return False

    cdef int _damaged(self, int trigger, int start, bint stretch) except -2:
        """Where a damaged word ends; -1 where the damage is too great, or none."""
        cdef Py_ssize_t place = self.machine.places[trigger]
        cdef int length = self.machine.triggers[trigger, 1]
        cdef const _View* codes = &self.field.views[2]
        cdef int n, heard, meant, wrong = 0, first = length, far = 0
        cdef bint broken = False
        for n in range(length):
            heard, meant = _unit(codes, start + n), self.machine.codes[place + n]
            if heard != meant and heard >= 0:
                first = min(first, n)
                wrong += 1
                far += not self.table.close(heard, meant)
                broken = broken or _is_break(heard)
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
        cdef const _View* codes = &self.field.views[2]
        cdef int n, heard, more
        for more in (-1, 1):
            if same >= length + min(more, 0) or start + length + more > codes.size:
                continue
            for n in range(length + more):
                heard = _unit(codes, start + n)
                if _is_break(heard) or (
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
            for n in range(cut // _GROUP, self.groups.size // _GROUP):
                at = self.groups.at + n * _GROUP
                low = size - at[2]
                at[2] = size - at[1]
                at[1] = low
        return True
