package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// useOperators is the hint for words of other languages.
const useOperators = "write && for and, || for or, ! for not"

// Words and signs of other languages, by what to write instead.
var (
	otherSigns = []struct{ sign, instead string }{
		{"===", "write == to compare"},
		{"!==", "write != to compare"},
		{"=~", "write x.matches('^…$')"},
		{"=>", "name the item and the test: claims.groups.exists(g, g == '…')"},
		{"<>", "write != to compare"},
		{"??", "write claims.?x.orValue('…')"},
		{"?.", "write .? in its place: claims.?x"},
		{"&", useOperators},
		{"|", useOperators},
		{";", "leave it out"},
		{"#", "comments begin with // here"},
		{"${", "conditions are written without ${ }, which stands in values alone"},
	}
	otherWords = map[string]string{
		"and": useOperators, "or": useOperators, "not": useOperators,
		"like":   "write x.startsWith(y), x.endsWith(y) or x.matches('^…$')",
		"is":     "write == to compare, and has(claims.x) to ask whether it is there",
		"has":    "write has(claims.x) to ask whether it is there; to search a list, 'x' in claims.list",
		"exists": "write has(claims.x) to ask whether it is there",
		"if":     "write condition ? a : b",
	}
	otherFunctions = map[string]string{
		"includes": "to search a list, write 'x' in claims.list", "has_key": "write has(claims.x)", "get": "write claims.?x.orValue('…')",
		"lower": "lowerAscii", "toLower": "lowerAscii", "toLowerCase": "lowerAscii", "tolower": "lowerAscii", "lowercase": "lowerAscii",
		"upper": "upperAscii", "toUpper": "upperAscii", "toUpperCase": "upperAscii", "toupper": "upperAscii",
		"len": "size", "length": "size", "count": "size", "any": "exists", "some": "exists", "every": "all",
		"regex": "matches", "regexMatch": "matches", "test": "matches", "hasPrefix": "startsWith", "hasSuffix": "endsWith",
		"strip": "trim", "concat": "write a + b", "format": "write a + b",
	}
	otherNames = map[string]string{
		"user": "claims", "token": "claims", "jwt": "claims", "id_token": "claims", "claim": "claims", "profile": "claims",
		"params": "request", "parameters": "request", "param": "request", "query": "request", "body": "request", "req": "request",
		"True": "true", "TRUE": "true", "yes": "true", "False": "false", "FALSE": "false", "no": "false",
	}
)

// syntaxFault words a syntax error. CEL's own text speaks of its grammar; the
// mistakes people make have a better name.
func syntaxFault(src string, at int, message string) (text, hint string) {
	rest, before := src[at:], src[:at]
	word := rest[:tokenLength(src, at)]
	isString := strings.HasSuffix(word, "'") || strings.HasSuffix(word, `"`)
	switch {
	case strings.Contains(message, "size exceeds limit"):
		return fmt.Sprintf("the expression is longer than %d characters", maxExpression), "write claims.x in ['a', 'b', …], or make several rules of it"
	case strings.Contains(message, "recursion limit exceeded"):
		return fmt.Sprintf("brackets, lists and operators stand in each other more than %d deep", maxRecursion), "make several rules of it"
	case rest != "" && strings.Contains("‘’“”", firstRune(rest)):
		return "curly quotes are not quotes here", "write ' or \""
	case rest != "" && strings.Contains(`'"`, rest[:1]) && stringEnd(src, at) < 0:
		return "the string is not closed", ""
	}
	for _, other := range otherSigns { // CEL may complain in the midst of one, or behind it
		for i := max(0, at-2); i <= at && i < len(src); i++ {
			if strings.HasPrefix(src[i:], other.sign) && i+len(other.sign) > at && !isDoubled(src, i) {
				return quote(other.sign) + " has no meaning here", other.instead
			}
		}
	}
	switch {
	case strings.HasPrefix(rest, "="):
		return "= compares nothing", "write == to compare"
	case strings.EqualFold(word, "not") && strings.HasPrefix(strings.TrimLeft(rest[len(word):], " "), "in "):
		return `"not in" is not an operator`, "write !('x' in claims.list)"
	case trailingNot.MatchString(before):
		return `"not" is not an operator`, useOperators
	case otherWords[strings.ToLower(word)] != "":
		return fmt.Sprintf("%q is not an operator", word), otherWords[strings.ToLower(word)]
	case slices.Contains(methods, word):
		return fmt.Sprintf("%s is written behind a dot", word), fmt.Sprintf("write x.%s(y); to search a list, y in x", word)
	case isString && slices.ContainsFunc(methods, func(m string) bool { return strings.HasSuffix(strings.TrimRight(before, " "), "."+m) }):
		return "a method's argument stands in brackets", fmt.Sprintf("write (%s)", word)
	case word == "," && listWithoutBrackets.MatchString(before):
		return "a list stands in square brackets", "write in ['a', 'b']"
	case word == ":" && trailingClaim.MatchString(before), word == "/" && trailingClaim.MatchString(before):
		return "a name with such characters in it is written in quotes", "write claims['https://example.com/x']"
	case word == "/" && strings.HasSuffix(before, "("):
		return "a pattern is text", "write x.matches('^…$')"
	case trailingHas.MatchString(before):
		return "has takes its claim in brackets", "write has(claims.x)"
	case strings.HasPrefix(message, "invalid argument to has() macro"):
		if m := hasIndex.FindStringSubmatch(src); m != nil {
			return "has takes a claim by a dot", fmt.Sprintf("write %s in %s", m[2], m[1])
		}
		return "has takes a claim by a dot", "write has(claims.x), or 'x' in claims"
	case rest == "" && strings.Contains(src, "?."):
		return "?. is not an operator", "write .? in its place: claims.?x"
	case strings.HasPrefix(message, "Syntax error: token recognition"):
		return fmt.Sprintf("%s has no meaning here", quote(firstRune(rest))), ""
	case rest == "":
		return "the expression ends too early", ""
	}
	if inner, ok := strings.CutPrefix(message, "Syntax error: "); ok && !strings.Contains(inner, "expecting") {
		return inner, ""
	}
	if strings.HasPrefix(message, "Syntax error") {
		return fmt.Sprintf("%s is not expected here", quote(word)), ""
	}
	return strings.ToLower(message[:1]) + message[1:], "" // a macro's own complaint, a limit
}

var (
	methods             = []string{"contains", "startsWith", "endsWith", "matches"}
	trailingNot         = regexp.MustCompile(`(?i)\bnot\s+$`)
	trailingHas         = regexp.MustCompile(`\bhas\s+$`)
	trailingClaim       = regexp.MustCompile(`\bclaims\.\w+$`)
	listWithoutBrackets = regexp.MustCompile(`\bin\s*\(?\s*('[^']*'|"[^"]*")\s*$`)
	hasIndex            = regexp.MustCompile(`\bhas\(\s*(\w+)\[\s*('[^']*'|"[^"]*")\s*\]\s*\)`)
)

// isDoubled reports whether && or || stands around i.
func isDoubled(src string, i int) bool {
	around := src[max(0, i-1):min(len(src), i+2)]
	return strings.Contains(around, "&&") || strings.Contains(around, "||")
}

// nameHint says what was meant by a name, at an offset of src, that there is
// not.
func (c *compiler) nameHint(src string, at int, name string) string {
	if near := didYouMean(name, variables); near != "" {
		return near
	}
	if other := otherNames[name]; other != "" {
		return "did you mean " + other + "?"
	}
	if m := hyphenated.FindStringSubmatch(src[:at]); m != nil { // claims.acme-team
		return fmt.Sprintf("a name with a hyphen in it is written in quotes: claims['%s%s']", m[1], name)
	}
	if slices.Contains([]string{"nil", "None", "undefined", "NULL"}, name) {
		return "to ask whether a claim is there, write has(claims.x)"
	}
	if _, standard := standardClaims()[name]; standard {
		return "did you mean claims." + name + "?"
	}
	for _, is := range c.spec.Issuers {
		if slices.ContainsFunc(is.Claims, func(claim ClaimSpec) bool { return claim.Name == name }) {
			return "did you mean claims." + name + "?"
		}
	}
	return ""
}

var hyphenated = regexp.MustCompile(`\bclaims\.([\w-]+-)$`)

// functionHint says what was meant by a function that there is not.
func (c *compiler) functionHint(src string, at int, name string) string {
	if variable, _, ok := strings.Cut(name, "."); ok { // groups.contains
		return c.nameHint(src, at, variable)
	}
	if near := didYouMean(name, functions); near != "" {
		return near
	}
	other := otherFunctions[name]
	if slices.Contains(functions, other) {
		return "did you mean " + other + "?"
	}
	return other
}

// overloadHint says what was meant by an operator, or a call, that does not
// take values of the types it was applied to.
func overloadHint(e celast.Expr, function, applied string) string {
	if e == nil || e.Kind() != celast.CallKind {
		return ""
	}
	args := e.AsCall().Args()
	if slices.Contains(methods, function) {
		switch {
		case !e.AsCall().IsMemberFunction():
			return fmt.Sprintf("write x.%s(y); to search a list, y in x", function)
		case strings.HasPrefix(applied, "list("):
			return "to search a list, write 'x' in " + written(e.AsCall().Target())
		}
	}
	of := splitArguments(strings.TrimSuffix(strings.TrimPrefix(applied, "("), ")"))
	if len(args) != 2 || len(of) != 2 || e.AsCall().IsMemberFunction() {
		return ""
	}
	left, right := written(args[0]), written(args[1])
	name, isClaim := claimRead(args[0])
	text, isText := constantString(args[1])
	equals, differs := function == operators.Equals, function == operators.NotEquals
	isList := strings.HasPrefix(of[0], "list(")
	switch {
	case function == operators.In && isList:
		return fmt.Sprintf("write it the other way round: %s in %s", right, left)
	case of[0] == "int" && of[1] == "timestamp":
		return fmt.Sprintf("write timestamp(%s)", left)
	case isList && isText && equals:
		return fmt.Sprintf("this is a list; write %s in %s", right, left)
	case isList && isText && differs:
		return fmt.Sprintf("this is a list; write !(%s in %s)", right, left)
	case of[0] == "int" && isClaim && isText:
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			return fmt.Sprintf("%s is an int; write %s without quotes", name, text)
		}
	case of[0] == "bool" && isClaim && (equals || differs):
		switch right {
		case "'true'", "1":
			return fmt.Sprintf("%s is a bool; write %s", name, not(differs, left))
		case "'false'", "0":
			return fmt.Sprintf("%s is a bool; write %s", name, not(equals, left))
		}
	}
	return ""
}

// written writes an expression with the quotes that are usual here.
func written(e celast.Expr) string {
	text := source(e)
	if strings.ContainsAny(text, `'\\`) {
		return text
	}
	return strings.ReplaceAll(text, `"`, "'")
}

// not writes a condition, or its contrary.
func not(contrary bool, condition string) string {
	if contrary {
		return "!" + condition
	}
	return condition
}
