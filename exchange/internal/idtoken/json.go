package idtoken

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"twilio-sts/config/rules"
)

// errJSON says no more than that a text is not the JSON we take.
var errJSON = errors.New("it is not strict JSON")

// A jsonLimit bounds what parseObject takes.
type jsonLimit struct {
	depth int // of nesting, the object itself included
	work  int // see the costs below
}

// What reading costs, in units of about 50 ns. Anybody can send a token in
// which everything is of the dearest kind, and reading it must not take longer
// than checking a signature does.
const (
	openCost     = 2  // an object or a list, empty
	itemCost     = 2  // a list's
	memberCost   = 4  // an object's
	fractionCost = 32 // a number with a fraction or an exponent
)

// parseObject reads a JSON object, RFC 8259, more strictly than encoding/json:
// no member twice at any depth, however it is escaped, valid UTF-8, no lone
// surrogates, nothing behind the object, and within limits. Numbers keep their
// value: an integer literal is an int64, any other a float64, and what fits
// neither, or has more digits than a float64 can hold, is
// rules.Unrepresentable.
func parseObject(data []byte, limit jsonLimit) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errJSON
	}
	p := jsonParser{data: data, left: limit.work}
	p.space()
	if p.peek() != '{' {
		return nil, errJSON
	}
	// The outermost object is most of it: room for all its members at once is
	// cheaper than more again and again.
	p.room = min(bytes.Count(data, []byte(","))+1, limit.work/memberCost)
	v, ok := p.value(limit.depth)
	p.space()
	if !ok || p.at != len(data) {
		return nil, errJSON
	}
	return v.(map[string]any), nil
}

type jsonParser struct {
	data []byte
	at   int
	left int // work that may still be done
	room int // for how many members the next object is made
}

// spend reports whether there is work left for something of this cost.
func (p *jsonParser) spend(cost int) bool {
	p.left -= cost
	return p.left >= 0
}

// peek returns the current byte, or 0, which JSON has nowhere, at the end.
func (p *jsonParser) peek() byte {
	if p.at < len(p.data) {
		return p.data[p.at]
	}
	return 0
}

func (p *jsonParser) space() {
	for p.at < len(p.data) {
		switch p.data[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

func (p *jsonParser) value(depth int) (v any, ok bool) {
	switch c := p.peek(); {
	case c == '{':
		if depth == 0 || !p.spend(openCost) {
			return nil, false
		}
		return p.object(depth - 1)
	case c == '[':
		if depth == 0 || !p.spend(openCost) {
			return nil, false
		}
		return p.list(depth - 1)
	case c == '"':
		return p.str()
	case c == 't':
		return true, p.word("true")
	case c == 'f':
		return false, p.word("false")
	case c == 'n':
		return nil, p.word("null")
	}
	return p.number()
}

func (p *jsonParser) word(w string) bool {
	if len(p.data)-p.at < len(w) || string(p.data[p.at:p.at+len(w)]) != w {
		return false
	}
	p.at += len(w)
	return true
}

func (p *jsonParser) object(depth int) (any, bool) {
	p.at++ // {
	members := make(map[string]any, p.room)
	p.room = 0
	if p.space(); p.peek() == '}' {
		p.at++
		return members, true
	}
	for {
		if !p.spend(memberCost) || p.peek() != '"' {
			return nil, false
		}
		name, ok := p.str()
		if !ok {
			return nil, false
		}
		if p.space(); p.peek() != ':' {
			return nil, false
		}
		p.at++
		p.space()
		v, ok := p.value(depth)
		if !ok {
			return nil, false
		}
		before := len(members)
		if members[name] = v; len(members) == before {
			return nil, false // twice
		}
		p.space()
		switch p.peek() {
		case ',':
			p.at++
			p.space()
		case '}':
			p.at++
			return members, true
		default:
			return nil, false
		}
	}
}

func (p *jsonParser) list(depth int) (any, bool) {
	p.at++ // [
	items := []any{}
	if p.space(); p.peek() == ']' {
		p.at++
		return items, true
	}
	for {
		if !p.spend(itemCost) {
			return nil, false
		}
		v, ok := p.value(depth)
		if !ok {
			return nil, false
		}
		items = append(items, v)
		p.space()
		switch p.peek() {
		case ',':
			p.at++
			p.space()
		case ']':
			p.at++
			return items, true
		default:
			return nil, false
		}
	}
}

// str reads a string. One without escapes, as nearly all are, is copied once.
func (p *jsonParser) str() (string, bool) {
	p.at++ // "
	start := p.at
	for p.at < len(p.data) {
		switch c := p.data[p.at]; {
		case c == '"':
			p.at++
			return string(p.data[start : p.at-1]), true
		case c == '\\':
			return p.escapedStr(start)
		case c < 0x20:
			return "", false
		}
		p.at++
	}
	return "", false
}

// escapedStr goes on with a string at its first escape.
func (p *jsonParser) escapedStr(start int) (string, bool) {
	text := append([]byte(nil), p.data[start:p.at]...)
	for p.at < len(p.data) {
		c := p.data[p.at]
		switch {
		case c == '"':
			p.at++
			return string(text), true
		case c < 0x20:
			return "", false
		case c != '\\':
			text = append(text, c)
			p.at++
			continue
		}
		r, ok := p.escape()
		if !ok {
			return "", false
		}
		text = utf8.AppendRune(text, r)
	}
	return "", false
}

// escape reads one escape sequence, or two that are a surrogate pair.
func (p *jsonParser) escape() (rune, bool) {
	p.at++ // \
	c := p.peek()
	p.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
	default:
		return 0, false
	}
	r, ok := p.hex()
	if !ok || !utf16.IsSurrogate(r) {
		return r, ok
	}
	if p.peek() != '\\' {
		return 0, false
	}
	p.at++
	if p.peek() != 'u' {
		return 0, false
	}
	p.at++
	low, ok := p.hex()
	r = utf16.DecodeRune(r, low)
	return r, ok && r != utf8.RuneError
}

func (p *jsonParser) hex() (rune, bool) {
	if len(p.data)-p.at < 4 {
		return 0, false
	}
	var r rune
	for _, c := range p.data[p.at : p.at+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.at += 4
	return r, true
}

// Lengths beyond which a number is not looked at, because it fits nothing:
// those of -9223372036854775808, and of the digits that float64s are sure to
// tell apart. Rounding longer ones can cost a hundred times as much.
const (
	maxInteger  = 20 // characters
	maxMantissa = 19 // digits, without leading zeros
)

// number reads a number, RFC 8259 §6.
func (p *jsonParser) number() (any, bool) {
	start := p.at
	if p.peek() == '-' {
		p.at++
	}
	whole := p.at
	if p.digits() == 0 || p.data[whole] == '0' && p.at-whole > 1 {
		return nil, false
	}
	if c := p.peek(); c != '.' && c != 'e' && c != 'E' {
		text := p.data[start:p.at]
		if len(text) <= maxInteger {
			if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
				return n, true
			}
		}
		return rules.Unrepresentable{}, true
	}
	if p.peek() == '.' {
		p.at++
		if p.digits() == 0 {
			return nil, false
		}
	}
	mantissa := bytes.TrimLeft(p.data[whole:p.at], "0.")
	significant := len(mantissa) - bytes.Count(mantissa, []byte("."))
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if p.digits() == 0 {
			return nil, false
		}
	}
	if !p.spend(fractionCost) {
		return nil, false
	}
	if significant <= maxMantissa {
		if f, err := strconv.ParseFloat(string(p.data[start:p.at]), 64); err == nil && !math.IsInf(f, 0) {
			return f, true
		}
	}
	return rules.Unrepresentable{}, true
}

func (p *jsonParser) digits() int {
	start := p.at
	for c := p.peek(); '0' <= c && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at - start
}
