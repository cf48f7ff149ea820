package rules

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Policy is what an issuer's tokens must satisfy beyond their signature
// (OpenID Connect Core 1.0 §3.1.3.7, RFC 8725).
type Policy struct {
	// IssuerIDs are the values of iss that belong to this issuer, byte for
	// byte; the first is the one test cases get.
	IssuerIDs        []string
	Aliases          []string // those of IssuerIDs that are other spellings of the first
	Audiences        []string // never empty
	TrustedAudiences []string // further audiences a token may name
	AllowedAZP       []string // never empty
	ClockSkew        time.Duration
	MaxTokenAge      time.Duration // of now − iat; 0: unlimited
	MaxLifetime      time.Duration // of exp − iat
	TenantClaim      string        // holds what iss has as a part of its path; "" for none
	Required         []ClaimRule   // by the provider's preset
	Forbidden        []ClaimRule
	StandIns         []StandIn // by the provider's preset
	// AccessToken says that the provider's access token stands for an ID
	// token, which it does not issue.
	AccessToken bool
}

// IssuerID returns the issuer as it is configured, its tenant filled in, for
// one of IssuerIDs: whoever a provider's token is about has one name, however
// it spells iss.
func (p *Policy) IssuerID(iss string) string {
	if slices.Contains(p.Aliases, iss) {
		return p.IssuerIDs[0]
	}
	return iss
}

// A StandIn is a claim that, where it is not false, stands in the place of
// another which the provider left out.
type StandIn struct{ Claim, For string }

// A ClaimRule names a claim by path and, where Values is not empty, the values
// it speaks of: a required claim must be there with one of them, a forbidden
// one must not be there with any of them.
type ClaimRule struct {
	Path   []string // firebase, sign_in_provider
	Values []string
	// Unsupported says that a token which breaks the rule is another kind of
	// token (unsupported_token), and not a person's who is refused.
	Unsupported bool
}

// CheckClaims applies the named issuer's policy to claims, whose signature is
// checked elsewhere, and returns the client: azp, else the audience that
// matched. The error is a *Refusal.
func (s *Set) CheckClaims(issuer string, claims Claims, now time.Time) (client string, err error) {
	is := s.issuers[issuer]
	if is == nil {
		return "", Refuse(UnknownIssuer, "no issuer has this name")
	}
	p := &is.policy
	if iss, _ := claims["iss"].(string); !slices.Contains(p.IssuerIDs, iss) {
		return "", Refuse(UnknownIssuer, "iss is not one of this issuer's")
	}
	if err := checkSubject(claims["sub"]); err != nil {
		return "", err
	}
	times, err := readTimes(claims)
	if err != nil {
		return "", err
	}
	if err := p.checkKind(claims); err != nil {
		return "", err
	}
	if client, err = p.checkAudience(claims); err != nil {
		return "", err
	}
	if err := p.checkTimes(times, now); err != nil {
		return "", err
	}
	if err := is.checkLeftOut(claims); err != nil {
		return "", err
	}
	if err := p.checkRules(claims); err != nil {
		return "", err
	}
	return client, p.checkTenant(claims)
}

// checkSubject demands sub as OpenID Connect Core 1.0 §2 has it: at most 255
// ASCII characters, here without control characters.
func checkSubject(claim any) error {
	sub, ok := claim.(string)
	if !ok || sub == "" || len(sub) > 255 {
		return Refuse(MalformedToken, "sub is not a string of 1 to 255 characters")
	}
	for i := range len(sub) {
		if sub[i] < 0x20 || sub[i] > 0x7e {
			return Refuse(MalformedToken, "sub has characters that are not printable ASCII")
		}
	}
	return nil
}

type tokenTimes struct{ exp, iat, nbf time.Time }

func readTimes(claims Claims) (t tokenTimes, err error) {
	var ok bool
	if t.exp, ok = timeOf(claims["exp"]); !ok {
		return t, Refuse(MalformedToken, "exp is missing or not a time")
	}
	if t.iat, ok = timeOf(claims["iat"]); !ok {
		return t, Refuse(MalformedToken, "iat is missing or not a time")
	}
	if nbf := claims["nbf"]; nbf != nil {
		if t.nbf, ok = timeOf(nbf); !ok {
			return t, Refuse(MalformedToken, "nbf is not a time")
		}
	}
	if t.iat.After(t.exp) {
		return t, Refuse(MalformedToken, "iat is after exp")
	}
	return t, nil
}

// checkKind refuses other tokens that the same keys sign: logout and security
// event tokens (Back-Channel Logout 1.0 §2.4), and access and refresh tokens
// of providers that tell by a claim.
func (p *Policy) checkKind(claims Claims) error {
	if _, ok := claims["events"]; ok {
		return Refuse(UnsupportedToken, "events makes it a logout or security event token")
	}
	if p.AccessToken {
		return nil
	}
	if typ, _ := claims["typ"].(string); typ != "" {
		for _, other := range []string{"Bearer", "Refresh", "Offline", "Logout", "DPoP"} {
			if strings.EqualFold(typ, other) {
				return Refuse(UnsupportedToken, "its claim typ says that it is no ID token")
			}
		}
	}
	if use, ok := claims["token_use"]; ok && use != "id" {
		return Refuse(UnsupportedToken, "its claim token_use says that it is no ID token")
	}
	return nil
}

// checkAudience checks aud and azp, OpenID Connect Core 1.0 §3.1.3.7 (3) to
// (5): a token for several audiences needs an authorized party, and without an
// allowed one every audience must be trusted.
func (p *Policy) checkAudience(claims Claims) (client string, err error) {
	audiences, ok := audienceOf(claims["aud"])
	if !ok {
		return "", Refuse(MalformedToken, "aud is not a string or a list of strings")
	}
	i := slices.IndexFunc(audiences, func(aud string) bool { return slices.Contains(p.Audiences, aud) })
	if i < 0 {
		return "", Refuse(WrongAudience, "aud names none of this issuer's audiences")
	}
	azp, present := claims["azp"]
	if present && azp != nil {
		party, ok := azp.(string)
		switch {
		case !ok:
			return "", Refuse(MalformedToken, "azp is not a string")
		case !slices.Contains(p.AllowedAZP, party):
			return "", Refuse(WrongAZP, "azp is not one of allowed_azp")
		}
		return party, nil
	}
	for _, aud := range audiences {
		if !slices.Contains(p.Audiences, aud) && !slices.Contains(p.TrustedAudiences, aud) {
			return "", Refuse(WrongAudience, "aud names an audience that is not trusted")
		}
	}
	if len(audiences) > 1 {
		return "", Refuse(WrongAZP, "a token for several audiences has no azp")
	}
	return audiences[i], nil
}

func audienceOf(claim any) ([]string, bool) {
	switch aud := claim.(type) {
	case string:
		return []string{aud}, aud != ""
	case []any:
		out := make([]string, len(aud))
		for i, item := range aud {
			s, ok := item.(string)
			if !ok || s == "" {
				return nil, false
			}
			out[i] = s
		}
		return out, len(out) > 0
	}
	return nil, false
}

func (p *Policy) checkTimes(t tokenTimes, now time.Time) error {
	switch {
	case !now.Before(t.exp.Add(p.ClockSkew)): // RFC 7519 §4.1.4: on or after
		return Refuse(TokenExpired, "exp has passed")
	case t.nbf.After(now.Add(p.ClockSkew)):
		return Refuse(TokenNotYetValid, "nbf is in the future")
	case t.iat.After(now.Add(p.ClockSkew)):
		return Refuse(TokenNotYetValid, "iat is in the future")
	case p.MaxTokenAge > 0 && now.Sub(t.iat) > p.MaxTokenAge:
		return Refuse(TokenTooOld, "it was issued longer ago than max_token_age")
	case p.MaxLifetime > 0 && t.exp.Sub(t.iat) > p.MaxLifetime:
		return Refuse(TokenTooOld, "it was issued for longer than max_lifetime")
	}
	return nil
}

// checkLeftOut refuses a token from which a claim was left out that decides
// something here, by _claim_names (OpenID Connect Core 1.0 §5.6.2) or by a claim
// that stands for it: Entra does so with the groups of who is in many, and no
// groups would be the wrong answer.
func (is *issuer) checkLeftOut(claims Claims) error {
	var out []string
	if claim := claims["_claim_names"]; claim != nil {
		names, ok := claim.(map[string]any)
		if !ok {
			return Refuse(MalformedToken, "_claim_names is not an object")
		}
		out = slices.Sorted(maps.Keys(names))
	}
	for _, s := range is.policy.StandIns {
		if mark := claims[s.Claim]; mark != nil && mark != false && mark != "false" && claims[s.For] == nil {
			out = append(out, s.For)
		}
	}
	if len(out) > 0 && is.readsAll || slices.ContainsFunc(out, func(name string) bool { return is.reads[name] }) {
		return Refuse(ClaimsUnavailable, "the provider left out a claim that is read here")
	}
	return nil
}

func (p *Policy) checkRules(claims Claims) error {
	for _, r := range p.Required {
		if !r.applies(claims) {
			return r.refuse("lacks what a token of this provider must have: " + strings.Join(r.Path, "."))
		}
	}
	for _, r := range p.Forbidden {
		if r.applies(claims) {
			return r.refuse("has what a token of this provider must not have: " + strings.Join(r.Path, "."))
		}
	}
	return nil
}

// checkTenant refuses a token that names another tenant than its issuer's.
func (p *Policy) checkTenant(claims Claims) error {
	if p.TenantClaim == "" {
		return nil
	}
	iss, _ := claims["iss"].(string)
	tenant, _ := claims[p.TenantClaim].(string)
	if tenant == "" || !slices.Contains(strings.Split(iss, "/"), tenant) {
		return Refuse(RequirementFailed, "%s is not the tenant of iss", p.TenantClaim)
	}
	return nil
}

func (r *ClaimRule) refuse(why string) error {
	if r.Unsupported {
		return Refuse(UnsupportedToken, "it %s", why)
	}
	return Refuse(RequirementFailed, "it %s", why)
}

// applies reports whether the claim is there, with one of the values if there
// are any.
func (r *ClaimRule) applies(claims Claims) bool {
	var claim any = map[string]any(claims)
	for _, name := range r.Path {
		object, _ := claim.(map[string]any)
		claim = object[name]
	}
	if claim == nil {
		return false
	}
	if len(r.Values) == 0 {
		return true
	}
	switch claim := claim.(type) {
	case string:
		return slices.Contains(r.Values, claim)
	case bool:
		return slices.Contains(r.Values, strconv.FormatBool(claim))
	}
	return false
}

// Complete returns claims with what a test case may leave out: iss, aud, iat
// and exp, for a token issued at the given time for an hour.
func (p *Policy) Complete(claims Claims, at time.Time) Claims {
	complete := Claims{
		"iss": p.IssuerIDs[0],
		"aud": p.Audiences[0],
		"iat": at.Unix(),
		"exp": at.Add(time.Hour).Unix(),
	}
	maps.Copy(complete, claims)
	return complete
}

// FoldsToRegistered reports whether name is a registered claim's in another
// case, such as SUB or ſub. Readers that fold case, as encoding/json does, take
// it for that claim.
func FoldsToRegistered(name string) bool {
	if isLower(name) {
		return false // folds to itself alone
	}
	switch len(name) {
	case 0, 1, 2:
		return false
	}
	for _, registered := range [...]string{
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "azp", "nonce", "acr", "amr", "auth_time", "at_hash", "c_hash",
		"sid", "events", "typ", "token_use", "email", "email_verified", "_claim_names", "_claim_sources",
	} {
		if name != registered && strings.EqualFold(name, registered) {
			return true
		}
	}
	return false
}

// isLower reports whether no letter of s can fold to another of the registered
// names' letters.
func isLower(s string) bool {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' || c >= 0x80 {
			return false
		}
	}
	return true
}

// checkAmbiguous refuses claims of which one folds to a registered one.
func checkAmbiguous(claims Claims) error {
	for name := range claims {
		if FoldsToRegistered(name) {
			return Refuse(AmbiguousClaim, "a claim's name is a registered one in another case")
		}
	}
	return nil
}
