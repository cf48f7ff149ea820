package rules

import (
	"slices"
	"time"
)

// logoutEvent is the member of events that makes a token a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// A Logout is what a logout token says: a provider's notice that a session of
// its own has ended. Of Subject and SessionID one may be "".
type Logout struct {
	Subject   string
	SessionID string
	ID        string // jti
	IssuedAt  time.Time
	Expires   time.Time
}

// CheckLogout applies the named issuer's policy to the claims of a logout
// token, OpenID Connect Back-Channel Logout 1.0 §2.4 and §2.6, whose signature
// is checked elsewhere. What a policy wants of persons it does not want here.
// The error is a *Refusal.
func (s *Set) CheckLogout(issuer string, claims Claims, now time.Time) (*Logout, error) {
	is := s.issuers[issuer]
	if is == nil {
		return nil, Refuse(UnknownIssuer, "no issuer has this name")
	}
	p := &is.policy
	if iss, _ := claims["iss"].(string); !slices.Contains(p.IssuerIDs, iss) {
		return nil, Refuse(UnknownIssuer, "iss is not one of this issuer's")
	}
	times, err := readTimes(claims)
	if err != nil {
		return nil, err
	}
	// An ID token has no such event and a logout token no nonce, so that neither
	// can ever stand for the other.
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok {
		return nil, Refuse(UnsupportedToken, "events does not make it a logout token")
	}
	if _, ok := claims["nonce"]; ok {
		return nil, Refuse(UnsupportedToken, "it has a nonce, which no logout token has")
	}
	l := &Logout{IssuedAt: times.iat, Expires: times.exp}
	if l.ID, _ = claims["jti"].(string); l.ID == "" {
		return nil, Refuse(MalformedToken, "jti is not a string of at least one character")
	}
	if sub := claims["sub"]; sub != nil {
		if err := checkSubject(sub); err != nil {
			return nil, err
		}
		l.Subject = sub.(string)
	}
	if sid := claims["sid"]; sid != nil {
		if l.SessionID, _ = sid.(string); l.SessionID == "" {
			return nil, Refuse(MalformedToken, "sid is not a string of at least one character")
		}
	}
	if l.Subject == "" && l.SessionID == "" {
		return nil, Refuse(MalformedToken, "it has neither sub nor sid")
	}
	if _, err := p.checkAudience(claims); err != nil {
		return nil, err
	}
	return l, p.checkTimes(times, now)
}
