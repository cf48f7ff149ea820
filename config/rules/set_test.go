package rules_test

import (
	"sync"
	"testing"

	"twilio-sts/config/rules"
)

// TestRefusedValues has rows for values that fail where no literal could be
// written, and for those that are not asked.
func TestRefusedValues(t *testing.T) {
	set := func(change func(*rules.RuleSpec)) *rules.Spec {
		return newSpec(with(grants("true", video("a")), change))
	}
	identity := func(value string) *rules.Spec {
		return set(func(r *rules.RuleSpec) { r.Identity.Source = value })
	}
	account := func(value string) *rules.Spec {
		return set(func(r *rules.RuleSpec) { r.Account.Source = value })
	}
	for _, test := range []struct {
		name string
		spec *rules.Spec
		want string
	}{
		{"identity of an absent claim", identity("${claims.absent}"), `rule_failed: rules[0].identity: claim "absent" is absent`},
		{"identity that is empty", identity("${claims.empty}"), "rule_failed: rules[0].identity: its value is empty"},
		{"identity that is null", identity("${claims.?absent}"), "rule_failed: rules[0].identity: its value is empty"},
		{"identity escaped from a number", identity("${escape(claims.n)}"), "rule_failed: rules[0].identity: an expression in it has no value for these claims"},
		{"pseudonym of a number", identity("${pseudonym(claims.n)}"), "rule_failed: rules[0].identity: an expression in it has no value for these claims"},
		{"account of an absent claim", account("${claims.absent}"), `rule_failed: rules[0].account: claim "absent" is absent`},
		{"account that is empty", account("${claims.empty}"), "rule_failed: rules[0].account: its value is empty"},
		{"an account in another case", account("${claims.main}"), `rule_failed: rule "r0" names an account that does not exist`},
		{"text that has a control character", newSpec(grants("true", grant(rules.KindSync, "service_sid", "${claims.newline}"))), "rule_failed: rules[0].grants.sync.service_sid: its value is not text without control characters"},
		{"a value of an output that was lost", newSpec(grants("true", video("a")), grants("true", video("${claims.absent}"))), ""},
		{"a value of a rule that did not match", newSpec(grants("true", video("a")), grants("false", grant(rules.KindChat, "service_sid", "${claims.absent}"))), ""},
		{"the issuer's identity where a rule's won", func() *rules.Spec {
			s := identity("x")
			s.Issuers[0].Identity.Source = "${claims.absent}"
			return s
		}(), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ""
			if _, err := compile(t, test.spec).Decide(input(rules.Claims{"empty": "", "n": int64(1), "main": "Main", "newline": "a\nb"}), nil); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// A rule is compiled against each issuer it applies to: level is an int at one
// and text at the other, and the same words mean either.
func TestTypesOfEachIssuer(t *testing.T) {
	spec := newSpec(grants("claims.level == claims.wanted", video("a")))
	spec.Issuers = append(spec.Issuers, newIssuer(1, "second"))
	spec.Issuers[1].Claims = []rules.ClaimSpec{{Path: "issuers[1].claims.level", Name: "level", Type: "string"}}
	set := compile(t, spec)
	if set.Len() != 1 {
		t.Errorf("%d rules, want 1", set.Len())
	}
	for _, test := range []struct {
		issuer string
		level  any
		want   rules.Reason
	}{{"idp", int64(3), ""}, {"idp", "3", rules.NoRule}, {"second", "3", ""}, {"second", int64(3), rules.NoRule}} {
		in := input(rules.Claims{"level": test.level, "wanted": test.level})
		in.Issuer = test.issuer
		if _, err := set.Decide(in, nil); rules.ReasonOf(err) != test.want {
			t.Errorf("%s with %T: %v, want %q", test.issuer, test.level, err, test.want)
		}
	}
}

// TestConcurrentUse is for the race detector: one Set serves everyone.
func TestConcurrentUse(t *testing.T) {
	set := compile(t, newSpec(
		grants("claims.groups.exists(g, g.matches('^t[0-9]$')) && pseudonym(claims.sub) != ''", video("${escape(claims.sub)}")),
		grants("'x' in claims.groups", chat())))
	var wg sync.WaitGroup
	for i := range 8 {
		sub := string(rune('a' + i))
		wg.Go(func() {
			for range 50 {
				var trace rules.Trace
				d, err := set.Decide(input(rules.Claims{"sub": sub, "groups": []any{"t1"}}), &trace)
				if err != nil || d.Grants.Video.Room != sub || trace.Rules[1].Verdict != rules.NotMatched {
					t.Errorf("%s got %v, %v, %v", sub, d, err, trace)
				}
			}
		})
	}
	wg.Wait()
}
