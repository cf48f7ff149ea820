package idtoken_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/config/rules"
	"twilio-sts/exchange/exchangetest"
	"twilio-sts/exchange/internal/idtoken"
)

// absent is the value of a member that is left out.
var absent = &struct{ string }{"absent"}

// A logoutWorld has a second issuer, which a logout token could be confused
// with.
type logoutWorld struct {
	world
	other    *exchangetest.IdP
	otherKey *exchangetest.Key
}

func newLogoutWorld(t testing.TB) *logoutWorld {
	t.Helper()
	w := &logoutWorld{otherKey: exchangetest.NewKey(t, "RS256", "k2")}
	w.key = exchangetest.NewKey(t, "RS256", "k1")
	w.idp, w.other = exchangetest.NewIdP(t, w.key), exchangetest.NewIdP(t, w.otherKey)
	w.verifier = newVerifier(t, issuersOf(`
  - {name: idp, issuer: %q, audiences: [app], identity: "idp__${escape(claims.sub)}"}
  - {name: other, issuer: %q, audiences: [app], identity: "other__${escape(claims.sub)}"}`, w.idp.URL, w.other.URL), idtoken.Options{}, &w.log)
	return w
}

// logoutClaims returns those of a good logout token, changed.
func (w *logoutWorld) logoutClaims(changes m) m {
	c := w.claims(m{"exp": now.Unix() + 120, "jti": "j1", "sid": "s1", "events": m{"http://schemas.openid.net/event/backchannel-logout": m{}}})
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == absent })
	return c
}

func (w *logoutWorld) verifyLogout(raw string) string {
	_, err := w.verifier.VerifyLogout(context.Background(), "idp", raw)
	if err != nil {
		return string(rules.ReasonOf(err))
	}
	return "accepted"
}

// TestLogoutToken has what tells a logout token apart, and some of each step
// that it shares with ID tokens.
func TestLogoutToken(t *testing.T) {
	w := newLogoutWorld(t)
	header := func(changes m) string {
		h := w.key.Header()
		maps.Copy(h, changes)
		maps.DeleteFunc(h, func(_ string, v any) bool { return v == absent })
		return w.key.Sign(h, w.logoutClaims(nil))
	}
	good := w.key.Token(w.logoutClaims(nil))
	for _, test := range []struct{ name, token, want string }{
		{"typ JWT", good, "accepted"},
		{"typ absent", header(m{"typ": absent}), "accepted"},
		{"typ logout+jwt", header(m{"typ": "logout+jwt"}), "accepted"},
		{"typ application/logout+jwt", header(m{"typ": "Application/Logout+JWT"}), "accepted"},
		{"typ of an access token", header(m{"typ": "at+jwt"}), "unsupported_token"},
		{"typ of another event", header(m{"typ": "secevent+jwt"}), "unsupported_token"},
		{"typ empty", header(m{"typ": ""}), "unsupported_token"},
		{"typ null", header(m{"typ": nil}), "malformed_token"},
		{"unsigned", b64(`{"alg":"none"}`) + "." + b64(toJSON(w.logoutClaims(nil))) + ".", "unsupported_token"},
		{"another algorithm", exchangetest.NewKey(t, "RS512", "k1").Token(w.logoutClaims(nil)), "unsupported_token"},
		{"embedded key", header(m{"jwk": w.otherKey.JWK()}), "unsupported_token"},
		{"crit", header(m{"crit": []string{}}), "unsupported_token"},
		{"no JWT", "x", "malformed_token"},
		{"a space behind", good + " ", "malformed_token"},
		{"jti twice", w.key.SignRaw(toJSON(w.key.Header()), strings.TrimSuffix(toJSON(w.logoutClaims(nil)), "}")+`,"jti":"j2"}`), "malformed_token"},
		{"SID", w.key.Token(w.logoutClaims(m{"SID": "s2"})), "ambiguous_claim"},
		{"an ID token", w.key.Token(w.claims(nil)), "unsupported_token"},
		{"nonce", w.key.Token(w.logoutClaims(m{"nonce": "n"})), "unsupported_token"},
		{"another's audience", w.key.Token(w.logoutClaims(m{"aud": "evil"})), "wrong_audience"},
		{"expired", w.key.Token(w.logoutClaims(m{"exp": now.Unix() - 60})), "token_expired"},
		{"signed by another", w.otherKey.Sign(w.key.Header(), w.logoutClaims(nil)), "bad_signature"},
		{"unknown kid", header(m{"kid": "k9"}), "bad_signature"},
		{"nobody's iss", w.key.Token(w.logoutClaims(m{"iss": "https://nobody.example"})), "unknown_issuer"},
		{"another issuer's", w.otherKey.Token(w.logoutClaims(m{"iss": w.other.URL})), "unknown_issuer"},
		{"another issuer's, with an unknown kid", w.key.Token(w.logoutClaims(m{"iss": w.other.URL})), "unknown_issuer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := w.verifyLogout(test.token); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	if got := w.verify(good); got != "unsupported_token" {
		t.Errorf("as an ID token: %s", got)
	}
	if got := w.other.Fetches(); got != 1 { // at the start
		t.Errorf("the other provider was asked %d times", got)
	}

	got, err := w.verifier.VerifyLogout(context.Background(), "idp", good)
	if err != nil {
		t.Fatal(err)
	}
	want := &idtoken.Logout{IssuerID: w.idp.URL, Logout: rules.Logout{
		Subject: "u1", SessionID: "s1", ID: "j1", IssuedAt: now.Add(-time.Minute), Expires: now.Add(2 * time.Minute),
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
