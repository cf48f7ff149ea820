package rules

import "time"

// A Spec is a set of rules as it was written: texts with the place each came
// from. Compile turns it into a Set.
type Spec struct {
	Issuers    []IssuerSpec
	Accounts   []AccountSpec // the first is the default
	Parameters []ParameterSpec
	TTL        time.Duration // for decisions no rule gave a ttl
	MaxTTL     time.Duration // no decision outlives it
	// NotBeyondIDToken keeps the ttl within what is left of the ID token; with
	// under 60 s left the token counts as expired.
	NotBeyondIDToken bool
	// Pseudonym computes pseudonym(s) for an issuer; nil where no identity_key
	// is configured, and then using pseudonym is a fault.
	Pseudonym func(issuer, s string) string
	Rules     []RuleSpec
	// Audited are claims that the audit log writes down, whether or not rules
	// read them.
	Audited []string
	// Partial says that the configuration has faults already, and placeholders
	// where they are: nothing is warned of that may come from those.
	Partial bool
}

// A Text is a condition or a value as written, with its path in the
// configuration, such as rules[4].when. The zero Text is one that was not
// written.
type Text struct {
	Path   string
	Source string
}

// IsZero reports whether the text was not written.
func (t Text) IsZero() bool { return t.Path == "" }

// An IssuerSpec is what the rules need to know of an issuer.
type IssuerSpec struct {
	Path     string // issuers[0]
	Name     string
	Policy   Policy
	Claims   []ClaimSpec // types beyond those of standard claims
	Require  []Text      // conditions
	Identity Text        // a value; zero where every rule with grants sets its own
	// Persons are sets of claims of which each alone tells one person of the
	// issuer from another; nil stands for sub.
	Persons          [][]string
	InsecureIdentity bool // Identity need not be proven one-to-one
	// Editable are claims that nothing in the issuer's tokens vouches for,
	// beyond those, such as name, that people write themselves anywhere.
	Editable []string
	Crowds   []Crowd
}

// A Crowd is people, or machines, who can have an issuer's tokens for our
// audiences without anybody's leave: a rule that grants has to tell its people
// from them.
type Crowd struct {
	ID  string // of the warning
	Who string // anybody with a Google account
	// Claims are those that tell: a condition on one of them is enough. Nil
	// stands for every claim that does not say the same of everybody, and that
	// people cannot write themselves. "client" stands for the variable.
	Claims []string
	Hint   string
	// Path is where the warning belongs, once for all rules; "" for each rule.
	Path string
}

func (is *IssuerSpec) persons() [][]string {
	if is.Persons == nil {
		return [][]string{{"sub"}}
	}
	return is.Persons
}

// A ClaimSpec declares a claim's type: string, int, double, bool or
// list(string), list(int), list(double), list(bool).
type ClaimSpec struct {
	Path string
	Name string
	Type string
}

// An AccountSpec is a Twilio account a rule may choose.
type AccountSpec struct {
	Name   string
	Region string // us1, ie1, au1
}

// A ParameterSpec is a request parameter a client may send: exactly one of
// Pattern and Enum is set.
type ParameterSpec struct {
	Path       string
	Name       string
	Pattern    string // RE2; matched against the whole value
	Enum       []string
	Default    string
	HasDefault bool
}

// A RuleSpec is one rule as written.
type RuleSpec struct {
	Path    string // rules[4]
	Name    string
	Issuers []string // names; nil means every issuer
	// AnyIssuer says that every issuer is meant, and not forgotten.
	AnyIssuer bool
	When      Text
	Deny      string        // not empty: the rule refuses, for this reason given to operators
	TTL       time.Duration // 0: not set
	Expires   time.Time     // zero: never; otherwise the rule is dead from this instant
	Account   Text
	Identity  Text
	Grants    []GrantSpec
	// InsecureIdentity says that Identity need not be proven one-to-one.
	InsecureIdentity bool
}

// A GrantSpec is one kind of grant as written in a rule.
type GrantSpec struct {
	Path   string // rules[4].grants.video
	Kind   Kind
	Fields []FieldSpec
}

// A FieldSpec is one field of a grant as written. Value is a string (a value
// that may hold ${CEL}), a bool, an int64, a float64, or, for outgoing_params,
// a []FieldSpec.
type FieldSpec struct {
	Path  string
	Name  string
	Value any
}

// A Fault is something wrong with a Spec. Offset and Length point into the
// text at Path in bytes; Length 0 means the whole value.
type Fault struct {
	Path    string
	Offset  int
	Length  int
	Warning bool   // the set is usable all the same
	ID      string // stable, kebab-case
	Message string // what is wrong, lower case, no full stop
	Hint    string // what would be right; may be empty
	// Unfinished says that the text ends before something in it does.
	Unfinished bool
}
