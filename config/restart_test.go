package config_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
)

// served is a configuration without what a running service cannot change.
const served = `version: 1
accounts: [{name: a, account_sid: {env: AC}, api_key_sid: {env: SK}, api_key_secret: {env: SECRET}}]
issuers: [{name: i, issuer: "https://i.example.com", audiences: [a], jwks_uri: "https://i.example.com/jwks"}]
rules: [{name: r, issuer: i, when: claims.sub != '', identity: "${escape(claims.sub)}", grants: {sync: {service_sid: default}}}]
`

// TestNeedsRestart has what a running service says of a changed configuration.
func TestNeedsRestart(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	o := config.Options{
		Getenv: func(name string) (string, bool) {
			v, ok := map[string]string{
				"AC": "AC0123456789abcdef0123456789abcdef", "SK": "SK0123456789abcdef0123456789abcdef", "SECRET": "AsecretThatIsNoAuthTokenAtAll123",
				"REDIS": "redis://one", "OTHER": "redis://other",
			}[name]
			return v, ok
		},
		ReadFile: readFrom(map[string]string{"tls.crt": cert, "tls.key": key, "new.crt": cert}),
	}
	const tls = "server: {tls: {cert_file: tls.crt, key_file: tls.key}}\n"
	const redis = "store: {redis: {url: {env: REDIS}}}\n"
	for _, tt := range []struct{ name, from, to, want string }{
		{"nothing", "", "", ""},
		{"defaults, written", "", "server: {listen: \"127.0.0.1:8080\", admin_listen: \"127.0.0.1:8081\"}\n", ""},
		{"what may change", "", "server: {public_url: \"https://a.example.com\", allowed_origins: [\"https://b.example.com\"]}\nlimits: {per_ip: off}\n", ""},
		{"another certificate", tls, "server: {tls: {cert_file: new.crt, key_file: tls.key}}\n", ""},
		{"the same store", redis, redis, ""},
		{"listen", "", "server:\n  listen: 127.0.0.1:9000\n", `config.yaml:6:11: server.listen: this cannot change while the service runs [needs-restart]
    6 |   listen: 127.0.0.1:9000
      |           ^^^^^^^^^^^^^^
   hint: restart the service, or put back what was there`},
		{"admin_listen", "server: {admin_listen: \"127.0.0.1:9001\"}\n", "", `config.yaml:1:1: server.admin_listen: this cannot change while the service runs [needs-restart]
    1 | version: 1
      | ^
   hint: restart the service, or put back what was there`},
		{"TLS on", "", tls, `config.yaml:5:15: server.tls: this cannot change while the service runs [needs-restart]
    5 | server: {tls: {cert_file: tls.crt, key_file: tls.key}}
      |               ^
   hint: restart the service, or put back what was there`},
		{"TLS off", tls, "server:\n  public_url: https://a.example.com\n", `config.yaml:6:3: server.tls: this cannot change while the service runs [needs-restart]
    6 |   public_url: https://a.example.com
      |   ^
   hint: restart the service, or put back what was there`},
		{"store", redis, "store: {redis: {url: {env: OTHER}}}\n", `config.yaml:5:8: store: this cannot change while the service runs [needs-restart]
    5 | store: {redis: {url: {env: OTHER}}}
      |        ^
   hint: restart the service, or put back what was there`},
		{"a store whose URL is written out", redis, "store: {redis: {url: \"redis://u:password@one\"}}\n", `config.yaml:5:8: store: this cannot change while the service runs [needs-restart]
   hint: restart the service, or put back what was there`},
		{"no store", redis, "", `config.yaml:1:1: store: this cannot change while the service runs [needs-restart]
    1 | version: 1
      | ^
   hint: restart the service, or put back what was there`},
		{"a store's failures", redis, "store: {redis: {url: {env: REDIS}, on_failure: insecure_allow}}\n", `config.yaml:5:8: store: this cannot change while the service runs [needs-restart]
    5 | store: {redis: {url: {env: REDIS}, on_failure: insecure_allow}}
      |        ^
   hint: restart the service, or put back what was there`},
		{"all at once", redis + tls, "server: {listen: \":1\", admin_listen: \"\"}\n", `config.yaml:1:1: store: this cannot change while the service runs [needs-restart]
    1 | version: 1
      | ^
   hint: restart the service, or put back what was there
config.yaml:5:9: server.tls: this cannot change while the service runs [needs-restart]
    5 | server: {listen: ":1", admin_listen: ""}
      |         ^
   hint: restart the service, or put back what was there
config.yaml:5:18: server.listen: this cannot change while the service runs [needs-restart]
    5 | server: {listen: ":1", admin_listen: ""}
      |                  ^^^^
   hint: restart the service, or put back what was there
config.yaml:5:38: server.admin_listen: this cannot change while the service runs [needs-restart]
    5 | server: {listen: ":1", admin_listen: ""}
      |                                      ^^
   hint: restart the service, or put back what was there`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from, to := parsed(t, served+tt.from, o), parsed(t, served+tt.to, o)
			if diff := cmp.Diff(tt.want, to.NeedsRestart(from).Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDiagnosticsInLogs has what an event tells of faults: one line, and nothing
// of the file itself.
func TestDiagnosticsInLogs(t *testing.T) {
	t.Parallel()
	fault := func(line int, warning bool) config.Diagnostic {
		return config.Diagnostic{File: "config.yaml", Line: line, Column: 7, Path: "limits.per_ip", ID: "invalid-rate", Message: "this is no rate", Warning: warning, Source: "of the file", Hint: "a hint"}
	}
	const one = "level=ERROR msg=m error=\"config.yaml:2:7: limits.per_ip: this is no rate [invalid-rate]"
	for _, tt := range []struct {
		found config.Diagnostics
		want  string
	}{
		{config.Diagnostics{fault(2, false)}, one + "\"\n"},
		{config.Diagnostics{fault(1, true), fault(2, false), fault(3, true)}, one + "\"\n"},
		{config.Diagnostics{fault(2, false), fault(3, false), fault(3, true)}, one + ", the first of 2 faults\"\n"},
	} {
		var b bytes.Buffer
		log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}))
		log.Error("m", "error", error(tt.found))
		if diff := cmp.Diff(tt.want, b.String()); diff != "" {
			t.Error(diff)
		}
	}
}
