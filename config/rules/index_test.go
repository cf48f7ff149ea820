package rules_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

// TestIndexEqualsReadingEveryRule decides for random people by random rules,
// once with the index and once, for the trace, without: claims are absent, null
// and of every type, and the outcomes must be the same to the word.
func TestIndexEqualsReadingEveryRule(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(texts ...string) string { return texts[r.IntN(len(texts))] }
	claim := func() string { return pick("groups", "team", "level", "org", "sub", "email_verified") }
	value := func() string { return pick("a", "b", "c") }
	conjunct := func() string {
		name := claim()
		read := pick("claims."+name, "claims['"+name+"']")
		switch name {
		case "level":
			return pick("claims.level > 1", "claims.?level.orValue(0) == 2", "claims.level != 3")
		case "email_verified":
			return pick("claims.email_verified", "!claims.email_verified")
		case "groups":
			return pick(
				fmt.Sprintf("'%s' in claims.groups", value()),
				fmt.Sprintf("'%s' in claims.?groups.orValue([])", value()),
				fmt.Sprintf("!('%s' in claims.groups)", value()),
				fmt.Sprintf("claims.groups.exists(g, g == '%s')", value()))
		case "sub":
			return pick("claims.sub == '"+value()+"'", "'"+value()+"' == claims.sub", "claims.sub in ['a', '"+value()+"']")
		}
		return pick(
			fmt.Sprintf("%s == '%s'", read, value()),
			fmt.Sprintf("%s in ['%s', '%s']", read, value(), value()),
			fmt.Sprintf("'%s' in %s", value(), read),
			fmt.Sprintf("'%s' in claims.?%s.orValue([])", value(), name),
			fmt.Sprintf("'%s' in claims[?'%s'].orValue([])", value(), name),
			fmt.Sprintf("%s != '%s'", read, value()),
			fmt.Sprintf("has(claims.%s)", name),
			fmt.Sprintf("(%s == '%s' || '%s' in claims.groups)", read, value(), value()),
			"true")
	}
	random := func() any {
		switch r.IntN(9) {
		case 0:
			return nil
		case 1:
			return int64(r.IntN(4))
		case 2:
			return r.IntN(2) == 0
		case 3:
			return []any{value(), value()}
		case 4:
			return []any{value(), nil, int64(1)}
		case 5:
			return map[string]any{value(): true}
		case 6:
			return rules.Unrepresentable{}
		}
		return value()
	}
	outcomes := map[rules.Reason]int{}
	for range 400 {
		var specs []rules.RuleSpec
		for range 1 + r.IntN(12) {
			var all []string
			for range 1 + r.IntN(3) {
				all = append(all, conjunct())
			}
			rule := grants(strings.Join(all, " && "), pickGrant(r))
			if r.IntN(4) == 0 {
				rule = with(rule, func(s *rules.RuleSpec) { s.Deny, s.Grants = "no", nil })
			}
			specs = append(specs, rule)
		}
		set := compile(t, newSpec(specs...))
		for range 25 {
			claims := rules.Claims{}
			for _, name := range []string{"groups", "team", "level", "org", "sub", "email_verified"} {
				if r.IntN(4) > 0 {
					claims[name] = random()
				}
			}
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
