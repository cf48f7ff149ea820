package rules

import (
	"slices"

	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// A fact is a conjunct of a condition that holds only where a claim has one of
// some values, or holds one of them as an item: what an index can look up.
type fact struct {
	claim  string
	values []string
	member bool // the values are items of the claim, or names of its members
	// absentFalse says that the conjunct is false where the claim is absent,
	// and not undecided.
	absentFalse bool
}

// facts reads the facts off a condition: of its top-level conjuncts, those of
// the forms claims.x == 'c', claims.x in ['c', …], 'c' in claims.x and
// 'c' in claims.?x.orValue([]).
func facts(condition celast.Expr) []fact {
	var found []fact
	for _, e := range conjuncts(condition) {
		if e.Kind() != celast.CallKind {
			continue
		}
		call := e.AsCall()
		args := call.Args()
		switch call.FunctionName() {
		case operators.Equals:
			for i := range args {
				name, ok := claimRead(args[i])
				if value, constant := constantString(args[1-i]); ok && constant {
					found = append(found, fact{claim: name, values: []string{value}})
				}
			}
		case operators.In:
			if name, ok := claimRead(args[0]); ok {
				if values, ok := constantStrings(args[1]); ok {
					found = append(found, fact{claim: name, values: values})
				}
			}
			value, constant := constantString(args[0])
			if name, ok := claimRead(args[1]); ok && constant {
				found = append(found, fact{claim: name, values: []string{value}, member: true})
			} else if name, ok := claimOrEmpty(args[1]); ok && constant {
				found = append(found, fact{claim: name, values: []string{value}, member: true, absentFalse: true})
			}
		}
	}
	return found
}

// conjuncts returns the operands of a condition's top-level &&, from left to
// right; a condition without one is its own conjunct.
func conjuncts(e celast.Expr) []celast.Expr { return operands(e, operators.LogicalAnd) }

// operands returns what an associative operator at the top of e joins.
func operands(e celast.Expr, operator string) []celast.Expr {
	if e.Kind() != celast.CallKind || e.AsCall().FunctionName() != operator {
		return []celast.Expr{e}
	}
	var all []celast.Expr
	for _, arg := range e.AsCall().Args() {
		all = append(all, operands(arg, operator)...)
	}
	return all
}

// claimRead takes apart claims.x and claims['x'].
func claimRead(e celast.Expr) (name string, ok bool) {
	switch e.Kind() {
	case celast.SelectKind:
		s := e.AsSelect()
		return s.FieldName(), !s.IsTestOnly() && isClaims(s.Operand())
	case celast.CallKind:
		if call := e.AsCall(); call.FunctionName() == operators.Index && isClaims(call.Args()[0]) {
			return constantString(call.Args()[1])
		}
	}
	return "", false
}

// claimOrEmpty takes apart claims.?x.orValue([]) and claims[?'x'].orValue([]).
func claimOrEmpty(e celast.Expr) (name string, ok bool) {
	if e.Kind() != celast.CallKind || e.AsCall().FunctionName() != "orValue" {
		return "", false
	}
	call := e.AsCall()
	if list := call.Args()[0]; list.Kind() != celast.ListKind || list.AsList().Size() != 0 {
		return "", false
	}
	if call.Target().Kind() != celast.CallKind {
		return "", false
	}
	read := call.Target().AsCall()
	if f := read.FunctionName(); f != operators.OptSelect && f != operators.OptIndex || !isClaims(read.Args()[0]) {
		return "", false
	}
	return constantString(read.Args()[1])
}

func isClaims(e celast.Expr) bool { return isObject(e) && e.AsIdent() == "claims" }

func constantStrings(e celast.Expr) ([]string, bool) {
	if e.Kind() != celast.ListKind {
		return nil, false
	}
	var values []string
	for _, item := range e.AsList().Elements() {
		value, ok := constantString(item)
		if !ok {
			return nil, false
		}
		values = append(values, value)
	}
	return values, true
}

// An indexKey is a claim's value, or an item of it.
type indexKey struct {
	claim, value string
	member       bool
}

// An index finds the rules that can match some claims. It only ever discards a
// rule whose condition cannot be true, and never a deny rule whose condition
// could be undecided. Rules are named by their place among an issuer's.
type index struct {
	always []int // rules without a fact
	byKey  map[indexKey][]int
	deny   map[string]*denies // by claim; there for each that occurs in byKey
}

// denies are the deny rules that hang on a claim, by when they may be
// undecided.
type denies struct {
	absent  []int // where it is absent
	noText  []int // where it is neither text, nor a list, nor an object
	noItems []int // where it is neither a list nor an object
}

// newIndex files each rule under the fact that the fewest others share.
func newIndex(rules []*rule) *index {
	x := &index{byKey: map[indexKey][]int{}, deny: map[string]*denies{}}
	count := map[indexKey]int{}
	for _, r := range rules {
		for _, f := range r.when.facts {
			for _, key := range f.keys() {
				count[key]++
			}
		}
	}
	shared := func(f fact) int {
		n := 0
		for _, key := range f.keys() {
			n += count[key]
		}
		return n
	}
	for i, r := range rules {
		if len(r.when.facts) == 0 {
			x.always = append(x.always, i)
			continue
		}
		best := slices.MinFunc(r.when.facts, func(a, b fact) int { return shared(a) - shared(b) })
		for _, key := range best.keys() {
			x.byKey[key] = append(x.byKey[key], i)
		}
		if x.deny[best.claim] == nil {
			x.deny[best.claim] = &denies{}
		}
		if r.deny != "" {
			x.deny[best.claim].add(i, best)
		}
	}
	return x
}

func (d *denies) add(i int, f fact) {
	d.noText = append(d.noText, i)
	if f.member {
		d.noItems = append(d.noItems, i)
	}
	if !f.absentFalse {
		d.absent = append(d.absent, i)
	}
}

// fails reports whether the conjunct is false, and not undecided, where the
// claim is val; nil stands for an absent one.
func (f *fact) fails(val ref.Val) bool {
	switch val := val.(type) {
	case nil:
		return f.absentFalse
	case types.String:
		return !f.member && !slices.Contains(f.values, string(val))
	case traits.Lister:
		return !f.member || !f.has(val.Iterator())
	case traits.Mapper:
		return !f.member || !f.has(val.Iterator())
	}
	return false
}

func (f *fact) has(items traits.Iterator) bool {
	for items.HasNext() == types.True {
		if s, ok := items.Next().(types.String); ok && slices.Contains(f.values, string(s)) {
			return true
		}
	}
	return false
}

func (f *fact) keys() []indexKey {
	keys := make([]indexKey, len(f.values))
	for i, value := range f.values {
		keys[i] = indexKey{f.claim, value, f.member}
	}
	return keys
}

// candidates returns the rules that can match, in file order.
func (x *index) candidates(act *activation, claimTypes map[string]claimType) []int {
	found := append(make([]int, 0, len(x.always)+16), x.always...)
	for claim, denies := range x.deny {
		found = x.find(found, claim, denies, act.claim(claim, claimTypes[claim]))
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// find appends the rules that can match where a claim has the value val, nil
// where it is absent.
func (x *index) find(found []int, claim string, d *denies, val ref.Val) []int {
	switch val := val.(type) {
	case nil:
		return append(found, d.absent...)
	case types.String:
		found = append(found, x.byKey[indexKey{claim, string(val), false}]...)
		return append(found, d.noItems...)
	case traits.Lister:
		return x.findItems(found, claim, val.Iterator())
	case traits.Mapper:
		return x.findItems(found, claim, val.Iterator())
	}
	return append(found, d.noText...)
}

func (x *index) findItems(found []int, claim string, items traits.Iterator) []int {
	for items.HasNext() == types.True {
		if s, ok := items.Next().(types.String); ok {
			found = append(found, x.byKey[indexKey{claim, string(s), true}]...)
		}
	}
	return found
}
