# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False
# cython: cdivision=True, auto_pickle=False
"""Patterns read in a text step by step, from a place where they may stand.

Tables (`rules.program`) are read with bounds checked, so that damaged ones raise `IndexError`.
"""

from libc.stdint cimport int32_t

from rules.field cimport HARD, REST, SOFT, SOURCE_DIGEST, START, TURN
from rules.field cimport Field, Ints, is_break, unit_at

from rules.phonetic import CODE_BASE

DIGEST = SOURCE_DIGEST.decode("ascii")
"""SHA-256 of all the sources that this module was built with."""

GLANCE_BYTES = GLANCE
"""Bytes in which the characters are noted that the words of a step begin with."""

if CODES != CODE_BASE:
    raise ImportError("rules/walk.pxd knows another base of codes than rules.phonetic")


cdef inline bint _is_latin(int unit) noexcept:
    return 97 <= unit <= 122


def sign_of(int unit):
    """The bit by which a glance knows a character."""
    return glanced(unit)


def glance_of(str units):
    """The bytes in which these characters are noted."""
    cdef bytearray found = bytearray(GLANCE_BYTES)
    cdef int sign
    for unit in units:
        sign = glanced(ord(unit))
        found[sign >> 3] |= 1 << (sign & 7)
    return bytes(found)


cdef class Expressions:
    """Steps and sets of words, and which syllables are easily taken for one another."""

    def __init__(self, steps, nodes, glances, near):
        self.steps, self.nodes, self.glances, self.near = steps, nodes, glances, near
        self.known = self.near.shape[0]
        self.steps_size, self.words_size = self.steps.shape[0], self.nodes.shape[0]
        if (
            self.steps.shape[1] != STEP
            or self.glances.shape[1] != GLANCE
            or steps[:, 4].max(initial=-1) >= self.glances.shape[0]
        ):
            raise ValueError("tables that do not fit together")
        self.rows = &self.steps[0, 0] if self.steps_size else NULL
        self.words = &self.nodes[0] if self.words_size else NULL
        self.firsts = &self.glances[0, 0] if self.glances.shape[0] else NULL


cdef class Walk:
    """Reads patterns in one text, step by step."""

    def __init__(self, Expressions table not None, Field field not None):
        self.table, self.field = table, field
        self.ends, self.groups = Ints(), Ints()
        self._face(0)

    def search(self, int step, int low, int high, *, bint by_sound):
        """Where a whole pattern stands between two places, and its groups; each place once."""
        cdef int at, turned = 2 if by_sound else 0
        cdef list found = []
        cdef const int32_t* first = self.table.row(step)
        cdef bint seen = first[0] == WORDS and not first[3] and first[4] >= 0
        low, high = max(0, low), min(high, self.field.size)
        self._face(turned)
        self.field.views[turned].size = max(low, high)
        try:
            at = low
            while at <= high:
                self.groups.size = 0
                if seen and not self._may_begin(first, unit_at(self.view, at)):
                    at += 1
                elif self._walk(step, at):
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
        for n in range(self.groups.size // GROUP):
            at = self.groups.at + n * GROUP
            if at[2] > at[1]:
                found.append((at[0], at[1], at[2]))
        return found

    cdef bint _walk(self, Py_ssize_t step, int at) except -1:
        """Whether all steps from here on can be taken from a place; `reach` is where they end."""
        cdef const int32_t* row
        while True:
            row = self.table.row(step)
            if row[0] == STOP:
                self.reach = at
                return True
            if row[0] == GAP:
                return self._over_gap(step, row, at)
            if row[0] >= WORDS:
                return self._over_words(step, row, at)
            if not self._holds(row[0], row[1], at):
                return False
            step += 1

    cdef bint _over_gap(self, Py_ssize_t step, const int32_t* row, int at) except -1:
        """The shortest gap after which the rest can be read."""
        cdef const int32_t* rest = self.table.row(step + 1)
        cdef int unit, most = at + row[1]
        cdef bint soft = row[3] & SOFTLY, seen = rest[0] == WORDS and not rest[3] and rest[4] >= 0
        while True:
            unit = unit_at(self.view, at)
            if seen:
                if unit >= 0 and self.table.glance(rest[4], unit):
                    if self._over_group(step + 1, rest, at):
                        return True
            elif self._walk(step + 1, at):
                return True
            if at == most or unit < 0 or (is_break(unit) and not (soft and unit == SOFT)):
                return False
            at += 1

    cdef bint _over_words(self, Py_ssize_t step, const int32_t* row, int at) except -1:
        """With a comma first, without one, and without the words where they may be left out."""
        cdef int flags = row[3], unit = unit_at(self.view, at)
        if flags & JOINED and unit == SOFT and self._may_begin(row, unit_at(self.view, at + 1)):
            if self._over_group(step, row, at + 1):
                return True
        if self._may_begin(row, unit) and self._over_group(step, row, at):
            return True
        return flags & OPTIONAL and self._walk(step + 1, at)

    cdef bint _may_begin(self, const int32_t* row, int unit) noexcept:
        """Whether the words of a step may begin with a character, as far as a glance tells."""
        return row[4] < 0 or (unit >= 0 and self.table.glance(row[4], unit))

    cdef bint _over_group(self, Py_ssize_t step, const int32_t* row, int at) except -1:
        """Each way in which the words may stand here, until the rest can be read, too."""
        cdef Py_ssize_t n, kept = self.groups.size, low = self.ends.size, high
        if row[0] == WORDS:
            self._spoken(row[1], at)
            if self.ends.size > low + 1:
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
            if unit_at(self.view, at) != START:
                return 0
            end += 1
        while unit_at(self.view, end) == REST:
            end += 1
        if turned:
            if unit_at(self.view, end) == START:
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
            return at > 0 and is_break(unit_at(self.view, at - 1))
        if kind == AFTER_TURN:
            return unit_at(self.view, at - 1) == TURN
        if kind == BEFORE_BREAK:
            return is_break(unit_at(self.view, at))
        if kind == NOT_BEHIND:
            self.view, self.other = self.other, self.view
            found = self._stands(argument, self.field.size - at)
            self.view, self.other = self.other, self.view
            return not found
        if kind == NOT_AHEAD:
            if self._stands(argument, at):
                return False
            return not (unit_at(self.view, at) == SOFT and self._stands(argument, at + 1))
        if unit_at(self.view, at) == SOFT:
            at += 1
        while kind == BEFORE_CLOSE and unit_at(self.view, at) == HARD:
            at += 1
        return unit_at(self.view, at) == TURN

    cdef bint _stands(self, int node, int at) except -1:
        """Whether some of these words stand here."""
        cdef Py_ssize_t kept = self.ends.size
        self._spoken(node, at)
        cdef bint found = self.ends.size > kept
        self.ends.size = kept
        return found

    cdef int _spoken(self, Py_ssize_t place, int at) except -1:
        """Note where words of a set may end that begin here, the likeliest first."""
        cdef const int32_t* node = self.table.node(place, 3)
        cdef int n, kind = node[0], size
        cdef Py_ssize_t low
        if kind == BRANCH:
            self._branches(place, at)
        elif kind == LITERAL:
            size = node[2]
            node = self.table.node(place, 3 + size)
            if self._reads(node + 3, size, at, node[1]):
                self.ends.push(at + size)
        elif kind == LATIN:
            self._in_latin(place, at)
        elif kind == EITHER:
            size = node[2]
            node = self.table.node(place, 3 + size)
            for n in range(size):
                self._spoken(node[3 + n], at)
            if node[1]:
                self.ends.push(at)
        else:
            size = node[1]
            node = self.table.node(place, 2 + size)
            low = self.ends.size
            self.ends.push(at)
            for n in range(size):
                if not self._go_on(node[2 + n], low):
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

    cdef bint _reads(self, const int32_t* word, int length, int at, bint near) except -1:
        """Whether a word stands here."""
        cdef int n, heard
        if not 0 <= at <= self.view.size - length:
            return False
        for n in range(length):
            heard = self.view.units[at + n]
            if heard != word[n] and not (near and self.table.close(heard, word[n])):
                return False
        return True

    cdef int _branches(self, Py_ssize_t place, int at) except -1:
        """Words with common beginnings; of two that begin alike the longer comes first."""
        cdef const int32_t* node = self.table.node(place, 3)
        cdef int n, heard = unit_at(self.view, at), size = node[2]
        cdef bint near = node[1]
        if heard < 0:
            return 0
        node = self.table.node(place, 3 + 3 * <Py_ssize_t>size) + 3
        for n in range(size):
            if heard == node[0] or (near and self.table.close(heard, node[0])):
                if node[2] >= 0:
                    self._spoken(node[2], at + 1)
                if node[1]:
                    self.ends.push(at + 1)
            node += 3
        return 0

    cdef int _in_latin(self, Py_ssize_t place, int at) except -1:
        """Words that are no parts of longer Latin ones."""
        cdef const int32_t* word
        cdef int n, length, size = self.table.node(place, 2)[1]
        place += 2
        for n in range(size):
            length = self.table.node(place, 3)[2]
            word = self.table.node(place, 3 + length)
            if (
                self._reads(word + 3, length, at, False)
                and not (word[0] and _is_latin(unit_at(self.view, at - 1)))
                and not (word[1] and _is_latin(unit_at(self.view, at + length)))
            ):
                self.ends.push(at + length)
            place += 3 + length
        return 0
