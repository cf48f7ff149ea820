package rules

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strconv"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// A shape is what is known of the texts a value comes to: the pieces that they
// are put together from. A value with a choice in it has several shapes.
type shape []piece

// A piece is constant text, or what one expression comes to.
type piece struct {
	text     string   // constant text, where key is ""
	key      string   // equal texts under equal keys come from equal claims
	source   string   // the expression as an operator would write it
	tells    []string // claims and parameters that the text tells
	untyped  string   // a claim that the text tells if the claim is text
	language language
	limits   string   // what is known of the claim, where that made the language
	joins    []string // claims and parameters that an expression puts together in a way that is not known
	// pseudonym says that an issuer's own key made the text: no other issuer's
	// is equal to it.
	pseudonym bool
}

func (p *piece) constant() bool { return p.key == "" }

// maxShapes bounds the shapes of one value; with more, nothing is known of it.
const maxShapes = 64

// A reader reads the shapes off values that are computed for an issuer, where
// some conditions are known to hold.
type reader struct {
	issuer     *issuer
	parameters []parameter
	known      map[string]limit // of claims, by what must hold of them
	ast        *celast.AST      // of the expression being read
	opaque     int              // expressions that nothing is known of, so far
}

// A limit is what a condition says of a claim that is text.
type limit struct {
	written  string
	language language
}

// newReader returns a reader for values that are computed only where the
// conditions hold.
func (s *Set) newReader(is *issuer, conditions ...*program) *reader {
	rd := &reader{issuer: is, parameters: s.parameters, known: map[string]limit{}}
	for _, c := range is.require {
		rd.learn(c.program)
	}
	for _, p := range conditions {
		rd.learn(p)
	}
	return rd
}

// learn notes what a condition that holds says of claims that are text.
func (rd *reader) learn(p *program) {
	for _, f := range p.facts {
		if !f.member {
			rd.known[f.claim] = limit{fmt.Sprintf("%q", f.values), oneOf(f.values...)}
		}
	}
	for _, e := range conjuncts(p.ast.Expr()) {
		if e.Kind() != celast.CallKind || e.AsCall().FunctionName() != "matches" || !e.AsCall().IsMemberFunction() {
			continue
		}
		name, ok := claimRead(e.AsCall().Target())
		pattern, constant := constantString(e.AsCall().Args()[0])
		if _, known := rd.known[name]; !ok || !constant || known {
			continue
		}
		if l, ok := anchored(pattern); ok {
			rd.known[name] = limit{pattern, l}
		}
	}
}

// anchored returns what a pattern matches, if ^ and $ hold it at both ends on
// every way through it.
func anchored(pattern string) (language, bool) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || !anchoredBothEnds(re) {
		return nil, false
	}
	l, err := matching(re)
	return l, err == nil
}

func anchoredBothEnds(re *syntax.Regexp) bool {
	begins, ends := anchors(re)
	return begins && ends
}

// anchors reports whether every match of re begins at the beginning of the
// text, and ends at its end.
func anchors(re *syntax.Regexp) (begins, ends bool) {
	switch re.Op {
	case syntax.OpCapture:
		return anchors(re.Sub[0])
	case syntax.OpBeginText:
		return true, false
	case syntax.OpEndText:
		return false, true
	case syntax.OpConcat:
		begins, _ = anchors(re.Sub[0])
		_, ends = anchors(re.Sub[len(re.Sub)-1])
		return begins, ends
	case syntax.OpAlternate:
		begins, ends = true, true
		for _, sub := range re.Sub {
			b, e := anchors(sub)
			begins, ends = begins && b, ends && e
		}
		return begins, ends
	}
	return false, false
}

// shapes returns the shapes of a value. ok is false when it has too many.
func (rd *reader) shapes(t *template) (all []shape, ok bool) {
	all = []shape{nil}
	for _, p := range t.parts {
		parts := []shape{{{text: p.text}}}
		if p.program != nil {
			rd.ast = p.program.ast
			parts = rd.expr(p.program.ast.Expr())
		}
		all = join(all, parts)
		if len(all) > maxShapes {
			return nil, false
		}
	}
	for i := range all {
		all[i] = all[i].merged()
	}
	return all, true
}

// join returns every shape of a followed by every shape of b.
func join(a, b []shape) []shape {
	var all []shape
	for _, first := range a {
		for _, second := range b {
			if len(all) > maxShapes {
				return all
			}
			all = append(all, slices.Concat(first, second))
		}
	}
	return all
}

// merged returns the shape with adjacent constant text in one piece.
func (s shape) merged() shape {
	var out shape
	for _, p := range s {
		switch n := len(out); {
		case p.constant() && p.text == "":
		case p.constant() && n > 0 && out[n-1].constant():
			out[n-1].text += p.text
		default:
			out = append(out, p)
		}
	}
	return out
}

// expr returns the shapes of an expression that is written as text.
func (rd *reader) expr(e celast.Expr) []shape {
	switch e.Kind() {
	case celast.LiteralKind:
		switch v := e.AsLiteral().(type) {
		case types.String:
			return []shape{{{text: string(v)}}}
		case types.Int:
			return []shape{{{text: strconv.FormatInt(int64(v), 10)}}}
		}
	case celast.IdentKind:
		if e.AsIdent() == "issuer" {
			return []shape{{{text: rd.issuer.name}}}
		}
		if e.AsIdent() == "client" {
			p := rd.issuer.policy
			return rd.variable(e, oneOf(slices.Concat(p.Audiences, p.AllowedAZP)...))
		}
	case celast.SelectKind:
		if name, ok := claimRead(e); ok {
			return rd.claim(e, name)
		}
		if s := e.AsSelect(); isObject(s.Operand()) && !s.IsTestOnly() {
			return rd.parameter(e, s.FieldName())
		}
	case celast.CallKind:
		return rd.call(e, e.AsCall())
	}
	return rd.unknown(e)
}

func (rd *reader) call(e celast.Expr, call celast.CallExpr) []shape {
	args := call.Args()
	switch call.FunctionName() {
	case operators.Index, operators.OptSelect, operators.OptIndex:
		if name, ok := constantString(args[1]); ok && isObject(args[0]) {
			if isClaims(args[0]) {
				return rd.claim(e, name)
			}
			return rd.parameter(e, name)
		}
	case operators.Conditional:
		return append(rd.expr(args[1]), rd.expr(args[2])...)
	case operators.Add:
		if rd.ast.GetType(e.ID()).Kind() == types.StringKind {
			return texts(join(rd.expr(args[0]), rd.expr(args[1])))
		}
	case "orValue":
		return append(rd.expr(call.Target()), rd.expr(args[0])...)
	case "optional.of":
		return rd.expr(args[0])
	case "optional.none":
		return nil // no text at all
	case "value":
		if call.IsMemberFunction() {
			return rd.expr(call.Target())
		}
	case "string":
		if k := rd.ast.GetType(args[0].ID()).Kind(); k == types.StringKind || k == types.IntKind {
			return rd.expr(args[0])
		}
	case "escape":
		var all []shape
		for _, s := range texts(rd.expr(args[0])) {
			out := make(shape, len(s))
			for i, p := range s {
				out[i] = p.escaped()
			}
			all = append(all, out)
		}
		return all
	case pseudonymContext:
		return rd.pseudonym(e, args[1])
	}
	return rd.unknown(e)
}

// texts returns shapes of an expression that is text, so that what is read in
// it is text, too, whatever its type could be elsewhere.
func texts(shapes []shape) []shape {
	for _, s := range shapes {
		for i := range s {
			if s[i].untyped != "" {
				s[i].tells, s[i].untyped = []string{s[i].untyped}, ""
			}
		}
	}
	return shapes
}

// escaped returns the piece as Escape writes it: what it writes for a text is
// what it writes for the text's pieces, one after the other.
func (p piece) escaped() piece {
	if p.constant() {
		p.text = Escape(p.text)
		return p
	}
	p.key, p.source, p.language = "escape("+p.key+")", "escape("+p.source+")", escaped(p.language)
	return p
}

// pseudonym is one piece, which tells what its argument tells.
func (rd *reader) pseudonym(e, arg celast.Expr) []shape {
	inner := texts(rd.expr(arg))
	p := piece{key: "pseudonym(" + source(arg) + ")", source: "pseudonym(" + source(arg) + ")", language: exactly(32, 'a', 'z', '2', '7'), pseudonym: true, tells: []string{"iss"}}
	if len(inner) == 1 {
		s := inner[0].merged()
		p.key = "pseudonym(" + s.String() + ")" // what conditions say of the argument included
		a := s.automaton()
		for _, name := range s.told() {
			if m, err := s.confusesOne(s, a, a, name); m == nil && err == nil {
				p.tells = append(p.tells, name)
			}
		}
	}
	if len(p.tells) == 1 {
		p.key = rd.opaqueKey()
	}
	return []shape{{p}}
}

// claim is one piece: a claim's text, which tells the claim where only text,
// or only integers, can be read there.
func (rd *reader) claim(e celast.Expr, name string) []shape {
	p := piece{key: "claims." + name, source: source(e), language: anything}
	t := rd.issuer.claimTypes[name]
	switch {
	case name == "iss":
		p.language = oneOf(rd.issuer.policy.IssuerIDs...)
	case name == "sub":
		p.language = repeated(1, ' ', '~') // checkSubject
	case t == claimType{elem: "int"}:
		p.language = integers
	}
	isText := t == claimType{elem: "string"} || t == claimType{elem: "int"}
	if known, ok := rd.known[name]; ok {
		p.language, p.limits, isText = known.language, known.written, true
	}
	if isText {
		p.tells = []string{name}
	} else {
		p.untyped = name
	}
	return []shape{{p}}
}

// parameter is one piece: what the client asked for.
func (rd *reader) parameter(e celast.Expr, name string) []shape {
	l := anything
	for _, p := range rd.parameters {
		switch {
		case p.Name != name:
		case p.Enum != nil:
			l = oneOf(p.Enum...)
		default:
			if re, err := syntax.Parse(p.Pattern, syntax.Perl); err == nil {
				if m, err := matching(re); err == nil {
					l = m
				}
			}
		}
	}
	p := piece{key: "request." + name, source: source(e), tells: []string{"request." + name}, language: l}
	return []shape{{p}}
}

// variable is one piece that tells nothing of claims, of a known language.
func (rd *reader) variable(e celast.Expr, l language) []shape {
	return []shape{{{key: source(e), source: source(e), language: l}}}
}

// unknown is a piece of which nothing is known, not even that it is the same
// for equal claims.
func (rd *reader) unknown(e celast.Expr) []shape {
	var reads reads
	reads.visit(e)
	p := piece{key: rd.opaqueKey(), source: source(e), language: anything}
	for _, name := range reads.claims {
		p.joins = append(p.joins, "claims."+name)
	}
	for _, name := range reads.request {
		p.joins = append(p.joins, "request."+name)
	}
	if reads.all {
		p.joins = append(p.joins, "a claim", "another")
	}
	slices.Sort(p.joins)
	p.joins = slices.Compact(p.joins)
	if t := rd.ast.GetType(e.ID()); t.Kind() == types.IntKind {
		p.language = integers
	}
	return []shape{{p}}
}

func (rd *reader) opaqueKey() string {
	rd.opaque++
	return "?" + strconv.Itoa(rd.opaque)
}

// source writes an expression as an operator would.
func source(e celast.Expr) string {
	text, err := cel.ExprToString(e, nil)
	if err != nil {
		return "an expression"
	}
	return text
}

// told returns the claims and parameters that some piece tells.
func (s shape) told() []string {
	var names []string
	for _, p := range s {
		names = append(names, p.tells...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// automaton reads the texts of a shape.
func (s shape) automaton() *automaton {
	a := &automaton{}
	a.start = a.add(-1)
	at := a.start
	for i, p := range s {
		l := p.language
		if p.constant() {
			l = oneOf(p.text)
		}
		at = l(a, at, i)
	}
	a.accept = at
	return a
}

// confuses searches for a text of both shapes, which left and right read, that
// does not tell, of all the claims named, that they are equal. Nil means that
// there is none: whoever gets the text by either shape has the same values in
// those claims.
func (s shape) confuses(other shape, left, right *automaton, claims []string) (*meeting, error) {
	for _, name := range claims {
		if m, err := s.confusesOne(other, left, right, name); m != nil || err != nil {
			return m, err
		}
	}
	return nil, nil
}

// confusesOne does so for one claim: a piece of each that tells it the same
// way, and stands at the same place in every text, tells it.
func (s shape) confusesOne(other shape, left, right *automaton, name string) (*meeting, error) {
	var found *meeting
	for i, p := range s {
		if !slices.Contains(p.tells, name) {
			continue
		}
		for j, q := range other {
			if q.key != p.key || !slices.Contains(q.tells, name) {
				continue
			}
			m, err := meet(left, right, &[2]int{i, j})
			if err != nil {
				return nil, err
			}
			if m == nil {
				return nil, nil
			}
			found = m
		}
	}
	if found != nil {
		return found, nil
	}
	return meet(left, right, nil)
}
