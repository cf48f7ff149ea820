package config

import (
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// A source is a YAML text in which places are looked up.
type source struct {
	file  string
	lines []string // with their line ends
}

func newSource(file string, data []byte) *source {
	return &source{file, strings.SplitAfter(string(data), "\n")}
}

// line returns line n, from 1, without its line end.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return strings.TrimRight(s.lines[n-1], "\r\n")
}

// A place is a line and a column, both from 1, the column in characters.
type place struct{ line, column int }

// within returns where the byte at offset of a scalar's value stands in the
// source, for every style of scalar. Where the value and the source cannot be
// brought together it returns the start of the scalar.
func (s *source) within(n *yaml.Node, offset int) place {
	start := place{n.Line, n.Column}
	r := &reader{source: s, at: start}
	if n.Anchor != "" {
		r.skipWord()
	}
	style := n.Style &^ (yaml.TaggedStyle | yaml.FlowStyle)
	switch style {
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		r.next() // the quote
	case yaml.LiteralStyle, yaml.FoldedStyle:
		r.at = place{r.at.line + 1, 1} // behind the header
	}
	for i, v := range n.Value {
		at, ok := r.read(v, style)
		if !ok {
			return start
		}
		if i >= offset {
			return at
		}
	}
	return r.at
}

// A reader goes through the source of a scalar while its value is read out.
type reader struct {
	source *source
	at     place
}

// peek returns the character at the current place: '\n' at the end of a line,
// 0 at the end of the file.
func (r *reader) peek() rune { return r.ahead(0) }

func (r *reader) ahead(n int) rune {
	if r.at.line > len(r.source.lines) {
		return 0
	}
	rest := r.source.line(r.at.line)
	for range r.at.column - 1 + n {
		_, size := utf8.DecodeRuneInString(rest)
		rest = rest[size:]
	}
	if rest == "" {
		return '\n'
	}
	c, _ := utf8.DecodeRuneInString(rest)
	return c
}

func (r *reader) next() {
	if r.peek() == '\n' {
		r.at = place{r.at.line + 1, 1}
	} else {
		r.at.column++
	}
}

func (r *reader) skipSpace() {
	for isSpace(r.peek()) {
		r.next()
	}
}

// skipWord skips an anchor and the space behind it.
func (r *reader) skipWord() {
	for c := r.peek(); c != 0 && !isSpace(c); c = r.peek() {
		r.next()
	}
	r.skipSpace()
}

// read returns the place of the value's next character v and goes behind it.
// White space in the value may stand for more of it in the source, where lines
// are folded and indented; any other character stands for itself.
func (r *reader) read(v rune, style yaml.Style) (place, bool) {
	if style == yaml.DoubleQuotedStyle {
		for r.peek() == '\\' && r.ahead(1) == '\n' { // a folded line without a space
			r.next()
			r.skipSpace()
		}
		if at := r.at; r.peek() == '\\' {
			r.skipEscape()
			return at, true
		}
	}
	if isSpace(v) {
		at := r.at
		if r.peek() == v {
			r.next()
		}
		return at, true
	}
	r.skipSpace()
	if style == yaml.DoubleQuotedStyle && r.peek() == '\\' {
		return r.read(v, style)
	}
	at := r.at
	if r.peek() != v {
		return at, false
	}
	r.next()
	if style == yaml.SingleQuotedStyle && v == '\'' {
		r.next() // written twice
	}
	return at, true
}

// skipEscape goes behind an escape sequence of a double-quoted scalar.
func (r *reader) skipEscape() {
	r.next()
	digits := map[rune]int{'x': 2, 'u': 4, 'U': 8}[r.peek()]
	for range 1 + digits {
		r.next()
	}
}

func isSpace(c rune) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
