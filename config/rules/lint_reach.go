package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
)

// theIssuer is the name under which facts speak of the variable issuer.
const theIssuer = "\x00issuer"

// A term is a conjunct of a condition, taken apart once.
type term struct {
	e     celast.Expr
	text  string // canonical; "" for true
	facts []fact
	arms  [][]term // of a disjunction
	keys  []string // it is found under
}

// terms takes a condition apart.
func terms(p *program) []term {
	var all []term
	for _, e := range conjuncts(p.ast.Expr()) {
		all = append(all, newTerm(p, e))
	}
	return all
}

func newTerm(p *program, e celast.Expr) term {
	t := term{e: e, facts: facts(e)}
	if values, ok := issuerTest(e); ok {
		t.facts = append(t.facts, fact{claim: theIssuer, values: values})
	}
	if b, ok := constantBool(e); ok && b {
		return t
	}
	t.text = canonical(p, e)
	switch {
	case len(t.facts) > 0:
		t.keys = factKeys(t.facts[0])
	case e.Kind() == celast.CallKind && e.AsCall().FunctionName() == operators.LogicalOr:
		for _, arm := range disjuncts(e) {
			var operands []term
			for _, operand := range conjuncts(arm) {
				operands = append(operands, newTerm(p, operand))
			}
			t.arms = append(t.arms, operands)
			t.keys = append(t.keys, operands[0].keys...)
		}
	default:
		if m, ok := memberRead(e); ok && m.how == readPresence {
			t.keys = []string{"?" + m.object + "." + m.name}
		} else {
			t.keys = []string{t.text}
		}
	}
	return t
}

// canonical returns a text that equal expressions have, and no other.
func canonical(p *program, e celast.Expr) string {
	text, err := cel.ExprToString(e, p.ast.SourceInfo())
	if err != nil {
		return fmt.Sprintf("?%p %d", p, e.ID())
	}
	return text
}

func disjuncts(e celast.Expr) []celast.Expr { return operands(e, operators.LogicalOr) }

// issuerTest takes apart issuer == 'c' and issuer in ['c', …].
func issuerTest(e celast.Expr) (values []string, ok bool) {
	if e.Kind() != celast.CallKind {
		return nil, false
	}
	isIssuer := func(e celast.Expr) bool { return e.Kind() == celast.IdentKind && e.AsIdent() == "issuer" }
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.Equals:
		for i := range args {
			if value, constant := constantString(args[1-i]); constant && isIssuer(args[i]) {
				return []string{value}, true
			}
		}
	case operators.In:
		if isIssuer(args[0]) {
			return constantStrings(args[1])
		}
	}
	return nil, false
}

func factKeys(f fact) []string {
	keys := make([]string, len(f.values))
	for i, value := range f.values {
		keys[i] = "=" + strconv.FormatBool(f.member) + f.claim + "\x00" + value
	}
	return keys
}

// A reach tells, of the rules of one issuer, which match whenever another does.
type reach struct {
	*compiler
	set   *Set
	is    *issuer
	terms map[*program][]term // shared by issuers
	byKey map[string][]*rule
	must  []term // of what holds for everybody
}

// lintReach finds rules that nobody can get anything by, and grants whose
// tokens are too short.
func (c *compiler) lintReach(set *Set) {
	shared := map[*program][]term{}
	applies, dead := map[int]int{}, map[int]int{}
	why := map[int]Fault{}
	for i := range c.spec.Issuers {
		x := newReach(c, set, set.issuers[c.spec.Issuers[i].Name], shared)
		for _, r := range x.is.rules {
			applies[r.index]++
			if f, found := x.unreachable(r); found {
				if dead[r.index]++; dead[r.index] == 1 {
					why[r.index] = f
				}
				continue
			}
			if r.deny == "" {
				x.lintTTL(r)
			}
		}
	}
	for i := range c.spec.Rules {
		if dead[i] > 0 && dead[i] == applies[i] { // with every issuer's people
			c.fault(why[i])
		}
	}
}

func newReach(c *compiler, set *Set, is *issuer, shared map[*program][]term) *reach {
	x := &reach{c, set, is, shared, map[string][]*rule{}, []term{{facts: []fact{{claim: theIssuer, values: []string{is.name}}}}}}
	for _, cond := range is.require {
		x.must = append(x.must, x.of(cond.program)...)
	}
	count := map[string]int{}
	for _, r := range is.rules {
		for _, t := range x.of(r.when) {
			for _, key := range t.keys {
				count[key]++
			}
		}
	}
	for _, r := range is.rules {
		best, fewest := []string{""}, 0 // of a condition that is always true
		for _, t := range x.of(r.when) {
			n := 0
			for _, key := range t.keys {
				n += count[key]
			}
			if t.text != "" && (fewest == 0 || n < fewest) {
				best, fewest = t.keys, n
			}
		}
		for _, key := range best {
			x.byKey[key] = append(x.byKey[key], r)
		}
	}
	return x
}

func (x *reach) of(p *program) []term {
	t, ok := x.terms[p]
	if !ok {
		t = terms(p)
		x.terms[p] = t
	}
	return t
}

// What is known of whoever a rule matches.
type known struct {
	texts map[string]bool
	facts []fact
}

// known returns what holds where a rule's condition does.
func (x *reach) known(r *rule) known {
	k := known{texts: map[string]bool{}}
	for _, t := range slices.Concat(x.of(r.when), x.must) {
		k.texts[t.text] = true
		k.facts = append(k.facts, t.facts...)
	}
	return k
}

// implies reports whether a term is true of whoever the rule matches.
func (k known) implies(t term) bool {
	if t.text == "" || k.texts[t.text] {
		return true
	}
	for _, f := range t.facts {
		for _, g := range k.facts {
			if f.claim == g.claim && f.member == g.member && !slices.ContainsFunc(g.values, func(v string) bool { return !slices.Contains(f.values, v) }) {
				return true
			}
		}
	}
	if m, ok := memberRead(t.e); ok && m.how == readPresence && m.isClaim() {
		return slices.ContainsFunc(k.facts, func(f fact) bool { return f.claim == m.name })
	}
	return slices.ContainsFunc(t.arms, k.impliesAll)
}

func (k known) impliesAll(ts []term) bool {
	return !slices.ContainsFunc(ts, func(t term) bool { return !k.implies(t) })
}

// maxCovering bounds how many rules with something in common are looked at for
// each rule; beyond it, something may go unsaid.
const maxCovering = 64

// covering returns rules that match whenever r does, r among them, in file
// order.
func (x *reach) covering(r *rule) []*rule {
	k := x.known(r)
	keys := []string{""}
	for _, t := range slices.Concat(x.of(r.when), x.must) {
		keys = append(keys, t.text)
		keys = append(keys, t.keys...)
		for _, f := range t.facts {
			keys = append(keys, factKeys(f)[0], "?claims."+f.claim)
		}
	}
	var all []*rule
	for _, key := range keys {
		same := x.byKey[key]
		for _, other := range same[:min(len(same), maxCovering)] {
			if k.impliesAll(x.of(other.when)) {
				all = append(all, other)
			}
		}
	}
	slices.SortFunc(all, func(a, b *rule) int { return a.index - b.index })
	return slices.Compact(all)
}

// unreachable tells why nobody gets anything by a rule.
func (x *reach) unreachable(r *rule) (Fault, bool) {
	f := Fault{Path: r.path, Warning: true, ID: "unreachable-rule", Hint: "take it out, or put it above"}
	if at, why := x.contradiction(r); why != "" {
		s := site{r.path + ".when", x.spec.Rules[r.index].When.Source, 0, r.when}
		f.Path, f.Message, f.Hint = s.path, why, "say one or the other: || in place of &&"
		if b, ok := constantBool(at); ok && !b {
			f.Hint = "take the rule out"
		}
		f.Offset, f.Length = s.span(at)
		return f, true
	}
	open := slices.DeleteFunc(r.sets(), func(output string) bool { return output == "ttl" }) // outputs that nobody has won
	caps := len(open) == 0
	var winners []string
	for _, other := range x.covering(r) {
		before := other.index < r.index
		switch {
		case other == r || !other.outlives(r) || r.deny != "" && !before:
		case other.deny != "":
			f.Message = fmt.Sprintf("rule %s refuses everybody whom this matches", quote(other.name))
			f.Hint = "take one of them out"
			return f, true
		case before && r.deny == "":
			won := other.sets()
			left := slices.DeleteFunc(slices.Clone(open), func(output string) bool { return slices.Contains(won, output) })
			if len(left) < len(open) {
				open, winners = left, append(winners, quote(other.name))
			}
		}
	}
	if r.deny != "" || caps || len(open) > 0 {
		return f, false
	}
	f.Message = fmt.Sprintf("whenever this matches, rule %s above has won all that it sets", winners[0])
	if len(winners) > 1 {
		f.Message = fmt.Sprintf("whenever this matches, rules %s above have won all that it sets", strings.Join(winners, " and "))
	}
	return f, true
}

// outlives reports whether a rule is there as long as another.
func (r *rule) outlives(other *rule) bool {
	return r.expires.IsZero() || !other.expires.IsZero() && !other.expires.After(r.expires)
}

// contradiction finds a term of a rule's condition that is never true together
// with the others.
func (x *reach) contradiction(r *rule) (at celast.Expr, why string) {
	k := x.known(r)
	for _, t := range x.of(r.when) {
		if b, ok := constantBool(t.e); ok && !b {
			return t.e, "this is never true"
		}
		if t.e.Kind() == celast.CallKind && t.e.AsCall().FunctionName() == operators.LogicalNot && k.texts[canonical(r.when, t.e.AsCall().Args()[0])] {
			return t.e, "nobody meets this condition: it wants the contrary, too"
		}
		for _, f := range t.facts {
			for _, g := range k.facts {
				if f.claim != g.claim || f.member || g.member || slices.ContainsFunc(f.values, func(v string) bool { return slices.Contains(g.values, v) }) {
					continue
				}
				if f.claim == theIssuer {
					return t.e, fmt.Sprintf("nobody meets this condition: the rule is for issuer %q", x.is.name)
				}
				return t.e, fmt.Sprintf("nobody meets this condition: it wants %s to be %s, and %s at once", f.claim, anyOf(g.values), anyOf(f.values))
			}
		}
	}
	return nil, ""
}

func anyOf(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = quote(v)
	}
	return strings.Join(quoted, " or ")
}
