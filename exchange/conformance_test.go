package exchange_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"twilio-sts/exchange"
	"twilio-sts/exchange/exchangetest"
)

// conformanceTests are those of the OpenID Foundation's conformance suite for
// relying parties that are about verifying an ID token, under their names
// there. The others are about how a client asks for a token, and about what it
// knows of that: nonce, at_hash, c_hash, userinfo.
// https://gitlab.com/openid/conformance-suite
func conformanceTests() []conformanceTest {
	const accepted = `conformance_user {"video":{"room":"conformance"}}`
	type m = map[string]any
	claims := func(changes m) func(*op) string {
		return func(o *op) string { return o.key.Token(o.claims(changes)) }
	}
	return []conformanceTest{
		{name: "oidcc-client-test", token: claims(nil), want: accepted},
		{name: "oidcc-client-test-idtoken-sig-rs256", token: claims(nil), want: accepted},
		{
			name: "oidcc-client-test-idtoken-sig-none",
			token: func(o *op) string {
				return encodePart(m{"alg": "none"}) + "." + encodePart(o.claims(nil)) + "."
			},
			want: "unsupported_token: its alg is not one for public keys",
		},
		{
			name:  "oidcc-client-test-invalid-iss",
			token: func(o *op) string { return o.key.Token(o.claims(m{"iss": o.idp.URL + "1"})) },
			want:  "unknown_issuer: iss is not a configured issuer's",
		},
		{name: "oidcc-client-test-missing-sub", token: claims(m{"sub": absentClaim}), want: "malformed_token: sub is not a string of 1 to 255 characters"},
		{name: "oidcc-client-test-invalid-aud", token: claims(m{"aud": "client1"}), want: "wrong_audience: aud names none of this issuer's audiences"},
		{name: "oidcc-client-test-missing-aud", token: claims(m{"aud": absentClaim}), want: "malformed_token: aud is not a string or a list of strings"},
		{name: "oidcc-client-test-missing-iat", token: claims(m{"iat": absentClaim}), want: "malformed_token: iat is missing or not a time"},
		{
			name:    "oidcc-client-test-kid-absent-single-jwks",
			publish: func(o *op) { o.idp.Publish(o.key) },
			token:   func(o *op) string { return o.key.Sign(m{"alg": "RS256"}, o.claims(nil)) },
			want:    accepted,
		},
		{
			name:    "oidcc-client-test-kid-absent-multiple-jwks", // the suite lets either pass
			publish: func(o *op) { o.idp.Publish(o.key, o.other) },
			token:   func(o *op) string { return o.key.Sign(m{"alg": "RS256"}, o.claims(nil)) },
			want:    "bad_signature: the issuer has no such key",
		},
		{
			name:  "oidcc-client-test-invalid-sig-rs256",
			token: func(o *op) string { return damaged(o.key.Token(o.claims(nil))) },
			want:  "bad_signature: the key that it names did not make the signature",
		},
		{
			name:      "oidcc-client-test-invalid-sig-es256",
			algorithm: "ES256",
			token:     func(o *op) string { return damaged(o.key.Token(o.claims(nil))) },
			want:      "bad_signature: the key that it names did not make the signature",
		},
		{
			name: "oidcc-client-test-invalid-sig-hs256",
			token: func(o *op) string {
				signed := encodePart(m{"alg": "HS256"}) + "." + encodePart(o.claims(nil))
				mac := hmac.New(sha256.New, []byte("the client's secret"))
				mac.Write([]byte(signed))
				return damaged(signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
			},
			want: "unsupported_token: its alg is not one for public keys",
		},
		{
			name:  "oidcc-client-test-signing-key-rotation",
			token: claims(nil),
			want:  accepted,
			then: func(o *op) string { // the old key stays published
				o.idp.Publish(o.key, o.other)
				return o.other.Token(o.claims(nil))
			},
			thenWant: accepted,
			fetches:  2,
		},
		{
			name: "oidcc-client-test-signing-key-rotation-just-before-signing",
			token: func(o *op) string { // the old key is gone
				o.idp.Publish(o.other)
				return o.other.Token(o.claims(nil))
			},
			want:     accepted,
			then:     claims(nil),
			thenWant: "bad_signature: the issuer has no such key",
			fetches:  3,
		},
		{name: "oidcc-client-test-discovery-openid-config", token: claims(nil), want: accepted},
		{name: "oidcc-client-test-discovery-jwks-uri-keys", token: claims(nil), want: accepted, fetches: 1},
		{
			name:     "oidcc-client-test-discovery-issuer-mismatch",
			discover: func(o *op) map[string]any { return m{"issuer": o.idp.URL + "INVALID", "jwks_uri": o.idp.URL + "/jwks"} },
			token:    claims(nil),
			want:     "keys_unavailable: there are no keys to check with",
			fault:    "discovery: the discovery document names another issuer",
		},
	}
}

// A conformanceTest has a provider, which is new for each test, issue tokens.
type conformanceTest struct {
	name      string
	algorithm string                   // RS256 when empty
	publish   func(*op)                // the key set, unless it is the key and one that few can use
	discover  func(*op) map[string]any // the discovery document, unless it is right
	token     func(*op) string         // an ID token
	want      string                   // identity and grants, or reason and detail
	then      func(*op) string         // a second one
	thenWant  string
	fetches   int    // of the key set in all, unless 0
	fault     string // of the provider, as logged
}

// An op is an OpenID provider in a conformance test.
type op struct {
	idp        *exchangetest.IdP
	key, other *exchangetest.Key
}

func (o *op) claims(changes map[string]any) map[string]any {
	now := providerNow().Unix()
	c := map[string]any{"iss": o.idp.URL, "sub": "user", "aud": "client", "iat": now, "exp": now + 300, "nonce": "n-0S6_WzA2Mj"}
	change(c, changes)
	return c
}

func TestConformance(t *testing.T) {
	for _, test := range conformanceTests() {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			algorithm := "RS256"
			if test.algorithm != "" {
				algorithm = test.algorithm
			}
			o := &op{key: exchangetest.NewKey(t, algorithm, "provider"), other: exchangetest.NewKey(t, algorithm, "another")}
			o.idp = exchangetest.NewIdP(t)
			// The suite's own key set has a key of this curve; here it is the
			// curve's generator.
			secp256k1 := map[string]any{"kty": "EC", "crv": "secp256k1", "use": "sig", "kid": "k1", "alg": "ES256K",
				"x": "eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g", "y": "SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg"}
			o.idp.PublishJWKs(secp256k1, o.key.JWK())
			if test.publish != nil {
				test.publish(o)
			}
			if test.discover != nil {
				document := test.discover(o)
				o.idp.Answer(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(document) })
			}
			e := newExchanger(t, fmt.Sprintf(`
issuers:
  - name: conformance
    issuer: %s
    algorithms: [%s]
    audiences: [client]
    identity: "conformance_${escape(claims.sub)}"
rules:
  - {name: all, when: "true", grants: {video: {room: conformance}}}
`, o.idp.URL, algorithm), nil, exchange.Options{Now: providerNow})
			if test.fault == "" {
				o.idp.AwaitFetch(t, 1)
			} else if got := e.log.awaitFault(t); got != test.fault {
				t.Errorf("the provider's fault is %q, want %q", got, test.fault)
			}
			if got := e.exchange(t, test.token(o)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if test.then != nil {
				if got := e.exchange(t, test.then(o)); got != test.thenWant {
					t.Errorf("then got  %s\nthen want %s", got, test.thenWant)
				}
			}
			if o.idp.Discoveries() == 0 {
				t.Error("nobody asked for the discovery document")
			}
			if n := o.idp.Fetches(); test.fetches != 0 && n != test.fetches || test.fault != "" && n != 0 {
				t.Errorf("the key set was fetched %d times", n)
			}
		})
	}
}

// awaitFault waits until keys could not be fetched, and returns why.
func (e *events) awaitFault(t *testing.T) string {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for read := 0; ; {
		e.mu.Lock()
		lines, written := e.lines[read:], e.written
		e.mu.Unlock()
		for _, line := range lines {
			if line["msg"] == "keys not fetched" {
				return fmt.Sprint(line["error"])
			}
		}
		read += len(lines)
		select {
		case <-written:
		case <-deadline:
			t.Fatal("no fault is logged")
		}
	}
}

// damaged changes the first byte of a token's signature.
func damaged(token string) string {
	i := strings.LastIndexByte(token, '.') + 1
	first := "A"
	if token[i] == 'A' {
		first = "B"
	}
	return token[:i] + first + token[i+1:]
}

func encodePart(object map[string]any) string {
	b, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}
