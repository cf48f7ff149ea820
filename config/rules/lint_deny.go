package rules

import (
	"fmt"
	"slices"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// alwaysThere are claims that every token has (policy.go).
var alwaysThere = []string{"iss", "sub", "aud", "exp", "iat"}

// lintUndecided finds a deny rule whose outcome hangs on a claim or a parameter
// that is absent: it refuses everybody without it.
func (l *linter) lintUndecided(at site) {
	var seen []member
	walk(at.program.ast.Expr(), scope{}, func(e celast.Expr, _ scope) bool {
		m, ok := memberRead(e)
		if !ok || m.how != readStrict || slices.Contains(seen, m) {
			return true
		}
		seen = append(seen, m)
		if l.isAlwaysThere(m) || outcomes(at.program.ast.Expr(), m)&failed == 0 {
			return true
		}
		noun, who := "claim", "whose token has no claim "
		if !m.isClaim() {
			noun, who = "parameter", "who sends no parameter "
		}
		f := Fault{ID: "undecided-deny", Message: fmt.Sprintf("everybody %s%s is refused: without it this is undecided", who, m.name)}
		optional := optionalRead(m)
		if or := l.valueOf(m, at, e); or != "" {
			f.Hint = fmt.Sprintf("say what it means that the %s is absent: %s.orValue(%s)", noun, optional, or)
		} else {
			f.Hint = fmt.Sprintf("ask first: %s && …", presenceOf(m))
		}
		l.warn(at, e, f)
		return true
	})
}

// isAlwaysThere reports whether whoever gets as far as the rules has the
// member.
func (l *linter) isAlwaysThere(m member) bool {
	if !m.isClaim() {
		return slices.ContainsFunc(l.set.parameters, func(p parameter) bool { return p.Name == m.name && p.Default != "" })
	}
	if slices.Contains(alwaysThere, m.name) {
		return true
	}
	for _, r := range l.spec.Policy.Required {
		if len(r.Path) == 1 && r.Path[0] == m.name {
			return true
		}
	}
	return slices.ContainsFunc(l.issuer.require, func(c condition) bool { return outcomes(c.program.ast.Expr(), m)&isTrue == 0 })
}

func optionalRead(m member) string {
	if isName(m.name) {
		return m.object + ".?" + m.name
	}
	return fmt.Sprintf("%s[?'%s']", m.object, m.name)
}

func presenceOf(m member) string {
	if isName(m.name) {
		return fmt.Sprintf("has(%s.%s)", m.object, m.name)
	}
	return fmt.Sprintf("'%s' in %s", m.name, m.object)
}

func isName(s string) bool {
	for i := range len(s) {
		if !isIdent(s[i]) {
			return false
		}
	}
	return s != "" && (s[0] < '0' || s[0] > '9')
}

// valueOf returns what to write for a member that is absent, where its type
// tells, or "".
func (l *linter) valueOf(m member, at site, e celast.Expr) string {
	if !m.isClaim() {
		return "''"
	}
	switch t := l.issuer.claimTypes[m.name]; {
	case t.list:
		return "[]"
	case t.elem == "string":
		return "''"
	case t.elem == "bool":
		return "false"
	case t.elem == "int":
		return "0"
	case t.elem == "double":
		return "0.0"
	}
	value := ""
	celast.PreOrderVisit(at.program.ast.Expr(), celast.NewExprVisitor(func(parent celast.Expr) {
		if parent.Kind() != celast.CallKind {
			return
		}
		args := parent.AsCall().Args()
		switch parent.AsCall().FunctionName() {
		case operators.In:
			if args[1].ID() == e.ID() {
				value = "[]"
			}
		case operators.Equals, operators.NotEquals:
			for i := range args {
				if _, text := constantString(args[1-i]); text && args[i].ID() == e.ID() {
					value = "''"
				}
			}
		}
	}))
	return value
}

// An outcome is a set of what evaluating an expression can come to.
type outcome int

const (
	isTrue outcome = 1 << iota
	isFalse
	failed

	anyOutcome = isTrue | isFalse // and for what is no bool
)

// outcomes returns what e can come to where the member m is absent, and every
// other is there and of its type. It returns too much rather than too little.
func outcomes(e celast.Expr, m member) outcome {
	if read, ok := memberRead(e); ok && read.object == m.object && read.name == m.name {
		switch read.how {
		case readPresence:
			return isFalse
		case readOptional:
			return anyOutcome
		}
		return failed
	}
	switch e.Kind() {
	case celast.LiteralKind:
		if b, ok := constantBool(e); ok && b {
			return isTrue
		} else if ok {
			return isFalse
		}
		return anyOutcome
	case celast.IdentKind:
		return anyOutcome
	case celast.SelectKind:
		return outcomesOf(m, e.AsSelect().Operand())
	case celast.ListKind:
		return outcomesOf(m, e.AsList().Elements()...)
	case celast.MapKind:
		var parts []celast.Expr
		for _, entry := range e.AsMap().Entries() {
			parts = append(parts, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return outcomesOf(m, parts...)
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		return outcomesOf(m, c.IterRange(), c.AccuInit(), c.LoopStep(), c.Result())
	case celast.CallKind:
		return callOutcomes(e.AsCall(), m)
	}
	return anyOutcome | failed
}

// outcomesOf returns what an expression that needs all of its parts can come
// to: it fails where one of them does.
func outcomesOf(m member, parts ...celast.Expr) outcome {
	all := anyOutcome
	for _, part := range parts {
		o := outcomes(part, m)
		if o == failed {
			return failed
		}
		all |= o & failed
	}
	return all
}

func callOutcomes(call celast.CallExpr, m member) outcome {
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalNot:
		o := outcomes(args[0], m)
		swapped := o & failed
		if o&isTrue != 0 {
			swapped |= isFalse
		}
		if o&isFalse != 0 {
			swapped |= isTrue
		}
		return swapped
	case operators.LogicalAnd:
		return logical(args, m, isFalse, isTrue)
	case operators.LogicalOr:
		return logical(args, m, isTrue, isFalse)
	case operators.Conditional:
		cond := outcomes(args[0], m)
		all := cond & failed
		if cond&isTrue != 0 {
			all |= outcomes(args[1], m)
		}
		if cond&isFalse != 0 {
			all |= outcomes(args[2], m)
		}
		return all
	case "orValue", "or", "hasValue", "value":
		optional := member{m.object, m.name, readOptional}
		if read, ok := memberRead(call.Target()); ok && read == optional {
			switch call.FunctionName() {
			case "hasValue":
				return isFalse
			case "value":
				return failed
			}
			return outcomes(args[0], m)
		}
	}
	parts := args
	if call.IsMemberFunction() {
		parts = append([]celast.Expr{call.Target()}, args...)
	}
	return outcomesOf(m, parts...)
}

// logical returns the outcomes of && or ||: one operand that comes to decides
// settles it, whatever becomes of the others; else one that fails fails it.
func logical(args []celast.Expr, m member, decides, other outcome) outcome {
	all, others := outcome(0), other
	for _, arg := range args {
		o := outcomes(arg, m)
		if o == decides {
			return decides
		}
		all |= o & (decides | failed)
		others &= o
	}
	return all | others
}
