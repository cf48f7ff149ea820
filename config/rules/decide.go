package rules

import (
	"fmt"
	"slices"
	"time"
)

// Decide decides what the person gets: requirements, deny rules, grants,
// values and account, scope, identity, in this order. Each step is recorded in
// trace, which may be nil. The error is a *Refusal, or, where the decision hangs
// on what in.Known does not list, an *Open.
func (s *Set) Decide(in *Input, trace *Trace) (*Decision, error) {
	return s.decide(in, trace, s.pseudonym)
}

func (s *Set) decide(in *Input, trace *Trace, pseudonym func(issuer, s string) string) (*Decision, error) {
	is := s.issuers[in.Issuer]
	if is == nil {
		return nil, Refuse(UnknownIssuer, "no issuer has this name")
	}
	d := &deciding{set: s, issuer: is, in: in, trace: trace, act: newActivation(in, is.claimTypes, pseudonym)}
	trace.begin(is)
	d.candidates = d.read()
	if err := d.require(); err != nil {
		return nil, err
	}
	if err := d.deny(); err != nil {
		return nil, err
	}
	if err := d.choose(); err != nil {
		return nil, err
	}
	out, err := d.conclude()
	if len(d.act.missing) > 0 {
		return nil, d.open(out)
	}
	return out, err
}

// deciding is the state of one decision.
type deciding struct {
	set    *Set
	issuer *issuer
	in     *Input
	act    *activation
	trace  *Trace

	candidates []int // the rules to read, by their place, in file order

	// Who won what, nil for nobody; contributed has each winner once.
	identity, account *rule
	grants            [len(Kinds)]*grant
	grantedBy         [len(Kinds)]*rule
	contributed       []*rule
}

// read returns the rules to read: all, for who wants to see each one's verdict
// or does not know each claim, and otherwise those that can match.
func (d *deciding) read() []int {
	if d.trace == nil && d.in.Known == nil {
		return d.issuer.index.candidates(d.act, d.issuer.claimTypes)
	}
	all := make([]int, len(d.issuer.rules))
	for i := range all {
		all[i] = i
	}
	return all
}

// require checks that every requirement holds. One that does not refuses for
// certain, whatever the unknown ones come to.
func (d *deciding) require() error {
	for i, c := range d.issuer.require {
		verdict, why := c.program.verdict(d.act)
		d.trace.required(i, verdict, why, d.conjuncts(c.program))
		if verdict != Matched && verdict != Unknown {
			return Refuse(RequirementFailed, "%s: %s", c.path, describe(verdict, why))
		}
	}
	return d.known()
}

// deny applies the rules that refuse. One that matches refuses for certain, so
// it is looked for among all before an undecided one does.
func (d *deciding) deny() error {
	var undecided error
	for _, i := range d.candidates {
		r := d.issuer.rules[i]
		if r.deny == "" {
			continue
		}
		switch verdict, why := d.evaluate(i, r); verdict {
		case Matched:
			d.trace.denied(i, r.deny)
			return Refuse(Denied, "rule %q denies: %s", r.name, r.deny)
		case Undecided:
			if undecided == nil {
				undecided = Refuse(RuleFailed, "rule %q may deny: %s", r.name, describe(verdict, why))
			}
		}
	}
	if err := d.known(); err != nil {
		return err
	}
	return undecided
}

// choose finds, for each output, the first matching rule that sets it.
func (d *deciding) choose() error {
	granted := false
	for _, i := range d.candidates {
		r := d.issuer.rules[i]
		if r.deny != "" {
			continue
		}
		missing := len(d.act.missing)
		verdict, _ := d.evaluate(i, r)
		if verdict == Unknown && !d.contends(r) {
			d.act.missing = d.act.missing[:missing] // nothing hangs on it
		}
		if verdict != Matched {
			continue
		}
		contributes := r.ttl != 0 && r.identity == nil && r.account == nil && len(r.grants) == 0
		if contributes {
			d.trace.wins(i, "ttl")
		}
		if r.identity != nil {
			contributes = d.win(i, &d.identity, r, "identity") || contributes
		}
		if r.account != nil {
			contributes = d.win(i, &d.account, r, "account") || contributes
		}
		for g := range r.grants {
			k := slices.Index(Kinds[:], r.grants[g].kind)
			if d.win(i, &d.grantedBy[k], r, string(Kinds[k])) {
				d.grants[k] = &r.grants[g]
				contributes, granted = true, true
			}
		}
		if contributes {
			d.contributed = append(d.contributed, r)
		}
	}
	if err := d.known(); err != nil {
		return err
	}
	if !granted {
		return Refuse(NoRule, "no rule that matches grants anything")
	}
	return nil
}

// evaluate comes to a rule's verdict; a rule past its day is dead.
func (d *deciding) evaluate(i int, r *rule) (Verdict, string) {
	verdict, why := Expired, ""
	if r.expires.IsZero() || d.in.Now.Before(r.expires) {
		// As the index does, whether it is asked or not: a limit that the rest of
		// the condition runs into makes no difference.
		if verdict = NotMatched; !d.failsPlainly(r.when) {
			verdict, why = r.when.verdict(d.act)
		}
	}
	d.trace.decided(i, verdict, why, d.conjuncts(r.when))
	return verdict, why
}

// failsPlainly reports whether a conjunct is false that an index looks up.
func (d *deciding) failsPlainly(p *program) bool {
	for i := range p.facts {
		f := &p.facts[i]
		if d.in.Known.claim(f.claim) && f.fails(d.act.claim(f.claim, d.issuer.claimTypes[f.claim])) {
			return true
		}
	}
	return false
}

// win gives an output to r unless an earlier rule has it.
func (d *deciding) win(i int, winner **rule, r *rule, output string) bool {
	if *winner != nil {
		d.trace.loses(i, output, (*winner).name)
		return false
	}
	*winner = r
	d.trace.wins(i, output)
	return true
}

// conclude computes the values of what was won.
func (d *deciding) conclude() (*Decision, error) {
	out := &Decision{}
	account, err := d.meantAccount()
	if err != nil {
		return nil, err
	}
	out.Account = account.Name
	out.Identity, err = d.identityValue()
	identityKnown := len(d.act.missing) == 0
	if err != nil && identityKnown {
		return nil, err
	}
	for k, g := range d.grants {
		if g == nil {
			continue
		}
		if g.kind == KindVideo && account.Region != "us1" {
			return nil, Refuse(RuleFailed, "rule %q grants video in region %s, and Video exists in us1 alone", d.grantedBy[k].name, account.Region)
		}
		if err := d.fill(&out.Grants, g); err != nil {
			return nil, err
		}
	}
	if out.TTL, err = d.lifetime(); err != nil {
		return nil, err
	}
	kinds, err := inScope(d.in.Scope, &out.Grants)
	if err != nil {
		return nil, err
	}
	if err := CheckIdentity(out.Identity, &out.Grants); err != nil && identityKnown {
		return nil, err
	}
	if kinds != nil {
		out.Grants = out.Grants.only(kinds)
	}
	for _, r := range d.contributed {
		out.Rules = append(out.Rules, r.name)
	}
	return out, nil
}

// meantAccount returns the account that every rule that won a grant means: its
// own, or the first where it writes none. Their SIDs belong to that account, so
// an account that another rule won must be the same.
func (d *deciding) meantAccount() (*AccountSpec, error) {
	var meant string
	var by *rule
	for k := range len(d.grantedBy) + 1 {
		r := d.account
		if k < len(d.grantedBy) {
			r = d.grantedBy[k]
		}
		if r == nil || r == by {
			continue
		}
		name, err := d.accountOf(r)
		if err != nil {
			return nil, err
		}
		if by != nil && name != meant {
			return nil, Refuse(RuleFailed, "rules %q and %q mean different accounts", by.name, r.name)
		}
		meant, by = name, r
	}
	for i := range d.set.accounts {
		if d.set.accounts[i].Name == meant {
			return &d.set.accounts[i], nil
		}
	}
	return nil, Refuse(RuleFailed, "rule %q names an account that does not exist", by.name)
}

func (d *deciding) accountOf(r *rule) (string, error) {
	if r.account == nil {
		return d.set.accounts[0].Name, nil
	}
	return d.text(r.account, r.path+".account")
}

func (d *deciding) identityValue() (string, error) {
	switch {
	case d.identity != nil:
		return d.text(d.identity.identity, d.identity.path+".identity")
	case d.issuer.identity != nil:
		return d.text(d.issuer.identity, d.issuer.identityPath())
	}
	return "", Refuse(RuleFailed, "no rule that matches sets an identity, and the issuer has none")
}

// identityPath names the issuer's identity in refusals and traces.
func (is *issuer) identityPath() string { return "the identity of issuer " + is.name }

// text computes a value that must be there.
func (d *deciding) text(t *template, path string) (string, error) {
	v, err := t.eval(d.act, textValue)
	if err != nil {
		return "", Refuse(RuleFailed, "%s: %s", path, err)
	}
	if v == nil || v == "" {
		return "", Refuse(RuleFailed, "%s: its value is empty", path)
	}
	d.trace.computed(path)
	return v.(string), nil
}

// fill computes the fields of a grant and adds it to grants. Nothing is left
// out because it cannot be computed: a grant is as written, or there is none.
func (d *deciding) fill(grants *Grants, g *grant) error {
	grants.add(g.kind)
	left := 0
	for _, f := range g.fields {
		v, err := d.fieldValue(&f)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		f.set(grants, v)
		d.trace.computed(f.path)
		if v != false {
			left++
		}
	}
	switch {
	case g.anyRoom:
		grants.Video.AnyRoom = true
	case left == 0:
		return Refuse(RuleFailed, "%s: nothing is left in it", g.path)
	}
	if len(g.params) > 0 && grants.Voice.OutgoingApplicationSID != "" {
		grants.Voice.OutgoingParams = make(map[string]any, len(g.params))
		for _, p := range g.params {
			v, err := d.paramValue(&p)
			if err != nil {
				return err
			}
			grants.Voice.OutgoingParams[p.name] = v
			d.trace.computed(p.path)
		}
	}
	d.trace.computed(g.path)
	return nil
}

// fieldValue computes a field; nil means that it is left out.
func (d *deciding) fieldValue(f *grantField) (any, error) {
	t, ok := f.value.(*template)
	if !ok {
		return f.value, nil
	}
	v, err := t.eval(d.act, f.kind)
	switch {
	case err != nil:
		return nil, Refuse(RuleFailed, "%s: %s", f.path, err)
	case v == nil && f.optional:
		return nil, nil
	case v == nil || v == "":
		return nil, Refuse(RuleFailed, "%s: its value is empty", f.path)
	}
	if text, ok := v.(string); ok {
		if want := f.check(text); want != "" {
			return nil, Refuse(RuleFailed, "%s: its value is not %s", f.path, want)
		}
	}
	return v, nil
}

func (d *deciding) paramValue(p *grantParam) (any, error) {
	t, ok := p.value.(*template)
	if !ok {
		return p.value, nil
	}
	v, err := t.eval(d.act, anyValue)
	if err != nil {
		return nil, Refuse(RuleFailed, "%s: %s", p.path, err)
	}
	if v == nil || v == "" {
		return nil, Refuse(RuleFailed, "%s: its value is empty", p.path)
	}
	return v, nil
}

// lifetime is the shortest ttl among the rules that contributed, else the
// default, within what tokens allows.
func (d *deciding) lifetime() (time.Duration, error) {
	var ttl time.Duration
	for _, r := range d.contributed {
		if r.ttl != 0 && (ttl == 0 || r.ttl < ttl) {
			ttl = r.ttl
		}
	}
	if ttl == 0 {
		ttl = d.set.ttl
	}
	ttl = min(ttl, d.set.maxTTL)
	if !d.set.notBeyondIDToken {
		return ttl, nil
	}
	if !d.in.Known.claim("exp") {
		d.act.missing = append(d.act.missing, "exp")
		return 0, errUnknown
	}
	exp, ok := timeOf(d.in.Claims["exp"])
	left := exp.Sub(d.in.Now).Truncate(time.Second)
	if !ok || left < time.Minute {
		return 0, Refuse(TokenExpired, "under a minute is left of the ID token, and tokens.not_beyond_id_token is set")
	}
	return min(ttl, left), nil
}

// inScope returns the kinds that scope asks for, nil for all. What the rules do
// not give is refused rather than left out.
func inScope(scope []string, grants *Grants) ([]Kind, error) {
	var kinds []Kind
	for _, word := range scope {
		kind := Kind(word)
		switch {
		case !slices.Contains(Kinds[:], kind): // the client's own word
			return nil, Refuse(InvalidScope, "scope asks for what is no kind of grant")
		case !grants.Has(kind):
			return nil, Refuse(InvalidScope, "scope asks for %s, which the rules do not give", kind)
		}
		kinds = append(kinds, kind)
	}
	return kinds, nil
}

func describe(v Verdict, why string) string {
	if why == "" {
		return string(v)
	}
	return fmt.Sprintf("%s (%s)", v, why)
}
