package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

// coverageText writes a coverage down, a line for each goal.
func coverageText(c *rules.Coverage) string {
	var b strings.Builder
	for _, item := range c.Items {
		fmt.Fprintf(&b, "%s%s", item.Name, map[bool]string{true: " (deny)"}[item.Deny])
		if item.Issuers != nil {
			fmt.Fprintf(&b, " for %s", strings.Join(item.Issuers, ", "))
		}
		b.WriteByte('\n')
		for _, goal := range item.Goals {
			fmt.Fprintf(&b, "  %s %s\n", map[bool]string{true: "+", false: "-"}[goal.Covered], strings.TrimSpace(goal.Of+" "+goal.Want))
		}
	}
	covered, goals := c.Count()
	fmt.Fprintf(&b, "%d of %d\n", covered, goals)
	return b.String()
}

func TestCoverage(t *testing.T) {
	spec := newSpec(
		with(when("claims.blocked"), func(r *rules.RuleSpec) { r.Deny = "x" }),
		grants("claims.vip && claims.level > 1 && true", video("vip-${claims.team}"),
			grant(rules.KindVoice, "outgoing_application_sid", ap, "push_credential_sid", "${claims.?push}", "outgoing_params", []rules.FieldSpec{{Name: "team", Value: "${claims.team}"}, {Name: "n", Value: int64(1)}})),
		with(grants("true", chat()), func(r *rules.RuleSpec) { r.Identity.Source, r.Account.Source = "all_${claims.sub}", "main" }),
		with(grants("claims.vip", chat()), func(r *rules.RuleSpec) { r.Expires = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }),
	)
	requiring("claims.sub != 'root'")(spec)
	set := compile(t, spec)
	team := rules.Claims{"sub": "u1", "blocked": false, "vip": true, "level": int64(2), "team": "a"}
	for _, test := range []struct {
		name  string
		cases []rules.Case
		want  string
	}{
		{"no case", nil, `
issuer idp
  - claims.sub != 'root' true
  - claims.sub != 'root' false
  - identity computed
r0 (deny)
  - claims.blocked true
  - claims.blocked false
r1
  - matched
  - claims.vip true
  - claims.vip false
  - claims.level > 1 true
  - claims.level > 1 false
  - video computed
  - video.room computed
  - voice computed
  - voice.push_credential_sid computed
  - voice.outgoing_params.team computed
r2
  - matched
  - identity computed
  - account computed
  - chat computed
r3
  - claims.vip true
  - claims.vip false
  - chat computed
0 of 22
`},
		{"undecided is neither, expired is not tried, and the rest is not reached", []rules.Case{
			{Claims: rules.Claims{"sub": "u1", "blocked": false, "level": int64(1)}},
			{Claims: rules.Claims{"sub": "root"}},
			{Claims: rules.Claims{"aud": "another"}},
		}, `
issuer idp
  + claims.sub != 'root' true
  + claims.sub != 'root' false
  - identity computed
r0 (deny)
  - claims.blocked true
  + claims.blocked false
r1
  - matched
  - claims.vip true
  - claims.vip false
  - claims.level > 1 true
  + claims.level > 1 false
  - video computed
  - video.room computed
  - voice computed
  - voice.push_credential_sid computed
  - voice.outgoing_params.team computed
r2
  + matched
  + identity computed
  + account computed
  + chat computed
r3
  - claims.vip true
  - claims.vip false
  - chat computed
8 of 22
`},
		{"a field that is left out", []rules.Case{{Claims: team}, {Claims: rules.Claims{"sub": "u1", "blocked": true}}}, `
issuer idp
  + claims.sub != 'root' true
  - claims.sub != 'root' false
  - identity computed
r0 (deny)
  + claims.blocked true
  + claims.blocked false
r1
  + matched
  + claims.vip true
  - claims.vip false
  + claims.level > 1 true
  - claims.level > 1 false
  + video computed
  + video.room computed
  + voice computed
  - voice.push_credential_sid computed
  + voice.outgoing_params.team computed
r2
  + matched
  + identity computed
  + account computed
  + chat computed
r3
  - claims.vip true
  - claims.vip false
  - chat computed
14 of 22
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			coverage := set.NewCoverage()
			for i := range test.cases {
				c := &test.cases[i]
				c.Issuer = "idp"
				var trace rules.Trace
				set.TraceCase(c, &trace)
				coverage.Add(c.Issuer, &trace)
			}
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), coverageText(coverage)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestCoverageOfIssuers holds that a rule is one for all issuers that it means
// the same for, and several where a claim it reads is of several types.
func TestCoverageOfIssuers(t *testing.T) {
	spec := newSpec(
		grants("claims.vip", chat()),
		grants("'x' in claims.roles", chat()),
		grants("true", video("r-${claims[claims.sub]}")),
		with(grants("claims.level > 1", chat()), func(r *rules.RuleSpec) { r.Issuers = []string{"second"} }),
	)
	for i, name := range []string{"second", "first"} {
		issuer := newIssuer(i+1, name)
		issuer.Claims = append(issuer.Claims, rules.ClaimSpec{Name: "roles", Type: "list(string)"})
		spec.Issuers = append(spec.Issuers, issuer)
	}
	set := compile(t, spec)
	coverage := set.NewCoverage()
	for _, c := range []rules.Case{
		{Issuer: "first", Claims: rules.Claims{"sub": "u1", "vip": true, "roles": "x", "u1": "a"}},
		{Issuer: "second", Claims: rules.Claims{"sub": "u1", "vip": false, "roles": []any{}, "u1": "a"}},
		{Issuer: "idp", Claims: rules.Claims{"sub": "u1", "roles": "x"}},
	} {
		var trace rules.Trace
		set.TraceCase(&c, &trace)
		coverage.Add(c.Issuer, &trace)
	}
	want := `issuer first
  + identity computed
issuer idp
  + identity computed
issuer second
  + identity computed
r0
  + claims.vip true
  + claims.vip false
  + chat computed
r1 for first, second
  + 'x' in claims.roles true
  + 'x' in claims.roles false
  - chat computed
r1 for idp
  - 'x' in claims.roles true
  - 'x' in claims.roles false
  - chat computed
r2 for first, second
  + matched
  + video computed
  + video.room computed
r2 for idp
  + matched
  - video computed
  - video.room computed
r3
  - claims.level > 1 true
  - claims.level > 1 false
  - chat computed
12 of 21
`
	if diff := cmp.Diff(want, coverageText(coverage)); diff != "" {
		t.Error(diff)
	}
}

// TestCoverageOfRequired holds that nobody is asked for a case in which a
// conjunct is false that is required before any rule is read.
func TestCoverageOfRequired(t *testing.T) {
	spec := newSpec(grants("claims.email_verified && claims.vip", chat()))
	requiring("claims.sub != 'root' && claims.email_verified")(spec)
	want := `issuer idp
  - matched
  - claims.sub != 'root' true
  - claims.sub != 'root' false
  - claims.email_verified true
  - claims.email_verified false
  - identity computed
r0
  - matched
  - claims.email_verified true
  - claims.vip true
  - claims.vip false
  - chat computed
0 of 11
`
	if diff := cmp.Diff(want, coverageText(compile(t, spec).NewCoverage())); diff != "" {
		t.Error(diff)
	}
	spec.Issuers = append(spec.Issuers, newIssuer(1, "other"))
	want = `issuer idp
  - matched
  - claims.sub != 'root' true
  - claims.sub != 'root' false
  - claims.email_verified true
  - claims.email_verified false
  - identity computed
issuer other
  - identity computed
r0
  - matched
  - claims.email_verified true
  - claims.email_verified false
  - claims.vip true
  - claims.vip false
  - chat computed
0 of 13
`
	if diff := cmp.Diff(want, coverageText(compile(t, spec).NewCoverage())); diff != "" {
		t.Error(diff)
	}
}
