package rules

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// A Case is a test of a Set: claims and a request, and what must come of them.
type Case struct {
	Path    string // tests[0]
	Name    string
	Issuer  string // an issuer's name
	Claims  Claims
	Request map[string]string
	Scope   []string
	At      time.Time
	Expect  Expectation
}

// An Expectation is what a Case must come to; nil and "" are not compared.
type Expectation struct {
	Identity *string
	Account  *string
	TTL      *time.Duration
	Scope    []string       // sorted
	Grants   map[string]any // in the words of grants:, compared whole
	Refused  Reason
}

// A Result is what a Case came to.
type Result struct {
	Decision *Decision // nil when refused
	Err      error     // the refusal
	Diffs    []Diff    // empty: the case passed
}

// A Diff is one thing that is not as expected. Want and Got are compact JSON.
type Diff struct {
	What string `json:"what"` // identity, account, ttl, scope, grants, refused
	Want string `json:"want"`
	Got  string `json:"got"`
}

// caseTime is when a case without at: happens: never at the wall clock's time,
// so that a configuration which loads today loads tomorrow.
func caseTime() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// caseKey is the key of pseudonym() in cases, so that their results can be
// written down without telling a secret.
const caseKey = "test"

// RunCase runs the policy, the requirements and the rules over a case: all of
// an exchange but the signature.
func (s *Set) RunCase(c *Case) Result { return s.TraceCase(c, nil) }

// TraceCase is RunCase with a trace, as Decide takes it.
func (s *Set) TraceCase(c *Case, trace *Trace) Result {
	at := c.At
	if at.IsZero() {
		at = caseTime()
	}
	var r Result
	r.Decision, r.Err = s.decideCase(c, at, trace)
	r.Diffs = c.Expect.diffs(r.Decision, r.Err)
	return r
}

func (s *Set) decideCase(c *Case, at time.Time, trace *Trace) (*Decision, error) {
	is := s.issuers[c.Issuer]
	if is == nil {
		return nil, Refuse(UnknownIssuer, "no issuer is named %q", c.Issuer)
	}
	request, err := s.Parameters(c.Request)
	if err != nil {
		return nil, err
	}
	claims := is.policy.Complete(c.Claims, at)
	if err := checkAmbiguous(claims); err != nil {
		return nil, err
	}
	in := &Input{Issuer: c.Issuer, Claims: claims, Request: request, Scope: c.Scope, Now: at}
	if in.Client, err = s.CheckClaims(c.Issuer, claims, at); err != nil {
		return nil, err
	}
	iss, _ := claims["iss"].(string)
	in.IssuerID = is.policy.IssuerID(iss)
	return s.decide(in, trace, func(issuer, s string) string { return Pseudonym([]byte(caseKey), issuer, s) })
}

// diffs compares what is expected with what came.
func (e *Expectation) diffs(d *Decision, err error) []Diff {
	got := string(ReasonOf(err))
	switch {
	case err != nil && e.Refused == "":
		return []Diff{{"refused", "a decision", err.Error()}}
	case err == nil && e.Refused != "":
		return []Diff{{"refused", string(e.Refused), "a decision: " + compact(d.Grants)}}
	case got != string(e.Refused):
		return []Diff{{"refused", string(e.Refused), err.Error()}}
	case err != nil:
		return nil
	}
	var diffs []Diff
	compare := func(what string, want, got any) {
		if want, got := compact(want), compact(got); want != got {
			diffs = append(diffs, Diff{what, want, got})
		}
	}
	if e.Identity != nil {
		compare("identity", *e.Identity, d.Identity)
	}
	if e.Account != nil {
		compare("account", *e.Account, d.Account)
	}
	if e.TTL != nil {
		compare("ttl", e.TTL.String(), d.TTL.String())
	}
	if e.Scope != nil {
		compare("scope", slices.Sorted(slices.Values(e.Scope)), slices.Sorted(slices.Values(d.Grants.Kinds())))
	}
	if e.Grants != nil {
		compare("grants", e.Grants, d.Grants.words())
	}
	return diffs
}

// words returns the grants as plain data in the words of the configuration.
func (g Grants) words() any {
	var words any
	d := json.NewDecoder(strings.NewReader(compact(g)))
	d.UseNumber() // so that an integer stays one
	if err := d.Decode(&words); err != nil {
		return nil // cannot be: it was encoded a moment ago
	}
	return words
}

// compact is v as JSON on one line, with the members of objects sorted.
func compact(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err.Error()
	}
	return strings.TrimSuffix(b.String(), "\n")
}
