package rules_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

// A chooser writes random conditions and random people: their claims are
// absent, null and of every type.
type chooser struct{ *rand.Rand }

func (g chooser) pick(texts ...string) string { return texts[g.IntN(len(texts))] }

func (g chooser) value() string { return g.pick("a", "b", "c") }

func (g chooser) conjunct() string {
	name := g.pick("groups", "team", "level", "org", "sub", "email_verified")
	read := g.pick("claims."+name, "claims['"+name+"']")
	switch name {
	case "level":
		return g.pick("claims.level > 1", "claims.?level.orValue(0) == 2", "claims.level != 3")
	case "email_verified":
		return g.pick("claims.email_verified", "!claims.email_verified")
	case "groups":
		return g.pick(
			fmt.Sprintf("'%s' in claims.groups", g.value()),
			fmt.Sprintf("'%s' in claims.?groups.orValue([])", g.value()),
			fmt.Sprintf("!('%s' in claims.groups)", g.value()),
			fmt.Sprintf("claims.groups.exists(g, g == '%s')", g.value()))
	case "sub":
		return g.pick("claims.sub == '"+g.value()+"'", "'"+g.value()+"' == claims.sub", "claims.sub in ['a', '"+g.value()+"']")
	}
	return g.pick(
		fmt.Sprintf("%s == '%s'", read, g.value()),
		fmt.Sprintf("%s in ['%s', '%s']", read, g.value(), g.value()),
		fmt.Sprintf("'%s' in %s", g.value(), read),
		fmt.Sprintf("'%s' in claims.?%s.orValue([])", g.value(), name),
		fmt.Sprintf("'%s' in claims[?'%s'].orValue([])", g.value(), name),
		fmt.Sprintf("%s != '%s'", read, g.value()),
		fmt.Sprintf("has(claims.%s)", name),
		fmt.Sprintf("(%s == '%s' || '%s' in claims.groups)", read, g.value(), g.value()),
		"true")
}

func (g chooser) claims() rules.Claims {
	claims := rules.Claims{}
	for _, name := range []string{"groups", "team", "level", "org", "sub", "email_verified"} {
		if g.IntN(4) > 0 {
			claims[name] = g.claim()
		}
	}
	return claims
}

func (g chooser) claim() any {
	switch g.IntN(9) {
	case 0:
		return nil
	case 1:
		return int64(g.IntN(4))
	case 2:
		return g.IntN(2) == 0
	case 3:
		return []any{g.value(), g.value()}
	case 4:
		return []any{g.value(), nil, int64(1)}
	case 5:
		return map[string]any{g.value(): true}
	case 6:
		return rules.Unrepresentable{}
	}
	return g.value()
}

// TestIndexEqualsReadingEveryRule decides for random people by random rules,
// once with the index and once, for the trace, without: the outcomes must be
// the same to the word.
func TestIndexEqualsReadingEveryRule(t *testing.T) {
	r := chooser{rand.New(rand.NewPCG(1, 2))}
	outcomes := map[rules.Reason]int{}
	for range 400 {
		var specs []rules.RuleSpec
		for range 1 + r.IntN(12) {
			var all []string
			for range 1 + r.IntN(3) {
				all = append(all, r.conjunct())
			}
			rule := grants(strings.Join(all, " && "), pickGrant(r.Rand))
			if r.IntN(4) == 0 {
				rule = with(rule, func(s *rules.RuleSpec) { s.Deny, s.Grants = "no", nil })
			}
			specs = append(specs, rule)
		}
		set := compile(t, newSpec(specs...))
		for range 25 {
			claims := r.claims()
			in := input(claims)
			var trace rules.Trace
			want, wantErr := set.Decide(in, &trace)
			got, gotErr := set.Decide(in, nil)
			if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(wantErr) != fmt.Sprint(gotErr) {
				t.Fatalf("rules %+v\nclaims %v\nread in full: %v\nby the index: %v\n%s", specs, claims, wantErr, gotErr, diff)
			}
			outcomes[rules.ReasonOf(gotErr)]++
		}
	}
	for _, reason := range []rules.Reason{"", rules.Denied, rules.RuleFailed, rules.NoRule} {
		if outcomes[reason] < 100 {
			t.Errorf("only %d outcomes are %q: %v", outcomes[reason], reason, outcomes)
		}
	}
}

func pickGrant(r *rand.Rand) rules.GrantSpec {
	if r.IntN(2) == 0 {
		return chat()
	}
	return video(fmt.Sprintf("room-%d", r.IntN(3)))
}

// TestTraceOfACostlyDeny has a condition that would run into the limit of costs
// before it came to what the index looks up.
func TestTraceOfACostlyDeny(t *testing.T) {
	set := compile(t, newSpec(
		with(when("claims.groups.exists(g, claims.groups.exists(h, g + h == 'zz')) && claims.tenant == 'c'"), func(r *rules.RuleSpec) { r.Deny = "no" }),
		grants("true", chat())))
	groups := make([]any, 400)
	for i := range groups {
		groups[i] = "a"
	}
	for tenant, want := range map[string]rules.Reason{"d": "", "c": rules.RuleFailed} {
		in := input(rules.Claims{"tenant": tenant, "groups": groups})
		for name, trace := range map[string]*rules.Trace{"with": {}, "without": nil} {
			if _, err := set.Decide(in, trace); rules.ReasonOf(err) != want {
				t.Errorf("tenant %s, %s a trace: %v, want reason %q", tenant, name, err, want)
			}
		}
	}
}
