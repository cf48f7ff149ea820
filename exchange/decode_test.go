package exchange_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	key := exchangetest.NewKey(t, "ES256", "k1")
	now := siteTime.Unix()
	idToken := func(headerChanges, claimChanges m) string {
		h := key.Header()
		for name, value := range headerChanges {
			if h[name] = value; value == nil {
				delete(h, name)
			}
		}
		return key.Sign(h, claims(claimChanges))
	}
	twilio := func(header, payload m) string { return key.Sign(header, payload) }
	twilioHeader := m{"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1"}
	const idKind, twilioKind = "ID token", "Twilio access token"
	for _, test := range []struct {
		name, token, kind string
		problems          []string
	}{
		{"ID token", idToken(nil, nil), idKind, []string{}},
		{"typ in full", idToken(m{"typ": "application/JWT"}, nil), idKind, []string{}},
		{"no typ", idToken(m{"typ": nil}, nil), idKind, []string{}},
		{"access token", idToken(m{"typ": "at+jwt"}, nil), idKind, []string{"typ says that this is another kind of token"}},
		{"none", idToken(m{"alg": "None"}, nil), idKind, []string{"alg is none: the token is not signed"}},
		{"no alg", idToken(m{"alg": nil}, nil), idKind, []string{"alg is missing"}},
		{"shared secret", idToken(m{"alg": "HS256"}, nil), idKind, []string{"alg is HS256: signed with a shared secret, which is never accepted"}},
		{"nothing in it", idToken(nil, m{"iss": nil, "sub": nil, "aud": nil, "exp": nil, "iat": nil}), idKind,
			[]string{"iss is missing", "sub is missing", "aud is missing", "exp is missing", "iat is missing"}},
		{"logout token", idToken(nil, m{"events": m{}}), idKind, []string{"events makes this a logout or security event token"}},
		{"expired", idToken(nil, m{"exp": now - 90}), idKind, []string{"it expired 1m30s ago"}},
		{"expires now", idToken(nil, m{"exp": now}), idKind, []string{"it expired 0s ago"}},
		{"not yet", idToken(nil, m{"nbf": now + 5}), idKind, []string{"it is not valid for another 5s (nbf)"}},
		{"issued later", idToken(nil, m{"iat": now + 5}), idKind, []string{"it was issued 5s from now (iat): one of the two clocks is wrong"}},
		{"exp is text", idToken(nil, m{"exp": "soon"}), idKind, []string{"exp is not a whole number of seconds"}},
		{"exp is a fraction", idToken(nil, m{"exp": 1.5}), idKind, []string{"exp is not a whole number of seconds"}},
		{"exp is never", idToken(nil, m{"exp": int64(253402300800)}), idKind, []string{"exp is not a whole number of seconds"}},

		{"Twilio token", twilio(twilioHeader, m{"iss": "SK1", "sub": "AC1", "exp": now + 60, "grants": m{"identity": "a", "chat": m{}}}), twilioKind, []string{}},
		{"everything wrong", twilio(m{"alg": "RS256", "typ": "jwt", "cty": "twilio-fpa;v=2"}, m{"iss": "AC1", "sub": "SK1", "exp": now + 86401}), twilioKind,
			[]string{"alg is not HS256 (Twilio error 20102)", "typ is not JWT (Twilio error 20102)", "cty is not twilio-fpa;v=1 (Twilio error 20102)",
				"iss is not an API key SID, SK… (Twilio error 20103)", "sub is not an account SID, AC… (Twilio error 20103)",
				"grants has no identity (Twilio error 20106)", "grants grants nothing (Twilio error 20106)",
				"exp is more than 24 hours away (Twilio error 20157)"}},
		{"identity alone", twilio(twilioHeader, m{"iss": "SK1", "sub": "AC1", "exp": now + 86400, "grants": m{"identity": "a"}}), twilioKind,
			[]string{"grants grants nothing (Twilio error 20106)"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			d, err := exchange.Decode(test.token, siteTime)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.problems, d.Problems); d.Kind != test.kind || diff != "" {
				t.Errorf("%s; problems (-want +got):\n%s", d.Kind, diff)
			}
		})
	}
}

func TestDecodeTellsAll(t *testing.T) {
	t.Parallel()
	key := exchangetest.NewKey(t, "ES256", "k1")
	d, err := exchange.Decode(key.Token(m{"sub": "a", "level": int64(9007199254740993)}), siteTime)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"ID token","header":{"alg":"ES256","kid":"k1","typ":"JWT"},"claims":{"level":9007199254740993,"sub":"a"},` +
		`"problems":["iss is missing","aud is missing","exp is missing","iat is missing"]}`
	if got := toJSON(d); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestDecodeRefusesAndDoesNotQuote(t *testing.T) {
	t.Parallel()
	for token, want := range map[string]string{
		"not-a-token":     "malformed_token: it has not three parts",
		"a.b.c.d.e":       "unsupported_token: it is encrypted",
		"bm8.bm8.bm8":     "malformed_token: the header is not a strict JSON object",
		"e30.bm8.bm8":     "malformed_token: the payload is not a strict JSON object",
		"e30.e30.c2Vjc_V": "malformed_token: the signature is not canonical base64url",
	} {
		if _, err := exchange.Decode(token, siteTime); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", token, err, want)
		}
	}
}

func TestDecodeWithoutExp(t *testing.T) {
	t.Parallel()
	key := exchangetest.NewKey(t, "ES256", "k1")
	d, err := exchange.Decode(key.Sign(m{"alg": "HS256", "typ": "JWT", "cty": "twilio-fpa;v=1"}, m{"iss": "SK1", "sub": "AC1", "grants": m{"identity": "a", "chat": m{}}}), siteTime)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"exp is missing (Twilio error 20104)"}, d.Problems); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}
