package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config"
)

// TestWarnings holds what configurations that load are warned of.
func TestWarnings(t *testing.T) {
	files, err := filepath.Glob("testdata/warn/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err, files)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Parse("config.yaml", data, config.Options{Getenv: getenv, ReadFile: readFrom(nil)})
			if err != nil {
				t.Fatal(err)
			}
			checkPlaces(t, cfg.Warnings, string(data))
			golden := strings.TrimSuffix(file, ".yaml") + ".out"
			if *update {
				if err := os.WriteFile(golden, []byte(cfg.Warnings.Error()+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), cfg.Warnings.Error()+"\n"); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWarningsOfIssuers tries each issuer whose tokens anybody, or any machine,
// can have, and look-alikes.
func TestWarningsOfIssuers(t *testing.T) {
	for _, test := range []struct {
		issuer, keys, when string
		want               string // ids
	}{
		{"https://accounts.google.com", "provider: google", "true", "public-issuer"},
		{"https://accounts.google.com", "provider: google", "claims.hd == 'example.com'", ""},
		{"https://accounts.google.com", "", "true", "workload-issuer public-issuer"},
		{"https://accounts.google.com", "", "claims.hd == 'example.com'", ""},
		{"https://accounts.google.com", "", "claims.email == 'a@example.com' && claims.email_verified", "workload-issuer"},
		{"https://accounts.google.com", "", "client == 'a'", "public-issuer"},
		{"https://appleid.apple.com", "provider: apple", "true", "public-issuer"},
		{"https://gitlab.com", "provider: gitlab", "true", "public-issuer"},
		{"https://gitlab.com", "", "true", "workload-issuer public-issuer"},
		{"https://gitlab.com", "", "'a' in claims.groups_direct", ""},
		{"https://gitlab.example.com", "provider: gitlab", "true", ""},
		{"https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0", "provider: entra", "true", "public-issuer"},
		{"https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0", "provider: entra", "true", ""},
		{"https://www.facebook.com", "", "true", "public-issuer"},
		{"https://www.linkedin.com/oauth", "", "true", "public-issuer"},
		{"https://api.login.yahoo.com", "", "true", "public-issuer"},
		{"https://access.line.me", "", "true", "public-issuer"},
		{"https://id.twitch.tv/oauth2", "", "true", "public-issuer"},
		{"https://slack.com", "", "true", "public-issuer"},
		{"https://slack.com", "", "claims['https://slack.com/team_id'] == 'T1'", ""},
		{"https://token.actions.githubusercontent.com", "", "true", "workload-issuer"},
		{"https://token.actions.githubusercontent.com", "", "claims.ref == 'refs/heads/main'", "workload-issuer"},
		{"https://token.actions.githubusercontent.com", "", "claims.repository_owner_id == '1'", ""},
		{"https://kubernetes.default.svc.cluster.local", "", "true", "workload-issuer"},
		{"https://kubernetes.default.svc", "", "claims.sub == 'system:serviceaccount:a:b'", ""},
		{"https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF", "", "true", "workload-issuer"},
		{"https://container.googleapis.com/v1/projects/p/locations/l/clusters/c", "", "true", "workload-issuer"},
		{"https://eastus.oic.prod-aks.azure.com/11111111-1111-1111-1111-111111111111/22222222-2222-2222-2222-222222222222/", "", "true", "workload-issuer"},
		{"https://acme.eu.auth0.com/", "provider: auth0", "true", ""},
		{"https://acme.eu.auth0.com/", "", "true", ""},
		{"https://acme.eu.auth0.com/", "max_uses: 1", "true", "memory-store"},
		{"https://acme.eu.auth0.com/", "backchannel_logout: true", "true", "memory-store"},
		{"https://acme.eu.auth0.com/", "max_uses: 0", "true", ""},
		{"https://acme.eu.auth0.com/", "provider: supabase", "claims.email == 'a@example.com' && claims.email_verified", "editable-claim"},
		{"https://acme.eu.auth0.com/", "provider: entra", "claims.upn == 'a@example.com'", "editable-claim"},
		{"https://sts.windows.net/11111111-1111-1111-1111-111111111111/", "", "claims.upn == 'a@example.com'", "no-provider editable-claim"},
		{"https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111/v2.0", "", "true", "no-provider"},
		{"https://login.acme.example/", "provider: auth0", "true", ""},
		{"https://acme.okta.com", "", "true", "no-provider"},
		{"https://acme.okta.com/oauth2/aus1abc", "provider: okta", "true", ""},
		{"https://id.acme.example/oauth2/default", "provider: okta", "true", ""},
		{"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a", "", "true", "no-provider"},
		{"https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_a", "provider: cognito", "true", ""},
		{"https://securetoken.google.com/acme", "", "true", "no-provider"},
		{"https://abc.supabase.co/auth/v1", "", "true", "no-provider"},
		{"https://abc.clerk.accounts.dev", "", "true", ""},
		{"http://127.0.0.1:1", "provider: google", "claims.hd == 'example.com'", ""},
		{"https://acme.eu.auth0.com/", "", "claims.upn == 'a@example.com'", ""},
	} {
		t.Run(test.issuer+" "+test.keys+" "+test.when, func(t *testing.T) {
			keys := ""
			if test.keys != "" {
				keys = ", " + test.keys
			}
			text := strings.NewReplacer("ISSUER", test.issuer, "KEYS", keys, "WHEN", test.when).Replace(`version: 1
accounts: [{name: main, account_sid: {env: TWILIO_ACCOUNT_SID}, api_key_sid: {env: TWILIO_API_KEY_SID}, api_key_secret: {env: TWILIO_API_KEY_SECRET}}]
issuers: [{name: idp, issuer: "ISSUER", audiences: [a], identity: "idp__${escape(claims.sub)}"KEYS}]
rules: [{name: r, when: "WHEN", grants: {chat: {service_sid: IS0123456789abcdef0123456789abcdef}}}]
`)
			cfg, err := config.Parse("config.yaml", []byte(text), config.Options{Getenv: getenv, ReadFile: readFrom(nil)})
			if err != nil {
				t.Fatal(err)
			}
			if got := ids(cfg.Warnings); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if test.want != "memory-store" {
				return
			}
			shared := text + "store: {redis: {url: {env: REDIS_URL}}}\n"
			if cfg, err = config.Parse("config.yaml", []byte(shared), config.Options{Getenv: getenv, ReadFile: readFrom(nil)}); err != nil || len(cfg.Warnings) > 0 {
				t.Errorf("with a store: %v, %v", cfg, err)
			}
		})
	}
}

func ids(found config.Diagnostics) string {
	var ids []string
	for _, d := range found {
		ids = append(ids, d.ID)
	}
	return strings.Join(ids, " ")
}
