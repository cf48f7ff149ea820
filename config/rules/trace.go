package rules

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
// of rules and claims and no claim's value. A nil Trace records nothing.
type Trace struct {
	Require []Step `json:"require"`
	Rules   []Step `json:"rules"`
}

// A Step is one condition of a Trace.
type Step struct {
	Name    string   `json:"name,omitempty"` // the rule's name
	Path    string   `json:"path"`           // rules[4]
	Deny    bool     `json:"deny,omitempty"`
	Verdict Verdict  `json:"verdict"`
	Why     string   `json:"why,omitempty"`   // of undecided: claim "groups" is absent; of a deny that matched: its text
	Wins    []string `json:"wins,omitempty"`  // outputs: identity, account, ttl, voice, …
	Loses   []Lost   `json:"loses,omitempty"` // outputs an earlier rule had already won
}

// Lost is an output that a matching rule sets and an earlier one had won.
type Lost struct {
	Output string `json:"output"`
	To     string `json:"to"` // the earlier rule's name
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
		t.Rules = append(t.Rules, Step{Name: r.name, Path: r.path, Deny: r.deny != "", Verdict: NotReached})
	}
}

func (t *Trace) required(i int, v Verdict, why string) {
	if t != nil {
		t.Require[i].Verdict, t.Require[i].Why = v, why
	}
}

func (t *Trace) decided(i int, v Verdict, why string) {
	if t != nil {
		t.Rules[i].Verdict, t.Rules[i].Why = v, why
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
