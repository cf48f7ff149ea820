package idtoken

import (
	"encoding/base64"
	"slices"
	"strings"

	"twilio-sts/config/rules"
)

// Limits of a token. Providers' tokens have 1 to 4 KiB; what is larger costs
// work before anything about it is known.
const (
	maxToken  = 16 << 10 // bytes
	maxHeader = 2 << 10  // bytes, decoded
	maxKeyID  = 256      // bytes
)

var (
	headerLimit = jsonLimit{depth: 4, work: openCost + 64*memberCost}
	claimsLimit = jsonLimit{depth: 12, work: openCost + 256*memberCost} // or about 500 items
)

// A parsed token is one whose form is right and whose content nobody vouches
// for yet.
type parsed struct {
	raw       string
	header    map[string]any
	alg, kid  string
	payload   []byte // decoded
	claims    rules.Claims
	signed    string // header.payload
	signature []byte
}

// canonical is base64url without padding and without stray bits, RFC 7515 §2:
// two texts that decode to the same bytes would be two names for one token.
var canonical = base64.RawURLEncoding.Strict()

// parse reads a compact JWS, RFC 7515 §7.1, strictly, and refuses what no ID
// token has; typ may be JWT or be left out, or be one of types. The error is a
// *rules.Refusal.
func parse(raw string, types ...string) (*parsed, error) {
	p, err := split(raw)
	if err != nil {
		return nil, err
	}
	if err := p.checkHeader(types); err != nil {
		return nil, err
	}
	if len(p.signature) == 0 {
		return nil, rules.Refuse(rules.MalformedToken, "the signature is empty")
	}
	for name := range p.claims {
		if rules.FoldsToRegistered(name) {
			return nil, rules.Refuse(rules.AmbiguousClaim, "a claim's name is a registered one in another case")
		}
	}
	return p, nil
}

// split decodes a token's parts and reads its JSON.
func split(raw string) (*parsed, error) {
	malformed := func(why string) error { return rules.Refuse(rules.MalformedToken, "%s", why) }
	if len(raw) > maxToken {
		return nil, malformed("it is larger than 16 KiB")
	}
	// Of everything else that libraries read as a JWS, JSON serialization and
	// white space for two, nothing gets past the alphabet. Decoding checks it
	// too, but for line ends, which encoding/base64 skips.
	switch dots := strings.Count(raw, "."); {
	case strings.IndexByte(raw, '\r') >= 0, strings.IndexByte(raw, '\n') >= 0, dots != 2 && strings.ContainsFunc(raw, isForeign):
		return nil, malformed("it has characters that no token has")
	case dots == 4:
		return nil, rules.Refuse(rules.UnsupportedToken, "it is encrypted")
	case dots != 2:
		return nil, malformed("it has not three parts")
	}
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	p := &parsed{raw: raw, signed: raw[:len(raw)-len(signature)-1]}
	decoded, err := canonical.DecodeString(header)
	if err != nil || len(decoded) > maxHeader {
		return nil, malformed("the header is not canonical base64url, or too large")
	}
	if p.header, err = parseObject(decoded, headerLimit); err != nil {
		return nil, malformed("the header is not a strict JSON object")
	}
	if p.payload, err = canonical.DecodeString(payload); err != nil {
		return nil, malformed("the payload is not canonical base64url")
	}
	if p.claims, err = parseObject(p.payload, claimsLimit); err != nil {
		return nil, malformed("the payload is not a strict JSON object")
	}
	if p.signature, err = canonical.DecodeString(signature); err != nil {
		return nil, malformed("the signature is not canonical base64url")
	}
	return p, nil
}

// isForeign reports whether no token has c.
func isForeign(c rune) bool {
	return !('A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.')
}

// Header members that change what the rest means, or that bring keys along
// (RFC 7515 §4.1, RFC 7516 §4.1, RFC 7518 §4, RFC 7797 §3). We understand none
// of them, whatever they say: crit must be understood or refused, and a key
// that comes with the token proves nothing.
var forbiddenHeader = []string{"crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc", "epk", "apu", "apv", "iv", "tag", "p2s", "p2c", "cty"}

// checkHeader checks the JOSE header and reads alg and kid.
func (p *parsed) checkHeader(types []string) error {
	unsupported := func(why string) error { return rules.Refuse(rules.UnsupportedToken, "%s", why) }
	for name := range p.header {
		if folded := strings.ToLower(name); folded != name && isHeaderName(folded) {
			return rules.Refuse(rules.MalformedToken, "a header member's name is a registered one in another case")
		}
		if slices.Contains(forbiddenHeader, name) {
			return unsupported("its header has a member that ID tokens do not have")
		}
	}
	alg, ok := p.header["alg"].(string)
	if !ok {
		return rules.Refuse(rules.MalformedToken, "alg is missing or not a string")
	}
	if !isAsymmetric(alg) {
		return unsupported("its alg is not one for public keys")
	}
	p.alg = alg
	if kid, present := p.header["kid"]; present {
		p.kid, ok = kid.(string)
		if !ok || !isKeyID(p.kid) {
			return rules.Refuse(rules.MalformedToken, "kid is not a string of 1 to 256 printable characters")
		}
	}
	if typ, present := p.header["typ"]; present {
		typ, ok := typ.(string)
		if !ok {
			return rules.Refuse(rules.MalformedToken, "typ is not a string")
		}
		// RFC 7515 §4.1.9 lets application/ be left out.
		typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
		if typ != "jwt" && !slices.Contains(types, typ) {
			return unsupported("its typ says that it is another kind of token")
		}
	}
	return nil
}

func isHeaderName(name string) bool {
	return name == "alg" || name == "kid" || name == "typ" || slices.Contains(forbiddenHeader, name)
}

func isAsymmetric(alg string) bool {
	switch alg {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA":
		return true
	}
	return false
}

func isKeyID(kid string) bool {
	for i := range len(kid) {
		if kid[i] < 0x20 || kid[i] > 0x7e {
			return false
		}
	}
	return kid != "" && len(kid) <= maxKeyID
}

// Inspect reads a compact JWT as strictly as Verify and verifies nothing. The
// error is a *rules.Refusal.
func Inspect(raw string) (header map[string]any, claims rules.Claims, err error) {
	p, err := split(raw)
	if err != nil {
		return nil, nil, err
	}
	return p.header, p.claims, nil
}

// ParseClaims reads a JSON object of claims as strictly as a token's payload.
// The error is a *rules.Refusal.
func ParseClaims(payload []byte) (rules.Claims, error) {
	claims, err := parseObject(payload, claimsLimit)
	if err != nil {
		return nil, rules.Refuse(rules.MalformedToken, "the claims are not a strict JSON object")
	}
	for name := range claims {
		if rules.FoldsToRegistered(name) {
			return nil, rules.Refuse(rules.AmbiguousClaim, "a claim's name is a registered one in another case")
		}
	}
	return claims, nil
}
