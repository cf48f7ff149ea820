package rules_test

import (
	"fmt"
	"testing"
	"time"

	"twilio-sts/config/rules"
)

// benchmarkSet has n rules as operators write them, of which the last grants.
func benchmarkSet(b *testing.B, n int) *rules.Set {
	var rs []rules.RuleSpec
	for i := range n - 1 {
		rs = append(rs, grants(benchmarkCondition(i), video(fmt.Sprintf("team-%d", i))))
	}
	rs = append(rs, with(grants("claims.email_verified", video("team-${claims['https://acme.com/team']}"), chat()), func(r *rules.RuleSpec) { r.TTL = 4 * time.Hour }))
	return compile(b, newSpec(rs...))
}

func benchmarkCondition(i int) string {
	return fmt.Sprintf("'team-%d' in claims.groups && claims.email_verified && claims.email.endsWith('@example.com')", i)
}

// benchmarkClaims are about as many as Auth0 sends.
func benchmarkClaims() rules.Claims {
	return rules.Claims{
		"iss": "https://idp.example/", "sub": "auth0|5f7c8ec7c33c6c004bbafe82", "aud": "app", "iat": now.Unix() - 60, "exp": now.Unix() + 3600,
		"name": "Ada Agent", "nickname": "ada", "email": "ada@example.com", "email_verified": true, "sid": "Kn3lvIu4dNgQz3sC7BYxQ6bDTLIpfyOC",
		"https://acme.com/team": "emea", "groups": []any{"agents", "support", "emea", "staff", "berlin"},
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1, 10, 100, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			set := benchmarkSet(b, n)
			in := input(benchmarkClaims())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := set.Decide(in, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckClaims(b *testing.B) {
	set, claims := benchmarkSet(b, 1), benchmarkClaims()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := set.CheckClaims("idp", claims, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchmarkSet(b, n)
			}
		})
	}
}

// BenchmarkExpressions is what the conditions of BenchmarkCompile cost alone.
func BenchmarkExpressions(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			conditions := make([]string, n)
			for i := range conditions {
				conditions[i] = benchmarkCondition(i)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := rules.CompileExpressions(conditions); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
