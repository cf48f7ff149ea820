package exchangetest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"twilio-sts/config/rules"
)

// A Catalogue is a list of tokens, most of which no provider would make, with
// the providers they are said to be from and a configuration that trusts those.
type Catalogue struct {
	Config  string // YAML
	Attacks []Attack
	// Stranger is a provider that tokens name and the configuration does not:
	// nothing may ever be asked of it.
	Stranger *IdP
	now      time.Time
	t        testing.TB
}

// An Attack is a token and what must become of it.
type Attack struct {
	Provider *Provider // whose it claims to be
	// Row groups what is tried: A1 to A16 algorithms and keys, F1 to F16
	// format, C1 to C15 claims, K6 and K13 key sets, P providers.
	Row, Name string
	Token     string
	Reason    rules.Reason // "": the token is good
	Plain     bool         // go-oidc alone takes it
}

// Words for Attack.Plain.
const (
	refused = false
	taken   = true
)

// A Provider is an issuer of a Catalogue's configuration.
type Provider struct {
	*IdP
	Name     string // in the configuration
	Issuer   string // iss
	Audience string
	// Algorithms are what a service that uses go-oidc alone would allow.
	Algorithms []string

	key *Key
	now time.Time
}

type object = map[string]any

// absent as a member's value takes the member away.
var absent = &struct{ string }{"absent"}

func changed(o, changes object) object {
	o = maps.Clone(o)
	maps.Copy(o, changes)
	maps.DeleteFunc(o, func(_ string, v any) bool { return v == absent })
	return o
}

// claims returns those of a good token, changed.
func (p *Provider) claims(changes object) object {
	return changed(object{
		"iss": p.Issuer, "sub": "somebody", "aud": p.Audience, "iat": p.now.Unix() - 60, "exp": p.now.Unix() + 3600,
		"name": "Somebody With A Name", "email": "somebody@mail.example",
	}, changes)
}

// token returns a good token but for the changes to its claims.
func (p *Provider) token(changes object) string { return p.key.Token(p.claims(changes)) }

// header returns a good token but for the changes to its header.
func (p *Provider) header(changes object) string {
	return p.key.Sign(changed(p.key.Header(), changes), p.claims(nil))
}

// rawHeader returns a good token with any text for its header.
func (p *Provider) rawHeader(header string) string {
	return p.key.SignRaw(header, toJSON(p.claims(nil)))
}

// rawClaims returns a token with any text for its claims.
func (p *Provider) rawClaims(claims string) string {
	return p.key.SignRaw(toJSON(p.key.Header()), claims)
}

// with returns a token whose claims, changed, have further text behind the
// last member.
func (p *Provider) with(changes object, text string) string {
	return p.rawClaims(strings.TrimSuffix(toJSON(p.claims(changes)), "}") + text + "}")
}

// unencoded returns a token whose claims were signed as they are, RFC 7797,
// without saying so in crit.
func (p *Provider) unencoded() string {
	header, claims := encode([]byte(toJSON(changed(p.key.Header(), object{"b64": false})))), toJSON(p.claims(nil))
	return header + "." + encode([]byte(claims)) + "." + encode(p.key.Signature(header+"."+claims, 0))
}

// signature returns a good token but for the signature.
func (p *Provider) signature(sign func(signed string) []byte) string {
	signed := encode([]byte(toJSON(p.key.Header()))) + "." + encode([]byte(toJSON(p.claims(nil))))
	return signed + "." + encode(sign(signed))
}

// provider starts a provider that publishes jwks, or its key when there are
// none, and adds its issuer to the configuration. In lines, which may be
// empty, URL and NAME stand for the provider's.
func (c *Catalogue) provider(name string, key *Key, lines string, jwks ...any) *Provider {
	if jwks == nil {
		jwks = []any{key.JWK()}
	}
	p := &Provider{IdP: NewIdP(c.t), Name: name, Audience: "app", Algorithms: []string{key.Algorithm}, key: key, now: c.now}
	p.Issuer = p.URL
	p.PublishJWKs(jwks...)
	for _, line := range []string{"issuer: URL", "identity: NAME__${escape(claims.sub)}", "algorithms: [" + key.Algorithm + "]", "audiences: [app, ios]"} {
		if member, _, _ := strings.Cut(line, " "); !strings.Contains(lines, "\n    "+member) {
			lines += "\n    " + line
		}
	}
	c.Config += "\n  - name: " + name + strings.NewReplacer("URL", p.URL, "NAME", name).Replace(lines)
	return p
}

func (c *Catalogue) add(attacks ...Attack) { c.Attacks = append(c.Attacks, attacks...) }

// NewCatalogue makes the catalogue for a clock that stands at now.
func NewCatalogue(t testing.TB, now time.Time) *Catalogue {
	t.Helper()
	c := &Catalogue{t: t, now: now, Stranger: NewIdP(t), Config: `version: 1
accounts:
  - name: main
    account_sid: AC0123456789abcdef0123456789abcdef
    api_key_sid: SK0123456789abcdef0123456789abcdef
    api_key_secret: AsecretThatIsNoAuthTokenAtAll123
limits: {per_ip: "off", per_subject: "off", failures_per_ip: "off"}
issuers:`}
	idp := c.provider("idp", NewKey(t, "RS256", "k1"), `
    trusted_audiences: [api]
    allowed_azp: [app, ios, android]
    max_token_age: 12h
    claims: {groups: list(string)}`)
	other := c.provider("other", NewKey(t, "RS256", "k2"), "")
	c.algorithms()
	c.header(idp, other)
	c.keys()
	c.format(idp)
	c.json(idp)
	c.claims(idp, other)
	c.times(idp)
	c.presets()
	c.Config += `
rules:
  - {name: everybody, issuer: any, when: "'staff' in claims.?groups.orValue([]) || true", grants: {sync: {service_sid: IS0123456789abcdef0123456789abcdef}}}
`
	return c
}

// algorithms has a good and a forged token of every algorithm, and what is
// particular to the two schemes that are not deterministic.
func (c *Catalogue) algorithms() {
	for _, alg := range Algorithms() {
		p := c.provider(strings.ToLower(alg), NewKey(c.t, alg, "k1"), "")
		another := NewKey(c.t, alg, "k2")
		c.add(
			Attack{p, "A14", alg + ", good", p.token(nil), "", taken},
			Attack{p, "A14", alg + ", signed by another key", another.Sign(p.key.Header(), p.claims(nil)), rules.BadSignature, refused},
			Attack{p, "A14", alg + ", signature of another token", p.signature(func(string) []byte { return p.key.Signature("x.y", rsa.PSSSaltLengthEqualsHash) }), rules.BadSignature, refused},
		)
		switch alg {
		case "PS256", "PS512":
			hash := map[string]int{"PS256": 32, "PS512": 64}[alg]
			salted := func(length int) string {
				return p.signature(func(signed string) []byte { return p.key.Signature(signed, length) })
			}
			c.add(
				Attack{p, "A11", alg + ", salt as long as the hash", salted(hash), "", taken},
				Attack{p, "A11", alg + ", salt of 20 bytes", salted(20), rules.BadSignature, taken},
				Attack{p, "A11", alg + ", no salt", salted(0), rules.BadSignature, taken},
				Attack{p, "A11", alg + ", longer salt", salted(hash + 1), rules.BadSignature, taken},
			)
		case "ES256", "ES384", "ES512":
			c.ecdsa(p)
		}
	}
}

// ecdsa has signatures of forms that have been taken for good elsewhere.
func (c *Catalogue) ecdsa(p *Provider) {
	pub := p.key.Public().(*ecdsa.PublicKey)
	n := pub.Curve.Params().N
	size := (pub.Curve.Params().BitSize + 7) / 8
	fixed := func(r, s *big.Int, size int) []byte {
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	// reshape makes another text of a good r and s.
	reshape := func(shape func(r, s *big.Int) []byte) string {
		return p.signature(func(signed string) []byte {
			good := p.key.Signature(signed, 0)
			return shape(new(big.Int).SetBytes(good[:size]), new(big.Int).SetBytes(good[size:]))
		})
	}
	c.add(
		Attack{p, "A12", p.Name + ", zeros", reshape(func(_, _ *big.Int) []byte { return make([]byte, 2*size) }), rules.BadSignature, refused},
		Attack{p, "A12", p.Name + ", the order twice", reshape(func(_, _ *big.Int) []byte { return fixed(n, n, size) }), rules.BadSignature, refused},
		Attack{p, "A12", p.Name + ", r alone", reshape(func(r, _ *big.Int) []byte { return fixed(r, new(big.Int), size) }), rules.BadSignature, refused},
		Attack{p, "A12", p.Name + ", longer than the field", reshape(func(r, s *big.Int) []byte { return fixed(r, s, size+1) }), rules.BadSignature, refused},
		Attack{p, "A12", p.Name + ", a zero before s", reshape(func(r, s *big.Int) []byte {
			return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size+1))...)
		}), rules.BadSignature, refused},
		Attack{p, "A12", p.Name + ", DER", reshape(func(r, s *big.Int) []byte {
			der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			if err != nil {
				panic(err)
			}
			return der
		}), rules.BadSignature, refused},
		// It verifies as well; the replay key must not tell the two apart.
		Attack{p, "A13", p.Name + ", twin", reshape(func(r, s *big.Int) []byte { return fixed(r, new(big.Int).Sub(n, s), size) }), "", taken},
	)
}

// header has what a header may say.
func (c *Catalogue) header(idp, other *Provider) {
	der, err := x509.MarshalPKIXPublicKey(idp.key.Public())
	if err != nil {
		c.t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	certificate, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, other.key.Public(), other.key.private)
	if err != nil {
		c.t.Fatal(err)
	}
	hs256 := func(p *Provider, kid string, secret []byte) string {
		signed := encode([]byte(toJSON(object{"alg": "HS256", "kid": kid}))) + "." + encode([]byte(toJSON(p.claims(nil))))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(signed))
		return signed + "." + encode(mac.Sum(nil))
	}
	unsigned := func(alg string) string {
		return encode([]byte(`{"alg":"`+alg+`"}`)) + "." + encode([]byte(toJSON(idp.claims(nil)))) + "."
	}
	foreign := func(header object) string {
		return other.key.Sign(changed(idp.key.Header(), header), idp.claims(nil))
	}
	secret := []byte("a secret that is as long as SHA-256 wants it")
	shared := c.provider("shared-secret", NewKey(c.t, "RS256", "k1"), "",
		NewKey(c.t, "RS256", "k1").JWK(), object{"kty": "oct", "kid": "s1", "k": encode(secret)})
	shared.Algorithms = []string{"RS256", "HS256"}
	cognito := c.provider("odd-kid", NewKey(c.t, "RS256", "a+b/c="), "")
	c.add(
		Attack{idp, "A1", "none", unsigned("none"), rules.UnsupportedToken, refused},
		Attack{idp, "A1", "nOnE", unsigned("nOnE"), rules.UnsupportedToken, refused},
		Attack{idp, "A1", "none with a good signature", idp.header(object{"alg": "none"}), rules.UnsupportedToken, refused},
		Attack{idp, "A1", "empty signature", unsigned("RS256"), rules.MalformedToken, refused},
		Attack{idp, "A1", "alg missing", idp.header(object{"alg": absent}), rules.MalformedToken, refused},
		Attack{idp, "A1", "alg is a list", idp.header(object{"alg": []string{"RS256"}}), rules.MalformedToken, refused},
		Attack{idp, "A1", "alg in another case", idp.header(object{"alg": "rs256"}), rules.UnsupportedToken, refused},
		Attack{idp, "A1", "alg unknown", idp.header(object{"alg": "RS257"}), rules.UnsupportedToken, refused},

		Attack{idp, "A2", "the public key in PEM as a secret", hs256(idp, "k1", publicPEM), rules.UnsupportedToken, refused},
		Attack{idp, "A2", "the public key in DER as a secret", hs256(idp, "k1", der), rules.UnsupportedToken, refused},
		Attack{idp, "A2", "the public key as JSON as a secret", hs256(idp, "k1", []byte(toJSON(idp.key.JWK()))), rules.UnsupportedToken, refused},
		Attack{shared, "A3", "a published secret", hs256(shared, "s1", secret), rules.UnsupportedToken, taken},
		Attack{shared, "A3", "a published secret beside a key", shared.token(nil), "", taken},

		Attack{idp, "A4", "signed by the key that came along", foreign(object{"jwk": other.key.JWK()}), rules.UnsupportedToken, refused},
		Attack{idp, "A4", "a key came along", idp.header(object{"jwk": other.key.JWK()}), rules.UnsupportedToken, taken},
		Attack{idp, "A5", "jku", idp.header(object{"jku": c.Stranger.URL + "/jwks"}), rules.UnsupportedToken, taken},
		Attack{idp, "A5", "jku, signed by another", foreign(object{"jku": c.Stranger.URL + "/jwks"}), rules.UnsupportedToken, refused},
		Attack{idp, "A5", "x5u", idp.header(object{"x5u": c.Stranger.URL + "/jwks"}), rules.UnsupportedToken, taken},
		Attack{idp, "A5", "x5c", idp.header(object{"x5c": []string{base64.StdEncoding.EncodeToString(certificate)}}), rules.UnsupportedToken, taken},
		Attack{idp, "A5", "x5t names no key", idp.header(object{"x5t": "AAAA"}), "", taken},

		Attack{idp, "A6", "kid is a number", idp.header(object{"kid": 1}), rules.MalformedToken, refused},
		Attack{idp, "A6", "kid is null", idp.header(object{"kid": nil}), rules.MalformedToken, taken},
		Attack{idp, "A6", "kid is empty", idp.header(object{"kid": ""}), rules.MalformedToken, taken},
		Attack{idp, "A6", "kid of 10 KB", idp.header(object{"kid": strings.Repeat("k", 10_000)}), rules.MalformedToken, refused},
		Attack{idp, "A6", "kid of 257", idp.header(object{"kid": strings.Repeat("k", 257)}), rules.MalformedToken, refused},
		Attack{idp, "A6", "kid of 256", idp.header(object{"kid": strings.Repeat("k", 256)}), rules.BadSignature, refused},
		Attack{idp, "A6", "kid with NUL", idp.header(object{"kid": "k1\x00"}), rules.MalformedToken, refused},
		Attack{idp, "A6", "kid not ASCII", idp.header(object{"kid": "k\u00e9"}), rules.MalformedToken, refused},
		Attack{idp, "A6", "kid is a path", idp.header(object{"kid": "../../k1"}), rules.BadSignature, refused},
		Attack{idp, "A6", "kid is SQL", idp.header(object{"kid": "k1' OR '1'='1"}), rules.BadSignature, refused},
		Attack{idp, "A6", "kid is a URL", idp.header(object{"kid": "https://keys.example/jwks.json"}), rules.BadSignature, refused},
		Attack{cognito, "A6", "kid in base64", cognito.token(nil), "", taken},
		Attack{idp, "A7", "kid absent, one key", idp.header(object{"kid": absent}), "", taken},
		Attack{idp, "A14", "unknown kid", idp.header(object{"kid": "k9"}), rules.BadSignature, refused},
		Attack{idp, "A15", "another hash with the same key", NewKey(c.t, "RS512", "k1").Token(idp.claims(nil)), rules.UnsupportedToken, refused},
		Attack{idp, "A15", "another scheme with the same key", NewKey(c.t, "PS256", "k1").Token(idp.claims(nil)), rules.UnsupportedToken, refused},
		Attack{idp, "A15", "an elliptic curve", NewKey(c.t, "ES256", "k1").Token(idp.claims(nil)), rules.UnsupportedToken, refused},

		Attack{idp, "F8", "header too large", idp.header(object{"x": strings.Repeat("x", 2048)}), rules.MalformedToken, taken},
		Attack{idp, "F8", "header too deep", idp.rawHeader(`{"alg":"RS256","kid":"k1","x":[[[[1]]]]}`), rules.MalformedToken, taken},
		Attack{idp, "F8", "header deep", idp.rawHeader(`{"alg":"RS256","kid":"k1","x":[[[1]]]}`), "", taken},
		Attack{idp, "F9", "a million brackets in the header", encode([]byte(`{"alg":"RS256","x":`+strings.Repeat("[", 1_000_000))) + ".e30.AAAA", rules.MalformedToken, refused},
		Attack{idp, "F9", "nine thousand brackets in the header", encode([]byte(`{"alg":"RS256","x":`+strings.Repeat("[", 9_000))) + ".e30.AAAA", rules.MalformedToken, refused},
		Attack{idp, "F10", "alg twice", idp.rawHeader(`{"alg":"none","alg":"RS256","kid":"k1"}`), rules.MalformedToken, refused},
		Attack{idp, "F10", "kid twice, once escaped", idp.rawHeader(`{"alg":"RS256","kid":"k9","\u006bid":"k1"}`), rules.MalformedToken, refused},
		Attack{idp, "F10", "ALG beside alg", idp.rawHeader(`{"alg":"RS256","ALG":"none","kid":"k1"}`), rules.MalformedToken, taken},
		Attack{idp, "F10", "ALG alone", idp.rawHeader(`{"ALG":"RS256","kid":"k1"}`), rules.MalformedToken, refused},
		Attack{idp, "F13", "header is a list", idp.rawHeader(`[]`), rules.MalformedToken, refused},
		Attack{idp, "F13", "header is null", idp.rawHeader(`null`), rules.MalformedToken, refused},
		Attack{idp, "F13", "header with a byte order mark", idp.rawHeader("\ufeff" + `{"alg":"RS256","kid":"k1"}`), rules.MalformedToken, refused},
		Attack{idp, "F13", "something behind the header", idp.rawHeader(`{"alg":"RS256","kid":"k1"}{}`), rules.MalformedToken, refused},
		Attack{idp, "F13", "header not UTF-8", idp.rawHeader("{\"alg\":\"RS256\",\"kid\":\"k1\",\"x\":\"\xff\"}"), rules.MalformedToken, taken},

		Attack{idp, "F14", "crit empty", idp.header(object{"crit": []string{}}), rules.UnsupportedToken, taken},
		Attack{idp, "F14", "crit null", idp.header(object{"crit": nil}), rules.UnsupportedToken, taken},
		Attack{idp, "F14", "crit of something unknown", idp.header(object{"crit": []string{"x"}, "x": 1}), rules.UnsupportedToken, refused},
		Attack{idp, "F14", "crit b64", idp.header(object{"crit": []string{"b64"}, "b64": true}), rules.UnsupportedToken, taken},
		Attack{idp, "F14", "crit b64 without b64", idp.header(object{"crit": []string{"b64"}}), rules.UnsupportedToken, taken},
		Attack{idp, "F14", "b64 true", idp.header(object{"b64": true}), rules.UnsupportedToken, taken},
		Attack{idp, "F14", "b64 false", idp.unencoded(), rules.UnsupportedToken, taken},
		Attack{idp, "F15", "zip", idp.header(object{"zip": "DEF"}), rules.UnsupportedToken, taken},
		Attack{idp, "F15", "enc", idp.header(object{"enc": "A128GCM"}), rules.UnsupportedToken, taken},
		Attack{idp, "F15", "epk", idp.header(object{"epk": NewKey(c.t, "ES256", "k1").JWK()}), rules.UnsupportedToken, taken},
		Attack{idp, "F15", "p2c", idp.header(object{"p2c": 1 << 40}), rules.UnsupportedToken, taken},
		Attack{idp, "F15", "cty", idp.header(object{"cty": "JWT"}), rules.UnsupportedToken, taken},
		Attack{idp, "F16", "typ absent", idp.header(object{"typ": absent}), "", taken},
		Attack{idp, "F16", "typ jwt", idp.header(object{"typ": "jwt"}), "", taken},
		Attack{idp, "F16", "typ application/jwt", idp.header(object{"typ": "Application/JWT"}), "", taken},
		Attack{idp, "F16", "access token", idp.header(object{"typ": "at+jwt"}), rules.UnsupportedToken, taken},
		Attack{idp, "F16", "access token, whole media type", idp.header(object{"typ": "application/at+jwt"}), rules.UnsupportedToken, taken},
		Attack{idp, "F16", "logout token", idp.header(object{"typ": "logout+jwt"}), rules.UnsupportedToken, taken},
		Attack{idp, "F16", "security event", idp.header(object{"typ": "secevent+jwt"}), rules.UnsupportedToken, taken},
		Attack{idp, "F16", "DPoP proof", idp.header(object{"typ": "dpop+jwt"}), rules.UnsupportedToken, taken},
		Attack{idp, "F16", "typ empty", idp.header(object{"typ": ""}), rules.UnsupportedToken, taken},
		Attack{idp, "F16", "typ is a number", idp.header(object{"typ": 1}), rules.MalformedToken, taken},
	)
}

// keys has what a key set may hold, each with a good token of its first key.
func (c *Catalogue) keys() {
	k1, k2, es256 := NewKey(c.t, "RS256", "k1"), NewKey(c.t, "RS256", "k2"), NewKey(c.t, "ES256", "k1")
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		c.t.Fatal(err)
	}
	weak := &Key{ID: "k1", Algorithm: "RS256", private: small}
	private := k1.private.(*rsa.PrivateKey)
	secrets := object{
		"d": encode(private.D.Bytes()), "p": encode(private.Primes[0].Bytes()), "q": encode(private.Primes[1].Bytes()),
		"dp": encode(private.Precomputed.Dp.Bytes()), "dq": encode(private.Precomputed.Dq.Bytes()), "qi": encode(private.Precomputed.Qinv.Bytes()),
	}
	p384 := NewKey(c.t, "ES384", "k1")
	wrongCurve := &Key{ID: "k1", Algorithm: "ES256", private: p384.private}
	with := func(k *Key, changes object) object { return changed(k.JWK(), changes) }
	for i, set := range []struct {
		row, name string
		key       *Key
		kid       any
		jwks      []any
		reason    rules.Reason
		plain     bool
	}{
		{"A7", "kid absent, several keys", k1, absent, []any{k1.JWK(), k2.JWK()}, rules.BadSignature, taken},
		{"A7", "kid absent, several keys, one of the algorithm", k1, absent, []any{k1.JWK(), NewKey(c.t, "ES256", "k3").JWK()}, "", taken},
		{"A8", "one kid for two keys of an algorithm", k1, "k1", []any{k1.JWK(), with(k2, object{"kid": "k1"}), k2.JWK()}, rules.BadSignature, taken},
		{"A8", "one kid for two keys of an algorithm, ours last", k1, "k1", []any{with(k2, object{"kid": "k1"}), k1.JWK(), k2.JWK()}, rules.BadSignature, taken},
		{"A8", "one kid for two keys of two algorithms", k1, "k1", []any{es256.JWK(), k1.JWK()}, "", taken},
		{"A9", "without alg", k1, "k1", []any{with(k1, object{"alg": absent})}, "", taken},
		{"A9", "without use", k1, "k1", []any{with(k1, object{"use": absent})}, "", taken},
		{"A9", "for encryption", k1, "k1", []any{with(k1, object{"use": "enc"}), k2.JWK()}, rules.BadSignature, taken},
		{"A9", "use unknown", k1, "k1", []any{with(k1, object{"use": "tls"}), k2.JWK()}, rules.BadSignature, taken},
		{"A9", "key_ops without verify", k1, "k1", []any{with(k1, object{"key_ops": []string{"encrypt"}}), k2.JWK()}, rules.BadSignature, taken},
		{"A9", "key_ops with verify", k1, "k1", []any{with(k1, object{"key_ops": []string{"verify"}})}, "", taken},
		{"A9", "of another hash", k1, "k1", []any{with(k1, object{"alg": "RS512"}), k2.JWK()}, rules.BadSignature, taken},
		{"A9", "of another scheme", k1, "k1", []any{with(k1, object{"alg": "PS256"}), k2.JWK()}, rules.BadSignature, taken},
		{"A9", "for key agreement", k1, "k1", []any{with(k1, object{"alg": "RSA-OAEP"}), k2.JWK()}, rules.BadSignature, refused},
		{"A10", "RSA of 1024 bits", weak, "k1", []any{weak.JWK(), k2.JWK()}, rules.BadSignature, taken},
		{"A10", "exponent 1", &Key{ID: "k1", Algorithm: "RS256", private: exponent1{k1.private}}, "k1", []any{with(k1, object{"e": "AQ"}), k2.JWK()}, rules.BadSignature, refused},
		{"A10", "exponent even", k1, "k1", []any{with(k1, object{"e": "BA"}), k2.JWK()}, rules.BadSignature, refused},
		{"A10", "another curve than the algorithm's", wrongCurve, "k1", []any{with(p384, object{"alg": absent}), NewKey(c.t, "ES256", "k2").JWK()}, rules.BadSignature, refused},
		{"A10", "off the curve", es256, "k1", []any{with(es256, object{"y": es256.JWK()["x"]}), NewKey(c.t, "ES256", "k2").JWK()}, rules.BadSignature, refused},
		{"A16", "a published private key", k1, "k1", []any{with(k1, secrets), k2.JWK()}, rules.BadSignature, refused},
		{"K6", "rubbish beside the key", k1, "k1", []any{object{}, object{"kty": "RSA"}, nil, "x", 1, object{"kty": "AKP"}, k1.JWK()}, "", refused},
		{"K6", "a curve that is not ours beside the key", k1, "k1", []any{
			object{"kty": "EC", "crv": "secp256k1", "kid": "k9", "x": strings.Repeat("A", 43), "y": strings.Repeat("A", 43)}, k1.JWK()}, "", refused},
		{"K13", "a key for another issuer", k1, "k1", []any{with(k1, object{"issuer": "https://login.example/other"}), k2.JWK()}, rules.BadSignature, taken},
	} {
		p := c.provider(fmt.Sprintf("keys%d", i), set.key, "", set.jwks...)
		c.add(Attack{p, set.row, set.name, p.header(object{"kid": set.kid}), set.reason, set.plain})
	}
}

// exponent1 signs without a private key: raised to the power of 1, the padded
// digest of RFC 8017 §9.2 is its own signature.
type exponent1 struct{ crypto.Signer }

func (e exponent1) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	info := append([]byte("\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"), digest...)
	padding := bytes.Repeat([]byte{0xff}, e.Public().(*rsa.PublicKey).Size()-3-len(info))
	return slices.Concat([]byte{0, 1}, padding, []byte{0}, info), nil
}

// format has what is not a compact JWS, RFC 7515 §7.1, or is one written
// otherwise than it was encoded.
func (c *Catalogue) format(p *Provider) {
	good := p.token(nil)
	parts := strings.Split(good, ".")
	header, payload, signature := parts[0], parts[1], parts[2]
	// With nothing protected, what is signed begins with the dot.
	unprotected := strings.Split(p.key.SignEncoded("."+payload), ".")[2]
	// stray returns a text that decodes to the same bytes: its last character
	// has bits that belong to none.
	stray := func(part string) string {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, part[len(part)-1])
		return part[:len(part)-1] + alphabet[last+1:last+2]
	}
	// loose returns a text that leaves bits to stray.
	loose := func(o object) string {
		for ; ; o["pad"] = fmt.Sprint(o["pad"], "x") {
			if part := encode([]byte(toJSON(o))); len(part)%4 != 0 {
				return part
			}
		}
	}
	looseHeader, looseClaims := loose(changed(p.key.Header(), object{"pad": ""})), loose(p.claims(object{"pad": ""}))
	strayHeader := stray(looseHeader) + strings.TrimPrefix(p.key.SignEncoded(looseHeader+"."+payload), looseHeader)
	strayClaims := strings.Replace(p.key.SignEncoded(header+"."+looseClaims), looseClaims, stray(looseClaims), 1)
	c.add(
		Attack{p, "F1", "flattened JSON", `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`, rules.MalformedToken, taken},
		Attack{p, "F1", "flattened JSON behind a space", ` {"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`, rules.MalformedToken, taken},
		Attack{p, "F1", "general JSON", `{"payload":"` + payload + `","signatures":[{"protected":"` + header + `","signature":"` + signature + `"}]}`, rules.MalformedToken, taken},
		Attack{p, "F1", "nothing protected", `{"payload":"` + payload + `","header":{"alg":"RS256","kid":"k1"},"signature":"` + unprotected + `"}`, rules.MalformedToken, taken},
		Attack{p, "F2", "space before", " " + good, rules.MalformedToken, taken},
		Attack{p, "F2", "newline behind", good + "\n", rules.MalformedToken, taken},
		Attack{p, "F2", "carriage return inside", header + ".\r" + payload + "." + signature, rules.MalformedToken, taken},
		Attack{p, "F2", "newline inside", header + ".\r\n" + payload + "." + signature, rules.MalformedToken, taken},
		Attack{p, "F2", "no-break space", header + "\u00a0." + payload + "." + signature, rules.MalformedToken, taken},
		Attack{p, "F2", "ideographic space", header + "." + payload + ".\u3000" + signature, rules.MalformedToken, taken},
		Attack{p, "F2", "zero-width space", good + "\u200b", rules.MalformedToken, refused},
		Attack{p, "F2", "NUL", good + "\x00", rules.MalformedToken, refused},
		Attack{p, "F2", "quotes", `"` + good + `"`, rules.MalformedToken, refused},
		Attack{p, "F2", "Bearer", "Bearer " + good, rules.MalformedToken, refused},
		Attack{p, "F3", "padding", good + "==", rules.MalformedToken, refused},
		Attack{p, "F3", "plus", header + "." + payload + ".+" + signature[1:], rules.MalformedToken, refused},
		Attack{p, "F3", "slash", header + "." + payload + "./" + signature[1:], rules.MalformedToken, refused},
		Attack{p, "F4", "stray bits in the header", strayHeader, rules.MalformedToken, taken},
		Attack{p, "F4", "stray bits in the payload", strayClaims, rules.MalformedToken, taken},
		Attack{p, "F4", "stray bits in the header, signed so", p.key.SignEncoded(stray(looseHeader) + "." + payload), rules.MalformedToken, refused},
		Attack{p, "F4", "stray bits in the payload, signed so", p.key.SignEncoded(header + "." + stray(looseClaims)), rules.MalformedToken, refused},
		Attack{p, "F4", "stray bits in the signature", header + "." + payload + "." + stray(signature), rules.MalformedToken, taken},
		Attack{p, "F4", "a length that no bytes have", header + "." + payload + "." + signature + "AAA", rules.MalformedToken, refused},
		Attack{p, "F5", "one part", header, rules.MalformedToken, refused},
		Attack{p, "F5", "two parts", header + "." + payload, rules.MalformedToken, refused},
		Attack{p, "F5", "four parts", good + ".AAAA", rules.MalformedToken, refused},
		Attack{p, "F5", "five parts", encode([]byte(`{"alg":"RSA-OAEP","enc":"A128GCM"}`)) + ".AAAA.AAAA.AAAA.AAAA", rules.UnsupportedToken, refused},
		Attack{p, "F5", "no header", "." + payload + "." + signature, rules.MalformedToken, refused},
		Attack{p, "F5", "no payload", header + ".." + signature, rules.MalformedToken, refused},
		Attack{p, "F5", "a signed empty payload", p.rawClaims(""), rules.MalformedToken, refused},
		Attack{p, "F5", "nothing but dots", "..", rules.MalformedToken, refused},
		Attack{p, "F6", "many dots", strings.Repeat(".", 1<<20), rules.MalformedToken, refused},
		Attack{p, "F6", "many dots in 16 KiB", strings.Repeat(".", 16<<10), rules.MalformedToken, refused},
		Attack{p, "F7", "over 16 KiB", p.token(object{"x": strings.Repeat("x", 12_000)}), rules.MalformedToken, taken},
		Attack{p, "F7", "under 16 KiB", p.token(object{"x": strings.Repeat("x", 11_000)}), "", taken},
		Attack{p, "F7", "a megabyte", p.token(object{"x": strings.Repeat("x", 1<<20)}), rules.MalformedToken, taken},
	)
}

// json has claims that readers of JSON read differently.
func (c *Catalogue) json(p *Provider) {
	list := func(n int) string { return `,"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) }
	var members strings.Builder
	for i := range 1100 {
		fmt.Fprintf(&members, `,"m%d":0`, i)
	}
	c.add(
		Attack{p, "F8", "claims too deep", p.with(nil, list(12)), rules.MalformedToken, taken},
		Attack{p, "F8", "claims deep", p.with(nil, list(11)), "", taken},
		Attack{p, "F8", "too many members", p.with(nil, members.String()), rules.MalformedToken, taken},
		Attack{p, "F8", "too many items", p.with(nil, `,"x":[`+strings.Repeat("0,", 1100)+`0]`), rules.MalformedToken, taken},
		Attack{p, "F11", "sub twice", p.with(nil, `,"sub":"admin"`), rules.MalformedToken, taken},
		Attack{p, "F11", "sub twice, once escaped", p.with(nil, `,"\u0073ub":"admin"`), rules.MalformedToken, taken},
		Attack{p, "F11", "twice inside", p.with(nil, `,"x":[{"a":1,"a":2}]`), rules.MalformedToken, taken},
		Attack{p, "F12", "SUB", p.with(nil, `,"SUB":"admin"`), rules.AmbiguousClaim, taken},
		Attack{p, "F12", "sub with a long s", p.with(nil, `,"ſub":"admin"`), rules.AmbiguousClaim, taken},
		Attack{p, "F12", "sub with a long s, escaped", p.with(nil, `,"\u017fub":"admin"`), rules.AmbiguousClaim, taken},
		Attack{p, "F12", "Exp behind an exp that has passed", p.with(object{"exp": 1, "iat": 1}, `,"Exp":`+fmt.Sprint(c.now.Unix()+60)), rules.AmbiguousClaim, taken},
		Attack{p, "F12", "Aud behind another's aud", p.with(object{"aud": "another"}, `,"Aud":"app"`), rules.AmbiguousClaim, taken},
		Attack{p, "F12", "Iss behind another's iss", p.with(object{"iss": c.Stranger.URL}, `,"Iss":"`+p.URL+`"`), rules.AmbiguousClaim, taken},
		Attack{p, "F12", "EMAIL_VERIFIED", p.with(nil, `,"EMAIL_VERIFIED":true`), rules.AmbiguousClaim, taken},
		Attack{p, "F12", "inside another claim", p.with(nil, `,"x":{"SUB":"admin"}`), "", taken},
		Attack{p, "F12", "a custom claim in capitals", p.with(nil, `,"Groups":["x"]`), "", taken},
		Attack{p, "F13", "not UTF-8", p.with(nil, ",\"x\":\"\xff\""), rules.MalformedToken, taken},
		Attack{p, "F13", "UTF-8 longer than needed", p.with(nil, ",\"x\":\"\xc0\xaf\""), rules.MalformedToken, taken},
		Attack{p, "F13", "lone surrogate", p.with(nil, `,"x":"\ud800"`), rules.MalformedToken, taken},
		Attack{p, "F13", "surrogates in the wrong order", p.with(nil, `,"x":"\udc00\ud800"`), rules.MalformedToken, taken},
		Attack{p, "F13", "surrogate pair", p.with(nil, `,"x":"\ud83d\ude00"`), "", taken},
		Attack{p, "F13", "byte order mark", p.rawClaims("\ufeff" + toJSON(p.claims(nil))), rules.MalformedToken, refused},
		Attack{p, "F13", "something behind", p.rawClaims(toJSON(p.claims(nil)) + "x"), rules.MalformedToken, refused},
		Attack{p, "F13", "a second object behind", p.rawClaims(toJSON(p.claims(nil)) + "{}"), rules.MalformedToken, refused},
		Attack{p, "F13", "list", p.rawClaims("[" + toJSON(p.claims(nil)) + "]"), rules.MalformedToken, refused},
		Attack{p, "F13", "null", p.rawClaims("null"), rules.MalformedToken, refused},
		Attack{p, "F13", "text", p.rawClaims(`"x"`), rules.MalformedToken, refused},
		Attack{p, "F13", "cut off", p.rawClaims(strings.TrimSuffix(toJSON(p.claims(nil)), "}")), rules.MalformedToken, refused},
		Attack{p, "F13", "leading zero", p.with(nil, `,"x":01`), rules.MalformedToken, refused},
		Attack{p, "F13", "NaN", p.with(nil, `,"x":NaN`), rules.MalformedToken, refused},
		Attack{p, "F13", "trailing comma", p.with(nil, `,`), rules.MalformedToken, refused},
		Attack{p, "F13", "comment", p.with(nil, `/**/`), rules.MalformedToken, refused},
		Attack{p, "F13", "control character", p.with(nil, ",\"x\":\"a\nb\""), rules.MalformedToken, refused},
	)
}

// claims has who made the token, of whom and for whom, OpenID Connect Core 1.0
// §2 and §3.1.3.7. The policy's own tests have more.
func (c *Catalogue) claims(p, other *Provider) {
	iss := func(v any) string { return p.token(object{"iss": v}) }
	sub := func(v any) string { return p.token(object{"sub": v}) }
	aud := func(v any) string { return p.token(object{"aud": v}) }
	azp := func(azp any, aud ...any) string { return p.token(object{"azp": azp, "aud": aud}) }
	host, port, _ := strings.Cut(strings.TrimPrefix(p.URL, "http://"), ":")
	without := func(claims ...string) object { // as the groups of who is in too many
		names := object{}
		for _, name := range claims {
			names[name] = "src1"
		}
		return object{"_claim_names": names, "_claim_sources": object{"src1": object{"endpoint": c.Stranger.URL}}}
	}
	c.add(
		Attack{p, "C1", "iss missing", iss(absent), rules.UnknownIssuer, refused},
		Attack{p, "C1", "iss null", iss(nil), rules.UnknownIssuer, refused},
		Attack{p, "C1", "iss empty", iss(""), rules.UnknownIssuer, refused},
		Attack{p, "C1", "iss a list", iss([]string{p.URL}), rules.UnknownIssuer, refused},
		Attack{p, "C1", "iss with a slash", iss(p.URL + "/"), rules.UnknownIssuer, refused},
		Attack{p, "C1", "iss in capitals", iss("HTTP" + strings.TrimPrefix(p.URL, "http")), rules.UnknownIssuer, refused},
		Attack{p, "C1", "iss without the port", iss("http://" + host), rules.UnknownIssuer, refused},
		Attack{p, "C1", "iss with another name of the host", iss("http://localhost:" + port), rules.UnknownIssuer, refused},
		Attack{p, "C1", "iss with a space", iss(p.URL + " "), rules.UnknownIssuer, refused},
		Attack{p, "C2", "iss elsewhere", iss(c.Stranger.URL), rules.UnknownIssuer, refused},
		Attack{p, "C2", "iss of a cloud's metadata", iss("http://169.254.169.254/"), rules.UnknownIssuer, refused},
		Attack{p, "C3", "another provider's key", other.key.Token(p.claims(nil)), rules.BadSignature, refused},
		Attack{other, "C3", "of another provider", p.key.Token(other.claims(nil)), rules.BadSignature, refused},

		Attack{p, "C4", "sub missing", sub(absent), rules.MalformedToken, taken},
		Attack{p, "C4", "sub null", sub(nil), rules.MalformedToken, taken},
		Attack{p, "C4", "sub empty", sub(""), rules.MalformedToken, taken},
		Attack{p, "C4", "sub a number", sub(1), rules.MalformedToken, refused},
		Attack{p, "C4", "sub a list", sub([]string{"a"}), rules.MalformedToken, refused},
		Attack{p, "C4", "sub as long as an identity can hold", sub(strings.Repeat("s", 251)), "", taken},
		Attack{p, "C4", "sub of 256", sub(strings.Repeat("s", 256)), rules.MalformedToken, taken},
		Attack{p, "C4", "sub with NUL", sub("a\x00b"), rules.MalformedToken, taken},
		Attack{p, "C4", "sub with a newline", sub("a\nb"), rules.MalformedToken, taken},
		Attack{p, "C4", "sub not ASCII", sub("caf\u00e9"), rules.MalformedToken, taken},

		Attack{p, "C5", "aud missing", aud(absent), rules.MalformedToken, refused},
		Attack{p, "C5", "aud null", aud(nil), rules.MalformedToken, refused},
		Attack{p, "C5", "aud empty", aud(""), rules.MalformedToken, refused},
		Attack{p, "C5", "aud an empty list", aud([]any{}), rules.MalformedToken, refused},
		Attack{p, "C5", "aud an object", aud(object{"app": true}), rules.MalformedToken, refused},
		Attack{p, "C5", "aud with a number", aud([]any{"app", 1}), rules.MalformedToken, refused},
		Attack{p, "C5", "aud with null", aud([]any{nil, "app"}), rules.MalformedToken, taken},
		Attack{p, "C5", "aud with nothing", aud([]any{"", "app"}), rules.MalformedToken, taken},
		Attack{p, "C5", "aud another's", aud("another"), rules.WrongAudience, refused},
		Attack{p, "C5", "aud in capitals", aud("APP"), rules.WrongAudience, refused},
		Attack{p, "C5", "aud begins with ours", aud("app2"), rules.WrongAudience, refused},
		Attack{p, "C5", "aud a list of one", aud([]any{"app"}), "", taken},
		Attack{p, "C6", "aud with another's", aud([]any{"app", "another"}), rules.WrongAudience, taken},
		Attack{p, "C6", "aud with another's, by a party of ours", azp("android", "app", "another"), "", taken},
		Attack{p, "C7", "two trusted audiences without azp", aud([]any{"app", "api"}), rules.WrongAZP, taken},
		Attack{p, "C7", "two trusted audiences, by a party of ours", azp("app", "app", "api"), "", taken},
		Attack{p, "C8", "azp another's", azp("another", "app"), rules.WrongAZP, taken},
		Attack{p, "C8", "azp a number", azp(1, "app"), rules.MalformedToken, taken},
		Attack{p, "C8", "azp empty", azp("", "app"), rules.WrongAZP, taken},
		Attack{p, "C8", "azp another of ours", azp("android", "app"), "", taken},

		Attack{p, "C14", "logout token", p.token(object{"events": object{"http://schemas.openid.net/event/backchannel-logout": object{}}}), rules.UnsupportedToken, taken},
		Attack{p, "C14", "events null", p.token(object{"events": nil}), rules.UnsupportedToken, taken},
		Attack{p, "C14", "typ Bearer", p.token(object{"typ": "Bearer"}), rules.UnsupportedToken, taken},
		Attack{p, "C14", "typ Refresh", p.token(object{"typ": "Refresh"}), rules.UnsupportedToken, taken},
		Attack{p, "C14", "typ Logout", p.token(object{"typ": "Logout"}), rules.UnsupportedToken, taken},
		Attack{p, "C14", "typ ID", p.token(object{"typ": "ID"}), "", taken},
		Attack{p, "C14", "token_use access", p.token(object{"token_use": "access"}), rules.UnsupportedToken, taken},
		Attack{p, "C14", "token_use id", p.token(object{"token_use": "id"}), "", taken},
		Attack{p, "C15", "groups left out", p.token(without("groups")), rules.ClaimsUnavailable, taken},
		Attack{p, "C15", "what nobody reads left out", p.token(without("photo")), "", taken},
		Attack{p, "C15", "_claim_names is a list", p.token(object{"_claim_names": []string{"groups"}}), rules.MalformedToken, refused},
	)
}

// times has exp, nbf and iat. The issuer has a skew of a minute, tokens may be
// 12 hours old and be issued for a day.
func (c *Catalogue) times(p *Provider) {
	now := c.now.Unix()
	one := func(claim string, v any) string { return p.token(object{claim: v}) }
	literal := func(claim, text string) string { return p.with(object{claim: absent}, `,"`+claim+`":`+text) }
	c.add(
		Attack{p, "C9", "exp missing", one("exp", absent), rules.MalformedToken, refused},
		Attack{p, "C9", "exp null", one("exp", nil), rules.MalformedToken, refused},
		Attack{p, "C9", "exp text", one("exp", fmt.Sprint(now+3600)), rules.MalformedToken, taken},
		Attack{p, "C9", "exp true", one("exp", true), rules.MalformedToken, refused},
		Attack{p, "C9", "exp an object", one("exp", object{}), rules.MalformedToken, refused},
		Attack{p, "C9", "exp 0", one("exp", 0), rules.MalformedToken, refused},
		Attack{p, "C9", "exp -1", one("exp", -1), rules.MalformedToken, refused},
		Attack{p, "C9", "exp with a fraction", literal("exp", fmt.Sprint(now+3600)+".5"), rules.MalformedToken, taken},
		Attack{p, "C9", "exp with an exponent", literal("exp", fmt.Sprint(now+3600)+"e0"), "", taken},
		Attack{p, "C9", "exp 1e300", literal("exp", "1e300"), rules.MalformedToken, refused},
		Attack{p, "C9", "exp 1e400", literal("exp", "1e400"), rules.MalformedToken, refused},
		Attack{p, "C9", "exp 2^63-1", literal("exp", "9223372036854775807"), rules.MalformedToken, refused},
		Attack{p, "C9", "exp 2^64", literal("exp", "18446744073709551616"), rules.MalformedToken, refused},
		Attack{p, "C9", "exp in the year 10000", literal("exp", "253402300800"), rules.MalformedToken, taken},
		Attack{p, "C10", "expired", p.token(object{"exp": now - 3600, "iat": now - 7200}), rules.TokenExpired, refused},
		Attack{p, "C10", "expired by the skew", one("exp", now-60), rules.TokenExpired, refused},
		Attack{p, "C10", "expired within the skew", one("exp", now-59), "", refused},
		Attack{p, "C11", "nbf overflows", literal("nbf", "9.3e18"), rules.MalformedToken, taken},
		Attack{p, "C11", "nbf 1e300", literal("nbf", "1e300"), rules.MalformedToken, taken},
		Attack{p, "C11", "nbf text", one("nbf", "0"), rules.MalformedToken, taken},
		Attack{p, "C11", "nbf in an hour", one("nbf", now+3600), rules.TokenNotYetValid, refused},
		Attack{p, "C11", "nbf beyond the skew", one("nbf", now+61), rules.TokenNotYetValid, taken},
		Attack{p, "C11", "nbf within the skew", one("nbf", now+60), "", taken},
		Attack{p, "C12", "iat missing", one("iat", absent), rules.MalformedToken, taken},
		Attack{p, "C12", "iat text", one("iat", "0"), rules.MalformedToken, taken},
		Attack{p, "C12", "iat beyond the skew", one("iat", now+61), rules.TokenNotYetValid, taken},
		Attack{p, "C12", "iat within the skew", one("iat", now+60), "", taken},
		Attack{p, "C12", "iat after exp", p.token(object{"iat": now + 30, "exp": now + 10}), rules.MalformedToken, taken},
		Attack{p, "C12", "as old as may be", one("iat", now-12*3600), "", taken},
		Attack{p, "C12", "older", one("iat", now-12*3600-1), rules.TokenTooOld, taken},
		Attack{p, "C13", "for a day", p.token(object{"iat": now, "exp": now + 24*3600}), "", taken},
		Attack{p, "C13", "for longer", p.token(object{"iat": now, "exp": now + 24*3600 + 1}), rules.TokenTooOld, taken},
	)
}

// presets has what known providers' keys sign beside the ID tokens of persons,
// and such a token of each for comparison.
func (c *Catalogue) presets() {
	key := func(id string) *Key { return NewKey(c.t, "RS256", id) }
	const tenant, unlisted = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"

	google := c.provider("google", key("k1"), "\n    provider: google\n    audiences: [app]\n    allowed_azp: [app, android]")
	cognito := c.provider("cognito", key("k1="), "\n    provider: cognito")
	firebase := c.provider("firebase", key("k1"), "\n    provider: firebase")
	keycloak := c.provider("keycloak", key("k1"), "\n    provider: keycloak", key("k1").JWK(), changed(key("k2").JWK(), object{"use": "enc", "alg": "RSA-OAEP"}))
	gitlab := c.provider("gitlab", key("k1"), "\n    provider: gitlab")
	supabase := c.provider("supabase", NewKey(c.t, "ES256", "k1"), "\n    provider: supabase\n    audiences: [authenticated]")
	supabase.Audience = "authenticated"
	entraLines := `
    provider: entra
    issuer: URL/{tenantid}/v2.0
    tenants: [` + tenant + `]
    jwks_uri: URL/jwks
    identity: NAME__${escape(claims.tid)}__${escape(claims.oid)}`
	entraKey := func(p *Provider, issuer string) {
		p.PublishJWKs(changed(p.key.JWK(), object{"issuer": issuer}), key("k2").JWK())
		p.Issuer = p.URL + "/" + tenant + "/v2.0"
	}
	entra := c.provider("entra", key("k1"), entraLines)
	entraKey(entra, entra.URL+"/{tenantid}/v2.0")
	consumers := c.provider("entra-consumers", key("k1"), entraLines)
	entraKey(consumers, consumers.URL+"/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0")

	person := object{"tid": tenant, "oid": "33333333-3333-3333-3333-333333333333"}
	overage := object{"_claim_names": object{"groups": "src1"}, "_claim_sources": object{"src1": object{"endpoint": c.Stranger.URL}}}
	c.add(
		Attack{google, "P", "Google, web", google.token(object{"azp": "app", "email_verified": true, "hd": "mail.example"}), "", taken},
		Attack{google, "P", "Google, Android", google.token(object{"azp": "android"}), "", taken},
		Attack{google, "P", "Google, a service account's for our audience", google.token(object{"azp": "113774264463038321964", "email_verified": true}), rules.WrongAZP, taken},
		Attack{google, "P", "Google, without azp", google.token(nil), rules.UnsupportedToken, taken},
		Attack{cognito, "P", "Cognito, ID token", cognito.token(object{"token_use": "id", "cognito:groups": []string{"a"}}), "", taken},
		Attack{cognito, "P", "Cognito, access token", cognito.token(object{"token_use": "access", "aud": absent, "client_id": "app"}), rules.UnsupportedToken, refused},
		Attack{cognito, "P", "Cognito, access token with an audience", cognito.token(object{"token_use": "access"}), rules.UnsupportedToken, taken},
		Attack{cognito, "P", "Cognito, without token_use", cognito.token(nil), rules.UnsupportedToken, taken},
		Attack{firebase, "P", "Firebase", firebase.token(object{"firebase": object{"sign_in_provider": "password"}}), "", taken},
		Attack{firebase, "P", "Firebase, anonymous", firebase.token(object{"firebase": object{"sign_in_provider": "anonymous"}}), rules.RequirementFailed, taken},
		Attack{keycloak, "P", "Keycloak, ID token", keycloak.token(object{"typ": "ID", "azp": "app"}), "", taken},
		Attack{keycloak, "P", "Keycloak, access token", keycloak.token(object{"typ": "Bearer", "azp": "app"}), rules.UnsupportedToken, taken},
		Attack{keycloak, "P", "Keycloak, refresh token", keycloak.token(object{"typ": "Refresh"}), rules.UnsupportedToken, taken},
		Attack{keycloak, "P", "Keycloak, logout token", keycloak.token(object{"typ": "Logout"}), rules.UnsupportedToken, taken},
		Attack{keycloak, "P", "Keycloak, without typ", keycloak.token(nil), rules.UnsupportedToken, taken},
		Attack{gitlab, "P", "GitLab, login", gitlab.token(object{"groups_direct": []string{"a"}}), "", taken},
		Attack{gitlab, "P", "GitLab, CI job", gitlab.token(object{"project_path": "a/b", "job_id": "1", "ref": "main"}), rules.UnsupportedToken, taken},
		Attack{supabase, "P", "Supabase, access token", supabase.token(object{"role": "authenticated"}), "", taken},
		Attack{supabase, "P", "Supabase, anonymous", supabase.token(object{"role": "authenticated", "is_anonymous": true}), rules.RequirementFailed, taken},
		Attack{supabase, "P", "Supabase, key of the project", supabase.token(object{"aud": absent, "sub": absent, "role": "anon"}), rules.MalformedToken, refused},
		Attack{entra, "P", "Entra", entra.token(person), "", taken},
		Attack{entra, "P", "Entra, as many groups as it lists", entra.token(changed(person, object{"groups": slices.Repeat([]string{tenant}, 200)})), "", taken},
		Attack{entra, "P", "Entra, without oid", entra.token(object{"tid": tenant}), rules.RequirementFailed, taken},
		Attack{entra, "C1", "Entra, tenant not listed", entra.token(changed(person, object{"tid": unlisted, "iss": entra.URL + "/" + unlisted + "/v2.0"})), rules.UnknownIssuer, refused},
		Attack{entra, "C1", "Entra, the template itself", entra.token(changed(person, object{"iss": entra.URL + "/{tenantid}/v2.0"})), rules.UnknownIssuer, refused},
		Attack{entra, "C15", "Entra, too many groups", entra.token(changed(person, overage)), rules.ClaimsUnavailable, taken},
		Attack{consumers, "K13", "Entra, a key of another tenant", consumers.token(person), rules.BadSignature, taken},
	)
}
