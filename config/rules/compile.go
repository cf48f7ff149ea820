package rules

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
)

// A Set is a compiled Spec. It is immutable and safe for concurrent use.
type Set struct {
	issuers          map[string]*issuer
	accounts         []AccountSpec
	parameters       []parameter
	ttl, maxTTL      time.Duration
	notBeyondIDToken bool
	pseudonym        func(issuer, s string) string
	rules            int
}

// Len returns the number of rules.
func (s *Set) Len() int { return s.rules }

// An issuer is what is decided for one issuer's tokens.
type issuer struct {
	name       string
	policy     Policy
	claimTypes map[string]claimType
	reads      map[string]bool // claims that decide anything for this issuer
	readsAll   bool
	require    []condition
	identity   *template // nil: every way to a grant sets one
	rules      []*rule   // in file order, only those that apply
	index      *index    // of rules
}

type condition struct {
	path    string
	program *program
}

// A rule is a rule compiled for one issuer.
type rule struct {
	index    int // in the file
	name     string
	path     string
	when     *program
	deny     string // why it refuses, for operators; "": it grants
	ttl      time.Duration
	expires  time.Time
	account  *template
	identity *template
	grants   []grant
}

type grant struct {
	kind    Kind
	path    string
	fields  []grantField
	params  []grantParam
	anyRoom bool
}

type grantField struct {
	*field
	path  string
	value any // *template, or a bool
}

type grantParam struct {
	path, name string
	value      any // *template, or a constant
}

// A parameter is a compiled ParameterSpec.
type parameter struct {
	ParameterSpec
	pattern *regexp.Regexp // nil: an enum
}

// A compiler compiles a Spec and collects what is wrong with it. Expressions
// are compiled once for each set of claim types they are used with.
type compiler struct {
	spec     *Spec
	faults   []Fault
	reported map[string]bool
	envs     map[string]*cel.Env
	programs map[string]*program // nil entries: did not compile
}

// Compile checks and compiles spec. The Set is nil when there is a fault that
// is not a warning.
func Compile(spec *Spec) (*Set, []Fault) { return compileSpec(spec, true) }

// compileSpec compiles spec, with the proofs and lints or, for tests of what is
// not proven, without.
func compileSpec(spec *Spec, prove bool) (*Set, []Fault) {
	c := &compiler{spec: spec, reported: map[string]bool{}, envs: map[string]*cel.Env{}, programs: map[string]*program{}}
	set := &Set{
		issuers:          map[string]*issuer{},
		accounts:         spec.Accounts,
		parameters:       c.parameters(),
		ttl:              spec.TTL,
		maxTTL:           spec.MaxTTL,
		notBeyondIDToken: spec.NotBeyondIDToken,
		pseudonym:        spec.Pseudonym,
		rules:            len(spec.Rules),
	}
	c.checkRules()
	for i := range spec.Issuers {
		if is := &spec.Issuers[i]; set.issuers[is.Name] == nil {
			set.issuers[is.Name] = c.issuer(is)
		}
	}
	if prove && !c.failed() { // what was not compiled cannot be proven anything of
		c.checkIdentities(set)
		c.checkJoins(set)
		c.checkVoice(set)
		if !spec.Partial {
			c.lint(set)
		}
	}
	if c.failed() {
		return nil, c.faults
	}
	for _, is := range set.issuers {
		is.index = newIndex(is.rules)
	}
	return set, c.faults
}

// failed reports whether there is a fault that is not a warning.
func (c *compiler) failed() bool {
	return slices.ContainsFunc(c.faults, func(f Fault) bool { return !f.Warning })
}

// fault records a fault once: what is wrong for one issuer is usually wrong
// for all.
func (c *compiler) fault(f Fault) {
	key := fmt.Sprintf("%s\x00%d\x00%s", f.Path, f.Offset, f.Message)
	if !c.reported[key] {
		c.reported[key] = true
		c.faults = append(c.faults, f)
	}
}

// issuer compiles everything that applies to one issuer.
func (c *compiler) issuer(spec *IssuerSpec) *issuer {
	is := &issuer{name: spec.Name, policy: spec.Policy, claimTypes: standardClaims(), reads: map[string]bool{}}
	for _, claim := range spec.Claims {
		t, ok := parseClaimType(claim.Type)
		if !ok {
			c.fault(Fault{Path: claim.Path, ID: "unknown-type", Message: fmt.Sprintf("%q is not a type of claims", claim.Type),
				Hint: "the types are string, int, double, bool and list(string), list(int), list(double), list(bool)"})
			continue
		}
		is.claimTypes[claim.Name] = t
	}
	for _, text := range spec.Require {
		if p := c.condition(is, text); p != nil {
			is.require = append(is.require, condition{text.Path, p})
		}
	}
	is.identity = c.identity(is, spec.Identity)
	for i := range c.spec.Rules {
		rs := &c.spec.Rules[i]
		if rs.Issuers == nil || slices.Contains(rs.Issuers, spec.Name) {
			is.rules = append(is.rules, c.rule(is, i, rs))
		}
	}
	if spec.Identity.IsZero() {
		c.checkIdentityEverywhere(spec, is)
	}
	return is
}

// checkIdentityEverywhere faults a way to a grant that leaves the identity to
// an issuer that has none.
func (c *compiler) checkIdentityEverywhere(spec *IssuerSpec, is *issuer) {
	for _, r := range is.rules {
		if r.identity != nil && c.spec.Rules[r.index].When.Source == "true" && r.expires.IsZero() {
			return
		}
	}
	for _, r := range is.rules {
		if len(r.grants) > 0 && r.identity == nil {
			c.fault(Fault{Path: spec.Path, ID: "no-identity", Message: fmt.Sprintf("issuer %q has no identity, and rule %q grants without setting one", spec.Name, r.name),
				Hint: fmt.Sprintf(`add identity: "%s__${escape(claims.sub)}"`, spec.Name)})
			return
		}
	}
}

func (c *compiler) rule(is *issuer, index int, spec *RuleSpec) *rule {
	r := &rule{
		index: index, name: spec.Name, path: spec.Path, deny: spec.Deny, ttl: spec.TTL, expires: spec.Expires,
		when:     c.condition(is, spec.When),
		account:  c.value(is, spec.Account, textValue),
		identity: c.identity(is, spec.Identity),
	}
	for i := range spec.Grants {
		r.grants = append(r.grants, c.grant(is, &spec.Grants[i]))
	}
	return r
}

func (c *compiler) grant(is *issuer, spec *GrantSpec) grant {
	g := grant{kind: spec.Kind, path: spec.Path}
	known := fieldsOf(spec.Kind)
	for _, fs := range spec.Fields {
		switch {
		case spec.Kind == KindVoice && fs.Name == fieldParams:
			params, _ := fs.Value.([]FieldSpec)
			for _, p := range params {
				g.params = append(g.params, grantParam{p.Path, p.Name, c.fieldValue(is, p, anyValue)})
			}
		case spec.Kind == KindVideo && fs.Name == fieldAnyRoom:
			g.anyRoom, _ = fs.Value.(bool)
		default:
			if i := slices.IndexFunc(known, func(f field) bool { return f.name == fs.Name }); i >= 0 {
				f := &known[i]
				value := c.fieldValue(is, fs, f.kind)
				c.checkConstant(is, f, fs, value)
				g.fields = append(g.fields, grantField{f, fs.Path, value})
			}
		}
	}
	return g
}

// fieldValue compiles the value of a field: text is a template, anything else
// stands for itself.
func (c *compiler) fieldValue(is *issuer, spec FieldSpec, kind valueKind) any {
	text, ok := spec.Value.(string)
	if !ok {
		return spec.Value
	}
	if t := c.value(is, Text{spec.Path, text}, kind); t != nil {
		return t
	}
	return nil // a fault was recorded
}

// checkConstant applies to what is written out the check that a computed value
// gets at each decision.
func (c *compiler) checkConstant(is *issuer, f *field, spec FieldSpec, value any) {
	t, ok := value.(*template)
	if !ok || !t.constant {
		return
	}
	if f.kind == flagValue {
		c.fault(Fault{Path: spec.Path, ID: "wrong-type", Message: f.name + " is true or false", Hint: "leave out the quotes"})
		return
	}
	hint := c.plainHint(is, t.text())
	if want := f.check(t.text()); want != "" {
		c.fault(Fault{Path: spec.Path, ID: "invalid-value", Message: fmt.Sprintf("%s is not %s", quote(t.text()), want), Hint: hint})
	} else if hint != "" {
		c.fault(Fault{Path: spec.Path, Warning: true, ID: "plain-expression", Message: "this is plain text, the same for everybody", Hint: hint})
	}
}

// identity compiles an identity, and faults an expression outside ${ }.
func (c *compiler) identity(is *issuer, text Text) *template {
	t := c.value(is, text, textValue)
	if t != nil && t.constant {
		if hint := c.plainHint(is, t.text()); hint != "" {
			c.fault(Fault{Path: text.Path, ID: "plain-expression", Message: "this is plain text, the same for everybody", Hint: hint})
			return nil
		}
	}
	return t
}

// plainHint says how an expression is written that stands in a value as plain
// text, or "" where the text is none.
func (c *compiler) plainHint(is *issuer, text string) string {
	if !readsMember.MatchString(text) {
		return ""
	}
	env, err := c.env(typesKey(is.claimTypes), is)
	if err != nil {
		return ""
	}
	if _, issues := env.Compile(text); issues.Err() != nil {
		return ""
	}
	return fmt.Sprintf(`write "${%s}"`, text)
}

var readsMember = regexp.MustCompile(`\b(claims|request)[.\[]`)

// condition compiles a condition, or returns nil after recording a fault.
func (c *compiler) condition(is *issuer, text Text) *program {
	if strings.TrimSpace(text.Source) == "" {
		return nil // checkRules said so
	}
	p := c.compile(is, text.Path, text.Source, 0)
	if p == nil {
		return nil
	}
	if !conditionType(p.typ) {
		c.fault(Fault{Path: text.Path, ID: "not-a-condition", Message: fmt.Sprintf("a condition is a bool, and this is %s %s", article(typeName(p.typ)), typeName(p.typ))})
		return nil
	}
	return p
}

// value compiles a value; nil stands for one that was not written or, after a
// fault, did not compile.
func (c *compiler) value(is *issuer, text Text, kind valueKind) *template {
	if text.IsZero() {
		return nil
	}
	parts, fault := parseTemplate(text.Source)
	if fault != nil {
		fault.Path = text.Path
		c.fault(*fault)
		return nil
	}
	if fault := foreign(parts); fault != nil && kind != anyValue { // parameters of a call may be templates of the application's own
		fault.Path = text.Path
		c.fault(*fault)
		return nil
	}
	t := &template{constant: !slices.ContainsFunc(parts, func(p part) bool { return p.expr })}
	if t.constant && text.Source == "" {
		c.fault(Fault{Path: text.Path, ID: "empty-value", Message: "the value is empty"})
		return nil
	}
	if kind == flagValue && !t.constant && len(parts) > 1 {
		c.fault(Fault{Path: text.Path, ID: "type-mismatch", Message: "this is text, and a bool is wanted", Hint: "let the value be one ${…} alone"})
		return nil
	}
	alone, ok := len(parts) == 1, true
	if !alone && !t.constant {
		kind = textValue
	}
	for _, p := range parts {
		compiled := templatePart{text: p.text}
		if p.expr {
			if compiled.program = c.compile(is, text.Path, p.text, p.offset); compiled.program == nil {
				ok = false
				continue
			}
			if typ := compiled.program.typ; !kind.fits(typ, alone) {
				ok = false
				c.fault(mismatch(text.Path, p, kind, typeName(typ), alone))
			}
		}
		t.parts = append(t.parts, compiled)
	}
	if !ok {
		return nil
	}
	return t
}

func mismatch(path string, p part, kind valueKind, typ string, alone bool) Fault {
	f := Fault{Path: path, Offset: p.offset, Length: len(p.text), ID: "type-mismatch"}
	switch {
	case kind == flagValue:
		f.Message = fmt.Sprintf("this is %s %s, and a bool is wanted", article(typ), typ)
	case !alone && strings.HasPrefix(typ, "optional"):
		f.Message = fmt.Sprintf("this is %s %s, and text takes strings and ints", article(typ), typ)
		f.Hint = "give it a value for when it is absent: .orValue('…')"
	default:
		f.Message = fmt.Sprintf("this is %s %s, and text takes strings and ints", article(typ), typ)
	}
	return f
}

// compile compiles the expression src, which stands at offset in the text at
// path.
func (c *compiler) compile(is *issuer, path, src string, offset int) *program {
	typesKey := typesKey(is.claimTypes)
	key := typesKey + "\x00" + src
	p, known := c.programs[key]
	if !known {
		env, err := c.env(typesKey, is)
		if err == nil {
			p, err = c.compileIn(env, path, src, offset)
		}
		if err != nil {
			c.fault(Fault{Path: path, Offset: offset, Length: len(src), ID: "cel", Message: err.Error()})
		}
		if p != nil { // what failed is compiled again where it stands again, for the place
			c.programs[key] = p
		}
	}
	if p != nil {
		is.readsAll = is.readsAll || p.reads.all
		for _, name := range p.reads.claims {
			is.reads[name] = true
		}
	}
	return p
}

func (c *compiler) env(typesKey string, is *issuer) (*cel.Env, error) {
	if env, ok := c.envs[typesKey]; ok {
		return env, nil
	}
	var names []string
	for _, p := range c.spec.Parameters {
		names = append(names, p.Name)
	}
	env, err := newEnv(is.claimTypes, names)
	if err == nil {
		c.envs[typesKey] = env
	}
	return env, err
}

func (c *compiler) compileIn(env *cel.Env, path, src string, offset int) (*program, error) {
	checked, ok := c.check(env, path, src, offset)
	if !ok {
		return nil, nil
	}
	return newProgram(env, checked)
}

func article(noun string) string {
	if strings.ContainsAny(noun[:1], "aeiou") {
		return "an"
	}
	return "a"
}

// quote quotes what an operator wrote, cut to a length that a line holds.
func quote(s string) string {
	if r := []rune(s); len(r) > 40 {
		s = string(r[:39]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
