package idtoken

import (
	"context"
	"time"

	"twilio-sts/config/rules"
)

// A Logout is a verified logout token.
type Logout struct {
	rules.Logout
	IssuerID string // of its token
}

// VerifyLogout verifies raw, a logout token of the issuer with the given name
// (OpenID Connect Back-Channel Logout 1.0 §2.6), by the same steps as Verify.
// The error is a *Rejection.
func (v *Verifier) VerifyLogout(ctx context.Context, issuer, raw string) (*Logout, error) {
	var logout *rules.Logout
	policy := func(name string, claims rules.Claims, now time.Time) (client string, err error) {
		if name != issuer {
			return "", rules.Refuse(rules.UnknownIssuer, "iss is another issuer's")
		}
		logout, err = v.rules.CheckLogout(name, claims, now)
		return "", err
	}
	token, err := v.verify(ctx, raw, &Rejection{}, policy, "logout+jwt")
	if err != nil {
		return nil, err
	}
	return &Logout{*logout, token.issuerID}, nil
}
