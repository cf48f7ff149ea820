package exchange_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"twilio-sts/config"
	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

// providerNow is a minute after the tokens in testdata/providers were issued.
func providerNow() time.Time { return time.Unix(1_780_000_060, 0) }

// absentClaim as a change takes a claim away.
var absentClaim = new(int)

// TestProviders exchanges tokens in the shape that each provider documents, by
// a configuration as one would write it for that provider, and what others
// make or find that looks like such a token. Claims, header and source are in
// testdata/providers; names, ids and keys in them are made up.
func TestProviders(t *testing.T) {
	type m = map[string]any
	const (
		tenant      = "aaaabbbb-0000-cccc-1111-dddd2222eeee"
		otherTenant = "bbbbcccc-1111-dddd-2222-eeee3333ffff"
		consumers   = "9188040d-6c67-4c5b-b112-36a304b66dad" // Microsoft's personal accounts
		v2          = "https://login.microsoftonline.com/%s/v2.0"

		agent    = "entra_aaaabbbb_2D0000_2Dcccc_2D1111_2Ddddd2222eeee__aaaaaaaa_2D0000_2D1111_2D2222_2Dbbbbbbbbbbbb "
		googler  = "google_10769150350006150715113082367 "
		apple    = "apple_001999_2E6c9712ead2a54a7ab8ce0fee6f4f4711_2E1530 "
		dex      = "dex_CiQwOGE4Njg0Yi1kYjg4LTRiNzMtOTBhOS0zY2QxNjYxZjU0NjYSBWxvY2Fs "
		sync     = `{"data_sync":{"service_sid":"IS0123456789abcdef0123456789abcdef"}}`
		andVideo = `{"data_sync":{"service_sid":"IS0123456789abcdef0123456789abcdef"},"video":{"room":"%s"}}`

		unknownIssuer = "unknown_issuer: iss is not a configured issuer's"
		noAudience    = "malformed_token: aud is not a string or a list of strings"
		otherAudience = "wrong_audience: aud names none of this issuer's audiences"
		untrusted     = "wrong_audience: aud names an audience that is not trusted"
		otherAZP      = "wrong_azp: azp is not one of allowed_azp"
		otherKind     = "unsupported_token: its claim typ says that it is no ID token"
		otherUse      = "unsupported_token: its claim token_use says that it is no ID token"
		sharedSecret  = "unsupported_token: its alg is not one for public keys"
		noSuchKey     = "bad_signature: the issuer has no such key"
		badSignature  = "bad_signature: the key that it names did not make the signature"
		lacks         = ": it lacks what a token of this provider must have: "
		has           = ": it has what a token of this provider must not have: "
	)
	with := func(room string) string { return fmt.Sprintf(andVideo, room) }
	for _, test := range []struct {
		provider string // the configuration
		token    string
		name     string
		claims   m      // changes of the token's
		jwk      m      // changes of the key's
		want     string // identity and grants, or reason and detail
	}{
		{"google", "google", "a web app's", nil, nil, googler + with("staff")},
		{"google", "google", "iss without https", m{"iss": "accounts.google.com"}, nil, googler + with("staff")},
		{"google", "google", "iss with http", m{"iss": "http://accounts.google.com"}, nil, unknownIssuer},
		{"google", "google", "an Android app's", m{"azp": "1234987819200-android.apps.googleusercontent.com"}, nil, googler + with("staff")},
		{"google", "google", "a stranger's app", m{"azp": "999.apps.googleusercontent.com"}, nil, otherAZP},
		{"google", "google", "nobody's hd", m{"hd": absentClaim}, nil, googler + sync},
		{"google", "google", "without azp", m{"azp": absentClaim}, nil, "unsupported_token" + lacks + "azp"},
		{"google", "google-service-account", "a service account's, for our audience", nil, nil, otherAZP},
		{"google", "google-service-account", "with its address for azp", m{"azp": "robot@some-project.iam.gserviceaccount.com"}, nil, otherAZP},

		{"auth0", "auth0", "an app's", nil, nil, `auth0_auth0_7C665f0c1e2f9b3a0071c1d2e3 {"video":{"room":"agents"}}`},
		{"auth0", "auth0", "one role, as text", m{"https://acme.example/roles": "agent"}, nil, `auth0_auth0_7C665f0c1e2f9b3a0071c1d2e3 {"video":{"room":"agents"}}`},
		{"auth0", "auth0", "the role under a name without namespace", m{"https://acme.example/roles": absentClaim, "roles": []string{"agent"}}, nil, "no_rule"},
		{"auth0", "auth0", "level as text", m{"level": "3"}, nil, "no_rule"},
		{"auth0", "auth0", "iss without the slash", m{"iss": "https://acme.eu.auth0.com"}, nil, unknownIssuer},
		{"auth0", "auth0", "iss of the custom domain", m{"iss": "https://login.acme.example/"}, nil, unknownIssuer},
		{"auth0", "auth0", "a namesake in another case", m{"Email_verified": true}, nil, "ambiguous_claim: a claim's name is a registered one in another case"},
		{"auth0", "auth0", "more in it than anybody needs", m{"https://acme.example/blob": strings.Repeat("x", 12_000)}, nil, "malformed_token: it is larger than 16 KiB"},
		{"auth0", "auth0-access-token", "an API's access token", nil, nil, otherAudience},

		{"okta", "okta", "an app's", nil, nil, `okta_00uid4BxXw6I6TV4m0g3 {"video":{"room":"support"}}`},
		{"okta", "okta", "of the organisation's own server", m{"iss": "https://acme.okta.com"}, nil, unknownIssuer},
		{"okta", "okta", "of the custom domain", m{"iss": "https://login.acme.example/oauth2/default"}, nil, unknownIssuer},
		{"okta", "okta", "no groups claim", m{"groups": absentClaim}, nil, "no_rule"},
		{"okta", "okta-access-token", "an access token whose audience is listed", nil, nil, "unsupported_token" + has + "scp"},

		{"entra", "entra", "a work account's", nil, nil, agent + with("agents-"+tenant)},
		{"entra", "entra", "keys for every tenant", nil, m{"issuer": fmt.Sprintf(v2, "{tenantid}")}, agent + with("agents-"+tenant)},
		{"entra", "entra", "a key for this tenant", nil, m{"issuer": fmt.Sprintf(v2, tenant)}, agent + with("agents-"+tenant)},
		{"entra", "entra", "a key for personal accounts", nil, m{"issuer": fmt.Sprintf(v2, consumers)}, badSignature},
		{"entra", "entra", "a key for version 1.0", nil, m{"issuer": "https://sts.windows.net/{tenantid}/"}, badSignature},
		{"entra", "entra", "another tenant on the list", m{"iss": fmt.Sprintf(v2, otherTenant), "tid": otherTenant, "roles": absentClaim}, nil,
			"entra_bbbbcccc_2D1111_2Ddddd_2D2222_2Deeee3333ffff__aaaaaaaa_2D0000_2D1111_2D2222_2Dbbbbbbbbbbbb " + sync},
		{"entra", "entra", "a tenant that is not listed", m{"iss": fmt.Sprintf(v2, consumers), "tid": consumers}, nil, unknownIssuer},
		{"entra", "entra", "the template for a tenant", m{"iss": fmt.Sprintf(v2, "{tenantid}")}, nil, unknownIssuer},
		{"entra", "entra", "common for a tenant", m{"iss": fmt.Sprintf(v2, "common")}, nil, unknownIssuer},
		{"entra", "entra", "the tenant in capitals", m{"iss": fmt.Sprintf(v2, strings.ToUpper(tenant))}, nil, unknownIssuer},
		{"entra", "entra", "without the scope profile", m{"oid": absentClaim}, nil, "requirement_failed" + lacks + "oid"},
		{"entra", "entra", "tid of another tenant than iss's", m{"tid": consumers}, nil, "requirement_failed: tid is not the tenant of iss"},
		{"entra", "entra", "without tid", m{"tid": absentClaim}, nil, "requirement_failed" + lacks + "tid"},
		{"entra", "entra", "more than 200 groups", m{"groups": absentClaim, "_claim_names": m{"groups": "src1"},
			"_claim_sources": m{"src1": m{"endpoint": "https://graph.windows.net/x/users/y/getMemberObjects"}}}, nil,
			"claims_unavailable: the provider left out a claim that is read here"},
		{"entra", "entra", "more than six groups, implicit flow", m{"groups": absentClaim, "hasgroups": true}, nil,
			"claims_unavailable: the provider left out a claim that is read here"},
		{"entra-roles", "entra", "more than six groups, and nobody reads them", m{"groups": absentClaim, "hasgroups": true}, nil, agent + `{"video":{"room":"agents-` + tenant + `"}}`},
		{"entra", "entra-access-token", "an access token for the same app", nil, nil, "unsupported_token" + has + "scp"},
		{"entra", "entra-app-token", "an app's own access token", nil, nil, "unsupported_token" + has + "azpacr"},
		{"entra", "entra-v1", "a version 1.0 token", nil, nil, unknownIssuer},
		{"entra-v1", "entra-v1", "a version 1.0 token", nil, nil, agent + `{"video":{"room":"agents-` + tenant + `"}}`},
		{"entra-v1", "entra-v1-access-token", "another app's own access token", nil, nil, "unsupported_token" + has + "appid"},
		{"entra-v1", "entra", "a version 2.0 token", nil, nil, unknownIssuer},

		{"apple", "apple", "a web app's", nil, nil, apple + with("staff")},
		{"apple", "apple", "bools as bools", m{"email_verified": true, "is_private_email": false}, nil, apple + with("staff")},
		{"apple", "apple", "a native app's", m{"aud": "com.example.app"}, nil, apple + with("staff")},
		{"apple", "apple", "another team's app", m{"aud": "com.example.evil"}, nil, otherAudience},
		{"apple", "apple", "a private address", m{"is_private_email": "true"}, nil, apple + sync},
		{"apple", "apple", "a text that is no bool", m{"email_verified": "yes"}, nil, apple + sync},

		{"cognito", "cognito", "an app client's; = in kid", nil, nil, `cognito_aaaaaaaa_2Dbbbb_2Dcccc_2Ddddd_2Deeeeeeeeeeee {"video":{"room":"group-a"}}`},
		{"cognito", "cognito", "another pool's", m{"iss": "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_evil"}, nil, unknownIssuer},
		{"cognito", "cognito", "without token_use", m{"token_use": absentClaim}, nil, "unsupported_token" + lacks + "token_use"},
		{"cognito", "cognito-access-token", "an access token", nil, nil, otherUse},
		{"cognito", "cognito-access-token", "an access token given an audience", m{"aud": "xxxxxxxxxxxxexample"}, nil, otherUse},

		{"firebase", "firebase", "a project's", nil, nil, `firebase_tRcfmLH7o2XrNELi0bfq9mGvN9e2 {"video":{"room":"pro"}}`},
		{"firebase", "firebase", "another project's", m{"iss": "https://securetoken.google.com/evil", "aud": "evil"}, nil, unknownIssuer},
		{"firebase", "firebase", "a session cookie", m{"iss": "https://session.firebase.google.com/my-project"}, nil, unknownIssuer},
		{"firebase", "firebase", "without a user", m{"sub": ""}, nil, "malformed_token: sub is not a string of 1 to 255 characters"},
		{"firebase", "firebase-anonymous", "an anonymous visitor's", nil, nil, "requirement_failed" + has + "firebase.sign_in_provider"},

		{"keycloak", "keycloak", "a client's", nil, nil, `keycloak_9a1f7c5e_2D1d34_2D4c2e_2Da0b8_2D6f2d3e4c5b6a {"video":{"room":"support"}}`},
		{"keycloak", "keycloak", "a realm under /auth", m{"iss": "https://login.example.com/auth/realms/acme"}, nil, unknownIssuer},
		{"keycloak", "keycloak", "another client's", m{"aud": "other-app", "azp": "other-app"}, nil, otherAudience},
		{"keycloak", "keycloak", "another client's, for us too", m{"aud": []string{"web-app", "other-app"}, "azp": "other-app"}, nil, otherAZP},
		{"keycloak", "keycloak", "groups without their slash", m{"groups": []string{"support"}}, nil, "no_rule"},
		{"keycloak", "keycloak", "no mapper for roles", m{"realm_access": absentClaim}, nil, "no_rule"},
		{"keycloak", "keycloak", "the scope basic left out", m{"sub": absentClaim}, nil, "malformed_token: sub is not a string of 1 to 255 characters"},
		{"keycloak", "keycloak", "without typ", m{"typ": absentClaim}, nil, "unsupported_token" + lacks + "typ"},
		{"keycloak", "keycloak", "the serialized kind", m{"typ": "Serialized-ID"}, nil, "unsupported_token" + lacks + "typ"},
		{"keycloak", "keycloak", "by the key for encryption", nil, m{"use": "enc", "alg": "RSA-OAEP"}, noSuchKey},
		{"keycloak", "keycloak-access-token", "an access token whose audience is listed", nil, nil, otherKind},
		{"keycloak", "keycloak-access-token", "an access token for us", m{"aud": []string{"web-app", "account"}}, nil, otherKind},
		{"keycloak", "keycloak-refresh-token", "a refresh token", nil, nil, sharedSecret},
		{"keycloak", "keycloak-logout-token", "a logout token", nil, nil, "unsupported_token: events makes it a logout or security event token"},
		{"keycloak", "keycloak-logout-token", "an old logout token", m{"events": absentClaim}, nil, otherKind},

		{"gitlab", "gitlab", "an application's", nil, nil, "gitlab_4242 " + with("owners")},
		{"gitlab", "gitlab", "nobody's owner", m{"https://gitlab.org/claims/groups/owner": absentClaim}, nil, "gitlab_4242 " + sync},
		{"gitlab", "gitlab-ci", "a CI job's, for our audience", nil, nil, "unsupported_token" + has + "project_path"},
		{"gitlab", "gitlab-ci", "a CI job's with its number alone", m{"project_path": absentClaim, "pipeline_id": absentClaim, "ref": absentClaim}, nil, "unsupported_token" + has + "job_id"},
		{"gitlab", "gitlab-ci", "a CI job's with its pipeline alone", m{"project_path": absentClaim, "job_id": absentClaim, "ref": absentClaim}, nil, "unsupported_token" + has + "pipeline_id"},
		{"gitlab", "gitlab-ci", "a CI job's with its branch alone", m{"project_path": absentClaim, "job_id": absentClaim, "pipeline_id": absentClaim}, nil, "unsupported_token" + has + "ref"},

		{"dex", "dex", "a client's", nil, nil, dex + with("admins")},
		{"dex", "dex", "by a trusted peer for us", m{"aud": []string{"web-app", "cli"}, "azp": "cli"}, nil, dex + sync},
		{"dex", "dex", "by another peer for us", m{"aud": []string{"web-app", "evil"}, "azp": "evil"}, nil, otherAZP},
		{"dex", "dex", "for us and another, by nobody", m{"aud": []string{"web-app", "evil"}}, nil, untrusted},

		{"zitadel", "zitadel", "a client's: client, sibling and project in aud", nil, nil, `zitadel_250374757298765827 {"video":{"room":"admins"}}`},
		{"zitadel", "zitadel", "a sibling's", m{"azp": "250374757298700299", "client_id": "250374757298700299"}, nil, otherAZP},
		{"zitadel", "zitadel", "without azp", m{"azp": absentClaim}, nil, untrusted},
		{"zitadel", "zitadel", "another role", m{"urn:zitadel:iam:org:project:roles": m{"viewer": m{"250374757298503683": "acme.example"}}}, nil, "no_rule"},
		{"zitadel", "zitadel-access-token", "an access token", nil, nil, "unsupported_token" + has + "jti"},

		{"supabase", "supabase", "a user's access token", nil, nil, `supabase_123e4567_2De89b_2D12d3_2Da456_2D426614174000 {"video":{"room":"support"}}`},
		{"supabase", "supabase", "a claim of a hook's that other providers use", m{"typ": "Bearer"}, nil, `supabase_123e4567_2De89b_2D12d3_2Da456_2D426614174000 {"video":{"room":"support"}}`},
		{"supabase", "supabase", "a team that the user chose", m{"app_metadata": m{"provider": "email"}}, nil, "no_rule"},
		{"supabase", "supabase", "another project's", m{"iss": "https://zyxwvutsrqponmlkjihg.supabase.co/auth/v1"}, nil, unknownIssuer},
		{"supabase", "supabase", "a database role of one's own", m{"role": "service_role"}, nil, "requirement_failed" + lacks + "role"},
		{"supabase", "supabase", "without role", m{"role": absentClaim}, nil, "requirement_failed" + lacks + "role"},
		{"supabase", "supabase-anonymous", "an anonymous user's", nil, nil, "requirement_failed" + has + "is_anonymous"},
		{"supabase", "supabase-anonymous", "an anonymous user's, as text", m{"is_anonymous": "true"}, nil, "requirement_failed" + has + "is_anonymous"},
		{"supabase", "supabase-anon-key", "the project's public key", nil, nil, sharedSecret},

		{"clerk", "clerk", "by a template with aud, without nonce", nil, nil, `clerk_user_5F2aBcDeFgHiJkLmNoPqRsTuVwXyZ {"video":{"room":"org-org_5F2bCdEf"}}`},
		{"clerk", "clerk", "without an origin", m{"azp": absentClaim}, nil, `clerk_user_5F2aBcDeFgHiJkLmNoPqRsTuVwXyZ {"video":{"room":"org-org_5F2bCdEf"}}`},
		{"clerk", "clerk", "another page's", m{"azp": "https://evil.example"}, nil, otherAZP},
		{"clerk", "clerk", "another template's", m{"aud": "hasura"}, nil, otherAudience},
		{"clerk", "clerk-session-token", "the session token, which has no audience", nil, nil, noAudience},
	} {
		t.Run(test.token+"/"+test.name, func(t *testing.T) {
			t.Parallel()
			fixture := readProviderToken(t, test.token)
			change(fixture.Claims, test.claims)
			algorithm, kid := fixture.Header["alg"].(string), fixture.Header["kid"]
			if strings.HasPrefix(algorithm, "HS") {
				algorithm = "RS256" // the signature does not matter then
			}
			key := exchangetest.NewKey(t, algorithm, "provider")
			jwk := key.JWK()
			jwk["kid"] = kid
			change(jwk, test.jwk)
			keys, err := json.Marshal(map[string]any{"keys": []any{jwk, exchangetest.NewKey(t, algorithm, "another").JWK()}})
			if err != nil {
				t.Fatal(err)
			}
			e := newExchanger(t, providerConfig(t, test.provider), keys, exchange.Options{Now: providerNow})
			if got := e.exchange(t, key.Sign(fixture.Header, fixture.Claims)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestProviderDiscovery has every provider's keys found by its issuer alone:
// what is asked for, and in which order. The documents are as providers have
// them; issuer and jwks_uri of each are published.
func TestProviderDiscovery(t *testing.T) {
	const microsoft = "https://login.microsoftonline.com/"
	for _, test := range []struct{ provider, document, issuer, keys string }{
		{"google", "https://accounts.google.com", "https://accounts.google.com", "https://www.googleapis.com/oauth2/v3/certs"},
		{"auth0", "https://acme.eu.auth0.com", "https://acme.eu.auth0.com/", "https://acme.eu.auth0.com/.well-known/jwks.json"},
		{"okta", "https://acme.okta.com/oauth2/default", "https://acme.okta.com/oauth2/default", "https://acme.okta.com/oauth2/default/v1/keys"},
		{"entra", microsoft + "common/v2.0", microsoft + "{tenantid}/v2.0", microsoft + "common/discovery/v2.0/keys"},
		{"entra-v1", "https://sts.windows.net/aaaabbbb-0000-cccc-1111-dddd2222eeee", "https://sts.windows.net/aaaabbbb-0000-cccc-1111-dddd2222eeee/", microsoft + "common/discovery/keys"},
		{"apple", "https://appleid.apple.com", "https://appleid.apple.com", "https://appleid.apple.com/auth/keys"},
		{"cognito", "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_example", "https://cognito-idp.us-west-2.amazonaws.com/us-west-2_example",
			"https://cognito-idp.us-west-2.amazonaws.com/us-west-2_example/.well-known/jwks.json"},
		{"firebase", "https://securetoken.google.com/my-project", "https://securetoken.google.com/my-project",
			"https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com"},
		{"keycloak", "https://login.example.com/realms/acme", "https://login.example.com/realms/acme", "https://login.example.com/realms/acme/protocol/openid-connect/certs"},
		{"gitlab", "https://gitlab.com", "https://gitlab.com", "https://gitlab.com/oauth/discovery/keys"},
		{"dex", "https://dex.example.com/dex", "https://dex.example.com/dex", "https://dex.example.com/dex/keys"},
		{"zitadel", "https://acme-a1b2c3.zitadel.cloud", "https://acme-a1b2c3.zitadel.cloud", "https://acme-a1b2c3.zitadel.cloud/oauth/v2/keys"},
		{"supabase", "https://abcdefghijklmnopqrst.supabase.co/auth/v1", "https://abcdefghijklmnopqrst.supabase.co/auth/v1",
			"https://abcdefghijklmnopqrst.supabase.co/auth/v1/.well-known/jwks.json"},
		{"clerk", "https://clerk.example.com", "https://clerk.example.com", "https://clerk.example.com/.well-known/jwks.json"},
	} {
		t.Run(test.provider, func(t *testing.T) {
			t.Parallel()
			fixture := readProviderToken(t, test.provider)
			key := exchangetest.NewKey(t, fixture.Header["alg"].(string), "provider")
			jwk := key.JWK()
			jwk["kid"] = fixture.Header["kid"]
			documents := webOf{
				test.document + "/.well-known/openid-configuration": {"issuer": test.issuer, "jwks_uri": test.keys},
				test.keys: {"keys": []any{jwk}},
			}
			asked := make(chan string, 10)
			e := newExchanger(t, strings.Replace(providerConfig(t, test.provider), "    jwks_file: keys.json\n", "", 1), nil, exchange.Options{
				Now:       providerNow,
				Transport: recorder{documents, asked},
			})
			for _, want := range []string{test.document + "/.well-known/openid-configuration", test.keys} {
				if got := <-asked; got != want {
					t.Fatalf("asked for %s, want %s", got, want)
				}
			}
			if got := e.exchange(t, key.Sign(fixture.Header, fixture.Claims)); !strings.HasSuffix(got, "}") {
				t.Error(got)
			}
			if len(asked) > 0 {
				t.Errorf("asked for %s besides", <-asked)
			}
		})
	}
}

// A webOf has JSON documents by their URLs.
type webOf map[string]map[string]any

// A recorder serves documents and says what was asked for.
type recorder struct {
	documents webOf
	asked     chan<- string
}

func (r recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	if document, ok := r.documents[req.URL.String()]; ok {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(document); err != nil {
			return nil, err
		}
	} else {
		w.WriteHeader(http.StatusNotFound)
	}
	r.asked <- req.URL.String()
	return w.Result(), nil
}

// TestProvidersAreComplete has every preset of the configuration exchange at
// least the token that the provider documents, and every file be of use.
func TestProvidersAreComplete(t *testing.T) {
	source, err := os.ReadFile("../config/presets.go")
	if err != nil {
		t.Fatal(err)
	}
	test, err := os.ReadFile("providers_test.go")
	if err != nil {
		t.Fatal(err)
	}
	presets := 0
	for _, part := range strings.Split(string(source), `{name: "`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		presets++
		if !strings.Contains(providerConfig(t, name), "provider: "+name+"\n") {
			t.Errorf("testdata/providers/%s.yaml does not use the preset %s", name, name)
		}
		if !strings.Contains(string(test), fmt.Sprintf(`{%q, %q, `, name, name)) {
			t.Errorf("no row for the preset %s", name)
		}
	}
	if presets == 0 {
		t.Error("no preset was found")
	}
	files, err := filepath.Glob("testdata/providers/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if !strings.Contains(string(test), fmt.Sprintf(`, %q, `, name)) {
			t.Errorf("no row for %s", file)
		}
		if source := readProviderToken(t, name).Source; !strings.HasPrefix(source, "https://") {
			t.Errorf("%s names no source", file)
		}
	}
}

// A providerToken is a token as a provider documents it.
type providerToken struct {
	Source string // where it is documented
	Header map[string]any
	Claims map[string]any
}

func readProviderToken(t *testing.T, name string) providerToken {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "providers", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.UseNumber()
	var token providerToken
	if err := d.Decode(&token); err != nil {
		t.Fatal(err)
	}
	return token
}

func providerConfig(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "providers", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func change(object, changes map[string]any) {
	maps.Copy(object, changes)
	maps.DeleteFunc(object, func(_ string, v any) bool { return v == absentClaim })
}

// An exchanger is the service on loopback.
type exchanger struct {
	url string
	log *events
}

// newExchanger serves a configuration, of which issuers has issuers and rules,
// with keys as the content of jwks_file.
func newExchanger(t *testing.T, issuers string, keys []byte, o exchange.Options) *exchanger {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(`version: 1
accounts:
  - name: main
    account_sid: AC0123456789abcdef0123456789abcdef
    api_key_sid: SK0123456789abcdef0123456789abcdef
    api_key_secret: AsecretThatIsNoAuthTokenAtAll123
`+issuers), config.Options{ReadFile: func(string) ([]byte, error) { return keys, nil }})
	if err != nil {
		t.Fatal(err)
	}
	e := &exchanger{log: newEvents()}
	o.Log = slog.New(slog.NewJSONHandler(e.log, nil))
	service, err := exchange.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	service.Start(t.Context())
	server := httptest.NewServer(service.Handler())
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

// exchange returns what comes of a token: identity and grants as answered, or
// the reason that was answered with the detail that was logged.
func (e *exchanger) exchange(t *testing.T, token string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "POST", e.url+"/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Identity string
		Grants   json.RawMessage
		Reason   string
		TraceID  string `json:"trace_id"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if (resp.StatusCode == http.StatusOK) != (answer.Reason == "") {
		t.Fatalf("status %d with %s", resp.StatusCode, body)
	}
	if answer.Reason == "" {
		return answer.Identity + " " + string(answer.Grants)
	}
	detail := e.log.detail(answer.TraceID)
	if detail == "" {
		return answer.Reason // refused by the rules, which the audit says
	}
	if !strings.HasPrefix(detail, answer.Reason+": ") {
		t.Errorf("answered %s and logged %s", answer.Reason, detail)
	}
	return detail
}

// events are the lines of a log in JSON.
type events struct {
	mu      sync.Mutex
	lines   []map[string]any
	written chan struct{} // closed at the next line
}

func newEvents() *events { return &events{written: make(chan struct{})} }

func (e *events) Write(line []byte) (int, error) {
	var event map[string]any
	if err := json.Unmarshal(line, &event); err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, event)
	close(e.written)
	e.written = make(chan struct{})
	return len(line), nil
}

// detail returns why the token of a request was refused, or "".
func (e *events) detail(traceID string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.lines, func(line map[string]any) bool {
		return line["msg"] == "refused" && line["trace_id"] == traceID
	})
	if i < 0 {
		return ""
	}
	detail, _ := e.lines[i]["detail"].(string)
	return detail
}
