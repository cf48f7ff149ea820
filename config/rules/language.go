package rules

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

// An automaton reads the texts that a value can come to, piece after piece. It
// may read more than the value can be, never less: what is proven of all it
// reads is true of the value.
type automaton struct {
	states []state
	start  int
	accept int
}

// A state belongs to the piece whose text it reads.
type state struct {
	piece int
	free  []int // states that are reached without reading
	moves []move
}

// A move reads one character from a range.
type move struct {
	from, to rune
	next     int
}

func (a *automaton) add(piece int) int {
	a.states = append(a.states, state{piece: piece})
	return len(a.states) - 1
}

func (a *automaton) link(from, to int) {
	a.states[from].free = append(a.states[from].free, to)
}

func (a *automaton) read(from int, lo, hi rune, to int) {
	a.states[from].moves = append(a.states[from].moves, move{lo, hi, to})
}

// A language is a set of texts: it adds to an automaton what reads them from
// a state on, for a piece, and returns the state behind them.
type language func(a *automaton, from, piece int) (to int)

// oneOf is the language of some texts.
func oneOf(texts ...string) language {
	return func(a *automaton, from, piece int) int {
		to := a.add(piece)
		for _, text := range texts {
			at := from
			for _, r := range text {
				next := a.add(piece)
				a.read(at, r, r, next)
				at = next
			}
			a.link(at, to)
		}
		return to
	}
}

// repeated is the language of texts of at least so many characters, each from
// one of the ranges.
func repeated(least int, ranges ...rune) language {
	return func(a *automaton, from, piece int) int {
		at := a.add(piece)
		a.link(from, at)
		for range least {
			next := a.add(piece)
			for i := 0; i < len(ranges); i += 2 {
				a.read(at, ranges[i], ranges[i+1], next)
			}
			at = next
		}
		for i := 0; i < len(ranges); i += 2 {
			a.read(at, ranges[i], ranges[i+1], at)
		}
		to := a.add(piece)
		a.link(at, to)
		return to
	}
}

// exactly is the language of texts of n characters, each from one of the
// ranges.
func exactly(n int, ranges ...rune) language {
	return func(a *automaton, from, piece int) int {
		for range n {
			next := a.add(piece)
			for i := 0; i < len(ranges); i += 2 {
				a.read(from, ranges[i], ranges[i+1], next)
			}
			from = next
		}
		return from
	}
}

var anything = repeated(0, 0, unicode.MaxRune)

// integers is the language of integers in decimal.
func integers(a *automaton, from, piece int) int {
	signed := a.add(piece)
	a.link(from, signed)
	a.read(from, '-', '-', signed)
	return repeated(1, '0', '9')(a, signed, piece)
}

// matching is the language of the texts that a regular expression matches as a
// whole. Its anchors and word boundaries are taken to hold everywhere.
func matching(re *syntax.Regexp) (language, error) {
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, err
	}
	return func(a *automaton, from, piece int) int {
		first := len(a.states)
		for range prog.Inst {
			a.add(piece)
		}
		to := a.add(piece)
		a.link(from, first+prog.Start)
		for i := range prog.Inst {
			in, at := &prog.Inst[i], first+i
			next := first + int(in.Out)
			switch in.Op {
			case syntax.InstAlt, syntax.InstAltMatch:
				a.link(at, next)
				a.link(at, first+int(in.Arg))
			case syntax.InstCapture, syntax.InstNop, syntax.InstEmptyWidth:
				a.link(at, next)
			case syntax.InstMatch:
				a.link(at, to)
			case syntax.InstRuneAny:
				a.read(at, 0, unicode.MaxRune, next)
			case syntax.InstRuneAnyNotNL:
				a.read(at, 0, '\n'-1, next)
				a.read(at, '\n'+1, unicode.MaxRune, next)
			case syntax.InstRune, syntax.InstRune1:
				a.readRunes(at, in, next)
			}
		}
		return to
	}, nil
}

// readRunes reads what an instruction reads: ranges, or one character and,
// where case does not count, what folds to it.
func (a *automaton) readRunes(at int, in *syntax.Inst, next int) {
	if len(in.Rune) != 1 {
		for i := 0; i+1 < len(in.Rune); i += 2 {
			a.read(at, in.Rune[i], in.Rune[i+1], next)
		}
		return
	}
	r := in.Rune[0]
	a.read(at, r, r, next)
	if syntax.Flags(in.Arg)&syntax.FoldCase != 0 {
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			a.read(at, f, f, next)
		}
	}
}

// escaped is the language of what Escape writes for the texts of l.
func escaped(l language) language {
	return func(a *automaton, from, piece int) int {
		var plain automaton
		plain.start = plain.add(0)
		plain.accept = l(&plain, plain.start, 0)
		first := len(a.states)
		for range plain.states {
			a.add(piece)
		}
		a.link(from, first+plain.start)
		for i, s := range plain.states {
			for _, next := range s.free {
				a.link(first+i, first+next)
			}
			for _, m := range s.moves {
				a.readEscaped(first+i, m.from, m.to, first+m.next, piece)
			}
		}
		return first + plain.accept
	}
}

// readEscaped reads what Escape writes for one character from lo to hi.
func (a *automaton) readEscaped(from int, lo, hi rune, to, piece int) {
	for _, plain := range [][2]rune{{'a', 'z'}, {'0', '9'}, {'A', 'Z'}} {
		if l, h := max(lo, plain[0]), min(hi, plain[1]); l <= h {
			a.read(from, l, h, to)
		}
	}
	var bytes [utf8.RuneSelf]bool // to be written as _ and two digits
	any := false
	for r := lo; r <= min(hi, utf8.RuneSelf-1); r++ {
		if r == '_' || !isIdent(byte(r)) {
			bytes[r], any = true, true
		}
	}
	if any {
		a.readCodes(from, to, piece, func(b int) bool { return b < len(bytes) && bytes[b] })
	}
	if hi >= utf8.RuneSelf { // two to four bytes; that they are one character is passed over
		behind := a.add(piece)
		high := func(b int) bool { return b >= utf8.RuneSelf }
		a.readCodes(from, behind, piece, high)
		a.readCodes(behind, behind, piece, high)
		a.link(behind, to)
	}
}

// readCodes reads _ and two digits for the bytes that are in.
func (a *automaton) readCodes(from, to, piece int, in func(b int) bool) {
	const digits = "0123456789ABCDEF"
	underscore := a.add(piece)
	a.read(from, '_', '_', underscore)
	for _, high := range []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1} { // control characters last, for examples
		second := a.add(piece)
		a.read(underscore, rune(digits[high]), rune(digits[high]), second)
		for low := range 16 {
			if in(high<<4 | low) {
				a.read(second, rune(digits[low]), rune(digits[low]), to)
			}
		}
	}
}

// maxSteps bounds a search; a proof that needs more has failed.
const maxSteps = 1 << 19

// A meeting is a text that two automata read, with the piece of each that
// read each of its characters.
type meeting struct {
	text  []rune
	left  []int
	right []int
}

// A node is a step of a search: how two automata came to read the same.
type node struct {
	left, right int
	differ      bool
	via         *node
	read        rune // -1: nothing was read
}

type nodeKey struct {
	left, right int
	differ      bool
}

// meet searches for a text that both automata read. With apart it must be one
// in which a piece of the left and a piece of the right stand at different
// places. The shortest is returned, nil when there is none; an error when the
// search was given up.
func meet(left, right *automaton, apart *[2]int) (*meeting, error) {
	first := &node{left: left.start, right: right.start, read: -1}
	layer, next := []*node{first}, []*node(nil)
	seen := map[nodeKey]bool{{left.start, right.start, false}: true}
	visit := func(to *[]*node, n *node) {
		if key := (nodeKey{n.left, n.right, n.differ}); !seen[key] {
			seen[key] = true
			*to = append(*to, n)
		}
	}
	for len(layer) > 0 {
		for i := 0; i < len(layer); i++ { // grows by what is reached without reading
			n := layer[i]
			if n.left == left.accept && n.right == right.accept && (apart == nil || n.differ) {
				return n.meeting(left, right), nil
			}
			if len(seen) > maxSteps {
				return nil, fmt.Errorf("the search was given up")
			}
			l, r := &left.states[n.left], &right.states[n.right]
			for _, to := range l.free {
				visit(&layer, &node{to, n.right, n.differ, n, -1})
			}
			for _, to := range r.free {
				visit(&layer, &node{n.left, to, n.differ, n, -1})
			}
			for _, lm := range l.moves {
				for _, rm := range r.moves {
					lo, hi := max(lm.from, rm.from), min(lm.to, rm.to)
					if lo > hi {
						continue
					}
					differ := n.differ
					if apart != nil {
						differ = differ || side(left.states[lm.next].piece, apart[0]) != side(right.states[rm.next].piece, apart[1])
					}
					visit(&next, &node{lm.next, rm.next, differ, n, pretty(lo, hi)})
				}
			}
		}
		layer, next = next, nil
	}
	return nil, nil
}

// side tells whether a piece is before, at or behind another.
func side(piece, of int) int {
	switch {
	case piece < of:
		return -1
	case piece > of:
		return 1
	}
	return 0
}

// pretty picks the character that reads best from a range.
func pretty(lo, hi rune) rune {
	for _, r := range "a0A-_" {
		if lo <= r && r <= hi {
			return r
		}
	}
	if lo < ' ' && hi > ' ' {
		return '!'
	}
	return lo
}

func (n *node) meeting(left, right *automaton) *meeting {
	m := &meeting{}
	for ; n != nil; n = n.via {
		if n.read >= 0 {
			m.text = append(m.text, n.read)
			m.left = append(m.left, left.states[n.left].piece)
			m.right = append(m.right, right.states[n.right].piece)
		}
	}
	slices.Reverse(m.text)
	slices.Reverse(m.left)
	slices.Reverse(m.right)
	return m
}
