# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False
# cython: cdivision=True, auto_pickle=False
"""Weigh what stands where all words of a pattern do: matches, as written and by sound."""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.unicode cimport Py_UNICODE_ISALPHA, PyUnicode_FromKindAndData
from libc.stdint cimport int32_t

from rules.field cimport SOURCE_DIGEST, Field, Ints, unit_at
from rules.plausible cimport Piece, budget, plausible
from rules.trail cimport COUNTS, FOUND, SOUNDS, STRONG, Machine, Trail
from rules.walk cimport GROUP

from rules.grammar import Builtin
from rules.numbers import is_builtin
from rules.sow import PART as _PART_MARK

DIGEST = SOURCE_DIGEST.decode("ascii")
"""SHA-256 of all the sources that this module was built with."""

MAX_HITS = 200
"""Hits of one pattern in one text after which it is no longer searched for."""

cdef int _MOST = MAX_HITS, _PART = ord(_PART_MARK)


@cython.final
@cython.dataclasses.dataclass
cdef class Match:
    """A pattern found: `start` and `end` in the normal form, words with their own spans."""

    pattern: object
    start: cython.int
    end: cython.int
    words: tuple
    cost: cython.double
    exact: cython.bint
    quote: str

    @property
    def syllables(self):
        """Characters of the words that matched, gaps left out."""
        return sum([len(word) for _, _, word in self.words])


def _order(Match match):
    return match.start, match.end, match.pattern.entry, match.cost, match.quote


cdef class Scan(Trail):
    """Where patterns stand in one text; their matches are weighed when they are asked for."""

    cdef tuple patterns
    cdef object pattern
    cdef dict kept  # the matches of one pattern, by where they start and end
    cdef Ints letters
    cdef Piece* pieces
    cdef Py_ssize_t count, room

    def __cinit__(self):
        self.pieces, self.count, self.room = NULL, 0, 0

    def __init__(self, Machine machine not None, tuple patterns not None, Field field not None):
        super().__init__(machine, field)
        self.patterns, self.letters = patterns, Ints()

    def __dealloc__(self):
        PyMem_Free(self.pieces)

    @property
    def set_off(self):
        """The conditions that may have matches: all words of one of their patterns stand there.

        They stand in their order; no other condition has any match.
        """
        return self.conditions.keys()

    def matches(self, int condition):
        """The matches of a condition's patterns, by place and then by pattern."""
        cdef list found = []
        cdef int number, last = -1
        cdef Py_ssize_t place
        for number, place in sorted(self.conditions.get(condition, ())):
            if number != last:
                if last >= 0:
                    found += self.kept.values()
                self.kept, self.pattern, last = {}, self.patterns[number], number
            self._add(place)
        if last >= 0:
            found += self.kept.values()
        if len(found) > 1:
            found.sort(key=_order)
        return found

    cdef int _add(self, Py_ssize_t place) except -1:
        """Keep the match at a place, if it is one."""
        cdef const int32_t* at = self.found.at + place * FOUND
        cdef bint last = (place + 1) * FOUND >= self.found.size, whole = at[4]
        cdef Py_ssize_t first = at[0], parts = (self.parts.size if last else at[FOUND]) - first
        cdef int trigger = at[1], start = at[2], end = at[3], low = at[5], high = at[6]
        cdef int core = self.machine.triggers[trigger, 0], view
        cdef int traits = self.machine.leads[core, 1]
        if len(self.kept) >= _MOST or (whole and self._inside_latin(trigger, start, end)):
            return 0
        if whole and not self.machine.side[trigger] and self._is_written(trigger, start):
            if not traits & SOUNDS:
                self._as_written(trigger, start, low, high, self.parts.at + first, parts // GROUP)
                return 0
            view = 4 if traits & COUNTS else 0
            if self._read(core, start, end, view) and self._as_written(
                trigger, start, self.low, self.high, self.groups.at, self.groups.size // GROUP
            ):
                return 0
        if traits & SOUNDS:
            self._by_sound(trigger, start, end, low, high, self.parts.at + first, parts // GROUP)
        return 0

    cdef bint _inside_latin(self, int trigger, int start, int end) except -1:
        """Whether Latin letters go on before or after a word of Latin letters."""
        cdef Machine machine = self.machine
        cdef Py_ssize_t place = machine.word_places[trigger]
        cdef Py_ssize_t high = machine.word_places[trigger + 1]
        cdef int first, last, before, after
        while place < high - 1 and machine.words[place] == _PART:
            place += 1
        while high > place + 1 and machine.words[high - 1] == _PART:
            high -= 1
        first, last = machine.words[place], machine.words[high - 1]
        if first >= 128 and last >= 128:
            return False
        before, after = unit_at(&self.field.views[0], start - 1), unit_at(&self.field.views[0], end)
        return (Py_UNICODE_ISALPHA(first) and _is_letter(before)) or (
            last < 128 and _is_letter(last) and _is_letter(after)
        )

    cdef bint _as_written(
        self, int trigger, int start, int low, int high, const int32_t* groups, Py_ssize_t count
    ) except -1:
        """Keep the match round a trigger that is written as meant, if its other items are."""
        cdef Match held = self.kept.get((low, high))
        cdef bint counts = self.pattern.numeric
        cdef Py_ssize_t n
        cdef const int32_t* at
        if held is not None and held.exact and not held.cost and not counts:
            return True  # met from another of its words
        self._cut(trigger, start, start + self.machine.triggers[trigger, 1])
        for n in range(count):
            at = groups + n * GROUP
            if at[1] < at[2]:
                if counts and self._lies(at):
                    return False
                self._piece(at[1], at[2])
        self._keep(low, high, self._words(), 0.0, True, self.field.text[low:high])
        return True

    cdef int _by_sound(
        self,
        int trigger,
        int start,
        int end,
        int low,
        int high,
        const int32_t* groups,
        Py_ssize_t count,
    ) except -1:
        """Weigh a match by sound, from a trigger that is heard or nearly heard."""
        cdef bint strong = self.pattern.style.strong, counts = self.pattern.numeric
        cdef int syllables = self.machine.triggers[trigger, 1]
        cdef Match held = self.kept.get((low, high))
        cdef Py_ssize_t n
        cdef const int32_t* at
        cdef tuple meant
        cdef Py_UCS4 letter
        self._cut(trigger, start, end)
        for n in range(count):
            at = groups + n * GROUP
            if at[1] == at[2]:
                continue
            if counts and isinstance(self.pattern.items[at[0]], Builtin):
                if self._lies(at):
                    return 0
                self._piece(at[1], at[2])
                continue
            meant = self.pattern.sounds[at[0]].likeliest(self.field.codes[at[1] : at[2]])
            if meant is None:
                return 0
            self._piece(at[1], at[2])
            for letter in <str>meant[2]:
                self._letter(letter)
            self._charge(meant[0], meant[1])
            syllables += self.pieces[self.count - 1].length
        if held is not None and 2 * held.cost < self.cost:
            return 0
        if self.cost > budget(syllables, self.off, strong):
            return 0
        words = self._words()
        if plausible(self.pieces, self.count, self.letters.at, self.field, self.cost, strong):
            self._keep_heard(low, high, words)
        return 0

    cdef int _keep_heard(self, int low, int high, tuple words) except -1:
        """Keep a match by sound; quoted is what was meant, and between the words what was heard."""
        cdef str text = self.field.text
        cdef list parts = []
        cdef bint same = True
        cdef int at = low
        for start, end, word in words:
            same = same and text[start:end] == word
            parts += text[at:start], word
            at = end
        quote = text[low:high] if same else "".join(parts) + text[at:high]
        return self._keep(low, high, words, self.cost / 2.0, same, quote)

    cdef int _keep(
        self, int low, int high, tuple words, double cost, bint exact, str quote
    ) except -1:
        """Remember a match; of two at one place the cheaper one stays."""
        cdef Match held = self.kept.get((low, high))
        if held is None or (cost, quote) < (held.cost, held.quote):
            self.kept[low, high] = Match(self.pattern, low, high, words, cost, exact, quote)
        return 0

    cdef bint _lies(self, const int32_t* group) except -1:
        """Whether an item is a builtin that does not match what stands there."""
        item = self.pattern.items[group[0]]
        if not isinstance(item, Builtin):
            return False
        return not is_builtin(item.name, self.field.text[group[1] : group[2]])

    cdef int _cut(self, int trigger, int start, int end) except -1:
        """The words of a trigger that stands there, and what they cost.

        A missing or added syllable is in the longest.
        """
        cdef Machine machine = self.machine
        cdef Py_ssize_t n
        cdef int at = start, shift = end - start - machine.triggers[trigger, 1], longest = 0
        cdef bint fresh = True
        self.count = self.cost = self.off = self.letters.size = 0
        for n in range(machine.word_places[trigger], machine.word_places[trigger + 1]):
            if machine.words[n] == _PART:
                fresh = True
                continue
            if fresh:
                self._piece(at, at)
                fresh = False
            self._letter(machine.words[n])
            at += 1
            self.pieces[self.count - 1].end = at
            if not shift:
                self._compare(machine.codes[machine.places[trigger] + at - 1 - start], at - 1)
        if shift:
            for n in range(1, self.count):
                if self.pieces[n].length > self.pieces[longest].length:
                    longest = n
            for n in range(longest, self.count):
                self.pieces[n].start += shift if n > longest else 0
                self.pieces[n].end += shift
            self.pieces[longest].cost, self.pieces[longest].off = 2, 1
            self.cost, self.off = 2, 1
        return 0

    cdef int _compare(self, int meant, int at) except -1:
        """Charge the last word for a syllable that is heard there."""
        cdef int cost = self.cost, off = self.off
        self._weigh(unit_at(&self.field.views[2], at), meant)
        self.pieces[self.count - 1].cost += self.cost - cost
        self.pieces[self.count - 1].off += self.off - off
        return 0

    cdef int _charge(self, int cost, int off) except -1:
        """Charge the last word for how it is heard."""
        self.pieces[self.count - 1].cost, self.pieces[self.count - 1].off = cost, off
        self.cost += cost
        self.off += off
        return 0

    cdef int _piece(self, int start, int end) except -1:
        """Begin a word: as long as it gets no letters, it is whatever stands there."""
        cdef Piece* wider
        if self.count == self.room:
            wider = <Piece*>PyMem_Realloc(self.pieces, (2 * self.room + 8) * sizeof(Piece))
            if wider == NULL:
                raise MemoryError
            self.pieces, self.room = wider, 2 * self.room + 8
        self.pieces[self.count] = Piece(start, end, <int>self.letters.size, 0, 0, 0)
        self.count += 1
        return 0

    cdef int _letter(self, int unit) except -1:
        """Add a character to the last word."""
        self.letters.push(unit)
        self.pieces[self.count - 1].length += 1
        return 0

    cdef tuple _words(self):
        """The words by place, with their spans; puts the pieces in that order, too."""
        cdef Piece piece
        cdef Py_ssize_t n, m
        cdef list found = []
        for n in range(1, self.count):
            piece, m = self.pieces[n], n
            while m and self.pieces[m - 1].start > piece.start:
                self.pieces[m] = self.pieces[m - 1]
                m -= 1
            self.pieces[m] = piece
        for n in range(self.count):
            piece = self.pieces[n]
            if piece.length:
                word = PyUnicode_FromKindAndData(4, self.letters.at + piece.word, piece.length)
            else:
                word = self.field.text[piece.start : piece.end]
            found.append((piece.start, piece.end, word))
        return tuple(found)


cdef inline bint _is_letter(int unit) noexcept:
    """Whether it is a Latin letter."""
    return 97 <= (unit | 32) <= 122
