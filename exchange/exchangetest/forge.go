package exchangetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.Hash
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"sync"
	"testing"
)

// Algorithms are all that an issuer may use.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// A Key signs tokens with one algorithm.
type Key struct {
	ID        string
	Algorithm string
	private   crypto.Signer
}

// Making RSA keys takes long, so each kid has one for all tests.
var rsaKeys = struct {
	sync.Mutex
	byID map[string]*rsa.PrivateKey
}{byID: map[string]*rsa.PrivateKey{}}

// NewKey returns a key.
func NewKey(t testing.TB, algorithm, id string) *Key {
	t.Helper()
	k := &Key{ID: id, Algorithm: algorithm}
	var err error
	switch algorithm {
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		k.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		k.private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		rsaKeys.Lock()
		defer rsaKeys.Unlock()
		if rsaKeys.byID[id] == nil {
			rsaKeys.byID[id], err = rsa.GenerateKey(rand.Reader, 2048)
		}
		k.private = rsaKeys.byID[id]
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// JWK returns the public key as published.
func (k *Key) JWK() map[string]any {
	jwk := map[string]any{"kid": k.ID, "alg": k.Algorithm, "use": "sig"}
	switch pub := k.private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", encode(pub.N.Bytes()), encode(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes() // 4, x and y
		if err != nil {
			panic(err)
		}
		size := len(point) / 2
		jwk["kty"], jwk["crv"] = "EC", pub.Curve.Params().Name
		jwk["x"], jwk["y"] = encode(point[1:1+size]), encode(point[1+size:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", encode(pub)
	}
	return jwk
}

// Public returns the public key.
func (k *Key) Public() crypto.PublicKey { return k.private.Public() }

// Header returns the header of a usual token.
func (k *Key) Header() map[string]any {
	return map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "JWT"}
}

// Token signs claims under a usual header.
func (k *Key) Token(claims map[string]any) string { return k.Sign(k.Header(), claims) }

// Sign signs claims under any header.
func (k *Key) Sign(header, claims map[string]any) string {
	return k.SignRaw(toJSON(header), toJSON(claims))
}

// SignRaw signs any two texts.
func (k *Key) SignRaw(header, payload string) string {
	return k.SignEncoded(encode([]byte(header)) + "." + encode([]byte(payload)))
}

// SignEncoded signs header and payload as they are to stand in the token.
func (k *Key) SignEncoded(signed string) string {
	return signed + "." + encode(k.Signature(signed, rsa.PSSSaltLengthEqualsHash))
}

// Signature returns the signature of a text; saltLength is for PS algorithms.
func (k *Key) Signature(signed string, saltLength int) []byte {
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[k.Algorithm[2:]]
	digest := []byte(signed)
	if hash != 0 {
		h := hash.New()
		h.Write(digest)
		digest = h.Sum(nil)
	}
	var opts crypto.SignerOpts = hash
	if strings.HasPrefix(k.Algorithm, "PS") {
		opts = &rsa.PSSOptions{SaltLength: saltLength, Hash: hash}
	}
	if key, ok := k.private.(*ecdsa.PrivateKey); ok {
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			panic(err)
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	signature, err := k.private.Sign(rand.Reader, digest, opts)
	if err != nil {
		panic(err)
	}
	return signature
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func toJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
