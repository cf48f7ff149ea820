package idtoken_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

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
	w := newWorld(b, "RS256", "")
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
			w := newWorld(b, alg, "")
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
	w := newWorld(b, "RS256", "")
	token := w.key.Token(w.claims(realClaims()))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := idtoken.Inspect(token); err != nil {
			b.Fatal(err)
		}
	}
}
