package idtoken_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"twilio-sts/exchange/internal/idtoken"
)

// realClaims are about as many as Auth0 sends.
func realClaims() m {
	return m{
		"sub": "auth0|5f7c8ec7c33c6c004bbafe82", "name": "Ada Agent", "given_name": "Ada", "family_name": "Agent", "nickname": "ada",
		"email": "ada@example.com", "email_verified": true, "picture": "https://s.gravatar.com/avatar/0123456789abcdef0123456789abcdef?s=480",
		"updated_at": "2026-05-28T09:14:03.022Z", "locale": "en", "sid": "Kn3lvIu4dNgQz3sC7BYxQ6bDTLIpfyOC", "nonce": "bFJ2TnNfYVh1Z0ZiUUk0",
		"https://acme.com/team": "emea", "groups": []string{"agents", "support", "emea"},
	}
}

// BenchmarkBare is what no verification goes without: SHA-256 and one RSA
// operation. The others are to be read as multiples of it.
func BenchmarkBare(b *testing.B) {
	w := newWorld(b, "RS256")
	token := w.key.Token(w.claims(realClaims()))
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		digest := sha256.Sum256([]byte(token[:dot]))
		if err := rsa.VerifyPKCS1v15(w.key.Public().(*rsa.PublicKey), crypto.SHA256, digest[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			w := newWorld(b, alg)
			token := w.key.Token(w.claims(realClaims()))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.verifier.Verify(context.Background(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	w := newWorld(b, "RS256")
	token := w.key.Token(w.claims(realClaims()))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := idtoken.Inspect(token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJunk is what refusing costs, as a multiple of what taking a good
// token costs in the same run. What is refused before the signature must stay
// below 1; what is refused for its signature went the whole way.
func BenchmarkJunk(b *testing.B) {
	w := newWorld(b, "RS256")
	header := toJSON(w.key.Header())
	good := w.key.Token(w.claims(realClaims()))
	parts := strings.Split(good, ".")
	// filled returns a token of 16 KiB whose claims repeat a text.
	filled := func(header, before, text, after string) string {
		const size = 16<<10 - 400
		var claims strings.Builder
		claims.WriteString(before)
		for i := 0; claims.Len() < size*3/4-len(header)-len(after)-len(text); i++ {
			claims.WriteString(strings.ReplaceAll(text, "#", strconv.Itoa(i)))
		}
		claims.WriteString(after)
		return b64(header) + "." + b64(claims.String()) + "." + parts[2]
	}
	body := strings.TrimSuffix(toJSON(w.claims(nil)), "}")
	wrong := func(changes m) string { return w.key.Token(w.claims(changes)) }
	for _, junk := range []struct{ name, token, want string }{
		{"nothing", "x", "malformed_token"},
		{"dots", strings.Repeat(".", 16<<10), "malformed_token"},
		{"a megabyte", strings.Repeat("A", 1<<20), "malformed_token"},
		{"not base64", strings.Repeat("A", 16<<10-1) + "=", "malformed_token"},
		{"last bit of the signature", good[:len(good)-1] + "B", "malformed_token"},
		{"alg none", b64(`{"alg":"none"}`) + "." + parts[1] + ".", "unsupported_token"},
		{"header of nothing but members", b64(`{`+strings.Repeat(`"":0,`, 2000)) + ".e30.AAAA", "malformed_token"},
		{"members", filled(header, body, `,"#":0`, "}"), "malformed_token"},
		{"members, as many as may be", manyMembers(w), "unknown_issuer"},
		{"objects", filled(header, body+`,"x":[0`, `,{}`, "]}"), "malformed_token"},
		{"lists", filled(header, body+`,"x":[0`, `,[]`, "]}"), "malformed_token"},
		{"items", filled(header, body+`,"x":[0`, `,0`, "]}"), "malformed_token"},
		{"texts", filled(header, body+`,"x":[0`, `,"a"`, "]}"), "malformed_token"},
		{"escapes", filled(header, `{"x":"`, `\u00e9`, `"}`), "unknown_issuer"},
		{"surrogates", filled(header, `{"x":"`, `\ud83d\ude00`, `"}`), "unknown_issuer"},
		{"one long text", filled(header, `{"x":"`, `xxxxxxxx`, `"}`), "unknown_issuer"},
		{"one long number", filled(header, `{"x":1`, `99999999`, `}`), "unknown_issuer"},
		{"one long fraction", filled(header, `{"x":1.`, `99999999`, `}`), "unknown_issuer"},
		{"fractions", filled(header, `{"x":[0`, `,0.1`, `]}`), "malformed_token"},
		{"fractions that are hard to round", w.key.Token(m{"x": slices.Repeat([]any{json.RawMessage("9007199254740993.000e0")}, 29)}), "unknown_issuer"},
		{"fractions that are too long to round", w.key.Token(m{"x": slices.Repeat([]any{json.RawMessage("9007199254740993.000000000000000000000000000000001e0")}, 29)}), "unknown_issuer"},
		{"small fractions that are hard to round", w.key.Token(m{"x": slices.Repeat([]any{json.RawMessage("1.234500000000000055e-290")}, 29)}), "unknown_issuer"},
		{"nesting", filled(header, `{"x":`, strings.Repeat("[", 100), ``), "malformed_token"},
		{"unknown issuer", wrong(m{"iss": "https://nobody.example"}), "unknown_issuer"},
		{"unknown issuer, 16 KiB", filled(header, `{"iss":"https://nobody.example"`, `,"#":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"`, "}"), "unknown_issuer"},
		{"wrong audience", wrong(m{"aud": "another"}), "wrong_audience"},
		{"audiences", wrong(m{"aud": slices.Repeat([]string{"another"}, 470)}), "wrong_audience"},
		{"expired", wrong(m{"exp": now.Unix() - 3600, "iat": now.Unix() - 7200}), "token_expired"},
		{"unknown kid", b64(`{"alg":"RS256","kid":"junk"}`) + "." + parts[1] + "." + parts[2], "bad_signature"},
		{"bad signature", parts[0] + "." + b64(toJSON(w.claims(realClaims()))+" ") + "." + parts[2], "bad_signature"},
		{"bad signature of no length", parts[0] + "." + parts[1] + ".AAAA", "bad_signature"},
		{"bad signature, 16 KiB", filled(header, body, `,"#":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"`, "}"), "bad_signature"},
	} {
		b.Run(junk.name, func(b *testing.B) {
			if got := w.verify(junk.token); got != junk.want {
				b.Fatalf("got %s, want %s", got, junk.want)
			}
			var refusing, taking []time.Duration
			for b.Loop() {
				begin := time.Now()
				_, err := w.verifier.Verify(context.Background(), junk.token)
				middle := time.Now()
				_, errGood := w.verifier.Verify(context.Background(), good)
				end := time.Now()
				if err == nil || errGood != nil {
					b.Fatal(err, errGood)
				}
				refusing, taking = append(refusing, middle.Sub(begin)), append(taking, end.Sub(middle))
			}
			b.ReportMetric(float64(median(refusing)), "ns/refusal")
			b.ReportMetric(float64(median(refusing))/float64(median(taking)), "×good")
		})
	}
}

// median is not moved by what else the machine did now and then.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// manyMembers returns a token with as many members as are read.
func manyMembers(w *world) string {
	claims := m{"iss": "https://nobody.example"}
	for i := range 255 {
		claims[strconv.Itoa(i)+strings.Repeat("x", 30)] = 0
	}
	return w.key.Token(claims)
}
