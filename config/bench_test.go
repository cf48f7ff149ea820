package config_test

import (
	"fmt"
	"strings"
	"testing"

	"twilio-sts/config"
)

// BenchmarkLoad loads configurations of many rules, each with a condition of
// its own. What the conditions cost alone is BenchmarkExpressions of rules.
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			var text strings.Builder
			text.WriteString(`version: 1
accounts:
  - {name: main, account_sid: {env: TWILIO_ACCOUNT_SID}, api_key_sid: {env: TWILIO_API_KEY_SID}, api_key_secret: {env: TWILIO_API_KEY_SECRET}}
issuers:
  - name: idp
    issuer: https://idp.example/
    audiences: [app]
    claims: {groups: list(string)}
    identity: "idp__${escape(claims.sub)}"
rules:
`)
			for i := range n {
				fmt.Fprintf(&text, `  - name: team-%[1]d
    when: "'team-%[1]d' in claims.groups && claims.email_verified && claims.email.endsWith('@example.com')"
    ttl: 4h
    grants:
      video: {room: "team-%[1]d"}
`, i)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := config.Parse("config.yaml", []byte(text.String()), config.Options{Getenv: getenv}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
