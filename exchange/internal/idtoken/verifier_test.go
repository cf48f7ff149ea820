package idtoken_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"os/exec"
	"strings"
	"testing"
	"time"

	"twilio-sts/config"
	"twilio-sts/config/rules"
	"twilio-sts/exchange/exchangetest"
	"twilio-sts/exchange/internal/idtoken"
)

var now = time.Unix(1_780_000_000, 0)

type m = map[string]any

// A world is a verifier with two providers.
type world struct {
	idp, other *exchangetest.IdP
	key        *exchangetest.Key
	otherKey   *exchangetest.Key
	verifier   *idtoken.Verifier
	log        bytes.Buffer
}

// newWorld returns a verifier for an issuer with this algorithm and these
// further keys of the configuration, whose provider publishes key.
func newWorld(t testing.TB, algorithm, more string, published ...*exchangetest.Key) *world {
	t.Helper()
	w := &world{key: exchangetest.NewKey(t, algorithm, "k1"), otherKey: exchangetest.NewKey(t, "RS256", "k2")}
	if published == nil {
		published = []*exchangetest.Key{w.key}
	}
	w.idp, w.other = exchangetest.NewIdP(t, published...), exchangetest.NewIdP(t, w.otherKey)
	w.verifier = newVerifier(t, fmt.Sprintf(`
  - name: idp
    issuer: %s
    algorithms: [%s]
    audiences: [app, ios]
    trusted_audiences: [api]
    allowed_azp: [app, ios, android]
    max_token_age: 12h
    identity: "idp_${escape(claims.sub)}"
    claims: {groups: list(string)}
%s
  - name: other
    issuer: %s
    audiences: [app]
    identity: "other_${escape(claims.sub)}"
`, w.idp.URL, algorithm, more, w.other.URL), &w.log)
	return w
}

func newVerifier(t testing.TB, issuers string, log *bytes.Buffer) *idtoken.Verifier {
	t.Helper()
	cfg, err := config.Parse("config.yaml", []byte(`
version: 1
accounts:
  - name: main
    account_sid: AC0123456789abcdef0123456789abcdef
    api_key_sid: SK0123456789abcdef0123456789abcdef
    api_key_secret: AsecretThatIsNoAuthTokenAtAll123
issuers:`+issuers+`
rules:
  - {name: all, issuer: any, when: "'x' in claims.?groups.orValue([]) || true", grants: {video: {room: a}}}
`), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := idtoken.New(cfg, idtoken.Options{Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	v.Start(ctx)
	awaitKeys(t, v)
	return v
}

func awaitKeys(t testing.TB, v *idtoken.Verifier) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for {
		ready := true
		for _, s := range v.Keys() {
			ready = ready && s.Ready
		}
		if ready {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("no keys: %+v", v.Keys())
		}
	}
}

// claims returns those of a good token, changed.
func (w *world) claims(changes m) m {
	c := m{"iss": w.idp.URL, "sub": "u1", "aud": "app", "iat": now.Unix() - 60, "exp": now.Unix() + 3600}
	for name, value := range changes {
		if value == absent {
			delete(c, name)
		} else {
			c[name] = value
		}
	}
	return c
}

var absent = &struct{ string }{"absent"}

func (w *world) verify(raw string) string {
	token, err := w.verifier.Verify(context.Background(), raw)
	if err != nil {
		return string(rules.ReasonOf(err))
	}
	return "accepted as " + token.Issuer() + " client " + token.Client()
}

const accepted = "accepted as idp client app"

func TestEveryAlgorithm(t *testing.T) {
	for _, alg := range exchangetest.Algorithms() {
		t.Run(alg, func(t *testing.T) {
			w := newWorld(t, alg, "")
			good := w.key.Token(w.claims(nil))
			if got := w.verify(good); got != accepted {
				t.Fatal(got)
			}
			// Any change of one bit of the signature is refused; so is every
			// tenth of the rest.
			signature := strings.LastIndexByte(good, '.') + 1
			for i := range good {
				if i < signature && i%10 != 0 {
					continue
				}
				for bit := range 8 {
					changed := []byte(good)
					changed[i] ^= 1 << bit
					if got := w.verify(string(changed)); strings.HasPrefix(got, "accepted") {
						t.Fatalf("bit %d of byte %d changed: %s", bit, i, got)
					}
				}
			}
		})
	}
}

// TestHeader has the rows of algorithm and key confusion, and of header
// parsing.
func TestHeader(t *testing.T) {
	w := newWorld(t, "RS256", "")
	pub, err := x509.MarshalPKIXPublicKey(w.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})
	hs256 := func(secret []byte) string {
		signed := b64(`{"alg":"HS256","kid":"k1","typ":"JWT"}`) + "." + b64(toJSON(w.claims(nil)))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	header := func(changes m) string {
		h := w.key.Header()
		maps.Copy(h, changes)
		maps.DeleteFunc(h, func(_ string, v any) bool { return v == absent })
		return w.key.Sign(h, w.claims(nil))
	}
	raw := func(h string) string { return w.key.SignRaw(h, toJSON(w.claims(nil))) }
	unsigned := func(alg string) string { return b64(`{"alg":"`+alg+`"}`) + "." + b64(toJSON(w.claims(nil))) + "." }
	for _, test := range []struct{ name, token, want string }{
		{"A1 none", unsigned("none"), "unsupported_token"},
		{"A1 nOnE", unsigned("nOnE"), "unsupported_token"},
		{"A1 none with a signature", header(m{"alg": "none"}), "unsupported_token"},
		{"A1 empty signature", w.key.Token(w.claims(nil))[:strings.LastIndexByte(w.key.Token(w.claims(nil)), '.')+1], "malformed_token"},
		{"A2 HS256 with the public key in PEM", hs256(publicPEM), "unsupported_token"},
		{"A2 HS256 with the public key in DER", hs256(pub), "unsupported_token"},
		{"A4 embedded key", header(m{"jwk": w.otherKey.JWK()}), "unsupported_token"},
		{"A5 jku", header(m{"jku": "https://evil.example/jwks"}), "unsupported_token"},
		{"A5 x5u", header(m{"x5u": "https://evil.example/x"}), "unsupported_token"},
		{"A5 x5c", header(m{"x5c": []string{"AAAA"}}), "unsupported_token"},
		{"A5 x5t is harmless", header(m{"x5t": "AAAA"}), accepted},
		{"A6 kid is a number", header(m{"kid": 1}), "malformed_token"},
		{"A6 kid is null", header(m{"kid": nil}), "malformed_token"},
		{"A6 kid of 10 KB", header(m{"kid": strings.Repeat("k", 10000)}), "malformed_token"},
		{"A6 kid of 257", header(m{"kid": strings.Repeat("k", 257)}), "malformed_token"},
		{"A6 kid with NUL", header(m{"kid": "k\x00"}), "malformed_token"},
		{"A6 kid is a path", header(m{"kid": "../../k1"}), "bad_signature"},
		{"A7 kid absent, one key", header(m{"kid": absent}), accepted},
		{"A14 signed by another", w.otherKey.Sign(w.key.Header(), w.claims(nil)), "bad_signature"},
		{"unknown kid", header(m{"kid": "k9"}), "bad_signature"},
		{"A15 another algorithm of the key", exchangetest.NewKey(t, "RS512", "k1").Token(w.claims(nil)), "unsupported_token"},
		{"A15 PS256 with an RS256 key", exchangetest.NewKey(t, "PS256", "k1").Token(w.claims(nil)), "unsupported_token"},
		{"alg missing", header(m{"alg": absent}), "malformed_token"},
		{"alg unknown", header(m{"alg": "RS257"}), "unsupported_token"},
		{"F8 header too large", header(m{"x": strings.Repeat("x", 2048)}), "malformed_token"},
		{"F8 header too deep", raw(`{"alg":"RS256","kid":"k1","x":[[[[1]]]]}`), "malformed_token"},
		{"F10 alg twice", raw(`{"alg":"none","alg":"RS256","kid":"k1"}`), "malformed_token"},
		{"F10 ALG", raw(`{"alg":"RS256","ALG":"none","kid":"k1"}`), "malformed_token"},
		{"F13 header is a list", raw(`[]`), "malformed_token"},
		{"F13 header is null", raw(`null`), "malformed_token"},
		{"F13 byte order mark", raw("\ufeff" + `{"alg":"RS256","kid":"k1"}`), "malformed_token"},
		{"F13 something behind the header", raw(`{"alg":"RS256","kid":"k1"}{}`), "malformed_token"},
		{"F14 crit empty", header(m{"crit": []string{}}), "unsupported_token"},
		{"F14 crit null", header(m{"crit": nil}), "unsupported_token"},
		{"F14 crit b64", header(m{"crit": []string{"b64"}, "b64": false}), "unsupported_token"},
		{"F14 b64 alone", header(m{"b64": true}), "unsupported_token"},
		{"F15 zip", header(m{"zip": "DEF"}), "unsupported_token"},
		{"F15 enc", header(m{"enc": "A128GCM"}), "unsupported_token"},
		{"F15 p2c", header(m{"p2c": 1}), "unsupported_token"},
		{"F15 cty", header(m{"cty": "JWT"}), "unsupported_token"},
		{"F16 typ absent", header(m{"typ": absent}), accepted},
		{"F16 typ jwt", header(m{"typ": "jwt"}), accepted},
		{"F16 typ application/jwt", header(m{"typ": "Application/JWT"}), accepted},
		{"F16 access token", header(m{"typ": "at+jwt"}), "unsupported_token"},
		{"F16 application/at+jwt", header(m{"typ": "application/at+jwt"}), "unsupported_token"},
		{"F16 logout token", header(m{"typ": "logout+jwt"}), "unsupported_token"},
		{"F16 DPoP proof", header(m{"typ": "dpop+jwt"}), "unsupported_token"},
		{"F16 typ is a number", header(m{"typ": 1}), "malformed_token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := w.verify(test.token); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestForm has the rows of token and JSON parsing.
func TestForm(t *testing.T) {
	w := newWorld(t, "RS256", "")
	good := w.key.Token(w.claims(nil))
	parts := strings.Split(good, ".")
	raw := func(claims string) string { return w.key.SignRaw(toJSON(w.key.Header()), claims) }
	body := strings.TrimSuffix(toJSON(w.claims(nil)), "}")
	// A stray bit in the last character of a part whose length leaves some.
	stray := func(i int) string {
		p := append([]string(nil), parts...)
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, p[i][len(p[i])-1])
		p[i] = p[i][:len(p[i])-1] + alphabet[last+1:last+2]
		return strings.Join(p, ".")
	}
	// Pad the payload until it has stray bits.
	padded := func() string {
		for pad := ""; ; pad += "x" {
			token := w.key.Token(w.claims(m{"pad": pad}))
			if p := strings.Split(token, "."); len(p[1])%4 != 0 {
				parts = p
				return stray(1)
			}
		}
	}
	for _, test := range []struct{ name, token, want string }{
		{"good", good, accepted},
		{"F1 flattened JSON", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, "malformed_token"},
		{"F2 space before", " " + good, "malformed_token"},
		{"F2 newline behind", good + "\n", "malformed_token"},
		{"F2 newline inside", parts[0] + ".\n" + parts[1] + "." + parts[2], "malformed_token"},
		{"F2 no-break space", good + "\u00a0", "malformed_token"},
		{"F2 quotes", `"` + good + `"`, "malformed_token"},
		{"F2 Bearer glued", "Bearer" + good, "malformed_token"},
		{"F3 padding", parts[0] + "." + parts[1] + "." + parts[2] + "==", "malformed_token"},
		{"F3 plus", parts[0] + "." + parts[1] + ".+" + parts[2][1:], "malformed_token"},
		{"F4 stray bits in the signature", stray(2), "malformed_token"},
		{"F4 stray bits in the payload", padded(), "malformed_token"},
		{"F5 two parts", parts[0] + "." + parts[1], "malformed_token"},
		{"F5 four parts", good + ".x", "malformed_token"},
		{"F5 five parts", good + ".x.y", "unsupported_token"},
		{"F5 empty header", "." + parts[1] + "." + parts[2], "malformed_token"},
		{"F5 empty payload", parts[0] + ".." + parts[2], "malformed_token"},
		{"F5 nothing", "", "malformed_token"},
		{"F6 dots", strings.Repeat(".", 1<<20), "malformed_token"},
		{"F7 over 16 KiB", w.key.Token(w.claims(m{"x": strings.Repeat("x", 13000)})), "malformed_token"},
		{"F7 under 16 KiB", w.key.Token(w.claims(m{"x": strings.Repeat("x", 11000)})), accepted},
		{"F8 claims too deep", raw(body + `,"x":` + strings.Repeat("[", 12) + strings.Repeat("]", 12) + "}"), "malformed_token"},
		{"F8 claims deep", raw(body + `,"x":` + strings.Repeat("[", 11) + strings.Repeat("]", 11) + "}"), accepted},
		{"F8 too many members", raw(body + `,"x":[` + strings.Repeat("1,", 1100) + `1]}`), "malformed_token"},
		{"F9 a million brackets in the header", b64(strings.Repeat("[", 1_000_000)) + "." + parts[1] + "." + parts[2], "malformed_token"},
		{"F11 sub twice", raw(body + `,"sub":"admin"}`), "malformed_token"},
		{"F11 sub twice, escaped", raw(body + `,"\u0073ub":"admin"}`), "malformed_token"},
		{"F11 twice inside", raw(body + `,"x":[{"a":1,"a":2}]}`), "malformed_token"},
		{"F12 SUB", raw(body + `,"SUB":"admin"}`), "ambiguous_claim"},
		{"F12 long s", raw(body + `,"ſub":"admin"}`), "ambiguous_claim"},
		{"F12 Exp", raw(body + `,"Exp":9999999999}`), "ambiguous_claim"},
		{"F12 Email_Verified", raw(body + `,"Email_Verified":true}`), "ambiguous_claim"},
		{"F12 inside is another claim", raw(body + `,"x":{"SUB":"admin"}}`), accepted},
		{"F12 a custom claim in capitals", raw(body + `,"Groups":["x"]}`), accepted},
		{"F13 not UTF-8", raw(body + ",\"x\":\"\xff\"}"), "malformed_token"},
		{"F13 lone surrogate", raw(body + `,"x":"\ud800"}`), "malformed_token"},
		{"F13 surrogates in the wrong order", raw(body + `,"x":"\udc00\ud800"}`), "malformed_token"},
		{"F13 a surrogate pair", raw(body + `,"x":"\ud83d\ude00"}`), accepted},
		{"F13 something behind", raw(body + `}x`), "malformed_token"},
		{"F13 byte order mark", raw("\ufeff" + body + "}"), "malformed_token"},
		{"F13 list", raw("[]"), "malformed_token"},
		{"F13 null", raw("null"), "malformed_token"},
		{"leading zero", raw(body + `,"x":01}`), "malformed_token"},
		{"NaN", raw(body + `,"x":NaN}`), "malformed_token"},
		{"trailing comma", raw(body + `,}`), "malformed_token"},
		{"control character", raw(body + ",\"x\":\"a\nb\"}"), "malformed_token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := w.verify(test.token); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestClaims has the rows of claims; package rules has the policy's own.
func TestClaims(t *testing.T) {
	w := newWorld(t, "RS256", "")
	raw := func(name, value string) string {
		claims := w.claims(m{name: absent})
		return w.key.SignRaw(toJSON(w.key.Header()), strings.TrimSuffix(toJSON(claims), "}")+`,"`+name+`":`+value+`}`)
	}
	unix := now.Unix()
	for _, test := range []struct {
		name   string
		claims m
		want   string
	}{
		{"C1 iss with a slash", m{"iss": w.idp.URL + "/"}, "unknown_issuer"},
		{"C1 iss in capitals", m{"iss": strings.ToUpper(w.idp.URL)}, "unknown_issuer"},
		{"C1 iss missing", m{"iss": absent}, "unknown_issuer"},
		{"C1 iss null", m{"iss": nil}, "unknown_issuer"},
		{"C1 iss a list", m{"iss": []string{w.idp.URL}}, "unknown_issuer"},
		{"C2 iss elsewhere", m{"iss": "http://169.254.169.254/"}, "unknown_issuer"},
		{"C3 iss of another provider", m{"iss": w.other.URL}, "bad_signature"},
		{"C4 sub missing", m{"sub": absent}, "malformed_token"},
		{"C4 sub empty", m{"sub": ""}, "malformed_token"},
		{"C4 sub null", m{"sub": nil}, "malformed_token"},
		{"C4 sub a number", m{"sub": 1}, "malformed_token"},
		{"C4 sub of 255", m{"sub": strings.Repeat("s", 255)}, accepted},
		{"C4 sub of 256", m{"sub": strings.Repeat("s", 256)}, "malformed_token"},
		{"C4 sub with NUL", m{"sub": "a\x00"}, "malformed_token"},
		{"C4 sub not ASCII", m{"sub": "é"}, "malformed_token"},
		{"C5 aud missing", m{"aud": absent}, "malformed_token"},
		{"C5 aud null", m{"aud": nil}, "malformed_token"},
		{"C5 aud an empty list", m{"aud": []string{}}, "malformed_token"},
		{"C5 aud empty", m{"aud": ""}, "malformed_token"},
		{"C5 aud an object", m{"aud": m{"app": 1}}, "malformed_token"},
		{"C5 aud with null", m{"aud": []any{nil, "app"}}, "malformed_token"},
		{"C5 aud a list of one", m{"aud": []string{"app"}}, accepted},
		{"another audience", m{"aud": "evil"}, "wrong_audience"},
		{"audience in capitals", m{"aud": "APP"}, "wrong_audience"},
		{"C6 an untrusted audience", m{"aud": []string{"app", "evil"}}, "wrong_audience"},
		{"C6 an untrusted audience, but azp", m{"aud": []string{"app", "project"}, "azp": "app"}, accepted},
		{"C7 two audiences without azp", m{"aud": []string{"app", "api"}}, "wrong_azp"},
		{"C7 two audiences with azp", m{"aud": []string{"app", "api"}, "azp": "app"}, accepted},
		{"C8 another azp", m{"azp": "evil"}, "wrong_azp"},
		{"C8 azp of an app", m{"azp": "android"}, "accepted as idp client android"},
		{"C8 azp a number", m{"azp": 1}, "malformed_token"},
		{"C8 azp empty", m{"azp": ""}, "wrong_azp"},
		{"C9 exp missing", m{"exp": absent}, "malformed_token"},
		{"C9 exp text", m{"exp": "1795000000"}, "malformed_token"},
		{"C9 exp true", m{"exp": true}, "malformed_token"},
		{"C9 exp zero", m{"exp": 0}, "malformed_token"},
		{"C9 exp negative", m{"exp": -1}, "malformed_token"},
		{"C9 exp a fraction", m{"exp": float64(unix) + 100.5}, "malformed_token"},
		{"C9 exp too large", m{"exp": 253402300800}, "malformed_token"},
		{"C10 expired within the skew", m{"exp": unix - 59}, accepted},
		{"C10 expired", m{"exp": unix - 60, "iat": unix - 3600}, "token_expired"},
		{"C11 nbf within the skew", m{"nbf": unix + 60}, accepted},
		{"C11 nbf in the future", m{"nbf": unix + 61}, "token_not_yet_valid"},
		{"C11 nbf text", m{"nbf": "0"}, "malformed_token"},
		{"C12 iat missing", m{"iat": absent}, "malformed_token"},
		{"C12 iat within the skew", m{"iat": unix + 60}, accepted},
		{"C12 iat in the future", m{"iat": unix + 61}, "token_not_yet_valid"},
		{"C12 iat after exp", m{"iat": unix + 30, "exp": unix + 10}, "malformed_token"},
		{"C12 as old as may be", m{"iat": unix - 12*3600}, accepted},
		{"C12 too old", m{"iat": unix - 12*3600 - 1}, "token_too_old"},
		{"C13 a day", m{"iat": unix, "exp": unix + 24*3600}, accepted},
		{"C13 more than a day", m{"iat": unix, "exp": unix + 24*3600 + 1}, "token_too_old"},
		{"C14 logout token", m{"events": m{"http://schemas.openid.net/event/backchannel-logout": m{}}}, "unsupported_token"},
		{"C14 events null", m{"events": nil}, "unsupported_token"},
		{"C14 Keycloak's access token", m{"typ": "Bearer"}, "unsupported_token"},
		{"C14 Keycloak's ID token", m{"typ": "ID"}, accepted},
		{"C14 Cognito's access token", m{"token_use": "access"}, "unsupported_token"},
		{"C14 Cognito's ID token", m{"token_use": "id"}, accepted},
		{"C15 groups left out", m{"_claim_names": m{"groups": "src1"}, "_claim_sources": m{"src1": m{"endpoint": "https://x"}}}, "claims_unavailable"},
		{"C15 something else left out", m{"_claim_names": m{"photo": "src1"}, "_claim_sources": m{"src1": m{"endpoint": "https://x"}}}, accepted},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := w.verify(w.key.Token(w.claims(test.claims))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	for _, test := range []struct{ name, claim, value, want string }{
		{"C9 exp 1e300", "exp", "1e300", "malformed_token"},
		{"C9 exp 1e400", "exp", "1e400", "malformed_token"},
		{"C9 exp 2^63-1", "exp", "9223372036854775807", "malformed_token"},
		{"C9 exp 2^64", "exp", "18446744073709551616", "malformed_token"},
		{"C9 exp with an exponent", "exp", fmt.Sprintf("%de0", unix+100), accepted},
		{"C11 nbf overflowing", "nbf", "9.3e18", "malformed_token"},
		{"C11 nbf 1e300", "nbf", "1e300", "malformed_token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := w.verify(raw(test.claim, test.value)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	// Once at the start, and once for the key that C3's token names.
	if got := w.other.Fetches(); got != 2 {
		t.Errorf("the other provider was asked %d times", got)
	}
}

// TestKeys has the rows of published keys.
func TestKeys(t *testing.T) {
	with := func(k *exchangetest.Key, changes m) m {
		jwk := k.JWK()
		maps.Copy(jwk, changes)
		maps.DeleteFunc(jwk, func(_ string, v any) bool { return v == absent })
		return jwk
	}
	k1, k2 := exchangetest.NewKey(t, "RS256", "k1"), exchangetest.NewKey(t, "RS256", "k2")
	for _, test := range []struct {
		name string
		jwks []any
		want string
	}{
		{"as it is", []any{k1.JWK()}, accepted},
		{"without alg", []any{with(k1, m{"alg": absent})}, accepted},
		{"without use", []any{with(k1, m{"use": absent})}, accepted},
		{"A8 published twice", []any{k1.JWK(), with(k2, m{"kid": "k1"}), k2.JWK()}, "bad_signature"},
		{"A9 for encryption", []any{with(k1, m{"use": "enc"}), k2.JWK()}, "bad_signature"},
		{"A9 key_ops without verify", []any{with(k1, m{"key_ops": []string{"encrypt"}}), k2.JWK()}, "bad_signature"},
		{"A9 key_ops with verify", []any{with(k1, m{"key_ops": []string{"verify"}})}, accepted},
		{"A9 of another algorithm", []any{with(k1, m{"alg": "RS512"}), k2.JWK()}, "bad_signature"},
		{"A10 small exponent", []any{with(k1, m{"e": "AQ"}), k2.JWK()}, "bad_signature"},
		{"A10 even exponent", []any{with(k1, m{"e": "BA"}), k2.JWK()}, "bad_signature"},
		{"A16 private", []any{with(k1, m{"d": "AQAB"}), k2.JWK()}, "bad_signature"},
		{"K6 rubbish beside it", []any{m{}, m{"kty": "RSA"}, nil, "x", 1, m{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, m{"kty": "oct", "k": "AAAA"}, k1.JWK()}, accepted},
		{"K13 for another tenant", []any{with(k1, m{"issuer": "https://login.example/other"}), k2.JWK()}, "bad_signature"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := &world{idp: exchangetest.NewIdP(t)}
			w.idp.PublishJWKs(test.jwks...)
			w.verifier = newVerifier(t, fmt.Sprintf("\n  - {name: idp, issuer: %q, audiences: [app], identity: x}", w.idp.URL), &w.log)
			if got := w.verify(k1.Token(w.claims(nil))); got != test.want {
				t.Errorf("got %s, want %s; %s", got, test.want, &w.log)
			}
		})
	}
}

func TestPSSSaltLength(t *testing.T) {
	w := newWorld(t, "PS256", "")
	signed := b64(toJSON(w.key.Header())) + "." + b64(toJSON(w.claims(nil)))
	for length, want := range map[int]string{rsa.PSSSaltLengthEqualsHash: accepted, 20: "bad_signature", 64: "bad_signature"} {
		token := signed + "." + base64.RawURLEncoding.EncodeToString(w.key.Signature(signed, length))
		if got := w.verify(token); got != want {
			t.Errorf("salt of %d: got %s, want %s", length, got, want)
		}
	}
}

// TestKidAbsentWithSeveralKeys does not guess which key is meant.
func TestKidAbsentWithSeveralKeys(t *testing.T) {
	k1, k2 := exchangetest.NewKey(t, "RS256", "k1"), exchangetest.NewKey(t, "RS256", "k2")
	w := newWorld(t, "RS256", "", k1, k2)
	header := k1.Header()
	delete(header, "kid")
	if got := w.verify(k1.Sign(header, w.claims(nil))); got != "bad_signature" {
		t.Error(got)
	}
}

func TestTenants(t *testing.T) {
	const tenant, unlisted = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
	key := exchangetest.NewKey(t, "RS256", "k1")
	idp := exchangetest.NewIdP(t)
	jwk := key.JWK()
	jwk["issuer"] = idp.URL + "/{tenantid}/v2.0"
	idp.PublishJWKs(jwk)
	w := &world{idp: idp}
	w.verifier = newVerifier(t, fmt.Sprintf(`
  - name: entra
    provider: entra
    issuer: %s/{tenantid}/v2.0
    tenants: [%s]
    audiences: [app]
    jwks_uri: %s/jwks
    identity: "entra_${escape(claims.tid)}__${escape(claims.oid)}"
`, idp.URL, tenant, idp.URL), &w.log)
	for _, test := range []struct {
		name   string
		claims m
		want   string
	}{
		{"listed", m{"iss": idp.URL + "/" + tenant + "/v2.0", "tid": tenant, "oid": "o"}, "accepted as entra client app"},
		{"not listed", m{"iss": idp.URL + "/" + unlisted + "/v2.0", "tid": unlisted, "oid": "o"}, "unknown_issuer"},
		{"the template itself", m{"iss": idp.URL + "/{tenantid}/v2.0", "tid": tenant, "oid": "o"}, "unknown_issuer"},
		{"without oid", m{"iss": idp.URL + "/" + tenant + "/v2.0", "tid": tenant}, "requirement_failed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := w.verify(key.Token(w.claims(test.claims))); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// TestNothingIsTold looks for pieces of tokens and claims in what is logged and
// in errors.
func TestNothingIsTold(t *testing.T) {
	w := newWorld(t, "RS256", "")
	for _, claims := range []m{
		{"sub": "secret-subject-of-somebody"}, {"sub": "secret-subject-of-somebody", "aud": "secret-audience-of-ours"},
		{"iss": "https://secret-issuer.example"}, {"azp": "secret-party-of-somebody"}, {"exp": "secret-exp"},
	} {
		for _, token := range []string{w.key.Token(w.claims(claims)), w.otherKey.Sign(w.key.Header(), w.claims(claims)), "x" + w.key.Token(w.claims(claims))} {
			_, err := w.verifier.Verify(context.Background(), token)
			text := w.log.String()
			if err != nil {
				text += err.Error()
			}
			for i := 0; i+20 <= len(token); i++ {
				if strings.Contains(text, token[i:i+20]) {
					t.Fatalf("a piece of the token is told: %s", text)
				}
			}
			if strings.Contains(text, "secret-") {
				t.Fatalf("a claim is told: %s", text)
			}
		}
	}
}

// TestJOSEVersion keeps go-jose above 4.1.4, which crashes on a deeply nested
// header before any signature is checked.
func TestJOSEVersion(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/go-jose/go-jose/v4").Output()
	if err != nil {
		t.Fatal(err)
	}
	var major, minor, patch int
	if _, err := fmt.Sscanf(string(out), "v%d.%d.%d", &major, &minor, &patch); err != nil || major != 4 || minor < 1 || minor == 1 && patch < 8 {
		t.Errorf("go-jose is %s, want v4.1.8 or later", out)
	}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
