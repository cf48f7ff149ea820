package exchange_test

import (
	"strconv"
	"testing"
	"time"

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
	const idKind = "ID token"
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
		{"expired", idToken(nil, m{"iat": now - 3600, "exp": now - 90}), idKind, []string{"it expired 90 seconds ago"}},
		{"expires now", idToken(nil, m{"exp": now}), idKind, []string{"it expired just now"}},
		{"not yet", idToken(nil, m{"nbf": now + 5}), idKind, []string{"it is not valid for another 5 seconds (nbf)"}},
		{"issued later", idToken(nil, m{"iat": now + 5}), idKind, []string{"it was issued 5 seconds from now (iat): one of the two clocks is wrong"}},
		{"exp is text", idToken(nil, m{"exp": "soon"}), idKind, []string{"exp is not a whole number of seconds"}},
		{"exp is a fraction", idToken(nil, m{"exp": 1.5}), idKind, []string{"exp is not a whole number of seconds"}},
		{"exp is never", idToken(nil, m{"exp": int64(253402300800)}), idKind, []string{"exp is not a whole number of seconds"}},

		{"exp in milliseconds", idToken(nil, m{"exp": now * 1000}), idKind, []string{"exp is in milliseconds, and seconds are wanted"}},
		{"nbf is text", idToken(nil, m{"nbf": "soon"}), idKind, []string{"nbf is not a whole number of seconds"}},
		{"ends before it begins", idToken(nil, m{"iat": now - 60, "exp": now - 120}), idKind, []string{"it expired 2 minutes ago", "exp is before iat"}},
		{"grants of somebody else's", idToken(nil, m{"grants": m{"identity": "a"}}), idKind, []string{}},
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
	d, err := exchange.Decode(key.Token(m{"sub": "a", "iat": siteTime.Unix() - 180, "level": int64(9007199254740993)}), siteTime)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"kind":"ID token","header":{"alg":"ES256","kid":"k1","typ":"JWT"},"claims":{"iat":` + strconv.FormatInt(siteTime.Unix()-180, 10) + `,"level":9007199254740993,"sub":"a"},` +
		`"times":[{"claim":"iat","at":"` + siteTime.Add(-3*time.Minute).UTC().Format(time.RFC3339) + `","away":"3 minutes ago"}],` +
		`"problems":["iss is missing","aud is missing","exp is missing"]}`
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
