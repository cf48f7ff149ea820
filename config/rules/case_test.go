package rules_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

func TestRunCase(t *testing.T) {
	spec := newSpec(
		with(when("'suspended' in claims.?groups.orValue([])"), func(r *rules.RuleSpec) { r.Deny = "suspended" }),
		with(grants("claims.level > 1", grant(rules.KindVoice, "outgoing_application_sid", ap, "outgoing_params", []rules.FieldSpec{{Name: "level", Value: "${claims.level}"}})), func(r *rules.RuleSpec) { r.TTL = 4 * time.Hour }),
		grants("now < timestamp('2026-01-01T00:00:01Z')", video("${request.?room.orValue('lobby')}")),
		grants("claims.aud == ['app'] && claims.exp - claims.iat == 3600", chat()),
		with(grants("true", video("late")), func(r *rules.RuleSpec) { r.Identity.Source = "${pseudonym(claims.sub)}" }),
	)
	spec.Issuers[0].Policy.IssuerIDs, spec.Issuers[0].Policy.Aliases = []string{"https://idp.example/", "tenant", "alias"}, []string{"alias"}
	spec.NotBeyondIDToken = true
	set := compile(t, spec)
	text := func(s string) *string { return &s }
	ttl := func(d time.Duration) *time.Duration { return &d }
	// The identity is pseudonym("u1") with the key "test".
	identity := rules.Pseudonym([]byte("test"), "https://idp.example/", "u1")
	grantsWanted := m{"video": m{"room": "lobby"}, "chat": m{"service_sid": is}}
	for _, test := range []struct {
		name string
		c    rules.Case
		want []rules.Diff
	}{
		{"all as expected", rules.Case{Expect: rules.Expectation{
			Identity: &identity, Account: text("main"), TTL: ttl(time.Hour), Scope: []string{"video", "chat"}, Grants: grantsWanted,
		}}, nil},
		{"nothing is compared that is not given", rules.Case{}, nil},
		{"all otherwise", rules.Case{Expect: rules.Expectation{
			Identity: text("x"), Account: text("eu"), TTL: ttl(time.Minute), Scope: []string{"video"}, Grants: m{"video": m{"room": "lobby"}},
		}}, []rules.Diff{
			{What: "identity", Want: `"x"`, Got: `"` + identity + `"`},
			{What: "account", Want: `"eu"`, Got: `"main"`},
			{What: "ttl", Want: `"1m0s"`, Got: `"1h0m0s"`},
			{What: "scope", Want: `["video"]`, Got: `["chat","video"]`},
			{What: "grants", Want: `{"video":{"room":"lobby"}}`, Got: `{"chat":{"service_sid":"` + is + `"},"video":{"room":"lobby"}}`},
		}},
		{"integers stay exact in grants", rules.Case{Claims: rules.Claims{"level": int64(9007199254740993)}, Scope: []string{"voice"}, Expect: rules.Expectation{
			TTL: ttl(time.Hour), Grants: m{"voice": m{"outgoing_application_sid": ap, "outgoing_params": m{"level": int64(9007199254740993)}}},
		}}, nil},
		{"scope and request", rules.Case{Scope: []string{"video"}, Request: map[string]string{"room": "r1"}, Expect: rules.Expectation{Grants: m{"video": m{"room": "r1"}}}}, nil},
		{"the clock of a case", rules.Case{At: now, Expect: rules.Expectation{Grants: m{"video": m{"room": "late"}, "chat": m{"service_sid": is}}}}, nil},
		{"refused as expected", rules.Case{Claims: rules.Claims{"groups": []any{"suspended"}}, Expect: rules.Expectation{Refused: rules.Denied}}, nil},
		{"refused for another reason", rules.Case{Claims: rules.Claims{"groups": []any{"suspended"}}, Expect: rules.Expectation{Refused: rules.NoRule}},
			[]rules.Diff{{What: "refused", Want: "no_rule", Got: `denied: rule "r0" denies: suspended`}}},
		{"refused unexpectedly", rules.Case{Claims: rules.Claims{"groups": []any{"suspended"}}},
			[]rules.Diff{{What: "refused", Want: "a decision", Got: `denied: rule "r0" denies: suspended`}}},
		{"not refused", rules.Case{Scope: []string{"video"}, Expect: rules.Expectation{Refused: rules.Denied}},
			[]rules.Diff{{What: "refused", Want: "denied", Got: `a decision: {"video":{"room":"lobby"}}`}}},

		// All of an exchange but the signature.
		{"another issuer", rules.Case{Issuer: "other", Expect: rules.Expectation{Refused: rules.UnknownIssuer}}, nil},
		{"the policy", rules.Case{Claims: rules.Claims{"aud": "other"}, Expect: rules.Expectation{Refused: rules.WrongAudience}}, nil},
		{"an expired token", rules.Case{At: now, Claims: rules.Claims{"exp": now.Unix() - 60, "iat": now.Unix() - 3600}, Expect: rules.Expectation{Refused: rules.TokenExpired}}, nil},
		{"a claim in another case", rules.Case{Claims: rules.Claims{"Sub": "u2"}, Expect: rules.Expectation{Refused: rules.AmbiguousClaim}}, nil},
		{"a parameter", rules.Case{Request: map[string]string{"room": "A"}, Expect: rules.Expectation{Refused: rules.InvalidParameter}}, nil},
		{"the pseudonym is of the tenant's issuer", rules.Case{Claims: rules.Claims{"iss": "tenant"}, Expect: rules.Expectation{Identity: text(rules.Pseudonym([]byte("test"), "tenant", "u1"))}}, nil},
		{"the pseudonym is of the issuer, however it is spelled", rules.Case{Claims: rules.Claims{"iss": "alias"}, Expect: rules.Expectation{Identity: &identity}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.c.Issuer == "" {
				test.c.Issuer = "idp"
			}
			claims := rules.Claims{"sub": "u1"}
			for name, claim := range test.c.Claims {
				claims[name] = claim
			}
			test.c.Claims = claims
			result := set.RunCase(&test.c)
			if diff := cmp.Diff(test.want, result.Diffs); diff != "" {
				t.Errorf("%s\n%v", diff, result.Err)
			}
			if (result.Decision == nil) != (result.Err != nil) {
				t.Errorf("decision %v with error %v", result.Decision, result.Err)
			}
		})
	}
}

// TestWhy holds what is told of a failure: names that the configuration has
// written, and nothing that came with the token.
func TestWhy(t *testing.T) {
	const generic = "an expression in it has no value for these claims"
	for _, test := range []struct {
		when string
		want string
	}{
		{"claims.absent == 'x'", `claim "absent" is absent`},
		{"claims['https://a/b'] == 'x'", `claim "https://a/b" is absent`},
		{"request.room == 'x'", `parameter "room" is absent`},
		{"request['room'] == 'x'", `parameter "room" is absent`},
		{"claims.level == 1", `claim "level" is not of type int`},
		{"'x' in claims.groups", `claim "groups" is not of type list(string)`},
		{"claims.role", "the result is not a bool"},
		{"claims.role.missing == 'x'", generic},
		{"claims.role == 1 || claims.list[5] == 'x'", generic},
		// Not what was allowed to be absent.
		{"claims.?absent.orValue('') == '' && claims.list[5] == 'x'", generic},
		{"!has(claims.absent) && claims.object.missing == 'x'", generic},
		// A computed name is a claim's value.
		{"claims[claims.role] == 'x'", "a claim whose name is computed cannot be read"},
		{"request[claims.role] == 'x'", "a parameter whose name is computed cannot be read"},
		{"claims[claims.typed] == 3", "a claim whose name is computed cannot be read"},
		{"claims.object[claims.role] == 'x'", generic},
		{"int(claims.role) == 1", generic},
		{"timestamp(claims.role) < now", generic},
	} {
		t.Run(test.when, func(t *testing.T) {
			claims := rules.Claims{"role": "tell-nobody", "typed": "level", "level": "high", "groups": int64(1), "list": []any{}, "object": m{}}
			set := compile(t, newSpec(with(when(test.when), func(r *rules.RuleSpec) { r.Deny = "x" }), grants("true", video("a"))))
			var trace rules.Trace
			_, err := set.Decide(input(claims), &trace)
			if got := trace.Rules[0]; got.Verdict != rules.Undecided || got.Why != test.want {
				t.Errorf("got %s %q, want %q", got.Verdict, got.Why, test.want)
			}
			if all := trace.Rules[0].Conjuncts; len(all) == 1 && all[0].Why != test.want {
				t.Errorf("its conjunct: got %q, want %q", all[0].Why, test.want)
			}
			want := fmt.Sprintf(`rule_failed: rule "r0" may deny: undecided (%s)`, test.want)
			if err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

func TestValueWhy(t *testing.T) {
	for room, want := range map[string]string{
		"${claims.absent}":            `rules[0].grants.video.room: claim "absent" is absent`,
		"a${claims.absent}":           `rules[0].grants.video.room: claim "absent" is absent`,
		"${claims[claims.role]}":      "rules[0].grants.video.room: a claim whose name is computed cannot be read",
		"${claims.list}":              "rules[0].grants.video.room: its value is not of the type that is wanted",
		"${claims.empty}":             "rules[0].grants.video.room: its value is empty",
		"a${claims.?n.orValue(null)}": "rules[0].grants.video.room: a part of it has no value",
		"${claims.role}":              "rules[0].grants.video.room: its value is not a room's name: 1 to 128 characters, none of them control characters",
	} {
		t.Run(room, func(t *testing.T) {
			claims := rules.Claims{"role": "tell\nnobody", "list": []any{}, "empty": ""}
			_, err := compile(t, newSpec(grants("true", video(room)))).Decide(input(claims), nil)
			if err == nil || err.Error() != "rule_failed: "+want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// TestJSONParams holds that a parameter keeps any JSON type.
func TestJSONParams(t *testing.T) {
	claim := m{"s": "x", "i": int64(9007199254740993), "d": 1.5, "b": true, "l": []any{"a", m{"n": int64(1)}}}
	for value, want := range map[string]any{
		"${claims.o}":                   claim,
		"${claims.o.l}":                 []any{"a", m{"n": int64(1)}},
		"${claims.o.d}":                 1.5,
		"${claims.o.b}":                 true,
		"${1u}":                         rules.RuleFailed,
		"${dyn(1u)}":                    int64(1),
		"${claims.?o}":                  claim,
		"${[null, optional.of('x')]}":   []any{nil, "x"},
		"${dyn(18446744073709551615u)}": rules.RuleFailed,
		"${0.0/dyn(0.0)}":               rules.RuleFailed,
		"${dyn(now)}":                   rules.RuleFailed,
		"${{1: 'a'}}":                   rules.RuleFailed,
		"${[dyn(now)]}":                 rules.RuleFailed,
		"${{'a': dyn(b'x')}}":           rules.RuleFailed,
		"${null}":                       rules.RuleFailed,
		"${claims.o.s.substring(1)}":    rules.RuleFailed, // empty
		"a${claims.o.b}":                rules.RuleFailed,
		"a${claims.o.i}":                "a9007199254740993",
	} {
		t.Run(value, func(t *testing.T) {
			params := []rules.FieldSpec{{Name: "p", Value: value}}
			set, faults := rules.CompileUnproven(newSpec(grants("true", grant(rules.KindVoice, "outgoing_application_sid", ap, "outgoing_params", params))))
			if set == nil {
				if want != rules.RuleFailed || faults[0].ID != "type-mismatch" {
					t.Fatalf("%+v", faults)
				}
				return
			}
			d, err := set.Decide(input(rules.Claims{"o": claim}), nil)
			var got any = rules.ReasonOf(err)
			if err == nil {
				got = d.Grants.Voice.OutgoingParams["p"]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestReasonOf(t *testing.T) {
	refusal := rules.Refuse(rules.Denied, "rule %q", "x")
	for _, test := range []struct {
		err  error
		want rules.Reason
	}{
		{nil, ""}, {refusal, rules.Denied}, {fmt.Errorf("deciding: %w", refusal), rules.Denied}, {errors.New("denied: x"), rules.Internal},
	} {
		if got := rules.ReasonOf(test.err); got != test.want {
			t.Errorf("ReasonOf(%v) = %q, want %q", test.err, got, test.want)
		}
	}
}

// TestPseudonym holds the value to the sentence that defines it, computed by
// openssl and base32: it may never change, because identities are made of it.
func TestPseudonym(t *testing.T) {
	if got, want := rules.Pseudonym([]byte("test"), "https://idp.example/", "u1"), "iwfujr65aaplrufhfktnp3midvz2p6ce"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if a, b := rules.Pseudonym([]byte("k"), "ab", "c"), rules.Pseudonym([]byte("k"), "a", "bc"); a == b {
		t.Errorf("%q for both", a)
	}
}

// FuzzEscape holds escape to be one-to-one, by reading back what it wrote, and
// to write what every Twilio product takes.
func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", "auth0|1", "_", "__", "_5F", "é", "\xff", "a_b", "A-Z.0@x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		escaped := rules.Escape(s)
		var back strings.Builder
		for i := 0; i < len(escaped); i++ {
			c := escaped[i]
			if c == '_' {
				if _, err := fmt.Sscanf(escaped[i+1:i+3], "%02X", &c); err != nil {
					t.Fatalf("%q: %v", escaped, err)
				}
				i += 2
			}
			back.WriteByte(c)
		}
		if back.String() != s {
			t.Errorf("%q became %q, which reads %q", s, escaped, back.String())
		}
		if strings.Contains(escaped, "__") {
			t.Errorf("%q has the separator in it", escaped)
		}
		if s != "" && len(escaped) <= 121 {
			if err := rules.CheckIdentity("a"+escaped, &rules.Grants{Voice: &rules.Voice{}, Chat: &rules.Chat{}}); err != nil && len(escaped) < 121 {
				t.Errorf("%q: %v", escaped, err)
			}
		}
	})
}
