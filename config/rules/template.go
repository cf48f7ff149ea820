package rules

import (
	"fmt"
	"regexp"
	"strings"
)

// A part of a template is constant text, or an expression.
type part struct {
	text   string // constant text, or the expression between the braces
	expr   bool
	offset int // of an expression, in bytes from the start of the template
}

// parseTemplate splits text with ${CEL} in it. $$ is a $; a $ before anything
// else is a fault. Adjacent constant text is one part.
func parseTemplate(s string) ([]part, *Fault) {
	var parts []part
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, part{text: text.String()})
			text.Reset()
		}
	}
	for i := 0; i < len(s); {
		switch {
		case s[i] != '$':
			text.WriteByte(s[i])
			i++
		case strings.HasPrefix(s[i:], "$$"):
			text.WriteByte('$')
			i += 2
		case strings.HasPrefix(s[i:], "${"):
			end := exprEnd(s, i+2)
			if end < 0 {
				return nil, &Fault{Offset: i, Length: 2, ID: "template-syntax", Message: "${ is not closed", Hint: "close the expression with }", Unfinished: true}
			}
			flush()
			parts = append(parts, part{text: s[i+2 : end], expr: true, offset: i + 2})
			i = end + 1
		default:
			return nil, &Fault{Offset: i, Length: 1, ID: "template-syntax", Message: "a lone $", Hint: "write $$ for a dollar sign, or ${…} for an expression"}
		}
	}
	flush()
	return parts, nil
}

// otherTemplate finds expressions in the braces of other languages.
var otherTemplate = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}|\{\s*((?:claims|request)[.\[][^{}]*?)\s*\}`)

// foreign returns a fault where constant text, or an expression, of a value is
// written as in another language's templates.
func foreign(parts []part) *Fault {
	for _, p := range parts {
		text := p.text
		if p.expr { // ${{ }}
			text = "{" + text + "}"
			if !strings.HasPrefix(text, "{{") || strings.Contains(text, ":") { // a map
				continue
			}
		}
		if at := otherTemplate.FindStringSubmatchIndex(text); at != nil && (at[0] == 0 || text[at[0]-1] != '$') {
			m := otherTemplate.FindStringSubmatch(text)
			return &Fault{ID: "template-syntax", Message: fmt.Sprintf("nothing is computed in %s", quote(m[0])), Hint: fmt.Sprintf("write ${%s}", m[1]+m[2])}
		}
	}
	return nil
}

// exprEnd returns the offset of the } that closes an expression which begins
// at start, or -1. Braces inside CEL's strings and nested braces do not count.
func exprEnd(s string, start int) int {
	depth := 0
	for i := start; i < len(s); {
		switch c := s[i]; c {
		case '\'', '"':
			end := stringEnd(s, i)
			if end < 0 {
				return -1
			}
			i = end
			continue
		case '{':
			depth++
		case '}':
			if depth == 0 {
				return i
			}
			depth--
		}
		i++
	}
	return -1
}

// stringEnd returns the offset behind the CEL string whose opening quote is at
// i, or -1. In a raw string, r'…', a backslash escapes nothing.
func stringEnd(s string, i int) int {
	raw := isRawPrefix(s, i)
	quote := s[i : i+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s[i:], triple) {
		quote = triple
	}
	for j := i + len(quote); j < len(s); {
		switch {
		case s[j] == '\\' && !raw:
			j += 2
		case strings.HasPrefix(s[j:], quote):
			return j + len(quote)
		default:
			j++
		}
	}
	return -1
}

// isRawPrefix reports whether the quote at i belongs to a raw string: r'…',
// br'…' or rb'…', and not to an identifier that ends in r.
func isRawPrefix(s string, i int) bool {
	start := i
	for start > 0 && isIdent(s[start-1]) {
		start--
	}
	switch strings.ToLower(s[start:i]) {
	case "r", "br", "rb":
		return true
	}
	return false
}

func isIdent(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// A template is a compiled value: text with expressions in it.
type template struct {
	parts    []templatePart
	constant bool // no expressions: parts[0].text, or ""
}

type templatePart struct {
	text    string
	program *program // nil for constant text
}

// A valueKind is what a value is for.
type valueKind int

const (
	textValue valueKind = iota // a string
	flagValue                  // a bool
	anyValue                   // anything JSON holds
)

// text returns the constant text of a template without expressions.
func (t *template) text() string {
	if len(t.parts) == 0 {
		return ""
	}
	return t.parts[0].text
}

// eval computes a value. A nil value without an error is an empty optional or
// null. The error's text names no claim's value.
func (t *template) eval(act *activation, kind valueKind) (any, error) {
	if t.constant {
		return t.text(), nil
	}
	if len(t.parts) == 1 {
		return t.parts[0].program.value(act, kind)
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.program == nil {
			b.WriteString(p.text)
			continue
		}
		v, err := p.program.value(act, textValue)
		if err != nil {
			return nil, err
		}
		if v == nil {
			return nil, fmt.Errorf("a part of it has no value")
		}
		b.WriteString(v.(string))
	}
	return b.String(), nil
}
