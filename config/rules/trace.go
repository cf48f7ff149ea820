package rules

import "slices"

// A Verdict is what a condition came to.
type Verdict string

// The verdicts. A rule was not reached when a refusal came before it; one that
// expired was not evaluated.
const (
	Matched    Verdict = "matched"
	NotMatched Verdict = "not matched"
	Undecided  Verdict = "undecided"
	Expired    Verdict = "expired"
	NotReached Verdict = "not reached"
)

// A Trace is the record the evaluator keeps of one decision: the issuer's
// requirements, and the rules that apply to it, in file order. It holds names
// of rules and claims and no claim's value. A nil Trace records nothing, and
// costs nothing; with one, each condition is evaluated once more and in full.
type Trace struct {
	Require  []Step   `json:"require"`
	Rules    []Step   `json:"rules"`
	Computed []string `json:"computed,omitempty"` // paths of the values and grants that were computed
}

// A Step is one condition of a Trace.
type Step struct {
	Name      string     `json:"name,omitempty"` // the rule's name
	Path      string     `json:"path"`           // rules[4]
	Deny      bool       `json:"deny,omitempty"`
	Sets      []string   `json:"sets,omitempty"` // outputs: identity, account, ttl, voice, …
	Verdict   Verdict    `json:"verdict"`
	Why       string     `json:"why,omitempty"`       // of undecided: claim "groups" is absent; of a deny that matched: its text
	Conjuncts []Conjunct `json:"conjuncts,omitempty"` // of a condition that was reached
	Wins      []string   `json:"wins,omitempty"`      // outputs
	Loses     []Lost     `json:"loses,omitempty"`     // outputs an earlier rule had already won
}

// A Conjunct is an operand of a condition's top-level &&, or the whole
// condition where it has none. A condition matches when each of its conjuncts
// does, does not when one does not, and else is undecided. That of a rule that
// has expired tells what the rule would have come to.
type Conjunct struct {
	Text    string  `json:"text"` // as written, on one line
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"` // of undecided
	Reads   []Read  `json:"reads,omitempty"`
}

// A Read is a claim or a parameter that a conjunct reads. Its value is not here:
// who may see it finds it in the Input.
type Read struct {
	Kind string `json:"kind"` // claim, parameter
	Name string `json:"name"`
}

// Lost is an output that a matching rule sets and an earlier one had won.
type Lost struct {
	Output string `json:"output"`
	To     string `json:"to"` // the earlier rule's name
}

// Closest returns, of the rules that would grant something, the one that came
// closest to matching: with the fewest conjuncts that are not true, and the most
// that are. Having expired counts as one that is not. It returns nil when no
// rule that grants was reached, or one matched.
func (t *Trace) Closest() *Step {
	var closest *Step
	for i := range t.Rules {
		s := &t.Rules[i]
		switch {
		case !s.grants() || s.Verdict == NotReached:
		case s.Verdict == Matched:
			return nil
		case closest == nil || s.misses() < closest.misses() || s.misses() == closest.misses() && len(s.Conjuncts) > len(closest.Conjuncts):
			closest = s
		}
	}
	return closest
}

// grants reports whether the rule would grant something.
func (s *Step) grants() bool {
	return slices.ContainsFunc(s.Sets, func(output string) bool { return slices.Contains(Kinds[:], Kind(output)) })
}

// misses counts what keeps the rule from matching.
func (s *Step) misses() int {
	n := 0
	if s.Verdict == Expired {
		n++
	}
	for _, c := range s.Conjuncts {
		if c.Verdict != Matched {
			n++
		}
	}
	return n
}

// begin lists what there is to decide.
func (t *Trace) begin(is *issuer) {
	if t == nil {
		return
	}
	*t = Trace{Require: []Step{}, Rules: []Step{}}
	for _, c := range is.require {
		t.Require = append(t.Require, Step{Path: c.path, Verdict: NotReached})
	}
	for _, r := range is.rules {
		t.Rules = append(t.Rules, Step{Name: r.name, Path: r.path, Deny: r.deny != "", Sets: r.sets(), Verdict: NotReached})
	}
}

// sets names the outputs that the rule sets.
func (r *rule) sets() []string {
	var outputs []string
	if r.identity != nil {
		outputs = append(outputs, "identity")
	}
	if r.account != nil {
		outputs = append(outputs, "account")
	}
	if r.ttl != 0 {
		outputs = append(outputs, "ttl")
	}
	for _, g := range r.grants {
		outputs = append(outputs, string(g.kind))
	}
	return outputs
}

func (t *Trace) required(i int, v Verdict, why string, conjuncts []Conjunct) {
	if t != nil {
		t.Require[i].Verdict, t.Require[i].Why, t.Require[i].Conjuncts = v, why, conjuncts
	}
}

func (t *Trace) decided(i int, v Verdict, why string, conjuncts []Conjunct) {
	if t != nil {
		t.Rules[i].Verdict, t.Rules[i].Why, t.Rules[i].Conjuncts = v, why, conjuncts
	}
}

func (t *Trace) denied(i int, why string) {
	if t != nil {
		t.Rules[i].Why = why
	}
}

func (t *Trace) computed(path string) {
	if t != nil && !slices.Contains(t.Computed, path) { // an account may be asked for twice
		t.Computed = append(t.Computed, path)
	}
}

func (t *Trace) wins(i int, output string) {
	if t != nil {
		t.Rules[i].Wins = append(t.Rules[i].Wins, output)
	}
}

func (t *Trace) loses(i int, output, to string) {
	if t != nil {
		t.Rules[i].Loses = append(t.Rules[i].Loses, Lost{output, to})
	}
}
