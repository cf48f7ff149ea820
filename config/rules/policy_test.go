package rules_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"twilio-sts/config/rules"
)

// TestCheckClaims has a row for each claim check that a token must pass; the
// numbers C… are those of OpenID Connect's conformance suite and of RFC 8725 as
// the design lists them.
func TestCheckClaims(t *testing.T) {
	at := now.Unix()
	numbers := map[string]any{
		"a string": "1780315200", "a bool": true, "an object": m{}, "null": nil, "0": int64(0), "negative": int64(-1),
		"a fraction": float64(at) + 0.5, "1e300": 1e300, "the year 10000": int64(253402300800), "an int64's end": int64(math.MaxInt64),
		"a double's end": math.MaxFloat64, "not representable": rules.Unrepresentable{},
	}
	standsFor := func(claim string) func(*rules.Policy) {
		return func(p *rules.Policy) { p.StandIns = []rules.StandIn{{Claim: "hasgroups", For: claim}} }
	}
	type row struct {
		name   string
		claims rules.Claims
		absent string
		policy func(*rules.Policy)
		want   string // the client, or the refusal
	}
	tests := []row{
		{name: "a plain token", want: "app"},
		{name: "C1 iss of another case", claims: rules.Claims{"iss": "https://IDP.example/"}, want: "unknown_issuer: iss is not one of this issuer's"},
		{name: "C1 iss without its slash", claims: rules.Claims{"iss": "https://idp.example"}, want: "unknown_issuer: iss is not one of this issuer's"},
		{name: "C1 iss with a port", claims: rules.Claims{"iss": "https://idp.example:443/"}, want: "unknown_issuer: iss is not one of this issuer's"},
		{name: "C1 iss is a list", claims: rules.Claims{"iss": []any{"https://idp.example/"}}, want: "unknown_issuer: iss is not one of this issuer's"},
		{name: "C1 iss absent", absent: "iss", want: "unknown_issuer: iss is not one of this issuer's"},
		{name: "a second iss of the issuer", claims: rules.Claims{"iss": "alias"}, policy: func(p *rules.Policy) { p.IssuerIDs = append(p.IssuerIDs, "alias") }, want: "app"},

		{name: "C4 sub absent", absent: "sub", want: "malformed_token: sub is not a string of 1 to 255 characters"},
		{name: "C4 sub empty", claims: rules.Claims{"sub": ""}, want: "malformed_token: sub is not a string of 1 to 255 characters"},
		{name: "C4 sub null", claims: rules.Claims{"sub": nil}, want: "malformed_token: sub is not a string of 1 to 255 characters"},
		{name: "C4 sub a number", claims: rules.Claims{"sub": int64(1)}, want: "malformed_token: sub is not a string of 1 to 255 characters"},
		{name: "C4 sub of 255", claims: rules.Claims{"sub": strings.Repeat("a", 255)}, want: "app"},
		{name: "C4 sub of 256", claims: rules.Claims{"sub": strings.Repeat("a", 256)}, want: "malformed_token: sub is not a string of 1 to 255 characters"},
		{name: "C4 sub with NUL", claims: rules.Claims{"sub": "a\x00"}, want: "malformed_token: sub has characters that are not printable ASCII"},
		{name: "C4 sub with DEL", claims: rules.Claims{"sub": "a\x7f"}, want: "malformed_token: sub has characters that are not printable ASCII"},
		{name: "C4 sub beyond ASCII", claims: rules.Claims{"sub": "é"}, want: "malformed_token: sub has characters that are not printable ASCII"},

		{name: "C5 aud absent", absent: "aud", want: "malformed_token: aud is not a string or a list of strings"},
		{name: "C5 aud null", claims: rules.Claims{"aud": nil}, want: "malformed_token: aud is not a string or a list of strings"},
		{name: "C5 aud empty", claims: rules.Claims{"aud": ""}, want: "malformed_token: aud is not a string or a list of strings"},
		{name: "C5 aud an empty list", claims: rules.Claims{"aud": []any{}}, want: "malformed_token: aud is not a string or a list of strings"},
		{name: "C5 aud an object", claims: rules.Claims{"aud": m{"app": true}}, want: "malformed_token: aud is not a string or a list of strings"},
		{name: "C5 aud with a null", claims: rules.Claims{"aud": []any{nil, "app"}}, want: "malformed_token: aud is not a string or a list of strings"},
		{name: "C5 aud with a number", claims: rules.Claims{"aud": []any{"app", int64(1)}}, want: "malformed_token: aud is not a string or a list of strings"},
		{name: "C5 aud with an empty string", claims: rules.Claims{"aud": []any{"app", ""}}, want: "malformed_token: aud is not a string or a list of strings"},
		{name: "aud a list of one", claims: rules.Claims{"aud": []any{"app"}}, want: "app"},
		{name: "aud of another", claims: rules.Claims{"aud": "other"}, want: "wrong_audience: aud names none of this issuer's audiences"},
		{name: "C6 an extra audience", claims: rules.Claims{"aud": []any{"app", "api"}}, want: "wrong_audience: aud names an audience that is not trusted"},
		{name: "C6 an extra audience and an allowed azp", claims: rules.Claims{"aud": []any{"api", "app"}, "azp": "app"}, want: "app"},
		{name: "C6 only a trusted audience", claims: rules.Claims{"aud": "api"}, policy: func(p *rules.Policy) { p.TrustedAudiences = []string{"api"} }, want: "wrong_audience: aud names none of this issuer's audiences"},
		{name: "C7 two audiences without azp", claims: rules.Claims{"aud": []any{"app", "api"}}, policy: func(p *rules.Policy) { p.TrustedAudiences = []string{"api"} }, want: "wrong_azp: a token for several audiences has no azp"},
		{name: "C7 two audiences with null for azp", claims: rules.Claims{"aud": []any{"app", "api"}, "azp": nil}, policy: func(p *rules.Policy) { p.TrustedAudiences = []string{"api"} }, want: "wrong_azp: a token for several audiences has no azp"},
		{name: "C8 azp of another", claims: rules.Claims{"azp": "android"}, want: "wrong_azp: azp is not one of allowed_azp"},
		{name: "C8 azp empty", claims: rules.Claims{"azp": ""}, want: "wrong_azp: azp is not one of allowed_azp"},
		{name: "C8 azp a number", claims: rules.Claims{"azp": int64(1)}, want: "malformed_token: azp is not a string"},
		{name: "C8 the client is azp", claims: rules.Claims{"azp": "android"}, policy: func(p *rules.Policy) { p.AllowedAZP = []string{"android"} }, want: "android"},
		{name: "the client is the audience that matched", claims: rules.Claims{"aud": "ios"}, policy: func(p *rules.Policy) { p.Audiences = []string{"app", "ios"} }, want: "ios"},

		{name: "C9 exp absent", absent: "exp", want: "malformed_token: exp is missing or not a time"},
		{name: "C9 exp as an integral double", claims: rules.Claims{"exp": float64(at + 60)}, want: "app"},
		{name: "C10 exp to the second, with the skew", claims: rules.Claims{"exp": at - 60}, want: "token_expired: exp has passed"},
		{name: "C10 exp a second later", claims: rules.Claims{"exp": at - 59}, want: "app"},
		{name: "C11 nbf within the skew", claims: rules.Claims{"nbf": at + 60}, want: "app"},
		{name: "C11 nbf in the future", claims: rules.Claims{"nbf": at + 61}, want: "token_not_yet_valid: nbf is in the future"},
		{name: "C11 nbf null", claims: rules.Claims{"nbf": nil}, want: "app"},
		{name: "C12 iat absent", absent: "iat", want: "malformed_token: iat is missing or not a time"},
		{name: "C12 iat within the skew", claims: rules.Claims{"iat": at + 60}, want: "app"},
		{name: "C12 iat in the future", claims: rules.Claims{"iat": at + 61}, want: "token_not_yet_valid: iat is in the future"},
		{name: "C12 iat after exp", claims: rules.Claims{"iat": at + 50, "exp": at + 49}, want: "malformed_token: iat is after exp"},
		{name: "C12 iat at max_token_age", claims: rules.Claims{"iat": at - 600}, policy: func(p *rules.Policy) { p.MaxTokenAge = 10 * time.Minute }, want: "app"},
		{name: "C12 iat beyond max_token_age", claims: rules.Claims{"iat": at - 601}, policy: func(p *rules.Policy) { p.MaxTokenAge = 10 * time.Minute }, want: "token_too_old: it was issued longer ago than max_token_age"},
		{name: "C13 a lifetime of max_lifetime", claims: rules.Claims{"iat": at, "exp": at + 86400}, want: "app"},
		{name: "C13 a longer lifetime", claims: rules.Claims{"iat": at, "exp": at + 86401}, want: "token_too_old: it was issued for longer than max_lifetime"},
		{name: "C13 a lifetime beyond any Duration", claims: rules.Claims{"iat": int64(1), "exp": int64(253402300799)}, want: "token_too_old: it was issued for longer than max_lifetime"},

		{name: "C14 a logout token", claims: rules.Claims{"events": m{"http://schemas.openid.net/event/backchannel-logout": m{}}}, want: "unsupported_token: events makes it a logout or security event token"},
		{name: "C14 events null", claims: rules.Claims{"events": nil}, want: "unsupported_token: events makes it a logout or security event token"},
		{name: "C14 Keycloak's ID token", claims: rules.Claims{"typ": "ID"}, want: "app"},
		{name: "C14 Keycloak's access token", claims: rules.Claims{"typ": "Bearer"}, want: "unsupported_token: its claim typ says that it is no ID token"},
		{name: "C14 Keycloak's refresh token", claims: rules.Claims{"typ": "refresh"}, want: "unsupported_token: its claim typ says that it is no ID token"},
		{name: "C14 Cognito's ID token", claims: rules.Claims{"token_use": "id"}, want: "app"},
		{name: "C14 Cognito's access token", claims: rules.Claims{"token_use": "access"}, want: "unsupported_token: its claim token_use says that it is no ID token"},
		{name: "C14 a provider whose only token is the access token", claims: rules.Claims{"token_use": "access", "typ": "Bearer"}, policy: func(p *rules.Policy) { p.AccessToken = true }, want: "app"},

		{name: "C15 a claim left out that a rule reads", claims: rules.Claims{"_claim_names": m{"groups": "src1"}}, want: "claims_unavailable: the provider left out a claim that is read here"},
		{name: "C15 one that require reads", claims: rules.Claims{"_claim_names": m{"email_verified": "src1"}}, want: "claims_unavailable: the provider left out a claim that is read here"},
		{name: "C15 one that the identity reads", claims: rules.Claims{"_claim_names": m{"oid": "src1"}}, want: "claims_unavailable: the provider left out a claim that is read here"},
		{name: "C15 one that a value reads", claims: rules.Claims{"_claim_names": m{"https://acme.com/team": "src1"}}, want: "claims_unavailable: the provider left out a claim that is read here"},
		{name: "C15 one that a presence test reads", claims: rules.Claims{"_claim_names": m{"blocked": "src1"}}, want: "claims_unavailable: the provider left out a claim that is read here"},
		{name: "C15 one that nothing reads", claims: rules.Claims{"_claim_names": m{"address": "src1"}}, want: "app"},
		{name: "C15 _claim_names null", claims: rules.Claims{"_claim_names": nil}, want: "app"},
		{name: "C15 _claim_names not an object", claims: rules.Claims{"_claim_names": []any{"groups"}}, want: "malformed_token: _claim_names is not an object"},
		{name: "C15 a claim in the place of one that is read", claims: rules.Claims{"hasgroups": true}, policy: standsFor("groups"), want: "claims_unavailable: the provider left out a claim that is read here"},
		{name: "C15 as text, and null for the one", claims: rules.Claims{"hasgroups": "true", "groups": nil}, policy: standsFor("groups"), want: "claims_unavailable: the provider left out a claim that is read here"},
		{name: "C15 both", claims: rules.Claims{"hasgroups": true, "groups": []any{}}, policy: standsFor("groups"), want: "app"},
		{name: "C15 in no other's place", claims: rules.Claims{"hasgroups": false}, policy: standsFor("groups"), want: "app"},
		{name: "C15 nor as text", claims: rules.Claims{"hasgroups": "false"}, policy: standsFor("groups"), want: "app"},
		{name: "C15 nor null", claims: rules.Claims{"hasgroups": nil}, policy: standsFor("groups"), want: "app"},
		{name: "C15 in the place of one that nothing reads", claims: rules.Claims{"hasgroups": true}, policy: standsFor("photo"), want: "app"},
		{name: "C15 of another provider", claims: rules.Claims{"hasgroups": true}, want: "app"},

		{name: "a required claim", claims: rules.Claims{"firebase": m{"sign_in_provider": "password"}}, policy: requireProvider, want: "app"},
		{name: "a required claim absent", policy: requireProvider, want: "requirement_failed: it lacks what a token of this provider must have: firebase.sign_in_provider"},
		{name: "a required claim's parent of another type", claims: rules.Claims{"firebase": "password"}, policy: requireProvider, want: "requirement_failed: it lacks what a token of this provider must have: firebase.sign_in_provider"},
		{name: "a required claim with another value", claims: rules.Claims{"tier": "free"}, policy: requireTier, want: "unsupported_token: it lacks what a token of this provider must have: tier"},
		{name: "a required claim with its value", claims: rules.Claims{"tier": "paid"}, policy: requireTier, want: "app"},
		{name: "a required bool", claims: rules.Claims{"tier": true}, policy: requireTier, want: "app"},
		{name: "a required claim that is a list", claims: rules.Claims{"tier": []any{"paid"}}, policy: requireTier, want: "unsupported_token: it lacks what a token of this provider must have: tier"},
		{name: "a forbidden value", claims: rules.Claims{"provider": "anonymous"}, policy: forbidAnonymous, want: "requirement_failed: it has what a token of this provider must not have: provider"},
		{name: "not the forbidden value", claims: rules.Claims{"provider": "password"}, policy: forbidAnonymous, want: "app"},
	}
	for name, number := range numbers {
		tests = append(tests, row{name: "C9 exp: " + name, claims: rules.Claims{"exp": number}, want: "malformed_token: exp is missing or not a time"},
			row{name: "C12 iat: " + name, claims: rules.Claims{"iat": number}, want: "malformed_token: iat is missing or not a time"})
		if number != nil {
			tests = append(tests, row{name: "C11 nbf: " + name, claims: rules.Claims{"nbf": number}, want: "malformed_token: nbf is not a time"})
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec := newSpec(grants("'a' in claims.groups || claims[?'blocked'].hasValue()", video("${claims['https://acme.com/team']}")))
			requiring("claims.email_verified")(spec)
			spec.Issuers[0].Identity.Source = "${claims.oid}"
			if test.policy != nil {
				test.policy(&spec.Issuers[0].Policy)
			}
			claims := rules.Claims{"iss": "https://idp.example/", "sub": "u1", "aud": "app", "iat": at - 60, "exp": at + 3600}
			for name, claim := range test.claims {
				claims[name] = claim
			}
			delete(claims, test.absent)
			got, err := compile(t, spec).CheckClaims("idp", claims, now)
			if err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func requireProvider(p *rules.Policy) {
	p.Required = []rules.ClaimRule{{Path: []string{"firebase", "sign_in_provider"}}}
}

func requireTier(p *rules.Policy) {
	p.Required = []rules.ClaimRule{{Path: []string{"tier"}, Values: []string{"paid", "true"}, Unsupported: true}}
}

func forbidAnonymous(p *rules.Policy) {
	p.Forbidden = []rules.ClaimRule{{Path: []string{"provider"}, Values: []string{"anonymous"}}}
}

// A rule may compute which claim it reads: then any claim left out decides.
func TestClaimNamesWithComputedRead(t *testing.T) {
	for condition, want := range map[string]rules.Reason{
		"claims[claims.sub] == 'x'":                          rules.ClaimsUnavailable,
		"claims.sub in claims":                               rules.ClaimsUnavailable,
		"claims[?claims.sub].hasValue()":                     rules.ClaimsUnavailable,
		"claims.groups.exists(g, request[g] == 'x')":         "",
		"['x'].exists(c, .claims.address == c)":              rules.ClaimsUnavailable,
		"{'a': claims.address}.a == 'x'":                     rules.ClaimsUnavailable,
		"[claims.address] == ['x']":                          rules.ClaimsUnavailable,
		"claims.sub.startsWith(claims.address)":              rules.ClaimsUnavailable,
		"claims.?address.optMap(a, a == 'x').orValue(false)": rules.ClaimsUnavailable,
	} {
		t.Run(condition, func(t *testing.T) {
			claims := rules.Claims{"iss": "https://idp.example/", "sub": "u1", "aud": "app", "iat": now.Unix(), "exp": now.Unix() + 60, "_claim_names": m{"address": "src1"}}
			_, err := compile(t, newSpec(grants(condition, video("a")))).CheckClaims("idp", claims, now)
			if got := rules.ReasonOf(err); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestUnknownIssuer(t *testing.T) {
	set := compile(t, newSpec(grants("true", video("a"))))
	if _, err := set.CheckClaims("other", rules.Claims{}, now); rules.ReasonOf(err) != rules.UnknownIssuer {
		t.Errorf("CheckClaims: %v", err)
	}
	if _, err := set.Decide(&rules.Input{Issuer: "other"}, nil); rules.ReasonOf(err) != rules.UnknownIssuer {
		t.Errorf("Decide: %v", err)
	}
}

func TestFoldsToRegistered(t *testing.T) {
	for name, want := range map[string]bool{
		"sub": false, "Sub": true, "ſub": true, "SUB": true, "email": false, "Email_Verified": true, "toKen_use": true, "to\u212aen_use": true,
		"groups": false, "Groups": false, "": false, "é": false, "su": false, "subs": false, "_Claim_names": true, "AUD": true, "https://A/sub": false,
	} {
		if got := rules.FoldsToRegistered(name); got != want {
			t.Errorf("FoldsToRegistered(%q) = %v, want %v", name, got, want)
		}
	}
}

func TestParameters(t *testing.T) {
	spec := newSpec(grants("true", video("a")))
	spec.Parameters = append(spec.Parameters,
		rules.ParameterSpec{Path: "parameters.team", Name: "team", Pattern: "eu|us", Default: "eu", HasDefault: true},
		rules.ParameterSpec{Path: "parameters.line", Name: "line", Pattern: "(?m)a$"})
	set := compile(t, spec)
	for _, test := range []struct {
		name string
		sent map[string]string
		want string
	}{
		{"nothing sent", nil, "team=eu"},
		{"empty counts as not sent", map[string]string{"room": "", "team": "", "platform": ""}, "team=eu"},
		{"as sent", map[string]string{"room": "a-1", "team": "us", "platform": "ios"}, "platform=ios room=a-1 team=us"},
		{"what is not declared is dropped", map[string]string{"client_id": "x"}, "team=eu"},
		{"an alternative is anchored before", map[string]string{"team": "xus"}, "invalid_parameter: the parameter team has a value that is not allowed"},
		{"an alternative is anchored behind", map[string]string{"team": "eux"}, "invalid_parameter: the parameter team has a value that is not allowed"},
		{"a newline behind", map[string]string{"room": "a\n"}, "invalid_parameter: the parameter room has a value that is not allowed"},
		{"a pattern that ends at lines", map[string]string{"line": "a\na"}, "invalid_parameter: the parameter line has a value that is not allowed"},
		{"not in enum", map[string]string{"platform": "iOS"}, "invalid_parameter: the parameter platform has a value that is not allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			checked, err := set.Parameters(test.sent)
			var got []string
			for _, name := range []string{"line", "platform", "room", "team", "client_id"} {
				if value, ok := checked[name]; ok {
					got = append(got, name+"="+value)
				}
			}
			if err != nil {
				got = []string{err.Error()}
			}
			if got := strings.Join(got, " "); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
