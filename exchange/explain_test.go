package exchange_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

// explained is an explanation in short.
type explained struct {
	Issuer, Client, Sub string
	Verified, Refusal   string
	Identity, TTL       string
	Matched             []string // rules
}

func brief(x *exchange.Explanation) explained {
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	b := explained{Issuer: x.Issuer, Client: x.Client, Verified: text(x.Verified), Refusal: text(x.Refusal)}
	b.Sub, _ = x.Claims["sub"].(string)
	if x.Decision != nil {
		b.Identity, b.TTL = x.Decision.Identity, x.Decision.TTL.String()
	}
	for _, step := range x.Trace.Rules {
		if step.Verdict == "matched" {
			b.Matched = append(b.Matched, step.Name)
		}
	}
	return b
}

func TestExplain(t *testing.T) {
	t.Parallel()
	s := prepareSite(t, siteConfig, nil)
	good := s.token(nil)
	forged := exchangetest.NewKey(t, "ES256", "k1").Token(claims(m{"sub": "forger"}))
	const badSignature = "bad_signature: the key that it names did not make the signature"
	for _, test := range []struct {
		name string
		r    exchange.ExplainRequest
		want explained
	}{
		{"token", exchange.ExplainRequest{Token: good},
			explained{Issuer: "idp", Client: "app", Sub: "auth0|1", Identity: "idp__auth0_7C1", TTL: "1h0m0s", Matched: []string{"everyone"}}},
		{"token, parameters", exchange.ExplainRequest{Token: s.token(m{"groups": []string{"support"}}), Params: map[string]string{"room": "blue"}},
			explained{Issuer: "idp", Client: "app", Sub: "auth0|1", Identity: "idp__auth0_7C1", TTL: "4h0m0s", Matched: []string{"support", "everyone"}}},
		{"token, wrong parameter", exchange.ExplainRequest{Token: good, Params: map[string]string{"room": "/"}},
			explained{Issuer: "idp", Client: "app", Sub: "auth0|1", Refusal: "invalid_parameter: the parameter room has a value that is not allowed"}},
		{"token, scope", exchange.ExplainRequest{Token: good, Scope: []string{"voice"}},
			explained{Issuer: "idp", Client: "app", Sub: "auth0|1", Refusal: "invalid_scope: scope asks for voice, which the rules do not give", Matched: []string{"everyone"}}},
		{"token, scope of no kind", exchange.ExplainRequest{Token: good, Scope: []string{"fax"}},
			explained{Issuer: "idp", Client: "app", Sub: "auth0|1", Refusal: "invalid_scope: scope asks for what is no kind of grant", Matched: []string{"everyone"}}},
		{"token, denied", exchange.ExplainRequest{Token: s.token(m{"groups": []string{"suspended"}})},
			explained{Issuer: "idp", Client: "app", Sub: "auth0|1", Refusal: `denied: rule "suspended" denies: account suspended`, Matched: []string{"suspended"}}},
		{"forged token", exchange.ExplainRequest{Token: forged},
			explained{Verified: badSignature, Refusal: badSignature}},
		{"forged token, unverified", exchange.ExplainRequest{Token: forged, Unverified: true},
			explained{Issuer: "idp", Client: "app", Sub: "forger", Verified: badSignature, Identity: "idp__forger", TTL: "1h0m0s", Matched: []string{"everyone"}}},
		{"good token, unverified", exchange.ExplainRequest{Token: good, Unverified: true},
			explained{Issuer: "idp", Client: "app", Sub: "auth0|1", Identity: "idp__auth0_7C1", TTL: "1h0m0s", Matched: []string{"everyone"}}},
		{"token of nobody, as an issuer's", exchange.ExplainRequest{Token: s.token(m{"iss": "https://other.example"}), Unverified: true, Issuer: "partner"},
			explained{Issuer: "partner", Sub: "auth0|1", Verified: "unknown_issuer: iss is not a configured issuer's", Identity: "partner__auth0_7C1", TTL: "1h0m0s", Matched: []string{"everyone"}}},

		{"claims", exchange.ExplainRequest{Claims: []byte(`{"sub":"a1"}`), Issuer: "partner"},
			explained{Issuer: "partner", Client: "app", Sub: "a1", Identity: "partner__a1", TTL: "1h0m0s", Matched: []string{"everyone"}}},
		{"claims of their iss", exchange.ExplainRequest{Claims: []byte(`{"sub":"a1","iss":"https://idp.example.com","aud":"ios"}`)},
			explained{Issuer: "idp", Client: "ios", Sub: "a1", Identity: "idp__a1", TTL: "1h0m0s", Matched: []string{"everyone"}}},
		{"claims against the policy", exchange.ExplainRequest{Claims: []byte(`{"sub":"a1","azp":"other"}`), Issuer: "idp"},
			explained{Issuer: "idp", Sub: "a1", Refusal: "wrong_azp: azp is not one of allowed_azp"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			x, err := s.Explain(t.Context(), test.r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, brief(x)); diff != "" {
				t.Errorf("explanation (-want +got):\n%s", diff)
			}
			if x.FromToken != (test.r.Token != "") {
				t.Errorf("FromToken is %v", x.FromToken)
			}
		})
	}
	if s.audit.Take() != "" {
		t.Error("explaining wrote an audit line")
	}
}

// TestNothingToExplain has requests without an answer, which is another thing
// than a refusal.
func TestNothingToExplain(t *testing.T) {
	t.Parallel()
	s := prepareSite(t, siteConfig, nil)
	for _, test := range []struct {
		name string
		r    exchange.ExplainRequest
		want string
	}{
		{"no claims", exchange.ExplainRequest{Claims: []byte(`[]`)}, "reading the claims: malformed_token: the claims are not a strict JSON object"},
		{"claims of which issuer", exchange.ExplainRequest{Claims: []byte(`{}`)}, "name the issuer these claims are from: idp, partner"},
		{"claims of an unknown iss", exchange.ExplainRequest{Claims: []byte(`{"iss":"https://other.example"}`)}, "name the issuer these claims are from: idp, partner"},
		{"unknown issuer", exchange.ExplainRequest{Claims: []byte(`{}`), Issuer: "other"}, `no issuer is named "other"; there are idp, partner`},
		{"no token", exchange.ExplainRequest{Token: "x", Unverified: true}, "reading the token: malformed_token: it has not three parts"},
		{"unverified token of an unknown iss", exchange.ExplainRequest{Token: s.token(m{"iss": "https://other.example"}), Unverified: true},
			"name the issuer these claims are from: idp, partner"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if _, err := s.Explain(t.Context(), test.r); err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

// TestExplainWaitsForKeys has a command explain a token at once after its
// start, when no keys have come yet.
func TestExplainWaitsForKeys(t *testing.T) {
	t.Parallel()
	idp := exchangetest.NewIdP(t)
	s := prepareSite(t, withProvider(idp), nil)
	idp.Publish(s.key)
	x, err := s.Explain(t.Context(), exchange.ExplainRequest{Token: s.token(m{"iss": idp.URL})})
	if err != nil {
		t.Fatal(err)
	}
	want := explained{Issuer: "idp", Client: "app", Sub: "auth0|1", Identity: "idp__auth0_7C1", TTL: "1h0m0s", Matched: []string{"everyone"}}
	if diff := cmp.Diff(want, brief(x)); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
}

func TestExplainWhileServing(t *testing.T) {
	t.Parallel()
	idp := exchangetest.NewIdP(t)
	s := prepareSite(t, withProvider(idp), nil)
	idp.Publish(s.key)
	s.Start(t.Context())
	var explainers sync.WaitGroup
	for range 4 {
		explainers.Go(func() {
			if _, err := s.Explain(t.Context(), exchange.ExplainRequest{Token: s.token(m{"iss": idp.URL})}); err != nil {
				t.Error(err)
			}
		})
	}
	explainers.Wait()
}

// TestExplainTellsBothSides has tokens that are for another service, and an
// operator who is to see what differs.
func TestExplainTellsBothSides(t *testing.T) {
	t.Parallel()
	s := prepareSite(t, strings.Replace(siteConfig, "audiences: [app, ios]", "audiences: [app, ios]\n    trusted_audiences: [api]", 1), nil)
	const configured = `configured: "https://idp.example.com", "https://partner.example.com/"`
	for _, test := range []struct {
		name string
		r    exchange.ExplainRequest
		want []string
	}{
		{"in order", exchange.ExplainRequest{Token: s.token(nil)}, nil},
		{"another issuer", exchange.ExplainRequest{Token: s.token(m{"iss": "https://other.example\x1b[2J"})},
			[]string{`iss is "https://other.example\x1b[2J"`, configured}},
		{"a / at the end", exchange.ExplainRequest{Token: s.token(m{"iss": "https://idp.example.com/"})},
			[]string{`iss is "https://idp.example.com/"`, configured, "only the / at the end differs"}},
		{"all the same", exchange.ExplainRequest{Token: s.token(m{"iss": "https://idp.example.com/"}), Unverified: true, Issuer: "idp"},
			[]string{`iss is "https://idp.example.com/"`, configured, "only the / at the end differs"}},
		{"no issuer", exchange.ExplainRequest{Token: s.token(m{"iss": nil})}, []string{"iss is absent", configured}},
		{"another audience", exchange.ExplainRequest{Token: s.token(m{"aud": []string{"web", "api"}})},
			[]string{`aud is ["web", "api"]`, `configured: "app", "ios"`, `trusted beside one of them: "api"`}},
		{"another party", exchange.ExplainRequest{Token: s.token(m{"azp": "web"})}, []string{`azp is "web"`, `configured: "app", "ios", "android"`}},
		{"claims of another issuer", exchange.ExplainRequest{Claims: []byte(`{"iss":7,"sub":"a"}`), Issuer: "idp"},
			[]string{"iss is (int)", `configured: "https://idp.example.com"`}},
		{"expired", exchange.ExplainRequest{Token: s.token(m{"exp": siteTime.Unix() - 3600, "iat": siteTime.Unix() - 7200})}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			x, err := s.Explain(t.Context(), test.r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, x.Notes); diff != "" {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}

// TestExplainWithoutKeys has providers that are not there, which says nothing
// of who brings a token.
func TestExplainWithoutKeys(t *testing.T) {
	t.Parallel()
	idp := exchangetest.NewIdP(t)
	idp.Answer(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	token := func(s *site) string { return s.token(m{"iss": idp.URL}) }
	for _, test := range []struct{ name, config, want string }{
		{"discovery", withProvider(idp), "the keys of issuer idp could not be fetched from " + idp.URL + "/.well-known/openid-configuration: the provider's discovery document could not be read"},
		{"jwks_uri", strings.Replace(withProvider(idp), "    max_token_age: 12h\n", "    max_token_age: 12h\n    jwks_uri: "+idp.URL+"/missing\n", 1),
			"the keys of issuer idp could not be fetched from " + idp.URL + "/missing: the provider answered 404"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := prepareSite(t, test.config, nil)
			if _, err := s.Explain(t.Context(), exchange.ExplainRequest{Token: token(s)}); err == nil || err.Error() != test.want {
				t.Errorf("error %v\nwant %s", err, test.want)
			}
			x, err := s.Explain(t.Context(), exchange.ExplainRequest{Token: token(s), Unverified: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{test.want}, x.Notes); diff != "" || x.Decision == nil {
				t.Errorf("notes (-want +got):\n%s", diff)
			}
		})
	}
}
