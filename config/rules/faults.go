package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// check parses and checks src, which stands at offset in the text at path, and
// records what is wrong with it.
func (c *compiler) check(env *cel.Env, path, src string, offset int) (*cel.Ast, bool) {
	parsed, issues := env.Parse(src)
	if issues.Err() != nil {
		// What follows the first syntax error is mostly its echo.
		e := issues.Errors()[0]
		at := byteOffset(src, e.Location)
		f := Fault{Path: path, Offset: offset + at, Length: tokenLength(src, at), ID: "syntax"}
		f.Message, f.Hint = syntaxFault(src, at, e.Message)
		f.Unfinished = at >= len(src) || strings.Contains(`'"`, src[at:at+1]) && stringEnd(src, at) < 0
		c.fault(f)
		return nil, false
	}
	root := parsed.NativeRep()
	if c.spec.Pseudonym == nil && calls(root.Expr(), pseudonymContext) {
		c.fault(Fault{Path: path, Offset: offset, Length: len(src), ID: "no-identity-key", Message: "pseudonym() needs identity_key",
			Hint: "add identity_key: {file: identity.key}, a file of at least 32 random bytes"})
		return nil, false
	}
	checked, issues := env.Check(parsed)
	if issues.Err() == nil {
		return checked, c.checkReads(checked.NativeRep(), path, src, offset)
	}
	nested := false
	for _, e := range issues.Errors() {
		if e.Message == tooNested { // said of the loop that is too much, and of each in it
			if nested {
				continue
			}
			nested = true
		}
		f := c.typeFault(root, src, e)
		f.Path, f.Offset = path, f.Offset+offset
		c.fault(f)
	}
	return nil, false
}

// checkReads faults claims or request where no member of it is read: neither
// can be compared, searched or passed on, and CEL would decide as if it could.
// It also faults parameters that are not declared, in the forms of reading for
// which CEL's checker knows no names.
func (c *compiler) checkReads(root *celast.AST, path, src string, offset int) bool {
	var r reads
	r.visit(root.Expr())
	declared := c.parameterNames()
	for _, name := range r.request {
		if !slices.Contains(declared, name) {
			f := unknownParameter(name, declared)
			f.Path = path
			f.Offset, f.Length = nameAt(src, 0, name)
			f.Offset += offset
			c.fault(f)
			return false
		}
	}
	if r.whole == nil {
		return true
	}
	name := r.whole.AsIdent()
	at := byteOffset(src, root.SourceInfo().GetStartLocation(r.whole.ID()))
	c.fault(Fault{Path: path, Offset: offset + at, Length: len(name), ID: "whole-object", Message: name + " is read by its members alone",
		Hint: fmt.Sprintf("write %s.x, %s['x'] or 'x' in %s", name, name, name)})
	return false
}

func calls(root celast.Expr, function string) bool {
	found := false
	celast.PreOrderVisit(root, celast.NewExprVisitor(func(e celast.Expr) {
		found = found || e.Kind() == celast.CallKind && e.AsCall().FunctionName() == function
	}))
	return found
}

func firstRune(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return s[:n]
}

// What the checker says of a loop inside too many others.
const tooNested = "comprehension exceeds nesting limit"

// The shapes of the checker's errors.
var (
	badArgument     = regexp.MustCompile(`^invalid (matches|timestamp|duration) argument$`)
	noOverload      = regexp.MustCompile(`^found no matching overload for '([^']*)' applied to '(.*)'$`)
	undeclared      = regexp.MustCompile(`^undeclared reference to '([^']*)'`)
	undefinedField  = regexp.MustCompile(`^undefined field '([^']*)'$`)
	notBool         = regexp.MustCompile(`^expected type 'bool' but found '(.*)'$`)
	noField         = regexp.MustCompile(`^type '(.*)' does not support field selection$`)
	receiverAndArgs = regexp.MustCompile(`^(.*)\.\((.*)\)$`)
)

// typeFault words an error of CEL's checker, with its place in src.
func (c *compiler) typeFault(root *celast.AST, src string, e *common.Error) Fault {
	at := byteOffset(src, e.Location)
	expr := findExpr(root.Expr(), e.ExprID)
	f := Fault{Offset: at, Length: exprLength(root, src, at, expr), ID: "type", Message: e.Message}
	if m := noOverload.FindStringSubmatch(e.Message); m != nil {
		f.ID = "type-mismatch"
		f.Message = "no matching overload for '" + overload(m[1], m[2]) + "'"
		f.Hint = overloadHint(expr, m[1], m[2])
	} else if m := undeclared.FindStringSubmatch(e.Message); m != nil {
		f.ID = "unknown-name"
		f.Message = fmt.Sprintf("unknown name %q", m[1])
		f.Offset, f.Length = nameAt(src, at, m[1])
		f.Hint = c.nameHint(src, f.Offset, m[1])
		if expr != nil && expr.Kind() == celast.CallKind {
			f.Message = fmt.Sprintf("unknown function %q", m[1])
			f.Hint = c.functionHint(src, f.Offset, m[1])
			if slices.Contains(functions, m[1]) {
				f.Message, f.Hint = fmt.Sprintf("%s takes other arguments", m[1]), ""
				if !expr.AsCall().IsMemberFunction() {
					f.Hint = otherWords[m[1]]
				}
			}
		}
	} else if m := undefinedField.FindStringSubmatch(e.Message); m != nil {
		f = unknownParameter(m[1], c.parameterNames())
		f.Offset, f.Length = nameAt(src, at, m[1])
	} else if m := notBool.FindStringSubmatch(e.Message); m != nil {
		f.ID, f.Message = "type-mismatch", fmt.Sprintf("this is %s %s, and &&, || and ! put conditions together", article(m[1]), m[1])
		f.Hint = "write the comparison out on both sides: claims.x == 'a' || claims.x == 'b', or claims.x in ['a', 'b']"
	} else if m := noField.FindStringSubmatch(e.Message); m != nil {
		f.Message = fmt.Sprintf("%s %s has no members", article(m[1]), m[1])
		if word := strings.TrimPrefix(src[at:at+f.Length], "."); word == "length" || word == "size" {
			f.Hint = "write size(…)"
		}
	} else if m := badArgument.FindStringSubmatch(e.Message); m != nil {
		f.Message, f.Hint = argumentFault(m[1], expr)
	} else if e.Message == tooNested {
		f.Message = fmt.Sprintf("loops such as exists and all stand in each other more than %d deep", maxNesting)
		f.Hint = "make several rules of it, or have the provider put what is asked for into a claim of its own"
	}
	return f
}

// argumentFault words that a constant is not what a function takes.
func argumentFault(function string, e celast.Expr) (text, hint string) {
	switch function {
	case "timestamp":
		return "this is not a time", "write timestamp('2026-01-31T12:00:00Z')"
	case "duration":
		return "this is not a duration", "write duration('90m'), with h, m or s"
	}
	text = "this is not a pattern"
	if e != nil {
		if pattern, ok := constantString(e); ok {
			if _, err := regexp.Compile(pattern); err != nil {
				text += ": " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
			}
		}
	}
	return text, "patterns are written as in RE2, without look-around"
}

func unknownParameter(name string, declared []string) Fault {
	hint := didYouMean(name, declared)
	if hint == "" {
		hint = "declare it under parameters"
	}
	return Fault{ID: "unknown-parameter", Message: fmt.Sprintf("no parameter is named %q", name), Hint: hint}
}

// overload writes an operator or a call with the types it was applied to.
func overload(function, applied string) string {
	if m := receiverAndArgs.FindStringSubmatch(applied); m != nil {
		return m[1] + "." + function + "(" + m[2] + ")"
	}
	args := splitArguments(strings.TrimSuffix(strings.TrimPrefix(applied, "("), ")"))
	switch {
	case function == operators.Conditional && len(args) == 3:
		return args[0] + " ? " + args[1] + " : " + args[2]
	case function == pseudonymContext && len(args) == 2:
		return "pseudonym(" + args[1] + ")"
	}
	if display, ok := operators.FindReverse(function); ok && display != "" {
		switch len(args) {
		case 1:
			return display + args[0]
		case 2:
			return args[0] + " " + display + " " + args[1]
		}
	}
	if function == operators.Index && len(args) == 2 {
		return args[0] + "[" + args[1] + "]"
	}
	return function + "(" + strings.Join(args, ", ") + ")"
}

// splitArguments splits at the commas that are in no brackets.
func splitArguments(s string) []string {
	var args []string
	depth, start := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				args = append(args, s[start:i])
				start = i + len(", ")
			}
		}
	}
	return append(args, s[start:])
}

var (
	variables = []string{"claims", "issuer", "client", "request", "now"}
	functions = []string{"escape", "pseudonym", "has", "size", "string", "int", "double", "bool", "timestamp", "duration", "type", "dyn",
		"startsWith", "endsWith", "contains", "matches", "exists", "all", "exists_one", "filter", "map", "orValue", "hasValue", "optMap",
		"lowerAscii", "upperAscii", "split", "join", "replace", "substring", "trim", "indexOf", "charAt"}
)

func (c *compiler) parameterNames() []string {
	var names []string
	for _, p := range c.spec.Parameters {
		names = append(names, p.Name)
	}
	return names
}

// didYouMean returns a hint that names the candidate nearest to name, or "".
func didYouMean(name string, candidates []string) string {
	if near := Nearest(name, candidates); near != "" {
		return "did you mean " + near + "?"
	}
	return ""
}

// Nearest returns the candidate that name was probably meant to be: equal but
// for case, or at most two edits away and not by far a different word; or "".
func Nearest(name string, candidates []string) string {
	best, bestDistance := "", min(2, len(name)/2)+1
	for _, candidate := range candidates {
		if strings.EqualFold(candidate, name) {
			return candidate
		}
		if d := editDistance(name, candidate); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// editDistance counts insertions, deletions, substitutions and swaps of
// neighbours.
func editDistance(a, b string) int {
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row := rows[0], rows[1], rows[2]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		rows = [3][]int{last, row, before}
	}
	return rows[1][len(b)]
}

// byteOffset turns CEL's location, a line from 1 and a column in code points
// from 0, into bytes from the start of src.
func byteOffset(src string, loc common.Location) int {
	at := 0
	for line := 1; line < loc.Line(); line++ {
		next := strings.IndexByte(src[at:], '\n')
		if next < 0 {
			return len(src)
		}
		at += next + 1
	}
	for column := 0; column < loc.Column() && at < len(src); column++ {
		_, n := utf8.DecodeRuneInString(src[at:])
		at += n
	}
	return at
}

// tokenLength returns the length in bytes of the token at offset at.
func tokenLength(src string, at int) int {
	if at >= len(src) {
		return 0
	}
	if c := src[at]; c == '\'' || c == '"' {
		if end := stringEnd(src, at); end > 0 {
			return end - at
		}
		return len(src) - at
	}
	if end := at; isIdent(src[at]) {
		for end < len(src) && isIdent(src[end]) {
			end++
		}
		if end < len(src) && (src[end] == '\'' || src[end] == '"') && isRawPrefix(src, end) {
			return max(end, stringEnd(src, end)) - at
		}
		return end - at
	}
	for _, operator := range []string{"==", "!=", "<=", ">=", "&&", "||"} {
		if strings.HasPrefix(src[at:], operator) {
			return 2
		}
	}
	return len(firstRune(src[at:]))
}

func findExpr(root celast.Expr, id int64) celast.Expr {
	var found celast.Expr
	celast.PreOrderVisit(root, celast.NewExprVisitor(func(e celast.Expr) {
		if e.ID() == id {
			found = e
		}
	}))
	return found
}

// exprLength returns how much of src from at on belongs to the expression: up
// to the end of its last token and of the brackets opened since. CEL knows
// only where expressions start, and for operators that is the operator.
func exprLength(root *celast.AST, src string, at int, e celast.Expr) int {
	end := at + tokenLength(src, at)
	if e == nil {
		return end - at
	}
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(part celast.Expr) {
		if start := byteOffset(src, root.SourceInfo().GetStartLocation(part.ID())); start >= at && start < len(src) {
			if src[start] == '.' { // of a member
				start++
			}
			end = max(end, start+tokenLength(src, start))
		}
	}))
	depth := 0
	for i := at; i < len(src) && (i < end || depth > 0); {
		switch src[i] {
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		}
		i += max(1, tokenLength(src, i))
		end = max(end, i)
	}
	return min(end, len(src)) - at
}

// nameAt finds name at or behind at, where CEL points at the dot or the
// bracket before or behind it.
func nameAt(src string, at int, name string) (offset, length int) {
	from := max(0, at-len(name))
	if i := strings.Index(src[from:], name); i >= 0 {
		return from + i, len(name)
	}
	return at, tokenLength(src, at)
}
