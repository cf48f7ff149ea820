package config

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// A source is a YAML text in which places are looked up. Places inside it are
// offsets in bytes.
type source struct {
	file  string
	text  string
	lines []int // where each line begins, as editors count lines
	// marks has a row for each line as the YAML parser counts them: where it
	// begins, and where every further stride characters of it do, so that a
	// place in a long line is found at once.
	marks [][]int
}

const stride = 256

func newSource(file string, data []byte) *source {
	s := &source{file: file, text: strings.TrimPrefix(string(data), "\ufeff"), lines: []int{0}, marks: [][]int{{0}}}
	column := 0 // from 0, of the character behind c
	for i, c := range s.text {
		end := i + utf8.RuneLen(c)
		switch column++; {
		case c == '\r' && strings.HasPrefix(s.text[end:], "\n"):
		case c == '\n', c == '\r':
			s.lines = append(s.lines, end)
			fallthrough
		case c == '\u0085', c == '\u2028', c == '\u2029': // YAML 1.1 §5.4
			s.marks, column = append(s.marks, []int{end}), 0
		case column%stride == 0:
			last := len(s.marks) - 1
			s.marks[last] = append(s.marks[last], end)
		}
	}
	return s
}

// line returns line n, from 1, without its line end.
func (s *source) line(n int) string {
	end := len(s.text)
	if n < len(s.lines) {
		end = s.lines[n]
	}
	return strings.TrimRight(s.text[s.lines[n-1]:end], "\r\n")
}

// place returns the line and the column, both from 1, the column in
// characters, of an offset.
func (s *source) place(offset int) (line, column int) {
	line, found := slices.BinarySearch(s.lines, offset)
	if found {
		line++
	}
	return line, utf8.RuneCountInString(s.text[s.lines[line-1]:offset]) + 1
}

// offset is where the parser says that something stands.
func (s *source) offset(line, column int) int {
	if line < 1 || line > len(s.marks) {
		return 0
	}
	row := s.marks[line-1]
	i := min((column-1)/stride, len(row)-1)
	at := row[i]
	for range column - 1 - i*stride {
		_, size := utf8.DecodeRuneInString(s.text[at:])
		at += size
	}
	return at
}

// start is where a node stands.
func (s *source) start(n *yaml.Node) int { return s.offset(n.Line, n.Column) }

// content is where a node stands, behind its anchor.
func (s *source) content(n *yaml.Node) int {
	r := &reader{text: s.text, at: s.start(n)}
	if n.Anchor != "" {
		r.skipAnchor()
	}
	return r.at
}

// within returns where the byte at offset of a scalar's value stands in the
// source, for every style of scalar; offset may be the value's length. Where
// the value and the source cannot be brought together it returns the start of
// the scalar.
func (s *source) within(n *yaml.Node, offset int) int {
	r := &reader{text: s.text, at: s.content(n), style: n.Style &^ (yaml.TaggedStyle | yaml.FlowStyle)}
	switch r.style {
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		r.next() // the quote
	case yaml.LiteralStyle, yaml.FoldedStyle:
		r.skipLine() // the header
	}
	for i, v := range n.Value {
		at, ok := r.read(v)
		if !ok {
			return s.start(n)
		}
		if i >= offset {
			return at
		}
	}
	return r.at
}

// A reader goes through the source of a scalar while its value is read out.
type reader struct {
	text  string
	at    int
	style yaml.Style
}

// peek returns the character at the current place, after escapes, and its
// length in the source; 0, 0 at the end. A line break that is escaped stands
// for nothing and is returned as white space.
func (r *reader) peek() (c rune, size int) {
	rest := r.text[r.at:]
	if rest == "" {
		return 0, 0
	}
	if r.style == yaml.DoubleQuotedStyle && rest[0] == '\\' {
		return unescape(rest)
	}
	return utf8.DecodeRuneInString(rest)
}

func (r *reader) next() {
	_, size := r.peek()
	r.at += size
}

func (r *reader) skipSpace() {
	for c, size := r.peek(); isSpace(c); c, size = r.peek() {
		r.at += size
	}
}

func (r *reader) skipLine() {
	_, after, _ := strings.Cut(r.text[r.at:], "\n")
	r.at = len(r.text) - len(after)
}

// skipAnchor goes to the value behind an anchor, which may stand on a line
// with a comment.
func (r *reader) skipAnchor() {
	for c, _ := r.peek(); c != 0 && !isSpace(c); c, _ = r.peek() {
		r.next()
	}
	r.skipSpace()
	for c, _ := r.peek(); c == '#'; c, _ = r.peek() {
		r.skipLine()
		r.skipSpace()
	}
}

// read returns the place of the value's next character v and goes behind it.
// White space in the value may stand for more or less of it in the source,
// where lines are folded and indented; any other character stands for itself.
func (r *reader) read(v rune) (at int, ok bool) {
	if isSpace(v) {
		at := r.at
		if c, size := r.peek(); c == v {
			r.at += size
		}
		return at, true
	}
	r.skipSpace()
	at = r.at
	c, size := r.peek()
	if c != v {
		return at, false
	}
	r.at += size
	if r.style == yaml.SingleQuotedStyle && v == '\'' {
		r.at++ // written twice
	}
	return at, true
}

// unescape reads the escape sequence that s begins with (YAML 1.2 §5.7).
func unescape(s string) (c rune, size int) {
	if len(s) < 2 {
		return 0, 0
	}
	const letters, meant = "0abtnvfre_NLP", "\x00\a\b\t\n\v\f\r\x1b\u00a0\u0085\u2028\u2029"
	if i := strings.IndexByte(letters, s[1]); i >= 0 {
		return []rune(meant)[i], 2
	}
	if digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[1]]; digits > 0 && len(s) >= 2+digits {
		n, _ := strconv.ParseUint(s[2:2+digits], 16, 32)
		return rune(n), 2 + digits
	}
	c, size = utf8.DecodeRuneInString(s[1:]) // itself: a quote, a slash, a space, a line break
	return c, 1 + size
}

// isSpace reports whether c is white space or, in YAML's eyes, a line break.
func isSpace(c rune) bool { return strings.ContainsRune(" \t\n\r\u0085\u2028\u2029", c) }
