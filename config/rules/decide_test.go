package rules_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"twilio-sts/config/rules"
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// An expression can fail to compile, so specs are built by hand and small.
type m = map[string]any

const (
	is = "IS0123456789abcdef0123456789abcdef"
	ap = "AP0123456789abcdef0123456789abcdef"
	cr = "CR0123456789abcdef0123456789abcdef"
	ws = "WS0123456789abcdef0123456789abcdef"
	wk = "WK0123456789abcdef0123456789abcdef"
	rl = "RL0123456789abcdef0123456789abcdef"
)

// newSpec returns a spec with one issuer, two accounts and two parameters.
func newSpec(rs ...rules.RuleSpec) *rules.Spec {
	s := &rules.Spec{
		Issuers:  []rules.IssuerSpec{newIssuer(0, "idp")},
		Accounts: []rules.AccountSpec{{Name: "main", Region: "us1"}, {Name: "eu", Region: "ie1"}, {Name: "second", Region: "us1"}},
		Parameters: []rules.ParameterSpec{
			{Path: "parameters.room", Name: "room", Pattern: "[a-z0-9-]{1,64}"},
			{Path: "parameters.platform", Name: "platform", Enum: []string{"ios", "android", "web"}},
		},
		TTL:       time.Hour,
		MaxTTL:    23*time.Hour + 59*time.Minute + 59*time.Second,
		Pseudonym: func(issuer, s string) string { return rules.Pseudonym([]byte("key"), issuer, s) },
	}
	for i, r := range rs {
		r.Path = fmt.Sprintf("rules[%d]", i)
		if r.Name == "" {
			r.Name = fmt.Sprintf("r%d", i)
		}
		r.When.Path = r.Path + ".when"
		for _, t := range []struct {
			text *rules.Text
			name string
		}{{&r.Account, "account"}, {&r.Identity, "identity"}} {
			if t.text.Source != "" {
				t.text.Path = r.Path + "." + t.name
			}
		}
		for g := range r.Grants {
			grant := &r.Grants[g]
			grant.Path = r.Path + ".grants." + string(grant.Kind)
			for f := range grant.Fields {
				field := &grant.Fields[f]
				field.Path = grant.Path + "." + field.Name
				params, _ := field.Value.([]rules.FieldSpec)
				for p := range params {
					params[p].Path = field.Path + "." + params[p].Name
				}
			}
		}
		s.Rules = append(s.Rules, r)
	}
	return s
}

func newIssuer(i int, name string) rules.IssuerSpec {
	path := fmt.Sprintf("issuers[%d]", i)
	return rules.IssuerSpec{
		Path: path,
		Name: name,
		Policy: rules.Policy{
			IssuerIDs:   []string{"https://" + name + ".example/"},
			Audiences:   []string{"app"},
			AllowedAZP:  []string{"app"},
			ClockSkew:   time.Minute,
			MaxLifetime: 24 * time.Hour,
		},
		Claims: []rules.ClaimSpec{
			{Path: path + ".claims.groups", Name: "groups", Type: "list(string)"},
			{Path: path + ".claims.level", Name: "level", Type: "int"},
			{Path: path + ".claims.score", Name: "score", Type: "double"},
			{Path: path + ".claims.vip", Name: "vip", Type: "bool"},
		},
		Identity: rules.Text{Path: path + ".identity", Source: name + "_${escape(claims.sub)}"},
	}
}

func when(condition string) rules.RuleSpec {
	return rules.RuleSpec{When: rules.Text{Source: condition}}
}

func grants(condition string, gs ...rules.GrantSpec) rules.RuleSpec {
	r := when(condition)
	r.Grants = gs
	return r
}

func with(r rules.RuleSpec, change func(*rules.RuleSpec)) rules.RuleSpec {
	change(&r)
	return r
}

func grant(kind rules.Kind, pairs ...any) rules.GrantSpec {
	g := rules.GrantSpec{Kind: kind}
	for i := 0; i < len(pairs); i += 2 {
		g.Fields = append(g.Fields, rules.FieldSpec{Name: pairs[i].(string), Value: pairs[i+1]})
	}
	return g
}

func video(room string) rules.GrantSpec { return grant(rules.KindVideo, "room", room) }
func chat() rules.GrantSpec             { return grant(rules.KindChat, "service_sid", is) }

func compile(t testing.TB, s *rules.Spec) *rules.Set {
	t.Helper()
	set, faults := rules.CompileUnproven(s)
	for _, f := range faults {
		if !f.Warning {
			t.Fatalf("%+v", f)
		}
	}
	return set
}

func input(claims rules.Claims) *rules.Input {
	all := rules.Claims{"sub": "u1", "exp": now.Add(time.Hour).Unix()}
	for name, value := range claims {
		all[name] = value
	}
	return &rules.Input{Issuer: "idp", IssuerID: "https://idp.example/", Client: "app", Claims: all, Now: now}
}

// outcome is a decision, or the reason of a refusal, on one line.
func outcome(d *rules.Decision, err error) string {
	if err != nil {
		return string(rules.ReasonOf(err))
	}
	g, _ := json.Marshal(d.Grants)
	return fmt.Sprintf("%s %s %v %s %v", d.Identity, d.Account, d.TTL, g, d.Rules)
}

// one is the outcome of a single rule that won one grant.
func one(g string) string { return `idp_u1 main 1h0m0s {` + g + `} [r0]` }

func TestConditions(t *testing.T) {
	granted := one(`"video":{"room":"a"}`)
	for _, test := range []struct {
		when   string
		claims rules.Claims
		want   string
	}{
		// An absent claim leaves a condition undecided, also under negation.
		{`claims.a == 'x'`, nil, "no_rule"},
		{`claims.a != 'x'`, nil, "no_rule"},
		{`!(claims.a == 'x')`, nil, "no_rule"},
		{`claims['https://a/b'] == 'x'`, nil, "no_rule"},
		{`!('x' in claims.groups)`, nil, "no_rule"},
		{`claims.a.b == 'x'`, rules.Claims{"a": m{}}, "no_rule"},
		{`claims.a.b != 'x'`, rules.Claims{"a": m{}}, "no_rule"},
		{`request.room == 'x'`, nil, "no_rule"},
		{`request.room != 'x'`, nil, "no_rule"},
		// What does not hang on it is decided.
		{`false && claims.a == 'x' || true`, nil, granted},
		{`claims.a == 'x' || true`, nil, granted},
		{`claims.a == 'x' && false`, nil, "no_rule"},
		{`!(claims.a == 'x' && false)`, nil, granted},
		// Who means that absence is fine writes it.
		{`!('x' in claims.?groups.orValue([]))`, nil, granted},
		{`claims.?a.orValue('y') != 'x'`, nil, granted},
		{`claims[?'https://a/b'].orValue('y') != 'x'`, nil, granted},
		{`claims.?a.?b.orValue('y') != 'x'`, nil, granted},
		{`!has(claims.a)`, nil, granted},
		{`!('a' in claims)`, nil, granted},
		{`!('room' in request)`, nil, granted},
		{`!has(request.room)`, nil, granted},
		// Null counts as absent at every depth.
		{`has(claims.a)`, rules.Claims{"a": nil}, "no_rule"},
		{`'a' in claims`, rules.Claims{"a": nil}, "no_rule"},
		{`claims.a == null`, rules.Claims{"a": nil}, "no_rule"},
		{`has(claims.a.b)`, rules.Claims{"a": m{"b": nil}}, "no_rule"},
		{`has(claims.a.b.c)`, rules.Claims{"a": m{"b": m{"c": nil}}}, "no_rule"},
		{`size(claims.a) == 1`, rules.Claims{"a": []any{nil, "x"}}, granted},
		{`!has(claims.a[0].b)`, rules.Claims{"a": []any{m{"b": nil}}}, granted},
		{`size(claims.groups) == 1`, rules.Claims{"groups": []any{"x", nil}}, granted},
		// Integers are exact.
		{`claims.n == 9007199254740993`, rules.Claims{"n": int64(9007199254740993)}, granted},
		{`claims.n == 9007199254740992`, rules.Claims{"n": int64(9007199254740993)}, "no_rule"},
		{`string(claims.n) == '12345678'`, rules.Claims{"n": int64(12345678)}, granted},
		{`claims.level + 1 == 4`, rules.Claims{"level": int64(3)}, granted},
		{`claims.n > 1`, rules.Claims{"n": rules.Unrepresentable{}}, "no_rule"},
		{`!(claims.n > 1)`, rules.Claims{"n": rules.Unrepresentable{}}, "no_rule"},
		{`has(claims.n)`, rules.Claims{"n": rules.Unrepresentable{}}, "no_rule"},
		{`!(1 in claims.a)`, rules.Claims{"a": []any{rules.Unrepresentable{}}}, "no_rule"},
		{`claims.a.x == 1`, rules.Claims{"a": m{"x": int64(1), "y": rules.Unrepresentable{}}}, "no_rule"},
		{`claims.a == {'x': 1}`, rules.Claims{"a": m{"x": rules.Unrepresentable{}}}, "no_rule"},
		{`{'x': 1} != claims.a`, rules.Claims{"a": m{"x": rules.Unrepresentable{}}}, "no_rule"},
		{`!({'x': 1} in claims.a)`, rules.Claims{"a": []any{m{"x": rules.Unrepresentable{}}}}, "no_rule"},
		// A declared list of strings that arrives as one string is a list of one.
		{`'x' in claims.groups`, rules.Claims{"groups": "x"}, granted},
		{`'x' in claims.groups`, rules.Claims{"groups": []any{"w", "x"}}, granted},
		// A declared bool that arrives as text is that bool.
		{`claims.vip`, rules.Claims{"vip": "true"}, granted},
		{`!claims.vip`, rules.Claims{"vip": "false"}, granted},
		{`!claims.vip`, rules.Claims{"vip": "False"}, "no_rule"},
		{`claims.email_verified`, rules.Claims{"email_verified": "true"}, granted},
		{`!claims.email_verified`, rules.Claims{"email_verified": int64(0)}, "no_rule"},
		// Any other mismatch leaves undecided what reads it, presence tests too.
		{`!('x' in claims.groups)`, rules.Claims{"groups": int64(1)}, "no_rule"},
		{`!('x' in claims.groups)`, rules.Claims{"groups": []any{"y", int64(1)}}, "no_rule"},
		{`has(claims.level)`, rules.Claims{"level": "3"}, "no_rule"},
		{`!has(claims.level)`, rules.Claims{"level": "3"}, "no_rule"},
		{`'level' in claims`, rules.Claims{"level": "3"}, "no_rule"},
		{`!('level' in claims)`, rules.Claims{"level": "3"}, "no_rule"},
		{`claims.?level.orValue(0) < 5`, rules.Claims{"level": "3"}, "no_rule"},
		{`!claims.?level.hasValue()`, rules.Claims{"level": "3"}, "no_rule"},
		{`claims.level < 5`, rules.Claims{"level": 3.0}, "no_rule"},
		{`claims.score < 5.0`, rules.Claims{"score": int64(3)}, granted},
		{`claims.score < 5.0`, rules.Claims{"score": int64(1<<53 + 1)}, "no_rule"},
		// A condition that is not a bool is undecided.
		{`claims.a`, rules.Claims{"a": "true"}, "no_rule"},
		{`claims.a`, rules.Claims{"a": true}, granted},
		// Undeclared claims are open, standard ones typed.
		{`claims.a.b[1] == 'y'`, rules.Claims{"a": m{"b": []any{"x", "y"}}}, granted},
		{`'app' in claims.aud`, rules.Claims{"aud": "app"}, granted},
		{`'mfa' in claims.amr`, rules.Claims{"amr": []any{"pwd", "mfa"}}, granted},
		// The other variables, and the extensions.
		{`issuer == 'idp' && client == 'app'`, nil, granted},
		{`now > timestamp('2026-01-01T00:00:00Z') && now < timestamp('2027-01-01T00:00:00Z')`, nil, granted},
		{`now - timestamp(claims.auth_time) < duration('10m')`, rules.Claims{"auth_time": now.Unix() - 60}, granted},
		{`claims.email.split('@')[1].lowerAscii() == 'example.com'`, rules.Claims{"email": "a@Example.com"}, granted},
		{`sets.intersects(claims.groups, ['a', 'b'])`, rules.Claims{"groups": []any{"b"}}, granted},
		{`claims.groups.exists(g, g.startsWith('team-'))`, rules.Claims{"groups": []any{"x", "team-1"}}, granted},
		{`claims.email.matches('^[a-z]+@example[.]com$')`, rules.Claims{"email": "a@example.com"}, granted},
		{`escape('auth0|1') == 'auth0_7C1'`, nil, granted},
		{`pseudonym('x') == 'sbwt3vnzbbl7w4ypmvpzyl2iqmkxf5kk'`, nil, "no_rule"}, // another key's
		// A loop that costs too much is undecided.
		{`!claims.a.all(x, claims.a.all(y, x != y))`, rules.Claims{"a": slices.Repeat([]any{"x"}, 300)}, granted},
		{`claims.a.all(x, claims.a.all(y, x == y))`, rules.Claims{"a": slices.Repeat([]any{"x"}, 300)}, "no_rule"},
	} {
		t.Run(test.when, func(t *testing.T) {
			set := compile(t, newSpec(grants(test.when, video("a"))))
			got := outcome(set.Decide(input(test.claims), nil))
			if got != test.want {
				t.Errorf("claims %v: got %s, want %s", test.claims, got, test.want)
			}
		})
	}
}

func TestRules(t *testing.T) {
	deny := func(condition string) rules.RuleSpec {
		return with(when(condition), func(r *rules.RuleSpec) { r.Deny = "for operators" })
	}
	account := func(r rules.RuleSpec, name string) rules.RuleSpec {
		return with(r, func(r *rules.RuleSpec) { r.Account.Source = name })
	}
	identity := func(r rules.RuleSpec, value string) rules.RuleSpec {
		return with(r, func(r *rules.RuleSpec) { r.Identity.Source = value })
	}
	ttl := func(r rules.RuleSpec, d time.Duration) rules.RuleSpec {
		return with(r, func(r *rules.RuleSpec) { r.TTL = d })
	}
	expires := func(r rules.RuleSpec, at time.Time) rules.RuleSpec {
		return with(r, func(r *rules.RuleSpec) { r.Expires = at })
	}
	issuer := func(r rules.RuleSpec, names ...string) rules.RuleSpec {
		return with(r, func(r *rules.RuleSpec) { r.Issuers = names })
	}
	for _, test := range []struct {
		name   string
		spec   *rules.Spec
		change func(*rules.Spec)
		claims rules.Claims
		scope  []string
		want   string
	}{
		{name: "no rule matches", spec: newSpec(grants("false", chat())), want: "no_rule"},
		{name: "a matching deny refuses, wherever it stands", spec: newSpec(grants("true", chat()), deny("true")), want: "denied"},
		{name: "an undecided deny refuses", spec: newSpec(grants("true", chat()), deny("'x' in claims.groups")), want: "rule_failed"},
		{name: "a deny that matches goes before one that is undecided", spec: newSpec(deny("claims.a"), deny("true")), want: "denied"},
		{name: "an undecided deny goes before no_rule", spec: newSpec(deny("claims.a")), want: "rule_failed"},
		{name: "a deny that does not match", spec: newSpec(deny("false"), grants("true", chat())),
			want: `idp_u1 main 1h0m0s {"chat":{"service_sid":"` + is + `"}} [r1]`},
		{name: "the first that sets a grant wins it", spec: newSpec(grants("true", video("a")), grants("true", video("b"), chat()), grants("true", chat())),
			want: `idp_u1 main 1h0m0s {"video":{"room":"a"},"chat":{"service_sid":"` + is + `"}} [r0 r1]`},
		{name: "the first that sets the identity wins it", spec: newSpec(grants("true", video("a")), identity(when("true"), "second"), identity(when("true"), "third")),
			want: `second main 1h0m0s {"video":{"room":"a"}} [r0 r1]`},
		{name: "a grant is won whole", spec: newSpec(grants("true", grant(rules.KindVoice, "incoming_allow", true)), grants("true", grant(rules.KindVoice, "outgoing_application_sid", ap))),
			want: one(`"voice":{"incoming_allow":true}`)},
		{name: "ttl is the smallest of those that contribute", spec: newSpec(ttl(grants("true", video("a")), 4*time.Hour), ttl(grants("true", chat()), 2*time.Hour), ttl(grants("true", chat()), time.Minute)),
			want: `idp_u1 main 2h0m0s {"video":{"room":"a"},"chat":{"service_sid":"` + is + `"}} [r0 r1]`},
		{name: "a rule with nothing but a ttl is a cap", spec: newSpec(ttl(grants("true", video("a")), 4*time.Hour), ttl(when("true"), time.Minute)),
			want: `idp_u1 main 1m0s {"video":{"room":"a"}} [r0 r1]`},
		{name: "a cap that does not match", spec: newSpec(ttl(grants("true", video("a")), 4*time.Hour), ttl(when("claims.a"), time.Minute)),
			want: `idp_u1 main 4h0m0s {"video":{"room":"a"}} [r0]`},
		{name: "ttl may exceed the default", spec: newSpec(ttl(grants("true", video("a")), 4*time.Hour)), want: `idp_u1 main 4h0m0s {"video":{"room":"a"}} [r0]`},
		{name: "ttl stays under max_ttl", spec: newSpec(ttl(grants("true", video("a")), 4*time.Hour)), change: func(s *rules.Spec) { s.MaxTTL = 3 * time.Hour },
			want: `idp_u1 main 3h0m0s {"video":{"room":"a"}} [r0]`},
		{name: "not beyond the ID token", spec: newSpec(ttl(grants("true", video("a")), 4*time.Hour)), change: func(s *rules.Spec) { s.NotBeyondIDToken = true },
			claims: rules.Claims{"exp": now.Unix() + 60}, want: `idp_u1 main 1m0s {"video":{"room":"a"}} [r0]`},
		{name: "under a minute left of the ID token", spec: newSpec(grants("true", video("a"))), change: func(s *rules.Spec) { s.NotBeyondIDToken = true },
			claims: rules.Claims{"exp": now.Unix() + 59}, want: "token_expired"},
		{name: "a rule's account", spec: newSpec(account(grants("true", video("a")), "second")), want: `idp_u1 second 1h0m0s {"video":{"room":"a"}} [r0]`},
		{name: "a computed account", spec: newSpec(account(grants("true", video("a")), "${claims.account}")), claims: rules.Claims{"account": "second"}, want: `idp_u1 second 1h0m0s {"video":{"room":"a"}} [r0]`},
		{name: "a computed account that does not exist", spec: newSpec(account(grants("true", video("a")), "${claims.account}")), claims: rules.Claims{"account": "third"}, want: "rule_failed"},
		{name: "rules that win grants must mean one account", spec: newSpec(account(grants("true", chat()), "eu"), grants("true", grant(rules.KindSync, "service_sid", "default"))), want: "rule_failed"},
		{name: "written twice is the same account", spec: newSpec(account(grants("true", chat()), "eu"), account(grants("true", grant(rules.KindSync, "service_sid", "default")), "eu")),
			want: `idp_u1 eu 1h0m0s {"chat":{"service_sid":"` + is + `"},"sync":{"service_sid":"default"}} [r0 r1]`},
		{name: "the first account, written and not", spec: newSpec(account(grants("true", chat()), "main"), grants("true", video("a"))),
			want: `idp_u1 main 1h0m0s {"video":{"room":"a"},"chat":{"service_sid":"` + is + `"}} [r0 r1]`},
		{name: "an account won by a rule without grants must be theirs", spec: newSpec(account(when("true"), "second"), grants("true", video("a"))), want: "rule_failed"},
		{name: "a rule that wins nothing has no say in the account", spec: newSpec(grants("true", video("a")), account(grants("true", video("b")), "main")),
			want: `idp_u1 main 1h0m0s {"video":{"room":"a"}} [r0 r1]`},
		{name: "video outside us1", spec: newSpec(account(grants("true", video("a")), "${claims.account}")), claims: rules.Claims{"account": "eu"}, want: "rule_failed"},
		{name: "a rule is dead from its day", spec: newSpec(expires(grants("true", video("a")), now)), want: "no_rule"},
		{name: "a rule lives until its day", spec: newSpec(expires(grants("true", video("a")), now.Add(time.Second))), want: one(`"video":{"room":"a"}`)},
		{name: "a deny past its day", spec: newSpec(grants("true", video("a")), expires(deny("true"), now)), want: one(`"video":{"room":"a"}`)},
		{name: "another issuer's rule", spec: newSpec(issuer(grants("true", video("a")), "other")), change: func(s *rules.Spec) { s.Issuers = append(s.Issuers, newIssuer(1, "other")) }, want: "no_rule"},
		{name: "another issuer's deny", spec: newSpec(issuer(grants("true", video("a")), "idp", "other"), issuer(deny("true"), "other")), change: func(s *rules.Spec) { s.Issuers = append(s.Issuers, newIssuer(1, "other")) }, want: one(`"video":{"room":"a"}`)},

		{name: "scope leaves grants out", spec: newSpec(grants("true", video("a"), chat())), scope: []string{"video"}, want: one(`"video":{"room":"a"}`)},
		{name: "scope for all", spec: newSpec(grants("true", video("a"))), scope: []string{"video", "video"}, want: one(`"video":{"room":"a"}`)},
		{name: "scope for what is not granted", spec: newSpec(grants("true", video("a"))), scope: []string{"video", "chat"}, want: "invalid_scope"},
		{name: "scope that is no kind", spec: newSpec(grants("true", video("a"))), scope: []string{"openid"}, want: "invalid_scope"},
		{name: "scope does not rescue from a refusal", spec: newSpec(grants("true", video("a"), grant(rules.KindSync, "service_sid", "${claims.x}"))), scope: []string{"video"}, want: "rule_failed"},
		{name: "scope does not change the ttl", spec: newSpec(grants("true", video("a")), ttl(grants("true", chat()), time.Minute)), scope: []string{"video"}, want: `idp_u1 main 1m0s {"video":{"room":"a"}} [r0 r1]`},
		{name: "scope does not change what the identity must be", spec: newSpec(identity(grants("true", video("a"), grant(rules.KindVoice, "incoming_allow", true)), "a-b")), scope: []string{"video"}, want: "identity_invalid"},

		{name: "a requirement holds", spec: newSpec(grants("true", video("a"))), change: requiring("claims.email_verified"), claims: rules.Claims{"email_verified": true}, want: one(`"video":{"room":"a"}`)},
		{name: "a requirement fails", spec: newSpec(grants("true", video("a"))), change: requiring("claims.email_verified"), claims: rules.Claims{"email_verified": false}, want: "requirement_failed"},
		{name: "an undecided requirement fails", spec: newSpec(grants("true", video("a"))), change: requiring("!claims.disabled"), want: "requirement_failed"},
		{name: "a requirement goes before a deny", spec: newSpec(deny("true")), change: requiring("false"), want: "requirement_failed"},
		{name: "a rule that sets the identity for an issuer without", spec: newSpec(identity(grants("true", video("a")), "x")), change: func(s *rules.Spec) { s.Issuers[0].Identity = rules.Text{} },
			want: `x main 1h0m0s {"video":{"room":"a"}} [r0]`},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.change != nil {
				test.change(test.spec)
			}
			in := input(test.claims)
			in.Scope = test.scope
			if got := outcome(compile(t, test.spec).Decide(in, nil)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func requiring(condition string) func(*rules.Spec) {
	return func(s *rules.Spec) {
		s.Issuers[0].Require = []rules.Text{{Path: "issuers[0].require[0]", Source: condition}}
	}
}

func TestValues(t *testing.T) {
	voice := func(pairs ...any) rules.GrantSpec { return grant(rules.KindVoice, pairs...) }
	push := "${request.platform == 'ios' ? optional.of('" + cr + "') : optional.none()}"
	params := func(pairs ...any) []rules.FieldSpec { return grant(rules.KindVoice, pairs...).Fields }
	long := strings.Repeat("x", 128)
	for _, test := range []struct {
		name    string
		grant   rules.GrantSpec
		claims  rules.Claims
		request map[string]string
		want    string // the grant, or a reason
	}{
		{name: "text", grant: video("team-${claims.team}-x"), claims: rules.Claims{"team": "eu"}, want: `"video":{"room":"team-eu-x"}`},
		{name: "dollar", grant: video("a$$b"), want: `"video":{"room":"a$b"}`},
		{name: "dollar before a brace", grant: video("$${claims.team}"), want: `"video":{"room":"${claims.team}"}`},
		{name: "an int in text", grant: video("r${claims.n}"), claims: rules.Claims{"n": int64(9007199254740993)}, want: `"video":{"room":"r9007199254740993"}`},
		{name: "an int alone, as text", grant: video("${claims.n}"), claims: rules.Claims{"n": int64(12345678)}, want: `"video":{"room":"12345678"}`},
		{name: "a double in text", grant: video("r${claims.n}"), claims: rules.Claims{"n": 1.5}, want: "rule_failed"},
		{name: "a bool in text", grant: video("r${claims.n}"), claims: rules.Claims{"n": true}, want: "rule_failed"},
		{name: "a list in text", grant: video("r${claims.n}"), claims: rules.Claims{"n": []any{"a"}}, want: "rule_failed"},
		{name: "absent in text", grant: video("r${claims.n}"), want: "rule_failed"},
		{name: "null in text", grant: video("r${claims.?n.orValue(null)}"), want: "rule_failed"},
		{name: "a brace in a string", grant: video("${claims.?n.orValue('}')}"), want: `"video":{"room":"}"}`},
		{name: "a map in braces", grant: video("${{'a': 'b'}[claims.n]}"), claims: rules.Claims{"n": "a"}, want: `"video":{"room":"b"}`},
		{name: "an empty string", grant: video("${claims.n}"), claims: rules.Claims{"n": ""}, want: "rule_failed"},
		{name: "an empty optional where it must be", grant: video("${claims.?n}"), want: "rule_failed"},
		{name: "an optional with a value", grant: video("${claims.?n}"), claims: rules.Claims{"n": "a"}, want: `"video":{"room":"a"}`},
		{name: "a room of 128", grant: video("${claims.n}"), claims: rules.Claims{"n": long}, want: `"video":{"room":"` + long + `"}`},
		{name: "a room of 129", grant: video("${claims.n}"), claims: rules.Claims{"n": long + "x"}, want: "rule_failed"},
		{name: "a room of 128 characters, more bytes", grant: video("${claims.n}"), claims: rules.Claims{"n": strings.Repeat("é", 128)}, want: `"video":{"room":"` + strings.Repeat("é", 128) + `"}`},
		{name: "a room with a newline", grant: video("${claims.n}"), claims: rules.Claims{"n": "a\nb"}, want: "rule_failed"},
		{name: "any room", grant: grant(rules.KindVideo, "any_room", true), want: `"video":{"any_room":true}`},

		{name: "push credential for ios", grant: voice("incoming_allow", true, "push_credential_sid", push), request: map[string]string{"platform": "ios"}, want: `"voice":{"incoming_allow":true,"push_credential_sid":"` + cr + `"}`},
		{name: "none for the web", grant: voice("incoming_allow", true, "push_credential_sid", push), request: map[string]string{"platform": "web"}, want: `"voice":{"incoming_allow":true}`},
		{name: "platform not sent", grant: voice("incoming_allow", true, "push_credential_sid", push), want: "rule_failed"},
		{name: "a SID of another kind", grant: voice("push_credential_sid", "${claims.n}"), claims: rules.Claims{"n": ap}, want: "rule_failed"},
		{name: "calls both ways, with parameters", grant: voice("outgoing_application_sid", ap, "outgoing_params", params("team", "${claims.team}", "level", "${claims.level}", "fixed", int64(7), "both", "a${claims.level}"), "incoming_allow", true),
			claims: rules.Claims{"team": "eu", "level": int64(3)}, want: `"voice":{"outgoing_application_sid":"` + ap + `","outgoing_params":{"both":"a3","fixed":7,"level":3,"team":"eu"},"incoming_allow":true}`},
		{name: "a parameter without a value", grant: voice("outgoing_application_sid", ap, "outgoing_params", params("team", "${claims.?team}")), want: "rule_failed"},
		{name: "no application, no parameters", grant: voice("outgoing_application_sid", "${claims.?app}", "outgoing_params", params("team", "${claims.team}"), "incoming_allow", true), want: `"voice":{"incoming_allow":true}`},
		{name: "nothing left", grant: voice("outgoing_application_sid", "${claims.?app}"), want: "rule_failed"},
		{name: "nothing left but false", grant: voice("outgoing_application_sid", "${claims.?app}", "incoming_allow", false), want: "rule_failed"},
		{name: "incoming by claim", grant: voice("incoming_allow", "${claims.vip}"), claims: rules.Claims{"vip": "true"}, want: `"voice":{"incoming_allow":true}`},
		{name: "incoming by text", grant: voice("incoming_allow", "${claims.x}"), claims: rules.Claims{"x": "true"}, want: "rule_failed"},
		{name: "incoming by absent claim", grant: voice("incoming_allow", "${claims.vip}", "outgoing_application_sid", ap), want: "rule_failed"},
		{name: "incoming left out", grant: voice("incoming_allow", "${claims.?vip}", "outgoing_application_sid", ap), want: `"voice":{"outgoing_application_sid":"` + ap + `"}`},
		{name: "all of voice", grant: voice("outgoing_application_sid", ap, "incoming_allow", true, "push_credential_sid", cr, "endpoint_id", "e"), want: `"voice":{"outgoing_application_sid":"` + ap + `","incoming_allow":true,"push_credential_sid":"` + cr + `","endpoint_id":"e"}`},
		{name: "all of chat", grant: grant(rules.KindChat, "service_sid", is, "endpoint_id", "e", "deployment_role_sid", rl, "push_credential_sid", cr), want: `"chat":{"service_sid":"` + is + `","endpoint_id":"e","deployment_role_sid":"` + rl + `","push_credential_sid":"` + cr + `"}`},
		{name: "a role that is empty refuses", grant: grant(rules.KindChat, "service_sid", is, "deployment_role_sid", "${claims.?role}"), want: "rule_failed"},
		{name: "sync by name", grant: grant(rules.KindSync, "service_sid", "${claims.n}", "endpoint_id", "${claims.?e}"), claims: rules.Claims{"n": "default"}, want: `"sync":{"service_sid":"default"}`},
		{name: "sync with another kind of SID", grant: grant(rules.KindSync, "service_sid", "${claims.n}"), claims: rules.Claims{"n": ap}, want: "rule_failed"},
		{name: "all of task_router", grant: grant(rules.KindTaskRouter, "workspace_sid", ws, "worker_sid", "${claims.w}", "role", "worker"), claims: rules.Claims{"w": wk}, want: `"task_router":{"workspace_sid":"` + ws + `","worker_sid":"` + wk + `","role":"worker"}`},
		{name: "a worker that is no worker", grant: grant(rules.KindTaskRouter, "workspace_sid", ws, "worker_sid", "${claims.w}"), claims: rules.Claims{"w": ws}, want: "rule_failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in := input(test.claims)
			in.Request = test.request
			want := test.want
			if strings.HasPrefix(want, `"`) {
				want = one(want)
			}
			if got := outcome(compile(t, newSpec(grants("true", test.grant))).Decide(in, nil)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	voice, chatGrant, videoGrant := &rules.Grants{Voice: &rules.Voice{}}, &rules.Grants{Chat: &rules.Chat{}}, &rules.Grants{Video: &rules.Video{}}
	for _, test := range []struct {
		name, identity string
		grants         *rules.Grants
		want           string
	}{
		{"plain", "a_1", voice, ""},
		{"empty", "", chatGrant, "identity_invalid: the identity is empty"},
		{"not UTF-8", "a\xff", chatGrant, "identity_invalid: the identity has control characters or is not UTF-8"},
		{"control character", "a\tb", videoGrant, "identity_invalid: the identity has control characters or is not UTF-8"},
		{"C1 control character", "a\u0085b", videoGrant, "identity_invalid: the identity has control characters or is not UTF-8"},
		{"256 bytes", strings.Repeat("a", 256), chatGrant, ""},
		{"257 bytes", strings.Repeat("a", 257), chatGrant, "identity_invalid: the identity is longer than 256 bytes"},
		{"128 bytes in video", strings.Repeat("é", 64), videoGrant, ""},
		{"130 bytes in video", strings.Repeat("é", 65), videoGrant, "identity_invalid: the identity is longer than the 128 bytes that Video takes"},
		{"121 bytes in voice", strings.Repeat("a", 121), voice, ""},
		{"122 bytes in voice", strings.Repeat("a", 122), voice, "identity_invalid: the identity is longer than the 121 bytes that Voice takes"},
		{"e-mail in voice", "a@b", voice, "identity_invalid: the identity has characters that Voice does not take; escape() writes none of them"},
		{"e-mail in chat", "a@b", chatGrant, ""},
		{"reserved", "system", chatGrant, "identity_invalid: the identity is reserved by Conversations"},
		{"reserved, without chat", "system", videoGrant, ""},
		{"user SID", "US0123456789abcdef0123456789abcdef", chatGrant, "identity_invalid: the identity is reserved by Conversations"},
		{"nearly a user SID", "US0123456789ABCDEF0123456789abcdef", chatGrant, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if err := rules.CheckIdentity(test.identity, test.grants); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
