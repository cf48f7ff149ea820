package rules

import (
	"fmt"
	"slices"
	"strings"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// lint warns of what compiles and hardly anybody means. Each finding is proven
// on the expressions as CEL reads them; what cannot be proven is passed over.
func (c *compiler) lint(set *Set) {
	linted := map[string]bool{}
	for i := range c.spec.Issuers {
		spec := &c.spec.Issuers[i]
		l := &linter{c, set, set.issuers[spec.Name], spec}
		// What is found in expressions is the same for issuers that are alike.
		profile := l.profile()
		if !linted[profile] {
			linted[profile] = true
			l.lintRequire()
		}
		for _, r := range l.issuer.rules {
			if key := fmt.Sprintf("%s\x00%d", profile, r.index); !linted[key] {
				linted[key] = true
				l.lintRule(r)
			}
		}
		l.lintIssuerIdentity()
		l.lintCrowds()
		l.lintClaimTypes()
	}
	c.lintRules(set)
	c.lintReach(set)
}

// A linter lints what applies to one issuer.
type linter struct {
	*compiler
	set    *Set
	issuer *issuer
	spec   *IssuerSpec
}

func (l *linter) profile() string {
	var b strings.Builder
	b.WriteString(typesKey(l.issuer.claimTypes))
	for _, text := range l.spec.Require {
		fmt.Fprintf(&b, "%q", text.Source)
	}
	fmt.Fprintf(&b, "%q %v", l.spec.Editable, l.spec.Policy.Required)
	return b.String()
}

// rule returns a rule as it was written.
func (l *linter) rule(r *rule) *RuleSpec { return &l.compiler.spec.Rules[r.index] }

// lintRequire lints the conditions that hold for every exchange.
func (l *linter) lintRequire() {
	for i, cond := range l.issuer.require {
		s := scope{sign: 1, admits: true, held: l.required(i)}
		l.lintExpr(site{cond.path, l.requireSource(cond.path), 0, cond.program}, s)
	}
}

func (l *linter) requireSource(path string) string {
	i := slices.IndexFunc(l.spec.Require, func(t Text) bool { return t.Path == path })
	return l.spec.Require[i].Source
}

// required returns what is known of everybody, but for one requirement; -1
// leaves out none.
func (l *linter) required(but int) []assumption {
	var held []assumption
	for i, cond := range l.issuer.require {
		if i != but {
			held = append(held, assumption{cond.program.ast.Expr(), true})
		}
	}
	return held
}

// lintRule lints the expressions of a rule.
func (l *linter) lintRule(r *rule) {
	spec := l.rule(r)
	when := site{spec.When.Path, spec.When.Source, 0, r.when}
	s := scope{sign: -1, held: l.required(-1)}
	if r.admits() {
		s.sign, s.admits = 1, true
	}
	l.lintExpr(when, s)
	if r.deny != "" {
		l.lintUndecided(when)
		return
	}
	l.lintNotEqual(r, when)
	s = scope{admits: true, use: otherValue, held: append(l.required(-1), assumption{r.when.ast.Expr(), true})}
	identity := s
	identity.use = identityValue
	l.lintValue(spec.Identity, r.identity, identity)
	l.lintValue(spec.Account, r.account, s)
	for i, g := range r.grants {
		for _, f := range g.fields {
			t, ok := f.value.(*template)
			if !ok || f.name == "endpoint_id" {
				continue
			}
			j := slices.IndexFunc(spec.Grants[i].Fields, func(fs FieldSpec) bool { return fs.Path == f.path })
			text, _ := spec.Grants[i].Fields[j].Value.(string)
			l.lintValue(Text{f.path, text}, t, s)
			if !l.lintParameterAlone(r, Text{f.path, text}, t) && g.kind == KindVideo {
				l.lintAnyRoom(r, Text{f.path, text}, t)
			}
		}
	}
}

// admits reports whether more people get something when the rule matches more
// of them.
func (r *rule) admits() bool {
	return len(r.grants) > 0 || r.identity != nil || r.account != nil
}

// lintIssuerIdentity lints the issuer's identity for the rules that leave the
// identity to it.
func (l *linter) lintIssuerIdentity() {
	for _, r := range l.issuer.rules {
		if len(r.grants) > 0 && r.identity == nil {
			s := scope{admits: true, use: identityValue, held: append(l.required(-1), assumption{r.when.ast.Expr(), true})}
			l.lintValue(l.spec.Identity, l.issuer.identity, s)
		}
	}
}

func (l *linter) lintValue(text Text, t *template, s scope) {
	if t == nil || t.constant {
		return
	}
	parts, _ := parseTemplate(text.Source)
	for i, p := range parts {
		if p.expr {
			l.lintExpr(site{text.Path, p.text, p.offset, t.parts[i].program}, s)
		}
	}
}

// A site is where an expression stands.
type site struct {
	path    string
	src     string
	offset  int // of src in the text at path
	program *program
}

// warn records a warning that points at e.
func (c *compiler) warn(at site, e celast.Expr, f Fault) {
	start, length := at.span(e)
	f.Path, f.Offset, f.Length, f.Warning = at.path, at.offset+start, length, true
	c.fault(f)
}

// span returns where e stands in the site's text.
func (at site) span(e celast.Expr) (offset, length int) {
	info := at.program.ast.SourceInfo()
	start := len(at.src)
	celast.PreOrderVisit(e, celast.NewExprVisitor(func(part celast.Expr) {
		if _, ok := info.GetOffsetRange(part.ID()); ok {
			start = min(start, byteOffset(at.src, info.GetStartLocation(part.ID())))
		}
	}))
	if start == len(at.src) {
		return 0, len(at.src)
	}
	return start, exprLength(at.program.ast, at.src, start, e)
}

// text returns e as it was written.
func (at site) text(e celast.Expr) string {
	start, length := at.span(e)
	return at.src[start : start+length]
}

// with returns e as it was written, with other text in place of a part of it.
func (at site) with(e, part celast.Expr, text string) string {
	start, length := at.span(e)
	from, n := at.span(part)
	return at.src[start:from] + text + at.src[from+n:start+length]
}

// An assumption is a condition that is known to be true, or known to be false.
type assumption struct {
	e  celast.Expr
	is bool
}

// proves reports whether the assumption leaves no way for fact not to be met:
// fact is asked of an operand and what it comes to.
func (a assumption) proves(fact func(e celast.Expr, is bool) bool) bool {
	if fact(a.e, a.is) {
		return true
	}
	if b, ok := constantBool(a.e); ok {
		return b != a.is // it cannot be
	}
	if a.e.Kind() != celast.CallKind {
		return false
	}
	args := a.e.AsCall().Args()
	proves := func(e celast.Expr, is bool) bool { return assumption{e, is}.proves(fact) }
	each := func(e celast.Expr) bool { return proves(e, a.is) }
	switch a.e.AsCall().FunctionName() {
	case operators.LogicalNot:
		return proves(args[0], !a.is)
	case operators.LogicalAnd, operators.LogicalOr:
		if (a.e.AsCall().FunctionName() == operators.LogicalAnd) == a.is {
			return slices.ContainsFunc(args, each) // all of them are so
		}
		return !slices.ContainsFunc(args, func(e celast.Expr) bool { return !each(e) })
	case operators.Conditional:
		return (proves(args[0], true) || each(args[1])) && (proves(args[0], false) || each(args[2]))
	}
	return false
}

// A scope is what is known where an expression stands.
type scope struct {
	// sign says what comes of it that the test which the expression is a part of
	// is true: 1 lets people in, -1 keeps them out or gives them less; 0 says
	// neither, as in a value.
	sign   int
	admits bool // of a rule, or a requirement, that lets people in
	use    use
	held   []assumption           // what holds where the expression is evaluated
	vars   map[string]celast.Expr // variables of loops, and what they run over
}

// A use is what an expression is for.
type use int

const (
	aCondition use = iota
	otherValue
	identityValue
)

// proves reports whether something that holds proves a fact.
func (s scope) proves(fact func(e celast.Expr, is bool) bool) bool {
	return slices.ContainsFunc(s.held, func(a assumption) bool { return a.proves(fact) })
}

func (s scope) holding(e celast.Expr, is bool) scope {
	s.held = append(slices.Clip(s.held), assumption{e, is})
	return s
}

// walk visits e and what is in it, each with its scope. visit returns whether
// to go on inside.
func walk(e celast.Expr, s scope, visit func(celast.Expr, scope) bool) {
	if !visit(e, s) {
		return
	}
	switch e.Kind() {
	case celast.SelectKind:
		walk(e.AsSelect().Operand(), s, visit)
	case celast.ListKind:
		for _, item := range e.AsList().Elements() {
			walk(item, s, visit)
		}
	case celast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			walk(entry.AsMapEntry().Key(), s, visit)
			walk(entry.AsMapEntry().Value(), s, visit)
		}
	case celast.CallKind:
		walkCall(e.AsCall(), s, visit)
	case celast.ComprehensionKind:
		c := e.AsComprehension()
		walk(c.IterRange(), s, visit)
		walk(c.AccuInit(), s, visit)
		vars := map[string]celast.Expr{c.IterVar(): c.IterRange(), c.AccuVar(): c.AccuInit()}
		for name, of := range s.vars {
			if vars[name] == nil {
				vars[name] = of
			}
		}
		s.vars = vars
		walk(c.LoopStep(), s, visit)
		walk(c.Result(), s, visit)
	}
}

func walkCall(call celast.CallExpr, s scope, visit func(celast.Expr, scope) bool) {
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalNot:
		s.sign = -s.sign
		walk(args[0], s, visit)
	case operators.LogicalAnd, operators.LogicalOr:
		// Whom !(a || b) lets in meets neither; whom a && b lets in meets both.
		together := (call.FunctionName() == operators.LogicalAnd) == (s.sign >= 0)
		for i, arg := range args {
			inner := s
			for j, other := range args {
				if together && j != i {
					inner = inner.holding(other, s.sign >= 0)
				}
			}
			walk(arg, inner, visit)
		}
	case operators.Conditional:
		either := s
		either.sign = 0
		walk(args[0], either, visit)
		walk(args[1], s.holding(args[0], true), visit)
		walk(args[2], s.holding(args[0], false), visit)
	case operators.Equals, operators.NotEquals:
		if call.FunctionName() == operators.NotEquals {
			s.sign = -s.sign
		}
		for i, arg := range args {
			inner := s
			if b, ok := constantBool(args[1-i]); ok && !b {
				inner.sign = -s.sign
			}
			walk(arg, inner, visit)
		}
	default:
		if call.IsMemberFunction() {
			walk(call.Target(), s, visit)
		}
		for _, arg := range args {
			walk(arg, s, visit)
		}
	}
}

// A member is one of claims or request, as an expression reads it.
type member struct {
	object string // claims, request
	name   string
	how    readHow
}

// A readHow says what an expression does where the member is absent.
type readHow int

const (
	readStrict   readHow = iota // it fails
	readOptional                // it is an empty optional
	readPresence                // it is false, and reads nothing else
)

func (m member) isClaim() bool { return m.object == "claims" }

// memberRead takes apart every form of reading a member by a constant name.
func memberRead(e celast.Expr) (m member, ok bool) {
	switch e.Kind() {
	case celast.SelectKind:
		s := e.AsSelect()
		if !isObject(s.Operand()) {
			return m, false
		}
		m = member{object: s.Operand().AsIdent(), name: s.FieldName()}
		if s.IsTestOnly() {
			m.how = readPresence
		}
		return m, true
	case celast.CallKind:
		object, key, ok := memberOf(e.AsCall())
		if !ok {
			return m, false
		}
		m.object = object.AsIdent()
		switch e.AsCall().FunctionName() {
		case operators.In:
			m.how = readPresence
		case operators.OptIndex, operators.OptSelect:
			m.how = readOptional
		}
		m.name, ok = constantString(key)
		return m, ok
	}
	return m, false
}

// origin returns the member that an expression's value comes from: by methods,
// by indexes, and as the variable of a loop. whole says that it is all of it.
func origin(e celast.Expr, s scope) (m member, whole, ok bool) {
	if m, ok := memberRead(e); ok {
		return m, true, true
	}
	switch e.Kind() {
	case celast.IdentKind:
		if of := s.vars[e.AsIdent()]; of != nil {
			return origin(of, s)
		}
	case celast.SelectKind:
		m, _, ok = origin(e.AsSelect().Operand(), s)
	case celast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case "lowerAscii", "upperAscii", "trim", "orValue", "value", "or":
			if call.IsMemberFunction() {
				return origin(call.Target(), s)
			}
		case "string":
			return origin(call.Args()[0], s)
		case operators.Index, operators.OptIndex, operators.OptSelect:
			m, _, ok = origin(call.Args()[0], s)
		default:
			if call.IsMemberFunction() {
				m, _, ok = origin(call.Target(), s)
			}
		}
	}
	return m, false, ok
}

// asksPresence reports whether e asks no more of a member than that it is
// there, or is not empty.
func asksPresence(e celast.Expr) bool {
	if m, ok := memberRead(e); ok {
		return m.how == readPresence
	}
	if e.Kind() != celast.CallKind {
		return false
	}
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case operators.NotEquals:
		for i := range args {
			if _, _, ok := origin(args[i], scope{}); ok && isEmpty(args[1-i]) {
				return true
			}
		}
	case operators.Greater:
		zero, ok := constantInt(args[1])
		return ok && zero == 0 && args[0].Kind() == celast.CallKind && args[0].AsCall().FunctionName() == "size"
	case "hasValue":
		_, ok := memberRead(call.Target())
		return ok
	}
	return false
}

// isEmpty reports whether e is ”, [], or null.
func isEmpty(e celast.Expr) bool {
	switch e.Kind() {
	case celast.LiteralKind:
		return e.AsLiteral() == types.String("") || e.AsLiteral() == types.NullValue
	case celast.ListKind:
		return e.AsList().Size() == 0
	}
	return false
}

func constantBool(e celast.Expr) (b, ok bool) {
	if e.Kind() != celast.LiteralKind {
		return false, false
	}
	v, ok := e.AsLiteral().(types.Bool)
	return bool(v), ok
}

func constantInt(e celast.Expr) (n int64, ok bool) {
	if e.Kind() != celast.LiteralKind {
		return 0, false
	}
	v, ok := e.AsLiteral().(types.Int)
	return int64(v), ok
}
