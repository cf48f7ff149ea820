package jwks

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // SHA-256, for crypto.Hash
	_ "crypto/sha512" // SHA-384 and SHA-512
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"slices"
	"strings"
)

// maxKeys bounds a key set; real ones have fewer than ten.
const maxKeys = 100

// A keyID selects a key: one key is used with one algorithm.
type keyID struct{ kid, alg string }

// A Key is a public key that is fit to check signatures of one algorithm.
type Key struct {
	issuer string // Microsoft's member: whose tokens the key may sign, or ""
	check  func(digest, signed, signature []byte) bool
	hash   crypto.Hash // 0: the algorithm hashes by itself
}

// Verify reports whether signature is that of signed, for a token of issuer.
func (k *Key) Verify(issuer string, signed, signature []byte) bool {
	if k.issuer != "" && !issuerMatches(k.issuer, issuer) {
		return false
	}
	var digest []byte
	if k.hash != 0 {
		h := k.hash.New()
		h.Write(signed)
		digest = h.Sum(nil)
	}
	return k.check(digest, signed, signature)
}

// issuerMatches compares the issuer that a key is for with a token's. It may
// be a template, in which {tenantid} stands for one part of a path.
func issuerMatches(template, issuer string) bool {
	before, after, ok := strings.Cut(template, "{tenantid}")
	if !ok {
		return template == issuer
	}
	tenant, ok := strings.CutPrefix(issuer, before)
	if !ok || len(tenant) <= len(after) || !strings.HasSuffix(tenant, after) {
		return false
	}
	return !strings.Contains(tenant[:len(tenant)-len(after)], "/")
}

// A jwk is a key as published, RFC 7517 §4 and RFC 7518 §6.
type jwk struct {
	Kty    string   `json:"kty"`
	Kid    string   `json:"kid"`
	Alg    string   `json:"alg"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Issuer string   `json:"issuer"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	Crv    string   `json:"crv"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	D      string   `json:"d"` // private
	K      string   `json:"k"` // symmetric
}

// Why a published key is not used.
var (
	errMalformed = errors.New("malformed")
	errPrivate   = errors.New("private or symmetric")
	errPurpose   = errors.New("not for signatures")
	errAlgorithm = errors.New("not of an accepted algorithm")
	errWeak      = errors.New("weak")
	errDuplicate = errors.New("published twice")
)

// parseSet reads a key set. Each key is judged alone: one that is malformed or
// meant for something else is left out and counted by its fault. A set without
// any usable key is an error, because no provider has one on purpose.
func parseSet(data []byte, algorithms []string) (keys map[keyID]*Key, dropped map[string]int, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, nil, errors.New("the key set is not JSON with a list of keys")
	}
	if len(set.Keys) > maxKeys {
		return nil, nil, errors.New("the key set has more than 100 keys")
	}
	keys, dropped = map[keyID]*Key{}, map[string]int{}
	twice := map[keyID]bool{}
	for _, raw := range set.Keys {
		parsed, err := parseKey(raw, algorithms)
		if err != nil {
			dropped[err.Error()]++
			continue
		}
		for id, k := range parsed {
			if keys[id] != nil || twice[id] {
				// Which of the two is meant nobody can tell.
				delete(keys, id)
				twice[id] = true
				dropped[errDuplicate.Error()]++
				continue
			}
			keys[id] = k
		}
	}
	if len(keys) == 0 {
		return nil, dropped, errors.New("the key set has no usable key")
	}
	return keys, dropped, nil
}

// parseKey reads one key, for each accepted algorithm it can be used with.
func parseKey(raw []byte, algorithms []string) (map[keyID]*Key, error) {
	var j jwk
	if err := json.Unmarshal(raw, &j); err != nil || j.Kty == "" {
		return nil, errMalformed
	}
	switch {
	case j.Kty == "oct" || j.D != "" || j.K != "":
		return nil, errPrivate
	case j.Use != "" && j.Use != "sig", j.KeyOps != nil && !slices.Contains(j.KeyOps, "verify"):
		return nil, errPurpose
	}
	var usable []string
	for _, alg := range algorithms {
		if keyType(alg, &j) && (j.Alg == "" || j.Alg == alg) {
			usable = append(usable, alg)
		}
	}
	if len(usable) == 0 {
		return nil, errAlgorithm
	}
	keys := map[keyID]*Key{}
	for _, alg := range usable {
		if alg[:2] != usable[0][:2] {
			continue // one key, one scheme: RSA's two are not mixed
		}
		check, err := j.checker(alg)
		if err != nil {
			return nil, err
		}
		keys[keyID{j.Kid, alg}] = &Key{issuer: j.Issuer, check: check, hash: hashOf(alg)}
	}
	return keys, nil
}

// keyType reports whether alg is one for keys of j's type and curve.
func keyType(alg string, j *jwk) bool {
	switch alg {
	case "ES256":
		return j.Kty == "EC" && j.Crv == "P-256"
	case "ES384":
		return j.Kty == "EC" && j.Crv == "P-384"
	case "ES512":
		return j.Kty == "EC" && j.Crv == "P-521"
	case "EdDSA":
		return j.Kty == "OKP" && j.Crv == "Ed25519"
	}
	return j.Kty == "RSA"
}

func hashOf(alg string) crypto.Hash {
	switch alg[2:] {
	case "256":
		return crypto.SHA256
	case "384":
		return crypto.SHA384
	case "512":
		return crypto.SHA512
	}
	return 0
}

// checker returns the check of an algorithm's signatures with the key.
func (j *jwk) checker(alg string) (func(digest, signed, signature []byte) bool, error) {
	hash := hashOf(alg)
	switch alg[:2] {
	case "RS":
		pub, err := j.rsa()
		return func(digest, _, signature []byte) bool {
			return rsa.VerifyPKCS1v15(pub, hash, digest, signature) == nil
		}, err
	case "PS":
		pub, err := j.rsa()
		// RFC 7518 §3.5: the salt is as long as the hash.
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		return func(digest, _, signature []byte) bool {
			return rsa.VerifyPSS(pub, hash, digest, signature, options) == nil
		}, err
	case "ES":
		pub, err := j.ecdsa()
		return func(digest, _, signature []byte) bool {
			// RFC 7518 §3.4: r and s, each as long as the field.
			size := (pub.Curve.Params().BitSize + 7) / 8
			if len(signature) != 2*size {
				return false
			}
			r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
			return ecdsa.Verify(pub, digest, r, s)
		}, err
	}
	pub, err := j.ed25519()
	return func(_, signed, signature []byte) bool { return ed25519.Verify(pub, signed, signature) }, err
}

func (j *jwk) rsa() (*rsa.PublicKey, error) {
	n, errN := base64.RawURLEncoding.DecodeString(j.N)
	e, errE := base64.RawURLEncoding.DecodeString(j.E)
	if errN != nil || errE != nil || len(n) == 0 || len(e) == 0 || len(e) > 4 {
		return nil, errMalformed
	}
	pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	// RFC 7518 §3.3 asks for 2048 bits; more than 4096 costs more than any
	// provider's key is worth.
	if bits := pub.N.BitLen(); bits < 2048 || bits > 4096 || pub.E < 3 || pub.E%2 == 0 || pub.E > 1<<31-1 || pub.N.Bit(0) == 0 || isROCA(pub.N) {
		return nil, errWeak
	}
	return pub, nil
}

// isROCA reports whether n looks like the moduli that a library of smart cards
// made, and that can be factored (CVE-2017-15361): modulo every small prime
// they are a power of 65537. One in 2^27 others looks the same.
func isROCA(n *big.Int) bool {
	for p := int64(3); p <= 167; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		rest, power := new(big.Int).Mod(n, big.NewInt(p)).Int64(), int64(1)
		for range p - 1 {
			if power == rest {
				break
			}
			power = power * 65537 % p
		}
		if power != rest {
			return false
		}
	}
	return true
}

func (j *jwk) ecdsa() (*ecdsa.PublicKey, error) {
	curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[j.Crv]
	x, errX := base64.RawURLEncoding.DecodeString(j.X)
	y, errY := base64.RawURLEncoding.DecodeString(j.Y)
	if size := (curve.Params().BitSize + 7) / 8; errX != nil || errY != nil || len(x) != size || len(y) != size {
		return nil, errMalformed
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y))
	if err != nil {
		return nil, errMalformed // not on the curve
	}
	return pub, nil
}

func (j *jwk) ed25519() (ed25519.PublicKey, error) {
	x, err := base64.RawURLEncoding.DecodeString(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, errMalformed
	}
	if isLowOrder(x) {
		return nil, errWeak
	}
	return x, nil
}

// isLowOrder reports whether an Ed25519 key is one of the points of small
// order, with which a signature can fit any message. They are listed without
// their sign bit, the encodings that are not canonical included.
func isLowOrder(x []byte) bool {
	point := bytes.Clone(x)
	point[31] &= 0x7f
	return slices.Contains([]string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	}, hex.EncodeToString(point))
}
