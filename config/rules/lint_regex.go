package rules

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	celast "cel.dev/cel-go/common/ast"
)

// lintRegex finds patterns that match more than what they spell, and patterns
// that come from a token or a client.
func (l *linter) lintRegex(at site, e celast.Expr, s scope) {
	call := e.AsCall()
	pattern, constant := constantString(call.Args()[0])
	if !constant {
		l.lintComputedRegex(at, call, s)
		return
	}
	if _, _, ok := origin(call.Target(), s); !ok || s.sign < 0 {
		return // a pattern that keeps people out may match as much as it likes
	}
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || isAnything(re) || anchoredBothEnds(open(re)) {
		return
	}
	f := Fault{ID: "unanchored-regex", Message: "text that only has a match of this pattern somewhere in it passes, too",
		Hint: fmt.Sprintf("write %s, or .* where anything may stand", oneLine(at.with(e, call.Args()[0], anchoredText(at.text(call.Args()[0])))))}
	if multiline.MatchString(pattern) {
		f.Hint = "leave m out: with it ^ and $ hold at every line"
	}
	l.warn(at, call.Args()[0], f)
}

var multiline = regexp.MustCompile(`\(\?[a-zA-Z]*m`)

// lintComputedRegex finds a pattern that is read from a claim or a parameter.
func (l *linter) lintComputedRegex(at site, call celast.CallExpr, s scope) {
	pattern := call.Args()[0]
	var from member
	found := false
	walk(pattern, s, func(e celast.Expr, _ scope) bool {
		if m, ok := memberRead(e); ok && !found {
			from, found = m, true
		}
		return true
	})
	if !found {
		return
	}
	noun := "a claim"
	if !from.isClaim() {
		noun = "a parameter"
	}
	l.warn(at, pattern, Fault{ID: "computed-regex", Message: fmt.Sprintf("the pattern comes from %s, and whoever writes %s writes .*", noun, from.name),
		Hint: fmt.Sprintf("compare as text: %s == %s", oneLine(at.text(call.Target())), oneLine(at.text(pattern)))})
}

// open returns re with anchors in place of .* at its ends, which says that
// anything may stand there.
func open(re *syntax.Regexp) *syntax.Regexp {
	out := *re
	out.Sub = append([]*syntax.Regexp(nil), re.Sub...)
	switch re.Op {
	case syntax.OpCapture, syntax.OpAlternate:
		for i, sub := range re.Sub {
			out.Sub[i] = open(sub)
		}
	case syntax.OpConcat:
		last := len(re.Sub) - 1
		if isAnything(re.Sub[0]) {
			out.Sub[0] = &syntax.Regexp{Op: syntax.OpBeginText}
		} else {
			out.Sub[0] = open(re.Sub[0])
		}
		if isAnything(re.Sub[last]) {
			out.Sub[last] = &syntax.Regexp{Op: syntax.OpEndText}
		} else {
			out.Sub[last] = open(re.Sub[last])
		}
	}
	return &out
}

func isAnything(re *syntax.Regexp) bool {
	if re.Op == syntax.OpCapture {
		return isAnything(re.Sub[0])
	}
	return re.Op == syntax.OpStar && (re.Sub[0].Op == syntax.OpAnyChar || re.Sub[0].Op == syntax.OpAnyCharNotNL)
}

// anchoredText returns a literal pattern, as it is written, with an anchor at
// each end.
func anchoredText(literal string) string {
	i := strings.IndexAny(literal, `'"`) + 1
	pattern := strings.TrimPrefix(literal[i:len(literal)-1], "^")
	if !strings.HasSuffix(pattern, `\$`) {
		pattern = strings.TrimSuffix(pattern, "$")
	}
	if strings.Contains(pattern, "|") {
		pattern = "(?:" + pattern + ")"
	}
	return literal[:i] + "^" + pattern + "$" + literal[len(literal)-1:]
}
