package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"twilio-sts/config/rules"
)

func (d *decoder) rules(v value) []rules.RuleSpec {
	var specs []rules.RuleSpec
	for _, item := range v.list() {
		if o, ok := item.object("name", "issuer", "when", "deny", "ttl", "expires", "account", "identity", "insecure_identity", "grants"); ok {
			specs = append(specs, d.rule(o))
		}
	}
	if v.isEmpty() {
		v.fault("missing-value", "there is no rule, so nobody would get anything", "")
	}
	return specs
}

func (d *decoder) rule(o object) rules.RuleSpec {
	r := rules.RuleSpec{Path: o.path, Name: o.need("name").word(), When: rules.Text{Path: join(o.path, "when")}}
	when := o.need("when")
	if r.When.Source = when.literal(); r.When.Source == "" && !when.isBlank() {
		r.When.Source = "false" // its absence is a fault already
	}
	r.Issuers = d.ruleIssuers(o.get("issuer"))
	r.AnyIssuer = o.get("issuer").isSet()
	if deny := o.get("deny"); deny.isNo() {
		deny.unreadable("wrong-type", "deny says why, as text: whatever is written there, the rule refuses", "write deny: account suspended, or leave deny out")
		d.unread[o.path] = true // what the rule does without it
	} else {
		r.Deny = deny.text()
	}
	if ttl := o.get("ttl"); ttl.isSet() {
		r.TTL = d.ttl(ttl, 0, 24*time.Hour-time.Second)
	}
	r.Expires = d.date(o.get("expires"))
	r.Account = o.get("account").template()
	r.Identity = o.get("identity").template()
	r.InsecureIdentity = o.get("insecure_identity").text() != ""
	if grants := o.get("grants"); grants.isSet() {
		r.Grants = d.grants(grants)
	}
	return r
}

// isNo reports whether true, false, or a word for false stands where text
// belongs.
func (v value) isNo() bool {
	return v.isSet() && v.node.Kind == yaml.ScalarNode &&
		(v.node.Tag == "!!bool" || slices.Contains([]string{"no", "false", "off"}, strings.ToLower(v.node.Value)))
}

// ruleIssuers reads a name, a list of names, or any; nil is every issuer.
func (d *decoder) ruleIssuers(v value) []string {
	if !v.isSet() {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		if name := v.word(); name != "any" && name != "" {
			return []string{name}
		}
		return nil
	}
	names := []string{}
	for _, item := range v.list() {
		if name := item.word(); name == "any" {
			item.fault("any-in-list", "any stands alone", "write issuer: any")
		} else if name != "" {
			names = append(names, name)
		}
	}
	if v.isEmpty() {
		v.fault("missing-value", "the rule applies to no issuer", "leave it out, or write any, for every issuer")
	}
	return names
}

func (d *decoder) date(v value) time.Time {
	s := v.word()
	t, err := time.Parse(time.DateOnly, s)
	if err != nil && s != "" {
		v.fault("invalid-date", fmt.Sprintf("%q is not a date", s), "write 2027-01-31")
	}
	return t
}

func (d *decoder) grants(v value) []rules.GrantSpec {
	var kinds []string
	for _, kind := range rules.Kinds {
		kinds = append(kinds, string(kind))
	}
	o, ok := v.object(kinds...)
	if !ok {
		return nil
	}
	var specs []rules.GrantSpec
	for _, name := range o.keys {
		m, kind := o.get(name), rules.Kind(name)
		spec := rules.GrantSpec{Path: m.path, Kind: kind}
		if fields, ok := m.object(rules.GrantFields(kind)...); ok {
			for _, key := range fields.keys {
				if f, ok := d.grantField(fields.get(key), key); ok {
					spec.Fields = append(spec.Fields, f)
				}
			}
		}
		specs = append(specs, spec)
	}
	if len(v.node.Content) == 0 {
		v.fault("missing-value", "there is no grant", "leave grants out")
	}
	return specs
}

func (d *decoder) grantField(v value, name string) (rules.FieldSpec, bool) {
	f := rules.FieldSpec{Path: v.path, Name: name}
	switch {
	case !v.isSet():
		return f, false
	case name == "outgoing_params":
		o, ok := v.object()
		var params []rules.FieldSpec
		for _, key := range o.keys {
			if m := o.get(key); m.isSet() {
				params = append(params, rules.FieldSpec{Path: m.path, Name: key, Value: d.param(m)})
			}
		}
		f.Value = params
		return f, ok
	case name == "any_room":
		f.Value = v.boolean(false)
	case name == "incoming_allow" && v.node.Tag == "!!bool":
		f.Value = v.boolean(false)
	default:
		f.Value = v.template().Source
	}
	return f, true
}

// param reads a value of outgoing_params: text that may hold ${…}, or a number
// or bool as it is.
func (d *decoder) param(v value) any {
	if v.node.Kind == yaml.ScalarNode {
		switch v.node.Tag {
		case "!!bool":
			return v.boolean(false)
		case "!!int", "!!float":
			return v.plain()
		}
	}
	return v.template().Source
}

// cases reads tests: or a file of them, for these issuers and parameters.
func (d *decoder) cases(v value, issuers, parameters []string) []rules.Case {
	var cases []rules.Case
	for _, item := range v.list() {
		o, ok := item.object("name", "issuer", "claims", "request", "scope", "at", "expect")
		if !ok {
			continue
		}
		c := rules.Case{Path: item.path, Name: o.need("name").word(), Claims: rules.Claims{}}
		if issuer := o.get("issuer"); issuer.isSet() || len(issuers) != 1 {
			issuer = o.need("issuer")
			c.Issuer = issuer.word()
			if c.Issuer != "" && !slices.Contains(issuers, c.Issuer) {
				issuer.fault("unknown-issuer", fmt.Sprintf("no issuer is named %q", c.Issuer), didYouMean(c.Issuer, issuers, ""))
			}
		} else {
			c.Issuer = issuers[0]
		}
		if claims, ok := o.get("claims").object(); ok {
			for _, name := range claims.keys {
				c.Claims[name] = claims.get(name).plain()
			}
		}
		if request, ok := o.get("request").object(); ok {
			c.Request = map[string]string{}
			for _, name := range request.keys {
				m := request.get(name)
				if c.Request[name] = m.literal(); !slices.Contains(parameters, name) {
					m.fault("unknown-parameter", fmt.Sprintf("no parameter is named %q", name), didYouMean(name, parameters, "declare it under parameters; what is not declared is dropped"))
				}
			}
		}
		c.Scope = d.scope(o.get("scope"))
		if at := o.get("at"); at.isSet() {
			s := at.word()
			var err error
			if c.At, err = time.Parse(time.RFC3339, s); err != nil && s != "" {
				at.fault("invalid-date", fmt.Sprintf("%q is not a time", s), "write 2026-01-31T12:00:00Z")
			}
		}
		c.Expect = d.expectation(o.need("expect"))
		cases = append(cases, c)
	}
	return cases
}

// scope reads a list of words, or words with spaces between, as in a request.
func (d *decoder) scope(v value) []string {
	if !v.isSet() {
		return nil
	}
	if v.node.Kind == yaml.SequenceNode {
		return v.texts()
	}
	return strings.Fields(v.literal())
}

func (d *decoder) expectation(v value) rules.Expectation {
	var e rules.Expectation
	o, ok := v.object("identity", "account", "ttl", "scope", "grants", "refused")
	if !ok {
		return e
	}
	if len(o.keys) == 0 {
		v.fault("missing-value", "the case expects nothing", "")
	}
	if m := o.get("identity"); m.isSet() {
		s := m.literal()
		e.Identity = &s
	}
	if m := o.get("account"); m.isSet() {
		s := m.literal()
		e.Account = &s
	}
	if m := o.get("ttl"); m.isSet() {
		ttl := m.duration(0)
		e.TTL = &ttl
	}
	if m := o.get("scope"); m.isSet() {
		e.Scope = append([]string{}, d.scope(m)...)
	}
	if grants, ok := o.get("grants").object(); ok {
		e.Grants = map[string]any{}
		for _, kind := range grants.keys {
			e.Grants[kind] = grants.get(kind).plain()
		}
	}
	if m := o.get("refused"); m.isSet() {
		e.Refused = rules.Reason(m.word())
		if len(o.keys) > 1 {
			m.fault("refused-and-granted", "what is refused gets nothing to expect", "")
		}
	}
	return e
}

// plain returns a value as plain data, by YAML's core schema: what JSON would
// hold. Dates and the like stay text.
func (v value) plain() any {
	if !v.isSet() {
		return nil
	}
	switch v.node.Kind {
	case yaml.SequenceNode:
		list := []any{}
		for i, n := range v.node.Content {
			list = append(list, v.d.value(fmt.Sprintf("%s[%d]", v.path, i), n).plain())
		}
		return list
	case yaml.MappingNode:
		members := map[string]any{}
		o, _ := v.object()
		for _, key := range o.keys {
			members[key] = o.get(key).plain()
		}
		return members
	}
	s := v.node.Value
	switch v.node.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return v.boolean(false)
	case "!!int", "!!float":
		if n, err := strconv.ParseInt(s, 10, 64); err == nil && jsonNumber.MatchString(s) {
			return n
		}
		if f, err := strconv.ParseFloat(s, 64); err == nil && jsonNumber.MatchString(s) {
			return f
		}
		v.fault("not-json", fmt.Sprintf("%s is not a number as JSON writes it", s), "put text in quotes")
	}
	return s
}

// A number as JSON writes it (RFC 8259 §6).
var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

// runCases runs the tests; a configuration whose tests fail does not load.
func (d *decoder) runCases(set *rules.Set, cases []rules.Case) {
	for i := range cases {
		result := set.RunCase(&cases[i])
		for _, diff := range result.Diffs {
			path := cases[i].Path + ".expect." + diff.What
			if d.nodes[path] == nil { // nobody expected this, and it is said of what is expected
				path = cases[i].Path + ".expect"
			}
			d.at(d.nearest(path), Diagnostic{Path: path, ID: "test-failed",
				Message: fmt.Sprintf("test %q: got %s", cases[i].Name, diff.Got), Hint: "want " + diff.Want + "; twilio-sts explain shows each step"})
		}
	}
}

// LoadCases reads a file of test cases, a list as under tests:, for cfg.
func LoadCases(path string, cfg *Config, o Options) ([]rules.Case, error) {
	d := newDecoder(path, nil, o)
	data, err := d.options.ReadFile(path)
	if err != nil {
		return nil, err
	}
	d.source = newSource(path, data)
	var issuers []string
	for _, is := range cfg.Issuers {
		issuers = append(issuers, is.Name)
	}
	var cases []rules.Case
	if root, ok := d.root(data); ok {
		if root.isSet() && root.node.Kind == yaml.MappingNode {
			hint := ""
			if len(root.node.Content) > 0 && root.node.Content[0].Value == "tests" {
				hint = "write the list without tests:"
			}
			root.unreadable("wrong-type", "this is a mapping, and a list of cases is wanted", hint)
		}
		cases = d.cases(root, issuers, cfg.Parameters)
	}
	if faults, _ := d.found.split(); len(faults) > 0 {
		return nil, faults
	}
	return cases, nil
}
