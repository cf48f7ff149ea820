package rules

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"cel.dev/cel-go/common/types"
)

// checkRules finds what is wrong with the rules apart from their expressions.
func (c *compiler) checkRules() {
	c.checkNames("issuer", len(c.spec.Issuers), func(i int) (path, name string) { return c.spec.Issuers[i].Path, c.spec.Issuers[i].Name })
	c.checkNames("rule", len(c.spec.Rules), func(i int) (path, name string) { return c.spec.Rules[i].Path, c.spec.Rules[i].Name })
	for i := range c.spec.Issuers {
		for _, text := range c.spec.Issuers[i].Require {
			c.checkCondition(text)
		}
	}
	for i := range c.spec.Rules {
		c.checkRule(&c.spec.Rules[i])
	}
}

func (c *compiler) checkNames(noun string, n int, at func(i int) (path, name string)) {
	seen := map[string]bool{}
	for i := range n {
		path, name := at(i)
		if seen[name] {
			c.fault(Fault{Path: path + ".name", ID: "duplicate-name", Message: fmt.Sprintf("another %s is named %s", noun, quote(name))})
		}
		seen[name] = true
	}
}

func (c *compiler) checkCondition(text Text) {
	if strings.TrimSpace(text.Source) == "" {
		c.fault(Fault{Path: text.Path, ID: "empty-condition", Message: "the condition is empty", Hint: `write "true" to mean everybody`})
	}
}

func (c *compiler) checkRule(r *RuleSpec) {
	c.checkCondition(r.When)
	var issuers []string
	for _, is := range c.spec.Issuers {
		issuers = append(issuers, is.Name)
	}
	for _, name := range r.Issuers {
		if !slices.Contains(issuers, name) {
			c.fault(Fault{Path: r.Path + ".issuer", ID: "unknown-issuer", Message: fmt.Sprintf("no issuer is named %s", quote(name)), Hint: didYouMean(name, issuers)})
		}
	}
	grants := len(r.Grants) > 0
	switch {
	case r.Deny != "" && (grants || r.TTL != 0 || !r.Identity.IsZero() || !r.Account.IsZero()):
		c.fault(Fault{Path: r.Path, ID: "deny-and-grant", Message: "a rule that denies sets nothing else"})
	case r.Deny == "" && !grants && r.TTL == 0 && r.Identity.IsZero() && r.Account.IsZero():
		c.fault(Fault{Path: r.Path, ID: "useless-rule", Message: "the rule does nothing", Hint: "give it grants, ttl, identity, account or deny"})
	}
	account := c.checkAccount(r.Account)
	for i := range r.Grants {
		c.checkGrant(&r.Grants[i], account)
	}
}

// checkAccount checks an account that is written out and returns it, or nil
// where only a decision can tell.
func (c *compiler) checkAccount(text Text) *AccountSpec {
	if len(c.spec.Accounts) == 0 {
		return nil
	}
	if text.IsZero() {
		return &c.spec.Accounts[0]
	}
	parts, fault := parseTemplate(text.Source)
	if fault != nil || len(parts) != 1 || parts[0].expr {
		return nil
	}
	var names []string
	for i := range c.spec.Accounts {
		if c.spec.Accounts[i].Name == parts[0].text {
			return &c.spec.Accounts[i]
		}
		names = append(names, c.spec.Accounts[i].Name)
	}
	hint := didYouMean(parts[0].text, names)
	if readsMember.MatchString(parts[0].text) {
		hint = fmt.Sprintf(`write "${%s}"`, parts[0].text)
	}
	c.fault(Fault{Path: text.Path, ID: "unknown-account", Message: fmt.Sprintf("no account is named %s", quote(parts[0].text)), Hint: hint})
	return nil
}

func (c *compiler) checkGrant(g *GrantSpec, account *AccountSpec) {
	written := map[string]any{}
	for _, f := range g.Fields {
		written[f.Name] = f.Value
	}
	for _, f := range fieldsOf(g.Kind) {
		if _, ok := written[f.name]; f.required && !ok {
			c.fault(Fault{Path: g.Path, ID: "missing-key", Message: fmt.Sprintf("%s needs %s", g.Kind, f.name)})
		}
	}
	switch g.Kind {
	case KindVideo:
		anyRoom := written[fieldAnyRoom] == true
		_, oneRoom := written["room"]
		switch {
		case anyRoom && oneRoom:
			c.fault(Fault{Path: g.Path, ID: "room-and-any-room", Message: "room and any_room contradict each other"})
		case !anyRoom && !oneRoom:
			c.fault(Fault{Path: g.Path, ID: "missing-key", Message: "video needs room", Hint: "any_room: true grants every room of the account, on purpose"})
		case anyRoom:
			c.fault(Fault{Path: g.Path + "." + fieldAnyRoom, Warning: true, ID: "any-room", Message: "the token opens every room of the account", Hint: "name a room"})
		}
		if account != nil && account.Region != "us1" {
			c.fault(Fault{Path: g.Path, ID: "video-region", Message: fmt.Sprintf("account %s is in %s, and Video exists in us1 alone", quote(account.Name), account.Region)})
		}
	case KindVoice:
		_, params := written[fieldParams]
		if _, ok := written[fieldApplicationSID]; params && !ok {
			c.fault(Fault{Path: g.Path + "." + fieldParams, ID: "params-without-application", Message: "outgoing_params go with outgoing_application_sid, and there is none"})
		}
		if written["incoming_allow"] == false && len(written) == 1 || len(written) == 0 {
			c.fault(Fault{Path: g.Path, ID: "empty-grant", Message: "voice neither makes nor takes calls", Hint: "give it outgoing_application_sid, or incoming_allow: true"})
		}
	}
}

var parameterName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// reservedParameters have a meaning of OAuth's own.
var reservedParameters = []string{
	"grant_type", "subject_token", "subject_token_type", "actor_token", "actor_token_type", "requested_token_type",
	"scope", "resource", "audience", "authorization_details", "assertion", "client_id", "client_secret", "client_assertion",
	"client_assertion_type", "code", "code_verifier", "redirect_uri", "refresh_token", "device_code", "state", "nonce",
	"username", "password", "request", "request_uri", "response_type", "token",
}

// parameters compiles the parameters a client may send.
func (c *compiler) parameters() []parameter {
	c.checkNames("parameter", len(c.spec.Parameters), func(i int) (path, name string) { return c.spec.Parameters[i].Path, c.spec.Parameters[i].Name })
	var out []parameter
	for _, spec := range c.spec.Parameters {
		p := parameter{ParameterSpec: spec}
		switch {
		case !parameterName.MatchString(spec.Name):
			c.fault(Fault{Path: spec.Path, ID: "invalid-name", Message: fmt.Sprintf("%s is no name for a parameter", quote(spec.Name)), Hint: "use lower-case letters, digits and _, a letter first"})
		case slices.Contains(reservedParameters, spec.Name):
			c.fault(Fault{Path: spec.Path, ID: "reserved-name", Message: fmt.Sprintf("%s has a meaning of its own in OAuth", quote(spec.Name))})
		case (spec.Pattern == "") == (spec.Enum == nil):
			c.fault(Fault{Path: spec.Path, ID: "pattern-or-enum", Message: "a parameter has either pattern or enum"})
		case spec.Pattern != "":
			// Compiled alone first: )|( would get out of the group that anchors it.
			parsed, err := syntax.Parse(spec.Pattern, syntax.Perl)
			if err != nil {
				c.fault(Fault{Path: spec.Path + ".pattern", ID: "invalid-pattern", Message: strings.TrimPrefix(err.Error(), "error parsing regexp: ")})
				continue
			}
			p.pattern = regexp.MustCompile(`^(?:` + parsed.String() + `)$`)
		}
		if (p.pattern != nil || spec.Enum != nil) && spec.HasDefault && spec.Default != "" && !p.allows(spec.Default) {
			c.fault(Fault{Path: spec.Path + ".default", ID: "invalid-default", Message: "the default is not a value that the parameter allows"})
		}
		out = append(out, p)
	}
	return out
}

func (p *parameter) allows(value string) bool {
	if p.pattern != nil {
		return p.pattern.MatchString(value)
	}
	return slices.Contains(p.Enum, value)
}

func conditionType(t *types.Type) bool {
	return t.Kind() == types.BoolKind || t.Kind() == types.DynKind
}

// ParameterNames returns the names of the declared parameters, in their order.
func (s *Set) ParameterNames() []string {
	names := make([]string, len(s.parameters))
	for i := range s.parameters {
		names[i] = s.parameters[i].Name
	}
	return names
}

// Parameters checks the parameters a client sent against those declared, adds
// defaults, and drops what is not declared. An empty one counts as not sent.
// The error is a *Refusal for InvalidParameter and names the parameter.
func (s *Set) Parameters(sent map[string]string) (map[string]string, error) {
	if len(s.parameters) == 0 {
		return nil, nil
	}
	checked := make(map[string]string, len(s.parameters))
	for i := range s.parameters {
		p := &s.parameters[i]
		switch value := sent[p.Name]; {
		case value == "" && p.Default != "":
			checked[p.Name] = p.Default
		case value == "":
		case !p.allows(value):
			return nil, Refuse(InvalidParameter, "the parameter %s has a value that is not allowed", p.Name)
		default:
			checked[p.Name] = value
		}
	}
	return checked, nil
}
