package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Coverage tells what of a Set some decisions have tried. Its goals are that
// each rule's condition matched, that each conjunct was true and was false, and
// that each identity, account, grant and field with an expression in it was
// computed. A conjunct that is true or false as written has no goals, and one
// that every issuer of the rule requires anyway is never false.
type Coverage struct {
	Items []*CoverageItem
	goals map[goalKey]*Goal
}

// A CoverageItem is a rule, or an issuer with its requirements and identity.
type CoverageItem struct {
	Name    string   `json:"name"` // a rule's name, or: issuer idp
	Path    string   `json:"path,omitempty"`
	Issuers []string `json:"issuers,omitempty"` // of a rule that reads claims whose types differ between issuers
	Deny    bool     `json:"deny,omitempty"`
	Goals   []*Goal  `json:"goals"`
}

// A Goal is one thing that tests ought to make happen.
type Goal struct {
	Of      string `json:"of,omitempty"` // a conjunct as written, or an output: identity, video, video.room; not of the whole condition
	Want    string `json:"want"`         // matched, true, false, computed
	Covered bool   `json:"covered"`
}

// A goalKey names a goal by what a trace calls it.
type goalKey struct {
	issuer, path string // of a condition, or of a value
	conjunct     int    // -1 for the whole condition, and for values
	want         string
}

// NewCoverage returns the goals of the set, none of them covered.
func (s *Set) NewCoverage() *Coverage {
	c := &Coverage{goals: map[goalKey]*Goal{}}
	names := slices.Sorted(maps.Keys(s.issuers))
	for _, name := range names {
		c.addIssuer(s.issuers[name])
	}
	issuers := make([][]*issuer, s.rules) // of each rule in the file
	compiled := make([][]*rule, s.rules)
	for _, name := range names {
		for _, r := range s.issuers[name].rules {
			issuers[r.index] = append(issuers[r.index], s.issuers[name])
			compiled[r.index] = append(compiled[r.index], r)
		}
	}
	for i := range s.rules {
		c.addRule(s, issuers[i], compiled[i])
	}
	return c
}

func (c *Coverage) addIssuer(is *issuer) {
	item := &CoverageItem{Name: "issuer " + is.name}
	for _, r := range is.require {
		c.addCondition(item, []string{is.name}, r.path, r.program, nil)
	}
	if is.identity != nil {
		c.add(item, []string{is.name}, goalKey{path: is.identityPath(), conjunct: -1, want: "computed"}, "identity")
	}
	if len(item.Goals) > 0 {
		c.Items = append(c.Items, item)
	}
}

// addRule adds a rule once for all issuers for which it means the same.
func (c *Coverage) addRule(s *Set, issuers []*issuer, compiled []*rule) {
	var meanings []string
	groups := map[string][]string{} // issuers by meaning
	first := map[string]*rule{}
	for i, r := range compiled {
		meaning := r.meaning(issuers[i])
		if first[meaning] == nil {
			meanings = append(meanings, meaning)
			first[meaning] = r
		}
		groups[meaning] = append(groups[meaning], issuers[i].name)
	}
	for _, meaning := range meanings {
		r, names := first[meaning], groups[meaning]
		item := &CoverageItem{Name: r.name, Path: r.path, Deny: r.deny != ""}
		if len(meanings) > 1 {
			item.Issuers = names
		}
		c.addCondition(item, names, r.path, r.when, s.required(names))
		for _, o := range r.outputs() {
			label := strings.TrimPrefix(strings.TrimPrefix(o.path, r.path+"."), "grants.")
			c.add(item, names, goalKey{path: o.path, conjunct: -1, want: "computed"}, label)
		}
		c.Items = append(c.Items, item)
	}
}

// required returns the conjuncts that each of the issuers requires, as written.
func (s *Set) required(issuers []string) map[string]bool {
	count := map[string]int{}
	for _, name := range issuers {
		texts := map[string]bool{}
		for _, r := range s.issuers[name].require {
			for _, conjunct := range r.program.traced().conjuncts {
				texts[conjunct.text] = true
			}
		}
		for text := range texts {
			count[text]++
		}
	}
	required := map[string]bool{}
	for text, n := range count {
		required[text] = n == len(issuers)
	}
	return required
}

// addCondition adds the goals of a condition. One without && is its own
// conjunct, and that it matched need not be said twice.
func (c *Coverage) addCondition(item *CoverageItem, issuers []string, path string, p *program, required map[string]bool) {
	all := p.traced().conjuncts
	if len(all) > 1 || all[0].literal {
		c.add(item, issuers, goalKey{path: path, conjunct: -1, want: "matched"}, "")
	}
	for i, conjunct := range all {
		if !conjunct.literal {
			c.add(item, issuers, goalKey{path: path, conjunct: i, want: "true"}, conjunct.text)
		}
		if !conjunct.literal && !required[conjunct.text] {
			c.add(item, issuers, goalKey{path: path, conjunct: i, want: "false"}, conjunct.text)
		}
	}
}

func (c *Coverage) add(item *CoverageItem, issuers []string, key goalKey, of string) {
	goal := &Goal{Of: of, Want: key.want}
	item.Goals = append(item.Goals, goal)
	for _, key.issuer = range issuers {
		c.goals[key] = goal
	}
}

// Add notes what a decision for an issuer has tried.
func (c *Coverage) Add(issuer string, t *Trace) {
	cover := func(path string, conjunct int, want string) {
		if goal := c.goals[goalKey{issuer, path, conjunct, want}]; goal != nil {
			goal.Covered = true
		}
	}
	for _, s := range slices.Concat(t.Require, t.Rules) {
		if s.Verdict == Expired {
			continue
		}
		if s.Verdict == Matched {
			cover(s.Path, -1, "matched")
		}
		for i, conjunct := range s.Conjuncts {
			switch conjunct.Verdict {
			case Matched:
				cover(s.Path, i, "true")
			case NotMatched:
				cover(s.Path, i, "false")
			}
		}
	}
	for _, path := range t.Computed {
		cover(path, -1, "computed")
	}
}

// Count returns the number of goals that are covered, and of all.
func (c *Coverage) Count() (covered, goals int) {
	for _, item := range c.Items {
		n, of := item.Count()
		covered, goals = covered+n, goals+of
	}
	return covered, goals
}

// Count returns the number of goals that are covered, and of all.
func (i *CoverageItem) Count() (covered, goals int) {
	for _, goal := range i.Goals {
		if goal.Covered {
			covered++
		}
	}
	return covered, len(i.Goals)
}

// An output is a value that a rule computes, or a whole grant.
type output struct {
	path  string
	value *template // nil for a grant
}

// outputs are the rule's identity, account, grants, and the fields that are not
// written out.
func (r *rule) outputs() []output {
	var all []output
	if r.identity != nil {
		all = append(all, output{r.path + ".identity", r.identity})
	}
	if r.account != nil {
		all = append(all, output{r.path + ".account", r.account})
	}
	for _, g := range r.grants {
		all = append(all, output{g.path, nil})
		field := func(path string, value any) {
			if t, ok := value.(*template); ok && !t.constant {
				all = append(all, output{path, t})
			}
		}
		for _, f := range g.fields {
			field(f.path, f.value)
		}
		for _, p := range g.params {
			field(p.path, p.value)
		}
	}
	return all
}

// meaning is equal for two issuers when the types of all claims that the rule
// reads are.
func (r *rule) meaning(is *issuer) string {
	programs := []*program{r.when}
	for _, o := range r.outputs() {
		if o.value == nil {
			continue
		}
		for _, part := range o.value.parts {
			if part.program != nil {
				programs = append(programs, part.program)
			}
		}
	}
	var read []string
	for _, p := range programs {
		if p.reads.all {
			return typesKey(is.claimTypes)
		}
		read = append(read, p.reads.claims...)
	}
	slices.Sort(read)
	var b strings.Builder
	for _, name := range slices.Compact(read) {
		fmt.Fprintf(&b, "%q:%s;", name, is.claimTypes[name])
	}
	return b.String()
}
