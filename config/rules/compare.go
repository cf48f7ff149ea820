package rules

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/parser"
)

// An Outcome is what one person comes to under one set of rules: a decision, or
// the error that Decide returned.
type Outcome struct {
	Decision *Decision
	Err      error
}

// A Direction says what a change means to the person it befalls.
type Direction string

// The directions. What is neither more nor less, such as another reason for a
// refusal, merely changes.
const (
	Widens  Direction = "widens"
	Narrows Direction = "narrows"
	Changes Direction = "changes"
)

// A Change is one difference between two outcomes. Before and After are in the
// words of the configuration, nil where there is nothing.
type Change struct {
	What      string    `json:"what"` // outcome, identity, account, ttl, video, video.room, voice.outgoing_params.team, …
	Direction Direction `json:"direction"`
	Before    any       `json:"before"`
	After     any       `json:"after"`
}

// String is the change on one line.
func (c Change) String() string {
	switch {
	case c.Before == nil:
		return fmt.Sprintf("%s %s: gains %s", c.Direction, c.What, compact(c.After))
	case c.After == nil:
		return fmt.Sprintf("%s %s: loses %s", c.Direction, c.What, compact(c.Before))
	}
	return fmt.Sprintf("%s %s: %s → %s", c.Direction, c.What, compact(c.Before), compact(c.After))
}

// Compare lists what changes for somebody who comes to one outcome before and
// to another after: the outcome itself, identity, account, ttl, then each kind
// of grant with its fields. It is empty when nothing does.
//
// A change widens when the person gets what they did not have: a decision where
// there was a refusal, a grant, a field, a longer ttl, any room in place of
// one. So does every other value in place of the one before, of an identity, an
// account or a field, because nothing here knows which of two is worth more.
// Losing what says how much the rest allows widens too, because Twilio's, or the
// application's, default may be more: deployment_role_sid, worker_sid, role, and
// what is under outgoing_params. Losing anything else narrows, as does a
// shorter ttl and one room in place of any.
//
// The error is an *Open when an outcome hangs on what is not known. A decision
// of which only the identity does is compared in the rest with a refusal, and
// with one that computes its identity alike from the same claims, as if Twilio
// would take what that comes to.
func Compare(before, after Outcome) ([]Change, error) {
	b, a, err := decisions(before, after)
	if err != nil {
		return nil, err
	}
	c := &comparison{}
	switch {
	case b == nil && a == nil:
		if was, is := ReasonOf(before.Err), ReasonOf(after.Err); was != is {
			c.add("outcome", Changes, refusal(was), refusal(is))
		}
		return c.changes, nil
	case b == nil:
		c.add("outcome", Widens, refusal(ReasonOf(before.Err)), "granted")
		b = &Decision{}
	case a == nil:
		c.add("outcome", Narrows, "granted", refusal(ReasonOf(after.Err)))
		a = &Decision{}
	}
	c.value("identity", Narrows, text(b.Identity), text(a.Identity))
	c.value("account", Narrows, text(b.Account), text(a.Account))
	c.ttl(b.TTL, a.TTL)
	if reflect.DeepEqual(b.Grants, a.Grants) {
		return c.changes, nil
	}
	was, is := b.Grants.byKind(), a.Grants.byKind()
	for _, kind := range Kinds {
		c.grant(kind, was[string(kind)], is[string(kind)])
	}
	return c.changes, nil
}

func refusal(r Reason) string { return "refused: " + string(r) }

// text is s, or nil for "".
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// A comparison collects changes.
type comparison struct{ changes []Change }

func (c *comparison) add(what string, d Direction, before, after any) {
	c.changes = append(c.changes, Change{what, d, before, after})
}

// value compares a value of which nil is none at all; lost says what losing it
// means.
func (c *comparison) value(what string, lost Direction, before, after any) {
	switch {
	case reflect.DeepEqual(before, after):
	case after == nil:
		c.add(what, lost, before, nil)
	default:
		c.add(what, Widens, before, after)
	}
}

func (c *comparison) ttl(before, after time.Duration) {
	direction := Widens
	if after < before {
		direction = Narrows
	}
	if before != after {
		c.add("ttl", direction, duration(before), duration(after))
	}
}

// duration is d as a configuration has it, or nil for none.
func duration(d time.Duration) any {
	if d == 0 {
		return nil
	}
	return d.String()
}

// grant compares one kind of grant, nil where it is not given.
func (c *comparison) grant(kind Kind, before, after map[string]any) {
	switch name := string(kind); {
	case before == nil && after == nil:
	case before == nil:
		c.add(name, Widens, nil, after)
	case after == nil:
		c.add(name, Narrows, before, nil)
	case kind == KindVideo && (before[fieldAnyRoom] == true) != (after[fieldAnyRoom] == true):
		if after[fieldAnyRoom] == true {
			c.add("video.room", Widens, before["room"], "any room")
		} else {
			c.add("video.room", Narrows, "any room", after["room"])
		}
	default:
		for _, field := range GrantFields(kind) {
			what, lost := name+"."+field, Narrows
			switch field {
			case fieldParams:
				c.params(what, before, after)
				continue
			case "deployment_role_sid", "worker_sid", "role":
				lost = Widens
			}
			c.value(what, lost, before[field], after[field])
		}
	}
}

// params compares outgoing_params. The application that they are for is gone
// where the outgoing application is, and then losing them is losing it.
func (c *comparison) params(what string, before, after map[string]any) {
	lost := Widens
	if after[fieldApplicationSID] == nil {
		lost = Narrows
	}
	was, _ := before[fieldParams].(map[string]any)
	is, _ := after[fieldParams].(map[string]any)
	names := slices.Sorted(maps.Keys(was))
	for name := range is {
		if _, both := was[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c.value(what+"."+name, lost, was[name], is[name])
	}
}

// byKind returns the grants as plain data, by kind and field.
func (g Grants) byKind() map[string]map[string]any {
	kinds, _ := g.words().(map[string]any)
	out := make(map[string]map[string]any, len(kinds))
	for kind, fields := range kinds {
		out[kind], _ = fields.(map[string]any)
	}
	return out
}

// Known names the claims and parameters of which an Input tells whether they
// are there and what they are. A nil *Known knows all.
type Known struct {
	Claims  map[string]bool
	Request map[string]bool
}

func (k *Known) claim(name string) bool     { return k == nil || k.Claims[name] }
func (k *Known) parameter(name string) bool { return k == nil || k.Request[name] }

// An Open is the error of a decision that hangs on what Input.Known does not
// list. It is no refusal: nobody is refused for it.
type Open struct {
	// Missing are the claims and request.NAMEs it hangs on, sorted, as they
	// would be listed in audit.claims.
	Missing []string

	// Where the identity alone hangs on them, rest is the decision without it,
	// and identity tells how it is computed, or is "" where that cannot be told.
	rest     *Decision
	identity string
}

func (o *Open) Error() string {
	return "not decided without " + strings.Join(o.Missing, ", ")
}

// Unknown is the verdict of a condition that hangs on what is not known. No
// Trace has it: who asks for one knows everything.
const Unknown Verdict = "unknown"

// errUnknown is of a value that hangs on what is not known.
var errUnknown = errors.New("it hangs on what is not known")

// known returns an *Open when what was evaluated so far hangs on what is not
// known.
func (d *deciding) known() error {
	if len(d.act.missing) == 0 {
		return nil
	}
	return d.open(nil)
}

// open returns the *Open of this decision; rest is not nil where the identity
// alone is open.
func (d *deciding) open(rest *Decision) *Open {
	o := &Open{Missing: sorted(d.act.missing), rest: rest}
	if rest != nil {
		o.identity = d.identityText()
	}
	return o
}

// contends reports whether r would contribute if it matched.
func (d *deciding) contends(r *rule) bool {
	contends := r.identity == nil && r.account == nil && len(r.grants) == 0 // a cap
	contends = contends || r.identity != nil && d.identity == nil || r.account != nil && d.account == nil
	for _, g := range r.grants {
		contends = contends || d.grantedBy[slices.Index(Kinds[:], g.kind)] == nil
	}
	return contends
}

// identityText tells how the identity is computed, so that where two decisions
// have the same text the same claims give the same identity. It is "" where a
// text does not tell: what a parameter is hangs on its default.
func (d *deciding) identityText() string {
	t := d.issuer.identity
	if d.identity != nil {
		t = d.identity.identity
	}
	var b strings.Builder
	for _, p := range t.parts {
		if p.program == nil {
			fmt.Fprintf(&b, "%q ", p.text)
			continue
		}
		source, err := parser.Unparse(p.program.ast.Expr(), p.program.ast.SourceInfo())
		if err != nil || p.program.reads.all || len(p.program.reads.request) > 0 {
			return ""
		}
		b.WriteString(source)
		for _, name := range p.program.reads.claims {
			fmt.Fprintf(&b, " %q: %s", name, d.issuer.claimTypes[name])
		}
		if strings.Contains(source, pseudonymContext[1:]) {
			b.WriteString(" " + d.act.pseudonym("", "")) // tells one identity_key from another
		}
	}
	return b.String()
}

func sorted(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// decisions returns the decisions of two outcomes, nil for a refusal, or an
// *Open with what comparing them hangs on.
func decisions(before, after Outcome) (b, a *Decision, err error) {
	var openB, openA *Open
	errors.As(before.Err, &openB)
	errors.As(after.Err, &openA)
	switch {
	case openB == nil && openA == nil:
		return before.Decision, after.Decision, nil
	case openB == nil && before.Decision == nil && openA.rest != nil:
		return nil, openA.rest, nil
	case openA == nil && after.Decision == nil && openB.rest != nil:
		return openB.rest, nil, nil
	case openB != nil && openA != nil && openB.identity != "" && openB.identity == openA.identity:
		return openB.rest, openA.rest, nil
	}
	// What more than an identity hangs on comes first: without that one the
	// other need not be known.
	var missing, forIdentity []string
	for _, o := range []*Open{openB, openA} {
		switch {
		case o != nil && o.rest != nil:
			forIdentity = append(forIdentity, o.Missing...)
		case o != nil:
			missing = append(missing, o.Missing...)
		}
	}
	if missing == nil {
		missing = forIdentity
	}
	return nil, nil, &Open{Missing: sorted(missing)}
}

// Filled returns c with what it leaves out filled in as s does, so that another
// Set can decide about the same person at the same time.
func (s *Set) Filled(c Case) Case {
	if c.At.IsZero() {
		c.At = caseTime()
	}
	if is := s.issuers[c.Issuer]; is != nil {
		c.Claims = is.policy.Complete(c.Claims, c.At)
	}
	return c
}
