package rules_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
)

// TestCheckLogout has a row for each claim of a logout token, OpenID Connect
// Back-Channel Logout 1.0 §2.4.
func TestCheckLogout(t *testing.T) {
	t.Parallel()
	at := now.Unix()
	const event = "http://schemas.openid.net/event/backchannel-logout"
	const noLogout, noID = "unsupported_token: events does not make it a logout token", "malformed_token: jti is not a string of at least one character"
	const noSubject, noSession = "malformed_token: sub is not a string of 1 to 255 characters", "malformed_token: sid is not a string of at least one character"
	spec := newSpec(grants("true", video("a")))
	spec.Issuers[0].Policy.TrustedAudiences = []string{"api"}
	spec.Issuers[0].Policy.MaxTokenAge = 10 * time.Minute
	set := compile(t, spec)
	for _, test := range []struct {
		name   string
		claims rules.Claims
		absent string
		want   string // "" for none
	}{
		{name: "sub and sid"},
		{name: "sub alone", absent: "sid"},
		{name: "sid alone", absent: "sub"},
		{name: "sub, and sid null", claims: rules.Claims{"sid": nil}},
		{name: "sid, and sub null", claims: rules.Claims{"sub": nil}},
		{name: "neither", claims: rules.Claims{"sid": nil}, absent: "sub", want: "malformed_token: it has neither sub nor sid"},
		{name: "sub empty", claims: rules.Claims{"sub": ""}, want: noSubject},
		{name: "sub a number", claims: rules.Claims{"sub": int64(1)}, want: noSubject},
		{name: "sub of 256", claims: rules.Claims{"sub": strings.Repeat("a", 256)}, want: noSubject},
		{name: "sub beyond ASCII", claims: rules.Claims{"sub": "é"}, want: "malformed_token: sub has characters that are not printable ASCII"},
		{name: "sid empty", claims: rules.Claims{"sid": ""}, want: noSession},
		{name: "sid a number", claims: rules.Claims{"sid": int64(1)}, want: noSession},

		{name: "iss absent", absent: "iss", want: "unknown_issuer: iss is not one of this issuer's"},
		{name: "iss of another case", claims: rules.Claims{"iss": "https://IDP.example/"}, want: "unknown_issuer: iss is not one of this issuer's"},
		{name: "aud absent", absent: "aud", want: "malformed_token: aud is not a string or a list of strings"},
		{name: "aud of another", claims: rules.Claims{"aud": "other"}, want: "wrong_audience: aud names none of this issuer's audiences"},
		{name: "aud with another", claims: rules.Claims{"aud": []any{"app", "other"}}, want: "wrong_audience: aud names an audience that is not trusted"},
		{name: "azp of another", claims: rules.Claims{"azp": "other"}, want: "wrong_azp: azp is not one of allowed_azp"},

		{name: "iat absent", absent: "iat", want: "malformed_token: iat is missing or not a time"},
		{name: "iat a string", claims: rules.Claims{"iat": "1"}, want: "malformed_token: iat is missing or not a time"},
		{name: "iat within the skew", claims: rules.Claims{"iat": at + 60}},
		{name: "iat in the future", claims: rules.Claims{"iat": at + 61}, want: "token_not_yet_valid: iat is in the future"},
		{name: "iat at max_token_age", claims: rules.Claims{"iat": at - 600}},
		{name: "iat beyond max_token_age", claims: rules.Claims{"iat": at - 601}, want: "token_too_old: it was issued longer ago than max_token_age"},
		{name: "exp absent", absent: "exp", want: "malformed_token: exp is missing or not a time"},
		{name: "exp passed within the skew", claims: rules.Claims{"exp": at - 59}},
		{name: "exp passed", claims: rules.Claims{"exp": at - 60}, want: "token_expired: exp has passed"},
		{name: "exp before iat", claims: rules.Claims{"exp": at - 61}, want: "malformed_token: iat is after exp"},
		{name: "exp at max_lifetime", claims: rules.Claims{"exp": at - 60 + 86400}},
		{name: "exp beyond max_lifetime", claims: rules.Claims{"exp": at - 60 + 86401}, want: "token_too_old: it was issued for longer than max_lifetime"},
		{name: "nbf in the future", claims: rules.Claims{"nbf": at + 61}, want: "token_not_yet_valid: nbf is in the future"},

		{name: "jti absent", absent: "jti", want: noID},
		{name: "jti null", claims: rules.Claims{"jti": nil}, want: noID},
		{name: "jti empty", claims: rules.Claims{"jti": ""}, want: noID},
		{name: "jti a number", claims: rules.Claims{"jti": int64(1)}, want: noID},

		{name: "events absent: an ID token", absent: "events", want: noLogout},
		{name: "events null", claims: rules.Claims{"events": nil}, want: noLogout},
		{name: "events a string", claims: rules.Claims{"events": event}, want: noLogout},
		{name: "events a list", claims: rules.Claims{"events": []any{event}}, want: noLogout},
		{name: "events of another kind", claims: rules.Claims{"events": m{"https://schemas.openid.net/secevent/risc/event-type/account-disabled": m{}}}, want: noLogout},
		{name: "events by another scheme", claims: rules.Claims{"events": m{"https" + event[len("http"):]: m{}}}, want: noLogout},
		{name: "the event null", claims: rules.Claims{"events": m{event: nil}}, want: noLogout},
		{name: "the event a bool", claims: rules.Claims{"events": m{event: true}}, want: noLogout},
		{name: "the event with members", claims: rules.Claims{"events": m{event: m{"why": "timeout"}}}},
		{name: "another event beside it", claims: rules.Claims{"events": m{event: m{}, "https://example.com/event": nil}}},
		{name: "nonce", claims: rules.Claims{"nonce": "n"}, want: "unsupported_token: it has a nonce, which no logout token has"},
		{name: "nonce null", claims: rules.Claims{"nonce": nil}, want: "unsupported_token: it has a nonce, which no logout token has"},
		{name: "Keycloak's claim typ", claims: rules.Claims{"typ": "Logout"}},
		{name: "what is refused in a token of a person", claims: rules.Claims{"_claim_names": m{"email": "src1"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			claims := rules.Claims{"iss": "https://idp.example/", "aud": "app", "iat": at - 60, "exp": at + 120, "jti": "j1", "sub": "u1", "sid": "s1", "events": m{event: m{}}}
			maps.Copy(claims, test.claims)
			delete(claims, test.absent)
			got, err := set.CheckLogout("idp", claims, now)
			if test.want != "" {
				if err == nil || err.Error() != test.want {
					t.Errorf("got  %v\nwant %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := &rules.Logout{ID: "j1"}
			want.Subject, _ = claims["sub"].(string)
			want.SessionID, _ = claims["sid"].(string)
			want.IssuedAt, _ = claims.Time("iat")
			want.Expires, _ = claims.Time("exp")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := set.CheckLogout("other", rules.Claims{}, now); err == nil || err.Error() != "unknown_issuer: no issuer has this name" {
		t.Errorf("another issuer: %v", err)
	}
}
